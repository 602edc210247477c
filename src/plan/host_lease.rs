//! The leases that flannel keeps in etcd, one key for each host (`MakeSubnetKey`, `ParseSubnetKey` and
//! `LeaseAttrs` of flannel's pkg/subnet and pkg/lease).

use std::fmt::Write;
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::types::Cidr;

/// A host's lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLease {
    /// Its IPv4 subnet.
    pub subnet: Cidr,
    /// Its IPv6 subnet, in dual stack.
    pub subnet6: Option<Cidr>,
    /// By which address the other hosts reach it.
    pub public_ip: Option<IpAddr>,
    /// The same, IPv6.
    pub public_ip6: Option<IpAddr>,
    /// `vxlan`, ...; empty in a reservation that no host has taken yet.
    pub backend: String,
}

/// The last part of a lease's key: `10.5.52.0-24`, in dual stack `10.5.52.0-24&fd00:12:13::-56`.
pub fn key_name(subnet: &Cidr, subnet6: Option<&Cidr>) -> String {
    let part = |c: &Cidr| format!("{}-{}", c.network().addr(), c.prefix_len());
    subnet6.map_or_else(|| part(subnet), |six| format!("{}&{}", part(subnet), part(six)))
}

/// Reads an entry; `None`: flannel would pass over it.
pub fn parse(key: &str, value: &[u8]) -> Option<HostLease> {
    let name = key.rsplit('/').next()?;
    let cidr = |text: &str| text.replacen('-', "/", 1).parse::<Cidr>().ok();
    let (four, six) = name.split_once('&').map_or((name, None), |(four, six)| (four, Some(six)));
    let subnet = cidr(four).filter(Cidr::is_ipv4)?;
    let subnet6 = match six {
        Some(text) => Some(cidr(text).filter(|c| !c.is_ipv4())?),
        None => None,
    };
    let value: Value = serde_json::from_slice(value).ok().filter(Value::is_object)?;
    // flannel's own reader wants an address there, or nothing.
    let addr = |name: &str| match &value[name] {
        Value::Null => Some(None),
        Value::String(text) => text.parse::<IpAddr>().ok().map(Some),
        _ => None,
    };
    Some(HostLease {
        subnet,
        subnet6,
        public_ip: addr("PublicIP")?,
        public_ip6: addr("PublicIPv6")?,
        backend: value["BackendType"].as_str().unwrap_or_default().to_owned(),
    })
}

impl HostLease {
    /// Its subnets, for messages.
    pub fn subnets(&self) -> String {
        self.subnet6.map_or_else(|| self.subnet.to_string(), |six| format!("{},{six}", self.subnet))
    }

    fn ips(&self) -> String {
        let both = [self.public_ip, self.public_ip6];
        both.iter().flatten().map(IpAddr::to_string).collect::<Vec<_>>().join(",")
    }

    /// Whose it is, for messages.
    pub fn holder(&self) -> String {
        if self.public_ip.is_none() { "nobody (it has no PublicIP)".into() } else { self.ips() }
    }

    /// For `--json`; `seconds`: its time to live, `null` a reservation's.
    pub fn json(&self, seconds: Option<u64>) -> Value {
        json!({
            "subnet": self.subnet.to_string(),
            "ipv6Subnet": self.subnet6.map(|c| c.to_string()),
            "publicIP": self.public_ip.map(|a| a.to_string()),
            "publicIPv6": self.public_ip6.map(|a| a.to_string()),
            "backendType": self.backend,
            "ttl": seconds,
        })
    }
}

/// A table of leases, each with its time to live in seconds; `None`: it is a reservation.
pub fn table(leases: &[(HostLease, Option<u64>)]) -> String {
    let mut rows = vec![["SUBNET", "PUBLIC IP", "BACKEND", "TIME TO LIVE"].map(str::to_owned)];
    let dash = |text: String| match printable(&text) {
        text if text.is_empty() => "-".to_owned(),
        text => text,
    };
    for (lease, seconds) in leases {
        let left = seconds.map_or_else(|| "reserved".to_owned(), span);
        rows.push([
            lease.subnets(),
            dash(lease.ips()),
            dash(lease.backend.replace(char::is_control, "?")),
            left,
        ]);
    }
    let width = |column: usize| rows.iter().map(|r| r[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    for [subnet, ip, backend, left] in &rows {
        let [a, b, c] = widths;
        let _ = writeln!(text, "{subnet:a$}  {ip:b$}  {backend:c$}  {left}");
    }
    text
}

/// Text from elsewhere as it may go to a terminal: control characters become `?`, but for what a text
/// of several lines has.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { '?' } else { c }).collect()
}

fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_as_flannel_writes_them() {
        let dual = parse(
            "/coreos.com/network/subnets/10.5.1.0-24&fd00:12:13::-56",
            br#"{"PublicIP":"192.0.2.7","PublicIPv6":"2001:db8::7","BackendType":"vxlan","BackendData":{"VNI":1}}"#,
        )
        .unwrap();
        assert_eq!(
            (dual.subnets(), dual.ips()),
            ("10.5.1.0/24,fd00:12:13::/56".into(), "192.0.2.7,2001:db8::7".into())
        );
        assert_eq!(key_name(&dual.subnet, dual.subnet6.as_ref()), "10.5.1.0-24&fd00:12:13::-56");
        let old = parse("/x/subnets/10.5.52.0-24", br#"{"PublicIP":"192.0.2.8","PublicIPv6":null}"#).unwrap();
        assert_eq!(
            (old.subnets(), old.ips(), old.backend.as_str()),
            ("10.5.52.0/24".into(), "192.0.2.8".into(), "")
        );
        for (key, value) in [
            ("/x/10.5.52.0", "{}"),
            ("/x/junk-24", "{}"),
            ("/x/10.5.52.0-24", "junk"),
            ("/x/fd00::-64", "{}"),
            ("/x/10.5.52.0-24", r#"{"PublicIP":"junk"}"#),
        ] {
            assert_eq!(parse(key, value.as_bytes()), None, "{key}");
        }
        let text = table(&[(dual, Some(86_399)), (old, None)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "SUBNET                       PUBLIC IP              BACKEND  TIME TO LIVE");
        assert_eq!(lines[1], "10.5.1.0/24,fd00:12:13::/56  192.0.2.7,2001:db8::7  vxlan    23h59m");
        assert_eq!(lines[2], "10.5.52.0/24                 192.0.2.8              -        reserved");
    }
}

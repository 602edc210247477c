//! The leases that flannel keeps in etcd, one key for each host (`MakeSubnetKey`, `ParseSubnetKey` and
//! `LeaseAttrs` of flannel's pkg/subnet and pkg/lease).

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use crate::types::Cidr;

/// A host's lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLease {
    /// Its IPv4 subnet.
    pub subnet: Cidr,
    /// Its IPv6 subnet, in dual stack.
    pub subnet6: Option<Cidr>,
    /// By which address the other hosts reach it; empty when it says none.
    pub public_ip: String,
    /// The same, IPv6.
    pub public_ip6: Option<String>,
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
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    Some(HostLease {
        subnet,
        subnet6,
        public_ip: text("PublicIP").unwrap_or_default(),
        public_ip6: text("PublicIPv6"),
        backend: text("BackendType").unwrap_or_default(),
    })
}

impl HostLease {
    fn subnets(&self) -> String {
        self.subnet6.map_or_else(|| self.subnet.to_string(), |six| format!("{},{six}", self.subnet))
    }

    fn ips(&self) -> String {
        self.public_ip6
            .as_ref()
            .map_or_else(|| self.public_ip.clone(), |six| format!("{},{six}", self.public_ip))
    }

    fn holder(&self) -> String {
        if self.public_ip.is_empty() { "nobody (it has no PublicIP)".into() } else { self.ips() }
    }

    /// For `--json`; `seconds`: its time to live, `null` a reservation's.
    pub fn json(&self, seconds: Option<u64>) -> Value {
        json!({
            "subnet": self.subnet.to_string(),
            "ipv6Subnet": self.subnet6.map(|c| c.to_string()),
            "publicIP": self.public_ip,
            "publicIPv6": self.public_ip6,
            "backendType": self.backend,
            "ttl": seconds,
        })
    }
}

/// A table of leases, each with its time to live in seconds; `None`: it is a reservation.
pub fn table(leases: &[(HostLease, Option<u64>)]) -> String {
    let mut rows = vec![["SUBNET", "PUBLIC IP", "BACKEND", "TIME TO LIVE"].map(str::to_owned)];
    let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    for (lease, seconds) in leases {
        let left = seconds.map_or_else(|| "reserved".to_owned(), span);
        rows.push([lease.subnets(), dash(lease.ips()), dash(lease.backend.clone()), left]);
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

fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// What `--reserve` asks for: a subnet that one host shall always get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The subnet, IPv4.
    pub subnet: Cidr,
    /// The subnet, IPv6.
    pub subnet6: Option<Cidr>,
    /// The host's `PublicIP`.
    pub ip: Ipv4Addr,
    /// The host's `PublicIPv6`.
    pub ip6: Option<Ipv6Addr>,
}

impl std::str::FromStr for Reservation {
    type Err = String;

    /// `CIDR=IP`, in dual stack `CIDR+CIDR=IP` or `CIDR+CIDR=IP+IP`.
    fn from_str(text: &str) -> Result<Self, String> {
        let form =
            || "is not CIDR=IP such as 10.10.48.0/24=10.99.0.7 (dual stack: CIDR+CIDR6=IP+IP6)".to_owned();
        let (ranges, ips) = text.split_once('=').ok_or_else(form)?;
        let pair = |text: &str| match text.split_once('+') {
            Some((a, b)) => (a.to_owned(), Some(b.to_owned())),
            None => (text.to_owned(), None),
        };
        let (four, six) = pair(ranges);
        let subnet = Cidr::parse_subnet(&four)?;
        let subnet6 = six.map(|s| Cidr::parse_subnet(&s)).transpose()?;
        let (ip, ip6) = pair(ips);
        let ip: IpAddr = ip.parse().map_err(|_| form())?;
        let ip6 = ip6.map(|t| t.parse::<Ipv6Addr>()).transpose().map_err(|_| form())?;
        match (subnet.is_ipv4(), subnet6.is_none_or(|c| !c.is_ipv4()), ip) {
            (true, true, IpAddr::V4(ip)) if !ip.is_unspecified() => Ok(Self { subnet, subnet6, ip, ip6 }),
            _ => Err(form()),
        }
    }
}

impl Reservation {
    /// The last part of its key.
    pub fn key_name(&self) -> String {
        key_name(&self.subnet, self.subnet6.as_ref())
    }

    /// What is written: the host fills in the rest when it takes it.
    pub fn value(&self) -> String {
        let mut value = json!({ "PublicIP": self.ip.to_string() });
        if let Some(six) = self.ip6 {
            value["PublicIPv6"] = json!(six.to_string());
        }
        value.to_string()
    }

    /// Whether it can be had beside the leases that there are; `Some`: the entry of just this key and
    /// host. The error is a conflict.
    pub fn fits<'l>(&self, leases: &'l [HostLease]) -> Result<Option<&'l HostLease>, String> {
        let ip = self.ip.to_string();
        for lease in leases {
            match (self.has_key_of(lease), lease.public_ip == ip) {
                (true, true) => return Ok(Some(lease)),
                (_, false) if self.overlaps(lease) => {
                    return Err(format!(
                        "{} is leased to {}, wanted is {ip}",
                        lease.subnets(),
                        lease.holder()
                    ));
                }
                (false, true) => {
                    return Err(format!("{ip} has {} already: one host has one subnet", lease.subnets()));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn has_key_of(&self, lease: &HostLease) -> bool {
        (lease.subnet, lease.subnet6) == (self.subnet.network(), self.subnet6.map(|c| c.network()))
    }

    fn overlaps(&self, lease: &HostLease) -> bool {
        let share = |a: Cidr, b: Cidr| a.contains(b.network().addr()) || b.contains(a.network().addr());
        let six = self.subnet6.zip(lease.subnet6);
        share(self.subnet, lease.subnet) || six.is_some_and(|(a, b)| share(a, b))
    }

    /// The lease that it will be.
    pub fn lease(&self) -> HostLease {
        HostLease {
            subnet: self.subnet.network(),
            subnet6: self.subnet6.map(|c| c.network()),
            public_ip: self.ip.to_string(),
            public_ip6: self.ip6.map(|a| a.to_string()),
            backend: String::new(),
        }
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
        ] {
            assert_eq!(parse(key, value.as_bytes()), None, "{key}");
        }
        let text = table(&[(dual, Some(86_399)), (old, None)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "SUBNET                       PUBLIC IP              BACKEND  TIME TO LIVE");
        assert_eq!(lines[1], "10.5.1.0/24,fd00:12:13::/56  192.0.2.7,2001:db8::7  vxlan    23h59m");
        assert_eq!(lines[2], "10.5.52.0/24                 192.0.2.8              -        reserved");
    }

    #[test]
    fn reservations() {
        let wanted: Reservation = "10.5.52.0/24=192.0.2.8".parse().unwrap();
        assert_eq!(
            (wanted.key_name().as_str(), wanted.value().as_str()),
            ("10.5.52.0-24", r#"{"PublicIP":"192.0.2.8"}"#)
        );
        let dual: Reservation = "10.5.1.0/24+fd00:12::/64=192.0.2.7+2001:db8::7".parse().unwrap();
        assert_eq!(dual.key_name(), "10.5.1.0-24&fd00:12::-64");
        assert_eq!(dual.value(), r#"{"PublicIP":"192.0.2.7","PublicIPv6":"2001:db8::7"}"#);
        for text in [
            "10.5.52.0/24",
            "10.5.52.0=192.0.2.8",
            "fd00::/64=192.0.2.8",
            "10.5.52.0/24=fd00::1",
            "10.5.52.0/24=0.0.0.0",
            "10.5.52.0/24+10.5.53.0/24=192.0.2.8",
        ] {
            assert!(text.parse::<Reservation>().is_err(), "{text}");
        }
        let held =
            |key: &str, ip: &str| [parse(key, format!(r#"{{"PublicIP":"{ip}"}}"#).as_bytes()).unwrap()];
        for (key, ip, error) in [
            ("/10.5.52.0-24", "192.0.2.8", None),
            ("/10.5.53.0-24", "192.0.2.9", None),
            ("/10.5.52.0-24", "192.0.2.9", Some("10.5.52.0/24 is leased to 192.0.2.9, wanted is 192.0.2.8")),
            ("/10.5.52.0-25", "192.0.2.9", Some("10.5.52.0/25 is leased to 192.0.2.9, wanted is 192.0.2.8")),
            (
                "/10.5.53.0-24",
                "192.0.2.8",
                Some("192.0.2.8 has 10.5.53.0/24 already: one host has one subnet"),
            ),
        ] {
            assert_eq!(wanted.fits(&held(key, ip)).err().as_deref(), error, "{key} {ip}");
        }
    }
}

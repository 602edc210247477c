//! flannel's network config in etcd, judged as flanneld judges it (`ParseConfig` and `CheckNetworkConfig`
//! of pkg/subnet/config.go, 0.10 and later, IPv4).

use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use crate::types::Cidr;

/// A config that flanneld takes.
#[derive(Debug)]
pub struct NetworkConfig {
    /// The bytes to write, verbatim.
    pub text: String,
    value: Value,
    min: Ipv4Addr,
    max: Ipv4Addr,
    len: u8,
}

/// A field by its name as Go's JSON reader finds it: case-insensitively.
fn field<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    let same = |key: &str| key.eq_ignore_ascii_case(name);
    object.iter().rev().find(|(k, _)| same(k)).map(|(_, v)| v).filter(|v| !v.is_null())
}

/// Reads and judges a config. Errors begin with the field.
pub fn parse(text: &str) -> Result<NetworkConfig, String> {
    let value: Value = serde_json::from_str(text).map_err(|e| format!("is not JSON: {e}"))?;
    let object = value.as_object().ok_or("is JSON, but no object with a Network in it")?;
    let network = field(object, "Network").ok_or("Network: is missing (IPv6 alone is not understood yet)")?;
    let network = network.as_str().ok_or("Network: is not a string such as \"10.10.0.0/16\"")?;
    let cidr: Cidr = network.parse().map_err(|why| format!("Network: {network:?} {why}"))?;
    let std::net::IpAddr::V4(base) = cidr.network().addr() else {
        return Err(format!("Network: {network:?} is not IPv4"));
    };
    if cidr.prefix_len() == 0 {
        return Err("Network: is all of IPv4".into());
    }
    let len = subnet_len(object, cidr.prefix_len())?;
    let size = 1u32 << (32 - len);
    let base = u32::from(base);
    let end = u64::from(base) + (1u64 << (32 - cidr.prefix_len()));
    // flanneld leaves the first subnet out, and takes the last whole one as the end.
    let min = bound(object, "SubnetMin", base.wrapping_add(size), &cidr, size)?;
    let last = u32::try_from(end - u64::from(size)).unwrap_or(u32::MAX);
    let max = bound(object, "SubnetMax", last, &cidr, size)?;
    if min > max {
        return Err(format!("SubnetMin: {min} is above SubnetMax {max}: no host would get a subnet"));
    }
    // null is no absence here: Go reads it as a backend without a type, which flanneld does not know.
    if let Some(backend) = object.iter().find(|(k, _)| k.eq_ignore_ascii_case("Backend")).map(|(_, v)| v) {
        let kind = backend.as_object().ok_or("Backend: is not an object such as {\"Type\": \"vxlan\"}")?;
        let kind = field(kind, "Type").and_then(Value::as_str).unwrap_or_default();
        if kind.is_empty() {
            return Err("Backend.Type: is missing".into());
        }
    }
    Ok(NetworkConfig { text: text.to_owned(), value, min, max, len })
}

fn subnet_len(object: &Map<String, Value>, prefix: u8) -> Result<u8, String> {
    let given = match field(object, "SubnetLen") {
        None => 0,
        Some(v) => v.as_u64().ok_or_else(|| format!("SubnetLen: {v} is not a whole number"))?,
    };
    match (given, prefix) {
        (0, 29..) => Err(format!("Network: a /{prefix} is too small to be divided among hosts")),
        (0, ..=22) => Ok(24),
        (0, _) => Ok(prefix + 2),
        (31.., _) => Err(format!("SubnetLen: {given} leaves no room for pods: 30 at the most")),
        (len, _) if len < u64::from(prefix) + 2 => {
            Err(format!("SubnetLen: {given} has to be at least 2 more than the Network's /{prefix}"))
        }
        (len, _) => u8::try_from(len).map_err(|e| e.to_string()),
    }
}

fn bound(
    object: &Map<String, Value>,
    name: &str,
    default: u32,
    network: &Cidr,
    size: u32,
) -> Result<Ipv4Addr, String> {
    let given = match field(object, name) {
        None => Ipv4Addr::UNSPECIFIED,
        Some(v) => v
            .as_str()
            .and_then(|t| t.parse().ok())
            .ok_or_else(|| format!("{name}: {v} is not an IPv4 address"))?,
    };
    let addr = if given.is_unspecified() { Ipv4Addr::from(default) } else { given };
    if !network.contains(addr.into()) {
        return Err(format!("{name}: {addr} is not in Network {}", network.network()));
    }
    if u32::from(addr) % size != 0 {
        let aligned = Ipv4Addr::from(u32::from(addr) / size * size);
        return Err(format!("{name}: {addr} is not the start of a subnet: {aligned} is"));
    }
    Ok(addr)
}

impl NetworkConfig {
    /// Whether two configs mean the same: numbers, strings and objects alike, names in any case.
    pub fn means_the_same(&self, other: &[u8]) -> bool {
        serde_json::from_slice(other).is_ok_and(|other| folded(&self.value) == folded(&other))
    }

    /// Whether a subnet that flanneld may lease shares an address with this network.
    pub fn leases_overlap(&self, other: &Cidr) -> bool {
        let size = 1u64 << (32 - self.len);
        let (first, end) = (u64::from(u32::from(self.min)), u64::from(u32::from(self.max)) + size);
        let std::net::IpAddr::V4(base) = other.network().addr() else { return false };
        let start = u64::from(u32::from(base));
        start < end && first < start + (1u64 << (32 - other.prefix_len()))
    }

    /// The subnets that can be leased, for the log: `10.10.10.0-10.10.255.0 by /24`.
    pub fn leases(&self) -> String {
        format!("{}-{} by /{}", self.min, self.max, self.len)
    }
}

/// Whether a field of a backend is a secret: ipsec's and wireguard's PSK, the clouds' AccessKeySecret.
pub fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["psk", "secret", "password", "token"].iter().any(|s| key.contains(s))
}

/// A config as it may be shown in a log: as compact JSON, without its secrets.
pub fn shown(config: &[u8]) -> String {
    match serde_json::from_slice::<Value>(config) {
        Ok(mut value) => {
            hide(&mut value);
            value.to_string()
        }
        Err(_) => format!("({} bytes that are not JSON)", config.len()),
    }
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                if is_secret(key) { *inner = json!("***") } else { hide(inner) }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(hide),
        _ => {}
    }
}

fn folded(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.iter().map(|(k, v)| (k.to_ascii_lowercase(), folded(v))).collect())
        }
        other => other.clone(),
    }
}

/// PREFIX/config, with the slashes as flannel's path.Join leaves them: v3 keys are literal.
pub fn config_key(prefix: &str) -> String {
    let parts: Vec<&str> = prefix.split('/').filter(|p| !p.is_empty()).collect();
    format!("/{}/config", parts.join("/")).replace("//", "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_as_flanneld_computes_them() {
        for (text, leases) in [
            // The seed's own.
            (
                r#"{"Network":"10.10.0.0/16","SubnetLen":24,"SubnetMin":"10.10.10.0","SubnetMax":"10.10.255.0","Backend":{"Type":"udp","Port":7890}}"#,
                "10.10.10.0-10.10.255.0 by /24",
            ),
            (r#"{"Network":"10.3.0.0/16"}"#, "10.3.1.0-10.3.255.0 by /24"),
            (r#"{"Network":"10.3.7.9/22"}"#, "10.3.5.0-10.3.7.0 by /24"),
            (r#"{"Network":"10.3.0.0/23"}"#, "10.3.0.128-10.3.1.128 by /25"),
            (r#"{"Network":"10.3.0.0/28"}"#, "10.3.0.4-10.3.0.12 by /30"),
            (
                r#"{"network":"255.255.0.0/16","subnetlen":null,"SubnetMin":"0.0.0.0"}"#,
                "255.255.1.0-255.255.255.0 by /24",
            ),
        ] {
            assert_eq!(parse(text).unwrap().leases(), leases, "{text}");
        }
    }

    #[test]
    fn what_flanneld_would_refuse_is_refused_with_its_field() {
        for (text, start) in [
            ("{", "is not JSON"),
            ("[]", "is JSON, but no object"),
            (r#"{"Network":"10.3.0.0/16"} x"#, "is not JSON"),
            ("{}", "Network: is missing"),
            (r#"{"Network":10}"#, "Network: is not a string"),
            (r#"{"Network":"10.3.0.0/33"}"#, "Network: \"10.3.0.0/33\" the prefix length"),
            (r#"{"Network":"10.3.0.0/29"}"#, "Network: a /29 is too small"),
            (r#"{"Network":"10.3.0.0/16","SubnetLen":17}"#, "SubnetLen: 17 has to be at least 2 more"),
            (r#"{"Network":"10.3.0.0/16","SubnetLen":31}"#, "SubnetLen: 31 leaves no room"),
            (r#"{"Network":"10.3.0.0/16","SubnetLen":24.0}"#, "SubnetLen: 24.0 is not a whole number"),
            (r#"{"Network":"10.3.0.0/16","SubnetLen":"24"}"#, "SubnetLen: \"24\" is not a whole number"),
            (r#"{"Network":"10.3.0.0/16","SubnetMin":"10.4.0.0"}"#, "SubnetMin: 10.4.0.0 is not in Network"),
            (
                r#"{"Network":"10.3.0.0/16","SubnetMin":"10.3.1.7"}"#,
                "SubnetMin: 10.3.1.7 is not the start of a subnet: 10.3.1.0 is",
            ),
            (
                r#"{"Network":"10.3.0.0/16","SubnetMin":"10.3.9.0","SubnetMax":"10.3.8.0"}"#,
                "SubnetMin: 10.3.9.0 is above",
            ),
            (r#"{"Network":"10.3.0.0/16","Backend":null}"#, "Backend: is not an object"),
            (r#"{"Network":"10.3.0.0/16","Backend":{}}"#, "Backend.Type: is missing"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(start), "{text}: {error}");
        }
    }

    #[test]
    fn the_service_range_may_lie_inside_but_not_among_the_leases() {
        let text = r#"{"Network":"10.10.0.0/16","SubnetMin":"10.10.10.0","SubnetMax":"10.10.20.0"}"#;
        let config = parse(text).unwrap();
        for (cidr, overlaps) in [
            ("10.10.1.0/24", false),
            ("10.10.10.0/24", true),
            ("10.10.20.128/25", true),
            ("10.10.21.0/24", false),
            ("10.0.0.0/8", true),
        ] {
            assert_eq!(config.leases_overlap(&cidr.parse().unwrap()), overlaps, "{cidr}");
        }
    }

    #[test]
    fn meaning_and_not_spelling_is_compared() {
        let config = parse(r#"{"Network":"10.3.0.0/16","Backend":{"Type":"vxlan","VNI":7}}"#).unwrap();
        assert!(config.means_the_same(
            b"{ \"Backend\": {\"VNI\":7,\"type\":\"vxlan\"},\n\"network\":\"10.3.0.0/16\" }"
        ));
        assert!(!config.means_the_same(br#"{"Network":"10.3.0.0/16","Backend":{"Type":"vxlan","VNI":8}}"#));
        assert!(!config.means_the_same(b"junk"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let ipsec = br#"{"Network":"10.3.0.0/16","Backend":{"Type":"ipsec","PSK":"s3cret","Inner":[{"AccessKeySecret":"s3cret"}]}}"#;
        let text = shown(ipsec);
        assert!(!text.contains("s3cret") && text.contains(r#""PSK":"***""#), "{text}");
        assert_eq!(shown(b"{\"b\": 1,\n \"a\": 2}\n"), r#"{"b":1,"a":2}"#);
        assert_eq!(shown(b"{\"PSK\":\"s3cret\",}"), "(17 bytes that are not JSON)");
    }

    #[test]
    fn the_prefix_is_normalised() {
        for prefix in ["/coreos.com/network", "coreos.com/network/", "//coreos.com//network"] {
            assert_eq!(config_key(prefix), "/coreos.com/network/config");
        }
        assert_eq!(config_key("/"), "/config");
    }
}

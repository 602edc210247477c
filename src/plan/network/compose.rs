//! flannel's network config made from options instead of a file.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value, json};

use super::backends;

/// The fields of a config that is made from options.
#[derive(Default)]
pub struct Fields {
    /// `--network`.
    pub network: String,
    /// `--subnet-len`.
    pub subnet_len: Option<u8>,
    /// `--subnet-min`.
    pub subnet_min: Option<Ipv4Addr>,
    /// `--subnet-max`.
    pub subnet_max: Option<Ipv4Addr>,
    /// `--ipv6-network`: switches IPv6 on.
    pub ipv6_network: Option<String>,
    /// `--ipv6-subnet-len`.
    pub ipv6_subnet_len: Option<u8>,
    /// `--ipv6-subnet-min`.
    pub ipv6_subnet_min: Option<Ipv6Addr>,
    /// `--ipv6-subnet-max`.
    pub ipv6_subnet_max: Option<Ipv6Addr>,
    /// `--backend`.
    pub backend: Option<String>,
    /// `--backend-option K=V`: numbers and booleans become such, where the field is no string.
    pub backend_options: Vec<(String, String)>,
}

/// Composes a config.
pub fn compose(fields: &Fields) -> String {
    let text = |a: Option<String>| a.map(Value::from);
    let number = |n: Option<u8>| n.map(Value::from);
    let optional = [
        ("Network", Some(json!(fields.network))),
        ("SubnetLen", number(fields.subnet_len)),
        ("SubnetMin", text(fields.subnet_min.map(|a| a.to_string()))),
        ("SubnetMax", text(fields.subnet_max.map(|a| a.to_string()))),
        ("EnableIPv6", fields.ipv6_network.is_some().then_some(json!(true))),
        ("IPv6Network", text(fields.ipv6_network.clone())),
        ("IPv6SubnetLen", number(fields.ipv6_subnet_len)),
        ("IPv6SubnetMin", text(fields.ipv6_subnet_min.map(|a| a.to_string()))),
        ("IPv6SubnetMax", text(fields.ipv6_subnet_max.map(|a| a.to_string()))),
        ("Backend", fields.backend.as_ref().map(|kind| backend(kind, &fields.backend_options))),
    ];
    let object: Map<String, Value> =
        optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    Value::Object(object).to_string()
}

fn backend(kind: &str, options: &[(String, String)]) -> Value {
    let mut backend = Map::new();
    backend.insert("Type".into(), json!(kind));
    for (key, text) in options {
        let value = text.parse::<i64>().map(|n| json!(n)).or(text.parse::<bool>().map(|b| json!(b)));
        let typed = value.ok().filter(|_| !backends::is_text(kind, key));
        backend.insert(key.clone(), typed.unwrap_or_else(|| json!(text)));
    }
    Value::Object(backend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_make_the_same_config() {
        let fields = Fields {
            network: "10.20.0.0/16".into(),
            subnet_len: Some(24),
            subnet_min: Some(Ipv4Addr::new(10, 20, 10, 0)),
            ipv6_network: Some("fd00:20::/48".into()),
            backend: Some("udp".into()),
            backend_options: vec![("Port".into(), "7890".into())],
            ..Fields::default()
        };
        let want = r#"{"Network":"10.20.0.0/16","SubnetLen":24,"SubnetMin":"10.20.10.0","EnableIPv6":true,"IPv6Network":"fd00:20::/48","Backend":{"Type":"udp","Port":7890}}"#;
        assert_eq!(compose(&fields), want);
    }
}

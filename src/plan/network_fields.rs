//! flannel's network config made from options instead of a file.

use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

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
    /// `--backend`.
    pub backend: Option<String>,
    /// `--backend-option K=V`: numbers and booleans become such.
    pub backend_options: Vec<(String, String)>,
}

/// Composes a config.
pub fn compose(fields: &Fields) -> String {
    let mut object = Map::new();
    object.insert("Network".into(), json!(fields.network));
    let addr = |a: Option<Ipv4Addr>| a.map(|a| json!(a.to_string()));
    let optional = [
        ("SubnetLen", fields.subnet_len.map(|l| json!(l))),
        ("SubnetMin", addr(fields.subnet_min)),
        ("SubnetMax", addr(fields.subnet_max)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            object.insert(name.into(), value);
        }
    }
    if let Some(kind) = &fields.backend {
        let mut backend = Map::new();
        backend.insert("Type".into(), json!(kind));
        for (key, text) in &fields.backend_options {
            let value = text.parse::<i64>().map(|n| json!(n)).or(text.parse::<bool>().map(|b| json!(b)));
            backend.insert(key.clone(), value.unwrap_or_else(|_| json!(text)));
        }
        object.insert("Backend".into(), Value::Object(backend));
    }
    Value::Object(object).to_string()
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
            subnet_max: None,
            backend: Some("udp".into()),
            backend_options: vec![("Port".into(), "7890".into())],
        };
        let want = r#"{"Network":"10.20.0.0/16","SubnetLen":24,"SubnetMin":"10.20.10.0","Backend":{"Type":"udp","Port":7890}}"#;
        assert_eq!(compose(&fields), want);
    }
}

//! The types of daemon.json's keys.

use super::argv::{keys_of, long_name};
use serde_json::Value;

/// The type of a key.
#[derive(Clone, Copy)]
enum Type {
    Text,
    Whole,
    Bool,
    Texts,
    TextMap,
    TextMaps,
}

/// moby, daemon/config, 1.10 to 29: the keys that kboot writes, and those that are common beside them.
const TYPES: [(Type, &str); 6] = [
    (
        Type::Text,
        "bridge bip bip6 fixed-cidr fixed-cidr-v6 default-gateway default-gateway-v6 ip firewall-backend \
         data-root log-driver log-level storage-driver group containerd",
    ),
    (Type::Whole, "mtu network-control-plane-mtu max-concurrent-downloads shutdown-timeout"),
    (
        Type::Bool,
        "iptables ip6tables ip-masq ip-forward ip-forward-no-drop ipv6 icc userland-proxy live-restore debug \
         experimental allow-direct-routing selinux-enabled tls tlsverify",
    ),
    (
        Type::Texts,
        "hosts registry-mirrors insecure-registries dns dns-opts dns-search storage-opts exec-opts labels \
         authorization-plugins",
    ),
    (Type::TextMap, "log-opts cluster-store-opts"),
    (Type::TextMaps, "default-network-opts"),
];

/// Why dockerd refuses a key of one letter; None of any other key.
pub fn short_name(path: &str, key: &str) -> Option<String> {
    let mut letters = key.chars();
    let letter = letters.next().filter(|_| letters.next().is_none())?;
    let long = long_name(letter).and_then(|flag| keys_of(flag).first().copied());
    let advice = long.map_or_else(|| "take it out".to_owned(), |long| format!("write \"{long}\""));
    Some(format!("{path}: \"{key}\": dockerd knows no short names there: {advice}"))
}

/// Why dockerd refuses the value of a key by its type. A key that kboot does not know may be one of a newer
/// docker: None.
pub fn wrong_type(path: &str, key: &str, value: &Value) -> Option<String> {
    let (kind, _) = TYPES.iter().find(|(_, keys)| keys.split_whitespace().any(|k| k == key))?;
    let wanted = wanted(*kind, value)?;
    Some(format!("{path}: \"{key}\" is not {wanted}: dockerd refuses the file: mend it"))
}

/// What the value ought to be, if it is not. dockerd takes null for any type.
fn wanted(kind: Type, value: &Value) -> Option<&'static str> {
    let text = |v: &Value| v.is_string() || v.is_null();
    let texts = |v: &Value| v.is_null() || v.as_object().is_some_and(|m| m.values().all(text));
    let (right, wanted) = match kind {
        Type::Text => (value.is_string(), "a text in quotes"),
        Type::Whole => (value.is_i64(), "a whole number without quotes"),
        Type::Bool => (value.is_boolean(), "true or false without quotes"),
        Type::Texts => (value.as_array().is_some_and(|l| l.iter().all(text)), "a list of texts"),
        Type::TextMap => (texts(value), "an object of texts in quotes"),
        Type::TextMaps => (
            value.as_object().is_some_and(|m| m.values().all(texts)),
            "an object of objects of texts in quotes",
        ),
    };
    (!right && !value.is_null()).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// `b` was tried with dockerd 20.10.24.
    #[test]
    fn short_names() {
        for (key, why) in [("b", "write \"bridge\""), ("H", "write \"hosts\""), ("z", "take it out")] {
            let got = short_name("J", key).unwrap();
            assert_eq!(got, format!("J: \"{key}\": dockerd knows no short names there: {why}"));
        }
        assert_eq!(short_name("J", "ip"), None);
    }

    /// The numbers, the list of hosts and log-opts were tried with dockerd 20.10.24.
    #[test]
    fn types() {
        for (key, value, why) in [
            ("mtu", json!("1450"), "J: \"mtu\" is not a whole number without quotes"),
            ("mtu", json!(1450.0), "J: \"mtu\" is not a whole number without quotes"),
            ("ip-masq", json!("false"), "J: \"ip-masq\" is not true or false without quotes"),
            ("bip", json!(false), "J: \"bip\" is not a text in quotes"),
            ("hosts", json!("fd://"), "J: \"hosts\" is not a list of texts"),
            ("dns", json!([8]), "J: \"dns\" is not a list of texts"),
            ("log-opts", json!({"max-file": 3}), "J: \"log-opts\" is not an object of texts in quotes"),
            (
                "default-network-opts",
                json!({"bridge": 1}),
                "J: \"default-network-opts\" is not an object of objects",
            ),
        ] {
            let got = wrong_type("J", key, &value).unwrap();
            assert!(got.starts_with(why), "{got}");
        }
        for (key, value) in
            [("mtu", json!(null)), ("icc", json!(true)), ("dns", json!([])), ("later", json!({}))]
        {
            assert_eq!(wrong_type("J", key, &value), None);
        }
    }
}

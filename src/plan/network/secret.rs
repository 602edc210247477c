//! What of a config may be seen in a log.

use serde_json::{Value, json};

use super::backends;

/// Whether a field is a secret: ipsec's and wireguard's PSK, the clouds' AccessKeySecret.
pub fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["psk", "secret", "password", "token"].iter().any(|s| key.contains(s))
}

/// Whether a field's value may be seen: flannel's own that are no secrets. What a field that nobody knows
/// holds (a mistyped PSK), or a command of the extension backend, may be one.
pub fn is_shown(key: &str) -> bool {
    let is_lease = ["PublicIP", "PublicIPv6", "BackendType"].iter().any(|k| k.eq_ignore_ascii_case(key));
    let is_own = super::KEYS.iter().any(|(k, _)| k.eq_ignore_ascii_case(key)) || backends::is_field(key);
    let is_command = key.to_ascii_lowercase().ends_with("command");
    (is_lease || is_own || key.eq_ignore_ascii_case("Type")) && !is_command && !is_secret(key)
}

/// A config or a lease as it may be shown in a log: as compact JSON, without what may be secret.
pub fn shown(config: &[u8]) -> String {
    match serde_json::from_slice::<Value>(config) {
        Ok(mut value) if value.is_object() => {
            hide(&mut value);
            value.to_string()
        }
        _ => format!("({} bytes that are no JSON object)", config.len()),
    }
}

fn hide(value: &mut Value) {
    for (key, inner) in value.as_object_mut().into_iter().flatten() {
        match inner {
            // No field that may be seen holds a list of objects, but for one that is mistaken.
            Value::Array(items) if items.iter().any(|i| !i.is_string()) => *inner = json!("***"),
            _ if !is_shown(key) => *inner = json!("***"),
            Value::Object(_) => hide(inner),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let ipsec = br#"{"Network":"10.3.0.0/16","Backend":{"Type":"ipsec","PSK":"s3cret","PreSharedKey":"s3cret","Inner":[{"AccessKeySecret":"s3cret"}]}}"#;
        let text = shown(ipsec);
        assert!(!text.contains("s3cret") && text.contains(r#""PSK":"***""#), "{text}");
        assert_eq!(shown(b"{\"Port\": 1,\n \"a\": 2}\n"), r#"{"Port":1,"a":"***"}"#);
        let list = br#"{"Backend":[{"Type":"ipsec","PSK":"s3cret"}]}"#;
        assert_eq!(shown(list), r#"{"Backend":"***"}"#);
        let command = br#"{"Backend":{"Type":"extension","PreStartupCommand":"curl -H s3cret"}}"#;
        assert_eq!(shown(command), r#"{"Backend":{"Type":"extension","PreStartupCommand":"***"}}"#);
        for text in [&b"{\"PSK\":\"s3cret\",}"[..], b"\"{PSK: s3cret}..\"", b"[\"PSK\",\"s3cret\"]"] {
            assert_eq!(shown(text), format!("({} bytes that are no JSON object)", text.len()));
        }
    }
}

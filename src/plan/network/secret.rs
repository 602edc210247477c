//! What of a config may be seen in a log.

use serde_json::{Value, json};

/// Whether a field is a secret: ipsec's and wireguard's PSK, the clouds' AccessKeySecret.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let ipsec = br#"{"Network":"10.3.0.0/16","Backend":{"Type":"ipsec","PSK":"s3cret","Inner":[{"AccessKeySecret":"s3cret"}]}}"#;
        let text = shown(ipsec);
        assert!(!text.contains("s3cret") && text.contains(r#""PSK":"***""#), "{text}");
        assert_eq!(shown(b"{\"b\": 1,\n \"a\": 2}\n"), r#"{"b":1,"a":2}"#);
        assert_eq!(shown(b"{\"PSK\":\"s3cret\",}"), "(17 bytes that are not JSON)");
    }
}

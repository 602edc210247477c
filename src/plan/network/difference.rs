//! In what two configs differ: by what flanneld makes of them, not by how they are written.

use std::fmt;

use serde_json::{Value, json};

use super::{NetworkConfig, is_shown, parse};
use crate::types::Version;

/// One field in which two configs differ.
#[derive(Debug, PartialEq)]
pub struct Difference {
    /// Its JSON path: `Backend.Port`.
    pub path: String,
    /// What is held; `None`: no such field.
    pub held: Option<Value>,
    /// What is wanted; the same.
    pub wanted: Option<Value>,
}

/// A secret's value is not shown.
fn seen(path: &str, value: Option<&Value>) -> Value {
    match value {
        Some(_) if !is_shown(path.rsplit('.').next().unwrap_or(path)) => json!("***"),
        other => other.cloned().unwrap_or_default(),
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<Value>| match value {
            None => "none".to_owned(),
            Some(_) => match seen(&self.path, value.as_ref()) {
                Value::String(text) => text,
                other => other.to_string(),
            },
        };
        write!(f, "{} is {}, wanted is {}", self.path, show(&self.held), show(&self.wanted))
    }
}

impl Difference {
    /// For `--json`.
    pub fn json(&self) -> Value {
        let (held, wanted) = (seen(&self.path, self.held.as_ref()), seen(&self.path, self.wanted.as_ref()));
        json!({ "path": self.path, "held": held, "wanted": wanted })
    }
}

/// The fields in which what is held differs from what is wanted; none: they mean the same. The error
/// is why flanneld would not take what is held.
pub fn find(wanted: &NetworkConfig, held: &[u8], version: Version) -> Result<Vec<Difference>, String> {
    let text = std::str::from_utf8(held).map_err(|_| "is not text".to_owned())?;
    let held = parse(text, version)?.effective();
    let wanted = wanted.effective();
    let value =
        |all: &[(String, Value)], path: &str| all.iter().find(|(p, _)| p == path).map(|(_, v)| v.clone());
    let mut found = Vec::new();
    for (path, _) in held.iter().chain(&wanted) {
        let (held, wanted) = (value(&held, path), value(&wanted, path));
        if held != wanted && !found.iter().any(|d: &Difference| d.path == *path) {
            found.push(Difference { path: path.clone(), held, wanted });
        }
    }
    // Another backend has other fields: to compare them says nothing.
    if found.iter().any(|d| d.path == "Backend.Type") {
        found.retain(|d| d.path == "Backend.Type" || !d.path.starts_with("Backend."));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::NEWEST;
    use super::*;

    fn differences(held: &str, wanted: &str) -> String {
        let wanted = parse(wanted, NEWEST).unwrap();
        let found = find(&wanted, held.as_bytes(), NEWEST).unwrap();
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn meaning_and_not_spelling_is_compared() {
        for (held, wanted) in [
            (
                r#"{ "Backend": {"VNI":7,"type":"VXLAN"},"network":"10.3.9.9/16" }"#,
                r#"{"Network":"10.3.0.0/16","SubnetLen":24,"Backend":{"Type":"vxlan","VNI":7}}"#,
            ),
            (
                r#"{"Network":"10.3.0.0/16"}"#,
                r#"{"Network":"10.3.0.0/16","Backend":{"Type":"udp","Port":8285}}"#,
            ),
            (
                r#"{"Network":"10.3.0.0/16","SubnetMin":"10.3.1.0"}"#,
                r#"{"Network":"10.3.0.0/16","SubnetMax":"10.3.255.0","EnableIPv6":false}"#,
            ),
            // What flannel passes over means nothing.
            (r#"{"Network":"10.3.0.0/16","Note":"x"}"#, r#"{"Network":"10.3.0.0/16"}"#),
            (
                r#"{"Network":"10.3.0.0/16","Backend":{"Type":"vxlan"}}"#,
                r#"{"Network":"10.3.0.0/16","Backend":{"Type":"vxlan","VNI":1,"DirectRouting":false}}"#,
            ),
        ] {
            assert_eq!(differences(held, wanted), "", "{held} {wanted}");
        }
    }

    #[test]
    fn field_by_field() {
        let psk = "s3cret".repeat(16);
        for (held, wanted, says) in [
            (
                r#"{"Network":"10.4.0.0/16"}"#.to_owned(),
                r#"{"Network":"10.4.0.0/16","SubnetLen":25,"Backend":{"Type":"vxlan"}}"#.to_owned(),
                "SubnetLen is 24, wanted is 25; SubnetMin is 10.4.1.0, wanted is 10.4.0.128; \
                 SubnetMax is 10.4.255.0, wanted is 10.4.255.128; Backend.Type is udp, wanted is vxlan",
            ),
            (
                format!(r#"{{"Network":"10.4.0.0/16","Backend":{{"Type":"ipsec","PSK":"{psk}x"}}}}"#),
                format!(r#"{{"Network":"10.4.0.0/16","Backend":{{"Type":"ipsec","PSK":"{psk}"}}}}"#),
                "Backend.PSK is ***, wanted is ***",
            ),
        ] {
            let found = differences(&held, &wanted);
            assert_eq!(found, says);
        }
        let wanted = parse(r#"{"Network":"10.4.0.0/16"}"#, NEWEST).unwrap();
        assert_eq!(find(&wanted, b"{}", NEWEST).unwrap_err(), "Network: is missing");
        assert_eq!(find(&wanted, b"\xff", NEWEST).unwrap_err(), "is not text");
    }
}

//! Which of etcd's APIs get the network config.

use std::fmt;

use super::network::difference::{self, Difference};
use super::network::{NetworkConfig, shown};
use super::shell::quote;
use crate::types::Version;

/// What one API holds: its name, and the value with the revision that guards its replacement.
pub type Held = (&'static str, Option<(u64, Vec<u8>)>);

/// A write to one API.
#[derive(Debug, PartialEq, Eq)]
pub struct Write {
    /// `v2` or `v3`.
    pub api: &'static str,
    /// The key.
    pub key: String,
    /// The value, byte by byte.
    pub value: String,
    /// The revision it replaces; `None`: the key must not exist.
    pub replaces: Option<u64>,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = (quote(&self.key), quote(&shown(self.value.as_bytes())));
        match (self.api, self.replaces) {
            ("v2", None) => write!(f, "ETCDCTL_API=2 etcdctl mk {key} {value}"),
            ("v2", Some(_)) => write!(f, "ETCDCTL_API=2 etcdctl set {key} {value}"),
            _ => write!(f, "ETCDCTL_API=3 etcdctl put {key} {value}"),
        }
    }
}

/// Another config is held, and it was not said to be replaced.
#[derive(Debug, PartialEq)]
pub struct Conflict {
    /// In one line.
    pub text: String,
    /// Where.
    pub api: &'static str,
    /// Field by field; empty when what is held is no config.
    pub differences: Vec<Difference>,
}

/// Whether a value means the config, however it is written.
pub fn is_held(config: &NetworkConfig, value: &[u8], version: Version) -> bool {
    value == config.text.as_bytes() || difference::find(config, value, version).is_ok_and(|d| d.is_empty())
}

/// The writes that make all APIs agree with the config.
pub fn plan(
    config: &NetworkConfig,
    key: &str,
    held: &[Held],
    replace: bool,
    version: Version,
) -> Result<Vec<Write>, Conflict> {
    let mut writes = Vec::new();
    for (api, stored) in held {
        match stored {
            Some((_, value)) if is_held(config, value, version) => {}
            Some((_, value)) if !replace => return Err(conflict(config, key, api, value, version)),
            other => writes.push(Write {
                api,
                key: key.to_owned(),
                value: config.text.clone(),
                replaces: other.as_ref().map(|(revision, _)| *revision),
            }),
        }
    }
    Ok(writes)
}

fn conflict(
    config: &NetworkConfig,
    key: &str,
    api: &'static str,
    value: &[u8],
    version: Version,
) -> Conflict {
    let (what, differences) = match difference::find(config, value, version) {
        Ok(found) => {
            let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
            (format!("another config: {}", texts.join("; ")), found)
        }
        Err(why) => (format!("what flanneld would not take ({why}): {}", shown(value)), Vec::new()),
    };
    Conflict { text: format!("{key} ({api}) holds {what}: --replace replaces it"), api, differences }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::network::{NEWEST, parse};

    #[test]
    fn where_only_one_api_holds_a_config_the_other_comes_to_agree() {
        let config = parse(r#"{"Network":"10.3.0.0/16"}"#, NEWEST).unwrap();
        let plan = |held: &[Held], replace| plan(&config, "/k", held, replace, NEWEST);
        let same = b"{ \"network\": \"10.3.0.0/16\" }".to_vec();
        let writes = plan(&[("v2", Some((7, same))), ("v3", None)], false).unwrap();
        assert_eq!((writes.len(), writes[0].api, writes[0].replaces), (1, "v3", None));
        assert_eq!(writes[0].to_string(), r#"ETCDCTL_API=3 etcdctl put /k '{"Network":"10.3.0.0/16"}'"#);
        for (value, says) in [
            (
                "{}\n",
                "/k (v3) holds what flanneld would not take (Network: is missing): {}: --replace replaces it",
            ),
            (
                r#"{"Network":"10.3.0.0/16","Backend":{"Type":"alloc"}}"#,
                "/k (v3) holds another config: Backend.Type is alloc, wanted is udp: --replace replaces it",
            ),
        ] {
            let held = [("v2", None), ("v3", Some((9, value.into())))];
            let found = plan(&held, false).unwrap_err();
            assert_eq!((found.text.as_str(), found.api), (says, "v3"));
            let writes = plan(&held, true).unwrap();
            assert_eq!((writes[0].replaces, writes[1].replaces), (None, Some(9)));
            assert!(writes[0].to_string().starts_with("ETCDCTL_API=2 etcdctl mk /k "));
        }
    }
}

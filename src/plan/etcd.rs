//! Which of etcd's APIs get the network config.

use std::fmt;

use super::network_config::{NetworkConfig, shown};
use super::shell::quote;

/// What one API holds: its name, and the value with the revision that guards its replacement.
pub type Held = (&'static str, Option<(u64, Vec<u8>)>);

/// A write to one API.
#[derive(Debug, PartialEq, Eq)]
pub struct Write {
    /// `v2` or `v3`.
    pub api: &'static str,
    /// The key.
    pub key: String,
    /// The config, byte by byte.
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

/// The writes that make all APIs agree with the config. The error is a conflict: another config is
/// held somewhere, and it was not said to be replaced.
pub fn plan(config: &NetworkConfig, key: &str, held: &[Held], replace: bool) -> Result<Vec<Write>, String> {
    let mut writes = Vec::new();
    for (api, stored) in held {
        match stored {
            Some((_, value)) if config.means_the_same(value) => {}
            Some((_, value)) if !replace => {
                let text = shown(value);
                return Err(format!("{key} ({api}) holds another config: {text}: --replace replaces it"));
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::network_config::parse;

    #[test]
    fn where_only_one_api_holds_a_config_the_other_comes_to_agree() {
        let config = parse(r#"{"Network":"10.3.0.0/16"}"#).unwrap();
        let same = b"{ \"network\": \"10.3.0.0/16\" }".to_vec();
        let writes = plan(&config, "/k", &[("v2", Some((7, same.clone()))), ("v3", None)], false).unwrap();
        assert_eq!((writes.len(), writes[0].api, writes[0].replaces), (1, "v3", None));
        assert_eq!(writes[0].to_string(), r#"ETCDCTL_API=3 etcdctl put /k '{"Network":"10.3.0.0/16"}'"#);
        let other = b"{}\n".to_vec();
        let held = [("v2", None), ("v3", Some((9, other)))];
        assert_eq!(
            plan(&config, "/k", &held, false).unwrap_err(),
            "/k (v3) holds another config: {}: --replace replaces it"
        );
        let writes = plan(&config, "/k", &held, true).unwrap();
        assert_eq!((writes[0].replaces, writes[1].replaces), (None, Some(9)));
        assert!(writes[0].to_string().starts_with("ETCDCTL_API=2 etcdctl mk /k "));
    }
}

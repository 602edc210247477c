//! Which of etcd's APIs get the network config.

use std::fmt;

use super::network::difference::{self, Difference};
use super::network::{NetworkConfig, shown};
use super::shell::quote;
use crate::types::Version;

/// A value that an API holds.
#[derive(Clone, Debug)]
pub struct HeldValue {
    /// What guards its replacement.
    pub revision: u64,
    /// The bytes.
    pub value: Vec<u8>,
    /// Whether it goes away by itself.
    pub ends: bool,
}

/// What one API holds, by its name.
pub type Held = (&'static str, Option<HeldValue>);

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
        let redacted = shown(self.value.as_bytes());
        // As it is only where that is all there is: a name that comes twice hides what it holds first.
        let own = self.value.trim_end();
        let is_open = !own.contains('\n') && own.split_whitespace().collect::<String>() == redacted;
        let (key, value) = (quote(&self.key), quote(if is_open { own } else { &redacted }));
        match (self.api, self.replaces) {
            ("v2", None) => write!(f, "ETCDCTL_API=2 etcdctl mk {key} {value}"),
            ("v2", Some(index)) => {
                write!(f, "ETCDCTL_API=2 etcdctl set --swap-with-index {index} {key} {value}")
            }
            (_, None) => write!(f, "ETCDCTL_API=3 etcdctl put {key} {value} # if it is not there"),
            (_, Some(revision)) => {
                write!(f, "ETCDCTL_API=3 etcdctl put {key} {value} # if its mod revision is {revision}")
            }
        }
    }
}

/// Another config is held, and it was not said to be replaced.
#[derive(Debug, PartialEq)]
pub struct Conflict {
    /// What is held, in one line.
    text: String,
    /// Where.
    pub api: &'static str,
    /// Field by field; empty when what is held is no config.
    pub differences: Vec<Difference>,
}

/// All conflicts in one line, and what to do.
pub fn told(conflicts: &[Conflict]) -> String {
    let texts: Vec<&str> = conflicts.iter().map(|c| c.text.as_str()).collect();
    format!("{}: --replace replaces it", texts.join("; "))
}

/// Whether a value means the config, however it is written.
pub fn is_held(config: &NetworkConfig, value: &[u8], version: Version) -> bool {
    value == config.text.as_bytes() || difference::find(config, value, version).is_ok_and(|d| d.is_empty())
}

/// The writes that make all APIs agree with the config. One that is held but would end is written anew.
pub fn plan(
    config: &NetworkConfig,
    key: &str,
    held: &[Held],
    replace: bool,
    version: Version,
) -> Result<Vec<Write>, Vec<Conflict>> {
    let (mut writes, mut conflicts) = (Vec::new(), Vec::new());
    for (api, stored) in held {
        let is_same = stored.as_ref().map(|s| is_held(config, &s.value, version));
        match stored {
            Some(stored) if is_same == Some(true) && !stored.ends => {}
            Some(stored) if is_same == Some(false) && !replace => {
                conflicts.push(conflict(config, key, api, &stored.value, version));
            }
            other => writes.push(Write {
                api,
                key: key.to_owned(),
                value: config.text.clone(),
                replaces: other.as_ref().map(|s| s.revision),
            }),
        }
    }
    if conflicts.is_empty() { Ok(writes) } else { Err(conflicts) }
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
    Conflict { text: format!("{key} ({api}) holds {what}"), api, differences }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::network::{NEWEST, parse};

    fn held(revision: u64, value: &str, ends: bool) -> HeldValue {
        HeldValue { revision, value: value.into(), ends }
    }

    #[test]
    fn where_only_one_api_holds_a_config_the_other_comes_to_agree() {
        let config = parse(r#"{"Network":"10.3.0.0/16"}"#, NEWEST).unwrap();
        let plan = |held: &[Held], replace| plan(&config, "/k", held, replace, NEWEST);
        let same = "{ \"network\": \"10.3.0.0/16\" }";
        let writes = plan(&[("v2", Some(held(7, same, false))), ("v3", None)], false).unwrap();
        assert_eq!((writes.len(), writes[0].api, writes[0].replaces), (1, "v3", None));
        assert_eq!(
            writes[0].to_string(),
            r#"ETCDCTL_API=3 etcdctl put /k '{"Network":"10.3.0.0/16"}' # if it is not there"#
        );
        // One that would go away is kept for good.
        let writes =
            plan(&[("v2", Some(held(7, same, true))), ("v3", Some(held(8, same, false)))], false).unwrap();
        assert_eq!((writes.len(), writes[0].replaces), (1, Some(7)));
        assert!(writes[0].to_string().starts_with("ETCDCTL_API=2 etcdctl set --swap-with-index 7 /k "));
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
            let held = [("v2", None), ("v3", Some(held(9, value, false)))];
            let found = plan(&held, false).unwrap_err();
            assert_eq!((told(&found).as_str(), found[0].api), (says, "v3"));
            let writes = plan(&held, true).unwrap();
            assert_eq!((writes[0].replaces, writes[1].replaces), (None, Some(9)));
            assert!(writes[0].to_string().starts_with("ETCDCTL_API=2 etcdctl mk /k "));
        }
        // Both are told where both differ.
        let other = r#"{"Network":"10.4.0.0/16"}"#;
        let found = plan(&[("v2", Some(held(1, other, false))), ("v3", Some(held(2, "{}", false)))], false)
            .unwrap_err();
        assert_eq!((found.len(), told(&found).matches(" holds ").count()), (2, 2));
    }

    #[test]
    fn a_secret_is_no_part_of_a_plan() {
        let psk = "s3cret".repeat(16);
        let value = format!(r#"{{"Network":"10.3.0.0/16","Backend":{{"Type":"ipsec","PSK":"{psk}"}}}}"#);
        let write = Write { api: "v3", key: "/k".into(), value, replaces: None };
        assert!(!write.to_string().contains("s3cret") && write.to_string().contains(r#""PSK":"***""#));
        let twice = r#"{"Backend":{"Type":"ipsec","PSK":"s3cret"},"Backend":{"Type":"udp"}}"#.to_owned();
        let write = Write { api: "v3", key: "/k".into(), value: twice, replaces: None };
        assert!(!write.to_string().contains("s3cret"), "{write}");
    }
}

//! Labels, annotations and taints as the command line gives them.

use serde_json::Value;

use crate::types::NodeName;

/// What a taint can do.
pub const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// A taint as `kubectl taint` writes it: `KEY=VALUE:EFFECT` or `KEY:EFFECT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) effect: String,
}

impl std::str::FromStr for Taint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (pair, effect) = text.rsplit_once(':').ok_or("is not KEY=VALUE:EFFECT")?;
        if !EFFECTS.contains(&effect) {
            return Err(format!("the effect is one of {}", EFFECTS.join(", ")));
        }
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        check_key(key)?;
        check_value(value)?;
        Ok(Self { key: key.into(), value: value.into(), effect: effect.into() })
    }
}

impl Taint {
    /// What makes a taint one: its key and effect.
    pub fn identity(&self) -> (&str, &str) {
        (&self.key, &self.effect)
    }
}

/// Whether a taint is put and taken away by Kubernetes' own controllers, by the Node's conditions.
pub(super) fn is_controllers(taint: &Value) -> bool {
    const OWN: [&str; 3] =
        ["node.kubernetes.io/", "node.alpha.kubernetes.io/", "node.cloudprovider.kubernetes.io/"];
    taint["key"].as_str().is_some_and(|key| OWN.iter().any(|own| key.starts_with(own)))
}

/// A label, `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label(pub(super) String, pub(super) String);

impl Label {
    /// What makes a label one.
    pub fn key(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("is not KEY=VALUE")?;
        check_key(key)?;
        check_value(value)?;
        Ok(Self(key.into(), value.into()))
    }
}

/// An annotation, `KEY=VALUE`; the value is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation(pub(super) String, pub(super) String);

impl Annotation {
    /// What makes an annotation one.
    pub fn key(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Annotation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("is not KEY=VALUE")?;
        check_key(key)?;
        Ok(Self(key.into(), value.into()))
    }
}

/// apimachinery's `IsQualifiedName`: an optional DNS prefix and a name of at most 63 bytes.
fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(p, n)| (Some(p), n));
    if prefix.is_some_and(|p| p.parse::<NodeName>().is_err()) {
        return Err("the key's prefix is not a DNS name".into());
    }
    if name.is_empty() {
        return Err("the key has no name".into());
    }
    check_value(name).map_err(|why| why.replace("value", "key"))
}

/// apimachinery's `IsValidLabelValue`.
pub(super) fn check_value(value: &str) -> Result<(), String> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let ends = [value.bytes().next(), value.bytes().last()];
    let ends_fit = ends.iter().flatten().all(u8::is_ascii_alphanumeric);
    if value.len() <= 63 && value.bytes().all(inner) && ends_fit {
        Ok(())
    } else {
        Err("the value has at most 63 letters, digits, '-', '_' and '.', the first and last a letter or digit".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_taints_as_the_api_server_takes_them() {
        for good in ["a=b", "example.com/role=x_1", "a="] {
            assert!(good.parse::<Label>().is_ok(), "{good}");
        }
        for bad in ["a", "=b", "a=b c", "-a=b", "a=b-", "A_/x=y", "a=é"] {
            assert!(bad.parse::<Label>().is_err(), "{bad}");
        }
        for good in ["a=b:NoSchedule", "a:NoExecute", "example.com/x=:PreferNoSchedule"] {
            assert!(good.parse::<Taint>().is_ok(), "{good}");
        }
        for bad in ["a=b", "a=b:Never", ":NoSchedule", "a b:NoSchedule"] {
            assert!(bad.parse::<Taint>().is_err(), "{bad}");
        }
    }
}

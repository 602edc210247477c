//! JSON as Go's encoding/json hands it to flanneld: names in any case, a name that comes again overrules
//! the one before, null leaves a plain field as it was, and each type takes only its own spelling.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

/// The pairs of an object in their order, each value as it is spelt.
pub struct Pairs<'t>(pub Vec<(String, &'t str)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Pairs<'de>, M::Error> {
        let mut pairs = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            pairs.push((name, value.get()));
        }
        Ok(Pairs(pairs))
    }
}

/// Why a text is no object.
pub enum NoObject {
    /// It is not JSON: where and why.
    NotJson(String),
    /// It is JSON of another kind.
    Other,
}

/// Reads a text that has to be one JSON object with nothing after it.
pub fn object(text: &str) -> Result<Pairs<'_>, NoObject> {
    serde_json::from_str(text).map_err(|e| match e.classify() {
        Category::Data => NoObject::Other,
        _ => NoObject::NotJson(e.to_string()),
    })
}

impl<'t> Pairs<'t> {
    /// The spellings that a name has, in their order: Go takes each in turn.
    pub fn all<'s>(&'s self, name: &'s str) -> impl DoubleEndedIterator<Item = &'t str> + 's {
        self.0.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, raw)| *raw)
    }

    /// What is left in a plain field (a number, string or boolean): null changes nothing. Each
    /// spelling is judged, also one that is overruled: Go refuses the whole for any of them.
    pub fn plain<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Option<T>,
        is_no: &str,
    ) -> Result<Option<T>, String> {
        let mut last = None;
        for raw in self.all(name).filter(|raw| *raw != "null") {
            last = Some(read(raw).ok_or_else(|| format!("{name}: {raw} is no {is_no}"))?);
        }
        Ok(last)
    }

    /// What is left in a field that flannel reads itself, from the spelling with its quotes taken off
    /// (escapes are not undone); null and "" are judged like any other.
    pub fn unquoted<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        let mut last = None;
        for raw in self.all(name) {
            let value = read(raw.trim_matches('"'));
            last = Some(value.map_err(|why| format!("{name}: {raw} {why}"))?);
        }
        Ok(last)
    }

    /// Names that are there more than once, whatever their case: as first written, with the last value.
    pub fn repeated(&self) -> Vec<(&str, &'t str)> {
        let mut found: Vec<(&str, &str)> = Vec::new();
        for (at, (name, _)) in self.0.iter().enumerate() {
            let is_first = !self.0[..at].iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
            if is_first && self.all(name).count() > 1 {
                found.extend(self.all(name).next_back().map(|raw| (name.as_str(), raw)));
            }
        }
        found
    }
}

/// A Go `uint`: digits alone, neither 24.0 nor "24" nor 2e1.
pub fn unsigned(raw: &str) -> Option<u64> {
    raw.parse().ok().filter(|_| !raw.starts_with('+'))
}

/// A Go `bool`.
pub fn boolean(raw: &str) -> Option<bool> {
    raw.parse().ok()
}

/// A Go `string`.
pub fn string(raw: &str) -> Option<String> {
    serde_json::from_str(raw).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Pairs<'_> {
        object(text).unwrap_or_else(|_| panic!("{text}"))
    }

    /// Each tried with Go 1.19's encoding/json.
    #[test]
    fn plain_fields_take_their_own_spelling_only() {
        for (text, want) in [
            (r#"{"SubnetLen":24}"#, Ok(Some(24))),
            (r#"{"subnetLEN":24}"#, Ok(Some(24))),
            (r#"{"SubnetLen":null}"#, Ok(None)),
            (r#"{"SubnetLen":25,"subnetlen":24}"#, Ok(Some(24))),
            (r#"{"SubnetLen":24,"SubnetLen":null}"#, Ok(Some(24))),
            (r#"{"SubnetLen":24.0}"#, Err("SubnetLen: 24.0 is no whole number")),
            (r#"{"SubnetLen":"24"}"#, Err("SubnetLen: \"24\" is no whole number")),
            (r#"{"SubnetLen":2e1}"#, Err("SubnetLen: 2e1 is no whole number")),
            (r#"{"SubnetLen":-1,"SubnetLen":24}"#, Err("SubnetLen: -1 is no whole number")),
        ] {
            let found = pairs(text).plain("SubnetLen", unsigned, "whole number");
            assert_eq!(found, want.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn what_comes_again_is_told_with_its_last_value() {
        let text = r#"{"SubnetLen":25,"Network":"10.0.0.0/16","subnetlen":24,"X":1}"#;
        assert_eq!(pairs(text).repeated(), [("SubnetLen", "24")]);
    }

    #[test]
    fn what_is_no_object() {
        for text in ["[1]", "null", "7", "\"x\""] {
            assert!(matches!(object(text), Err(NoObject::Other)), "{text}");
        }
        for text in ["", "{", "{} x", "{'a':1}", "{\"a\":1,}", "\u{feff}{}", "{\"a\":01}"] {
            assert!(matches!(object(text), Err(NoObject::NotJson(_))), "{text}");
        }
    }
}

//! kboot's settings in dockerd's daemon.json (docker 1.10 and later), beside the administrator's.

use super::argv::{OURS, plain};
use super::setting::Setting;
use serde::Serialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::fmt;

/// The file as it is to be.
#[derive(Debug, PartialEq, Eq)]
pub struct Merged {
    /// All of it. The old text, byte for byte, when no value changes.
    pub text: String,
    /// A text for each key that changes: `mtu 1450 (was 1500)`, `without bip "10.1.1.1/24"`.
    pub changes: Vec<String>,
}

/// A key, and its value as it is written.
type Entry = (String, String);

/// Puts the settings into a daemon.json; of an absent file the text is `""`. Other keys keep their places and
/// their values as they are written. What kboot decides and does not set now goes, and with it `b`, which no
/// docker takes: with `bridge`, `bip` may not stand there. Lists and default-network-opts (docker 24) grow.
/// An error says what cannot be merged, with its line or key.
pub fn merge(old: &str, settings: &[Setting]) -> Result<Merged, String> {
    let mut entries = read(old)?;
    let mut changes = Vec::new();
    // docker before 23.0 does not read a file that begins with one.
    if old.starts_with('\u{feff}') {
        changes.push("without a byte order mark".to_owned());
    }
    let indent = indentation(old);
    entries.retain(|(key, raw)| {
        let new = settings.iter().find(|s| s.key == key);
        let goes = key == "b"
            || OURS.contains(&key.as_str()) && new.is_none()
            || new.is_some_and(|s| s.value.is_null());
        if goes {
            changes.push(format!("without {key} {raw}"));
        }
        !goes
    });
    for setting in settings.iter().filter(|s| !s.value.is_null()) {
        let key = setting.key;
        let place = entries.iter().position(|(k, _)| k == key);
        let was = place.map(|at| value(&entries[at].1)).transpose()?;
        let new = combined(was.as_ref(), setting)?;
        if was.as_ref() == Some(&new) {
            continue;
        }
        let before = was.map(|w| format!(" (was {w})")).unwrap_or_default();
        changes.push(format!("{key} {new}{before}"));
        let raw = written(&new, &indent)?;
        match place {
            Some(at) => entries[at].1 = raw,
            None => entries.push((key.to_owned(), raw)),
        }
    }
    let text = if changes.is_empty() { old.to_owned() } else { file(&entries, &indent) };
    Ok(Merged { text, changes })
}

/// The keys of the file in their order. docker takes the last of two keys of one name and says nothing:
/// here it is an error.
fn read(text: &str) -> Result<Vec<Entry>, String> {
    // dockerd itself passes over a byte order mark from 23.0 on.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let entries = reader.deserialize_any(Entries).and_then(|entries| reader.end().map(|()| entries));
    entries.map_err(|why| format!("is no daemon.json: {why}: mend it by hand"))
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<Entry>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of dockerd's settings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries: Vec<Entry> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if entries.iter().any(|(k, _)| *k == key) {
                return Err(A::Error::custom(format_args!("\"{key}\" stands there twice")));
            }
            let raw: &RawValue = map.next_value()?;
            entries.push((key, raw.get().to_owned()));
        }
        Ok(entries)
    }
}

fn value(raw: &str) -> Result<Value, String> {
    serde_json::from_str(raw).map_err(|why| format!("{raw}: {why}"))
}

/// The value with the setting in it. docker takes null as if the key were not there.
fn combined(was: Option<&Value>, setting: &Setting) -> Result<Value, String> {
    let key = setting.key;
    match (was, &setting.value) {
        (None | Some(Value::Null), new) => Ok(new.clone()),
        (Some(Value::Array(old)), Value::Array(new)) => {
            let mut all = old.clone();
            for item in new {
                if !all.iter().any(|there| same_item(there, item)) {
                    all.push(item.clone());
                }
            }
            Ok(Value::Array(all))
        }
        (Some(old), Value::Array(_)) => Err(format!("\"{key}\" is {old}, not a list: mend it by hand")),
        (Some(old), Value::Object(new)) => {
            let joined = old.as_object().and_then(|old| deep(old, new));
            joined.ok_or_else(|| format!("\"{key}\" is {old}, not an object of objects: mend it by hand"))
        }
        (Some(_), new) => Ok(new.clone()),
    }
}

fn deep(old: &Map<String, Value>, new: &Map<String, Value>) -> Option<Value> {
    if !old.values().all(|v| v.is_object() || v.is_null()) {
        return None;
    }
    let mut all = old.clone();
    for (driver, options) in new {
        match (all.get_mut(driver), options) {
            (Some(Value::Object(there)), Value::Object(options)) => {
                for (key, value) in options {
                    there.insert(key.clone(), value.clone());
                }
            }
            (Some(there), _) => *there = options.clone(),
            (None, _) => {
                all.insert(driver.clone(), options.clone());
            }
        }
    }
    Some(Value::Object(all))
}

fn same_item(one: &Value, other: &Value) -> bool {
    one == other || one.as_str().zip(other.as_str()).is_some_and(|(a, b)| plain(a) == plain(b))
}

/// The white space before the first line that has some.
fn indentation(text: &str) -> String {
    let first = text.lines().find(|l| l.starts_with([' ', '\t']) && !l.trim().is_empty());
    let space = first.map(|l| l.chars().take_while(|c| matches!(c, ' ' | '\t')).collect());
    space.unwrap_or_else(|| "    ".to_owned())
}

/// A value as it stands in the file, one level deep.
fn written(value: &Value, indent: &str) -> Result<String, String> {
    let mut out = Vec::new();
    let format = PrettyFormatter::with_indent(indent.as_bytes());
    value.serialize(&mut Serializer::with_formatter(&mut out, format)).map_err(|e| e.to_string())?;
    let text = String::from_utf8(out).map_err(|e| e.to_string())?;
    Ok(text.replace('\n', &format!("\n{indent}")))
}

fn file(entries: &[Entry], indent: &str) -> String {
    if entries.is_empty() {
        return "{}\n".to_owned();
    }
    let lines: Vec<String> =
        entries.iter().map(|(key, raw)| format!("{indent}{}: {raw}", Value::from(key.as_str()))).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn bridge() -> Vec<Setting> {
        vec![
            Setting::new("bridge", "cbr0"),
            Setting::new("iptables", false),
            Setting::new("mtu", 1450),
            Setting { flag: "registry-mirror", key: "registry-mirrors", value: json!(["http://m:5000"]) },
            Setting {
                flag: "default-network-opt",
                key: "default-network-opts",
                value: json!({"bridge": {"com.docker.network.driver.mtu": "1450"}}),
            },
        ]
    }

    #[test]
    fn into_what_is_there() {
        let two = &bridge()[..3];
        for (old, new, changes) in [
            (
                "",
                "{\n    \"bridge\": \"cbr0\",\n    \"iptables\": false,\n    \"mtu\": 1450\n}\n",
                "bridge \"cbr0\"; iptables false; mtu 1450",
            ),
            // Places and foreign values stay as they are written; the indentation is the file's.
            (
                "{\n  \"mtu\": 1500,\n  \"log-opts\": {\"x\": 1e3,\n    \"y\": \"ü\"},\n  \
                 \"bip\": \"10.1.1.1/24\"\n}",
                "{\n  \"mtu\": 1450,\n  \"log-opts\": {\"x\": 1e3,\n    \"y\": \"ü\"},\n  \
                 \"bridge\": \"cbr0\",\n  \"iptables\": false\n}\n",
                "without bip \"10.1.1.1/24\"; bridge \"cbr0\"; iptables false; mtu 1450 (was 1500)",
            ),
            (
                "\u{feff}{\r\n\t\"b\": \"br0\",\"ip-masq\":true,\r\n\t\"dns\": [\"::1\"],\"mtu\": null}",
                "{\n\t\"dns\": [\"::1\"],\n\t\"mtu\": 1450,\n\t\"bridge\": \"cbr0\",\n\t\
                 \"iptables\": false\n}\n",
                "without a byte order mark; without b \"br0\"; without ip-masq true; bridge \"cbr0\"; iptables false; \
                 mtu 1450 (was null)",
            ),
            // dockerd 20.10 takes 1450.0 for no int.
            (
                "{\"bridge\":\"cbr0\",\"iptables\":false,\"mtu\":1450.0}",
                "{\n    \"bridge\": \"cbr0\",\n    \"iptables\": false,\n    \"mtu\": 1450\n}\n",
                "mtu 1450 (was 1450.0)",
            ),
        ] {
            let merged = merge(old, two).unwrap();
            assert_eq!((merged.text.as_str(), merged.changes.join("; ").as_str()), (new, changes));
        }
        let same = "{\"mtu\":1450, \"iptables\":false,\"bridge\":\"cbr0\"}";
        assert_eq!(merge(same, two).unwrap(), Merged { text: same.into(), changes: vec![] });
        assert_eq!(merge("{\"bip\":\"x\"}", &[]).unwrap().text, "{}\n");
        assert_eq!(merge(" \n", &[]).unwrap().text, " \n");
    }

    #[test]
    fn lists_and_objects_grow() {
        let old = "{\n \"default-network-opts\": {\"bridge\": {\"x\": \"y\"}, \"macvlan\": {}},\n \
                   \"registry-mirrors\": [\"https://a\"]\n}\n";
        let merged = merge(old, &bridge()[3..]).unwrap();
        assert_eq!(
            merged.text,
            "{\n \"default-network-opts\": {\n  \"bridge\": {\n   \"x\": \"y\",\n   \
             \"com.docker.network.driver.mtu\": \"1450\"\n  },\n  \"macvlan\": {}\n },\n \
             \"registry-mirrors\": [\n  \"https://a\",\n  \"http://m:5000\"\n ]\n}\n"
        );
        let slash = "{\"registry-mirrors\":[\"http://m:5000/\"]}";
        assert_eq!(merge(slash, &bridge()[3..4]).unwrap().text, slash);
    }

    #[test]
    fn what_cannot_be_merged() {
        for (old, error) in [
            ("{\"mtu\": }", "is no daemon.json: expected value at line 1 column 9: mend it by hand"),
            ("{} x", "is no daemon.json: trailing characters at line 1 column 4: mend it by hand"),
            ("[]", "is no daemon.json: invalid type: sequence, expected an object of dockerd's settings"),
            (
                "{\"a\":1,\n\"a\":1}",
                "is no daemon.json: \"a\" stands there twice at line 2 column 3: mend it by hand",
            ),
            ("{\"registry-mirrors\":\"x\"}", "\"registry-mirrors\" is \"x\", not a list: mend it by hand"),
            (
                "{\"default-network-opts\":{\"bridge\":1}}",
                "\"default-network-opts\" is {\"bridge\":1}, not an object of objects: mend it by hand",
            ),
        ] {
            let got = merge(old, &bridge()).unwrap_err();
            assert!(got.starts_with(error), "{old}: {got}");
        }
    }

    proptest! {
        #[test]
        fn a_second_time_nothing_changes(
            keys in proptest::sample::subsequence(
                vec![
                    r#""mtu":1"#, r#""bip":"x""#, r#""dns":["a"]"#,
                    "\"log-opts\":{\n \"a\":\"b\"}", r#""b":null"#,
                    r#""registry-mirrors":["http://m:5000/"]"#, r#""default-network-opts":{"bridge":{}}"#,
                ],
                0..8,
            ),
            space in "[ \t\n]{0,5}", count in 0usize..=5,
        ) {
            let settings = &bridge()[..count];
            let once = merge(&format!("{{{space}{}}}", keys.join(&format!(",{space}"))), settings).unwrap();
            let again = merge(&once.text, settings).unwrap();
            prop_assert_eq!((again.text, again.changes.len()), (once.text, 0));
        }
    }
}

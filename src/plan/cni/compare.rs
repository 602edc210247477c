//! A file that is there already, and the list that is wanted.

use serde_json::Value;

use super::MARK;

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Nothing,
    /// What is wanted, be it written otherwise.
    Wanted,
    /// An earlier list of kboot's; this differs.
    Own(Vec<String>),
    /// Somebody else's; this differs, or why it is no list.
    Foreign(Vec<String>),
}

/// Compares what a file holds with the list that is wanted. Each difference is a text:
/// `plugins[0].mtu is 1400, wanted is 1450`.
pub fn compare(held: &[u8], wanted: &Value) -> Held {
    if held.trim_ascii().is_empty() {
        return Held::Nothing;
    }
    let held: Value = match serde_json::from_slice(held) {
        Ok(Value::Object(map)) => Value::Object(map),
        Ok(_) => return Held::Foreign(vec!["is no list of CNI plugins".into()]),
        Err(e) => return Held::Foreign(vec![format!("is no JSON: {e}")]),
    };
    let mut found = Vec::new();
    differences("", Some(&held), Some(wanted), &mut found);
    let is_own = is_marked(&held);
    match (found.is_empty(), is_own) {
        (true, _) => Held::Wanted,
        (false, true) => Held::Own(found),
        (false, false) => Held::Foreign(found),
    }
}

/// Whether a file holds a list that kboot wrote.
pub fn is_own(held: &[u8]) -> bool {
    serde_json::from_slice(held).is_ok_and(|held: Value| is_marked(&held))
}

fn is_marked(held: &Value) -> bool {
    held.get(MARK.0).is_some_and(|by| by == MARK.1)
}

fn differences(path: &str, held: Option<&Value>, wanted: Option<&Value>, found: &mut Vec<String>) {
    match (held, wanted) {
        (held, wanted) if held == wanted => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let inside = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            // Another plugin has other fields: to compare them says nothing.
            if let Some(kind) = a.get("type").filter(|kind| b.get("type").is_some_and(|b| b != *kind)) {
                return differences(&inside("type"), Some(kind), b.get("type"), found);
            }
            for key in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                // The mark tells whose it is, nothing to a runtime.
                if !(path.is_empty() && key == MARK.0) {
                    differences(&inside(key), a.get(key), b.get(key), found);
                }
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for at in 0..a.len().max(b.len()) {
                differences(&format!("{path}[{at}]"), a.get(at), b.get(at), found);
            }
        }
        _ => found.push(format!("{path} is {}, wanted is {}", shown(held), shown(wanted))),
    }
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None => "none".into(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

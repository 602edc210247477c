//! One setting of dockerd, in the two ways it is written: as a flag, as a key of daemon.json.

use serde_json::Value;

/// A setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The flag's name without its dashes: `bridge`, `registry-mirror`.
    pub flag: &'static str,
    /// The key in daemon.json: a list's is the plural, `registry-mirrors`.
    pub key: &'static str,
    /// A string, number or boolean; null: there shall be none of that name; a list has one flag for each of its items; of an object
    /// (default-network-opts) each inner pair is `OUTER=KEY=VALUE`.
    pub value: Value,
}

impl Setting {
    /// One that is written with the same name in both.
    pub fn new(name: &'static str, value: impl Into<Value>) -> Self {
        Self { flag: name, key: name, value: value.into() }
    }

    /// Its flags: `--mtu=1450`.
    pub fn flags(&self) -> Vec<String> {
        match &self.value {
            Value::Null => Vec::new(),
            Value::Array(items) => items.iter().map(|i| format!("--{}={}", self.flag, text(i))).collect(),
            Value::Object(outer) => outer
                .iter()
                .flat_map(|(driver, options)| {
                    let inner = options.as_object().into_iter().flatten();
                    inner.map(move |(k, v)| format!("--{}={driver}={k}={}", self.flag, text(v)))
                })
                .collect(),
            one => vec![format!("--{}={}", self.flag, text(one))],
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

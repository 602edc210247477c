//! A command line and a file in the making: each setting goes where that version looks for it.

use serde_json::{Map, Value};

use super::extra::Extra;
use super::table::{self, Standing};
use super::{Composed, Version};

/// The first minor version with a file of settings, v1beta1.
const FILE: u8 = 10;

pub(super) struct Line {
    version: Version,
    extra: Extra,
    flags: Vec<String>,
    config: Option<Map<String, Value>>,
    notes: Vec<String>,
}

impl Line {
    pub fn start(version: Version, extra: Extra, config_path: &str) -> Self {
        let has_file = version.column() >= FILE;
        let flags = has_file.then(|| format!("--config={config_path}")).into_iter().collect();
        let config = has_file.then(|| {
            let kind = ("kind".to_owned(), "KubeletConfiguration".into());
            Map::from_iter([kind, ("apiVersion".to_owned(), "kubelet.config.k8s.io/v1beta1".into())])
        });
        Self { version, extra, flags, config, notes: Vec::new() }
    }

    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Whether the operator says it; then kboot says nothing, and that it does.
    pub fn is_given(&mut self, name: &str) -> bool {
        let given = self.extra.gives(name);
        if given {
            self.note(format!("--{name}: yours counts, kboot's own is left out"));
        }
        given
    }

    /// Sets what the flag of that name sets: in the file where that version has a field for it, else by the
    /// flag where it has that. False when it has neither.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) -> bool {
        self.place(name, value.into())
    }

    fn place(&mut self, name: &str, value: Value) -> bool {
        if self.is_given(name) {
            return true;
        }
        let column = self.version.column();
        if let (Some(config), Some(field)) = (&mut self.config, table::field_of(name, column)) {
            put(config, field.path, value);
            return true;
        }
        let lives = matches!(table::standing(name, column), Standing::Lives(_));
        if lives {
            self.flags.push(format!("--{name}={}", word(&value)));
        }
        lives
    }

    /// Sets what the operator asked for by `option`; says so where that version cannot.
    pub fn set_option(&mut self, option: &str, name: &str, value: impl Into<Value>) {
        if self.set(name, value) {
            return;
        }
        let version = self.version;
        let why = match table::standing(name, version.column()) {
            Standing::Dead(flag) => flag.why_not(version.column()),
            Standing::Lives(_) | Standing::Unknown => String::new(),
        };
        self.note(format!("{option} has no effect: kubelet {version} has no --{name}: {why}"));
    }

    pub fn finish(self) -> Composed {
        let Self { extra, mut flags, config, mut notes, .. } = self;
        flags.extend(extra.words);
        notes.extend(extra.notes);
        Composed { flags, config: config.map(Value::Object), notes }
    }
}

/// Puts a value at `a.b.c`, with the objects on the way.
fn put(map: &mut Map<String, Value>, path: &str, value: Value) {
    let Some((first, rest)) = path.split_once('.') else {
        map.insert(path.to_owned(), value);
        return;
    };
    if let Some(inner) = map.entry(first).or_insert_with(|| Value::Object(Map::new())).as_object_mut() {
        put(inner, rest, value);
    }
}

/// A value as a flag has it: a list with commas.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(word).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

//! The Backend of a network config: its type, and its fields with flannel's defaults filled in.

use serde_json::Value;

use super::backends::{self, Field};
use super::go_json;
use crate::plan::nearest::nearest;
use crate::types::{Version, show_version};

/// How packets travel between hosts.
#[derive(Debug)]
pub struct Backend {
    /// Its type in lower case, as flanneld looks it up.
    pub kind: String,
    /// Its fields with their effective values, those at their defaults too.
    pub fields: Vec<(String, Value)>,
    /// What flanneld passes over or does not know.
    pub(super) odd: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Backend {
    /// Reads the Backend as it is spelt; `None`: there is none, and flannel takes udp.
    pub fn read(raw: Option<&str>, version: Version) -> Result<Self, String> {
        let Some(raw) = raw else {
            let mut backend = Self::with_defaults("udp", version);
            backend.warnings.push(
                "Backend: is missing: flannel takes udp, its slowest: say {\"Type\": \"vxlan\"}, or udp if you mean it"
                    .into(),
            );
            return Ok(backend);
        };
        // null is no absence here: Go reads it as a backend without a type, which flanneld does not know.
        let no_type = || Err("Backend.Type: is missing".to_owned());
        if raw == "null" {
            return no_type();
        }
        let pairs = go_json::object(raw)
            .map_err(|_| "Backend: is not an object such as {\"Type\": \"vxlan\"}".to_owned())?;
        let kind = pairs.plain("Type", go_json::string, "string").map_err(|why| format!("Backend.{why}"))?;
        let kind = kind.unwrap_or_default().to_ascii_lowercase();
        if kind.is_empty() {
            return no_type();
        }
        let mut backend = Self::with_defaults(&kind, version);
        for (name, raw) in pairs.0.iter().filter(|(n, _)| !n.eq_ignore_ascii_case("Type")) {
            backend.take(name, raw, version)?;
        }
        for (name, _) in pairs.repeated() {
            backend.warnings.push(format!("Backend.{name}: stands there twice: flannel takes the last"));
        }
        if let Some(known) = backends::find(&kind) {
            backends::check(known, &backend.fields)?;
        }
        Ok(backend)
    }

    fn with_defaults(kind: &str, version: Version) -> Self {
        let mut backend =
            Self { kind: kind.to_owned(), fields: Vec::new(), odd: Vec::new(), warnings: Vec::new() };
        let Some(known) = backends::find(kind) else {
            let near = nearest(kind, backends::BACKENDS.iter().map(|b| b.name));
            let near = near.map(|n| format!(": did you mean {n}?")).unwrap_or_default();
            backend.odd.push(format!("Backend.Type: flannel has no backend {kind:?}{near}"));
            return backend;
        };
        if known.since > version {
            let (version, since) = (show_version(version), show_version(known.since));
            backend.odd.push(format!("Backend.Type: flannel {version} has no {kind}: it came with {since}"));
        }
        if let Some(last) = known.until.filter(|last| *last < version) {
            let (version, last) = (show_version(version), show_version(last));
            backend.odd.push(format!("Backend.Type: flannel {version} has no {kind}: {last} was the last"));
        }
        let known = known.fields.iter().filter(|f| f.since <= version);
        backend.fields = known.filter_map(|f| Some((f.name.to_owned(), f.default.value()?))).collect();
        backend
    }

    fn take(&mut self, name: &str, raw: &str, version: Version) -> Result<(), String> {
        let fields: &[Field] = backends::find(&self.kind).map_or(&[], |b| b.fields);
        let known = fields.iter().find(|f| f.name.eq_ignore_ascii_case(name));
        let own_name = known.map_or(name, |f| f.name);
        match known {
            Some(field) if field.since > version => self.odd.push(format!(
                "Backend.{own_name}: flannel {} passes over it: it came with {}",
                show_version(version),
                show_version(field.since)
            )),
            Some(field) if field.windows => {
                self.odd.push(format!("Backend.{own_name}: flannel reads it on Windows only"));
            }
            Some(_) => {}
            None => self.odd.push(self.why_unknown(name, fields)),
        }
        // As for every plain field of Go's, null leaves what was there; and each spelling is judged, also
        // one that is overruled.
        if known.is_some() && raw == "null" {
            return Ok(());
        }
        if let Some(field) = known {
            backends::check_one(field, raw)?;
        }
        let value = serde_json::from_str(raw).unwrap_or_default();
        match self.fields.iter_mut().find(|(n, _)| n == own_name) {
            Some((_, held)) => *held = value,
            None => self.fields.push((own_name.to_owned(), value)),
        }
        Ok(())
    }

    fn why_unknown(&self, name: &str, fields: &[Field]) -> String {
        let kind = &self.kind;
        if super::KEYS.iter().any(|(key, _)| key.eq_ignore_ascii_case(name)) {
            return format!("Backend.{name}: belongs outside of Backend");
        }
        let lower = name.to_ascii_lowercase();
        let names: Vec<String> = fields.iter().map(|f| f.name.to_ascii_lowercase()).collect();
        let near = nearest(&lower, names.iter().map(String::as_str));
        if let Some(field) = near.and_then(|n| fields.iter().find(|f| f.name.eq_ignore_ascii_case(n))) {
            return format!("Backend.{name}: {kind} has no such field: did you mean {}?", field.name);
        }
        match backends::owner(name) {
            Some(other) => format!("Backend.{name}: {kind} has no such field: {other} has"),
            None => format!("Backend.{name}: {kind} has no such field"),
        }
    }
}

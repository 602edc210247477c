//! The v2 keys API (etcd 2.0 on; off by default since 3.4, gone in 3.6).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Cluster, Entry, KeyValue, Lasts, Stored, Written};
use crate::error::{Error, Result};
use crate::sys::http::Response;

/// "Key not found", "Key already exists", "Compare failed" (etcd, error/error.go).
const KEY_NOT_FOUND: u64 = 100;
const KEY_EXISTS: u64 = 105;
const COMPARE_FAILED: u64 = 101;

/// The v2 API of a cluster.
pub struct V2<'c> {
    cluster: &'c Cluster,
}

impl<'c> V2<'c> {
    /// `None` where it is not served: a v2 server answers in JSON even when a key is missing, one with
    /// v2 switched off says 404 in plain text.
    pub fn probe(cluster: &'c Cluster) -> Result<Option<Self>> {
        let answer = cluster.send("GET", "/v2/keys/", None)?;
        // What a v2 API says, and no other server: a node, or an error with its number.
        let is_v2 = |j: Value| !j["node"].is_null() || !j["errorCode"].is_null();
        let is_refusal = matches!(answer.status, 401 | 403);
        let served = json(&answer).is_some_and(|j| is_refusal || is_v2(j)) && answer.status != 405;
        Ok(served.then_some(Self { cluster }))
    }

    fn put(&self, key: &str, condition: &str, value: &[u8]) -> Result<Written> {
        let path = format!("/v2/keys{}?{condition}", path_of(key));
        let body = format!("value={}", percent(value, false));
        let content = ("application/x-www-form-urlencoded", body.as_bytes());
        let answer = self.cluster.send("PUT", &path, Some(content))?;
        match (answer.status, code(&answer)) {
            (200 | 201, _) => Ok(Written::Yes),
            (412, Some(KEY_EXISTS | COMPARE_FAILED)) | (404, Some(KEY_NOT_FOUND)) => Ok(Written::Lost),
            _ => Err(self.cluster.unexpected(&answer)),
        }
    }
}

impl KeyValue for V2<'_> {
    fn name(&self) -> &'static str {
        "v2"
    }

    fn read(&self, key: &str) -> Result<Option<Stored>> {
        // quorum: from the leader, not from what one member believes.
        let answer = self.cluster.send("GET", &format!("/v2/keys{}?quorum=true", path_of(key)), None)?;
        if answer.status == 404 && code(&answer) == Some(KEY_NOT_FOUND) {
            return Ok(None);
        }
        let node = json(&answer).filter(|_| answer.status == 200).map(|mut j| j["node"].take());
        let node =
            node.ok_or_else(|| Error::failed(format!("{key}: {}", self.cluster.unexpected(&answer))))?;
        entry(&node).map(|e| Some(e.stored)).ok_or_else(|| {
            let shown = self.cluster.shown();
            Error::failed(format!("etcd at {shown}: {key} is a directory in the v2 API, not a key"))
        })
    }

    fn list(&self, directory: &str) -> Result<Vec<Entry>> {
        let path = format!("/v2/keys{}?quorum=true&recursive=true", path_of(directory));
        let answer = self.cluster.send("GET", &path, None)?;
        if answer.status == 404 && code(&answer) == Some(KEY_NOT_FOUND) {
            return Ok(Vec::new());
        }
        let node = json(&answer).filter(|_| answer.status == 200).map(|mut j| j["node"].take());
        let node =
            node.ok_or_else(|| Error::failed(format!("{directory}: {}", self.cluster.unexpected(&answer))))?;
        let nodes = node["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(nodes.iter().filter_map(entry).collect())
    }

    fn seconds(&self, entries: &[Entry]) -> Result<Vec<Option<u64>>> {
        let left = |entry: &Entry| match entry.stored.lasts {
            Lasts::Seconds(seconds) => Some(seconds),
            Lasts::ForGood | Lasts::Lease(_) => None,
        };
        Ok(entries.iter().map(left).collect())
    }

    fn create(&self, key: &str, value: &[u8]) -> Result<Written> {
        self.put(key, "prevExist=false", value)
    }

    fn swap(&self, key: &str, revision: u64, value: &[u8]) -> Result<Written> {
        self.put(key, &format!("prevIndex={revision}"), value)
    }
}

/// A key of a listing; a directory is none.
fn entry(node: &Value) -> Option<Entry> {
    let value = node["value"].as_str()?.as_bytes().to_vec();
    let lasts = node["ttl"].as_u64().map_or(Lasts::ForGood, Lasts::Seconds);
    let stored = Stored { value, revision: node["modifiedIndex"].as_u64()?, lasts };
    Some(Entry { key: node["key"].as_str()?.to_owned(), stored })
}

/// v2's user store takes Basic.
pub fn authorization(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

fn json(answer: &Response) -> Option<Value> {
    serde_json::from_slice::<Value>(&answer.body).ok().filter(Value::is_object)
}

fn code(answer: &Response) -> Option<u64> {
    json(answer)?["errorCode"].as_u64()
}

fn path_of(key: &str) -> String {
    percent(key.as_bytes(), true)
}

/// Percent-encodes all but RFC 3986's unreserved characters (and `/` in a path).
fn percent(bytes: &[u8], path: bool) -> String {
    bytes
        .iter()
        .map(|&b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
            b'/' if path => "/".to_owned(),
            _ => format!("%{b:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_value_is_escaped_byte_by_byte() {
        assert_eq!(percent(b"{\"a\": 1}+&=%\n", false), "%7B%22a%22%3A%201%7D%2B%26%3D%25%0A");
        assert_eq!(path_of("/coreos.com/net work/config"), "/coreos.com/net%20work/config");
    }
}

//! The v3 API by its JSON gateway: POST only, keys and values in base64, 64-bit numbers as strings,
//! empty fields left out.

use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Cluster, Entry, KeyValue, Lasts, Stored, Written, is_refused_name};
use crate::error::{Error, Result};
use crate::sys::http::Response;

/// Where the gateway is: 3.4 on /v3 (etcd 3.5 only that), 3.3 /v3beta, 3.0 to 3.2 /v3alpha.
const PREFIXES: [&str; 3] = ["/v3", "/v3beta", "/v3alpha"];

/// How many keys are asked for at once.
const PAGE: u16 = 1000;
/// How many leases are asked after at a time, and how many each of them is worth.
const AT_A_TIME: usize = 8;
const LEAST_SHARE: usize = 100;

/// The v3 API of a cluster.
pub struct V3<'c> {
    cluster: &'c Cluster,
    prefix: &'static str,
}

impl<'c> V3<'c> {
    /// `None` where no gateway answers under any of its prefixes.
    pub fn probe(cluster: &'c Cluster) -> Result<Option<Self>> {
        for prefix in PREFIXES {
            let v3 = Self { cluster, prefix };
            let answer = v3.send("kv/range", &json!({"key": STANDARD.encode("/")}))?;
            if is_refused_name(&answer) {
                return Err(cluster.unexpected(&answer));
            }
            let is_gateway = serde_json::from_slice::<Value>(&answer.body).is_ok_and(|v| v.is_object());
            if is_gateway && answer.status != 404 {
                v3.log_in()?;
                return Ok(Some(v3));
            }
        }
        Ok(None)
    }

    /// Trades the user's password for a token. An etcd whose v3 API asks nobody who he is (the user
    /// may be meant for its v2 API, which has users of its own) is as well.
    fn log_in(&self) -> Result<()> {
        let Some((name, password)) = &self.cluster.user else { return Ok(()) };
        // etcd refuses even to log in who comes with a token that has ended.
        self.cluster.forget_token();
        let answer = self.send("auth/authenticate", &json!({"name": name, "password": password}))?;
        let is_off = answer.status == 412
            || String::from_utf8_lossy(&answer.body).contains("authentication is not enabled");
        if is_off {
            return Ok(());
        }
        // The token alone goes into the header: neither Bearer nor Basic is understood here.
        self.cluster.authorize_v3(self.object(&answer)?["token"].as_str().unwrap_or_default());
        Ok(())
    }

    fn send(&self, call: &str, body: &Value) -> Result<Response> {
        let (path, body) = (format!("{}/{call}", self.prefix), body.to_string());
        self.cluster.send("POST", &path, Some(("application/json", body.as_bytes())))
    }

    /// A token lasts 5 minutes, and no longer than the member that gave it: one more is asked for.
    fn post(&self, call: &str, body: &Value) -> Result<Value> {
        let mut answer = self.send(call, body)?;
        if answer.status == 401 && self.cluster.user.is_some() {
            self.log_in()?;
            answer = self.send(call, body)?;
        }
        self.object(&answer)
    }

    fn object(&self, answer: &Response) -> Result<Value> {
        match serde_json::from_slice(&answer.body) {
            Ok(value) if answer.status == 200 => Ok(value),
            _ => Err(self.cluster.unexpected(answer)),
        }
    }

    /// In pages: a gateway holds the whole answer in memory. All of them are of the first's moment.
    fn list_once(&self, directory: &str) -> Result<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut from = format!("{directory}/").into_bytes();
        // The character after the slash: the first key that is not below it.
        let end = STANDARD.encode(format!("{directory}0"));
        let mut revision = Value::from("0");
        loop {
            let key = STANDARD.encode(&from);
            let range =
                json!({"key": key, "range_end": end, "limit": PAGE.to_string(), "revision": revision});
            let mut answer = self.post("kv/range", &range)?;
            let page = answer["kvs"].as_array().map(Vec::as_slice).unwrap_or_default();
            for kv in page {
                entries.push(self.entry(kv)?);
            }
            let last = page.last().and_then(|kv| STANDARD.decode(kv["key"].as_str()?).ok());
            match last {
                Some(last) if answer["more"] == Value::Bool(true) => from = [&last[..], b"\0"].concat(),
                _ => return Ok(entries),
            }
            // Later answers bear the revision of their own time.
            if revision == "0" {
                revision = answer["header"]["revision"].take();
            }
        }
    }

    fn left(&self, lasts: Lasts) -> Result<Option<u64>> {
        let Lasts::Lease(id) = lasts else { return Ok(None) };
        // Since 3.4 it has a shorter name too; this one all of them know.
        let answer = self.post("kv/lease/timetolive", &json!({"ID": id.to_string()}))?;
        // A lease that has ended in the meantime has -1.
        Ok(Some(answer["TTL"].as_str().and_then(|t| t.parse().ok()).unwrap_or(0)))
    }

    fn entry(&self, kv: &Value) -> Result<Entry> {
        // What is empty or zero is left out like every such field.
        let bytes = |name: &str| STANDARD.decode(kv[name].as_str().unwrap_or_default()).ok();
        let number = |name: &str| kv[name].as_str().map_or(Some(0), |n| n.parse::<i64>().ok());
        let whole = || {
            let revision = number("mod_revision")?.try_into().ok()?;
            let lasts = match number("lease")? {
                0 => Lasts::ForGood,
                id => Lasts::Lease(id),
            };
            let stored = Stored { value: bytes("value")?, revision, lasts };
            // One that is no text is none of flannel's: it shall not hide the others.
            Some(Entry { key: String::from_utf8_lossy(&bytes("key")?).into_owned(), stored })
        };
        whole().ok_or_else(|| {
            let shown = self.cluster.shown();
            Error::failed(format!("etcd at {shown}: an answer that is none of the v3 API's"))
        })
    }

    fn put_if(&self, key: &str, value: &[u8], compare: &Value) -> Result<Written> {
        let put = json!({"requestPut": {"key": STANDARD.encode(key), "value": STANDARD.encode(value)}});
        let answer = self.post("kv/txn", &json!({"compare": [compare], "success": [put]}))?;
        // A transaction that did not succeed leaves the field out.
        Ok(if answer["succeeded"] == Value::Bool(true) { Written::Yes } else { Written::Lost })
    }
}

impl KeyValue for V3<'_> {
    fn name(&self) -> &'static str {
        "v3"
    }

    fn read(&self, key: &str) -> Result<Option<Stored>> {
        let answer = self.post("kv/range", &json!({"key": STANDARD.encode(key)}))?;
        let Some(kv) = answer["kvs"].get(0) else { return Ok(None) };
        Ok(Some(self.entry(kv)?.stored))
    }

    fn list(&self, directory: &str) -> Result<Vec<Entry>> {
        let mut listing = self.list_once(directory);
        for _ in 0..2 {
            // The moment of the first page was forgotten before the last page came.
            if !listing.as_ref().is_err_and(|e| e.to_string().contains("compacted")) {
                break;
            }
            listing = self.list_once(directory);
        }
        listing
    }

    /// One request for each: etcd has no other way. Several at a time, where there are many.
    fn seconds(&self, entries: &[Entry]) -> Result<Vec<Option<u64>>> {
        let share = entries.len().div_ceil(AT_A_TIME).max(LEAST_SHARE);
        let ask = |v3: V3<'_>, share: &[Entry]| -> Result<Vec<Option<u64>>> {
            share.iter().map(|entry| v3.left(entry.stored.lasts)).collect()
        };
        let parts: Vec<Result<Vec<Option<u64>>>> = thread::scope(|scope| {
            let start = |share| {
                let cluster = self.cluster.another();
                let prefix = self.prefix;
                scope.spawn(move || ask(V3 { cluster: &cluster, prefix }, share))
            };
            let threads: Vec<_> = entries.chunks(share).map(start).collect();
            let gone = |_| Err(Error::failed("a thread has ended"));
            threads.into_iter().map(|t| t.join().unwrap_or_else(gone)).collect()
        });
        parts.into_iter().collect::<Result<Vec<_>>>().map(|p| p.concat())
    }

    fn create(&self, key: &str, value: &[u8]) -> Result<Written> {
        let key64 = STANDARD.encode(key);
        self.put_if(
            key,
            value,
            &json!({"target": "CREATE", "result": "EQUAL", "key": key64, "create_revision": "0"}),
        )
    }

    fn swap(&self, key: &str, revision: u64, value: &[u8]) -> Result<Written> {
        let key64 = STANDARD.encode(key);
        let revision = revision.to_string();
        self.put_if(
            key,
            value,
            &json!({"target": "MOD", "result": "EQUAL", "key": key64, "mod_revision": revision}),
        )
    }
}

//! The v3 API by its JSON gateway: POST only, keys and values in base64, 64-bit numbers as strings,
//! empty fields left out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Cluster, KeyValue, Stored, Written};
use crate::error::{Error, Result};
use crate::sys::http::Response;

/// Where the gateway is: 3.4 on /v3 (etcd 3.5 only that), 3.3 /v3beta, 3.0 to 3.2 /v3alpha.
const PREFIXES: [&str; 3] = ["/v3", "/v3beta", "/v3alpha"];

/// The v3 API of a cluster.
pub struct V3<'c> {
    cluster: &'c Cluster,
    prefix: &'static str,
}

impl<'c> V3<'c> {
    /// `None` where no gateway answers under any of its prefixes.
    pub fn probe(cluster: &'c Cluster) -> Result<Option<Self>> {
        for prefix in PREFIXES {
            let body = json!({"key": STANDARD.encode("/")}).to_string();
            let answer = cluster.send(
                "POST",
                &format!("{prefix}/kv/range"),
                Some(("application/json", body.as_bytes())),
            )?;
            let is_gateway = serde_json::from_slice::<Value>(&answer.body).is_ok_and(|v| v.is_object());
            if is_gateway && answer.status != 404 {
                let v3 = Self { cluster, prefix };
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
        let body = json!({"name": name, "password": password}).to_string();
        let path = format!("{}/auth/authenticate", self.prefix);
        let answer = self.cluster.send("POST", &path, Some(("application/json", body.as_bytes())))?;
        let is_off = answer.status == 412
            || String::from_utf8_lossy(&answer.body).contains("authentication is not enabled");
        if is_off {
            return Ok(());
        }
        // The token alone goes into the header: neither Bearer nor Basic is understood here.
        self.cluster.authorize_v3(self.object(&answer)?["token"].as_str().unwrap_or_default());
        Ok(())
    }

    fn post(&self, call: &str, body: &Value) -> Result<Value> {
        let path = format!("{}/{call}", self.prefix);
        let body = body.to_string();
        let answer = self.cluster.send("POST", &path, Some(("application/json", body.as_bytes())))?;
        self.object(&answer)
    }

    fn object(&self, answer: &Response) -> Result<Value> {
        match serde_json::from_slice(&answer.body) {
            Ok(value) if answer.status == 200 => Ok(value),
            _ => Err(self.cluster.unexpected(answer)),
        }
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
        // An empty value is left out like every empty field.
        let value = STANDARD.decode(kv["value"].as_str().unwrap_or_default());
        let revision = kv["mod_revision"].as_str().and_then(|r| r.parse().ok());
        match (value, revision) {
            (Ok(value), Some(revision)) => Ok(Some(Stored { value, revision })),
            _ => Err(Error::failed(format!(
                "etcd at {}: an answer that is none of the v3 API's",
                self.cluster.shown()
            ))),
        }
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

//! What is kept in /run/kboot of a Node while it is deleted and not created again: a run that is killed
//! in between loses nothing, the next one finds it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::error::Result;
use crate::sys::{clock, log, run_dir};
use crate::types::{NodeName, Url};

/// What is older was no run's that was killed a moment ago: somebody has seen to the Node since.
const LONGEST: Duration = Duration::from_hours(1);

/// What was kept of a Node that is there no more.
pub struct Kept {
    /// Its metadata and spec.
    pub node: Value,
    /// The server that it was deleted at.
    pub server: String,
    /// Why it is not given back.
    pub ignored: Option<String>,
}

fn record_name(name: &NodeName) -> String {
    format!("node-{name}.json")
}

/// Keeps what is to be kept of a Node.
pub fn write(server: &Url, name: &NodeName, kept: &Value) -> Result<()> {
    let up = clock::uptime().map(|up| up.as_secs());
    let record = json!({ "server": server.to_string(), "uptime": up, "node": kept });
    run_dir::write(&record_name(name), &format!("{record}\n"))
}

/// What was kept of another Node than the one that is there. Another server's is for --replace only: one
/// cluster may have many addresses, and a host may go to another cluster.
pub fn read(server: &Url, name: &NodeName, there: Option<&Value>, replace: bool) -> Option<Kept> {
    let kept = parse(&run_dir::read(&record_name(name))?, there, clock::uptime())?;
    let is_elsewhere = !replace && kept.server != server.to_string();
    let ignored = kept.ignored.or_else(|| is_elsewhere.then(|| "--replace takes it to this server".into()));
    Some(Kept { ignored, ..kept })
}

fn parse(text: &str, there: Option<&Value>, up: Option<Duration>) -> Option<Kept> {
    let mut record: Value = serde_json::from_str(text).ok()?;
    let node = record.get_mut("node").map(Value::take).filter(Value::is_object)?;
    if there.is_some_and(|there| there["metadata"]["uid"] == node["metadata"]["uid"]) {
        return None;
    }
    let at = record["uptime"].as_u64().map(Duration::from_secs);
    let age = up.zip(at).and_then(|(up, at)| up.checked_sub(at));
    let is_old = age.is_none_or(|age| age > LONGEST);
    Some(Kept {
        node,
        server: record["server"].as_str().unwrap_or("?").to_owned(),
        ignored: is_old.then(|| "it is older than an hour".into()),
    })
}

/// What is told of a record that is not taken.
pub fn told(name: &NodeName, kept: &Kept, why: &str) -> String {
    format!(
        "what node {name} had when a run deleted it at {} is not given back, {why}: {}/{} has it",
        kept.server,
        run_dir::RUN_DIR,
        record_name(name)
    )
}

/// All is settled.
pub fn remove(name: &NodeName) {
    if let Err(error) = run_dir::remove(&record_name(name)) {
        log::debug!("the record stays: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_with_care() {
        let up = Some(Duration::from_secs(5000));
        for odd in ["[]", "7", "null", "{}", r#"{"node":[]}"#, "{", ""] {
            assert!(parse(odd, None, up).is_none(), "{odd}");
        }
        let record = |uptime: Value| {
            json!({"server": "http://a", "uptime": uptime, "node": {"metadata": {"uid": "u"}}}).to_string()
        };
        for (uptime, is_old) in [
            (json!(5000), false),
            (json!(1400), false),
            (json!(1399), true),
            (json!(5001), true),
            (Value::Null, true),
        ] {
            let kept = parse(&record(uptime.clone()), None, up).unwrap();
            assert_eq!((kept.ignored.is_some(), kept.server.as_str()), (is_old, "http://a"), "{uptime}");
        }
        let there = |uid: &str| json!({"metadata": {"uid": uid}});
        assert!(parse(&record(json!(5000)), Some(&there("u")), up).is_none());
        assert!(parse(&record(json!(5000)), Some(&there("v")), up).is_some());
    }
}

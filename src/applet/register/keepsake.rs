//! What is kept in /run/kboot of a Node while it is deleted and not created again: a run that is killed
//! in between loses nothing, the next one finds it.

use serde_json::{Value, json};

use crate::error::Result;
use crate::plan::node;
use crate::sys::{log, run_dir};
use crate::types::{NodeName, Url};

fn record_name(name: &NodeName) -> String {
    format!("node-{name}.json")
}

/// Keeps what the Node has.
pub fn write(server: &Url, name: &NodeName, node: &Value) -> Result<()> {
    let record = json!({ "server": server.to_string(), "node": node::keepsake(node) });
    run_dir::write(&record_name(name), &format!("{record}\n"))
}

/// What was kept of another Node than the one that is there. Whatever server is asked now: one cluster may
/// have many addresses.
pub fn read(name: &NodeName, there: Option<&Value>) -> Option<Value> {
    let text = run_dir::read(&record_name(name))?;
    let mut record: Value = serde_json::from_str(&text).ok()?;
    let node = record["node"].take();
    let is_there = there.is_some_and(|there| there["metadata"]["uid"] == node["metadata"]["uid"]);
    if !node.is_object() || is_there {
        return None;
    }
    let server = record["server"].as_str().unwrap_or("?");
    log::info!("node {name} gets back what it had when a run deleted it at {server} and was killed");
    Some(node)
}

/// All is settled.
pub fn remove(name: &NodeName) {
    if let Err(error) = run_dir::remove(&record_name(name)) {
        log::debug!("the record stays: {error}");
    }
}

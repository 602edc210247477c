//! What `bridge` keeps in /run/kboot: whose addresses are whose, and how the kernel was set before.

use serde_json::{Value, json};

use crate::plan::bridge::{Step, Wanted};
use crate::sys::{log, run_dir};
use crate::types::{Cidr, IfName};

/// The setting that the record is about.
pub const FORWARD: &str = "net.ipv4.ip_forward";

fn record_name(name: &IfName) -> String {
    format!("bridge-{name}.json")
}

/// The addresses that kboot put on the bridge since the boot, if it kept a record.
pub fn recorded(name: &IfName) -> Option<Vec<Cidr>> {
    let record = read(name);
    let list = record["addresses"].as_array()?.iter();
    Some(list.filter_map(|a| a.as_str()?.parse().ok()).collect())
}

fn read(name: &IfName) -> Value {
    let text = run_dir::read(&record_name(name)).unwrap_or_default();
    serde_json::from_str(&text).ok().filter(Value::is_object).unwrap_or_else(|| json!({}))
}

fn write(name: &IfName, record: &Value) {
    if read(name) == *record {
        return;
    }
    if let Err(error) = run_dir::write(&record_name(name), &format!("{record}\n")) {
        log::debug!("no record is kept: {error}");
    }
}

/// Notes how forwarding was set before kboot changed it, for whoever wants it back.
pub fn remember_setting(name: &IfName, before: &str) {
    let mut record = read(name);
    if record["before"][FORWARD].is_null() {
        record["before"] = json!({ FORWARD: before });
    }
    write(name, &record);
}

/// Notes the addresses, before the first change: killed in between, a rerun still knows whose they are.
pub fn remember(wanted: &Wanted, steps: &[Step]) {
    let mut ours = wanted.addrs.clone();
    // An old address stays on record until a run finds nothing left to do.
    if !steps.is_empty() {
        ours.extend(recorded(&wanted.name).into_iter().flatten().filter(|c| !wanted.addrs.contains(c)));
    }
    let mut record = read(&wanted.name);
    record["addresses"] = ours.iter().map(|c| json!(c.to_string())).collect();
    write(&wanted.name, &record);
}

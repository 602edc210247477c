//! What `bridge` keeps in /run/kboot: what is kboot's own about the bridge, and how the kernel was set
//! before. Losing it is safe.

use serde_json::{Value, json};

use crate::plan::bridge::{Facts, Record, Wanted};
use crate::sys::{log, run_dir};
use crate::types::{Cidr, IfName, Mac};

fn record_name(name: &IfName) -> String {
    format!("bridge-{name}.json")
}

/// The record of this boot, if there is one.
pub fn recorded(name: &IfName) -> Option<Record> {
    let record = read(name);
    let addrs = record["addresses"].as_array()?.iter();
    let ports = record["ports"].as_array().into_iter().flatten();
    Some(Record {
        made: record["made"] == true,
        mac: record["mac"].as_str().and_then(|m| m.parse().ok()),
        addrs: addrs.filter_map(|a| a.as_str()?.parse().ok()).collect(),
        ports: ports.filter_map(|p| p.as_str()?.parse().ok()).collect(),
    })
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

/// Notes how the kernel was set before kboot changed it, for whoever wants it back.
pub fn remember_setting(name: &IfName, setting: &str, before: &str) {
    let mut record = read(name);
    if record["before"][setting].is_null() {
        record["before"][setting] = json!(before);
    }
    write(name, &record);
}

/// The settings that kboot changed, and how they were.
pub fn settings_before(name: &IfName) -> Vec<(String, String)> {
    let record = read(name);
    let before = record["before"].as_object().into_iter().flatten();
    before.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// Notes what is kboot's own, before the first change: killed in between, a rerun still knows.
pub fn remember(wanted: &Wanted, facts: &Facts, is_done: bool) {
    let before = facts.record.clone().unwrap_or_default();
    let (mut addrs, mut ports) = (wanted.addrs.clone(), before.ports);
    // An old address stays on record until a run finds nothing left to do.
    if !is_done {
        addrs.extend(before.addrs.iter().filter(|c| !wanted.addrs.contains(c)));
    }
    ports.extend(
        facts.attach.iter().map(|c| c.name.clone()).filter(|n| !ports.contains(n)).collect::<Vec<_>>(),
    );
    let (made, mac) = match &facts.link {
        None => (true, Some(Mac::of_bridge(wanted.addrs[0].addr()))),
        // Made anew by another's hand, it is no longer kboot's.
        Some(link) => (before.made && link.mac == before.mac, link.mac),
    };
    let mut record = read(&wanted.name);
    record["made"] = json!(made);
    record["mac"] = json!(mac.map(|m| m.to_string()));
    record["addresses"] = addrs.iter().map(|c: &Cidr| json!(c.to_string())).collect();
    record["ports"] = ports.iter().map(|p: &IfName| json!(p.as_str())).collect();
    write(&wanted.name, &record);
}

/// Takes the record away, or leaves of it how the kernel was set before.
pub fn forget(name: &IfName, is_restored: bool) {
    let record = read(name);
    if is_restored || record["before"].is_null() {
        if let Err(error) = run_dir::remove(&record_name(name)) {
            log::debug!("the record stays: {error}");
        }
    } else {
        write(name, &json!({ "before": record["before"] }));
    }
}

/// Whether kboot has records of other bridges: they need the kernel's settings too.
pub fn others(name: &IfName) -> bool {
    let own = record_name(name);
    run_dir::names().iter().any(|n| n.starts_with("bridge-") && *n != own)
}

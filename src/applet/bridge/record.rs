//! What `bridge` keeps in /run/kboot: what is kboot's own about the bridge, and how the kernel was set
//! before. Losing it is safe.

use serde_json::{Value, json};

use crate::plan::bridge::{
    Facts, Plan, Record, Step, Wanted,
    link::{is_made, is_own},
};
use crate::sys::{log, process, run_dir};
use crate::types::{Cidr, IfName};

/// A bridge is one of its network namespace, whoever shares /run.
fn record_name(name: &IfName) -> String {
    format!("bridge-{name}.{}.json", process::network_namespace())
}

/// The record of this boot, if there is one.
pub fn recorded(name: &IfName) -> Option<Record> {
    let record = read(name);
    let addrs = record["addresses"].as_array()?.iter();
    let ports = record["ports"].as_array().into_iter().flatten();
    Some(Record {
        made: record["made"] == true,
        index: record["index"].as_u64().and_then(|i| u32::try_from(i).ok()),
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

/// The settings that kboot changed for any bridge, and how they were.
pub fn settings_before() -> Vec<(String, String)> {
    let records = names().iter().map(read).collect::<Vec<_>>();
    let before = records.iter().filter_map(|r| r["before"].as_object()).flatten();
    before.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// The bridges of this network namespace of which there are records.
fn names() -> Vec<IfName> {
    let names = run_dir::names();
    let end = format!(".{}.json", process::network_namespace());
    let bridge = |n: &String| n.strip_prefix("bridge-")?.strip_suffix(&end)?.parse().ok();
    names.iter().filter_map(bridge).collect()
}

/// Notes what is kboot's own, before the first change (killed in between, a rerun still knows) and again
/// when all is done, with the bridge's number: until then the addresses of an earlier lease, and whether
/// the Ethernet address is pinned, are as before.
pub fn remember(wanted: &Wanted, facts: &Facts, plan: &Plan, done: Option<u32>) {
    let before = facts.record.clone().unwrap_or_default();
    let has = facts.link.as_ref().map(|l| l.addrs.as_slice()).unwrap_or_default();
    let is_ours = |c: &Cidr| is_own(facts.record.as_ref(), &wanted.cluster, c);
    // What an administrator had put there is not kboot's for being wanted too.
    let mut addrs: Vec<Cidr> =
        wanted.addrs.iter().filter(|c| !has.contains(c) || is_ours(c)).copied().collect();
    if done.is_none() {
        addrs.extend(has.iter().filter(|c| !wanted.addrs.contains(c) && is_ours(c)));
    }
    let mut ports = before.ports.clone();
    for port in facts.attach.iter().filter(|c| !c.is_port) {
        if !ports.contains(&port.name) {
            ports.push(port.name.clone());
        }
    }
    let pinned = plan.changes.iter().find_map(|c| match c.step {
        Step::AddBridge(.., mac) | Step::SetMac(_, mac) => Some(mac),
        _ => None,
    });
    let (made, mac) = match &facts.link {
        None => (true, pinned),
        Some(link) => {
            let mac = if pinned.is_none() { link.mac } else { before.mac };
            (is_made(facts.record.as_ref(), link), if done.is_some() { pinned.or(mac) } else { mac })
        }
    };
    let mut record = read(&wanted.name);
    record["made"] = json!(made);
    record["index"] = json!(done.or(before.index.filter(|_| facts.link.is_some())));
    record["mac"] = json!(mac.map(|m| m.to_string()));
    record["addresses"] = addrs.iter().map(|c: &Cidr| json!(c.to_string())).collect();
    record["ports"] = ports.iter().map(|p: &IfName| json!(p.as_str())).collect();
    write(&wanted.name, &record);
}

/// Leaves of the record how the kernel was set before, for a later `--restore`.
pub fn forget(name: &IfName) {
    match read(name)["before"].clone() {
        Value::Null => remove(name),
        before => write(name, &json!({ "before": before })),
    }
}

/// The kernel is as it was: nothing is left to remember.
pub fn forget_all() {
    names().iter().for_each(remove);
}

fn remove(name: &IfName) {
    if let Err(error) = run_dir::remove(&record_name(name)) {
        log::debug!("the record stays: {error}");
    }
}

/// The other bridges that kboot has to do with: they need the kernel's settings too, if they are there.
pub fn others(name: &IfName) -> Vec<IfName> {
    names().into_iter().filter(|other| other != name && recorded(other).is_some()).collect()
}

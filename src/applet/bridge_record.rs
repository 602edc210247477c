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
    let record: Value = serde_json::from_str(&run_dir::read(&record_name(name))?).ok()?;
    let list = record["addresses"].as_array()?.iter();
    Some(list.filter_map(|a| a.as_str()?.parse().ok()).collect())
}

/// Written before the first change: killed in between, a rerun still knows whose the addresses are.
/// `forwarding` is the kernel's setting before kboot changed it, for whoever wants it back.
pub fn remember(wanted: &Wanted, steps: &[Step], forwarding: Option<&str>) {
    let old = run_dir::read(&record_name(&wanted.name)).unwrap_or_default();
    let mut record: Value =
        serde_json::from_str(&old).ok().filter(Value::is_object).unwrap_or_else(|| json!({}));
    let mut ours = wanted.addrs.clone();
    // An old address stays on record until a run finds nothing left to do.
    if !steps.is_empty() {
        ours.extend(recorded(&wanted.name).into_iter().flatten().filter(|c| !wanted.addrs.contains(c)));
    }
    record["addresses"] = ours.iter().map(|c| json!(c.to_string())).collect();
    if let Some(before) = forwarding {
        record["before"] = json!({ FORWARD: before });
    }
    let text = format!("{record}\n");
    if text == old {
        return;
    }
    if let Err(error) = run_dir::write(&record_name(&wanted.name), &text) {
        log::debug!("no record is kept: {error}");
    }
}

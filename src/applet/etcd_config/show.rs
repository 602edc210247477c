//! `--show`: the config and every lease, from each API.

use serde_json::{Map, Value, json};

use super::settle::Keys;
use crate::applet::report::Report;
use crate::client::etcd::KeyValue;
use crate::error::{Error, Result};
use crate::plan::host_lease::{self, HostLease, printable};
use crate::plan::network;
use crate::types::Version;

/// Prints what each API holds; that none holds a config is an error.
pub fn run(
    apis: &[Box<dyn KeyValue + '_>],
    keys: &Keys,
    version: Version,
    report: &mut Report,
) -> Result<()> {
    let mut held = false;
    for api in apis {
        held |= show_one(api.as_ref(), keys, version, report)?;
    }
    if held {
        return Ok(());
    }
    Err(Error::failed(format!("{}: etcd holds no config", keys.config)))
}

/// Prints what one API holds; whether there is a config.
fn show_one(api: &dyn KeyValue, keys: &Keys, version: Version, report: &mut Report) -> Result<bool> {
    let name = api.name();
    let stored = api.read(&keys.config)?;
    let judged = stored.as_ref().map(|s| judge(&s.value, version));
    if let Some(Err(why)) = &judged {
        report.warn(format!("{} ({name}): flanneld would not take it: {why}", keys.config));
    }
    let text = stored.map(|s| String::from_utf8_lossy(&s.value).into_owned());
    let (leases, strange) = leases(api, keys)?;
    for key in strange {
        report.warn(format!("{} ({name}): is no lease: flannel passes over it", printable(&key)));
    }
    let shown = printable(text.as_deref().unwrap_or("-").trim_end());
    report.data(&format!(
        "{name} {} {shown}\n{name} {} {} leases\n",
        keys.config,
        keys.subnets,
        leases.len()
    ))?;
    if !leases.is_empty() {
        report.data(&host_lease::table(&leases))?;
    }
    let is_held = text.is_some();
    let leases: Vec<Value> = leases.iter().map(|(lease, left)| lease.json(*left)).collect();
    let effective = judged.and_then(std::result::Result::ok);
    report
        .found(name, json!({ "key": keys.config, "config": text, "effective": effective, "leases": leases }));
    Ok(is_held)
}

/// What flanneld makes of a config; secrets are left out.
fn judge(value: &[u8], version: Version) -> std::result::Result<Map<String, Value>, String> {
    let text = std::str::from_utf8(value).map_err(|_| "is not text".to_owned())?;
    let effective = network::parse(text, version)?.effective().into_iter();
    Ok(effective.filter(|(path, _)| !network::is_secret(path)).collect())
}

/// A lease with its time to live.
type Lasting = (HostLease, Option<u64>);

/// The leases in the order of their subnets, and the keys that are none.
fn leases(api: &dyn KeyValue, keys: &Keys) -> Result<(Vec<Lasting>, Vec<String>)> {
    let (mut found, mut strange) = (Vec::new(), Vec::new());
    let entries = api.list(&keys.subnets)?;
    for (entry, left) in entries.iter().zip(api.seconds(&entries)?) {
        match host_lease::parse(&entry.key, &entry.stored.value) {
            Some(lease) => found.push((lease, left)),
            None => strange.push(entry.key.clone()),
        }
    }
    found.sort_by_key(|(lease, _)| lease.subnet.addr());
    Ok((found, strange))
}

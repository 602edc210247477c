//! `--show`: the config and every lease, from each API.

use serde_json::{Value, json};

use super::settle::Keys;
use crate::applet::report::Report;
use crate::client::etcd::KeyValue;
use crate::error::{Error, Result};
use crate::plan::host_lease::{self, HostLease};

/// Prints what each API holds; that none holds a config is an error.
pub fn run(apis: &[Box<dyn KeyValue + '_>], keys: &Keys, report: &mut Report) -> Result<()> {
    let mut held = 0;
    for api in apis {
        let stored = api.read(&keys.config)?;
        let text = stored.map(|s| String::from_utf8_lossy(&s.value).into_owned());
        let (leases, strange) = leases(api.as_ref(), keys)?;
        for key in strange {
            report.warn(format!("{key} ({}): is no lease: flannel passes over it", api.name()));
        }
        held += usize::from(text.is_some());
        report.data(&format!(
            "{} {} {}\n",
            api.name(),
            keys.config,
            text.as_deref().unwrap_or("-").trim_end()
        ))?;
        report.data(&format!("{} {} {} leases\n", api.name(), keys.subnets, leases.len()))?;
        if !leases.is_empty() {
            report.data(&host_lease::table(&leases))?;
        }
        let leases: Vec<Value> = leases.iter().map(|(lease, left)| lease.json(*left)).collect();
        report.found(api.name(), json!({ "key": keys.config, "config": text, "leases": leases }));
    }
    if held == 0 {
        return Err(Error::failed(format!("{}: etcd holds no config", keys.config)));
    }
    Ok(())
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

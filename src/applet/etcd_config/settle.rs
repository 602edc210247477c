//! Reads all APIs, then writes what is missing in them, then reads it back.

use serde_json::{Value, json};

use super::{Args, reserve};
use crate::applet::lease;
use crate::applet::report::{Report, Step};
use crate::client::etcd::{KeyValue, Lasts, Stored, Written};
use crate::error::{Context, Error, Result};
use crate::plan::etcd::{self, Conflict, Held, HeldValue, Write};
use crate::plan::host_lease;
use crate::plan::network::difference::Difference;
use crate::plan::network::{self, NetworkConfig, judge, shown};
use crate::plan::subnet_env::Lease;
use crate::sys::link::Links;
use crate::types::{Cidr, Version};

/// Where flannel looks.
pub struct Keys {
    /// The network config.
    pub config: String,
    /// The directory of the leases.
    pub subnets: String,
}

impl Step for Write {
    fn kind(&self) -> &'static str {
        "etcd"
    }
}

/// Those that etcd serves, of those asked for.
pub type Apis<'c> = [Box<dyn KeyValue + 'c>];

/// Brings the config and the reservations about. Reads all APIs before any is written.
pub fn run(
    args: &Args,
    apis: &Apis<'_>,
    keys: &Keys,
    wanted: Option<&NetworkConfig>,
    report: &mut Report,
) -> Result<()> {
    let version = args.rules();
    let mut held: Vec<Held> = Vec::new();
    for api in apis {
        let stored = api.read(&keys.config)?;
        let config = stored.as_ref().map(|s| shown(&s.value));
        report.found(api.name(), json!({ "key": keys.config, "config": config }));
        held.push((api.name(), stored.map(held_value)));
    }
    let configs = match wanted {
        None => Vec::new(),
        Some(config) => plan_config(args, apis, config, &held, keys, report)?,
    };
    let reservations = reserve::plan(args, apis, &held, keys, wanted, report)?;
    let steps: Vec<Write> = configs.into_iter().chain(reservations).collect();
    report.carry_out(&steps, |step| {
        let api = apis.iter().find(|a| a.name() == step.api);
        let api = api.ok_or_else(|| Error::failed("the API is gone"))?;
        write(api.as_ref(), step, wanted.filter(|_| step.key == keys.config), version)
    })?;
    // Where no config is asked for, an API without one was passed over.
    let took_part = held.iter().filter(|(_, stored)| wanted.is_some() || stored.is_some());
    let names = took_part.map(|(name, _)| *name).collect::<Vec<_>>().join(" and ");
    match wanted {
        Some(config) => {
            report.found("leases", Value::from(config.summary()));
            report.summary(format_args!("{} in {names}: subnets {}", keys.config, config.summary()));
        }
        None => report.summary(format_args!("{} in {names}: {} reserved", keys.subnets, args.reserve.len())),
    }
    Ok(())
}

fn held_value(stored: Stored) -> HeldValue {
    HeldValue { ends: stored.lasts != Lasts::ForGood, revision: stored.revision, value: stored.value }
}

fn plan_config(
    args: &Args,
    apis: &Apis<'_>,
    config: &NetworkConfig,
    held: &[Held],
    keys: &Keys,
    report: &mut Report,
) -> Result<Vec<Write>> {
    let version = args.rules();
    let values: Vec<&[u8]> = held.iter().filter_map(|(_, s)| Some(s.as_ref()?.value.as_slice())).collect();
    let writes = etcd::plan(config, &keys.config, held, args.replace, version).map_err(|conflicts| {
        let json = |c: &Conflict| {
            let fields: Vec<Value> = c.differences.iter().map(Difference::json).collect();
            json!({ "api": c.api, "fields": fields })
        };
        report.found("difference", conflicts.iter().map(json).collect());
        Error::conflict(etcd::told(&conflicts))
    })?;
    // Where it is held already, flannel may run on it, and the host's routes are flannel's own.
    if !writes.is_empty() && !values.iter().any(|v| etcd::is_held(config, v, version)) {
        let texts = values.iter().filter_map(|v| std::str::from_utf8(v).ok());
        let others: Vec<NetworkConfig> = texts.filter_map(|t| network::parse(t, version).ok()).collect();
        look_around(args, config, &others, report)?;
    }
    report.already(apis.len() - writes.len());
    warn_of_leases(apis, &writes, config, keys, report)?;
    Ok(writes)
}

fn look_around(
    args: &Args,
    config: &NetworkConfig,
    held: &[NetworkConfig],
    report: &mut Report,
) -> Result<()> {
    let ranges = match Links::open().and_then(|links| links.ranges()) {
        Ok(ranges) => ranges,
        Err(error) => {
            report.warn(format!("whether this host's own addresses overlap is not known: {error}"));
            return Ok(());
        }
    };
    let own: Vec<Cidr> = lease::at_default().iter().flat_map(Lease::subnets).collect();
    match judge::overlap(config, held, &own, &ranges) {
        Some(text) if args.allow_overlap => report.warn(text),
        Some(text) => {
            return Err(Error::conflict(format!("{text}: take another Network, or give --allow-overlap")));
        }
        None => {}
    }
    Ok(())
}

/// What hosts hold of the config before: flanneld takes it away when it starts the next time.
fn warn_of_leases(
    apis: &Apis<'_>,
    writes: &[Write],
    config: &NetworkConfig,
    keys: &Keys,
    report: &mut Report,
) -> Result<()> {
    for api in apis.iter().filter(|a| writes.iter().any(|w| w.api == a.name() && w.replaces.is_some())) {
        let entries = api.list(&keys.subnets)?;
        let leases = entries.iter().filter_map(|e| host_lease::parse(&e.key, &e.stored.value));
        let outside = leases.filter(|l| !config.would_lease(Some(l.subnet), l.subnet6));
        match outside.count() {
            0 => {}
            n => report.warn(format!(
                "{n} of {} leases ({}) do not fit: their hosts get others when flanneld starts again",
                entries.len(),
                api.name()
            )),
        }
    }
    Ok(())
}

/// Writes, then reads back: a lost race against the same value is success.
fn write(api: &dyn KeyValue, step: &Write, config: Option<&NetworkConfig>, version: Version) -> Result<()> {
    let value = step.value.as_bytes();
    let written = match step.replaces {
        None => api.create(&step.key, value)?,
        Some(revision) => api.swap(&step.key, revision, value)?,
    };
    let is_wanted = |held: &[u8]| match config {
        Some(config) => etcd::is_held(config, held, version),
        None => held == value,
    };
    match api.read(&step.key).context("reading it back")? {
        Some(s) if is_wanted(&s.value) && s.lasts == Lasts::ForGood => Ok(()),
        Some(s) if written == Written::Lost => {
            Err(Error::failed(format!("another came first: {}: run it again", shown(&s.value))))
        }
        _ if written == Written::Lost => Err(Error::failed("another was there, and is gone: run it again")),
        _ => Err(Error::failed("it was written, but is not there now")),
    }
}

//! The bridge's end: what kboot made, and nothing else.

use super::record::{forget, others, recorded, settings_before};
use super::up::carry_out;
use super::{Run, firewall, look};
use crate::applet::lease;
use crate::error::Result;
use crate::plan::bridge::{Change, Facts, Step, down};
use crate::sys::{log, sysctl};
use crate::types::Cidr;

/// Takes it away: first what lets packets through, then the link, then what masquerades.
pub fn down(run: &mut Run<'_>) -> Result<()> {
    let _lock = run.lock()?;
    let (closing, masquerading, engine) = firewall::none(run)?;
    let facts = facts(run)?;
    let own = down::plan(&run.name, &facts, &cluster(run));
    let mut plan = closing;
    plan.changes.extend(own.changes);
    plan.changes.extend(masquerading);
    if run.args.restore {
        plan.changes.extend(restore(run)?);
    }
    carry_out(run, &plan, engine.as_ref())?;
    if !run.report.dry_run {
        forget(&run.name, run.args.restore);
    }
    match own.stays {
        Some(why) => run.report.summary(format_args!("{} stays, without what kboot made: {why}", run.name)),
        None => run.report.summary(format_args!("{} is gone", run.name)),
    }
    Ok(())
}

/// A link of that name that is no bridge is nobody's business here.
fn facts(run: &Run<'_>) -> Result<Facts> {
    let link = run.links.get(&run.name)?.filter(|l| l.kind == "bridge");
    let mut facts = Facts { record: recorded(&run.name), ..Facts::default() };
    if let Some(link) = link {
        facts.ports = look::ports(run, link.index)?;
        let addrs = run.links.addresses_of(&link)?;
        facts.link = Some(look::as_fact(&link, addrs));
    }
    Ok(facts)
}

/// Where an address is flannel's if the record is lost: the cluster's network or, unknown, the lease.
fn cluster(run: &Run<'_>) -> Vec<Cidr> {
    let lease = lease::now(&run.args.lease_options()).ok().flatten().unwrap_or_default();
    [run.args.masquerade.as_slice(), &lease.networks, &lease.networks6, &lease.subnets().collect::<Vec<_>>()]
        .concat()
}

/// The kernel as it was, unless another bridge of kboot's still needs it.
fn restore(run: &mut Run<'_>) -> Result<Vec<Change>> {
    if others(&run.name) {
        run.report.warn("--restore: the kernel's settings stay: another bridge of kboot's needs them");
        return Ok(Vec::new());
    }
    let mut changes = Vec::new();
    for (name, before) in settings_before(&run.name) {
        let Some(now) = sysctl::read(&name)?.filter(|now| *now != before) else { continue };
        let step = Step::Sysctl(name.clone(), before.clone());
        changes.push(Change::new(step, format!("{name}: is {now}, was {before}")));
    }
    if changes.is_empty() {
        log::debug!("--restore: the kernel is as it was");
    }
    Ok(changes)
}

//! The bridge's end: what kboot made, and nothing else.

use serde_json::json;

use super::record::{forget, forget_all, others, recorded, settings_before};
use super::up::{again, carry_out};
use super::{Run, firewall, look};
use crate::applet::lease;
use crate::error::Result;
use crate::plan::bridge::{Change, Facts, Step, down};
use crate::sys::link::Link;
use crate::sys::sysctl;
use crate::types::Cidr;

/// Takes it away: first what lets packets through, then the link, then what masquerades.
pub fn down(run: &mut Run<'_>) -> Result<()> {
    let _lock = run.lock()?;
    let mut is_needed = false;
    for other in others(&run.name) {
        is_needed |= run.links.get(&other)?.is_some();
    }
    let restores = run.args.restore && !is_needed;
    if run.args.restore && !restores {
        run.report.warn("--restore: the kernel's settings stay: another bridge of kboot's needs them");
    } else if restores && settings_before().is_empty() && run.links.get(&run.name)?.is_some() {
        run.report.warn("--restore: nothing is known of how the kernel was before");
    }
    let mut stays = None;
    again(run, |run| {
        stays = once(run, restores)?;
        Ok(())
    })?;
    match run.is_look_only() {
        true => {}
        false if restores => forget_all(),
        false => forget(&run.name),
    }
    run.report.found("stays", json!(stays));
    match stays {
        Some(why) => {
            run.report.summary(format_args!("{} stays, what kboot put there is gone: {why}", run.name));
        }
        None => run.report.summary(format_args!("{} is gone", run.name)),
    }
    Ok(())
}

/// Why the bridge stays, if it does.
fn once(run: &mut Run<'_>, restores: bool) -> Result<Option<String>> {
    let (closing, masquerading, engine) = firewall::none(run)?;
    let link = run.links.get(&run.name)?;
    let other = link.as_ref().filter(|l| l.kind != "bridge").map(|l| l.kind.clone());
    let facts = facts(run, link.filter(|_| other.is_none()))?;
    let mut own = down::plan(&run.name, &facts, &cluster(run));
    if let Some(kind) = other {
        own.stays = Some(format!("it is a {kind} device, not a bridge"));
    }
    let mut plan = closing;
    plan.changes.extend(own.changes);
    plan.changes.extend(masquerading);
    if restores {
        plan.changes.extend(restore()?);
    }
    carry_out(run, &plan, engine.as_ref())?;
    Ok(own.stays)
}

fn facts(run: &Run<'_>, link: Option<Link>) -> Result<Facts> {
    let mut facts = Facts { record: recorded(&run.name), ..Facts::default() };
    if let Some(link) = link {
        facts.ports = look::ports(run, link.index)?;
        facts.link = Some(look::as_fact(&link, run.links.addresses_of(&link)?));
    }
    Ok(facts)
}

/// Where an address is flannel's if the record is lost: the cluster's network or, unknown, the lease.
fn cluster(run: &Run<'_>) -> Vec<Cidr> {
    let lease = lease::now(&run.args.lease_options()).ok().flatten().unwrap_or_default();
    [run.args.masquerade.as_slice(), &lease.networks, &lease.networks6, &lease.subnets().collect::<Vec<_>>()]
        .concat()
}

/// The kernel as it was.
fn restore() -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    for (name, before) in settings_before() {
        let Some(now) = sysctl::read(&name)?.filter(|now| *now != before) else { continue };
        let step = Step::Sysctl(name.clone(), before.clone());
        changes.push(Change::new(step, format!("{name}: is {now}, was {before}")));
    }
    Ok(changes)
}

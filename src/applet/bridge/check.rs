//! Whether everything is as wanted: a look at all that a run would change, and at what docker and the
//! Node take for this host's subnet. Nothing is changed.

use super::goal::{self, Goal};
use super::up::whole;
use super::{Run, look, neighbours, settings};
use crate::applet::drift::{self, Difference};
use crate::applet::lease;
use crate::error::Result;
use crate::plan::bridge::{Change, Plan};
use crate::sys::iptables::Iptables;
use crate::sys::wait::Deadline;
use crate::types::Timeout;

/// Looks and compares; exit 3 when anything differs, a line for each on stdout.
pub fn check(run: &mut Run<'_>) -> Result<()> {
    // Whoever asks how things are wants to hear it now.
    if !run.words.is_typed("--timeout") {
        run.deadline = Deadline::start(Timeout::Once);
        run.iptables = Iptables::new(run.deadline);
    }
    let lease = lease::resolve(&run.args.lease_options(), &run.deadline)?;
    goal::decide(run.args, &lease)?;
    look::probe(run)?;
    settings::proc_is_mounted()?;
    let mut plan = settings::module(run)?;
    plan.append(settings::early(run, lease.subnet.is_some())?);
    let goal = goal::of(run, &lease)?;
    let whole = whole(run, &goal)?;
    plan.append(whole.plan);
    plan.append(settings::late(run, &goal)?);
    let mut found = differences(&plan);
    let mut others = [whole.obstacles, whole.rivals].concat();
    others.extend(neighbours::differences(run, &goal, &lease)?);
    found.extend(others.into_iter().map(|what| Difference { what, fix: None }));
    tell(run, &goal, &plan, &found)
}

/// Steps that do away with one difference together give one line.
fn differences(plan: &Plan) -> Vec<Difference> {
    let mut found: Vec<Difference> = Vec::new();
    for Change { step, why } in &plan.changes {
        if !found.iter().any(|d| d.what == *why) {
            found.push(Difference { what: why.clone(), fix: Some(step.to_string()) });
        }
    }
    found
}

fn tell(run: &mut Run<'_>, goal: &Goal, plan: &Plan, found: &[Difference]) -> Result<()> {
    run.report.already(plan.already);
    drift::tell(run.report, found, ", none of the bridge's own")?;
    let addrs: Vec<String> = goal.link.addrs.iter().map(ToString::to_string).collect();
    run.report.summary(format_args!("{} {} as wanted", run.name, addrs.join(" ")));
    Ok(())
}

//! The bridge as it is to be.

use super::firewall::Planned;
use super::goal::{self, Goal};
use super::look::{look, probe};
use super::record::remember;
use super::seen::{Engine, Seen};
use super::{Firewall, Run, docker0, firewall, settings, take};
use crate::applet::lease;
use crate::error::{Error, Result};
use crate::plan::bridge::{Change, Facts, Plan, Step, link};
use crate::sys::{log, wait};

/// How often to look again when others change the same things at the same time.
const ROUNDS: u32 = 10;

/// Makes it so.
pub fn up(run: &mut Run<'_>) -> Result<()> {
    let options = run.args.lease_options();
    let known = lease::now(&options)?;
    probe(run)?;
    settings::proc_is_mounted()?;
    if run.args.replace_docker0 {
        docker0::may_go(run)?;
    }
    let mut is_settled = false;
    if known.is_none() {
        // Let go again before the lease is awaited: that may take long.
        let _lock = run.lock()?;
        settle_kernel(run, true)?;
        is_settled = true;
    }
    let lease = known.map_or_else(|| lease::resolve(&options, &run.deadline), Ok)?;
    let _lock = run.lock()?;
    // Another run may have held the lock for long, and flanneld have a new lease since.
    let lease = lease::again(&options, lease);
    let goal = goal::of(run, &lease)?;
    again(run, |run| once(run, &goal, &mut is_settled))?;
    let late = settings::late(run, &goal)?;
    carry_out(run, &late, None)?;
    let addrs: Vec<String> = goal.link.addrs.iter().map(ToString::to_string).collect();
    run.report.summary(format_args!("{} {} up", run.name, addrs.join(" ")));
    Ok(())
}

/// Everything is looked at, and every conflict found, before anything is touched.
fn once(run: &mut Run<'_>, goal: &Goal, kernel_is_settled: &mut bool) -> Result<()> {
    let Whole { plan, facts, engine, obstacles, rivals } = whole(run, goal)?;
    if !std::mem::replace(kernel_is_settled, true) {
        settle_kernel(run, goal.has(true))?;
    }
    if !run.report.dry_run {
        remember(&goal.link, &facts, &plan, None);
    }
    carry_out(run, &plan, engine.as_ref())?;
    for rule in rivals {
        run.report.warn(rule);
    }
    run.report.already(plan.already);
    if !run.report.dry_run {
        remember(&goal.link, &facts, &plan, run.links.get(&run.name)?.map(|l| l.index));
    }
    // Last, so that all else is done.
    obstacles.into_iter().next().map_or(Ok(()), |text| Err(Error::failed(text)))
}

/// Looks and acts again while others change the same things at the same time.
pub fn again(run: &mut Run<'_>, mut act: impl FnMut(&mut Run<'_>) -> Result<()>) -> Result<()> {
    for round in 1.. {
        match act(run) {
            Err(error)
                if error.meanwhile
                    && round < ROUNDS
                    && (run.deadline.is_once() || !run.deadline.passed()) =>
            {
                log::info!("{error}: looking again");
                wait::breathe(round);
            }
            done => return done,
        }
    }
    Ok(())
}

/// The kernel's settings that do not depend on the lease.
fn settle_kernel(run: &mut Run<'_>, has_ipv4: bool) -> Result<()> {
    let module = settings::module(run)?;
    if let Err(error) = carry_out(run, &module, None) {
        run.report.warn(format!("{error}: {}", settings::WITHOUT));
    }
    let plan = settings::early(run, has_ipv4)?;
    run.report.already(plan.already);
    carry_out(run, &plan, None)
}

/// What is there and what is to be done about it.
pub struct Whole {
    pub plan: Plan,
    facts: Facts,
    engine: Option<Engine>,
    /// What stands in the way and is not kboot's to change.
    pub obstacles: Vec<String>,
    /// What is another's and does harm, a line each.
    pub rivals: Vec<String>,
}

/// All that is to be changed once the lease is known. New rules come before old ones and addresses go,
/// and what lets packets through after what they are to be masqueraded by.
pub fn whole(run: &mut Run<'_>, goal: &Goal) -> Result<Whole> {
    let mut seen = None;
    if run.args.firewall != Firewall::None || run.args.replace_docker0 {
        seen = Some(Seen::look(run)?);
    }
    let leaving = match &seen {
        Some(seen) if run.args.replace_docker0 => docker0::plan(run, seen)?,
        _ => docker0::Leaving::default(),
    };
    let facts = look(run, goal, leaving.index)?;
    let mut plan = Plan { changes: leaving.link.into_iter().collect(), already: 0 };
    if goal.has(false) {
        plan.append(settings::ipv6(run)?);
    }
    plan.append(link::plan(&goal.link, &facts));
    let rules = match seen {
        Some(seen) if run.args.firewall != Firewall::None => firewall::plan(run, seen, goal)?,
        seen => Planned { engine: seen.and_then(|s| s.engine), ..Planned::default() },
    };
    plan.append(rules.new);
    plan.append(rules.through);
    plan.changes.extend(link::stale(&goal.link, &facts));
    plan.changes.extend(rules.old);
    plan.changes.extend(leaving.rules);
    Ok(Whole { plan, facts, engine: rules.engine, obstacles: rules.obstacles, rivals: rules.rivals })
}

/// Takes the steps.
pub fn carry_out(run: &mut Run<'_>, plan: &Plan, engine: Option<&Engine>) -> Result<()> {
    let steps: Vec<Step> = plan.changes.iter().map(|c: &Change| c.step.clone()).collect();
    let hands = take::Hands { name: &run.name, links: &run.links, iptables: &run.iptables, engine };
    run.report.carry_out_joined(&steps, |steps| hands.take(steps))
}

//! The bridge as it is to be.

use super::goal::{self, Goal};
use super::look::{look, probe};
use super::record::remember;
use super::seen::Engine;
use super::{Run, docker0, firewall, settings, take};
use crate::applet::lease;
use crate::error::Result;
use crate::plan::bridge::{Change, Facts, Plan, Step, link};
use crate::sys::log;

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
    let loose = settings::reverse_path(run, &goal)?;
    carry_out(run, &loose, None)?;
    let addrs: Vec<String> = goal.link.addrs.iter().map(ToString::to_string).collect();
    run.report.summary(format_args!("{} {} up", run.name, addrs.join(" ")));
    Ok(())
}

/// Everything is looked at, and every conflict found, before anything is touched.
fn once(run: &mut Run<'_>, goal: &Goal, kernel_is_settled: &mut bool) -> Result<()> {
    let Whole { plan, facts, engine, rivals } = whole(run, goal)?;
    if !std::mem::replace(kernel_is_settled, true) {
        settle_kernel(run, goal.has(true))?;
    }
    if !run.report.dry_run {
        remember(&goal.link, &facts, &plan, false);
    }
    carry_out(run, &plan, engine.as_ref())?;
    for rule in rivals {
        run.report.warn(format!("{RIVAL}: {rule}"));
    }
    run.report.already(plan.already);
    if !run.report.dry_run {
        remember(&goal.link, &facts, &plan, true);
    }
    Ok(())
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
    /// Others' rules that masquerade pods towards the cluster.
    pub rivals: Vec<String>,
}

/// What `Whole::rivals` does.
pub const RIVAL: &str = "another's rule masquerades pods towards the cluster too";

/// All that is to be changed once the lease is known. New rules come before old ones and addresses go,
/// and what lets packets through after what they are to be masqueraded by.
pub fn whole(run: &mut Run<'_>, goal: &Goal) -> Result<Whole> {
    let mut plan = Plan::default();
    let leaving = docker0::plan(run, &mut plan)?;
    let facts = look(run, goal, leaving)?;
    if goal.has(false) {
        plan.append(settings::ipv6(run)?);
    }
    plan.append(link::plan(&goal.link, &facts));
    let rules = firewall::plan(run, goal)?;
    plan.append(rules.new);
    plan.changes.extend(link::stale(&goal.link, &facts));
    plan.changes.extend(rules.old);
    Ok(Whole { plan, facts, engine: rules.engine, rivals: rules.rivals })
}

/// Takes the steps.
pub fn carry_out(run: &mut Run<'_>, plan: &Plan, engine: Option<&Engine>) -> Result<()> {
    let steps: Vec<Step> = plan.changes.iter().map(|c: &Change| c.step.clone()).collect();
    let hands = take::Hands { name: &run.name, links: &run.links, iptables: &run.iptables, engine };
    run.report.carry_out_joined(&steps, |steps| hands.take(steps))
}

//! The bridge as it is to be.

use super::goal::{self, Goal};
use super::look::{look, probe};
use super::record::remember;
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
    if let Some(lease) = &known {
        goal::decide(run.args, lease)?;
    }
    probe(run)?;
    if run.args.replace_docker0 {
        docker0::may_go(run)?;
    }
    settle_kernel(run, known.as_ref().is_none_or(|l| l.subnet.is_some()))?;
    let lease = known.map_or_else(|| lease::resolve(&options, &run.deadline), Ok)?;
    let goal = goal::of(run, &lease)?;
    let _lock = run.lock()?;
    for round in 1.. {
        let (plan, facts, engine) = whole(run, &goal)?;
        if !run.report.dry_run {
            remember(&goal.link, &facts, plan.changes.is_empty());
        }
        match carry_out(run, &plan, engine.as_ref()) {
            Ok(()) => {
                run.report.already(plan.already);
                break;
            }
            Err(error) if error.meanwhile && round < ROUNDS && !run.deadline.passed() => {
                log::info!("{error}: looking again");
            }
            Err(error) => return Err(error),
        }
    }
    let loose = settings::reverse_path(run, &goal)?;
    carry_out(run, &loose, None)?;
    let addrs: Vec<String> = goal.link.addrs.iter().map(ToString::to_string).collect();
    run.report.summary(format_args!("{} {} up", run.name, addrs.join(" ")));
    Ok(())
}

/// The kernel's settings. Their lock is let go again before the lease is awaited: that may take long.
fn settle_kernel(run: &mut Run<'_>, has_ipv4: bool) -> Result<()> {
    let _lock = run.lock()?;
    let module = settings::module(run)?;
    if let Err(error) = carry_out(run, &module, None) {
        run.report.warn(format!("{error}: {}", settings::WITHOUT));
    }
    let plan = settings::early(run, has_ipv4)?;
    run.report.already(plan.already);
    carry_out(run, &plan, None)
}

/// All that is to be changed once the lease is known. New rules come before old ones and addresses go,
/// and what lets packets through after what they are to be masqueraded by.
pub fn whole(run: &mut Run<'_>, goal: &Goal) -> Result<(Plan, Facts, Option<firewall::Engine>)> {
    let mut plan = Plan::default();
    let leaving = docker0::plan(run, &mut plan)?;
    let facts = look(run, &goal.link, leaving)?;
    if goal.has(false) {
        plan.append(settings::ipv6(run)?);
    }
    plan.append(link::plan(&goal.link, &facts));
    let rules = firewall::plan(run, goal)?;
    plan.append(rules.new);
    plan.changes.extend(link::stale(&goal.link, &facts));
    plan.changes.extend(rules.old);
    Ok((plan, facts, rules.engine))
}

/// Takes the steps.
pub fn carry_out(run: &mut Run<'_>, plan: &Plan, engine: Option<&firewall::Engine>) -> Result<()> {
    let steps: Vec<Step> = plan.changes.iter().map(|c: &Change| c.step.clone()).collect();
    let hands = take::Hands { name: &run.name, links: &run.links, iptables: &run.iptables, engine };
    run.report.carry_out_joined(&steps, |steps| hands.take(steps))
}

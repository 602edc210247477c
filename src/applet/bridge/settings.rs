//! The kernel's settings.

use serde_json::json;

use super::Run;
use super::goal::Goal;
use crate::applet::kernel_module::{self, State};
use crate::error::{Error, Result};
use crate::plan::bridge::settings::{
    Advertised, CALL_IP6TABLES, CALL_IPTABLES, FORWARD, FORWARD6, change, keep_advertisements, loosen,
};
use crate::plan::bridge::{Change, Plan, Step};
use crate::sys::{modules, sysctl};
use crate::types::Cidr;

const BR_NETFILTER: &str = "br_netfilter";
/// What is amiss without it.
pub const WITHOUT: &str = "kube-proxy's services will not work between pods of this node";

/// Without it nothing below makes sense.
pub fn proc_is_mounted() -> Result<()> {
    match sysctl::read(FORWARD)? {
        Some(_) => Ok(()),
        None => Err(Error::failed(format!("sysctl {FORWARD}: not there: is /proc mounted?"))),
    }
}

/// Wants the module by which bridged packets pass iptables. Where it is neither there nor to be had, that
/// is a warning: pods reach each other without it.
pub fn module(run: &mut Run<'_>) -> Result<Plan> {
    let mut plan = Plan::default();
    if sysctl::read(CALL_IPTABLES)?.is_some() {
        return Ok(plan);
    }
    // Before Linux 3.18 it is a part of that one.
    let name = if modules::kernel_version() < (3, 18, 0) { "bridge" } else { BR_NETFILTER };
    let why = match kernel_module::state(name) {
        Ok(State::Loadable) => {
            let why = format!("module {name}: is not loaded");
            plan.changes.push(Change::new(Step::LoadModule(name), why));
            return Ok(plan);
        }
        Ok(State::Live) => "is not there in this network namespace (before Linux 5.3)".to_owned(),
        Ok(State::Unknown) => format!("this kernel has no {name} (CONFIG_BRIDGE_NETFILTER)"),
        Err(error) => format!("module {name} (CONFIG_BRIDGE_NETFILTER): {error}"),
    };
    run.report.warn(format!("{CALL_IPTABLES}: {why}: {WITHOUT}"));
    Ok(plan)
}

/// Done before the lease is awaited: it depends on nothing. docker, started later, then finds
/// forwarding on and leaves the FORWARD policy alone (since 1.13 it sets DROP when it turns it on), and
/// flanneld from 0.26 on does not start without br_netfilter.
pub fn early(run: &mut Run<'_>, has_ipv4: bool) -> Result<Plan> {
    let mut plan = Plan::default();
    want(run, CALL_IPTABLES, &mut plan)?;
    if has_ipv4 {
        want(run, FORWARD, &mut plan)?;
    }
    Ok(plan)
}

/// Wants 1; false when there is no such setting.
fn want(run: &mut Run<'_>, name: &str, plan: &mut Plan) -> Result<bool> {
    let now = sysctl::read(name)?;
    run.report.found(name, json!(now));
    let Some(now) = now else { return Ok(false) };
    match change(name, &now, "1") {
        Some(change) => plan.changes.push(change),
        None => plan.already += 1,
    }
    Ok(true)
}

/// For pods with IPv6 addresses. Router advertisements first: once the kernel forwards, it takes none.
pub fn ipv6(run: &mut Run<'_>) -> Result<Plan> {
    let mut plan = Plan::default();
    want(run, CALL_IP6TABLES, &mut plan)?;
    let mut forward = Plan::default();
    if !want(run, FORWARD6, &mut forward)? {
        return Err(Error::failed("this kernel has no IPv6 (CONFIG_IPV6, or ipv6.disable=1 at boot)"));
    }
    if !forward.changes.is_empty() {
        plan.changes.extend(keep_advertisements(&advertised(run)?));
    }
    plan.append(forward);
    Ok(plan)
}

fn advertised(run: &Run<'_>) -> Result<Vec<Advertised>> {
    let (links, by_router) = (run.links.all()?, run.links.advertised()?);
    let is_bridge = |index: u32| links.iter().any(|l| l.index == index && l.kind == "bridge");
    let mut found = Vec::new();
    for link in &links {
        let Ok(name) = link.name.parse() else { continue };
        let of = |setting: &str| sysctl::read(&format!("net/ipv6/conf/{name}/{setting}"));
        let (Some(accept_ra), Some(forwarding)) = (of("accept_ra")?, of("forwarding")?) else { continue };
        let leads_out = OUTWARD.contains(&link.kind.as_str()) && link.name != "lo";
        let is_port = link.master.is_some_and(is_bridge);
        let may_be_advertised = !is_port && (leads_out || by_router.contains(&link.index));
        found.push(Advertised { name, may_be_advertised, accept_ra, forwarding });
    }
    Ok(found)
}

/// Kinds of links that lead to a network; behind the others are this host's own containers and tunnels.
const OUTWARD: [&str; 6] = ["device", "bond", "team", "vlan", "macvlan", "ipvlan"];

/// What can be seen only when all else is done: settings that came with a module, and the way back to
/// pods.
pub fn late(run: &mut Run<'_>, goal: &Goal) -> Result<Plan> {
    let mut plan = reverse_path(run, goal)?;
    if goal.has(false) && !run.is_look_only() {
        let mut call = Plan::default();
        want(run, CALL_IP6TABLES, &mut call)?;
        plan.changes.extend(call.changes);
    }
    Ok(plan)
}

/// Once the bridge has its address: where the kernel answers pods by another link, strict reverse path
/// filtering would drop what they send.
fn reverse_path(run: &Run<'_>, goal: &Goal) -> Result<Plan> {
    let mut plan = Plan::default();
    let Some(link) = run.links.get(&run.name)? else { return Ok(plan) };
    let of = |link: &str, name: &str| sysctl::read(&format!("net/ipv4/conf/{link}/{name}"));
    let name = run.name.as_str();
    let (Some(all), Some(own)) = (of("all", "rp_filter")?, of(name, "rp_filter")?) else { return Ok(plan) };
    if all == "0" && own == "0" {
        return Ok(plan);
    }
    // Without a port the bridge has no carrier, and then its routes may not count.
    let linkdown = "ignore_routes_with_linkdown";
    let ignores = [of("all", linkdown)?, of(name, linkdown)?].iter().any(|v| v.as_deref() == Some("1"));
    let addresses = run.links.addresses_of(&link)?;
    let is_there = |subnet: &Cidr| addresses.iter().any(|a| a.network() == *subnet);
    for subnet in goal.subnets.iter().filter(|s| s.is_ipv4() && is_there(s) && (link.carrier || !ignores)) {
        let way = run.links.way_to(subnet.pods().0)?;
        let by_another = way.is_some_and(|index| index != link.index);
        plan.changes.extend(loosen(&run.name, &all, &own, !by_another));
    }
    Ok(plan)
}

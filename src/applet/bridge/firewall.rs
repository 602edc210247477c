//! Rules: what is to be changed, and in which of the kernel's engines.

use super::goal::{Goal, Rules};
use super::programs::{self, Backend, Programs};
use super::seen::{Engine, Seen, chain_of_iptables, family};
use super::{Firewall, Run};
use crate::error::{Error, Result};
use crate::plan::bridge::{Change, Plan};
use crate::plan::nat::choose::Variant;
use crate::plan::nat::{self, forward, forward_by_iptables, iptables, nft};
use crate::types::Cidr;
use crate::types::nft::ChainId;

/// What `Planned::rivals` do.
const RIVAL: &str = "another's rule masquerades pods towards the cluster too";

/// What is to be changed: the new first, what it replaces last.
#[derive(Default)]
pub struct Planned {
    pub new: Plan,
    pub old: Vec<Change>,
    pub engine: Option<Engine>,
    /// What lets pods through, and takes away what let those of an earlier lease.
    pub through: Plan,
    /// Where pods cannot be let through.
    pub obstacles: Vec<String>,
    /// Others' rules that masquerade pods towards the cluster.
    pub rivals: Vec<String>,
}

/// Plans both families.
pub fn plan(run: &mut Run<'_>, seen: Seen, goal: &Goal) -> Result<Planned> {
    let mut planned = Planned::default();
    let wanted = [(true, &goal.rules4), (false, &goal.rules6)];
    let masqueraded = wanted.iter().filter(|(_, rules)| matches!(rules, Rules::Masquerade(_)));
    let families: Vec<bool> = masqueraded.map(|(ipv4, _)| *ipv4).collect();
    let backend = if families.is_empty() { None } else { Some(programs::choose(run, &seen, &families)?) };
    for (ipv4, rules) in wanted {
        match (rules, &backend) {
            (Rules::Masquerade(wanted), Some(backend)) => {
                masquerade(run, &seen, backend, wanted, &mut planned)?;
            }
            (Rules::Remove, _) => planned.old.extend(remove(run, &seen, ipv4, None)?),
            _ => {}
        }
    }
    // What masqueraded an earlier lease goes after its addresses.
    let (old, new) = planned.new.changes.into_iter().partition(|c| c.step.is_last());
    planned.new.changes = new;
    planned.old.splice(0..0, old);
    (planned.through, planned.obstacles) = let_through(run, &seen, &goal.subnets)?;
    planned.engine = seen.engine;
    Ok(planned)
}

fn masquerade(
    run: &mut Run<'_>,
    seen: &Seen,
    backend: &Backend,
    wanted: &nat::Wanted,
    planned: &mut Planned,
) -> Result<()> {
    let ipv4 = wanted.subnet.is_ipv4();
    for chain in nft::others(family(ipv4), &seen.chains) {
        let rules = seen.rules(chain)?;
        planned.rivals.extend(nft::rivals(wanted, &rules).map(|rule| format!("{RIVAL}: {chain}: {rule}")));
    }
    match backend {
        Backend::Nft => {
            let rules = seen.rules(&nft::chain_id(&run.name, family(ipv4)))?;
            planned.new.append(nft::plan(
                &run.name,
                family(ipv4),
                Some(wanted),
                &seen.chains,
                &rules,
                seen.is_dormant(family(ipv4))?,
            ));
        }
        Backend::Iptables(programs) => by_program(run, seen, programs, wanted, planned)?,
    }
    planned.old.extend(remove(run, seen, ipv4, Some(backend))?);
    Ok(())
}

fn by_program(
    run: &mut Run<'_>,
    seen: &Seen,
    programs: &Programs,
    wanted: &nat::Wanted,
    planned: &mut Planned,
) -> Result<()> {
    let ipv4 = wanted.subnet.is_ipv4();
    let program = programs.of(ipv4);
    let listed = programs.list_nat(run, seen, ipv4)?;
    let random_fully = programs::random_fully(run, program, &listed)?;
    let wanted = nat::Wanted { random_fully, ..wanted.clone() };
    planned.new.append(iptables::plan(program, &wanted, &listed));
    if programs.variant == Variant::Legacy {
        let rivals = iptables::rivals(&wanted, &listed).into_iter();
        planned.rivals.extend(rivals.map(|rule| format!("{RIVAL}: {program} nat: {rule}")));
    }
    Ok(())
}

/// Takes the bridge's masquerading away wherever it is, but for one backend's.
fn remove(run: &Run<'_>, seen: &Seen, ipv4: bool, but: Option<&Backend>) -> Result<Vec<Change>> {
    let is = |variant| matches!(but, Some(Backend::Iptables(programs)) if programs.variant == variant);
    let bridge = &run.name;
    let mut changes = Vec::new();
    if !matches!(but, Some(Backend::Nft)) {
        changes.extend(nft::plan(bridge, family(ipv4), None, &seen.chains, &[], false).changes);
    }
    let chain = chain_of_iptables(bridge, ipv4);
    if !is(Variant::Nft) && seen.has_chain(&chain) {
        let jumps = seen.rules(&ChainId { name: "POSTROUTING".into(), ..chain.clone() })?;
        changes.extend(nft::plan_none_of_iptables(&chain, &jumps));
    }
    if !is(Variant::Legacy) && seen.own_legacy(bridge, ipv4) {
        let program = legacy_program(run, ipv4, "masquerades for this bridge")?;
        changes.extend(iptables::plan_none(program, bridge, &run.iptables.list(program, "nat")?));
    }
    Ok(changes)
}

fn legacy_program(run: &Run<'_>, ipv4: bool, does: &str) -> Result<&'static str> {
    Programs::of_variant(run, Variant::Legacy)?.map(|p| p.of(ipv4)).ok_or_else(|| {
        Error::failed(format!(
            "legacy iptables {does}, and there is no iptables program for it: install iptables (iptables-legacy)"
        ))
    })
}

/// Lets pods through wherever forwarding is dropped; no subnets: takes away what let them. The texts are
/// about tables that a running program keeps for itself, as firewalld does from 2.2 on
/// (`NFT_TABLE_F_OWNER`, Linux 5.12).
fn let_through(run: &mut Run<'_>, seen: &Seen, subnets: &[Cidr]) -> Result<(Plan, Vec<String>)> {
    let (mut plan, mut obstacles) = (Plan::default(), Vec::new());
    for chain in forward::chains(&seen.chains) {
        let planned = forward::plan(&run.name, subnets, chain, &seen.rules(&chain.id)?);
        if planned.changes.is_empty() || !seen.is_owned(&chain.id)? {
            plan.append(planned);
            continue;
        }
        obstacles.push(format!(
            "{}: drops what is forwarded, and its table is a running program's own: let the pods through with that program's means (firewalld: firewall-cmd --zone=trusted --add-interface={})",
            chain.id, run.name
        ));
    }
    plan.append(let_through_legacy(run, seen, subnets)?);
    Ok((plan, obstacles))
}

fn let_through_legacy(run: &mut Run<'_>, seen: &Seen, subnets: &[Cidr]) -> Result<Plan> {
    let mut plan = Plan::default();
    for ipv4 in [true, false] {
        let filter = seen.legacy(ipv4).iter().find(|t| t.name == "filter");
        let Some(forward) = filter.and_then(|t| t.forward.as_ref()) else { continue };
        let subnets: Vec<_> = subnets.iter().filter(|s| s.is_ipv4() == ipv4).copied().collect();
        let drops = forward.dropped_by.is_some() && !subnets.is_empty();
        let has_own = forward.comments.contains(&nat::comment(&run.name));
        if !drops && !has_own {
            continue;
        }
        let does = if drops { "drops what is forwarded" } else { "has rules of kboot's" };
        let program = legacy_program(run, ipv4, does)?;
        let listed = run.iptables.list(program, "filter")?;
        let planned = forward_by_iptables::plan(program, &run.name, &subnets, &listed);
        if drops && planned == Plan::default() {
            run.report.warn(format!(
                "{program}: a chain that FORWARD jumps to drops all it does not know, pods' packets too: accept them there"
            ));
        }
        plan.append(planned);
    }
    Ok(plan)
}

/// Takes all of the bridge's rules away: first what lets packets through, last what masquerades them.
pub fn none(run: &mut Run<'_>) -> Result<(Plan, Vec<Change>, Option<Engine>)> {
    if run.args.firewall == Firewall::None {
        return Ok((Plan::default(), Vec::new(), None));
    }
    let seen = Seen::look(run)?;
    let (closing, _) = let_through(run, &seen, &[])?;
    let mut masquerading = Vec::new();
    for ipv4 in [true, false] {
        masquerading.extend(remove(run, &seen, ipv4, None)?);
    }
    Ok((closing, masquerading, seen.engine))
}

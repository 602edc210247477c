//! Rules: what is there in each of the kernel's engines, and what is to be changed where.

use std::cell::{Cell, RefCell};

use super::goal::{Goal, Rules};
use super::programs::{self, Backend};
use super::{Firewall, Run};
use crate::applet::kernel_module;
use crate::error::{Error, Result};
use crate::plan::bridge::{Change, Plan};
use crate::plan::nat::choose::{self, Variant};
use crate::plan::nat::{self, forward, forward_by_iptables, iptables, nft};
use crate::sys::nft::Nft;
use crate::sys::xtables::{self, Table};
use crate::types::IfName;
use crate::types::nft::{Chain, ChainId, Command, Family, Rule};

/// nf_tables, with what was last seen of it.
pub struct Engine {
    nft: RefCell<Nft>,
    is_fresh: Cell<bool>,
}

impl Engine {
    /// Notes that something else changed rules.
    pub fn is_stale(&self) {
        self.is_fresh.set(false);
    }

    /// One transaction. Whatever another program changed since the look refuses it.
    pub fn apply(&self, commands: &[Command]) -> Result<(), (usize, Error)> {
        let mut nft = self.nft.borrow_mut();
        if !self.is_fresh.replace(false) {
            nft.look().map_err(|e| (0, e))?;
        }
        let mut done = nft.apply(commands);
        if done.as_ref().is_err_and(|r| r.lacks_module)
            && kernel_module::bring(&["nft_chain_nat", "nft_masq"])
        {
            done = nft.apply(commands);
        }
        done.map_err(|refused| {
            let error = if refused.changed_meanwhile { refused.error.meanwhile() } else { refused.error };
            (refused.index.unwrap_or_default(), error)
        })
    }
}

/// What is there in both engines.
pub struct Seen {
    engine: Option<Engine>,
    chains: Vec<Chain>,
    legacy4: Vec<Table>,
    legacy6: Vec<Table>,
}

fn family(ipv4: bool) -> Family {
    if ipv4 { Family::Ip } else { Family::Ip6 }
}

fn chain_of_iptables(bridge: &IfName, ipv4: bool) -> ChainId {
    ChainId { family: family(ipv4), table: "nat".into(), name: iptables::chain(bridge) }
}

impl Seen {
    /// Looks, without any program.
    pub fn look(run: &mut Run<'_>) -> Result<Self> {
        let mut nft = Nft::open()?;
        if nft.is_none() && !run.is_look_only() && kernel_module::bring(&["nf_tables"]) {
            nft = Nft::open()?;
        }
        let chains = nft.as_ref().map(|n| n.chains().to_vec()).unwrap_or_default();
        let engine = nft.map(|nft| Engine { nft: RefCell::new(nft), is_fresh: Cell::new(true) });
        let mut legacy = |ipv4| {
            xtables::tables(ipv4).unwrap_or_else(|error| {
                run.report.warn(format!("legacy iptables' rules cannot be seen: {error}"));
                Vec::new()
            })
        };
        let (legacy4, legacy6) = (legacy(true), legacy(false));
        Ok(Self { engine, chains, legacy4, legacy6 })
    }

    pub fn has_nft(&self) -> bool {
        self.engine.is_some()
    }

    fn legacy(&self, ipv4: bool) -> &[Table] {
        if ipv4 { &self.legacy4 } else { &self.legacy6 }
    }

    fn has_chain(&self, id: &ChainId) -> bool {
        self.chains.iter().any(|c| c.id == *id)
    }

    /// Whether kboot's own table has rules for the bridge.
    pub fn own_table(&self, bridge: &IfName) -> bool {
        [true, false].iter().any(|ipv4| self.has_chain(&nft::chain_id(bridge, family(*ipv4))))
    }

    fn own_legacy(&self, bridge: &IfName, ipv4: bool) -> bool {
        let name = iptables::chain(bridge);
        self.legacy(ipv4).iter().any(|t| t.name == "nat" && t.chains.contains(&name))
    }

    /// Whether iptables of that kind has that table here: listing one that is not there would make it.
    pub fn has_table_of_iptables(&self, variant: Variant, ipv4: bool, table: &str) -> bool {
        match variant {
            Variant::Legacy => self.legacy(ipv4).iter().any(|t| t.name == table),
            Variant::Nft => self.chains.iter().any(|c| c.id.family == family(ipv4) && c.id.table == table),
        }
    }

    fn rules(&self, chain: &ChainId) -> Result<Vec<Rule>> {
        self.engine.as_ref().map_or_else(|| Ok(Vec::new()), |e| e.nft.borrow().rules(chain))
    }

    /// What the two engines have of iptables.
    pub fn engines(&self) -> Result<(choose::Engine, choose::Engine)> {
        let tables = self.legacy4.iter().chain(&self.legacy6);
        let mut legacy = choose::Engine::default();
        for table in tables {
            legacy.used |= table.rules > 0 || table.forward.as_ref().is_some_and(|f| f.dropped_by.is_some());
            legacy.chains.extend(table.chains.iter().cloned());
        }
        let mut nft = choose::Engine::default();
        for chain in self.chains.iter().filter(|c| choose::is_of_iptables(&c.id)) {
            nft.used |= choose::is_use(chain) || !self.rules(&chain.id)?.is_empty();
            nft.chains.push(chain.id.name.clone());
        }
        Ok((legacy, nft))
    }
}

/// What is to be changed: the new first, what it replaces last.
#[derive(Default)]
pub struct Planned {
    pub new: Plan,
    pub old: Vec<Change>,
    pub engine: Option<Engine>,
}

/// Plans both families.
pub fn plan(run: &mut Run<'_>, goal: &Goal) -> Result<Planned> {
    if run.args.firewall == Firewall::None {
        return Ok(Planned::default());
    }
    let seen = Seen::look(run)?;
    let mut planned = Planned::default();
    let masquerades = [&goal.rules4, &goal.rules6].iter().any(|r| matches!(r, Rules::Masquerade(_)));
    let backend = if masquerades { Some(programs::choose(run, &seen)?) } else { None };
    for (ipv4, rules) in [(true, &goal.rules4), (false, &goal.rules6)] {
        match (rules, &backend) {
            (Rules::Masquerade(wanted), Some(backend)) => {
                masquerade(run, &seen, backend, wanted, &mut planned)?;
            }
            (Rules::Remove, _) => planned.old.extend(remove(run, &seen, ipv4, None)?),
            _ => {}
        }
    }
    let is_forwarding =
        |ipv4| !matches!(if ipv4 { &goal.rules4 } else { &goal.rules6 }, Rules::Leave) || goal.has(ipv4);
    let subnets: Vec<_> = goal.subnets.iter().filter(|s| is_forwarding(s.is_ipv4())).copied().collect();
    planned.new.append(let_through(run, &seen, &subnets)?);
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
    match backend {
        Backend::Nft => {
            let rules = seen.rules(&nft::chain_id(&run.name, family(ipv4)))?;
            planned.new.append(nft::plan(&run.name, family(ipv4), Some(wanted), &seen.chains, &rules));
            planned.old.extend(remove(run, seen, ipv4, Some(Place::Table))?);
        }
        Backend::Iptables(four, six) => {
            let program = if ipv4 { *four } else { *six };
            let listed = run.iptables.list(program, "nat")?;
            let random_fully = programs::random_fully(run, program, &listed)?;
            let wanted = nat::Wanted { random_fully, ..wanted.clone() };
            planned.new.append(iptables::plan(program, &wanted, &listed));
            for rival in iptables::rivals(&wanted, &listed) {
                run.report.warn(format!(
                    "{program}: another rule masquerades the pod network, towards the cluster too: {rival}"
                ));
            }
            let has = |chain: &str| listed.iter().any(|l| l.strip_prefix("-N ") == Some(chain));
            let own = iptables::chain(&run.name);
            // The engine that the program speaks to is the one where its chain is, or will be.
            let here = if seen.own_legacy(&run.name, ipv4) && has(&own) {
                Place::Legacy
            } else {
                Place::IptablesNft
            };
            let here = if has(&own) { here } else { Place::Nowhere };
            planned.old.extend(remove(run, seen, ipv4, Some(here))?);
        }
    }
    Ok(())
}

/// Where masquerading rules of kboot's may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Table,
    IptablesNft,
    Legacy,
    Nowhere,
}

/// Takes the bridge's masquerading away wherever it is, but for one place.
fn remove(run: &Run<'_>, seen: &Seen, ipv4: bool, but: Option<Place>) -> Result<Vec<Change>> {
    let bridge = &run.name;
    let mut changes = Vec::new();
    if but != Some(Place::Table) {
        changes.extend(nft::plan(bridge, family(ipv4), None, &seen.chains, &[]).changes);
    }
    let chain = chain_of_iptables(bridge, ipv4);
    if but != Some(Place::IptablesNft) && seen.has_chain(&chain) {
        let jumps = seen.rules(&ChainId { name: "POSTROUTING".into(), ..chain.clone() })?;
        changes.extend(nft::plan_none_of_iptables(&chain, &jumps));
    }
    if but != Some(Place::Legacy) && seen.own_legacy(bridge, ipv4) {
        let program = legacy_program(ipv4, "masquerades for this bridge")?;
        changes.extend(iptables::plan_none(program, bridge, &run.iptables.list(program, "nat")?));
    }
    Ok(changes)
}

fn legacy_program(ipv4: bool, does: &str) -> Result<&'static str> {
    let programs = programs::of_variant(Variant::Legacy);
    programs.map(|(four, six)| if ipv4 { four } else { six }).ok_or_else(|| {
        Error::failed(format!(
            "legacy iptables {does}, and there is no iptables program for it: install iptables (iptables-legacy)"
        ))
    })
}

/// Lets pods through wherever forwarding is dropped; no subnets: takes away what let them.
pub fn let_through(run: &Run<'_>, seen: &Seen, subnets: &[crate::types::Cidr]) -> Result<Plan> {
    let mut rules = Vec::new();
    for chain in forward::chains(&seen.chains) {
        rules.extend(seen.rules(&chain.id)?);
    }
    let mut plan = forward::plan(&run.name, subnets, &seen.chains, &rules);
    for ipv4 in [true, false] {
        let filter = seen.legacy(ipv4).iter().find(|t| t.name == "filter");
        let Some(forward) = filter.and_then(|t| t.forward.as_ref()) else { continue };
        let subnets: Vec<_> = subnets.iter().filter(|s| s.is_ipv4() == ipv4).copied().collect();
        let drops = forward.dropped_by.is_some() && !subnets.is_empty();
        if forward.rules == 0 && !drops {
            continue;
        }
        match legacy_program(ipv4, "drops what is forwarded") {
            Ok(program) => {
                let listed = run.iptables.list(program, "filter")?;
                plan.append(forward_by_iptables::plan(program, &run.name, &subnets, &listed));
            }
            Err(error) if drops => return Err(error),
            // Rules that drop nothing, of whoever.
            Err(_) => {}
        }
    }
    Ok(plan)
}

/// Takes all of the bridge's rules away: first what lets packets through, last what masquerades them.
pub fn none(run: &mut Run<'_>) -> Result<(Plan, Vec<Change>, Option<Engine>)> {
    let seen = Seen::look(run)?;
    let closing = let_through(run, &seen, &[])?;
    let mut masquerading = Vec::new();
    for ipv4 in [true, false] {
        masquerading.extend(remove(run, &seen, ipv4, None)?);
    }
    Ok((closing, masquerading, seen.engine))
}

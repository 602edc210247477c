//! What is there of rules in both of the kernel's engines, seen without any program.

use std::cell::{Cell, RefCell};

use super::Run;
use crate::applet::kernel_module;
use crate::error::{Error, Result};
use crate::plan::nat::choose::{self, Variant};
use crate::plan::nat::{iptables, nft};
use crate::sys::nft::Nft;
use crate::sys::xtables::{self, Table};
use crate::types::IfName;
use crate::types::nft::{Chain, ChainId, Command, Family, OWN_TABLE, Rule};

/// nf_tables, with what was last seen of it.
pub struct Engine {
    nft: RefCell<Nft>,
    is_fresh: Cell<bool>,
}

/// What tables, chains of type nat, masquerading and counters are in, in all kernels from 3.18 on.
const NFT_MODULES: [&str; 9] = [
    "nf_tables_ipv4",
    "nf_tables_ipv6",
    "nft_chain_nat",
    "nft_chain_nat_ipv4",
    "nft_chain_nat_ipv6",
    "nft_masq",
    "nft_masq_ipv4",
    "nft_masq_ipv6",
    "nft_counter",
];

impl Engine {
    /// Notes that something else changed rules.
    pub fn is_stale(&self) {
        self.is_fresh.set(false);
    }

    /// One transaction. The first after a look is refused if anybody changed anything since then. Before a
    /// later one the generation is asked for anew, and what others changed in between goes unnoticed: it
    /// names what it changes by handles, which are never given twice.
    pub fn apply(&self, commands: &[Command]) -> Result<(), (usize, Error)> {
        let mut nft = self.nft.borrow_mut();
        if !self.is_fresh.replace(false) {
            nft.look().map_err(|e| (0, e))?;
        }
        let mut done = nft.apply(commands);
        if done.as_ref().is_err_and(|r| r.lacks_module) && kernel_module::bring(&NFT_MODULES) {
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
    pub engine: Option<Engine>,
    pub chains: Vec<Chain>,
    legacy4: Vec<Table>,
    legacy6: Vec<Table>,
    /// What programs have listed of nat.
    listed: RefCell<Vec<(&'static str, Vec<String>)>>,
}

pub fn family(ipv4: bool) -> Family {
    if ipv4 { Family::Ip } else { Family::Ip6 }
}

pub fn chain_of_iptables(bridge: &IfName, ipv4: bool) -> ChainId {
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
        let (legacy4, legacy6) = match (xtables::tables(true), xtables::tables(false)) {
            (Ok(four), Ok(six)) => (four, six),
            (Err(error), _) | (_, Err(error)) if error.meanwhile => return Err(error),
            (Err(error), _) | (_, Err(error)) => {
                run.report.warn(format!("legacy iptables' rules cannot be seen: {error}"));
                (Vec::new(), Vec::new())
            }
        };
        Ok(Self { engine, chains, legacy4, legacy6, listed: RefCell::default() })
    }

    /// Whether the kernel has nf_tables.
    pub fn has_nft(&self) -> bool {
        self.engine.is_some()
    }

    /// One family's legacy tables.
    pub fn legacy(&self, ipv4: bool) -> &[Table] {
        if ipv4 { &self.legacy4 } else { &self.legacy6 }
    }

    /// Whether nf_tables has that chain.
    pub fn has_chain(&self, id: &ChainId) -> bool {
        self.chains.iter().any(|c| c.id == *id)
    }

    /// Whether kboot's own table has rules for the bridge.
    pub fn own_table(&self, bridge: &IfName) -> bool {
        [true, false].iter().any(|ipv4| self.has_chain(&nft::chain_id(bridge, family(*ipv4))))
    }

    /// Whether legacy iptables has kboot's chain for the bridge.
    pub fn own_legacy(&self, bridge: &IfName, ipv4: bool) -> bool {
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

    /// Whether iptables of that kind has a chain of that name in any table.
    pub fn has_chain_of_iptables(&self, variant: Variant, ipv4: bool, name: &str) -> bool {
        match variant {
            Variant::Legacy => self.legacy(ipv4).iter().any(|t| t.chains.iter().any(|c| c == name)),
            Variant::Nft => self.chains.iter().any(|c| c.id.family == family(ipv4) && c.id.name == name),
        }
    }

    /// The lines of `PROGRAM -t nat -S`, asked for once.
    pub fn nat_by(&self, run: &Run<'_>, program: &'static str) -> Result<Vec<String>> {
        let mut listed = self.listed.borrow_mut();
        if let Some((_, lines)) = listed.iter().find(|(p, _)| *p == program) {
            return Ok(lines.clone());
        }
        let lines = run.iptables.list(program, "nat")?;
        listed.push((program, lines.clone()));
        Ok(lines)
    }

    /// Whether kboot's table of that family is there and switched off.
    pub fn is_dormant(&self, family: Family) -> Result<bool> {
        let is_there = self.chains.iter().any(|c| c.id.family == family && c.id.table == OWN_TABLE);
        match &self.engine {
            Some(engine) if is_there => engine.nft.borrow().is_dormant(family, OWN_TABLE),
            _ => Ok(false),
        }
    }

    /// Whether a running program keeps the chain's table for itself.
    pub fn is_owned(&self, chain: &ChainId) -> Result<bool> {
        let owned = |e: &Engine| e.nft.borrow().is_owned(chain.family, &chain.table);
        self.engine.as_ref().map_or(Ok(false), owned)
    }

    /// One chain's rules.
    pub fn rules(&self, chain: &ChainId) -> Result<Vec<Rule>> {
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

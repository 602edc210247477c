//! Masquerading in an own nf_tables table: `kboot`, in each of the families ip and ip6, with one base
//! chain for each bridge and in it one rule for each subnet.

#[cfg(test)]
mod tests;

use super::{Wanted, comment};
use crate::plan::bridge::{Change, Plan, Step};
use crate::types::IfName;
use crate::types::nft::{Base, Chain, ChainId, Command, Expr, Family, OWN_TABLE, Policy, Rule};

/// The chain without rules that old kernels need; all bridges share it.
const PREROUTING: &str = "prerouting";

impl Plan {
    pub(super) fn command(&mut self, command: Command, why: impl Into<String>) {
        self.changes.push(Change::new(Step::Nft(command), why));
    }
}

/// The bridge's chain: whose rules `plan` has to be given. At most 27 bytes: the kernel takes 31 before
/// Linux 4.14.
pub fn chain_id(bridge: &IfName, family: Family) -> ChainId {
    ChainId { family, table: OWN_TABLE.to_owned(), name: format!("postrouting-{bridge}") }
}

/// Plans one family, `Ip` or `Ip6`, from all chains and the rules of the bridge's. Nothing wanted, or
/// no subnet of this family, takes away what an earlier run left. The order of the rules does not
/// matter: what any of them matches is masqueraded. `is_dormant`: the table is there, and switched off.
pub fn plan(
    bridge: &IfName,
    family: Family,
    wanted: Option<&Wanted>,
    chains: &[Chain],
    rules: &[Rule],
    is_dormant: bool,
) -> Plan {
    let id = chain_id(bridge, family);
    let found = chains.iter().find(|c| c.id == id);
    let in_table: Vec<&Chain> =
        chains.iter().filter(|c| c.id.family == family && c.id.table == OWN_TABLE).collect();
    let alone = !in_table.iter().any(|c| c.id != id && c.id.name != PREROUTING);
    let rules_wanted: Vec<Rule> = wanted.map(|w| rule(w, &id)).into_iter().collect();
    let mut plan = Plan::default();
    if rules_wanted.is_empty() {
        match found {
            Some(_) if alone => {
                plan.command(
                    Command::DeleteTable(family, OWN_TABLE.into()),
                    format!("{family} {OWN_TABLE}: not wanted"),
                );
            }
            Some(_) => plan.command(Command::DeleteChain(id.clone()), format!("{id}: not wanted")),
            None => {}
        }
        return plan;
    }
    if is_dormant {
        // Adding it, without that flag, wakes it up.
        plan.command(
            Command::AddTable(family, OWN_TABLE.into()),
            format!("{family} {OWN_TABLE}: is dormant"),
        );
    }
    if in_table.is_empty() {
        plan.command(Command::AddTable(family, OWN_TABLE.into()), format!("{family} {OWN_TABLE}: missing"));
    }
    if wanted.is_some_and(|w| w.needs_prerouting) {
        let id = ChainId { name: PREROUTING.into(), ..id.clone() };
        let there = in_table.iter().copied().find(|c| c.id == id);
        plan_chain(&mut plan, &id, Base::PREROUTING, -100, there);
    }
    let kept = plan_chain(&mut plan, &id, Base::POSTROUTING, 100, found);
    let there = rules.iter().filter(|r| kept && r.chain == id).collect();
    plan_rules(&mut plan, &rules_wanted, there);
    plan
}

/// Whether the chain that is there stays.
fn plan_chain(plan: &mut Plan, id: &ChainId, hook: u32, priority: i32, found: Option<&Chain>) -> bool {
    let base = Base { kind: "nat".into(), hook, priority, policy: Policy::Accept };
    let wanted = Chain { id: id.clone(), base: Some(base.clone()) };
    match found {
        Some(found) if *found == wanted => {
            plan.already += 1;
            return true;
        }
        Some(found) => {
            let is = found.base.as_ref().map_or("hung nowhere".to_owned(), ToString::to_string);
            let why = format!("{id}: is {is} instead of {base}");
            plan.command(Command::DeleteChain(id.clone()), &why);
            plan.command(Command::AddChain(wanted), &why);
        }
        None => plan.command(Command::AddChain(wanted), format!("{id}: missing")),
    }
    false
}

fn plan_rules(plan: &mut Plan, wanted: &[Rule], mut there: Vec<&Rule>) {
    for rule in wanted {
        if let Some(at) = there.iter().position(|r| r.is_same(rule)) {
            there.remove(at);
            plan.already += 1;
        } else {
            let why = format!("{}: a rule is missing: {rule}", rule.chain);
            plan.command(Command::AddRule(rule.clone()), why);
        }
    }
    for rule in there {
        let fault =
            if wanted.iter().any(|w| w.is_same(rule)) { "there twice" } else { "a rule that is not wanted" };
        let why = format!("{}: {fault}: {rule}", rule.chain);
        plan.command(Command::DeleteRule(rule.chain.clone(), rule.handle), why);
    }
}

fn rule(wanted: &Wanted, id: &ChainId) -> Rule {
    let mut exprs = vec![Expr::Address { dest: false, not: false, network: wanted.subnet.network() }];
    let kept = wanted.kept().into_iter();
    exprs.extend(kept.map(|network| Expr::Address { dest: true, not: true, network }));
    let out = wanted.out_interface.clone();
    exprs.extend(out.map(|name| Expr::Link { out: true, not: false, name }));
    exprs.push(Expr::Masquerade { random_fully: wanted.random_fully });
    Rule { chain: id.clone(), handle: 0, exprs, comment: Some(comment(&wanted.bridge)) }
}

/// Takes away the masquerading that iptables-nft made for kboot, without that program: the jumps to
/// its chain among the rules of POSTROUTING, then the chain.
pub fn plan_none_of_iptables(chain: &ChainId, postrouting: &[Rule]) -> Vec<Change> {
    let mut plan = Plan::default();
    let why = format!("{chain}: of another backend, or not wanted");
    for rule in postrouting.iter().filter(|r| r.exprs.contains(&Expr::Jump(chain.name.clone()))) {
        plan.command(Command::DeleteRule(rule.chain.clone(), rule.handle), &why);
    }
    plan.command(Command::DeleteChain(chain.clone()), &why);
    plan.changes
}

/// The chains that may masquerade besides kboot's own.
pub fn others(family: Family, chains: &[Chain]) -> impl Iterator<Item = &ChainId> {
    let translates = move |c: &&Chain| {
        c.base.as_ref().is_some_and(|b| b.kind == "nat" && b.hook == Base::POSTROUTING)
            && [family, Family::Inet].contains(&c.id.family)
            && c.id.table != OWN_TABLE
    };
    chains.iter().filter(translates).map(|c| &c.id)
}

/// Others' rules that masquerade what comes from the pod network, towards the cluster too: docker's for a
/// bridge with its own masquerading, or a boot script's.
pub fn rivals<'r>(wanted: &Wanted, rules: &'r [Rule]) -> impl Iterator<Item = &'r Rule> {
    let from = Expr::Address { dest: false, not: false, network: wanted.subnet.network() };
    rules.iter().filter(move |r| {
        let masks = |e: &Expr| match e {
            Expr::Masquerade { .. } => true,
            Expr::Target(name) => name == "MASQUERADE" || name == "SNAT",
            _ => false,
        };
        r.exprs.contains(&from)
            && r.exprs.iter().any(masks)
            && !r.exprs.iter().any(|e| matches!(e, Expr::Address { dest: true, .. }))
    })
}

//! Masquerading in an own nf_tables table: `kboot`, in each of the families ip and ip6, with one base
//! chain for each bridge and in it one rule for each subnet.

use super::{Wanted, comment};
use crate::plan::bridge::{Change, Plan, Step};
use crate::types::nft::{Base, Chain, ChainId, Command, Expr, Family, Policy, Rule};
use crate::types::{Cidr, IfName};

/// kboot's own table.
pub const TABLE: &str = "kboot";

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
    ChainId { family, table: TABLE.to_owned(), name: format!("postrouting-{bridge}") }
}

/// Plans one family, `Ip` or `Ip6`, from all chains and the rules of the bridge's. Nothing wanted, or
/// no subnet of this family, takes away what an earlier run left. The order of the rules does not
/// matter: what any of them matches is masqueraded.
pub fn plan(
    bridge: &IfName,
    family: Family,
    wanted: Option<&Wanted>,
    chains: &[Chain],
    rules: &[Rule],
) -> Plan {
    let id = chain_id(bridge, family);
    let found = chains.iter().find(|c| c.id == id);
    let in_table: Vec<&Chain> =
        chains.iter().filter(|c| c.id.family == family && c.id.table == TABLE).collect();
    let alone = !in_table.iter().any(|c| c.id != id && c.id.name != PREROUTING);
    let rules_wanted: Vec<Rule> = wanted.map(|w| rule(w, &id)).into_iter().collect();
    let mut plan = Plan::default();
    if rules_wanted.is_empty() {
        match found {
            Some(_) if alone => {
                plan.command(
                    Command::DeleteTable(family, TABLE.into()),
                    format!("{family} {TABLE}: not wanted"),
                );
            }
            Some(_) => plan.command(Command::DeleteChain(id.clone()), format!("{id}: not wanted")),
            None => {}
        }
        return plan;
    }
    if in_table.is_empty() {
        plan.command(Command::AddTable(family, TABLE.into()), format!("{family} {TABLE}: missing"));
    }
    if wanted.is_some_and(|w| w.needs_prerouting) {
        let id = ChainId { name: PREROUTING.into(), ..id.clone() };
        let there = in_table.iter().copied().find(|c| c.id == id);
        plan_chain(&mut plan, &id, Base::PREROUTING, -100, there);
    }
    let kept = plan_chain(&mut plan, &id, Base::POSTROUTING, 100, found);
    let there = rules.iter().filter(|r| kept && r.chain == id).collect();
    plan_rules(&mut plan, rules_wanted, there);
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
            plan.command(Command::DeleteChain(id.clone()), format!("{id}: is {is} instead of {base}"));
            plan.command(Command::AddChain(wanted), format!("{id}: made anew"));
        }
        None => plan.command(Command::AddChain(wanted), format!("{id}: missing")),
    }
    false
}

fn plan_rules(plan: &mut Plan, wanted: Vec<Rule>, mut there: Vec<&Rule>) {
    for rule in wanted {
        if let Some(at) = there.iter().position(|r| r.is_same(&rule)) {
            there.remove(at);
            plan.already += 1;
        } else {
            let why = format!("{}: a rule is missing: {rule}", rule.chain);
            plan.command(Command::AddRule(rule), why);
        }
    }
    // Among them the second one of two that are the same.
    for rule in there {
        let why = format!("{}: a rule that is not wanted: {rule}", rule.chain);
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
    let why = format!("{chain}: masquerades");
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
            && c.id.table != TABLE
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

/// The networks of that family, each once.
pub(super) fn of(family: Family, list: &[Cidr]) -> Vec<Cidr> {
    let mut networks: Vec<Cidr> = Vec::new();
    for network in list.iter().map(Cidr::network) {
        if network.is_ipv4() == (family == Family::Ip) && !networks.contains(&network) {
            networks.push(network);
        }
    }
    networks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(subnet: &str, cluster: &str, out: Option<&str>) -> Wanted {
        Wanted {
            bridge: bridge(),
            subnet: subnet.parse().unwrap(),
            cluster: cluster.split(' ').filter_map(|c| c.parse().ok()).collect(),
            out_interface: out.map(|o| o.parse().unwrap()),
            random_fully: true,
            needs_prerouting: false,
        }
    }

    fn bridge() -> IfName {
        "br-pods".parse().unwrap()
    }

    fn lines(plan: &Plan) -> Vec<String> {
        plan.changes.iter().map(|c| c.step.to_string()).collect()
    }

    /// What the kernel has once that plan is carried out where there was nothing.
    fn done(wanted: &Wanted, family: Family) -> (Vec<Chain>, Vec<Rule>) {
        let (mut chains, mut rules) = (Vec::new(), Vec::new());
        for change in plan(&bridge(), family, Some(wanted), &[], &[]).changes {
            match change.step {
                Step::Nft(Command::AddChain(chain)) => chains.push(chain),
                Step::Nft(Command::AddRule(rule)) => {
                    rules.push(Rule { handle: rules.len() as u64 + 2, ..rule });
                }
                _ => {}
            }
        }
        (chains, rules)
    }

    #[test]
    fn from_nothing() {
        let four = wanted("10.7.3.1/24", "10.7.0.0/16", Some("eth0"));
        let six = wanted("fd00:7::1/64", "fd00:9::/48", Some("eth0"));
        let lines = |family, wanted| lines(&plan(&bridge(), family, Some(wanted), &[], &[]));
        assert_eq!(
            lines(Family::Ip, &four),
            [
                "nft add table ip kboot",
                "nft 'add chain ip kboot postrouting-br-pods { type nat hook postrouting priority 100 ; policy accept ; }'",
                "nft 'add rule ip kboot postrouting-br-pods ip saddr 10.7.3.0/24 ip daddr != 224.0.0.0/4 ip daddr != 10.7.0.0/16 oifname \"eth0\" masquerade fully-random comment \"kboot-br-pods\"'",
            ]
        );
        // Outside the cluster's networks its own addresses stay as they are too.
        assert_eq!(
            lines(Family::Ip6, &six)[2],
            "nft 'add rule ip6 kboot postrouting-br-pods ip6 saddr fd00:7::/64 ip6 daddr != ff00::/8 ip6 daddr != fd00:9::/48 ip6 daddr != fd00:7::/64 oifname \"eth0\" masquerade fully-random comment \"kboot-br-pods\"'"
        );
    }

    #[test]
    fn done_is_done_in_whatever_order() {
        let wanted = wanted("172.20.7.1/22", "10.7.0.0/16 10.9.0.0/16", Some("eth0"));
        let (chains, mut rules) = done(&wanted, Family::Ip);
        rules[0].exprs.swap(0, 2);
        let plan = plan(&bridge(), Family::Ip, Some(&wanted), &chains, &rules);
        assert_eq!(plan, Plan { changes: vec![], already: 2 });
    }

    #[test]
    fn old_kernels_get_a_chain_at_prerouting() {
        let old = Wanted { needs_prerouting: true, ..wanted("10.7.3.1/24", "10.7.0.0/16", None) };
        let found = plan(&bridge(), Family::Ip, Some(&old), &[], &[]);
        assert_eq!(
            lines(&found)[1],
            "nft 'add chain ip kboot prerouting { type nat hook prerouting priority -100 ; policy accept ; }'"
        );
        let (chains, rules) = done(&old, Family::Ip);
        let again = plan(&bridge(), Family::Ip, Some(&old), &chains, &rules);
        assert_eq!(again, Plan { changes: vec![], already: 3 });
        let gone = plan(&bridge(), Family::Ip, None, &chains, &rules);
        assert_eq!(lines(&gone), ["nft delete table ip kboot"]);
    }

    #[test]
    fn who_else_masquerades() {
        let wanted = wanted("10.7.3.1/24", "10.7.0.0/16", None);
        let chain = ChainId { family: Family::Ip, table: "nat".into(), name: "POSTROUTING".into() };
        let at = |dest, network: &str| Expr::Address { dest, not: dest, network: network.parse().unwrap() };
        let rule = |exprs: Vec<Expr>| Rule { chain: chain.clone(), handle: 1, exprs, comment: None };
        let masquerade = || Expr::Target("MASQUERADE".into());
        let dockers = rule(vec![at(false, "10.7.3.0/24"), Expr::Counter, masquerade()]);
        let careful = rule(vec![at(false, "10.7.3.0/24"), at(true, "10.7.0.0/16"), masquerade()]);
        let elsewhere = rule(vec![at(false, "172.17.0.0/16"), masquerade()]);
        let rules = [careful, dockers.clone(), elsewhere];
        assert_eq!(rivals(&wanted, &rules).collect::<Vec<_>>(), [&dockers]);
    }

    #[test]
    fn what_iptables_made_goes_without_it() {
        let nat = |name: &str| ChainId { family: Family::Ip, table: "nat".into(), name: name.into() };
        let jump = |handle, to: &str| Rule {
            chain: nat("POSTROUTING"),
            handle,
            exprs: vec![Expr::Counter, Expr::Jump(to.into())],
            comment: None,
        };
        let rules = [jump(4, "KUBE-POSTROUTING"), jump(7, "KBOOT-cbr0")];
        let changes = plan_none_of_iptables(&nat("KBOOT-cbr0"), &rules);
        let lines: Vec<String> = changes.iter().map(|c| c.step.to_string()).collect();
        assert_eq!(
            lines,
            ["nft delete rule ip nat POSTROUTING handle 7", "nft delete chain ip nat KBOOT-cbr0"]
        );
    }

    #[test]
    fn what_differs_is_replaced_and_no_more() {
        let (chains, mut rules) = done(&wanted("10.7.3.1/24", "10.7.0.0/16", None), Family::Ip);
        rules.push(Rule { handle: 9, ..rules[0].clone() });
        let moved = wanted("10.7.4.1/24", "10.7.0.0/16", None);
        let found = plan(&bridge(), Family::Ip, Some(&moved), &chains, &rules);
        assert!(
            lines(&found)[0].contains("add rule")
                && found.changes[0].why.contains("is missing: ip saddr 10.7.4.0/24")
        );
        assert_eq!(lines(&found)[1], "nft delete rule ip kboot postrouting-br-pods handle 2");
        assert!(
            found.changes[1]
                .why
                .starts_with("ip kboot postrouting-br-pods: a rule that is not wanted: ip saddr 10.7.3.0/24")
        );
        let same = wanted("10.7.3.1/24", "10.7.0.0/16", None);
        let doubled = plan(&bridge(), Family::Ip, Some(&same), &chains, &rules);
        assert_eq!(lines(&doubled), ["nft delete rule ip kboot postrouting-br-pods handle 9"]);
    }

    #[test]
    fn a_chain_at_another_place_is_made_anew_with_its_rules() {
        let same = wanted("10.7.3.1/24", "", None);
        let (mut chains, rules) = done(&same, Family::Ip);
        chains[0].base.as_mut().unwrap().priority = 50;
        let found = plan(&bridge(), Family::Ip, Some(&same), &chains, &rules);
        assert_eq!((lines(&found).len(), found.already), (3, 0));
        assert_eq!(lines(&found)[0], "nft delete chain ip kboot postrouting-br-pods");
    }

    #[test]
    fn the_last_one_takes_the_table_along() {
        let (mut chains, rules) = done(&wanted("10.7.3.1/24", "", None), Family::Ip);
        let away = |chains: &[Chain]| lines(&plan(&bridge(), Family::Ip, None, chains, &rules));
        assert_eq!(away(&chains), ["nft delete table ip kboot"]);
        assert!(away(&[]).is_empty());
        chains.push(Chain { id: chain_id(&"cbr0".parse().unwrap(), Family::Ip), base: None });
        assert_eq!(away(&chains), ["nft delete chain ip kboot postrouting-br-pods"]);
    }
}

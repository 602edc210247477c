//! Forwarding through filters that drop what they do not know. What one base chain accepts another
//! may still drop, so an accept in a table of kboot's own would change nothing: it has to stand in the
//! chain that drops. That is docker's (policy drop since 1.13), ufw's, firewalld's, an administrator's.
//!
//! Only what a base chain itself drops is looked at. A chain that it jumps to may drop too, before
//! kboot's rules: that is its maker's will, and nothing is done about it.

use super::comment;
use crate::plan::bridge::Plan;
use crate::types::nft::{Base, Chain, Command, Expr, Family, Policy, Rule};
use crate::types::{Cidr, IfName};

/// The base chains that forwarded IP packets pass.
pub fn chains(all: &[Chain]) -> impl Iterator<Item = &Chain> {
    all.iter().filter(|c| {
        matches!(c.id.family, Family::Ip | Family::Ip6 | Family::Inet)
            && c.base.as_ref().is_some_and(|b| b.hook == Base::FORWARD)
    })
}

/// Plans one of them. If it drops, two rules for each subnet; if not, and without subnets, what an earlier
/// run left goes. A rule is the bridge's by its comment, whether nft or iptables wrote it.
pub fn plan(bridge: &IfName, subnets: &[Cidr], chain: &Chain, has: &[Rule]) -> Plan {
    let mut plan = Plan::default();
    let mut ours: Vec<(usize, &Rule)> = has.iter().enumerate().collect();
    ours.retain(|(_, r)| r.comment.as_deref() == Some(&comment(bridge)));
    for family in
        [Family::Ip, Family::Ip6].into_iter().filter(|f| [*f, Family::Inet].contains(&chain.id.family))
    {
        let (end, drops) = end(family, chain, has);
        for rule in
            of(family, subnets).into_iter().filter(|_| drops).flat_map(|s| accepts(bridge, s, family, chain))
        {
            if let Some(found) = ours.iter().position(|(at, r)| *at < end && r.is_same(&rule)) {
                ours.remove(found);
                plan.already += 1;
                continue;
            }
            let why = format!("{}: a rule is missing: {rule}", chain.id);
            let command = match has.get(end) {
                Some(last) => Command::InsertRule(rule, Some(last.handle)),
                None => Command::AddRule(rule),
            };
            plan.command(command, why);
        }
    }
    for (_, rule) in ours {
        let why = format!("{}: a rule that is not wanted there: {rule}", chain.id);
        plan.command(Command::DeleteRule(chain.id.clone(), rule.handle), why);
    }
    plan
}

/// The networks of that family, each once.
fn of(family: Family, list: &[Cidr]) -> Vec<Cidr> {
    let mut networks: Vec<Cidr> = Vec::new();
    for network in list.iter().map(Cidr::network) {
        if network.is_ipv4() == (family == Family::Ip) && !networks.contains(&network) {
            networks.push(network);
        }
    }
    networks
}

/// How far packets of a family get in the chain that no rule knows: to the rule of that number or, if
/// there is none, behind the last; and whether they are dropped there.
fn end(family: Family, chain: &Chain, rules: &[Rule]) -> (usize, bool) {
    let policy = chain.base.as_ref().is_some_and(|b| b.policy == Policy::Drop);
    for (at, rule) in rules.iter().enumerate() {
        let Some((last, before)) = rule.exprs.split_last() else { continue };
        if !before.iter().all(|e| lets_all_by(family, e)) {
            continue;
        }
        match last {
            Expr::Drop | Expr::Reject => return (at, true),
            Expr::Target(name) if name == "REJECT" || name == "DROP" => return (at, true),
            Expr::Accept => return (at, false),
            // What comes back from a goto, as from a return, is the policy's.
            Expr::Return | Expr::Goto(_) => return (at, policy),
            _ => {}
        }
    }
    (rules.len(), policy)
}

/// Whether a rule goes on behind this for every packet of the family.
fn lets_all_by(family: Family, expr: &Expr) -> bool {
    match expr {
        Expr::Counter => true,
        Expr::Family(f) => *f == family,
        Expr::Other(name) => name == "log",
        _ => false,
    }
}

/// As iptables-nft writes `-s SUBNET -i BRIDGE -j ACCEPT`, links first, but for the comment: that is user
/// data, which iptables-nft takes for its own `-m comment`.
fn accepts(bridge: &IfName, network: Cidr, family: Family, chain: &Chain) -> [Rule; 2] {
    [false, true].map(|out| {
        let mut exprs = vec![
            Expr::Link { out, not: false, name: bridge.clone() },
            Expr::Address { dest: out, not: false, network },
            Expr::Counter,
            Expr::Accept,
        ];
        if chain.id.family == Family::Inet {
            exprs.insert(0, Expr::Family(family));
        }
        Rule { chain: chain.id.clone(), handle: 0, exprs, comment: Some(comment(bridge)) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::nft::ChainId;

    fn chain(family: Family, policy: Policy) -> Chain {
        let id = ChainId { family, table: "filter".into(), name: "FORWARD".into() };
        let base = Base { kind: "filter".into(), hook: Base::FORWARD, priority: 0, policy };
        Chain { id, base: Some(base) }
    }

    fn planned(chain: &Chain, subnets: &[&str], rules: &[Rule]) -> (Vec<String>, usize) {
        let subnets: Vec<Cidr> = subnets.iter().map(|s| s.parse().unwrap()).collect();
        let plan = plan(&"cbr0".parse().unwrap(), &subnets, chain, rules);
        (plan.changes.iter().map(|c| c.step.to_string()).collect(), plan.already)
    }

    fn rule(chain: &Chain, handle: u64, exprs: &[Expr]) -> Rule {
        Rule { chain: chain.id.clone(), handle, exprs: exprs.to_vec(), comment: None }
    }

    fn ours(chain: &Chain, family: Family, subnet: &str) -> Vec<Rule> {
        accepts(&"cbr0".parse().unwrap(), subnet.parse().unwrap(), family, chain)
            .into_iter()
            .zip(20..)
            .map(|(rule, handle)| Rule { handle, ..rule })
            .collect()
    }

    #[test]
    fn at_the_end_of_what_drops_by_policy() {
        let ip = chain(Family::Ip, Policy::Drop);
        let docker = [rule(&ip, 4, &[Expr::Counter, Expr::Jump("DOCKER-USER".into())])];
        assert_eq!(
            planned(&ip, &["10.7.3.1/24", "fd00::1/64"], &docker).0,
            [
                r#"nft 'add rule ip filter FORWARD iifname "cbr0" ip saddr 10.7.3.0/24 counter accept comment "kboot-cbr0"'"#,
                r#"nft 'add rule ip filter FORWARD oifname "cbr0" ip daddr 10.7.3.0/24 counter accept comment "kboot-cbr0"'"#,
            ]
        );
        let there = ours(&ip, Family::Ip, "10.7.3.0/24");
        assert_eq!(planned(&ip, &["10.7.3.1/24"], &there), (vec![], 2));
        assert_eq!(planned(&ip, &[], &there).0.len(), 2, "teardown");
        assert_eq!(
            planned(&chain(Family::Ip, Policy::Accept), &["10.7.3.1/24"], &there).0.len(),
            2,
            "drops no more"
        );
    }

    #[test]
    fn before_the_rule_that_ends_it() {
        use Expr::{Accept, Counter, Drop, Goto, Reject, Return, Target};
        let log = || Expr::Other("log".into());
        for (policy, exprs, drops) in [
            (Policy::Accept, vec![Drop], true),
            (Policy::Accept, vec![log(), Counter, Reject], true),
            (Policy::Accept, vec![Counter, Target("REJECT".into())], true),
            (Policy::Accept, vec![Expr::Match("conntrack".into()), Drop], false),
            (Policy::Accept, vec![Counter, Return], false),
            (Policy::Drop, vec![Counter, Return], true),
            (Policy::Drop, vec![Goto("x".into())], true),
            (Policy::Drop, vec![Counter, Accept], false),
        ] {
            let ip = chain(Family::Ip, policy);
            let (lines, _) = planned(&ip, &["10.7.3.1/24"], &[rule(&ip, 7, &exprs)]);
            let before =
                lines.iter().filter(|l| l.starts_with("nft 'insert rule ip filter FORWARD handle 7 "));
            assert_eq!((before.count(), lines.len()), if drops { (2, 2) } else { (0, 0) }, "{exprs:?}");
        }
    }

    #[test]
    fn the_new_before_the_old_and_none_behind_the_drop() {
        let ip = chain(Family::Ip, Policy::Drop);
        let mut rules = ours(&ip, Family::Ip, "10.7.3.0/24");
        rules.insert(1, rule(&ip, 7, &[Expr::Reject]));
        let (lines, already) = planned(&ip, &["10.7.3.1/24"], &rules);
        assert_eq!((already, lines.len()), (1, 2));
        assert!(lines[0].starts_with("nft 'insert rule ip filter FORWARD handle 7 oifname"));
        assert_eq!(lines[1], "nft delete rule ip filter FORWARD handle 21");
    }

    #[test]
    fn an_inet_chain_drops_each_family_for_itself() {
        let inet = chain(Family::Inet, Policy::Accept);
        let mut rules = vec![rule(&inet, 7, &[Expr::Family(Family::Ip6), Expr::Drop])];
        let (lines, _) = planned(&inet, &["10.7.3.1/24", "fd00::1/64"], &rules);
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0]
                .contains("handle 7 meta nfproto ipv6 iifname \"cbr0\" ip6 saddr fd00::/64 counter accept")
        );
        rules.splice(0..0, ours(&inet, Family::Ip6, "fd00::/64"));
        assert_eq!(planned(&inet, &["10.7.3.1/24", "fd00::1/64"], &rules), (vec![], 2));
    }
}

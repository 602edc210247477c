//! kboot's own table, from facts to commands.

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
    for change in plan(&bridge(), family, Some(wanted), &[], &[], false).changes {
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
    let lines = |family, wanted| lines(&plan(&bridge(), family, Some(wanted), &[], &[], false));
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
    let plan = plan(&bridge(), Family::Ip, Some(&wanted), &chains, &rules, false);
    assert_eq!(plan, Plan { changes: vec![], already: 2 });
}

#[test]
fn old_kernels_get_a_chain_at_prerouting() {
    let old = Wanted { needs_prerouting: true, ..wanted("10.7.3.1/24", "10.7.0.0/16", None) };
    let found = plan(&bridge(), Family::Ip, Some(&old), &[], &[], false);
    assert_eq!(
        lines(&found)[1],
        "nft 'add chain ip kboot prerouting { type nat hook prerouting priority -100 ; policy accept ; }'"
    );
    let (chains, rules) = done(&old, Family::Ip);
    let again = plan(&bridge(), Family::Ip, Some(&old), &chains, &rules, false);
    assert_eq!(again, Plan { changes: vec![], already: 3 });
    let gone = plan(&bridge(), Family::Ip, None, &chains, &rules, false);
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
    assert_eq!(lines, ["nft delete rule ip nat POSTROUTING handle 7", "nft delete chain ip nat KBOOT-cbr0"]);
}

#[test]
fn what_differs_is_replaced_and_no_more() {
    let (chains, mut rules) = done(&wanted("10.7.3.1/24", "10.7.0.0/16", None), Family::Ip);
    rules.push(Rule { handle: 9, ..rules[0].clone() });
    let moved = wanted("10.7.4.1/24", "10.7.0.0/16", None);
    let found = plan(&bridge(), Family::Ip, Some(&moved), &chains, &rules, false);
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
    let doubled = plan(&bridge(), Family::Ip, Some(&same), &chains, &rules, false);
    assert_eq!(lines(&doubled), ["nft delete rule ip kboot postrouting-br-pods handle 9"]);
}

#[test]
fn a_chain_at_another_place_is_made_anew_with_its_rules() {
    let same = wanted("10.7.3.1/24", "", None);
    let (mut chains, rules) = done(&same, Family::Ip);
    chains[0].base.as_mut().unwrap().priority = 50;
    let found = plan(&bridge(), Family::Ip, Some(&same), &chains, &rules, false);
    assert_eq!((lines(&found).len(), found.already), (3, 0));
    assert_eq!(lines(&found)[0], "nft delete chain ip kboot postrouting-br-pods");
}

#[test]
fn the_last_one_takes_the_table_along() {
    let (mut chains, rules) = done(&wanted("10.7.3.1/24", "", None), Family::Ip);
    let away = |chains: &[Chain]| lines(&plan(&bridge(), Family::Ip, None, chains, &rules, false));
    assert_eq!(away(&chains), ["nft delete table ip kboot"]);
    assert!(away(&[]).is_empty());
    chains.push(Chain { id: chain_id(&"cbr0".parse().unwrap(), Family::Ip), base: None });
    assert_eq!(away(&chains), ["nft delete chain ip kboot postrouting-br-pods"]);
}

//! Forwarding through filters that drop: what lets pods through stands in the chain that drops, at its
//! place, and goes when it is not needed any more.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::host::Host;
use crate::support::ruleset::{
    ALL, BACKENDS, Backend, NO_PROGRAM, bridge, host, link, nft_rules, others, prefix, saves, whole,
};
use crate::support::until;

const WORDS: &str = "--name br-pods --subnet 10.7.3.1/24 --subnet fd00:7:3::1/64 --masquerade 10.7.0.0/16 --masquerade fd00:7::/32";

fn done(host: &Host, path: &str) {
    let first = bridge(host, path, WORDS);
    assert_eq!(first.code, 0, "{first:?}");
    let before = whole(host);
    let second = bridge(host, path, WORDS);
    assert!(second.code == 0 && second.stderr.contains("(0 changed, "), "{second:?}");
    let check = bridge(host, path, &format!("{WORDS} --check"));
    assert_eq!((check.code, check.stdout.as_str()), (0, ""), "{check:?}");
    before.is_still(host, "a second run, and --check");
}

/// The rules of FORWARD, as iptables prints them.
fn forward(host: &Host, engine: &str) -> Vec<String> {
    let saves = saves(host);
    let lines = saves.lines().filter_map(|l| l.strip_prefix(engine));
    let mut rules: Vec<String> =
        lines.filter_map(|l| l.strip_prefix(" -A FORWARD ")).map(str::to_owned).collect();
    // Which of the two comes first matters to nobody.
    for at in 1..rules.len() {
        let [first, second] = &mut rules[at - 1..=at] else { continue };
        if first.starts_with("-d ") && *first == second.replace("-s ", "-d ").replace("-i br", "-o br") {
            std::mem::swap(first, second);
        }
    }
    rules
}

/// What lets pods through, as iptables prints it.
fn accepts(subnet: &str) -> [String; 2] {
    let note = "-m comment --comment kboot-br-pods -j ACCEPT";
    [format!("-s {subnet} -i br-pods {note}"), format!("-d {subnet} -o br-pods {note}")]
}

/// The same as nft's JSON has it.
fn nft_accepts(family: &str, subnet: &str) -> [(String, Value); 2] {
    [("iifname", "saddr"), ("oifname", "daddr")].map(|(key, field)| {
        let exprs = json!([
            link(key, "br-pods"),
            prefix(family, field, "==", subnet),
            {"counter": null},
            {"accept": null}
        ]);
        ("kboot-br-pods".to_owned(), exprs)
    })
}

fn is_accept(rule: &(String, Value)) -> bool {
    rule.0 == "kboot-br-pods"
}

#[test]
fn iptables_filters_get_them_at_the_end_or_before_what_rejects_all() {
    for (variant, engine) in [("legacy", "legacy"), ("nft", "nft")] {
        for backend in BACKENDS {
            let path = if backend == Backend::Nft && variant == "nft" { NO_PROGRAM } else { ALL };
            let Some(host) = host() else { return };
            host.sh(&format!(
                "iptables-{variant} -A FORWARD -i eth9 -j DROP; iptables-{variant} -P FORWARD DROP; \
                 ip6tables-{variant} -A FORWARD -i lo -j ACCEPT; \
                 ip6tables-{variant} -A FORWARD -m comment --comment \"all else\" -j REJECT; \
                 ip6tables-{variant} -A FORWARD -i eth8 -j ACCEPT"
            ));
            let before = others(&host);
            done(&host, path);
            let [from, to] = accepts("10.7.3.0/24");
            assert_eq!(forward(&host, &format!("{engine} ip")), ["-i eth9 -j DROP", &from, &to]);
            let [from, to] = accepts("fd00:7:3::/64");
            let reject = "-m comment --comment \"all else\" -j REJECT --reject-with icmp6-port-unreachable";
            assert_eq!(
                forward(&host, &format!("{engine} ip6")),
                ["-i lo -j ACCEPT", &from, &to, reject, "-i eth8 -j ACCEPT"]
            );
            // Nothing drops any more.
            host.sh(&format!("iptables-{variant} -P FORWARD ACCEPT; ip6tables-{variant} -D FORWARD 4"));
            done(&host, path);
            assert_eq!(forward(&host, &format!("{engine} ip")), ["-i eth9 -j DROP"]);
            assert_eq!(forward(&host, &format!("{engine} ip6")), ["-i lo -j ACCEPT", "-i eth8 -j ACCEPT"]);
            // And again, and then all of it away.
            host.sh(&format!(
                "iptables-{variant} -P FORWARD DROP; ip6tables-{variant} -I FORWARD 2 -m comment --comment \"all else\" -j REJECT"
            ));
            done(&host, path);
            assert_eq!(forward(&host, &format!("{engine} ip")).len(), 3);
            assert_eq!(bridge(&host, path, "--name br-pods --down").code, 0);
            same_filters(&others(&host), &before);
        }
    }
}

/// The nat table is there or not, by what kboot used.
fn same_filters(now: &(String, Vec<Value>), before: &(String, Vec<Value>)) {
    let filter =
        |text: &str| text.lines().filter(|l| l.contains(" -A ")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(filter(&now.0), filter(&before.0));
    assert_eq!(now.1, before.1);
}

const TWO_THAT_DROP: &str = "
table inet wall {
    chain allow { tcp dport 22 accept; }
    chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; jump allow; }
    chain input { type filter hook input priority 0; policy drop; }
}
table ip gate {
    chain through { type filter hook forward priority -5; iif lo accept; counter log prefix \"x\" reject; iif lo drop; }
}
table ip6 gate {
    chain through { type filter hook forward priority 10; policy drop; }
    chain open { type filter hook forward priority 20; ip6 daddr fd00::/8 drop; }
    chain shut { type filter hook forward priority 30; accept; drop; }
}";

#[test]
fn native_chains_that_drop_get_them_each_its_families() {
    let Some(host) = host() else { return };
    host.sh(&format!("nft '{TWO_THAT_DROP}'"));
    let before = host.sh("nft -s list ruleset");
    done(&host, NO_PROGRAM);
    let wall = nft_rules(&host, "inet", "wall", "forward");
    let of_family =
        |family: &str, subnet: &str| nft_accepts(family, subnet).map(|(comment, exprs)| (comment, exprs));
    // nft leaves out what is to be seen by the address.
    let four = of_family("ip", "10.7.3.0/24");
    let six = of_family("ip6", "fd00:7:3::/64");
    assert_eq!(wall[2..].iter().map(|r| &r.0).collect::<Vec<_>>(), ["kboot-br-pods"; 4]);
    for (has, want) in wall[2..].iter().zip(four.iter().chain(&six)) {
        let nfproto = json!({"match": {"op": "==", "left": {"meta": {"key": "nfproto"}}, "right": "any"}});
        let mut exprs = has.1.as_array().unwrap().clone();
        exprs.retain(|e| e["match"]["left"] != nfproto["match"]["left"]);
        assert_eq!(json!(exprs), want.1);
    }
    let gate = nft_rules(&host, "ip", "gate", "through");
    assert_eq!((&gate[1], &gate[2], gate.len()), (&four[0], &four[1], 5));
    assert_eq!(nft_rules(&host, "ip6", "gate", "through"), six);
    let none: [(&str, &str, &str); 4] = [
        ("inet", "wall", "input"),
        ("inet", "wall", "allow"),
        ("ip6", "gate", "open"),
        ("ip6", "gate", "shut"),
    ];
    for (family, table, chain) in none {
        assert!(!nft_rules(&host, family, table, chain).iter().any(is_accept), "{table} {chain}");
    }
    assert_eq!(bridge(&host, NO_PROGRAM, "--name br-pods --down").code, 0);
    assert_eq!(host.sh("nft -s list ruleset"), before);
}

/// As firewalld 1.x (table inet firewalld), ufw (iptables-restore) and docker leave them.
#[test]
fn the_chains_of_well_known_firewalls() {
    let firewalld = "nft 'table inet firewalld {
        chain filter_FORWARD { type filter hook forward priority 10; policy accept;
            ct state { established, related } accept; ct status dnat accept; iifname \"lo\" accept;
            jump zones; ct state invalid drop; reject with icmpx admin-prohibited; }
        chain zones { return; }\n }'";
    let ufw = "iptables-nft -P FORWARD DROP; for c in before-logging before after track; do \
        iptables-nft -N ufw-$c-forward; iptables-nft -A FORWARD -j ufw-$c-forward; done";
    let docker = "for c in DOCKER-USER DOCKER; do iptables-legacy -N $c; done; iptables-legacy -P FORWARD DROP; \
        iptables-legacy -A FORWARD -j DOCKER-USER; iptables-legacy -A FORWARD -o docker0 -j DOCKER; \
        iptables-legacy -A FORWARD -i docker0 ! -o docker0 -j ACCEPT; iptables-legacy -A DOCKER-USER -j RETURN";
    let Some(host) = host() else { return };
    for line in [firewalld, ufw, docker] {
        host.sh(line);
    }
    let before = others(&host);
    done(&host, ALL);
    let rules = nft_rules(&host, "inet", "firewalld", "filter_FORWARD");
    let places: Vec<usize> = (0..rules.len()).filter(|at| is_accept(&rules[*at])).collect();
    assert_eq!((places, rules.len()), (vec![5, 6, 7, 8], 10));
    let [from, to] = accepts("10.7.3.0/24");
    for (engine, others) in [("nft ip", 4), ("legacy ip", 3)] {
        let rules = forward(&host, engine);
        assert_eq!(
            (&rules[others..], rules.len()),
            (&[from.clone(), to.clone()][..], others + 2),
            "{engine}"
        );
    }
    assert_eq!(bridge(&host, ALL, "--name br-pods --down").code, 0);
    same_filters(&others(&host), &before);
}

#[test]
fn wrong_places_doubles_and_old_leases_are_mended() {
    for (variant, engine) in [("legacy", "legacy ip"), ("nft", "nft ip")] {
        let Some(host) = host() else { return };
        let [from, to] = accepts("10.7.3.0/24");
        host.sh(&format!("iptables-{variant} -A FORWARD -j REJECT"));
        done(&host, ALL);
        let want = forward(&host, engine);
        assert!(want[..2].contains(&from) && want[..2].contains(&to), "{want:?}");
        let old = from.replace("10.7.3", "10.7.9");
        for spoilt in [
            "-D FORWARD 1".to_owned(),
            "-D FORWARD 2".into(),
            format!("-I FORWARD {from}"),
            format!("-A FORWARD {to}"),
            format!("-I FORWARD {old}"),
            "-F FORWARD".into(),
        ] {
            host.sh(&format!("iptables-{variant} {spoilt}"));
            if spoilt.starts_with("-F") {
                done(&host, ALL);
                host.sh(&format!("iptables-{variant} -A FORWARD -j REJECT"));
            }
            done(&host, ALL);
            assert_eq!(forward(&host, engine), want, "{variant}: {spoilt}");
        }
    }
}

#[test]
fn where_legacy_drops_and_no_program_is_there_nothing_is_touched() {
    for (drops, words) in [
        ("iptables-legacy -P FORWARD DROP", WORDS),
        ("ip6tables-legacy -A FORWARD -j REJECT", WORDS),
        ("iptables-legacy -P FORWARD DROP", "--name br-pods --subnet 10.7.3.1/24 --no-masquerade"),
    ] {
        let Some(host) = host() else { return };
        host.sh(drops);
        let before = whole(&host);
        let done = bridge(&host, NO_PROGRAM, words);
        let last = done.stderr.lines().last().unwrap();
        assert_eq!(
            (done.code, last),
            (
                1,
                "kboot bridge: legacy iptables drops what is forwarded, and there is no iptables program for it: install iptables (iptables-legacy)"
            )
        );
        before.is_still(&host, drops);
        // Whoever leaves all rules to others may have his bridge.
        let done = bridge(&host, NO_PROGRAM, "--name br-pods --subnet 10.7.3.1/24 --firewall none");
        assert_eq!(done.code, 0, "{done:?}");
    }
}

/// As firewalld keeps its table from 2.2 on: whoever made it has to let the pods through.
#[test]
fn a_table_that_a_running_program_keeps_is_named_and_all_else_is_done() {
    let Some(host) = host() else { return };
    host.sh("mkfifo /run/stay && iptables-nft -P FORWARD DROP");
    let table = "add table inet fw { flags owner; }; add chain inet fw forward { type filter hook forward priority 0; policy drop; }";
    let line = format!("{{ echo '{table}'; cat /run/stay; }} | nft -i");
    let mut keeper =
        host.command("sh", &["-c", &line]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the table is kept", || host.sh("nft list ruleset").contains("chain forward"));
    let run = bridge(&host, NO_PROGRAM, WORDS);
    let last = run.stderr.lines().last().unwrap();
    let text =
        "kboot bridge: inet fw forward: drops what is forwarded, and its table is a running program's own: ";
    assert!(run.code == 1 && last.starts_with(text), "{run:?}");
    let [from, to] = accepts("10.7.3.0/24");
    let passed = forward(&host, "nft ip");
    assert!(passed.contains(&from) && passed.contains(&to), "{passed:?}");
    assert!(host.sh("nft list table ip kboot").contains("masquerade"));
    let check = bridge(&host, NO_PROGRAM, &format!("{WORDS} --check"));
    assert!(check.code == 3 && check.stdout.starts_with("inet fw forward: drops"), "{check:?}");
    host.sh("echo quit >/run/stay");
    keeper.wait().unwrap();
    assert_eq!(bridge(&host, NO_PROGRAM, WORDS).code, 0);
}

//! bridge's masquerading by each backend: exact rules, mended ones, changes from one backend to another;
//! read back with `nft -j` and `iptables-save`.

use crate::support::host::Host;
use crate::support::ruleset::{
    ALL, BACKENDS, Backend, NO_PROGRAM, Want, bridge, has, host, nft_rules, others, whole,
};

const WORDS: &str = "--name br-pods --subnet 172.20.7.1/24 --subnet fd00:20:7::1/64 \
    --masquerade 172.20.0.0/14 --masquerade fd00:20::/32";

const FOUR: Want<'_> =
    Want { bridge: "br-pods", subnet: "172.20.7.0/24", kept: &["224.0.0.0/4", "172.20.0.0/14"], out: None };
const SIX: Want<'_> =
    Want { bridge: "br-pods", subnet: "fd00:20:7::/64", kept: &["ff00::/8", "fd00:20::/32"], out: None };

/// A run that ends well, and a second one that has nothing to do.
fn done(host: &Host, path: &str, words: &str) {
    let first = bridge(host, path, words);
    assert_eq!(first.code, 0, "{words}: {first:?}");
    let before = whole(host);
    let second = bridge(host, path, words);
    assert!(second.code == 0 && second.stderr.contains("(0 changed, "), "{words}: {second:?}");
    before.is_still(host, words);
}

#[test]
fn each_backend_has_exactly_its_rules_for_both_families() {
    for backend in BACKENDS {
        let Some(host) = host() else { return };
        host.sh("ip link add eth7 type veth peer name peer7");
        done(&host, backend.path(), WORDS);
        has(&host, backend, &[FOUR, SIX]);
        done(&host, backend.path(), &format!("{WORDS} --out-interface eth7"));
        has(&host, backend, &[Want { out: Some("eth7"), ..FOUR }, Want { out: Some("eth7"), ..SIX }]);
        // Another lease; IPv6 is no longer in it.
        done(&host, backend.path(), "--name br-pods --subnet 10.7.9.129/25 --masquerade 10.7.0.0/16");
        let kept = ["224.0.0.0/4", "10.7.0.0/16"];
        has(&host, backend, &[Want { subnet: "10.7.9.128/25", kept: &kept, ..FOUR }]);
    }
}

#[test]
fn several_networks_are_kept_and_the_pods_own_where_they_lack_it() {
    for backend in BACKENDS {
        let Some(host) = host() else { return };
        let words = "--name br-pods --subnet 10.9.4.1/22 --subnet fd00:9:4::1/64 --masquerade 172.16.0.0/12 \
            --masquerade 10.99.0.17/24 --masquerade fd00:8::/32 --masquerade 192.0.2.7/32";
        done(&host, backend.path(), words);
        let kept4 = ["224.0.0.0/4", "172.16.0.0/12", "10.99.0.0/24", "192.0.2.7/32", "10.9.4.0/22"];
        let four = Want { subnet: "10.9.4.0/22", kept: &kept4, ..FOUR };
        let kept6 = ["ff00::/8", "fd00:8::/32", "fd00:9:4::/64"];
        let six = Want { subnet: "fd00:9:4::/64", kept: &kept6, ..SIX };
        if backend != Backend::Nft {
            has(&host, backend, &[four, six]);
            continue;
        }
        // nft shows a single address without its length.
        let rule = &nft_rules(&host, "ip", "kboot", "postrouting-br-pods")[0].1;
        assert_eq!(rule.as_array().unwrap().len(), kept4.len() + 2);
        assert_eq!(rule[4]["match"]["right"], "192.0.2.7");
        assert_eq!(nft_rules(&host, "ip6", "kboot", "postrouting-br-pods"), [six.rule()]);
    }
}

#[test]
fn links_may_have_odd_names() {
    for backend in BACKENDS {
        let Some(host) = host() else { return };
        for name in ["eth0.7", "a,b", "a*", "veth@1", "!x", "abcdefghijklmno", "[a]", "o=1"] {
            host.sh(&format!("ip link add '{name}' type veth peer name p0"));
            done(&host, backend.path(), &format!("{WORDS} --out-interface {name}"));
            host.sh("ip link del p0");
            // nft shows the star, which is none, with a backslash.
            let rule = |w: Want<'_>| nft_rules(&host, w.family(), "kboot", "postrouting-br-pods");
            if backend == Backend::Nft {
                let shown = name.replace('*', "\\*");
                assert_eq!(rule(FOUR), [Want { out: Some(&shown), ..FOUR }.rule()]);
            } else {
                has(&host, backend, &[Want { out: Some(name), ..FOUR }, Want { out: Some(name), ..SIX }]);
            }
        }
    }
}

/// What happens to iptables' rules: IPT is the program.
const SPOILT: [&str; 12] = [
    "IPT -I KBOOT-br-pods 1 -j SNAT --to-source 192.0.2.9",
    "IPT -D KBOOT-br-pods 1",
    "IPT -D KBOOT-br-pods 3",
    "IPT -F KBOOT-br-pods",
    "IPT -A KBOOT-br-pods -d 172.20.0.0/14 -m comment --comment kboot-br-pods -j RETURN",
    "IPT -A KBOOT-br-pods -s 192.0.2.1 -j ACCEPT",
    "IPT -D KBOOT-br-pods 1; IPT -A KBOOT-br-pods -d 224.0.0.0/4 -m comment --comment kboot-br-pods -j RETURN",
    "IPT -R KBOOT-br-pods 3 -p tcp -m comment --comment kboot-br-pods -j MASQUERADE --to-ports 1024-2000 --random-fully",
    "IPT -A POSTROUTING -s 172.20.7.0/24 -m comment --comment kboot-br-pods -j KBOOT-br-pods",
    "IPT -A POSTROUTING -j KBOOT-br-pods",
    "IPT -I POSTROUTING -s 10.7.9.0/24 -m comment --comment kboot-br-pods -j KBOOT-br-pods",
    "IPT -D POSTROUTING -s 172.20.7.0/24 -m comment --comment kboot-br-pods -j KBOOT-br-pods",
];

#[test]
fn what_somebody_did_to_iptables_rules_is_mended() {
    for backend in [Backend::IptablesNft, Backend::Legacy] {
        let Some(host) = host() else { return };
        done(&host, backend.path(), WORDS);
        for spoilt in SPOILT {
            host.sh(&spoilt.replace("IPT", &format!("{}/iptables -t nat", backend.path())));
            bridge(&host, backend.path(), WORDS).ok();
            has(&host, backend, &[FOUR, SIX]);
            assert!(bridge(&host, backend.path(), WORDS).stderr.contains("(0 changed, "), "{spoilt}");
        }
    }
}

/// Ports by chance are not given up because of a rule that is not kboot's.
#[test]
fn a_rule_without_ports_by_chance_goes() {
    for spoilt in [
        "-I KBOOT-br-pods 1 -j MASQUERADE",
        "-A KBOOT-br-pods -s 192.0.2.7 -j MASQUERADE",
        "-R KBOOT-br-pods 3 -j MASQUERADE",
    ] {
        let Some(host) = host() else { return };
        done(&host, Backend::IptablesNft.path(), WORDS);
        host.sh(&format!("iptables-nft -t nat {spoilt}"));
        done(&host, Backend::IptablesNft.path(), WORDS);
        has(&host, Backend::IptablesNft, &[FOUR, SIX]);
    }
}

#[test]
fn what_somebody_did_to_nft_rules_is_mended() {
    let Some(host) = host() else { return };
    done(&host, NO_PROGRAM, WORDS);
    let rule = "ip saddr 172.20.7.0/24 ip daddr != 224.0.0.0/4 ip daddr != 172.20.0.0/14 masquerade";
    let anew = |chain: &str| {
        format!(
            "nft 'delete chain ip kboot postrouting-br-pods; add chain ip kboot postrouting-br-pods {chain}'"
        )
    };
    let spoilt = [
        "nft delete table ip kboot".to_owned(),
        "nft flush table ip kboot".into(),
        "nft delete chain ip kboot postrouting-br-pods".into(),
        "nft add rule ip kboot postrouting-br-pods masquerade".into(),
        "nft insert rule ip kboot postrouting-br-pods accept".into(),
        format!("nft 'add rule ip kboot postrouting-br-pods {rule} fully-random comment \"kboot-br-pods\"'"),
        format!(
            "nft 'flush chain ip kboot postrouting-br-pods; add rule ip kboot postrouting-br-pods {rule}'"
        ),
        anew(""),
        anew("{ type nat hook postrouting priority 50; }"),
        anew("{ type nat hook postrouting priority 100; policy drop; }"),
        anew("{ type filter hook postrouting priority 100; }"),
    ];
    let want = host.sh("nft -s list ruleset");
    for spoilt in spoilt {
        host.sh(&spoilt);
        done(&host, NO_PROGRAM, WORDS);
        has(&host, Backend::Nft, &[FOUR, SIX]);
        assert!(sorted(&host.sh("nft -s list ruleset")) == sorted(&want), "{spoilt}");
    }
}

/// All that is in such a table sleeps.
#[test]
fn a_dormant_table_is_no_masquerading() {
    let Some(host) = host() else { return };
    done(&host, NO_PROGRAM, WORDS);
    host.sh("nft 'add table ip kboot { flags dormant; }'");
    let done = bridge(&host, NO_PROGRAM, WORDS);
    let table = host.sh("nft list table ip kboot");
    assert!(done.code != 0 || !table.contains("dormant"), "{done:?} {table}");
}

/// iptables writes it with quotes, and takes it with quotes only.
#[test]
fn a_jump_with_a_comment_of_two_words_goes() {
    for backend in [Backend::IptablesNft, Backend::Legacy] {
        let Some(host) = host() else { return };
        done(&host, backend.path(), WORDS);
        let jump = "-t nat -A POSTROUTING -s 192.0.2.0/24 -m comment --comment 'my own' -j KBOOT-br-pods";
        host.sh(&format!("{}/iptables {jump}", backend.path()));
        done(&host, backend.path(), WORDS);
        has(&host, backend, &[FOUR, SIX]);
    }
}

/// A table made anew comes after the others.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().filter(|l| !l.is_empty()).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn the_rules_of_another_bridge_with_almost_that_name_stay() {
    for backend in BACKENDS {
        let Some(host) = host() else { return };
        let other = "--name br-pod --subnet 10.7.3.1/24 --masquerade 10.7.0.0/16";
        done(&host, backend.path(), WORDS);
        done(&host, backend.path(), other);
        let kept = ["224.0.0.0/4", "10.7.0.0/16"];
        let namesake = || Want { bridge: "br-pod", subnet: "10.7.3.0/24", kept: &kept, out: None };
        has(&host, backend, &[FOUR, SIX, namesake()]);
        done(&host, backend.path(), "--name br-pods --subnet 172.20.7.1/24 --no-masquerade");
        has(&host, backend, &[namesake()]);
        done(&host, backend.path(), WORDS);
        assert_eq!(bridge(&host, backend.path(), "--name br-pod --down").code, 0);
        has(&host, backend, &[FOUR, SIX]);
    }
}

/// What others have, in both engines and both families.
const OTHERS: &str = "for v in legacy nft; do for f in ip ip6; do IPT=${f}tables-$v; \
    $IPT -t nat -A POSTROUTING -o lo -j MASQUERADE; \
    $IPT -t nat -A PREROUTING -i eth9 -m comment --comment \"two words\" -j RETURN; \
    $IPT -t mangle -N MINE; $IPT -A INPUT -i eth9 -p tcp --dport 22 -j DROP; done; done; \
    nft 'add table inet own; add chain inet own postrouting { type nat hook postrouting priority 90; }; \
        add rule inet own postrouting ip saddr 192.0.2.0/24 masquerade; add set inet own s { type ipv4_addr; }'";

/// Programs of both engines lead to where the rules are; to take legacy rules away takes their program.
fn change(from: Backend, to: Backend) -> Option<()> {
    let host = host()?;
    host.sh(OTHERS);
    let before = others(&host);
    done(&host, from.path(), &format!("{WORDS} --firewall {}", from.option()));
    let path = if from == Backend::Legacy { ALL } else { to.path() };
    if (from, to) == (Backend::Legacy, Backend::IptablesNft) {
        // Only by way of nothing.
        let no = "--name br-pods --subnet 172.20.7.1/24 --subnet fd00:20:7::1/64 --no-masquerade";
        done(&host, path, no);
    }
    done(&host, path, &format!("{WORDS} --firewall {}", to.option()));
    has(&host, to, &[FOUR, SIX]);
    assert_eq!(others(&host), before, "{from:?} to {to:?}");
    done(&host, ALL, "--name br-pods --subnet 172.20.7.1/24 --subnet fd00:20:7::1/64 --no-masquerade");
    has(&host, to, &[]);
    assert_eq!(others(&host), before, "{from:?} to {to:?} to none");
    Some(())
}

#[test]
fn from_each_backend_to_each_other_and_nothing_of_others_is_touched() {
    for from in BACKENDS {
        for to in BACKENDS.into_iter().filter(|to| *to != from) {
            if change(from, to).is_none() {
                return;
            }
        }
    }
}

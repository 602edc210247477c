//! bridge's choice of a backend: by what is there, and what it says of it.

use serde_json::{Value, json};

use crate::support::docker::script;
use crate::support::host::Host;
use crate::support::ruleset::{ALL, Backend, NO_PROGRAM, bridge, host, own_lines, whole};

const WORDS: &str = "--name br-pods --subnet 10.7.3.1/24 --subnet fd00:7:3::1/64 --mtu 1450 \
    --masquerade 10.7.0.0/16 --masquerade fd00:7::/32";

const LEGACY: &str = "iptables-legacy -t nat -A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE";
const NFT: &str = "iptables-nft -t nat -A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE";
const NATIVE: &str = "nft 'add table inet own; add chain inet own c { type filter hook input priority 0; }; \
    add rule inet own c accept'";
const MIXED: &str = "rules of both iptables-legacy and iptables-nft are loaded: packets pass all of them, but \
    each program shows its own only";
const RIVAL: &str = "another's rule masquerades pods towards the cluster too: ";
const THERE: &str = "the host's rules are there";
const IS_THERE: &str = "it is there";
const CANARY: &str = "chain KUBE-KUBELET-CANARY is there";

/// A dry run changes nothing and chooses as a real one.
fn choice(host: &Host, path: &str, words: &str) -> (Value, Vec<String>) {
    let said = bridge(host, path, &format!("{words} --json --dry-run")).json();
    assert_eq!(said["exit"], 0, "{said}");
    let firewall = &said["found"]["firewall"];
    let warnings = said["warnings"].as_array().unwrap().iter().map(|w| w.as_str().unwrap().to_owned());
    (json!([firewall["backend"], firewall["reason"]]), warnings.collect())
}

fn chosen(there: &[&str], path: &str, want: (&str, &str), warnings: &[&str]) {
    let Some(host) = host() else { return };
    for line in there {
        host.sh(line);
    }
    let want = (json!([want.0, want.1]), warnings.iter().map(|w| (*w).to_owned()).collect());
    assert_eq!(choice(&host, path, WORDS), want, "{there:?} {path}");
}

#[test]
fn the_hosts_rules_decide() {
    let canary = |variant: &str| format!("iptables-{variant} -t mangle -N KUBE-KUBELET-CANARY");
    let hint6 = "ip6tables-legacy -t mangle -N KUBE-IPTABLES-HINT";
    let drop = "iptables-legacy -P FORWARD DROP";
    let (legacy_canary, nft_canary) = (canary("legacy"), canary("nft"));
    for (there, want, warnings) in [
        (&[][..], ("iptables", IS_THERE), &[][..]),
        (&[NATIVE], ("iptables", IS_THERE), &[]),
        (&[LEGACY], ("iptables-legacy", THERE), &[]),
        (&[drop], ("iptables-legacy", THERE), &[]),
        (&["ip6tables-legacy -A INPUT -j ACCEPT"], ("iptables-legacy", THERE), &[]),
        (&[NFT], ("iptables", THERE), &[]),
        (&["ip6tables-nft -P INPUT DROP"], ("iptables", THERE), &[]),
        (&[LEGACY, NFT], ("iptables", IS_THERE), &[MIXED]),
        (&[&legacy_canary], ("iptables-legacy", CANARY), &[]),
        (&[&nft_canary], ("iptables", CANARY), &[]),
        (&[NFT, &legacy_canary], ("iptables-legacy", CANARY), &[]),
        (&[LEGACY, &nft_canary], ("iptables", CANARY), &[MIXED]),
        (&[LEGACY, NFT, hint6], ("iptables-legacy", "chain KUBE-IPTABLES-HINT is there"), &[MIXED]),
        // An empty table of a mere look.
        (&["iptables-legacy -t nat -S", NFT], ("iptables", THERE), &[]),
        (&["iptables-nft -t nat -L", LEGACY], ("iptables-legacy", THERE), &[]),
    ] {
        chosen(there, ALL, want, warnings);
    }
}

/// A look at a table that is not there makes it, with legacy iptables.
#[test]
fn a_look_makes_no_table() {
    let Some(host) = host() else { return };
    for path in ["/run/nft", ALL, "/run/legacy"] {
        let before = whole(&host);
        choice(&host, path, WORDS);
        before.is_still(&host, &format!("{path} --dry-run"));
        assert_eq!(bridge(&host, path, &format!("{WORDS} --check")).code, 3);
        before.is_still(&host, &format!("{path} --check"));
    }
}

#[test]
fn one_programs_host_uses_that() {
    let other = |suffix: &str| {
        format!(
            "the host's rules are iptables-{suffix}'s, and there is no such program: rules of both will be loaded"
        )
    };
    chosen(&[LEGACY], "/run/legacy", ("iptables", THERE), &[]);
    chosen(&[NFT], "/run/nft", ("iptables", THERE), &[]);
    chosen(&[NFT], "/run/legacy", ("iptables", "it is the only one"), &[&other("nft")]);
    chosen(&[LEGACY], "/run/nft", ("iptables", "it is the only one"), &[&other("legacy")]);
    for there in [&[][..], &[NFT], &[LEGACY], &[NATIVE]] {
        chosen(there, NO_PROGRAM, ("nft", "there is no iptables program"), &[]);
    }
}

#[test]
fn kboots_own_rules_decide_before_all_others() {
    for (backend, want) in [
        (Backend::Nft, ("nft", "kboot's rules are there")),
        (Backend::IptablesNft, ("iptables", "chain KBOOT-br-pods is there")),
        (Backend::Legacy, ("iptables-legacy", "chain KBOOT-br-pods is there")),
    ] {
        let Some(host) = host() else { return };
        assert_eq!(bridge(&host, backend.path(), WORDS).code, 0);
        for (there, warnings) in [
            (":", &[][..]),
            ("iptables-nft -t mangle -N KUBE-KUBELET-CANARY; iptables-legacy -A INPUT -j ACCEPT", &[MIXED]),
        ] {
            host.sh(there);
            let before = whole(&host);
            // Whose rules they are is asked only where iptables is to be used.
            let warnings = if backend == Backend::Nft { &[][..] } else { warnings };
            assert_eq!(
                choice(&host, ALL, WORDS),
                (json!([want.0, want.1]), warnings.iter().map(|w| (*w).to_owned()).collect())
            );
            assert!(bridge(&host, ALL, WORDS).stderr.contains("(0 changed, "), "{want:?}");
            before.is_still(&host, want.1);
        }
    }
}

/// Distributions' wrappers (sig-network's too) are scripts, which tell nothing by their names.
#[test]
fn a_wrapper_script_is_asked_what_it_is() {
    for (variant, there, want) in [
        ("legacy", LEGACY, ("iptables", THERE)),
        ("nft", NFT, ("iptables", THERE)),
        ("nft", LEGACY, ("iptables-legacy", THERE)),
        ("legacy", NFT, ("iptables-nft", THERE)),
    ] {
        let Some(host) = host() else { return };
        for family in ["ip", "ip6"] {
            script(
                &host,
                &format!("/run/wrapped/{family}tables"),
                &format!("exec /usr/sbin/{family}tables-{variant} \"$@\""),
            );
            host.sh(&format!("ln -s /run/all/{family}tables-* /run/wrapped"));
        }
        host.sh(there);
        let path = "/run/wrapped:/usr/bin:/bin";
        assert_eq!(choice(&host, path, WORDS), (json!([want.0, want.1]), vec![]), "{variant}");
        assert_eq!(bridge(&host, path, WORDS).code, 0);
        let engine = if there == LEGACY { "legacy" } else { "nft" };
        assert!(own_lines(&host).iter().all(|l| l.starts_with(engine)) && own_lines(&host).len() == 10);
    }
}

/// What a change of backend leaves that was killed between the new rules and the old ones.
#[test]
fn with_own_chains_in_both_engines_one_whole_set_is_left() {
    for half in ["legacy", "nft"] {
        let Some(host) = host() else { return };
        let whole_one = if half == "nft" { Backend::Legacy } else { Backend::IptablesNft };
        assert_eq!(bridge(&host, whole_one.path(), WORDS).code, 0);
        host.sh(&format!(
            "iptables-{half} -t nat -N KBOOT-br-pods; ip6tables-{half} -t nat -N KBOOT-br-pods"
        ));
        assert_eq!(bridge(&host, ALL, WORDS).code, 0);
        let left = own_lines(&host);
        let jumps = left.iter().filter(|l| l.contains("-A POSTROUTING ")).count();
        assert_eq!((left.len(), jumps), (10, 2), "half: {half}: {left:#?}");
        assert!(bridge(&host, ALL, WORDS).stderr.contains("(0 changed, "));
    }
}

/// docker's for a bridge with its own masquerading: pods would be hidden from each other.
#[test]
fn another_rule_that_masquerades_the_pods_is_named() {
    let rival = "-s 10.7.3.0/24 ! -o docker0 -j MASQUERADE";
    let mut silent = Vec::new();
    for (backend, variant) in [
        (Backend::Legacy, "legacy"),
        (Backend::IptablesNft, "nft"),
        (Backend::Nft, "nft"),
        (Backend::Legacy, "nft"),
    ] {
        let Some(host) = host() else { return };
        host.sh(&format!("iptables-{variant} -t nat -A POSTROUTING {rival}"));
        let words = format!("{WORDS} --firewall {}", backend.option());
        let (_, warnings) = choice(&host, backend.path(), &words);
        let check = bridge(&host, backend.path(), &format!("{words} --check"));
        let is_told = check.stdout.lines().any(|l| l.starts_with(RIVAL));
        if !is_told || !warnings.iter().any(|w| w.starts_with(RIVAL)) {
            silent.push((backend, variant));
        }
    }
    assert_eq!(silent, [], "kboot's, and whose the other rule is");
}

#[test]
fn what_was_asked_for_and_is_not_there_is_said_before_anything_is_touched() {
    let Some(host) = host() else { return };
    let before = whole(&host);
    let done = bridge(&host, NO_PROGRAM, &format!("{WORDS} --firewall iptables"));
    assert_eq!(
        done.error(),
        (1, "kboot bridge: there is no iptables in PATH: install it, or give --firewall nft")
    );
    before.is_still(&host, "--firewall iptables");
}

/// Old rules of iptables-nft's go without it; legacy ones cannot.
#[test]
fn without_its_program_legacy_masquerading_stays_and_that_is_an_error() {
    let Some(host) = host() else { return };
    let no = "--name br-pods --subnet 10.7.3.1/24 --no-masquerade";
    assert_eq!(bridge(&host, "/run/nft", WORDS).code, 0);
    let done = bridge(&host, NO_PROGRAM, no);
    assert!(done.code == 0 && own_lines(&host).is_empty(), "{done:?}");
    assert_eq!(bridge(&host, "/run/legacy", WORDS).code, 0);
    for (path, words) in
        [(NO_PROGRAM, no), (NO_PROGRAM, WORDS), ("/run/nft", WORDS), (NO_PROGRAM, "--name br-pods --down")]
    {
        let before = whole(&host);
        let done = bridge(&host, path, words);
        let last = done.stderr.lines().last().unwrap();
        assert_eq!(
            (done.code, last),
            (
                1,
                "kboot bridge: legacy iptables masquerades for this bridge, and there is no iptables program for it: install iptables (iptables-legacy)"
            )
        );
        before.is_still(&host, words);
    }
}

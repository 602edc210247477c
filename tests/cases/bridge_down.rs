//! bridge --down: exactly what kboot made goes, from every state, and --restore sets the kernel back. What
//! a killed run left is bridge_kills' business.

use crate::support::Done;
use crate::support::host::Host;
use crate::support::ruleset::{ALL, BACKENDS, Backend, NO_PROGRAM, bridge, host, own_lines, whole};

const WORDS: &str = "--name br-pods --subnet 10.7.3.1/24 --subnet fd00:7:3::1/64 --masquerade 10.7.0.0/16 --masquerade fd00:7::/32";
const DOWN: &str = "--name br-pods --down";
const RESTORE: &str = "--name br-pods --down --restore";

/// What others have, so that no table of iptables' is there only for kboot.
const OTHERS: &str = "for v in legacy nft; do for f in ip ip6; do for t in nat filter; do \
    ${f}tables-$v -t $t -A OUTPUT -o eth9 -j ACCEPT; done; ${f}tables-$v -t nat -A POSTROUTING -o eth9 -j ACCEPT; \
    ${f}tables-$v -A FORWARD -i eth9 -j ACCEPT; ${f}tables-$v -P FORWARD DROP; done; done; \
    nft 'add table ip own; add chain ip own c { type nat hook postrouting priority 90; }'; \
    echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables; echo 0 >/proc/sys/net/bridge/bridge-nf-call-ip6tables; \
    ip link add eth8 type veth peer name peer8";

fn up(host: &Host, path: &str, words: &str) {
    let done = bridge(host, path, words);
    assert_eq!(done.code, 0, "{done:?}");
}

fn ends_with(done: &Done, summary: &str) {
    let last = done.stderr.lines().last().unwrap();
    assert!(done.code == 0 && last.starts_with(&format!("kboot bridge: br-pods {summary} (")), "{done:?}");
}

/// Nothing of kboot's is left among the rules.
fn has_no_rules(host: &Host) {
    assert_eq!(own_lines(host), Vec::<String>::new());
    assert!(!host.sh("nft list ruleset 2>/dev/null").contains("kboot"));
}

#[test]
fn all_of_it_goes_and_with_restore_the_host_is_as_it_was() {
    for backend in BACKENDS {
        let Some(host) = host() else { return };
        host.sh(OTHERS);
        let before = whole(&host);
        let words = format!("{WORDS} --firewall {}", backend.option());
        // Filters of both engines take both programs.
        let path = if backend == Backend::Legacy { "/run/legacy" } else { ALL };
        up(&host, path, &words);
        ends_with(&bridge(&host, path, RESTORE), "is gone");
        before.is_still(&host, &format!("{backend:?}"));
        assert_eq!(host.sh("ls /run/kboot"), "lock\ntimeline\n");
        let again = bridge(&host, path, DOWN);
        assert_eq!(again.error(), (0, "kboot bridge: br-pods is gone (0 changed, 0 already so)"));
        before.is_still(&host, "twice");
    }
}

#[test]
fn without_restore_settings_stay_and_a_later_restore_knows_them() {
    let Some(host) = host() else { return };
    host.sh(OTHERS);
    let before = whole(&host);
    for _ in 0..2 {
        up(&host, ALL, WORDS);
        ends_with(&bridge(&host, ALL, DOWN), "is gone");
        has_no_rules(&host);
        assert_eq!(host.sh("cat /proc/sys/net/ipv4/ip_forward"), "1\n");
    }
    ends_with(&bridge(&host, ALL, RESTORE), "is gone");
    before.is_still(&host, "a late --restore");
}

#[test]
fn a_dry_run_says_what_the_real_one_does() {
    let Some(host) = host() else { return };
    host.sh(OTHERS);
    up(&host, ALL, WORDS);
    let before = whole(&host);
    let dry = bridge(&host, ALL, &format!("{RESTORE} --dry-run"));
    before.is_still(&host, "--dry-run");
    let real = bridge(&host, ALL, RESTORE);
    let logged: Vec<&str> = real.stderr.lines().filter_map(|l| l.strip_prefix("kboot bridge: ")).collect();
    assert_eq!(dry.ok().lines().collect::<Vec<_>>(), logged[..logged.len() - 1]);
}

#[test]
fn what_is_somebody_elses_keeps_the_bridge() {
    let port = "ip link add v0 type veth peer name v1; ip link set v0 master br-pods";
    for (what, stays) in [
        (port, "stays, what kboot put there is gone: v0 is on it"),
        (
            "ip addr add 10.7.3.77/24 dev br-pods",
            "stays, what kboot put there is gone: 10.7.3.77/24 is on it",
        ),
        (
            "ip addr add fd00:7:3::77/64 dev br-pods",
            "stays, what kboot put there is gone: fd00:7:3::77/64 is on it",
        ),
    ] {
        let Some(host) = host() else { return };
        up(&host, NO_PROGRAM, WORDS);
        host.sh(what);
        ends_with(&bridge(&host, NO_PROGRAM, DOWN), stays);
        has_no_rules(&host);
        let addrs = host.sh("ip -br addr show br-pods");
        assert!(!addrs.contains("10.7.3.1/24") && !addrs.contains("fd00:7:3::1/64"), "{addrs}");
        let again = bridge(&host, NO_PROGRAM, DOWN);
        assert!(again.code == 0 && again.stderr.contains("(0 changed, "), "{again:?}");
        assert_eq!(host.sh("ip -br addr show br-pods"), addrs);
        host.sh("ip link del v0 2>/dev/null; ip addr flush dev br-pods");
        ends_with(&bridge(&host, NO_PROGRAM, DOWN), "is gone");
        assert_eq!(host.ip("link").as_array().unwrap().len(), 1);
    }
}

#[test]
fn a_bridge_made_by_hand_is_as_it_was() {
    let Some(host) = host() else { return };
    host.sh("ip link add br-pods address 02:00:00:00:00:09 type bridge; ip link set br-pods up; \
        ip addr add 192.0.2.9/24 dev br-pods; ip link add e0 type veth peer name e1; ip link set e0 up");
    up(&host, NO_PROGRAM, &format!("{WORDS} --attach e0 --address 169.254.20.10/32"));
    let done = bridge(&host, NO_PROGRAM, DOWN);
    ends_with(&done, "stays, what kboot put there is gone: 192.0.2.9/24 is on it");
    let addrs = host.sh("ip -o -4 addr show br-pods");
    assert!(addrs.lines().count() == 1 && addrs.contains("192.0.2.9/24"), "{addrs}");
    assert_eq!(host.sh("bridge link"), "");
    host.sh("ip addr del 192.0.2.9/24 dev br-pods");
    ends_with(&bridge(&host, NO_PROGRAM, DOWN), "stays, what kboot put there is gone: kboot did not make it");
}

#[test]
fn another_device_of_that_name_is_not_called_gone() {
    let Some(host) = host() else { return };
    host.sh("ip link add br-pods type veth peer name other");
    let before = whole(&host);
    let done = bridge(&host, NO_PROGRAM, DOWN);
    before.is_still(&host, DOWN);
    assert!(!done.stderr.contains("br-pods is gone"), "{done:?}");
}

/// What tells then: the address has the bytes of kboot's Ethernet address, or is in the cluster's network.
#[test]
fn without_a_record_a_bridge_of_kboots_goes_too() {
    for words in [DOWN, "--name br-pods --down --masquerade 10.7.0.0/16"] {
        let Some(host) = host() else { return };
        up(&host, NO_PROGRAM, "--name br-pods --subnet 10.7.3.1/24 --masquerade 10.7.0.0/16");
        host.sh("rm -r /run/kboot");
        let done = bridge(&host, NO_PROGRAM, words);
        has_no_rules(&host);
        ends_with(&done, "is gone");
    }
}

#[test]
fn without_a_record_restore_says_that_it_cannot() {
    let Some(host) = host() else { return };
    up(&host, NO_PROGRAM, "--name br-pods --subnet 10.7.3.1/24 --masquerade 10.7.0.0/16");
    host.sh("rm -r /run/kboot");
    let done = bridge(&host, NO_PROGRAM, &format!("{RESTORE} --masquerade 10.7.0.0/16"));
    assert!(done.code == 0 && done.stderr.contains("--restore"), "{done:?}");
}

#[test]
fn a_rule_of_somebodys_in_kboots_chain_goes_with_it() {
    for backend in BACKENDS {
        let Some(host) = host() else { return };
        up(&host, backend.path(), WORDS);
        host.sh(match backend {
            Backend::Nft => "nft add rule ip kboot postrouting-br-pods ip saddr 192.0.2.7 accept",
            Backend::IptablesNft => "iptables-nft -t nat -A KBOOT-br-pods -s 192.0.2.7 -j ACCEPT",
            Backend::Legacy => "iptables-legacy -t nat -A KBOOT-br-pods -s 192.0.2.7 -j ACCEPT",
        });
        ends_with(&bridge(&host, backend.path(), DOWN), "is gone");
        has_no_rules(&host);
    }
    // In its table, a chain that is none of its own stays.
    let Some(host) = host() else { return };
    up(&host, NO_PROGRAM, WORDS);
    host.sh("nft 'add chain ip kboot mine; add rule ip kboot mine ip saddr 192.0.2.7 accept'");
    ends_with(&bridge(&host, NO_PROGRAM, DOWN), "is gone");
    let left = host.sh("nft list ruleset");
    assert!(left.contains("192.0.2.7") && !left.contains("postrouting-br-pods"), "{left}");
}

const OTHER: &str = "--name cbr1 --subnet 10.9.1.1/24 --masquerade 10.9.0.0/16";

#[test]
fn another_bridge_of_kboots_stays_and_keeps_the_settings_until_it_goes() {
    for backend in BACKENDS {
        let Some(host) = host() else { return };
        let path = backend.path();
        up(&host, path, WORDS);
        up(&host, path, OTHER);
        let done = bridge(&host, path, RESTORE);
        ends_with(&done, "is gone");
        let warning = "warning: --restore: the kernel's settings stay: another bridge of kboot's needs them";
        assert!(done.stderr.contains(warning), "{done:?}");
        let check = bridge(&host, path, &format!("{OTHER} --check"));
        assert_eq!((check.code, check.stdout.as_str()), (0, ""), "{check:?}");
        let last = bridge(&host, path, "--name cbr1 --down --restore");
        let now = host.sh("cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding");
        assert_eq!((last.code, now.as_str()), (0, "0\n0\n"), "{last:?}");
    }
}

/// Only its settings are on record.
#[test]
fn a_bridge_that_is_gone_needs_no_settings() {
    let Some(host) = host() else { return };
    up(&host, NO_PROGRAM, WORDS);
    up(&host, NO_PROGRAM, OTHER);
    ends_with(&bridge(&host, NO_PROGRAM, DOWN), "is gone");
    let last = bridge(&host, NO_PROGRAM, "--name cbr1 --down --restore");
    assert_eq!(host.sh("cat /proc/sys/net/ipv4/ip_forward"), "0\n", "{last:?}");
}

//! bridge --check: each thing that drifts away is told in its line, nothing is changed, and a run mends it.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::docker::lease;
use crate::support::host::Host;
use crate::support::ruleset::{ALL, Backend, NO_PROGRAM, bridge, host, records, whole};

const WORDS: &str = "--name br-pods --subnet 10.7.3.1/24 --mtu 1450 --masquerade 10.7.0.0/16";

/// The lines of --check and of its JSON, which are the same; nothing has changed.
fn differences(host: &Host, path: &str, words: &str) -> Vec<String> {
    let before = (whole(host), records(host));
    let plain = bridge(host, path, &format!("{words} --check"));
    let json = bridge(host, path, &format!("{words} --check --json")).json();
    before.0.is_still(host, "--check");
    assert_eq!(records(host), before.1);
    let lines: Vec<String> = plain.stdout.lines().map(str::to_owned).collect();
    let told = json["found"]["differences"].as_array().unwrap().iter();
    assert_eq!(told.map(|d| d["what"].as_str().unwrap()).collect::<Vec<_>>(), lines);
    let code = if lines.is_empty() { 0 } else { 3 };
    assert_eq!((plain.code, &json["exit"], &json["changed"]), (code, &code.into(), &json!([])), "{plain:?}");
    lines
}

/// What drifts is told so, and a run mends it.
fn drifts(host: &Host, path: &str, how: &str, want: &[&str]) {
    host.sh(how);
    assert_eq!(differences(host, path, WORDS), want, "{how}");
    mended(host, path, how);
}

fn mended(host: &Host, path: &str, what: &str) {
    let done = bridge(host, path, WORDS);
    assert_eq!(done.code, 0, "{what}: {done:?}");
    assert_eq!(differences(host, path, WORDS), Vec::<String>::new(), "{what}: {done:?}");
}

#[test]
fn the_link_and_the_settings() {
    let Some(host) = host() else { return };
    mended(&host, NO_PROGRAM, "from nothing");
    for (how, want) in [
        ("ip link del br-pods", &["is not there", "has no address 10.7.3.1/24", "is down"][..]),
        ("ip link set br-pods down", &["is down"]),
        ("ip link set br-pods mtu 1300", &["the MTU is 1300, wanted is 1450"]),
        ("ip addr del 10.7.3.1/24 dev br-pods", &["has no address 10.7.3.1/24"]),
        (
            "ip addr del 10.7.3.1/24 dev br-pods; ip addr add 10.7.3.1/16 dev br-pods",
            &["has no address 10.7.3.1/24"],
        ),
        (
            "ip link set br-pods type bridge forward_delay 1500",
            &["the forward delay is 15.00 s, wanted is 0"],
        ),
        (
            "ip link set br-pods address 02:00:00:00:00:07",
            &["its address 02:00:00:00:00:07 may change with its ports"],
        ),
        // What is an administrator's is no difference.
        ("ip addr add 192.0.2.7/24 dev br-pods", &[]),
        (
            "ip addr del 10.7.3.1/16 dev br-pods; rm -r /run/kboot; ip link set br-pods address 0a:6b:00:00:00:01",
            &[],
        ),
    ] {
        let want: Vec<String> = want.iter().map(|w| format!("br-pods: {w}")).collect();
        drifts(&host, NO_PROGRAM, how, &want.iter().map(String::as_str).collect::<Vec<_>>());
    }
    for name in ["net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables"] {
        let how = format!("echo 0 >/proc/sys/{}", name.replace('.', "/"));
        drifts(&host, NO_PROGRAM, &how, &[&format!("{name}: is 0, wanted is 1")]);
    }
}

const BY_IPTABLES: &str = "iptables-nft -t nat -N KBOOT-br-pods; iptables-nft -t nat -A KBOOT-br-pods \
    -j MASQUERADE; iptables-nft -t nat -A POSTROUTING -j KBOOT-br-pods";

#[test]
fn nft_rules() {
    let Some(host) = host() else { return };
    mended(&host, NO_PROGRAM, "from nothing");
    let chain = "ip kboot postrouting-br-pods";
    let rule = "ip saddr 10.7.3.0/24 ip daddr != 224.0.0.0/4 ip daddr != 10.7.0.0/16 masquerade fully-random \
        comment \"kboot-br-pods\"";
    let missing = format!("{chain}: a rule is missing: {rule}");
    let no_chain = format!("{chain}: missing");
    let all = ["ip kboot: missing", &no_chain, &missing];
    let [from, to] = ["iifname \"br-pods\" ip saddr", "oifname \"br-pods\" ip daddr"]
        .map(|way| format!("{way} 10.7.3.0/24 counter accept comment \"kboot-br-pods\""));
    let lacks = [&from, &to].map(|r| format!("ip filter FORWARD: a rule is missing: {r}"));
    let behind = format!("ip filter FORWARD: a rule that is not wanted there: {to}");
    for (how, want) in [
        ("nft flush ruleset", &all[..]),
        ("nft delete chain ip kboot postrouting-br-pods", &all),
        ("nft flush table ip kboot", &[&missing]),
        (&format!("nft 'add rule {chain} {rule}'"), &[&format!("{chain}: there twice: {rule}")]),
        (
            &format!("nft add rule {chain} ip saddr 192.0.2.7 accept"),
            &[&format!("{chain}: a rule that is not wanted: ip saddr 192.0.2.7/32 accept")],
        ),
        (BY_IPTABLES, &["ip nat KBOOT-br-pods: of another backend, or not wanted"]),
        ("iptables-nft -P FORWARD DROP", &[&lacks[0], &lacks[1]]),
        ("iptables-nft -D FORWARD 1", &[&lacks[0]]),
        ("iptables-nft -F FORWARD; iptables-nft -A FORWARD -j REJECT", &[&lacks[0], &lacks[1]]),
        (
            "iptables-nft -D FORWARD 2; iptables-nft -A FORWARD -d 10.7.3.0/24 -o br-pods -m comment --comment kboot-br-pods -j ACCEPT",
            &[&lacks[1], &behind],
        ),
    ] {
        drifts(&host, NO_PROGRAM, how, want);
    }
    // A leftover in another engine, for whose removal its program is needed.
    let left = BY_IPTABLES.replace("-nft", "-legacy");
    drifts(&host, ALL, &left, &["iptables-legacy nat: chain KBOOT-br-pods masquerades"]);
}

#[test]
fn iptables_rules() {
    let note = "-m comment --comment kboot-br-pods";
    let jump = format!("POSTROUTING -s 10.7.3.0/24 {note} -j KBOOT-br-pods");
    let lacks = ["-d 224.0.0.0/4", "-d 10.7.0.0/16"]
        .map(|d| format!("nat: KBOOT-br-pods: lacks: {d} {note} -j RETURN"));
    let no_masquerade = format!("nat: KBOOT-br-pods: lacks: {note} -j MASQUERADE --random-fully");
    let no_jump = format!("nat: there is no rule {jump}");
    let all = ["nat: there is no chain KBOOT-br-pods", &lacks[0], &lacks[1], &no_masquerade, &no_jump];
    let other = jump.replace("10.7.3", "10.7.8");
    for backend in [Backend::IptablesNft, Backend::Legacy] {
        let Some(host) = host() else { return };
        mended(&host, backend.path(), "from nothing");
        for (how, want) in [
            ("IPT -F POSTROUTING", &all[4..]),
            ("IPT -F KBOOT-br-pods", &all[1..4]),
            ("IPT -F POSTROUTING; IPT -F KBOOT-br-pods; IPT -X KBOOT-br-pods", &all),
            (&format!("IPT -A {jump}"), &[&format!("nat: there twice: {jump}")]),
            (&format!("IPT -A {other}"), &[&format!("nat: of an earlier run: {other}")]),
        ] {
            let how = how.replace("IPT", &format!("{}/iptables -t nat", backend.path()));
            let want: Vec<String> = want.iter().map(|w| format!("iptables {w}")).collect();
            drifts(&host, backend.path(), &how, &want.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}

#[test]
fn legacy_filters() {
    let Some(host) = host() else { return };
    let path = Backend::Legacy.path();
    mended(&host, path, "from nothing");
    let [from, to] = ["-s 10.7.3.0/24 -i", "-d 10.7.3.0/24 -o"]
        .map(|way| format!("{way} br-pods -m comment --comment kboot-br-pods -j ACCEPT"));
    let lacks = [&from, &to].map(|rule| format!("iptables filter: FORWARD drops, and lacks: {rule}"));
    let unwanted = format!("iptables filter: FORWARD: not wanted: {from}");
    let behind = format!("iptables filter: FORWARD: not in its place: {to}");
    for (how, want) in [
        ("-P FORWARD DROP", &[&*lacks[0], &*lacks[1]][..]),
        ("-D FORWARD 1", &[&lacks[0]]),
        (&format!("-A FORWARD {from}"), &[&unwanted]),
        ("-A FORWARD -j REJECT", &[]),
        (&format!("-D FORWARD {to}"), &[&lacks[1]]),
        (&format!("-A FORWARD {to}"), &[&behind]),
    ] {
        drifts(&host, path, &format!("iptables-legacy {how}"), want);
    }
}

/// What is as it should be is not told, and one difference has one line.
#[test]
fn only_what_differs_is_told() {
    let note = "-m comment --comment kboot-br-pods";
    let Some(host) = host() else { return };
    let path = Backend::IptablesNft.path();
    mended(&host, path, "from nothing");
    let lacks = |what: &str| vec![format!("iptables nat: KBOOT-br-pods: lacks: {what}")];
    for (how, want) in [
        ("-D KBOOT-br-pods 3", lacks(&format!("{note} -j MASQUERADE --random-fully"))),
        ("-D KBOOT-br-pods 1", lacks(&format!("-d 224.0.0.0/4 {note} -j RETURN"))),
        (
            "-A KBOOT-br-pods -s 192.0.2.7 -j ACCEPT",
            vec!["iptables nat: KBOOT-br-pods: not wanted: -s 192.0.2.7/32 -j ACCEPT".to_owned()],
        ),
    ] {
        host.sh(&format!("iptables-nft -t nat {how}"));
        assert_eq!(differences(&host, path, WORDS), want, "{how}");
        mended(&host, path, how);
    }
}

#[test]
fn an_old_address_and_a_wrong_chain_have_one_line_each() {
    let Some(host) = host() else { return };
    mended(&host, NO_PROGRAM, "from nothing");
    host.sh("nft 'delete chain ip kboot postrouting-br-pods; add chain ip kboot postrouting-br-pods { type nat hook postrouting priority 50; }'");
    let told = differences(&host, NO_PROGRAM, WORDS);
    assert_eq!((told.len(), told.iter().any(|l| l.contains("made anew"))), (2, false), "{told:#?}");
    mended(&host, NO_PROGRAM, "a wrong chain");
    host.sh("rm /run/kboot/bridge-br-pods*; ip addr add 10.7.8.1/24 dev br-pods");
    assert_eq!(
        differences(&host, NO_PROGRAM, WORDS),
        ["br-pods: has 10.7.8.1/24, which kboot put there and which is not wanted any more"]
    );
}

#[test]
fn without_a_lease_it_says_so_at_once_and_flannels_masquerading_is_a_difference() {
    let Some(host) = host() else { return };
    let started = Instant::now();
    let done = bridge(&host, ALL, "--check");
    let why = "/run/flannel/subnet.env: is not there yet (flanneld writes it)";
    assert_eq!((done.code, done.stdout.as_str()), (75, ""), "{done:?}");
    assert!(done.stderr.contains(why) && started.elapsed() < Duration::from_secs(3), "{done:?}");
    let lines = |ipmasq: bool| format!("FLANNEL_MTU=1450\nFLANNEL_IPMASQ={ipmasq}\n");
    lease(&host, &lines(false));
    assert_eq!(bridge(&host, NO_PROGRAM, "").code, 0);
    assert_eq!(differences(&host, NO_PROGRAM, ""), Vec::<String>::new());
    lease(&host, &lines(true));
    assert_eq!(differences(&host, NO_PROGRAM, ""), ["ip kboot: not wanted"]);
    assert_eq!(bridge(&host, NO_PROGRAM, "").code, 0);
    assert_eq!(differences(&host, NO_PROGRAM, ""), Vec::<String>::new());
}

//! bridge killed before each of its system calls (strace injects the signal), and after each call of
//! iptables: nothing is open meanwhile that was closed, and run again it ends as if nothing had been.

use serde_json::Value;

use crate::support::docker::script;
use crate::support::host::Host;
use crate::support::ruleset::{ALL, Backend, NO_PROGRAM, bridge, host, nft_rules, own_lines, saves, whole};
use crate::support::{Done, binary, finish, need};

const WORDS: &str = "--name br-pods --subnet 10.7.3.1/24 --subnet fd00:7:3::1/64 --masquerade 10.7.0.0/16 --masquerade fd00:7::/32";
const NEXT: &str = "--name br-pods --subnet 10.7.9.1/24 --subnet fd00:7:9::1/64 --masquerade 10.7.0.0/16 --masquerade fd00:7::/32";
const DOWN: &str = "--name br-pods --down --restore";

/// Netlink's, settings' and the record's. strace counts each kind for itself.
const CALLS: &[&str] = &["sendto", "write", "rename"];

/// Runs kboot without programs and kills it before its Nth call of that kind.
fn killed_before(host: &Host, call: &str, number: u32, words: &str) -> Done {
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=KILL:when={number}"));
    let strace = ["-f", "-qq", "-o", "/dev/null", "-E", "PATH=/nowhere", "-e", &trace, "-e", &inject];
    let binary = binary();
    let kboot = [binary.to_str().unwrap(), "bridge"];
    finish(
        &mut host.command("strace", &[&strace[..], &kboot, &words.split(' ').collect::<Vec<_>>()].concat()),
    )
}

/// A host with a filter that drops, and another that rejects.
fn prepared() -> Host {
    let host = Host::new();
    host.sh("iptables-nft -P FORWARD DROP; ip6tables-nft -A FORWARD -i lo -j ACCEPT; ip6tables-nft -A FORWARD -j REJECT");
    host
}

/// As it is to be at the end: after a run, and a second one with nothing to do.
struct End(Vec<String>, String);

fn end(host: &Host, path: &str, words: &str, what: &str) -> End {
    let done = bridge(host, path, words);
    assert_eq!(done.code, 0, "{what}: {done:?}");
    let again = bridge(host, path, words);
    assert!(again.code == 0 && again.stderr.contains("(0 changed, "), "{what}: {again:?}");
    End(whole(host).lines(), host.sh("cat /run/kboot/*.json 2>/dev/null || true"))
}

impl End {
    fn is_same(&self, want: &End, what: &str) {
        let differ: Vec<_> = self.0.iter().zip(&want.0).filter(|(a, b)| a != b).collect();
        assert!(self.0 == want.0, "{what}: {differ:#?}");
        assert_eq!(self.1, want.1, "{what}: the record");
    }
}

/// Before each of these calls: `before` was run to its end, `words` is killed, `holds` is asked, `then` is run.
fn everywhere(calls: &[&str], before: Option<&str>, words: &str, then: &str, holds: impl Fn(&Host, &str)) {
    if host().is_none() || need("strace", "tools").is_none() {
        return;
    }
    let reference = prepared();
    let begin = |host: &Host| before.map(|words| bridge(host, NO_PROGRAM, words).ok().to_owned());
    begin(&reference);
    let want = end(&reference, NO_PROGRAM, then, "undisturbed");
    for call in calls {
        for number in 1.. {
            let host = prepared();
            begin(&host);
            let done = killed_before(&host, call, number, words);
            let what = format!("{words}: killed before {call} {number}");
            if done.code != 128 + 9 {
                assert_eq!(done.code, 0, "{what}: {done:?}");
                assert!(number > 3 || *call != "sendto", "{what}");
                break;
            }
            holds(&host, &what);
            end(&host, NO_PROGRAM, then, &what).is_same(&want, &what);
        }
    }
}

fn has_address(host: &Host, net: &str) -> bool {
    host.sh("ip -o addr show br-pods 2>/dev/null || true").contains(net)
}

/// The rules of a chain whose text has that network.
fn rules(host: &Host, family: &str, table: &str, chain: &str, net: &str) -> Vec<Value> {
    let rules = nft_rules(host, family, table, chain).into_iter();
    rules
        .filter(|(comment, e)| comment == "kboot-br-pods" && e.to_string().contains(net))
        .map(|r| r.1)
        .collect()
}

const FAMILIES: [(&str, [&str; 2]); 2] =
    [("ip", ["10.7.3.", "10.7.9."]), ("ip6", ["fd00:7:3:", "fd00:7:9:"])];

/// Nobody is let through for a subnet that the bridge does not have, and nobody without masquerading.
fn nothing_is_open(host: &Host, what: &str) {
    for (family, nets) in FAMILIES {
        for net in nets {
            let is_open = !rules(host, family, "filter", "FORWARD", net).is_empty();
            let is_masqueraded = !rules(host, family, "kboot", "postrouting-br-pods", net).is_empty();
            assert!(!is_open || has_address(host, net), "{what}: open for {net}, which is not there");
            assert!(!is_open || is_masqueraded, "{what}: {net} is let through as it is");
        }
    }
}

#[test]
fn from_nothing_to_the_bridge() {
    everywhere(CALLS, None, WORDS, WORDS, nothing_is_open);
}

#[test]
fn half_made_it_goes_away_whole() {
    everywhere(&CALLS[..1], None, WORDS, DOWN, |_, _| {});
}

#[test]
fn from_one_lease_to_the_next() {
    everywhere(&CALLS[..1], Some(WORDS), NEXT, NEXT, |host, what| {
        nothing_is_open(host, what);
        for (family, [old, new]) in FAMILIES {
            let is_kept = |net| !rules(host, family, "kboot", "postrouting-br-pods", net).is_empty();
            assert!(!has_address(host, old) || is_kept(old), "{what}: pods of {old} leave as they are");
            assert!(is_kept(old) || is_kept(new), "{what}");
        }
    });
}

#[test]
fn from_the_bridge_to_nothing() {
    everywhere(&CALLS[..2], Some(WORDS), DOWN, DOWN, |host, what| {
        nothing_is_open(host, what);
        for (family, [net, _]) in FAMILIES {
            let is_masqueraded = !rules(host, family, "kboot", "postrouting-br-pods", net).is_empty();
            assert!(!has_address(host, net) || is_masqueraded, "{what}: pods of {net} leave as they are");
        }
    });
}

/// iptables programs that kill kboot after the Nth call of any of them.
fn deadly(host: &Host, path: &str, call: u32) {
    for family in ["ip", "ip6"] {
        for suffix in ["", "-legacy", "-nft"] {
            let count = format!("echo >>/run/calls; [ $(wc -l </run/calls) = {call} ] && kill -9 $PPID");
            script(
                host,
                &format!("/run/deadly/{family}tables{suffix}"),
                &format!("{path}/{family}tables{suffix} \"$@\"; s=$?; {count}; exit $s"),
            );
        }
    }
    if path != ALL {
        host.sh("rm /run/deadly/*-*");
    }
}

/// The same after each call of iptables; `from` was there before with its own PATH.
fn everywhere_by_iptables(from: Option<Backend>, to: Backend, prepare: &str, holds: impl Fn(&Host, &str)) {
    let path = if to == Backend::Nft { ALL } else { to.path() };
    let words = format!("{WORDS} --firewall {}", to.option());
    let begin = || {
        let host = host()?;
        host.sh(prepare);
        from.map(|from| bridge(&host, from.path(), WORDS).ok().to_owned());
        Some(host)
    };
    let Some(reference) = begin() else { return };
    let want = end(&reference, path, &words, "undisturbed");
    for call in 1.. {
        let Some(host) = begin() else { return };
        deadly(&host, path, call);
        let done = bridge(&host, "/run/deadly:/usr/bin:/bin", &words);
        let what = format!("{from:?} to {to:?}: killed after iptables' call {call}");
        if done.code == 0 {
            assert!(call > 3, "{what}");
            return;
        }
        assert_eq!(done.code, 128 + 9, "{what}: {done:?}");
        holds(&host, &what);
        end(&host, path, &words, &what).is_same(&want, &what);
    }
}

/// Before a change of backend something masqueraded; so it does in every state on the way.
fn still_masquerades(host: &Host, what: &str) {
    let saves = saves(host);
    for (family, [net, _]) in FAMILIES {
        let by_nft = !rules(host, family, "kboot", "postrouting-br-pods", net).is_empty();
        let by_iptables = ["legacy", "nft"].iter().any(|engine| {
            let has = |start: &str, end: &str| {
                saves
                    .lines()
                    .any(|l| l.starts_with(&format!("{engine} {family} {start}")) && l.ends_with(end))
            };
            has(&format!("-A POSTROUTING -s {net}"), "-j KBOOT-br-pods")
                && has("-A KBOOT-br-pods -m comment", "-j MASQUERADE --random-fully")
        });
        assert!(by_nft || by_iptables, "{what}: {net}: {:#?}", own_lines(host));
    }
}

#[test]
fn from_nothing_by_iptables() {
    everywhere_by_iptables(None, Backend::IptablesNft, ":", |_, _| {});
}

/// Two rules before one that drops all.
#[test]
fn through_a_legacy_filter_that_rejects() {
    let reject = "iptables-legacy -A FORWARD -j REJECT; ip6tables-legacy -P FORWARD DROP";
    everywhere_by_iptables(None, Backend::Legacy, reject, |host, what| {
        let saves = saves(host);
        let is_open = saves.lines().any(|l| l.contains("FORWARD -s 10.7.3.0/24 -i br-pods"));
        let is_masqueraded = saves.lines().any(|l| l.contains("-A POSTROUTING -s 10.7.3.0/24"));
        assert!(!is_open || is_masqueraded && has_address(host, "10.7.3."), "{what}");
    });
}

#[test]
fn from_one_backend_to_another() {
    for (from, to) in [
        (Backend::Nft, Backend::Legacy),
        (Backend::Legacy, Backend::Nft),
        (Backend::IptablesNft, Backend::Legacy),
    ] {
        everywhere_by_iptables(Some(from), to, ":", still_masquerades);
    }
}

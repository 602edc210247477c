//! bridge beside others who change the same things at the same time.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};

use crate::support::docker::script;
use crate::support::host::Host;
use crate::support::ruleset::{ALL, BACKENDS, Backend, NO_PROGRAM, bridge, host, own_lines, whole};
use crate::support::{Done, binary, collect, finish, until};

const WORDS: &str = "--name br-pods --subnet 10.7.3.1/24 --subnet fd00:7:3::1/64 --masquerade 10.7.0.0/16 --masquerade fd00:7::/32";
const OTHER: &str = "--name cbr1 --subnet 10.9.1.1/24 --masquerade 10.9.0.0/16";

/// kboot bridge, started; `env` becomes it, and so has its pid.
fn started(host: &Host, path: &str, words: &str) -> Child {
    let mut command = host.command("env", &[format!("PATH={path}")]);
    command.arg(binary()).arg("bridge").args(words.split_whitespace());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The rules in any order, and what is on the bridges.
fn state(host: &Host) -> (BTreeSet<String>, BTreeSet<String>, String) {
    let nft = host.sh("nft -s list ruleset 2>/dev/null | grep . || true");
    let addrs = host.sh("ip -br addr | grep br | sort");
    (own_lines(host).into_iter().collect(), nft.lines().map(str::to_owned).collect(), addrs)
}

#[test]
fn two_runs_at_once_and_two_bridges_at_once() {
    for backend in BACKENDS {
        for second in [WORDS, OTHER] {
            let Some(reference) = host() else { return };
            assert_eq!(bridge(&reference, backend.path(), WORDS).code, 0);
            assert_eq!(bridge(&reference, backend.path(), second).code, 0);
            let want = state(&reference);
            for _ in 0..4 {
                let Some(host) = host() else { return };
                let both = [WORDS, second].map(|words| started(&host, backend.path(), words)).map(collect);
                assert!(both.iter().all(|done| done.code == 0), "{both:?}");
                assert_eq!(state(&host), want, "{both:?}");
                let again = bridge(&host, backend.path(), second);
                assert!(again.stderr.contains("(0 changed, "), "{again:?}");
            }
        }
    }
}

#[test]
fn who_waits_says_for_whom() {
    let Some(host) = host() else { return };
    let slow = "touch /run/called; until [ -e /run/go ]; do sleep 0.02; done; exec /run/nft/iptables \"$@\"";
    script(&host, "/run/slow/iptables", slow);
    host.sh("ln -s /run/nft/ip6tables /run/slow");
    let first = started(&host, "/run/slow:/usr/bin:/bin", WORDS);
    until("it asks for the rules", || finish(&mut host.command("test", &["-e", "/run/called"])).code == 0);
    let second = bridge(&host, NO_PROGRAM, &format!("{WORDS} --timeout 1s"));
    let held = format!("/run/kboot/lock is held by pid {}", first.id());
    let last = second.stderr.lines().last().unwrap();
    assert_eq!(
        (second.code, last),
        (75, &*format!("kboot bridge: the lock of another kboot: not within 1s: {held}"))
    );
    assert!(second.stderr.contains(&format!("waiting for the lock of another kboot: {held}")), "{second:?}");
    // Who only looks does not wait.
    assert_eq!(bridge(&host, NO_PROGRAM, &format!("{WORDS} --check")).code, 3);
    assert_eq!(bridge(&host, NO_PROGRAM, &format!("{WORDS} --dry-run")).code, 0);
    host.sh("touch /run/go");
    let done = collect(first);
    assert_eq!(done.code, 0, "{done:?}");
}

/// Somebody who does the same over and over.
struct Disturber(Child);

impl Disturber {
    fn start(host: &Host, line: &str) -> Self {
        let forever = format!("while :; do {line}; done >/dev/null 2>&1");
        Self(host.command("setpriv", &["--pdeathsig", "KILL", "--", "sh", "-c", &forever]).spawn().unwrap())
    }

    fn stop(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// One line says why, and it is none of a broken program.
fn is_clear(done: &Done) -> bool {
    let last = done.stderr.lines().last().unwrap_or_default();
    done.code == 0
        || [1, 3, 75].contains(&done.code) && last.starts_with("kboot bridge: ") && !last.contains("panic")
}

/// Runs beside a disturber, and what is there once he has ended.
fn beside(backend: Backend, path: &str, prepare: &str, disturb: &str, runs: u32) {
    let Some(reference) = host() else { return };
    reference.sh(prepare);
    let words = format!("{WORDS} --firewall {}", backend.option());
    assert_eq!(bridge(&reference, path, &words).code, 0);
    let Some(host) = host() else { return };
    host.sh(prepare);
    let disturber = Disturber::start(&host, disturb);
    let mut failed = Vec::new();
    for _ in 0..runs {
        let done = bridge(&host, path, &words);
        assert!(is_clear(&done), "{disturb}: {done:?}");
        failed.extend((done.code != 0).then_some(done.stderr));
    }
    disturber.stop();
    assert!(failed.len() < runs as usize, "{disturb}: it never ends well: {failed:#?}");
    let mended = bridge(&host, path, &words);
    assert_eq!(mended.code, 0, "{disturb}: {mended:?}");
    let before = whole(&host);
    let again = bridge(&host, path, &words);
    assert!(again.code == 0 && again.stderr.contains("(0 changed, "), "{disturb}: {again:?}");
    before.is_still(&host, disturb);
    assert_eq!(state(&host), state(&reference), "{disturb}");
}

const DROPS: &str = "iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP";

#[test]
fn somebody_takes_the_bridge_away_and_makes_it() {
    beside(Backend::Nft, NO_PROGRAM, DROPS, "ip link del br-pods; ip link add br-pods type bridge", 30);
}

#[test]
fn somebody_changes_its_addresses() {
    let addresses = "ip addr flush dev br-pods; ip addr add 10.7.3.1/24 dev br-pods; ip addr del 10.7.3.1/24 dev br-pods; \
        ip addr add fd00:7:3::1/64 dev br-pods nodad; ip link set br-pods down; ip link set br-pods up mtu 1300";
    beside(Backend::Nft, NO_PROGRAM, DROPS, addresses, 30);
}

#[test]
fn somebody_changes_rules_all_the_time() {
    let own = "nft 'add table ip other; delete table ip other'; nft delete table ip kboot; iptables-nft -F FORWARD; \
        ip6tables-nft -F FORWARD";
    beside(Backend::Nft, NO_PROGRAM, DROPS, own, 30);
    let unrelated = "nft 'add table ip other; delete table ip other'";
    beside(Backend::Nft, NO_PROGRAM, DROPS, unrelated, 30);
}

/// kube-proxy's way of writing its rules: whole tables, all the time.
#[test]
fn iptables_restore_runs_beside() {
    let text = "*nat\\n:KUBE-X - [0:0]\\n-F KUBE-X\\n-A KUBE-X -s 192.0.2.1 -j ACCEPT\\nCOMMIT\\n*filter\\n:KUBE-Y - [0:0]\\n-F KUBE-Y\\nCOMMIT\\n";
    for (backend, variant) in
        [(Backend::Legacy, "legacy"), (Backend::IptablesNft, "nft"), (Backend::Nft, "nft")]
    {
        let restore =
            |family: &str| format!("printf '{text}' | {family}tables-{variant}-restore -w 5 --noflush");
        let prepare = format!("{}; iptables-{variant} -P FORWARD DROP", restore("ip"));
        let path = if backend == Backend::Nft { NO_PROGRAM } else { backend.path() };
        let both = format!("{}; iptables-{variant} -w 5 -t nat -S", restore("ip"));
        beside(backend, path, &prepare, &both, 8);
    }
}

#[test]
fn a_held_xtables_lock_is_told_by_a_check_too() {
    let Some(host) = host() else { return };
    assert_eq!(bridge(&host, Backend::Legacy.path(), WORDS).code, 0);
    host.sh("mkfifo /run/go");
    let mut holder = host.command("flock", &["/run/xtables.lock", "cat", "/run/go"]).spawn().unwrap();
    until("the lock is held", || {
        finish(&mut host.command("flock", &["-n", "/run/xtables.lock", "true"])).code != 0
    });
    // It waits for no lease either: 5 s are the program's own.
    let mut check = host.command("env", &["PATH=/run/legacy", "/usr/bin/timeout", "15"]);
    check.arg(binary()).args(["bridge", "--check"]).args(WORDS.split_whitespace());
    let check = finish(&mut check);
    let by_nft =
        bridge(&host, ALL, "--name cbr1 --subnet 10.9.1.1/24 --masquerade 10.9.0.0/16 --firewall nft");
    host.sh("echo >/run/go");
    holder.wait().unwrap();
    assert!(check.code == 75 && check.stdout.is_empty(), "{check:?}");
    assert!(check.stderr.contains("another program holds it"), "{check:?}");
    // nf_tables has no such lock.
    assert_eq!(by_nft.code, 0, "{by_nft:?}");
}

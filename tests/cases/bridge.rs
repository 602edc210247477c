//! bridge, in a network namespace; read back with `ip -j` and `iptables -S`.

use std::process::Stdio;

use serde_json::Value;

use crate::support::host::Host;
use crate::support::{binary, collect, finish, need, root_user, until};

const ARGS: [&str; 9] = [
    "bridge",
    "--name",
    "br-pods",
    "--subnet",
    "10.7.3.1/24",
    "--mtu",
    "1450",
    "--masquerade",
    "10.7.0.0/16",
];

fn host() -> Option<Host> {
    (root_user() && need("ip", "tools").is_some() && need("iptables", "iptables").is_some()).then(Host::new)
}

/// All that a bridge run could change, as the independent readers see it.
fn state(host: &Host) -> (Value, Value, String, String) {
    let mut links = host.ip("-d link");
    // Counters and the hash of the name tree move by themselves.
    for link in links.as_array_mut().unwrap() {
        link.as_object_mut().unwrap().remove("linkinfo");
    }
    let sysctl = host.sh("cat /proc/sys/net/ipv4/ip_forward");
    (links, host.ip("addr"), host.sh("iptables -t nat -S"), sysctl)
}

#[test]
fn from_nothing_and_then_nothing_to_do() {
    let Some(host) = host() else { return };
    host.sh("ip link add eth7 type veth peer name peer7");
    let first = host.kboot(&[&ARGS[..], &["--out-interface", "eth7"]].concat());
    assert_eq!(first.code, 0, "{first:?}");
    assert!(
        first.stderr.ends_with("kboot bridge: br-pods 10.7.3.1/24 up (10 changed, 1 already so)\n"),
        "{first:?}"
    );

    let link = &host.ip("-d link show br-pods")[0];
    assert_eq!((&link["mtu"], &link["linkinfo"]["info_kind"]), (&1450.into(), &"bridge".into()));
    assert!(link["flags"].as_array().unwrap().contains(&"UP".into()));
    let addrs = host.ip("-4 addr show br-pods");
    let addr = &addrs[0]["addr_info"][0];
    assert_eq!((&addr["local"], &addr["prefixlen"]), (&"10.7.3.1".into(), &24.into()));
    assert_eq!(host.sh("cat /proc/sys/net/ipv4/ip_forward"), "1\n");
    let rules = host.sh("iptables -t nat -S");
    let rules: Vec<&str> = rules.lines().filter(|l| l.contains("KBOOT")).collect();
    assert_eq!(
        rules,
        [
            "-N KBOOT-br-pods",
            "-A POSTROUTING -s 10.7.3.0/24 -o eth7 -m comment --comment kboot-br-pods -j KBOOT-br-pods",
            "-A KBOOT-br-pods -d 224.0.0.0/4 -m comment --comment kboot-br-pods -j RETURN",
            "-A KBOOT-br-pods -d 10.7.0.0/16 -m comment --comment kboot-br-pods -j RETURN",
            "-A KBOOT-br-pods -m comment --comment kboot-br-pods -j MASQUERADE --random-fully",
        ]
    );

    let before = state(&host);
    let second = host.kboot(&[&ARGS[..], &["--out-interface", "eth7"]].concat());
    assert_eq!(second.error(), (0, "kboot bridge: br-pods 10.7.3.1/24 up (0 changed, 10 already so)"));
    assert_eq!(state(&host), before);
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_the_real_one_does() {
    let Some(host) = host() else { return };
    let before = state(&host);
    let dry = host.kboot(&[&ARGS[..], &["--dry-run"]].concat());
    assert_eq!(state(&host), before);
    assert!(host.sh("ls -A /run").is_empty());
    let real = host.kboot(&ARGS);
    let logged: Vec<&str> = real.stderr.lines().filter_map(|l| l.strip_prefix("kboot bridge: ")).collect();
    let planned: Vec<&str> = dry.ok().lines().collect();
    assert_eq!(planned[..], logged[..logged.len() - 1]);
    assert_eq!(
        planned[1],
        "ip link add br-pods address 0a:6b:0a:07:03:01 type bridge stp_state 0 forward_delay 0"
    );
}

#[test]
fn json_says_what_was_found_and_changed() {
    let Some(host) = host() else { return };
    let dry = host.kboot(&[&ARGS[..], &["--dry-run", "--json"]].concat()).json();
    assert_eq!(
        (&dry["outcome"], &dry["dryRun"], &dry["changed"]),
        (&"planned".into(), &true.into(), &serde_json::json!([]))
    );
    let real = host.kboot(&[&ARGS[..], &["--json"]].concat()).json();
    assert_eq!(
        (&real["outcome"], &real["exit"], &real["error"]),
        (&"changed".into(), &0.into(), &Value::Null)
    );
    assert_eq!(real["planned"], dry["planned"]);
    assert_eq!(real["changed"], real["planned"]);
    assert_eq!(
        real["changed"][0],
        serde_json::json!({"kind": "sysctl", "text": "sysctl -w net.ipv4.ip_forward=1"})
    );
    let again = host.kboot(&[&ARGS[..], &["--json"]].concat()).json();
    assert_eq!((&again["outcome"], &again["found"]["link"]["mtu"]), (&"unchanged".into(), &1450.into()));
}

#[test]
fn a_link_of_that_name_that_is_no_bridge_is_left_alone() {
    let Some(host) = host() else { return };
    host.sh("ip link add cbr0 type veth peer name other");
    let before = state(&host);
    let args = ["bridge", "--subnet", "10.7.3.1/24", "--masquerade", "10.7.0.0/16"];
    let done = host.kboot(&args);
    assert_eq!(
        done.error(),
        (3, "kboot bridge: cbr0 is a veth device, not a bridge: remove it or give --name")
    );
    assert_eq!(state(&host), before);
    let json = host.kboot(&[&args[..], &["--json"]].concat()).json();
    assert_eq!((&json["outcome"], &json["exit"]), (&"conflict".into(), &3.into()));
}

#[test]
fn only_what_differs_is_changed_and_an_administrators_address_stays() {
    let Some(host) = host() else { return };
    host.sh("ip link add br-pods type bridge && ip addr add 192.0.2.9/24 dev br-pods && ip link set br-pods up mtu 1300");
    host.sh("ip link add p0 type veth peer name p1 && ip link set p0 master br-pods");
    let done = host.kboot(&[&ARGS[..7], &["--no-masquerade"]].concat());
    assert!(done.stderr.contains("(5 changed, 2 already so)"), "{done:?}");
    assert_eq!(host.ip("link show br-pods")[0]["mtu"], 1450);
    let addrs = host.sh("ip -4 -br addr show br-pods");
    assert!(addrs.contains("192.0.2.9/24") && addrs.contains("10.7.3.1/24"), "{addrs}");
    assert!(host.sh("bridge link").contains("p0"), "the port stays");
}

#[test]
fn another_lease_replaces_the_old_address_and_rule() {
    let Some(host) = host() else { return };
    assert_eq!(host.kboot(&ARGS).code, 0);
    let lease = [
        "bridge",
        "--name",
        "br-pods",
        "--subnet",
        "10.7.9.1/24",
        "--mtu",
        "1450",
        "--masquerade",
        "10.7.0.0/16",
    ];
    let done = host.kboot(&lease);
    assert!(done.stderr.contains("(4 changed, 8 already so)"), "{done:?}");
    let addrs = host.sh("ip -4 -br addr show br-pods");
    assert!(addrs.contains("10.7.9.1/24") && !addrs.contains("10.7.3.1/24"), "{addrs}");
    let rules = host.sh("iptables -t nat -S POSTROUTING");
    assert!(rules.contains("-s 10.7.9.0/24") && !rules.contains("10.7.3.0"), "{rules}");
    assert!(host.kboot(&lease).stderr.contains("(0 changed, 10 already so)"));
}

#[test]
fn the_lease_file_decides_about_masquerading() {
    let Some(host) = host() else { return };
    host.sh("mkdir -p /run/flannel");
    let lease = |masq: &str| {
        host.sh(&format!("printf 'FLANNEL_NETWORK=10.8.0.0/16\nFLANNEL_SUBNET=10.8.5.1/24\nFLANNEL_MTU=1400\nFLANNEL_IPMASQ={masq}\n' > /run/flannel/subnet.env"));
    };
    let rules = || host.sh("iptables -t nat -S");
    lease("false");
    assert_eq!(host.kboot(&["bridge"]).code, 0);
    assert!(
        rules().contains("-A KBOOT-cbr0 -d 10.8.0.0/16 -m comment --comment kboot-cbr0 -j RETURN"),
        "{}",
        rules()
    );
    assert_eq!(host.ip("link show cbr0")[0]["mtu"], 1400);
    // flanneld was restarted with --ip-masq: kboot's own masquerading goes, and asking for it is a conflict.
    lease("true");
    let done = host.kboot(&["bridge"]);
    assert!(done.stderr.contains("no masquerading here: flanneld does it (FLANNEL_IPMASQ=true)"), "{done:?}");
    assert!(!rules().contains("KBOOT"), "{}", rules());
    let done = host.kboot(&["bridge", "--masquerade", "10.8.0.0/16"]);
    assert_eq!((done.code, done.stderr.contains("flanneld masquerades already")), (3, true), "{done:?}");
}

#[test]
fn foreign_rules_stay_and_both_iptables_variants_work() {
    for variant in ["iptables-nft", "iptables-legacy"] {
        let Some(host) = host() else { return };
        let Some(program) = need(variant, "iptables") else { return };
        host.sh(&format!("mkdir /run/bin && ln -s {} /run/bin/iptables", program.display()));
        host.sh(&format!("{variant} -t nat -A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE"));
        let done = host.kboot_with_path("/run/bin:/usr/sbin:/usr/bin", &ARGS);
        assert_eq!(done.code, 0, "{variant}: {done:?}");
        let rules = host.sh(&format!("{variant} -t nat -S"));
        assert!(rules.contains("-A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE"), "{rules}");
        assert!(rules.contains("-j KBOOT-br-pods"), "{variant}: {rules}");
        let again = host.kboot_with_path("/run/bin:/usr/sbin:/usr/bin", &ARGS);
        assert!(again.stderr.contains("(0 changed, 10 already so)"), "{variant}: {again:?}");
    }
}

#[test]
fn a_held_xtables_lock_is_waited_for() {
    let Some(host) = host() else { return };
    let Some(program) = need("iptables-legacy", "iptables") else { return };
    let path = "/run/bin:/usr/sbin:/usr/bin:/bin";
    host.sh(&format!("mkdir /run/bin && ln -s {} /run/bin/iptables", program.display()));
    host.sh("touch /run/xtables.lock && mkfifo /run/go");
    // Held until something is written into the FIFO.
    let mut holder = host.command("flock", &["/run/xtables.lock", "cat", "/run/go"]).spawn().unwrap();
    until("the lock is held", || {
        finish(&mut host.command("flock", &["-n", "/run/xtables.lock", "true"])).code != 0
    });
    let short = host.kboot_with_path(path, &[&ARGS[..], &["--timeout", "1s"]].concat());
    let last = short.stderr.lines().last().unwrap();
    assert_eq!(
        (short.code, last),
        (75, "kboot bridge: iptables -t nat -S: the xtables lock: not within 1s: another program holds it")
    );
    assert_eq!(host.ip("link").as_array().unwrap().len(), 1, "nothing was made");
    let waiting = host
        .command("env", &[format!("PATH={path}")])
        .arg(binary())
        .args(ARGS)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    host.sh("echo > /run/go");
    assert_eq!(collect(waiting.unwrap()).code, 0);
    holder.wait().unwrap();
}

/// A stand-in for iptables before 1.6, which knows no `--wait SECONDS`: in front of the real one.
#[test]
fn an_iptables_without_wait_is_used_without() {
    let Some(host) = host() else { return };
    let old = "#!/bin/sh\ncase \"$*\" in *--wait*) echo \"Bad argument\" >&2; exit 2;; esac\nexec /usr/sbin/iptables \"$@\"\n";
    host.sh(&format!("mkdir /run/bin && printf '{old}' > /run/bin/iptables && chmod 755 /run/bin/iptables"));
    let done = host.kboot_with_path("/run/bin:/usr/sbin:/usr/bin:/bin", &ARGS);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(host.sh("iptables -t nat -S").contains("-j KBOOT-br-pods"));
}

#[test]
fn without_rights_it_says_what_is_missing() {
    let Some(host) = host() else { return };
    host.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
    let args = ["--bounding-set", "-all", "--inh-caps", "-all", "--"];
    let binary = binary();
    let mut command = host.command("setpriv", &args);
    command.arg(binary).args(&ARGS[..5]).arg("--firewall").arg("none");
    let done = finish(&mut command);
    assert_eq!(done.code, 1, "{done:?}");
    let last = done.stderr.lines().last().unwrap();
    assert_eq!(
        last,
        "kboot bridge: ip link add br-pods address 0a:6b:0a:07:03:01 type bridge stp_state 0 forward_delay 0: Operation not permitted: needs root (CAP_NET_ADMIN)"
    );
}

/// A stand-in that runs the real iptables and then kills kboot, after the Nth call: dead between two
/// steps, wherever; run again, it ends where it would have.
#[test]
fn killed_between_any_two_steps_it_ends_right_when_run_again() {
    let Some(reference) = host() else { return };
    assert_eq!(reference.kboot(&ARGS).code, 0);
    let want = state(&reference).2;
    let mut killed = 0;
    for call in 1..=6 {
        let host = Host::new();
        let script = "#!/bin/sh\n/usr/sbin/iptables \"$@\"\ns=$?\necho >>/run/calls\n[ $(wc -l </run/calls) = CALL ] && kill -9 $PPID\nexit $s\n";
        let script = script.replace("CALL", &call.to_string());
        host.sh(&format!(
            "mkdir /run/bin && printf '%s' '{script}' >/run/bin/iptables && chmod 755 /run/bin/iptables"
        ));
        let dead = host.kboot_with_path("/run/bin:/usr/sbin:/usr/bin:/bin", &ARGS);
        assert_eq!(dead.code, 128 + 9, "call {call}: {dead:?}");
        assert!(!dead.stderr.contains("already so"), "it had ended: {dead:?}");
        killed += 1;
        let done = host.kboot(&ARGS);
        assert_eq!(done.code, 0, "{done:?}");
        assert_eq!(state(&host).2, want, "killed after call {call}");
        assert!(host.kboot(&ARGS).stderr.contains("(0 changed, 10 already so)"));
    }
    assert_eq!(killed, 6);
}

/// The kernel takes an address's younger siblings of the same network with it.
#[test]
fn another_lease_of_the_same_network_keeps_an_address() {
    let Some(host) = host() else { return };
    host.sh("echo 0 >/proc/sys/net/ipv4/conf/all/promote_secondaries");
    let with = |subnet: &str| host.kboot(&["bridge", "--subnet", subnet, "--no-masquerade"]);
    assert_eq!(with("10.7.3.1/24").code, 0);
    host.sh("echo 0 >/proc/sys/net/ipv4/conf/cbr0/promote_secondaries; ip addr add 10.7.3.50/24 dev cbr0 label cbr0:adm");
    assert_eq!(with("10.7.3.9/24").code, 0);
    let addrs = host.sh("ip -4 -br addr show cbr0");
    assert!(
        addrs.contains("10.7.3.9/24") && addrs.contains("10.7.3.50/24") && !addrs.contains("10.7.3.1/24"),
        "{addrs}"
    );
    assert!(with("10.7.3.9/24").stderr.contains("(0 changed, "));
}

#[test]
fn not_knowing_the_cluster_takes_nothing_away() {
    let Some(host) = host() else { return };
    assert_eq!(host.kboot(&ARGS).code, 0);
    let rules = host.sh("iptables -t nat -S");
    let done = host.kboot(&ARGS[..7]);
    assert!(done.code == 0 && done.stderr.contains("the cluster's network is not known"), "{done:?}");
    assert_eq!(host.sh("iptables -t nat -S"), rules);
    let done = host.kboot(&[&ARGS[..7], &["--no-masquerade"]].concat());
    assert!(done.code == 0 && !host.sh("iptables -t nat -S").contains("KBOOT"), "{done:?}");
}

#[test]
fn a_conflict_touches_nothing_not_even_forwarding() {
    let Some(host) = host() else { return };
    host.sh("mkdir /run/flannel && printf 'FLANNEL_SUBNET=10.8.5.1/24\nFLANNEL_MTU=1400\nFLANNEL_IPMASQ=true\n' >/run/flannel/subnet.env");
    let done = host.kboot(&["bridge", "--masquerade", "10.8.0.0/16"]);
    assert_eq!((done.code, host.sh("cat /proc/sys/net/ipv4/ip_forward").as_str()), (3, "0\n"), "{done:?}");
}

/// A kernel without the nat table, as a program sees it: no masquerading wanted, none needed.
#[test]
fn an_iptables_that_cannot_list_is_no_obstacle_to_having_no_rules() {
    let Some(host) = host() else { return };
    host.sh("mkdir /run/bin && printf '#!/bin/sh\necho cannot initialize table nat >&2; exit 3\n' >/run/bin/iptables && chmod 755 /run/bin/iptables");
    let done = host
        .kboot_with_path("/run/bin:/usr/sbin:/usr/bin:/bin", &[&ARGS[..7], &["--no-masquerade"]].concat());
    assert_eq!(done.code, 0, "{done:?}");
    let by_program = [&ARGS[..], &["--firewall", "iptables"]].concat();
    let done = host.kboot_with_path("/run/bin:/usr/sbin:/usr/bin:/bin", &by_program);
    let last = done.stderr.lines().last().unwrap();
    assert_eq!(
        (done.code, last),
        (1, "kboot bridge: iptables -t nat -S: cannot initialize table nat (exit 3)")
    );
    let json = host.kboot_with_path("/run/bin:/usr/sbin:/usr/bin:/bin", &[&ARGS[..], &["--json"]].concat());
    assert_eq!(
        json.json()["found"]["firewall"],
        serde_json::json!({"backend": "nft", "reason": "iptables -t nat -S: cannot initialize table nat (exit 3)"})
    );
}

/// Whoever cannot look must not say that nothing is there.
#[test]
fn a_held_lock_does_not_pass_for_no_rules() {
    let Some(host) = host() else { return };
    let Some(program) = need("iptables-legacy", "iptables") else { return };
    let path = "/run/bin:/usr/sbin:/usr/bin:/bin";
    host.sh(&format!("mkdir /run/bin && ln -s {} /run/bin/iptables && mkfifo /run/go", program.display()));
    assert_eq!(host.kboot_with_path(path, &ARGS).code, 0);
    let mut holder = host.command("flock", &["/run/xtables.lock", "cat", "/run/go"]).spawn().unwrap();
    until("the lock is held", || {
        finish(&mut host.command("flock", &["-n", "/run/xtables.lock", "true"])).code != 0
    });
    let done = host.kboot_with_path(path, &[&ARGS[..7], &["--no-masquerade", "--timeout", "1s"]].concat());
    host.sh("echo > /run/go");
    holder.wait().unwrap();
    assert_eq!(done.code, 75, "{done:?}");
    assert!(host.sh("iptables-legacy -t nat -S").contains("KBOOT-br-pods"));
}

#[test]
fn an_iptables_that_hangs_ends_at_the_deadline() {
    let Some(host) = host() else { return };
    host.sh("mkdir /run/bin && printf '#!/bin/sh\nexec sleep 30\n' >/run/bin/iptables && chmod 755 /run/bin/iptables");
    let started = std::time::Instant::now();
    let done =
        host.kboot_with_path("/run/bin:/usr/sbin:/usr/bin:/bin", &[&ARGS[..], &["--timeout", "1s"]].concat());
    assert_eq!(done.code, 75, "{done:?}");
    assert!(started.elapsed() < std::time::Duration::from_secs(15));
}

#[test]
fn a_link_that_leads_nowhere_is_warned_about() {
    let Some(host) = host() else { return };
    let done = host.kboot(&[&ARGS[..], &["--out-interface", "ethO"]].concat());
    assert!(
        done.code == 0 && done.stderr.contains("warning: --out-interface ethO: there is no such link now"),
        "{done:?}"
    );
    assert_eq!(host.kboot(&["bridge", "--subnet", "10.7.3.1/24", "--masquerade", "0.0.0.0/0"]).code, 2);
}

#[test]
fn the_record_says_how_the_kernel_was_set_before() {
    let Some(host) = host() else { return };
    assert_eq!(host.kboot(&ARGS).code, 0);
    let record: Value = serde_json::from_str(&host.sh("cat /run/kboot/bridge-br-pods.*.json")).unwrap();
    assert_eq!(
        record,
        serde_json::json!({
            "made": true,
            "mac": "0a:6b:0a:07:03:01",
            "index": 2,
            "addresses": ["10.7.3.1/24"],
            "ports": [],
            "before": {"net.ipv4.ip_forward": "0"},
        })
    );
    assert_eq!(host.kboot(&ARGS).code, 0);
    let again: Value = serde_json::from_str(&host.sh("cat /run/kboot/bridge-br-pods.*.json")).unwrap();
    assert_eq!(again, record, "a second run does not forget it");
    // Nor is it lost when the lease does not come.
    let late = Host::new();
    assert_eq!(late.kboot(&["bridge", "--no-masquerade", "--timeout", "50ms"]).code, 75);
    assert_eq!(
        late.sh("cat /run/kboot/bridge-cbr0.*.json"),
        "{\"before\":{\"net.ipv4.ip_forward\":\"0\"}}\n"
    );
}

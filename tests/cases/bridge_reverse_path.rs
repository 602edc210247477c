//! bridge and reverse path filtering: loosened where strict would drop what pods send, by real packets.

use crate::support::host::Host;
use crate::support::{Done, need, root_user, until};

fn host() -> Option<Host> {
    (root_user() && need("ip", "tools").is_some()).then(Host::new)
}

fn bridge(host: &Host) -> Done {
    let args = ["bridge", "--name", "br7", "--subnet", "10.99.0.1/24", "--no-masquerade"];
    host.kboot(&[&args[..], &["--firewall", "none"]].concat())
}

fn unchanged(done: &Done) -> bool {
    done.code == 0 && done.stderr.contains("up (0 changed, ")
}

fn get(host: &Host, link: &str) -> String {
    host.sh(&format!("cat /proc/sys/net/ipv4/conf/{link}/rp_filter")).trim().to_owned()
}

fn set(host: &Host, values: &[(&str, &str)]) {
    for (link, value) in values {
        host.sh(&format!("echo {value} >/proc/sys/net/ipv4/conf/{link}/rp_filter"));
    }
}

/// The value of a counter in a file of /proc/net with a line of names above one of values.
fn counter(host: &Host, file: &str, group: &str, name: &str) -> u64 {
    let text = host.sh(&format!("cat /proc/net/{file}"));
    let mut lines = text.lines().filter_map(|l| l.strip_prefix(group)?.strip_prefix(": "));
    let names = lines.next().unwrap().split(' ');
    names.zip(lines.next().unwrap().split(' ')).find(|(n, _)| *n == name).unwrap().1.parse().unwrap()
}

/// A pod at 10.99.0.5 behind a port of br7, whose packets the kernel answers by another link.
fn with_a_pod(host: &Host) {
    assert_eq!(bridge(host).code, 0);
    host.sh("mkdir /run/netns && ip netns add pod && ip link add v0 type veth peer name eth0 netns pod && ip link set v0 master br7 up");
    let mac = host.ip("link show br7")[0]["address"].as_str().unwrap().to_owned();
    host.sh(&format!("ip -n pod addr add 10.99.0.5/24 dev eth0 && ip -n pod link set eth0 up && ip -n pod neigh add 10.99.0.1 lladdr {mac} dev eth0"));
    host.sh("ip link add other type veth peer name far && ip link set other up && ip link set far up");
    host.sh("ip route add 10.99.0.0/24 dev other table 77 && ip rule add to 10.99.0.0/24 lookup 77 pref 100");
}

/// How many packets of pods arrived, and how many were dropped for their way back.
fn fate(host: &Host) -> (u64, u64) {
    (counter(host, "snmp", "Udp", "NoPorts"), counter(host, "netstat", "TcpExt", "IPReversePathFilter"))
}

fn send(host: &Host) {
    host.sh("ip netns exec pod bash -c 'echo >/dev/udp/10.99.0.1/9'");
}

#[test]
fn strict_reverse_paths_are_loosened_where_they_drop_what_pods_send() {
    let Some(host) = host() else { return };
    with_a_pod(&host);
    set(&host, &[("all", "1"), ("br7", "1")]);
    until("the pod's link is there and its packets are dropped", || {
        send(&host);
        fate(&host).1 > 0
    });
    assert_eq!(fate(&host).0, 0);
    let done = bridge(&host);
    assert!(done.code == 0 && done.stderr.contains("(1 changed, "), "{done:?}");
    assert_eq!((get(&host, "br7"), get(&host, "all")), ("2".into(), "1".into()));
    let dropped = fate(&host).1;
    send(&host);
    until("the pod's packet arrives", || fate(&host).0 == 1);
    assert_eq!(fate(&host).1, dropped);
    assert!(unchanged(&bridge(&host)));
}

#[test]
fn reverse_paths_are_left_where_they_drop_nothing() {
    let Some(host) = host() else { return };
    with_a_pod(&host);
    for (all, own) in [("0", "0"), ("2", "1"), ("1", "2"), ("2", "0")] {
        set(&host, &[("all", all), ("br7", own)]);
        assert!(unchanged(&bridge(&host)), "{all} {own}");
        assert_eq!(get(&host, "br7"), own);
    }
    set(&host, &[("all", "1"), ("br7", "1")]);
    host.sh("ip rule del pref 100");
    assert!(unchanged(&bridge(&host)), "the way back is the bridge");
    until("the pod's link is there and its packets arrive", || {
        send(&host);
        fate(&host).0 > 0
    });
    assert_eq!(fate(&host).1, 0);
}

/// No port yet, so no carrier; and the host's own routes go round links without one.
#[test]
fn a_bridge_without_a_port_is_the_way_back_all_the_same() {
    let Some(host) = host() else { return };
    host.sh("ip link add eth7 type veth peer name far && ip link set far up && ip link set eth7 up && ip route add default dev eth7");
    host.sh("echo 1 | tee /proc/sys/net/ipv4/conf/*/ignore_routes_with_linkdown");
    set(&host, &[("all", "1"), ("default", "1")]);
    assert_eq!(bridge(&host).code, 0);
    assert_eq!(get(&host, "br7"), "1");
}

/// Pods that a rule cuts off are no reason to fail.
#[test]
fn a_rule_that_answers_pods_with_an_error_is_no_obstacle() {
    let Some(host) = host() else { return };
    set(&host, &[("all", "1")]);
    for kind in ["unreachable", "prohibit", "blackhole"] {
        host.sh(&format!("ip rule add to 10.99.0.0/24 {kind} pref 50"));
        let done = bridge(&host);
        assert_eq!(done.code, 0, "{kind}: {done:?}");
        host.sh("ip rule del pref 50");
    }
}

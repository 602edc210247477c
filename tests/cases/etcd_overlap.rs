//! etcd-config on a host that has addresses and routes of its own in the range; etcd is real, and inside.

use crate::support::etcd::Etcd;
use crate::support::host::Host;
use crate::support::{Done, root_user};

const LINK: &str =
    "ip link add veth0 type veth peer name veth1 && ip link set veth1 up && ip link set veth0 up";
const TAKE_ANOTHER: &str = "take another Network, or give --allow-overlap";

fn write(host: &Host, backend: &str, more: &[&str]) -> Done {
    // Without --endpoints: 127.0.0.1:4001, where nobody is, then 127.0.0.1:2379.
    let args = ["etcd-config", "--network", "10.77.0.0/16", "--backend", backend, "--timeout", "20s"];
    host.kboot(&[&args[..], more].concat())
}

#[test]
fn an_address_of_the_host_in_the_range_is_a_conflict_unless_allowed() {
    if !root_user() {
        return;
    }
    let host = Host::new();
    host.sh(&format!("{LINK} && ip addr add 10.77.5.2/24 dev veth0"));
    let Some(_etcd) = Etcd::start_in(&host) else { return };
    let found = "veth0 has 10.77.5.2/24, and hosts would get subnets of that (10.77.1.0-10.77.255.0 by /24)";
    let conflict = format!("kboot etcd-config: {found}: {TAKE_ANOTHER}");
    assert_eq!(write(&host, "vxlan", &[]).error(), (3, conflict.as_str()));
    assert_eq!(write(&host, "vxlan", &["--dry-run"]).error(), (3, conflict.as_str()));
    let held = host.kboot(&["etcd-config", "--show"]);
    assert_eq!(held.error(), (1, "kboot etcd-config: /coreos.com/network/config: etcd holds no config"));
    // Subnets that leave it out are fine.
    let done = write(&host, "vxlan", &["--prefix", "/beside", "--subnet-min", "10.77.6.0"]);
    assert!(done.stderr.ends_with("(2 changed, 0 already so)\n") && done.code == 0, "{done:?}");
    assert!(!done.stderr.contains("veth0"), "{done:?}");
    let done = write(&host, "vxlan", &["--allow-overlap"]);
    assert!(done.stderr.contains(&format!("kboot etcd-config: warning: {found}\n")), "{done:?}");
    assert!(done.stderr.ends_with("(2 changed, 0 already so)\n") && done.code == 0, "{done:?}");
    // Once it is held, it is no question any more.
    let done = write(&host, "vxlan", &[]);
    assert!(done.stderr.ends_with("(0 changed, 2 already so)\n") && done.code == 0, "{done:?}");
}

#[test]
fn what_flannel_put_there_for_the_held_config_is_no_overlap() {
    if !root_user() {
        return;
    }
    let host = Host::new();
    host.sh(&format!("{LINK} && ip addr add 192.0.2.1/24 dev veth0"));
    let Some(_etcd) = Etcd::start_in(&host) else { return };
    assert_eq!(write(&host, "host-gw", &[]).code, 0);
    // A route to another host's subnet, and docker's bridge in this host's own.
    host.sh("ip route add 10.77.9.0/24 via 192.0.2.2 dev veth0");
    host.sh("ip link add cbr0 type bridge && ip addr add 10.77.8.1/24 dev cbr0 && ip link set cbr0 up");
    let done = write(&host, "vxlan", &["--replace"]);
    assert!(done.stderr.ends_with("(2 changed, 0 already so)\n") && done.code == 0, "{done:?}");
    let held = host.kboot(&["etcd-config", "--show"]);
    let config = r#"/coreos.com/network/config {"Network":"10.77.0.0/16","Backend":{"Type":"vxlan"}}"#;
    assert_eq!(held.ok().matches(config).count(), 2, "{held:?}");
    // Where no config is held, the same bridge is somebody's.
    let done = write(&host, "vxlan", &["--prefix", "/other"]);
    let found = "cbr0 has 10.77.8.1/24, and hosts would get subnets of that (10.77.1.0-10.77.255.0 by /24)";
    assert_eq!(done.error(), (3, format!("kboot etcd-config: {found}: {TAKE_ANOTHER}").as_str()));
    // So is the route, unless subnets of that size are what the held config leases.
    host.sh("ip link del cbr0 && ip route add 10.77.16.0/20 dev veth0");
    let found = "a route leads to 10.77.16.0/20 by veth0, and hosts would get subnets of that (10.77.1.0-10.77.255.0 by /24)";
    assert_eq!(
        write(&host, "host-gw", &["--replace"]).error(),
        (3, format!("kboot etcd-config: {found}: {TAKE_ANOTHER}").as_str())
    );
}

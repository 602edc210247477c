//! bridge, another lease than the last time: what comes, what goes, in which order, and what is nobody's
//! but an administrator's.

use crate::support::host::Host;
use crate::support::monitor::Monitor;
use crate::support::{Done, need, root_user};

fn host() -> Option<Host> {
    (root_user() && need("ip", "tools").is_some()).then(Host::new)
}

/// kboot on kbr0 with that lease of the clusters 10.7.0.0/16 and fd00:7::/32, by flannel's file.
fn lease(host: &Host, four: &str, six: &str) -> Done {
    host.sh(&format!(
        "mkdir -p /run/flannel && printf '%s\\n' FLANNEL_NETWORK=10.7.0.0/16 FLANNEL_SUBNET={four} \
         FLANNEL_IPV6_NETWORK=fd00:7::/32 FLANNEL_IPV6_SUBNET={six} FLANNEL_MTU=1450 FLANNEL_IPMASQ=false \
         >/run/flannel/subnet.env"
    ));
    host.kboot(&["bridge", "--name", "kbr0", "--firewall", "none"])
}

fn addrs(host: &Host) -> Vec<String> {
    let found = host.ip("addr show kbr0");
    let infos = found[0]["addr_info"].as_array().unwrap().iter();
    let shown = infos.map(|a| format!("{}/{}", a["local"].as_str().unwrap(), a["prefixlen"]));
    shown.filter(|a| !a.starts_with("fe80")).collect()
}

fn unchanged(done: &Done) -> bool {
    done.code == 0 && done.stderr.contains("up (0 changed, ")
}

#[test]
fn another_lease_comes_before_the_old_one_goes() {
    let Some(host) = host() else { return };
    assert_eq!(lease(&host, "10.7.3.1/24", "fd00:7:3::1/64").code, 0);
    assert_eq!(addrs(&host), ["10.7.3.1/24", "fd00:7:3::1/64"]);
    let monitor = Monitor::start(&host);
    assert_eq!(lease(&host, "10.7.4.1/24", "fd00:7:4::1/64").code, 0);
    let told = monitor.end();
    let at = |start: &str, part: &str| {
        let found = told.iter().position(|l| l.starts_with(start) && l.contains(part));
        found.unwrap_or_else(|| panic!("{start} {part}: {told:#?}"))
    };
    assert!(at("10.7.4.0/24 dev kbr0", "") < at("Deleted", "10.7.3.1/24"), "{told:#?}");
    // Of an IPv6 address itself the kernel tells later: from a work queue.
    assert!(at("fd00:7:4::/64 dev kbr0", "") < at("Deleted", "fd00:7:3::1/64"), "{told:#?}");
    assert_eq!(addrs(&host), ["10.7.4.1/24", "fd00:7:4::1/64"]);
    assert!(unchanged(&lease(&host, "10.7.4.1/24", "fd00:7:4::1/64")));
}

#[test]
fn one_family_alone_may_change() {
    let Some(host) = host() else { return };
    assert_eq!(lease(&host, "10.7.3.1/24", "fd00:7:3::1/64").code, 0);
    let monitor = Monitor::start(&host);
    assert_eq!(lease(&host, "10.7.3.1/24", "fd00:7:5::1/64").code, 0);
    let told = monitor.end();
    assert!(!told.is_empty() && told.iter().all(|l| !l.contains("10.7.")), "{told:#?}");
    assert_eq!(addrs(&host), ["10.7.3.1/24", "fd00:7:5::1/64"]);
}

/// Inside the cluster's networks too: kboot knows which addresses are its own.
#[test]
fn what_an_administrator_added_stays() {
    let Some(host) = host() else { return };
    assert_eq!(lease(&host, "10.7.3.1/24", "fd00:7:3::1/64").code, 0);
    let added = ["192.0.2.9/28", "10.7.3.77/24", "10.7.200.1/32", "fd00:7:3::77/64", "fd00:99::1/64"];
    for addr in added {
        host.sh(&format!("ip addr add {addr} dev kbr0 nodad"));
    }
    assert_eq!(lease(&host, "10.7.4.1/24", "fd00:7:4::1/64").code, 0);
    let mut has = addrs(&host);
    has.sort();
    let mut wanted = [&added[..], &["10.7.4.1/24", "fd00:7:4::1/64"]].concat();
    wanted.sort_unstable();
    assert_eq!(has, wanted);
}

#[test]
fn without_a_record_the_clusters_addresses_are_flannels_and_others_stay() {
    let Some(host) = host() else { return };
    host.sh("ip link add kbr0 type bridge && for a in 10.7.3.1/24 192.0.2.9/28 fd00:7:3::1/64 fd00:99::1/64; do ip addr add $a dev kbr0; done");
    assert_eq!(lease(&host, "10.7.4.1/24", "fd00:7:4::1/64").code, 0);
    let mut has = addrs(&host);
    has.sort();
    assert_eq!(has, ["10.7.4.1/24", "192.0.2.9/28", "fd00:7:4::1/64", "fd00:99::1/64"]);
    host.sh("rm -r /run/kboot && ip addr add 198.51.100.1/28 dev kbr0");
    assert_eq!(lease(&host, "10.7.5.1/24", "fd00:7:5::1/64").code, 0);
    let mut has = addrs(&host);
    has.sort();
    assert_eq!(has, ["10.7.5.1/24", "192.0.2.9/28", "198.51.100.1/28", "fd00:7:5::1/64", "fd00:99::1/64"]);
}

/// And so nothing is done, not even forwarding set.
#[test]
fn another_link_with_the_subnet_is_a_conflict() {
    let Some(host) = host() else { return };
    host.sh("ip link add uplink type veth peer name far");
    let text = |link: &str, cidr: &str, hint: &str| {
        format!(
            "kboot bridge: {link} has {cidr} of this host's pod subnet: pods would be reached by one of the two only: {hint}remove it (ip addr del {cidr} dev {link})"
        )
    };
    let docker = "give --replace-docker0, or ";
    let rivals = [
        ("cni0", "10.7.3.1/24", ""),
        ("docker0", "10.7.3.1/24", docker),
        ("cni0", "10.7.3.129/25", ""),
        ("cni0", "fd00:7:3::1/64", ""),
    ];
    let forwarding = "/proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding";
    for (link, cidr, hint) in rivals {
        host.sh(&format!("ip link add {link} type bridge && ip addr add {cidr} dev {link}"));
        let done = lease(&host, "10.7.3.1/24", "fd00:7:3::1/64");
        assert_eq!((done.code, done.stderr.lines().last()), (3, Some(&*text(link, cidr, hint))), "{done:?}");
        assert_eq!(host.sh(&format!("cat {forwarding}")), "0\n0\n", "{done:?}");
        host.sh(&format!("ip link del {link}"));
    }
}

/// flannel.1 has the subnet's first address, /32; a whole cluster's route is less exact than the bridge's.
#[test]
fn an_address_alone_and_a_wider_network_are_no_rivals() {
    let Some(host) = host() else { return };
    host.sh("ip link add flannel.1 type veth peer name far && ip addr add 10.7.3.0/32 dev flannel.1 && ip addr add fd00:7:3::/128 dev flannel.1");
    host.sh("ip addr add 10.7.9.9/16 dev far && ip link set flannel.1 up && ip link set far up");
    let done = lease(&host, "10.7.3.1/24", "fd00:7:3::1/64");
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(host.ip("addr show flannel.1")[0]["addr_info"][0]["local"], "10.7.3.0");
}

/// One more address in the network of the host's own link: `remove it` would cut the host off.
#[test]
fn a_hosts_own_network_is_not_called_the_pods() {
    let Some(host) = host() else { return };
    host.sh("ip link add uplink type veth peer name far && ip addr add 192.0.2.10/24 dev uplink");
    let done =
        host.kboot(&["bridge", "--subnet", "10.7.3.1/24", "--address", "192.0.2.50/24", "--no-masquerade"]);
    assert!(!done.stderr.contains("ip addr del 192.0.2.10/24 dev uplink"), "{done:?}");
}

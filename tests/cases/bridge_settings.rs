//! bridge, the kernel's settings: IPv6, router advertisements, forwarding.

use std::collections::BTreeSet;

use crate::support::host::Host;
use crate::support::{Done, need, root_user, until};

fn host() -> Option<Host> {
    (root_user() && need("ip", "tools").is_some()).then(Host::new)
}

/// kboot on br6 with these subnets, no rules.
fn bridge(host: &Host, subnets: &[&str]) -> Done {
    let args = ["bridge", "--name", "br6", "--firewall", "none", "--no-masquerade"];
    host.kboot(&[&args[..], &subnets.iter().flat_map(|s| ["--subnet", s]).collect::<Vec<_>>()].concat())
}

fn unchanged(done: &Done) -> bool {
    done.code == 0 && done.stderr.contains("up (0 changed, ")
}

fn get(host: &Host, setting: &str) -> String {
    host.sh(&format!("cat /proc/sys/net/{setting}")).trim().to_owned()
}

fn set(host: &Host, settings: &[(&str, &str)]) {
    for (setting, value) in settings {
        host.sh(&format!("echo {value} >/proc/sys/net/{setting}"));
    }
}

fn addrs(host: &Host) -> Vec<String> {
    let found = host.ip("addr show br6");
    let infos = found[0]["addr_info"].as_array().unwrap().iter();
    infos.map(|a| format!("{}/{}", a["local"].as_str().unwrap(), a["prefixlen"])).collect()
}

#[test]
fn ipv6_alone_leaves_ipv4_as_it_is() {
    let Some(host) = host() else { return };
    let done = bridge(&host, &["fd00:20:7::1/64"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(
        (get(&host, "ipv4/ip_forward"), get(&host, "ipv6/conf/all/forwarding")),
        ("0".into(), "1".into())
    );
    assert_eq!(addrs(&host), ["fd00:20:7::1/64"]);
    assert!(unchanged(&bridge(&host, &["fd00:20:7::1/64"])));
    // Nor does the other family's bridge touch this one.
    let other = Host::new();
    assert_eq!(bridge(&other, &["10.7.3.1/24"]).code, 0);
    assert_eq!(
        (get(&other, "ipv4/ip_forward"), get(&other, "ipv6/conf/all/forwarding")),
        ("1".into(), "0".into())
    );
}

#[test]
fn flannels_file_gives_both_families() {
    let Some(host) = host() else { return };
    host.sh("mkdir /run/flannel && printf 'FLANNEL_NETWORK=172.20.0.0/16\nFLANNEL_SUBNET=172.20.9.1/24\nFLANNEL_IPV6_NETWORK=fd00:20::/32\nFLANNEL_IPV6_SUBNET=fd00:20:9::1/64\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=true\n' >/run/flannel/subnet.env");
    let done = host.kboot(&["bridge", "--name", "br6"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(addrs(&host), ["172.20.9.1/24", "fd00:20:9::1/64"]);
    assert_eq!(
        (get(&host, "ipv4/ip_forward"), get(&host, "ipv6/conf/all/forwarding")),
        ("1".into(), "1".into())
    );
    assert_eq!(host.ip("link show br6")[0]["mtu"], 1430);
    // With IPv4 off, flanneld writes no word about it.
    let alone = Host::new();
    alone.sh("mkdir /run/flannel && printf 'FLANNEL_IPV6_NETWORK=fd00:20::/32\nFLANNEL_IPV6_SUBNET=fd00:20:9::1/64\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=true\n' >/run/flannel/subnet.env");
    let done = alone.kboot(&["bridge", "--name", "br6"]);
    assert_eq!((done.code, addrs(&alone)), (0, vec!["fd00:20:9::1/64".to_owned()]), "{done:?}");
    assert_eq!(get(&alone, "ipv4/ip_forward"), "0");
}

/// Without a port there is no carrier, and duplicate address detection would wait for it for ever.
#[test]
fn the_ipv6_address_is_usable_before_any_port_comes() {
    let Some(host) = host() else { return };
    assert_eq!(bridge(&host, &["fd00:20:7::1/64"]).code, 0);
    let addr = &host.ip("-6 addr show br6")[0]["addr_info"][0];
    assert_eq!((&addr["nodad"], &addr["tentative"]), (&true.into(), &serde_json::Value::Null), "{addr}");
    let arrived = || host.sh("grep -w Udp6NoPorts /proc/net/snmp6");
    let before = arrived();
    host.sh("bash -c 'echo >/dev/udp/fd00:20:7::1/9'");
    until("a packet arrives at the address", || arrived() != before);
}

#[test]
fn advertisements_stay_taken_where_they_were_and_nowhere_else() {
    let Some(host) = host() else { return };
    host.sh("for i in 0 1 2 3; do ip link add up$i type veth peer name far$i; ip link set up$i up; done");
    host.sh("ip link add br-other type bridge && ip link set up3 master br-other");
    // A router has advertised itself by up1; eth0.7 is of a kind that leads to one; behind veths are containers.
    host.sh("ip link add link up0 name eth0.7 type macvlan && ip link set far1 up");
    host.sh("ip -6 route add default via fe80::99 dev up1 proto ra metric 1024");
    set(
        &host,
        &[
            ("ipv6/conf/up0/accept_ra", "0"),
            ("ipv6/conf/up2/accept_ra", "2"),
            ("ipv6/conf/far1/forwarding", "1"),
        ],
    );
    assert_eq!(bridge(&host, &["fd00:20:7::1/64"]).code, 0);
    let wanted = [
        ("up0", "0"),
        ("up1", "2"),
        ("up2", "2"),
        ("up3", "1"),
        ("far0", "1"),
        ("eth0.7", "2"),
        ("far1", "1"),
        ("br6", "1"),
        ("lo", "1"),
        ("default", "1"),
        ("all", "1"),
    ];
    for (link, value) in wanted {
        assert_eq!(get(&host, &format!("ipv6/conf/{link}/accept_ra")), value, "{link}");
    }
    assert_eq!(get(&host, "ipv6/conf/br6/forwarding"), "1", "so the bridge itself takes none");
    assert!(unchanged(&bridge(&host, &["fd00:20:7::1/64"])));
    // An uplink that comes later is its administrator's.
    host.sh("ip link add up9 type veth peer name far9");
    assert!(unchanged(&bridge(&host, &["fd00:20:7::1/64"])));
    let down = host.kboot(&["bridge", "--name", "br6", "--subnet", "fd00:20:7::1/64", "--down", "--restore"]);
    assert_eq!(
        (down.code, get(&host, "ipv6/conf/up1/accept_ra"), get(&host, "ipv6/conf/up2/accept_ra")),
        (0, "1".into(), "2".into())
    );
}

#[test]
fn a_host_without_ipv6_is_told_so_before_anything_is_touched() {
    let Some(host) = host() else { return };
    host.sh("mount -t tmpfs none /proc/sys/net/ipv6");
    for subnets in [&["fd00:20:7::1/64"][..], &["10.7.3.1/24", "fd00:20:7::1/64"]] {
        let done = bridge(&host, subnets);
        let last = done.stderr.lines().last();
        let text = "kboot bridge: this kernel has no IPv6 (CONFIG_IPV6, or ipv6.disable=1 at boot)";
        assert_eq!((done.code, last), (1, Some(text)));
        assert_eq!(
            (host.ip("link").as_array().unwrap().len(), get(&host, "ipv4/ip_forward")),
            (1, "0".into()),
            "{done:?}"
        );
    }
    assert_eq!(bridge(&host, &["10.7.3.1/24"]).code, 0, "which IPv4 alone does not need");
}

#[test]
fn ipv6_switched_off_is_switched_on_for_the_bridge_alone() {
    let Some(host) = host() else { return };
    set(&host, &[("ipv6/conf/default/disable_ipv6", "1")]);
    let done = bridge(&host, &["10.7.3.1/24", "fd00:20:7::1/64"]);
    assert!(done.stderr.contains("kboot bridge: sysctl -w net/ipv6/conf/br6/disable_ipv6=0\n"), "{done:?}");
    assert_eq!(addrs(&host), ["10.7.3.1/24", "fd00:20:7::1/64"]);
    assert_eq!(get(&host, "ipv6/conf/default/disable_ipv6"), "1");
    assert!(unchanged(&bridge(&host, &["10.7.3.1/24", "fd00:20:7::1/64"])));
}

/// RFC 8200, 5: below 1280 bytes the kernel has no IPv6 on a link.
#[test]
fn an_mtu_that_is_too_small_for_ipv6_is_refused_before_anything_is_touched() {
    let Some(host) = host() else { return };
    let args = ["bridge", "--subnet", "10.7.3.1/24", "--subnet", "fd00:20:7::1/64", "--mtu", "1279"];
    let done = host.kboot(&[&args[..], &["--no-masquerade"]].concat());
    assert!(done.code == 2 && done.stderr.contains("1280"), "{done:?}");
    assert_eq!((host.ip("link").as_array().unwrap().len(), get(&host, "ipv4/ip_forward")), (1, "0".into()));
}

#[test]
fn settings_that_pods_do_not_need_are_left() {
    let Some(host) = host() else { return };
    host.sh("ip link add eth7 type veth peer name far && ip link add br6 type bridge");
    let all = || {
        let text = host.sh("sysctl -a 2>/dev/null | grep -e ^net.ipv -e ^net.bridge");
        text.lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let before = all();
    assert_eq!(bridge(&host, &["10.7.3.1/24"]).code, 0);
    let after = all();
    let changed = after.difference(&before).filter(|l| !l.contains(".forwarding = "));
    // The latter is the kernel's own doing: a router takes no redirects.
    let wanted = ["net.ipv4.conf.all.accept_redirects = 0", "net.ipv4.ip_forward = 1"];
    assert!(changed.clone().all(|l| wanted.contains(&l.as_str())), "{:#?}", changed.collect::<Vec<_>>());
}

fn read_only(host: &Host) {
    host.sh("mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys");
}

/// Where /proc/sys cannot be written, what is so already needs no writing.
#[test]
fn a_setting_is_written_only_where_it_differs() {
    let Some(host) = host() else { return };
    set(&host, &[("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")]);
    read_only(&host);
    for _ in 0..2 {
        assert_eq!(bridge(&host, &["10.7.3.1/24", "fd00:20:7::1/64"]).code, 0);
    }
}

/// The old address has no neighbours there that it could take with it.
#[test]
fn another_lease_needs_no_setting() {
    let Some(host) = host() else { return };
    set(&host, &[("ipv4/ip_forward", "1")]);
    read_only(&host);
    assert_eq!(bridge(&host, &["10.7.3.1/24"]).code, 0);
    let done = bridge(&host, &["10.7.4.1/24"]);
    assert_eq!((done.code, addrs(&host)), (0, vec!["10.7.4.1/24".to_owned()]), "{done:?}");
}

#[test]
fn a_setting_that_does_not_stay_is_noticed() {
    let Some(host) = host() else { return };
    host.sh("mount --bind /dev/null /proc/sys/net/ipv4/ip_forward");
    let done = bridge(&host, &["10.7.3.1/24"]);
    let last = done.stderr.lines().last().unwrap();
    assert!(done.code == 1 && last.contains("net.ipv4.ip_forward=1: wrote 1, the kernel has"), "{done:?}");
    assert_eq!(host.ip("link").as_array().unwrap().len(), 1);
}

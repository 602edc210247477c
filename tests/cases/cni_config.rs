//! cni-config, by what the real CNI plugins make of its file.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cni::{self, Pod, Runtime, no_ports};
use crate::support::host::{Host, inside};
use crate::support::net::{Station, carries};
use crate::support::packets::{self, Seen};

const FOUR: &str = "--subnet 10.7.3.1/24";
const SIX: &str = "--subnet fd00:7:3::1/64";

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// The bridge, and a runtime that has read the file; both with these options.
fn node<'h>(host: &'h Host, options: &str, more: &str) -> Runtime<'h> {
    let done = host.kboot(&words(&format!("bridge --name br-pods --no-masquerade {options}")));
    assert_eq!(done.code, 0, "{done:?}");
    runtime(host, options, more)
}

fn runtime<'h>(host: &'h Host, options: &str, more: &str) -> Runtime<'h> {
    let line = format!(
        "cni-config --name br-pods --network pods-7 --output /run/cni/pods.conflist {options} {more}"
    );
    let done = host.kboot(&words(&line));
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!done.stderr.contains("warning"), "{done:?}");
    Runtime::new(host, &host.sh("cat /run/cni/pods.conflist"))
}

/// What kboot bridge made the bridge to be.
fn bridge(host: &Host) -> Value {
    let link = &host.ip("-d addr show br-pods")[0];
    let addrs = link["addr_info"].as_array().unwrap().iter().filter(|a| a["scope"] == "global");
    let data = &link["linkinfo"]["info_data"];
    let settings = [&data["forward_delay"], &data["stp_state"], &data["vlan_filtering"]];
    json!([
        link["address"],
        link["mtu"],
        addrs.map(|a| &a["local"]).collect::<Vec<_>>(),
        settings,
        link["promiscuity"]
    ])
}

fn reaches(from: &Pod<'_>, to: &Pod<'_>) {
    for (own, other) in from.addresses().into_iter().zip(to.addresses()) {
        assert_eq!(packets::seen(&from.netns(), &to.netns(), other), Seen::Answered(own));
    }
}

fn gateways(options: &str) -> Vec<IpAddr> {
    let cidrs = options.split_whitespace().filter_map(|word| word.split_once('/'));
    cidrs.map(|(addr, _)| addr.parse().unwrap()).collect()
}

fn default_routes(pod: &Pod<'_>) -> Vec<IpAddr> {
    let mut all = Vec::new();
    for family in ["-4", "-6"] {
        let routes = pod.ip(&format!("{family} route show default"));
        let gateways = routes.as_array().unwrap().iter().map(|r| r["gateway"].as_str().unwrap());
        all.extend(gateways.map(|g| g.parse::<IpAddr>().unwrap()));
    }
    all
}

#[test]
fn pods_on_the_bridge() {
    if !cni::can_run() {
        return;
    }
    for (subnets, version) in [
        (FOUR.to_owned(), "0.3.0"),
        (format!("{FOUR} {SIX}"), "0.3.1"),
        (format!("{SIX} --subnet 10.7.3.77/25"), "0.4.0"),
        (SIX.to_owned(), "1.0.0"),
    ] {
        let host = Host::new();
        let options = format!("{subnets} --mtu 1422");
        let runtime = node(&host, &options, &format!("--cni-version {version}"));
        let before = (bridge(&host), host.sh("nft list ruleset"));
        let pods = ["one", "two"].map(|name| runtime.add(name, &no_ports()).unwrap());
        for pod in &pods {
            for (addr, gateway) in pod.addresses().into_iter().zip(gateways_by_family(&subnets)) {
                assert_ne!(addr, gateway);
                assert_eq!(packets::seen(&pod.netns(), &host.netns(), gateway), Seen::Answered(addr));
                assert_eq!(packets::seen(&host.netns(), &pod.netns(), addr), Seen::Answered(gateway));
            }
            assert_eq!(default_routes(pod), gateways_by_family(&subnets), "{subnets}");
            let mtus = (
                &pod.ip("link show eth0")[0]["mtu"],
                &host.ip(&format!("link show {}", pod.port()))[0]["mtu"],
            );
            assert_eq!(mtus, (&1422.into(), &1422.into()));
            if version >= "0.4.0" {
                runtime.check(pod).unwrap();
            }
        }
        assert_ne!(pods[0].addresses(), pods[1].addresses());
        reaches(&pods[0], &pods[1]);
        for more in ["--check", ""] {
            let done = host.kboot(&words(&format!("bridge --name br-pods --no-masquerade {options} {more}")));
            assert!(done.code == 0 && done.stderr.contains("(0 changed, "), "{done:?}");
        }
        assert_eq!((bridge(&host), host.sh("nft list ruleset")), before, "{subnets}");
        for pod in &pods {
            runtime.del(pod);
        }
        assert_eq!(host.sh("ls /run/cni/networks/pods-7 | grep -c '[.:].*[.:]' || true"), "0\n");
        assert_eq!(host.ip("link show master br-pods"), json!([]));
        assert_eq!(bridge(&host), before.0);
    }
}

/// IPv4 first, as a pod's addresses are read.
fn gateways_by_family(options: &str) -> Vec<IpAddr> {
    let mut all = gateways(options);
    all.sort_by_key(IpAddr::is_ipv6);
    all
}

/// .3 of eight addresses is the gateway: five are left.
#[test]
fn a_small_range_is_used_up_without_the_gateways_address() {
    if !cni::can_run() {
        return;
    }
    let host = Host::new();
    let runtime = node(&host, "--subnet 10.7.3.11/29 --mtu 1400", "");
    let names = ["a", "b", "c", "d", "e"];
    let pods = names.map(|name| runtime.add(name, &no_ports()).unwrap());
    let mut last: Vec<String> = pods.iter().flat_map(Pod::addresses).map(|a| a.to_string()).collect();
    last.sort_by_key(|a| (a.len(), a.clone()));
    assert_eq!(last, ["10.7.3.9", "10.7.3.10", "10.7.3.12", "10.7.3.13", "10.7.3.14"]);
    let error = runtime.add("f", &no_ports()).err().unwrap();
    assert!(error.contains("no IP addresses available in range set"), "{error}");
    host.sh("ip netns del f");
    let [first, ..] = &pods;
    let freed = first.addresses();
    runtime.del(first);
    assert_eq!(runtime.add("g", &no_ports()).unwrap().addresses(), freed);
}

/// The bridge plugin itself gives up on a bridge whose first address is not its gateway's.
#[test]
fn other_addresses_and_a_new_lease() {
    if !cni::can_run() {
        return;
    }
    let host = Host::new();
    let extra = "--address 169.254.20.10/32";
    host.kboot(&words(&format!("bridge --name br-pods --no-masquerade {FOUR} {extra}"))).ok();
    let old = runtime(&host, FOUR, "--mtu 1400").add("old", &no_ports()).unwrap();
    host.kboot(&words(&format!("bridge --name br-pods --no-masquerade --subnet 10.7.9.1/24 {extra}"))).ok();
    let addrs = &host.ip("-4 addr show br-pods")[0]["addr_info"];
    assert_eq!((&addrs[0]["local"], &addrs[1]["local"]), (&"169.254.20.10".into(), &"10.7.9.1".into()));
    let runtime = runtime(&host, "--subnet 10.7.9.1/24", "--mtu 1400");
    let new = runtime.add("new", &no_ports()).unwrap();
    assert_eq!(new.addresses(), ["10.7.9.2".parse::<IpAddr>().unwrap()]);
    assert_eq!(
        packets::seen(&new.netns(), &host.netns(), "10.7.9.1".parse().unwrap()),
        Seen::Answered(new.addresses()[0])
    );
    // The old pod's address is given back by the new list too.
    runtime.del(&old);
    assert_eq!(host.sh("ls /run/cni/networks/pods-7"), "10.7.9.2\nlast_reserved_ip.0\nlock\n");
}

#[test]
fn host_ports() {
    if !cni::can_run() {
        return;
    }
    let node_host = Station::new(Host::new(), "10.99.0.11", "fd99::11");
    let outside = Station::new(Host::new(), "10.99.0.99", "fd99::99");
    node_host.join("eth0", &outside, "eth0");
    node_host.settle("eth0");
    outside.settle("eth0");
    let runtime = node(&node_host, &format!("{FOUR} {SIX} --mtu 1400"), "");
    let ports = json!([{"hostPort": 8081, "containerPort": 80, "protocol": "tcp"}]);
    let pod = runtime.add("web", &ports).unwrap();
    carries(&node_host, "br-pods");
    let answers = |from: &std::path::Path, to: &str| {
        let to = SocketAddr::new(to.parse().unwrap(), 8081);
        inside(from, || TcpStream::connect_timeout(&to, Duration::from_secs(5))).is_ok()
    };
    let _four = inside(&pod.netns(), || TcpListener::bind("0.0.0.0:80")).unwrap();
    let listeners_six = inside(&pod.netns(), || TcpListener::bind((pod.addresses()[1], 80))).unwrap();
    for (from, to) in [
        (outside.netns(), "10.99.0.11"),
        (outside.netns(), "fd99::11"),
        (node_host.netns(), "10.99.0.11"),
        (node_host.netns(), "127.0.0.1"),
        (pod.netns(), "10.99.0.11"),
    ] {
        assert!(answers(&from, to), "{to}");
    }
    drop(listeners_six);
    let options = format!("bridge --name br-pods --no-masquerade {FOUR} {SIX} --mtu 1400 --check");
    assert_eq!(node_host.kboot(&words(&options)).code, 0);
    runtime.del(&pod);
    assert!(!answers(&node_host.netns(), "10.99.0.11"));
    // Without portmap, a host port comes to nothing.
    let runtime = self::runtime(&node_host, &format!("{FOUR} {SIX} --mtu 1400"), "--no-portmap");
    let pod = runtime.add("web", &ports).unwrap();
    let _four = inside(&pod.netns(), || TcpListener::bind("0.0.0.0:80")).unwrap();
    assert!(!answers(&node_host.netns(), "10.99.0.11"));
}

/// The plugins' CHECK compares them with what the bridge is.
#[test]
fn hairpin_modes_go_with_the_bridges() {
    if !cni::can_run() {
        return;
    }
    for (mode, port, promiscuous) in
        [("hairpin-veth", true, false), ("promiscuous-bridge", false, true), ("none", false, false)]
    {
        let host = Host::new();
        let runtime = node(&host, &format!("{FOUR} --mtu 1400 --hairpin-mode {mode}"), "--cni-version 1.0.0");
        let pod = runtime.add("pod", &no_ports()).unwrap();
        runtime.check(&pod).unwrap();
        let link = host.ip(&format!("-d link show {}", pod.port()));
        assert_eq!(link[0]["linkinfo"]["info_slave_data"]["hairpin"], port, "{mode}");
        let flags = host.ip("link show br-pods")[0]["flags"].to_string();
        assert_eq!(flags.contains("PROMISC"), promiscuous, "{mode}");
        let options =
            format!("bridge --name br-pods --no-masquerade {FOUR} --mtu 1400 --hairpin-mode {mode} --check");
        assert_eq!(host.kboot(&words(&options)).code, 0);
    }
}

#[test]
fn bandwidth() {
    if !cni::can_run() {
        return;
    }
    let host = Host::new();
    for (more, shaped) in [("", false), ("--bandwidth", true)] {
        let runtime = node(&host, &format!("{FOUR} --mtu 1400"), more);
        let pod = runtime.add("pod", &no_ports()).unwrap();
        let found = host.sh("tc qdisc show").contains("rate 8Mbit");
        assert_eq!(found, shaped);
        runtime.del(&pod);
    }
}

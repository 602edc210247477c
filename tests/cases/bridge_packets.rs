//! bridge, as packets find it: whose they are where they arrive, and whether they pass at all.

use std::net::IpAddr;

use crate::support::firewall::{self, Firewall, IPTABLES_NFT, LEGACY, NATIVE_NFT, NONE};
use crate::support::host::Host;
use crate::support::net::Family::Four;
use crate::support::net::{BRIDGE, Family, Net, Node, Station, carries};
use crate::support::packets;
use crate::support::packets::Seen::{self, Answered, OneWay};

/// A bridge on each node.
fn bridges(net: &Net, firewall: Firewall, options: &str) {
    for node in &net.nodes {
        firewall.bridge(node, options);
    }
}

/// A pod on each node.
fn pods(net: &Net) -> [Station; 2] {
    let [one, two] = &net.nodes;
    [one.pod(BRIDGE, "10.7.3.2", "fd00:7:3::2"), two.pod(BRIDGE, "10.7.4.2", "fd00:7:4::2")]
}

fn seen(from: &Host, to: &Station, family: Family) -> Seen {
    packets::seen(&from.netns(), &to.netns(), to.address(family))
}

fn lost(from: &Host, to: &Station, family: Family) -> bool {
    packets::lost(&from.netns(), &to.netns(), to.address(family))
}

#[test]
fn pods_keep_their_address_in_the_cluster_and_have_the_nodes_outside() {
    for firewall in firewall::all() {
        let net = Net::new(Host::new);
        let [one, two] = &net.nodes;
        bridges(&net, firewall, "");
        let [pod, far] = pods(&net);
        for family in firewall.families() {
            let row = format!("{} {family:?}", firewall.name());
            assert_eq!(seen(&pod, &far, family), Answered(pod.address(family)), "{row}: pod to pod");
            assert_eq!(seen(&far, &pod, family), Answered(far.address(family)), "{row}: and back");
            assert_eq!(seen(&pod, &net.outside, family), Answered(one.address(family)), "{row}: to outside");
            assert_eq!(seen(&far, &net.outside, family), Answered(two.address(family)), "{row}: to outside");
            assert_eq!(seen(one, &far, family), Answered(one.address(family)), "{row}: node to far pod");
            assert_eq!(seen(one, &pod, family), Answered(one.gateway(family)), "{row}: node to its pod");
        }
    }
}

fn without(node: &Node) -> String {
    format!("--no-masquerade --subnet {}", node.four)
}

fn down(_: &Node) -> String {
    "--down".to_owned()
}

/// The bridge is there still, or again: a packet goes out as it is.
#[test]
fn nothing_is_masqueraded_any_more() {
    for firewall in firewall::all() {
        for how in [without, down] {
            let net = Net::new(Host::new);
            let [one, _] = &net.nodes;
            bridges(&net, firewall, "");
            let [pod, _] = pods(&net);
            for family in firewall.families() {
                assert_eq!(seen(&pod, &net.outside, family), Answered(one.address(family)));
            }
            firewall.run(one, &how(one));
            by_hand(one);
            // Its gateway may be another one now.
            pod.sh("ip neigh flush dev eth0");
            for family in firewall.families() {
                let row = format!("{} {family:?} {}", firewall.name(), how(one));
                assert_eq!(seen(&pod, &net.outside, family), OneWay(pod.address(family)), "{row}");
            }
        }
    }
}

/// What kboot bridge does, but for the rules; whatever of it is still there may stay.
fn by_hand(node: &Node) {
    node.sh(&format!(
        "{{ ip link show {BRIDGE} || ip link add {BRIDGE} type bridge; }} && ip link set {BRIDGE} up && \
         ip link set pod2 master {BRIDGE} && for address in {} {}; do \
         ip addr replace $address dev {BRIDGE} || exit 1; done && \
         echo 1 >/proc/sys/net/ipv4/ip_forward && echo 1 >/proc/sys/net/ipv6/conf/all/forwarding",
        node.four, node.six
    ));
    carries(node, BRIDGE);
}

#[test]
fn only_one_link_masquerades() {
    for firewall in firewall::all() {
        let net = Net::new(Host::new);
        let [one, _] = &net.nodes;
        bridges(&net, firewall, "--out-interface eth0");
        let [pod, _] = pods(&net);
        let elsewhere = beside(one, "eth1", "198.51.100.7", "fd98::7");
        for family in firewall.families() {
            let row = format!("{} {family:?}", firewall.name());
            assert_eq!(seen(&pod, &net.outside, family), Answered(one.address(family)), "{row}");
            assert_eq!(seen(&pod, &elsewhere, family), OneWay(pod.address(family)), "{row}");
        }
    }
}

/// A host on another link of a node.
fn beside(node: &Node, link: &str, four: &'static str, six: &'static str) -> Station {
    let host = Station::new(Host::new(), four, six);
    node.join(link, &host, "eth0");
    host.settle("eth0");
    node.sh(&format!("ip addr add 198.51.100.1/24 dev {link} && ip addr add fd98::1/64 dev {link}"));
    carries(node, link);
    host
}

/// Sent by the node in the bridge's name: packets of pods to groups leave a node only by a multicast
/// router, but the rules are the same.
#[test]
fn multicast_is_not_masqueraded() {
    for firewall in firewall::all() {
        let net = Net::new(Host::new);
        let [one, _] = &net.nodes;
        firewall.bridge(one, "");
        let group: IpAddr = "239.7.7.7".parse().unwrap();
        for host in [&**one, &net.outside] {
            host.sh("ip route add 224.0.0.0/4 dev eth0");
        }
        let (bridge, outside) = (one.gateway(Four), net.outside.address(Four));
        let sent = |to| packets::seen_from(bridge, "eth0", &one.netns(), &net.outside.netns(), to);
        assert_eq!(sent(outside), Answered(one.address(Four)), "{}", firewall.name());
        assert_eq!(sent(group), OneWay(bridge), "{}", firewall.name());
    }
}

/// Somebody drops all that is forwarded, and kboot runs with this.
const DROPPED: [(&str, Firewall); 3] = [
    ("iptables-legacy -P FORWARD DROP && ip6tables-legacy -P FORWARD DROP", LEGACY),
    ("iptables-nft -P FORWARD DROP && ip6tables-nft -P FORWARD DROP", IPTABLES_NFT),
    (
        "nft 'add table inet fw; add chain inet fw forward { type filter hook forward priority 0; policy drop; }'",
        NATIVE_NFT,
    ),
];

#[test]
fn pods_pass_where_forwarding_is_dropped_and_others_do_not() {
    if firewall::all().is_empty() {
        return;
    }
    for (drop, firewall) in DROPPED {
        let net = Net::new(Host::new);
        let [one, _] = &net.nodes;
        for node in &net.nodes {
            NONE.run(node, &format!("--no-masquerade --subnet {} --subnet {}", node.four, node.six));
        }
        let [pod, far] = pods(&net);
        let left = beside(one, "eth1", "198.51.100.7", "fd98::7");
        left.sh("ip route add default via 198.51.100.1 && ip route add default via fd98::1");
        let from_left = |family| seen(&left, &net.outside, family);
        for family in firewall.families() {
            assert_eq!(from_left(family), OneWay(left.address(family)), "{drop}: before it");
        }
        one.sh(drop);
        for family in firewall.families() {
            assert!(lost(&pod, &far, family) && lost(&far, &pod, family), "{drop}");
            assert!(lost(&left, &net.outside, family), "{drop}");
        }
        bridges(&net, firewall, "");
        for family in firewall.families() {
            assert_eq!(seen(&pod, &far, family), Answered(pod.address(family)), "{drop}");
            assert_eq!(seen(&far, &pod, family), Answered(far.address(family)), "{drop}");
            assert_eq!(seen(&pod, &net.outside, family), Answered(one.address(family)), "{drop}");
            assert!(lost(&left, &net.outside, family), "{drop}: it is not kboot's to let through");
        }
    }
}

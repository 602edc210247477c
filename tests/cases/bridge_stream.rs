//! bridge, run again while pods talk over it: not one packet is lost.

use crate::support::firewall::{self, Firewall};
use crate::support::host::Host;
use crate::support::net::Family::{Four, Six};
use crate::support::net::{BRIDGE, Net, Node, Station, carries};
use crate::support::packets::Stream;

/// A pod's packets to a pod beside it, to one on the other node, to outside and to the bridge itself.
struct Talk<'a> {
    net: &'a Net,
    pods: [Station; 3],
}

impl<'a> Talk<'a> {
    /// On bridges made by these options.
    fn new(net: &'a Net, firewall: Firewall, options: impl Fn(&Node) -> String) -> Self {
        let [one, two] = &net.nodes;
        firewall.run(one, &options(one));
        firewall.run(two, &options(two));
        let pods = [
            one.pod(BRIDGE, "10.7.3.2", "fd00:7:3::2"),
            one.pod(BRIDGE, "10.7.3.3", "fd00:7:3::3"),
            two.pod(BRIDGE, "10.7.4.2", "fd00:7:4::2"),
        ];
        Self { net, pods }
    }

    /// Does it to the first node while they talk; how many packets got lost to each of the four.
    fn lost_while(&self, work: impl FnOnce(&Node, &dyn Fn())) -> [usize; 4] {
        let [pod, beside, far] = &self.pods;
        let node = &self.net.nodes[0];
        let outside = &self.net.outside;
        let to = [
            (beside.netns(), beside.address(Four)),
            (far.netns(), far.address(Four)),
            (outside.netns(), outside.address(Four)),
            (node.netns(), node.gateway(Four)),
        ];
        let streams = to.map(|(netns, address)| Stream::start(&pod.netns(), &netns, address));
        work(node, &|| streams.iter().for_each(Stream::flows));
        streams.map(|stream| {
            let lost = stream.end();
            assert!(lost.of > 40, "{lost:?}");
            lost.numbers.len()
        })
    }
}

/// One family; packets of both are in the other tests.
fn options(node: &Node) -> String {
    format!("--mtu 1450 --subnet {} --masquerade 10.7.0.0/16", node.four)
}

#[test]
fn run_again_it_loses_no_packet() {
    for firewall in firewall::all() {
        let net = Net::new(Host::new);
        let talk = Talk::new(&net, firewall, options);
        let unchanged = talk.lost_while(|node, flow| {
            for _ in 0..5 {
                let again = firewall.run(node, &options(node));
                assert!(again.stderr.contains("(0 changed, "), "{again:?}");
                flow();
            }
        });
        let changed = talk.lost_while(|node, flow| {
            for (old, new) in [("1450", "1400"), ("1450", "1500"), ("10.7.0.0/16", "10.6.0.0/15")] {
                firewall.run(node, &options(node).replace(old, new));
                flow();
            }
        });
        assert_eq!((unchanged, changed), ([0; 4], [0; 4]), "{}", firewall.name());
    }
}

#[test]
fn given_another_mtu_and_an_ipv6_address_it_loses_no_packet() {
    for firewall in firewall::all() {
        let net = Net::new(Host::new);
        let talk = Talk::new(&net, firewall, options);
        let lost = talk.lost_while(|node, flow| {
            firewall.run(node, &format!("{} --subnet {}", options(node).replace("1450", "1400"), node.six));
            flow();
        });
        assert_eq!(lost, [0; 4], "{}", firewall.name());
        let node = &net.nodes[0];
        assert_eq!(node.ip(&format!("link show {BRIDGE}"))[0]["mtu"], 1400);
        let six = Stream::start(&talk.pods[0].netns(), &node.netns(), node.gateway(Six)).end();
        assert!(six.numbers.is_empty(), "{six:?}");
    }
}

/// Without an address of its own, a bridge takes the lowest of its ports': others would go on sending to
/// the one before.
#[test]
fn a_pod_that_comes_or_goes_loses_others_no_packet() {
    for firewall in firewall::all().into_iter().take(1) {
        let net = Net::new(Host::new);
        let lost = Talk::new(&net, firewall, options).lost_while(|node, flow| {
            node.sh("ip link add low address 02:00:00:00:00:01 type veth peer name low1");
            node.sh(&format!("ip link set low1 up && ip link set low up master {BRIDGE}"));
            flow();
            node.sh("ip link del low");
            flow();
        });
        assert_eq!(lost, [0; 4]);
    }
}

/// What the others could not show, were it not so.
#[test]
fn a_bridge_made_anew_loses_packets() {
    for firewall in firewall::all().into_iter().take(1) {
        let net = Net::new(Host::new);
        let lost = Talk::new(&net, firewall, options).lost_while(|node, flow| {
            node.sh(&format!("ip link del {BRIDGE}"));
            firewall.run(node, &options(node));
            node.sh(&format!("for pod in pod2 pod3; do ip link set $pod master {BRIDGE}; done"));
            carries(node, BRIDGE);
            flow();
        });
        assert!(lost.iter().all(|lost| *lost > 0), "{lost:?}");
    }
}

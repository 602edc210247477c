//! A cluster to send packets through: two nodes and a host outside on one switch, pods on the nodes'
//! bridges. Nodes have routes to each other's pods, as flannel's host-gw makes them; the host outside
//! knows nobody's pods, so it can answer only a packet that has a node's address.

use std::net::IpAddr;
use std::ops::Deref;
use std::path::Path;

use super::host::Host;
use super::{need, root_user, skip, until};

pub const BRIDGE: &str = "br-pods";

/// Whether there is what it needs.
pub fn can_run() -> bool {
    let six = Path::new("/proc/sys/net/ipv6").exists();
    if !six {
        skip("needs a kernel with IPv6");
    }
    six && root_user() && need("ip", "tools").is_some()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Four,
    Six,
}

/// A host with an address of each family.
pub struct Station {
    host: Host,
    four: &'static str,
    six: &'static str,
}

impl Deref for Station {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

impl Station {
    /// Duplicate addresses are not looked for, which takes IPv6 seconds.
    pub fn new(host: Host, four: &'static str, six: &'static str) -> Self {
        host.sh("for all in all default; do echo 0 >/proc/sys/net/ipv6/conf/$all/accept_dad; done");
        Self { host, four, six }
    }

    pub fn address(&self, family: Family) -> IpAddr {
        if family == Family::Four { self.four } else { self.six }.parse().unwrap()
    }

    /// Gives its addresses to a link and waits until that carries packets.
    pub fn settle(&self, link: &str) {
        let (four, six) = (self.four, self.six);
        self.sh(&format!("ip addr add {four}/24 dev {link} && ip addr add {six}/64 dev {link}"));
        carries(self, link);
    }
}

/// Waits until a link carries packets.
pub fn carries(host: &Host, link: &str) {
    until("the link is up", || host.ip(&format!("link show {link}"))[0]["operstate"] == "UP");
}

/// A node, and its subnet of pods as `--subnet` takes it.
pub struct Node {
    at: Station,
    pub four: &'static str,
    pub six: &'static str,
}

impl Deref for Node {
    type Target = Station;

    fn deref(&self) -> &Station {
        &self.at
    }
}

impl Node {
    /// The bridge's own address: what pods know the node by.
    pub fn gateway(&self, family: Family) -> IpAddr {
        let cidr = if family == Family::Four { self.four } else { self.six };
        cidr.split('/').next().unwrap().parse().unwrap()
    }

    /// A pod on the bridge, which has to be there.
    pub fn pod(&self, bridge: &str, four: &'static str, six: &'static str) -> Station {
        let pod = Station::new(Host::new(), four, six);
        let port = format!("pod{}", four.rsplit('.').next().unwrap());
        self.join(&port, &pod, "eth0");
        self.sh(&format!("ip link set {port} master {bridge}"));
        pod.settle("eth0");
        for (option, family) in [("-4", Family::Four), ("-6", Family::Six)] {
            pod.sh(&format!("ip {option} route add default via {}", self.gateway(family)));
        }
        carries(self, bridge);
        pod
    }
}

/// See the top of the file.
pub struct Net {
    pub nodes: [Node; 2],
    pub outside: Station,
    _switch: Host,
}

impl Net {
    /// Nodes that `host` makes.
    pub fn new(host: impl Fn() -> Host) -> Self {
        let node =
            |four, six, pods, pods6| Node { at: Station::new(host(), four, six), four: pods, six: pods6 };
        let nodes = [
            node("10.99.0.11", "fd99::11", "10.7.3.1/24", "fd00:7:3::1/64"),
            node("10.99.0.12", "fd99::12", "10.7.4.1/24", "fd00:7:4::1/64"),
        ];
        let outside = Station::new(Host::new(), "10.99.0.99", "fd99::99");
        let switch = Host::new();
        switch.sh("ip link add switch type bridge && ip link set switch up");
        for (port, station) in [("one", &*nodes[0]), ("two", &*nodes[1]), ("out", &outside)] {
            switch.join(port, station, "eth0");
            switch.sh(&format!("ip link set {port} master switch"));
            station.settle("eth0");
        }
        let [one, two] = &nodes;
        for (from, to) in [(one, two), (two, one)] {
            for (pods, node) in [(to.four, to.at.four), (to.six, to.at.six)] {
                from.sh(&format!("ip route add {} via {node}", network(pods)));
            }
        }
        Self { nodes, outside, _switch: switch }
    }
}

/// The network of a bridge's address.
fn network(cidr: &str) -> String {
    cidr.replace(".1/", ".0/").replace("::1/", "::/")
}

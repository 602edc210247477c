//! Masquerading and forwarding: what is wanted, in the words of each backend.

pub mod choose;
pub mod docker0;
pub mod forward;
pub mod forward_by_iptables;
pub mod iptables;
pub mod nft;

use crate::types::{Cidr, IfName};

/// The masquerading that one family's pods of one bridge are to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The bridge, after which chains and comments are named.
    pub bridge: IfName,
    /// This host's pod network.
    pub subnet: Cidr,
    /// The cluster's networks, towards which pods keep their addresses.
    pub cluster: Vec<Cidr>,
    /// The only link by which packets get this host's address; all when `None`.
    pub out_interface: Option<IfName>,
    /// Ports by chance: without it two connections may be given the same one at the same time, and the
    /// second one's first packet is lost (kernels before 5.0; kubernetes/kubernetes#56903).
    pub random_fully: bool,
    /// Before Linux 4.18 nf_tables translates replies back only where a chain of type nat hangs at
    /// prerouting too.
    pub needs_prerouting: bool,
}

impl Wanted {
    /// The destinations towards which pods keep their addresses: multicast, which no answer comes to, the
    /// cluster, and the pod network itself where the cluster's do not have it.
    pub fn kept(&self) -> Vec<Cidr> {
        let multicast = if self.subnet.is_ipv4() { "224.0.0.0/4" } else { "ff00::/8" };
        let subnet = self.subnet.network();
        let mut kept: Vec<Cidr> = multicast.parse().into_iter().collect();
        for network in self.cluster.iter().map(Cidr::network) {
            if !kept.contains(&network) {
                kept.push(network);
            }
        }
        if !self.cluster.iter().any(|c| c.prefix_len() <= subnet.prefix_len() && c.contains(subnet.addr())) {
            kept.push(subnet);
        }
        kept
    }
}

/// What kboot's rules for a bridge are known by.
pub fn comment(bridge: &IfName) -> String {
    format!("kboot-{bridge}")
}

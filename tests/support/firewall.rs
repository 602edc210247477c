//! kboot bridge by each of the firewalls that a node may have.

use super::host::Host;
use super::net::Family::{Four, Six};
use super::net::{self, BRIDGE, Family, Node};
use super::{Done, need};

/// What masquerades, and all the programs that kboot finds then.
#[derive(Clone, Copy)]
pub struct Firewall {
    backend: &'static str,
    programs: &'static [&'static str],
    families: &'static [Family],
}

pub const LEGACY: Firewall = Firewall {
    backend: "iptables",
    programs: &["iptables-legacy", "ip6tables-legacy"],
    families: &[Four, Six],
};
pub const IPTABLES_NFT: Firewall =
    Firewall { backend: "iptables", programs: &["iptables-nft", "ip6tables-nft"], families: &[Four, Six] };
pub const NATIVE_NFT: Firewall = Firewall { backend: "nft", programs: &[], families: &[Four, Six] };
/// No rules by kboot.
pub const NONE: Firewall = Firewall { backend: "none", programs: &[], families: &[Four, Six] };

/// Those to be tried; none where packets cannot be sent at all.
pub fn all() -> Vec<Firewall> {
    let needed = [("iptables-legacy", "iptables"), ("iptables-nft", "iptables"), ("nft", "nft")];
    if !net::can_run() || needed.iter().any(|(program, peer)| need(program, peer).is_none()) {
        return Vec::new();
    }
    vec![LEGACY, IPTABLES_NFT, NATIVE_NFT]
}

impl Firewall {
    pub fn name(&self) -> &'static str {
        self.programs.first().unwrap_or(&self.backend)
    }

    pub fn families(&self) -> impl Iterator<Item = Family> {
        self.families.iter().copied()
    }

    /// kboot bridge on a node: its subnets, the cluster's networks, and these options.
    pub fn bridge(&self, node: &Node, options: &str) -> Done {
        let networks = self.families().map(|family| match family {
            Four => format!("--subnet {} --masquerade 10.7.0.0/16", node.four),
            Six => format!("--subnet {} --masquerade fd00:7::/32", node.six),
        });
        self.run(node, &format!("{options} {}", networks.collect::<Vec<_>>().join(" ")))
    }

    /// kboot bridge with these options and this firewall.
    pub fn run(&self, host: &Host, options: &str) -> Done {
        host.sh("mkdir -p /run/bin");
        for program in self.programs {
            let name = program.split('-').next().unwrap();
            host.sh(&format!("ln -sf $(command -v {program}) /run/bin/{name}"));
        }
        let words = format!("bridge --name {BRIDGE} --firewall {} {options}", self.backend);
        let done = host.kboot_with_path("/run/bin", &words.split_whitespace().collect::<Vec<_>>());
        assert_eq!(done.code, 0, "{}: {words}: {done:?}", self.name());
        done
    }
}

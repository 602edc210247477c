//! The list of CNI plugins with which containerd, CRI-O or a kubelet puts its pods on kboot's bridge.

mod compare;
mod directory;

pub use compare::{Held, compare, is_own};
pub use directory::{comes_before, in_order, is_list};

use serde_json::{Value, json};

use crate::types::{Cidr, Hairpin, IfName};

/// The key that tells a list that kboot wrote. libcni and all that build on it pass over keys that they do
/// not know; nerdctl puts one of its own there too (`nerdctlID`).
const MARK: (&str, &str) = ("madeBy", "kboot cni-config");

/// Where host-local notes which addresses are given: its default, /var/lib/cni/networks, outlives a boot,
/// but the pods and their namespaces do not, and nobody sends a DEL for them (containernetworking/plugins
/// issues 252 and 697: nodes that run out of addresses). /run goes with them.
const DATA_DIR: &str = "/run/cni/networks";

/// The versions of the CNI specification with lists of plugins.
pub const VERSIONS: [&str; 5] = ["0.3.0", DEFAULT_VERSION, "0.4.0", "1.0.0", "1.1.0"];

/// What every runtime and every plugin speaks: the libcni 0.6 of containerd 1.2 and of kubelets before
/// 1.16 takes no result of 0.4.0. flannel's own list has it too. 0.4.0 adds CHECK, 1.1.0 GC and STATUS, which
/// these plugins do not need.
pub const DEFAULT_VERSION: &str = "0.3.1";

/// What the list is to say.
pub struct Wanted<'a> {
    /// kboot's bridge.
    pub bridge: &'a IfName,
    /// The network's name: host-local keeps its notes under it.
    pub network: &'a str,
    /// The specification's version.
    pub version: &'a str,
    /// This host's subnets, host bits kept.
    pub subnets: &'a [Cidr],
    /// In bytes; `None`: the kernel's 1500.
    pub mtu: Option<u32>,
    /// How pods reach themselves.
    pub hairpin: Hairpin,
    /// Whether pods may have host ports.
    pub portmap: bool,
    /// Whether the bandwidth annotations of pods count.
    pub bandwidth: bool,
}

/// A CNI specification's version.
pub fn parse_version(text: &str) -> Result<String, String> {
    if VERSIONS.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("is no version of CNI with lists of plugins: {}", VERSIONS.join(" ")))
}

/// A network's name (libcni's `ValidateNetworkName`); it becomes the name of a directory.
pub fn parse_network(text: &str) -> Result<String, String> {
    let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if is_plain && text.len() <= 255 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Ok(text.to_owned());
    }
    Err("a network's name is letters, digits, _ . - and begins with a letter or a digit".into())
}

impl Wanted<'_> {
    /// The programs that it calls.
    pub fn programs(&self) -> Vec<&'static str> {
        let more = [("portmap", self.portmap), ("bandwidth", self.bandwidth)];
        ["bridge", "host-local"]
            .into_iter()
            .chain(more.into_iter().filter_map(|(p, on)| on.then_some(p)))
            .collect()
    }

    /// The list.
    pub fn list(&self) -> Value {
        let mut plugins = vec![self.bridge_plugin()];
        if self.portmap {
            plugins.push(json!({"type": "portmap", "capabilities": {"portMappings": true}}));
        }
        if self.bandwidth {
            plugins.push(json!({"type": "bandwidth", "capabilities": {"bandwidth": true}}));
        }
        json!({
            "cniVersion": self.version,
            "name": self.network,
            MARK.0: MARK.1,
            "plugins": plugins,
        })
    }

    /// The bridge's address, MTU and forwarding and all rules are kboot bridge's: the plugin only makes ports.
    /// With `isGateway` it would want its gateway to be the bridge's first IPv4 address, and fail for every pod
    /// where another one comes before it: one that `--address` gave, or an old lease's. host-local names the
    /// gateway for the routes in any case.
    fn bridge_plugin(&self) -> Value {
        let mut plugin = json!({"type": "bridge", "bridge": self.bridge.as_str()});
        if let Some(mtu) = self.mtu {
            plugin["mtu"] = json!(mtu);
        }
        plugin["isGateway"] = json!(false);
        plugin["ipMasq"] = json!(false);
        // Both at once the plugin refuses.
        plugin["hairpinMode"] = json!(self.hairpin == Hairpin::Veth);
        plugin["promiscMode"] = json!(self.hairpin == Hairpin::Promiscuous);
        plugin["ipam"] = self.ipam();
        plugin
    }

    /// One range for each family: a pod gets an address of each. host-local gives nobody the gateway's, the
    /// network's own or, of IPv4, the last.
    fn ipam(&self) -> Value {
        let range = |cidr: &Cidr| json!([{"subnet": cidr.network().to_string(), "gateway": cidr.host().addr().to_string()}]);
        let route = |cidr: &Cidr| json!({"dst": if cidr.is_ipv4() { "0.0.0.0/0" } else { "::/0" }});
        json!({
            "type": "host-local",
            "dataDir": DATA_DIR,
            "ranges": self.subnets.iter().map(range).collect::<Vec<_>>(),
            "routes": self.subnets.iter().map(route).collect::<Vec<_>>(),
        })
    }
}

/// The list as it stands in its file.
pub fn text(list: &Value) -> String {
    format!("{list:#}\n")
}

#[cfg(test)]
mod tests;

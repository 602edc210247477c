//! Kernel settings that pods on a bridge need.

use super::{Change, Step};
use crate::types::IfName;

/// Forwarding of IPv4.
pub const FORWARD: &str = "net.ipv4.ip_forward";
/// Forwarding of IPv6.
pub const FORWARD6: &str = "net.ipv6.conf.all.forwarding";
/// Whether what one port of a bridge sends to another passes iptables: kube-proxy's rules are there.
pub const CALL_IPTABLES: &str = "net.bridge.bridge-nf-call-iptables";
/// The same for IPv6.
pub const CALL_IP6TABLES: &str = "net.bridge.bridge-nf-call-ip6tables";

/// The change that brings a setting to `wanted`, `None` if it is so.
pub fn change(name: &str, now: &str, wanted: &str) -> Option<Change> {
    let why = || format!("{name}: is {now}, wanted is {wanted}");
    (now != wanted).then(|| Change::new(Step::Sysctl(name.to_owned(), wanted.to_owned()), why()))
}

/// A link as far as router advertisements go.
pub struct Advertised {
    /// Its name.
    pub name: IfName,
    /// Whether a router of this host's may be behind it, and no container.
    pub may_be_advertised: bool,
    /// `net.ipv6.conf.NAME.accept_ra`.
    pub accept_ra: String,
    /// `net.ipv6.conf.NAME.forwarding`.
    pub forwarding: String,
}

/// A kernel that forwards takes no router advertisement by a link with accept_ra=1, and a host that got
/// its address and default route so loses both when they expire; with 2 it goes on (ip-sysctl.rst). Not
/// for links that lead to containers: any of them could then declare itself the router.
pub fn keep_advertisements(links: &[Advertised]) -> Vec<Change> {
    let taking = links.iter().filter(|l| l.may_be_advertised && l.accept_ra == "1" && l.forwarding == "0");
    taking.filter_map(|l| change(&format!("net/ipv6/conf/{}/accept_ra", l.name), "1", "2")).collect()
}

/// `rp_filter` of the bridge: the stricter of the setting for all and its own counts, but loose (2) wins
/// over strict (1). Strict drops what pods send when the kernel would answer by another way.
pub fn loosen(name: &IfName, all: &str, own: &str, answers_by_bridge: bool) -> Option<Change> {
    let is_strict = [all, own].contains(&"1") && ![all, own].contains(&"2");
    if answers_by_bridge || !is_strict {
        return None;
    }
    let mut change = change(&format!("net/ipv4/conf/{name}/rp_filter"), "1", "2")?;
    change.why += ": pods are answered by another link, and strict would drop what they send";
    Some(change)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, pods: bool, accept_ra: &str, forwarding: &str) -> Advertised {
        Advertised {
            name: name.parse().unwrap(),
            may_be_advertised: !pods,
            accept_ra: accept_ra.into(),
            forwarding: forwarding.into(),
        }
    }

    #[test]
    fn advertisements_are_kept_where_they_were_taken() {
        let links = [
            link("eth0.7", false, "1", "0"),
            link("eth1", false, "0", "0"),
            link("eth2", false, "2", "0"),
            link("eth3", false, "1", "1"),
            link("veth9", true, "1", "0"),
        ];
        let changes = keep_advertisements(&links);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].step.to_string(), "sysctl -w net/ipv6/conf/eth0.7/accept_ra=2");
    }

    #[test]
    fn reverse_paths_are_loosened_only_where_they_would_drop() {
        let name = "br-pods".parse().unwrap();
        let loose = |all, own, by_bridge| loosen(&name, all, own, by_bridge).is_some();
        assert!(loose("1", "0", false) && loose("0", "1", false) && loose("1", "1", false));
        assert!(!loose("1", "1", true) && !loose("0", "0", false));
        assert!(!loose("2", "1", false) && !loose("1", "2", false), "is loose already");
    }
}

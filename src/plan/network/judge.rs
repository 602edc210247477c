//! What is wrong with a config beyond what flanneld looks at: it would take it, and fail later.

use super::NetworkConfig;
use crate::types::{Cidr, HostRange};

/// What the config has to fit.
pub struct Surroundings<'a> {
    /// The ranges of service addresses: `--service-cidr`.
    pub services: &'a [Cidr],
    /// The number of hosts to come: `--nodes`.
    pub nodes: Option<u64>,
    /// `--allow-unknown`: what flannel passes over is warned of.
    pub allow_unknown: bool,
}

/// Judges a config by itself. The error is the first thing that cannot be meant so; else warnings.
pub fn by_itself(config: &NetworkConfig, around: &Surroundings<'_>) -> Result<Vec<String>, String> {
    let mut warnings = config.warnings.clone();
    if config.ipv4.is_none() {
        // Its keys begin with the IPv4 subnet; without one, hosts share a lease or none gets any.
        return Err(
            "EnableIPv4: is off: with etcd, flanneld leases no IPv6 subnet without an IPv4 one".into()
        );
    }
    for (leases, prefix) in [(&config.ipv4, ""), (&config.ipv6, "IPv6")] {
        if let Some(leases) = leases.as_ref().filter(|l| l.count() == 0) {
            return Err(format!(
                "{prefix}SubnetMin: {} is above {prefix}SubnetMax {}: no host would get a subnet",
                leases.min, leases.max
            ));
        }
    }
    match config.odd.first() {
        Some(odd) if !around.allow_unknown => {
            return Err(format!("{odd} (--allow-unknown takes it)"));
        }
        _ => warnings.extend(config.odd.iter().cloned()),
    }
    if let Some(nodes) = around.nodes.filter(|n| u128::from(*n) > config.hosts()) {
        return Err(format!(
            "--nodes {nodes}: there are subnets for {} hosts only ({}): a larger SubnetLen or Network",
            config.hosts(),
            config.summary()
        ));
    }
    for service in around.services {
        if let Some(leases) = config.leases().find(|l| l.overlap(service)) {
            return Err(format!(
                "--service-cidr {service}: hosts would get subnets of it ({}): move SubnetMin or SubnetMax",
                leases.shown()
            ));
        }
    }
    Ok(warnings)
}

/// The first range of this host's that pods would take away. What flannel, or a bridge in its subnet,
/// put there for a config that is held is not counted.
pub fn overlap(config: &NetworkConfig, held: &[NetworkConfig], ranges: &[HostRange]) -> Option<String> {
    let is_flannels = |range: &HostRange| {
        range.link.starts_with("flannel")
            || held.iter().flat_map(NetworkConfig::leases).any(|l| l.would_lease(&range.cidr))
    };
    ranges.iter().filter(|r| !is_flannels(r)).find_map(|range| {
        let leases = config.leases().find(|l| l.overlap(&range.cidr))?;
        let (link, cidr) = (&range.link, range.cidr);
        let what = if range.is_address {
            format!("{link} has {cidr}")
        } else {
            format!("a route leads to {cidr} by {link}")
        };
        Some(format!("{what}, and hosts would get subnets of that ({})", leases.shown()))
    })
}

#[cfg(test)]
mod tests {
    use super::super::{NEWEST, parse};
    use super::*;

    fn judge(text: &str, services: &[&str], nodes: Option<u64>) -> Result<Vec<String>, String> {
        let services: Vec<Cidr> = services.iter().map(|s| s.parse().unwrap()).collect();
        let around = Surroundings { services: &services, nodes, allow_unknown: false };
        by_itself(&parse(text, NEWEST).unwrap(), &around)
    }

    const DUAL: &str = r#"{"Network":"10.10.0.0/16","SubnetMin":"10.10.10.0","SubnetMax":"10.10.20.0",
        "EnableIPv6":true,"IPv6Network":"fd00:10::/48","Backend":{"Type":"vxlan"}}"#;

    #[test]
    fn what_flanneld_would_find_too_late() {
        for (services, nodes, error) in [
            (&["10.10.1.0/24"][..], Some(11), None),
            (&["10.10.1.0/24", "fd00:11::/112"], None, None),
            (
                &["10.10.10.0/24"],
                None,
                Some(
                    "--service-cidr 10.10.10.0/24: hosts would get subnets of it (10.10.10.0-10.10.20.0 by /24): move SubnetMin or SubnetMax",
                ),
            ),
            (
                &["10.9.0.0/24", "fd00:10:0:7::/112"],
                None,
                Some(
                    "--service-cidr fd00:10:0:7::/112: hosts would get subnets of it (fd00:10:0:1::-fd00:10:0:ffff:: by /64): move SubnetMin or SubnetMax",
                ),
            ),
            (
                &[],
                Some(12),
                Some(
                    "--nodes 12: there are subnets for 11 hosts only (10.10.10.0-10.10.20.0 by /24 and fd00:10:0:1::-fd00:10:0:ffff:: by /64, for 11 hosts, vxlan): a larger SubnetLen or Network",
                ),
            ),
        ] {
            assert_eq!(judge(DUAL, services, nodes).err().as_deref(), error);
        }
        let six =
            r#"{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00::/56","Backend":{"Type":"vxlan"}}"#;
        assert!(
            judge(six, &[], None).unwrap_err().starts_with("EnableIPv4: is off: with etcd, flanneld leases")
        );
        let swapped = r#"{"Network":"10.3.0.0/16","SubnetMin":"10.3.9.0","SubnetMax":"10.3.8.0"}"#;
        assert_eq!(
            judge(swapped, &[], None).unwrap_err(),
            "SubnetMin: 10.3.9.0 is above SubnetMax 10.3.8.0: no host would get a subnet"
        );
    }

    #[test]
    fn what_the_host_has_already() {
        let config = parse(DUAL, NEWEST).unwrap();
        let held = [parse(DUAL, NEWEST).unwrap()];
        let range = |link: &str, cidr: &str, is_address| HostRange {
            link: link.into(),
            cidr: cidr.parse().unwrap(),
            is_address,
            is_via: false,
        };
        for (held, link, cidr, is_address, found) in [
            (
                &[][..],
                "eth0",
                "10.10.12.7/24",
                true,
                Some(
                    "eth0 has 10.10.12.7/24, and hosts would get subnets of that (10.10.10.0-10.10.20.0 by /24)",
                ),
            ),
            (
                &[],
                "tun0",
                "10.0.0.0/8",
                false,
                Some(
                    "a route leads to 10.0.0.0/8 by tun0, and hosts would get subnets of that (10.10.10.0-10.10.20.0 by /24)",
                ),
            ),
            (&[], "eth0", "10.10.1.7/24", true, None),
            (&[], "flannel.1", "10.10.12.0/32", true, None),
            // flannel's own routes (host-gw) and the bridge in this host's subnet.
            (&held, "eth0", "10.10.12.0/24", false, None),
            (&held, "cbr0", "10.10.12.1/24", true, None),
            (
                &held,
                "eth0",
                "10.10.12.1/23",
                true,
                Some(
                    "eth0 has 10.10.12.1/23, and hosts would get subnets of that (10.10.10.0-10.10.20.0 by /24)",
                ),
            ),
        ] {
            let ranges = [range(link, cidr, is_address)];
            assert_eq!(overlap(&config, held, &ranges).as_deref(), found, "{link} {cidr}");
        }
    }
}

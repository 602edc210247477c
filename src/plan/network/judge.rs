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

/// What is the host's own, nobody's or everybody's: loopback, link-local, multicast, "this" network,
/// IPv4 in IPv6's clothes (RFC 6890).
const NOBODYS: [&str; 10] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "::1/128",
    "::/128",
    "::ffff:0:0/96",
    "fe80::/10",
    "ff00::/8",
];

/// What a backend cannot do in dual stack.
fn dual_stack(config: &NetworkConfig) -> Result<Option<String>, String> {
    let number = |name: &str| {
        let field = config.backend.fields.iter().find(|(n, _)| n == name);
        field.and_then(|(_, value)| value.as_i64())
    };
    match config.backend.kind.as_str() {
        _ if config.ipv6.is_none() => Ok(None),
        "vxlan" => match (number("VNI"), number("MTU")) {
            (Some(vni), _) if vni > 9999 => Err(format!(
                "Backend.VNI: {vni} is too long for a link called flannel-v6.{vni}: 9999 at the most"
            )),
            (_, Some(mtu)) if mtu < 1280 + 50 => {
                Err(format!("Backend.MTU: {mtu} leaves pods less than the 1280 bytes that IPv6 needs"))
            }
            _ => Ok(None),
        },
        "wireguard" | "host-gw" => Ok(None),
        kind => Ok(Some(format!(
            "EnableIPv6: flannel has IPv6 with vxlan, wireguard and host-gw only, not with {kind}"
        ))),
    }
}

/// Whether there are subnets, of addresses that pods can have.
fn subnets(config: &NetworkConfig) -> Result<(), String> {
    for (leases, prefix) in [(&config.ipv4, ""), (&config.ipv6, "IPv6")] {
        if let Some(leases) = leases.as_ref().filter(|l| l.count() == 0) {
            return Err(format!(
                "{prefix}SubnetMin: {} is above {prefix}SubnetMax {} ({prefix}Network {}, {prefix}SubnetLen {}): no host would get a subnet",
                leases.min, leases.max, leases.network, leases.len
            ));
        }
        let nobody = NOBODYS.iter().filter_map(|n| n.parse::<Cidr>().ok());
        if let Some(range) = leases.as_ref().and_then(|l| nobody.into_iter().find(|n| l.overlap(n))) {
            return Err(format!("{prefix}Network: no pod can have an address of {range}"));
        }
    }
    Ok(())
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
    subnets(config)?;
    warnings.extend(dual_stack(config)?);
    match config.odd.first() {
        Some(odd) if !around.allow_unknown => {
            return Err(format!("{odd} (--allow-unknown takes it)"));
        }
        _ => warnings.extend(config.odd.iter().cloned()),
    }
    if let Some(nodes) = around.nodes.filter(|n| u128::from(*n) > config.hosts()) {
        return Err(format!(
            "--nodes {nodes}: there are subnets for {} hosts only ({}): a larger Network or SubnetLen, or less between SubnetMin and SubnetMax left out",
            config.hosts(),
            config.summary()
        ));
    }
    for service in around.services {
        if let Some(leases) = config.leases().find(|l| l.overlap(service)) {
            return Err(format!(
                "--service-cidr {service}: hosts would get subnets of it ({}): another range for the services, or move SubnetMin or SubnetMax",
                leases.shown()
            ));
        }
    }
    Ok(warnings)
}

/// The first range of this host's that pods would take away. What flannel, or a bridge in its subnet,
/// put there for a config that is held, or for the lease that is this host's own, is not counted.
pub fn overlap(
    config: &NetworkConfig,
    held: &[NetworkConfig],
    own: &[Cidr],
    ranges: &[HostRange],
) -> Option<String> {
    let would_lease = |config: &NetworkConfig, cidr: &Cidr| config.leases().any(|l| l.would_lease(cidr));
    // Where this host's lease is one of this config's, flannel has run on it before.
    let runs = own.iter().any(|subnet| would_lease(config, subnet));
    let is_flannels = |range: &HostRange| {
        range.link.starts_with("flannel")
            || runs && would_lease(config, &range.cidr)
            || held.iter().any(|held| would_lease(held, &range.cidr))
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
                    "--service-cidr 10.10.10.0/24: hosts would get subnets of it (10.10.10.0-10.10.20.0 by /24): another range for the services, or move SubnetMin or SubnetMax",
                ),
            ),
            (
                &["10.9.0.0/24", "fd00:10:0:7::/112"],
                None,
                Some(
                    "--service-cidr fd00:10:0:7::/112: hosts would get subnets of it (fd00:10:0:1::-fd00:10:0:ffff:: by /64): another range for the services, or move SubnetMin or SubnetMax",
                ),
            ),
            (
                &[],
                Some(12),
                Some(
                    "--nodes 12: there are subnets for 11 hosts only (10.10.10.0-10.10.20.0 by /24 and fd00:10:0:1::-fd00:10:0:ffff:: by /64, for 11 hosts, vxlan): a larger Network or SubnetLen, or less between SubnetMin and SubnetMax left out",
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
            "SubnetMin: 10.3.9.0 is above SubnetMax 10.3.8.0 (Network 10.3.0.0/16, SubnetLen 24): no host would get a subnet"
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
            let own = ["10.10.12.1/24".parse().unwrap()];
            let beside_own = overlap(&config, &[], &own, &ranges);
            assert_eq!(beside_own.is_none(), cidr.ends_with("/24") || found.is_none(), "{link} {cidr}");
            assert_eq!(overlap(&config, held, &[], &ranges).as_deref(), found, "{link} {cidr}");
        }
    }
}

//! The subnets that flanneld leases to hosts, one address family (`CheckNetworkConfig` of flannel's
//! pkg/subnet/config.go): the same arithmetic for both, but for four numbers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::types::Cidr;

/// What the config says of one family; `None` where flannel computes it.
#[derive(Default)]
pub struct Asked {
    /// `Network`, `IPv6Network`.
    pub network: Option<Cidr>,
    /// `SubnetLen`; 0 counts as absent.
    pub len: Option<u64>,
    /// `SubnetMin`; all zeros count as absent.
    pub min: Option<IpAddr>,
    /// `SubnetMax`; the same.
    pub max: Option<IpAddr>,
}

/// The subnets of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leases {
    /// The cluster's network, masked.
    pub network: Cidr,
    /// The prefix length of a host's subnet.
    pub len: u8,
    /// The first subnet.
    pub min: IpAddr,
    /// The last.
    pub max: IpAddr,
}

/// The four numbers, and what the fields are called.
struct Family {
    name: &'static str,
    prefix: &'static str,
    bits: u8,
    usual: u8,
}

const IPV4: Family = Family { name: "IPv4", prefix: "", bits: 32, usual: 24 };
const IPV6: Family = Family { name: "IPv6", prefix: "IPv6", bits: 128, usual: 64 };

fn family(is_ipv4: bool) -> &'static Family {
    if is_ipv4 { &IPV4 } else { &IPV6 }
}

fn number(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(a) => u32::from(a).into(),
        IpAddr::V6(a) => a.into(),
    }
}

impl Family {
    /// Flannel counts in 32 bits here, and 255.255.0.0/16 comes out right for it: so does this.
    fn address(&self, number: u128) -> IpAddr {
        if self.bits == 32 {
            let low = u32::try_from(number & u128::from(u32::MAX)).unwrap_or(u32::MAX);
            Ipv4Addr::from(low).into()
        } else {
            Ipv6Addr::from(number).into()
        }
    }

    fn size(&self, len: u8) -> u128 {
        1u128.checked_shl(u32::from(self.bits - len)).unwrap_or(0)
    }

    /// Since 0.10 at least four subnets, each with room for two pods; before, any that was as long.
    fn len(&self, given: u64, prefix: u8, before_0_10: bool) -> Result<u8, String> {
        let name = format!("{}SubnetLen", self.prefix);
        let network = format!("{}Network", self.prefix);
        let apart = if before_0_10 { 0 } else { 2 };
        let longest = self.bits - 2;
        let usual = self.usual;
        match given {
            0 if prefix + if before_0_10 { 1 } else { 2 } > longest => {
                Err(format!("{network}: a /{prefix} is too small to be divided among hosts"))
            }
            0 if before_0_10 => Ok(if prefix < usual { usual } else { prefix + 1 }),
            0 => Ok(if prefix <= usual - 2 { usual } else { prefix + 2 }),
            len if len > longest.into() => {
                Err(format!("{name}: {len} leaves no room for pods: {longest} at the most"))
            }
            len if len < u64::from(prefix) + apart => Err(if before_0_10 {
                format!("{name}: {len} is larger than the {network}'s /{prefix}")
            } else {
                format!("{name}: {len} has to be at least 2 more than the {network}'s /{prefix}")
            }),
            len => u8::try_from(len).map_err(|e| e.to_string()),
        }
    }

    fn bound(
        &self,
        name: &str,
        given: Option<IpAddr>,
        default: u128,
        asked: &Bounds,
    ) -> Result<IpAddr, String> {
        let name = format!("{}{name}", self.prefix);
        let given = given.filter(|a| !a.is_unspecified());
        let addr = given.unwrap_or_else(|| self.address(default));
        if given.is_some() && !asked.network.contains(addr) {
            return Err(format!("{name}: {addr} is not in {}Network {}", self.prefix, asked.network));
        }
        let odd = number(addr) % asked.size;
        if odd != 0 && !asked.before_0_10 {
            let aligned = self.address(number(addr) - odd);
            return Err(format!("{name}: {addr} is not the start of a subnet: {aligned} is"));
        }
        Ok(addr)
    }
}

struct Bounds {
    network: Cidr,
    size: u128,
    before_0_10: bool,
}

/// Computes a family's subnets as flanneld does. Errors begin with the field.
pub fn leases(asked: &Asked, is_ipv4: bool, before_0_10: bool) -> Result<Leases, String> {
    let family = family(is_ipv4);
    let prefix = family.prefix;
    let network = asked.network.ok_or_else(|| format!("{prefix}Network: is missing"))?.network();
    if network.is_ipv4() != is_ipv4 {
        return Err(format!("{prefix}Network: {network} is not {}", family.name));
    }
    // flanneld since 0.19.2 takes this for no Network at all; nothing could work with it before either.
    if network.prefix_len() == 0 {
        return Err(format!("{prefix}Network: is all of {}", family.name));
    }
    let len = family.len(asked.len.unwrap_or(0), network.prefix_len(), before_0_10)?;
    let size = family.size(len);
    let bounds = Bounds { network, size, before_0_10 };
    let base = number(network.addr());
    // flanneld leaves the first subnet out: its first address is the network's own.
    let min = family.bound("SubnetMin", asked.min, base.wrapping_add(size), &bounds)?;
    let end = base.wrapping_add(family.size(network.prefix_len()));
    let max = family.bound("SubnetMax", asked.max, end.wrapping_sub(size), &bounds)?;
    Ok(Leases { network, len, min, max })
}

impl Leases {
    /// How many hosts can have one; 0 when `SubnetMin` is above `SubnetMax`.
    pub fn count(&self) -> u128 {
        let (min, max) = (number(self.min), number(self.max));
        let size = family(self.min.is_ipv4()).size(self.len);
        if min > max { 0 } else { (max - min) / size + 1 }
    }

    /// Whether a subnet that may be leased shares an address with this network.
    pub fn overlap(&self, other: &Cidr) -> bool {
        if other.is_ipv4() != self.min.is_ipv4() || self.count() == 0 {
            return false;
        }
        let family = family(other.is_ipv4());
        let last = number(self.max) + (family.size(self.len) - 1);
        let start = number(other.network().addr());
        let other_last = start + (family.size(other.prefix_len()).wrapping_sub(1));
        start <= last && number(self.min) <= other_last
    }

    /// Whether flanneld would lease exactly this subnet (`isSubnetConfigCompat`: it deletes others).
    pub fn would_lease(&self, subnet: &Cidr) -> bool {
        let first = number(subnet.network().addr());
        subnet.is_ipv4() == self.min.is_ipv4()
            && subnet.prefix_len() == self.len
            && (number(self.min)..=number(self.max)).contains(&first)
    }

    /// For the log: `10.10.10.0-10.10.255.0 by /24`.
    pub fn shown(&self) -> String {
        format!("{}-{} by /{}", self.min, self.max, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(network: &str, len: u64, min: &str, max: &str) -> Asked {
        let addr = |t: &str| (!t.is_empty()).then(|| t.parse().unwrap());
        Asked { network: network.parse().ok(), len: Some(len), min: addr(min), max: addr(max) }
    }

    fn shown(asked: &Asked, old: bool) -> String {
        let is_ipv4 = asked.network.unwrap().is_ipv4();
        match leases(asked, is_ipv4, old) {
            Ok(leases) => format!("{} {}", leases.shown(), leases.count()),
            Err(why) => why,
        }
    }

    /// pkg/subnet/config.go and its config_test.go; those of odd sizes were run with it.
    #[test]
    fn since_0_10() {
        for (network, len, min, max, want) in [
            ("10.3.0.0/16", 0, "", "", "10.3.1.0-10.3.255.0 by /24 255"),
            ("10.3.0.0/16", 28, "10.3.5.0", "10.3.8.0", "10.3.5.0-10.3.8.0 by /28 49"),
            ("10.3.7.9/22", 0, "", "", "10.3.5.0-10.3.7.0 by /24 3"),
            ("10.3.0.0/23", 0, "", "", "10.3.0.128-10.3.1.128 by /25 3"),
            ("10.3.0.0/28", 0, "", "", "10.3.0.4-10.3.0.12 by /30 3"),
            ("10.3.0.0/29", 0, "", "", "Network: a /29 is too small to be divided among hosts"),
            ("255.255.0.0/16", 0, "0.0.0.0", "", "255.255.1.0-255.255.255.0 by /24 255"),
            ("10.0.0.0/8", 10, "", "", "10.64.0.0-10.192.0.0 by /10 3"),
            ("10.0.0.0/8", 9, "", "", "SubnetLen: 9 has to be at least 2 more than the Network's /8"),
            ("10.0.0.0/8", 31, "", "", "SubnetLen: 31 leaves no room for pods: 30 at the most"),
            ("10.3.0.0/16", 24, "10.4.0.0", "", "SubnetMin: 10.4.0.0 is not in Network 10.3.0.0/16"),
            ("10.3.0.0/16", 24, "", "10.2.255.0", "SubnetMax: 10.2.255.0 is not in Network 10.3.0.0/16"),
            (
                "10.3.0.0/16",
                24,
                "10.3.1.7",
                "",
                "SubnetMin: 10.3.1.7 is not the start of a subnet: 10.3.1.0 is",
            ),
            ("10.3.0.0/16", 24, "10.3.9.0", "10.3.8.0", "10.3.9.0-10.3.8.0 by /24 0"),
            ("0.0.0.0/0", 24, "", "", "Network: is all of IPv4"),
            ("fc00::/48", 0, "", "", "fc00:0:0:1::-fc00:0:0:ffff:: by /64 65535"),
            ("fd00::/63", 0, "", "", "fd00::8000:0:0:0-fd00:0:0:1:8000:: by /65 3"),
            ("fd00::/124", 0, "", "", "fd00::4-fd00::c by /126 3"),
            ("fd00::/125", 0, "", "", "IPv6Network: a /125 is too small to be divided among hosts"),
            ("fd00::/120", 127, "", "", "IPv6SubnetLen: 127 leaves no room for pods: 126 at the most"),
            (
                "fd00::/64",
                65,
                "",
                "",
                "IPv6SubnetLen: 65 has to be at least 2 more than the IPv6Network's /64",
            ),
            ("fd00::/56", 0, "fd00::1", "", "IPv6SubnetMin: fd00::1 is not the start of a subnet: fd00:: is"),
            ("fd00::/56", 0, "fe00::", "", "IPv6SubnetMin: fe00:: is not in IPv6Network fd00::/56"),
            ("ffff::/16", 0, "", "", "ffff:0:0:1::-ffff:ffff:ffff:ffff:: by /64 281474976710655"),
        ] {
            assert_eq!(shown(&asked(network, len, min, max), false), want, "{network} {len}");
        }
    }

    /// subnet/config.go of 0.1.0 to 0.9.1.
    #[test]
    fn before_0_10() {
        for (network, len, min, max, want) in [
            ("10.3.0.0/16", 0, "", "", "10.3.1.0-10.3.255.0 by /24 255"),
            ("10.3.0.0/23", 0, "", "", "10.3.1.0-10.3.1.0 by /24 1"),
            ("10.3.0.0/24", 0, "", "", "10.3.0.128-10.3.0.128 by /25 1"),
            ("10.3.0.0/16", 17, "", "", "10.3.128.0-10.3.128.0 by /17 1"),
            ("10.3.0.0/16", 15, "", "", "SubnetLen: 15 is larger than the Network's /16"),
            ("10.3.0.0/16", 24, "10.3.1.7", "", "10.3.1.7-10.3.255.0 by /24 254"),
            ("10.3.0.0/16", 24, "10.4.1.0", "", "SubnetMin: 10.4.1.0 is not in Network 10.3.0.0/16"),
        ] {
            assert_eq!(shown(&asked(network, len, min, max), true), want, "{network} {len}");
        }
    }

    #[test]
    fn overlaps_and_single_subnets() {
        let four = leases(&asked("10.10.0.0/16", 24, "10.10.10.0", "10.10.20.0"), true, false).unwrap();
        for (cidr, overlaps) in [
            ("10.10.1.0/24", false),
            ("10.10.10.0/24", true),
            ("10.10.20.128/25", true),
            ("10.10.21.0/24", false),
            ("10.0.0.0/8", true),
            ("0.0.0.0/0", true),
            ("fd00::/8", false),
        ] {
            assert_eq!(four.overlap(&cidr.parse().unwrap()), overlaps, "{cidr}");
        }
        for (cidr, leased) in [
            ("10.10.10.0/24", true),
            ("10.10.9.0/24", false),
            ("10.10.11.0/25", false),
            ("10.10.20.1/24", true),
        ] {
            assert_eq!(four.would_lease(&cidr.parse().unwrap()), leased, "{cidr}");
        }
        let six = leases(&asked("ffff::/16", 64, "", ""), false, false).unwrap();
        assert!(six.overlap(&"::/0".parse().unwrap()) && !six.overlap(&"fd00::/8".parse().unwrap()));
    }
}

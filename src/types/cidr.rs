use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// An address with its prefix length, host bits kept: flannel writes its lease as `10.1.74.1/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr(IpNet);

impl Cidr {
    /// The address as written.
    pub fn addr(&self) -> IpAddr {
        self.0.addr()
    }

    /// The prefix length, 0 to 32 or 128.
    pub fn prefix_len(&self) -> u8 {
        self.0.prefix_len()
    }

    /// The network: host bits masked off.
    #[must_use]
    pub fn network(&self) -> Cidr {
        Cidr(self.0.trunc())
    }

    /// Whether this is IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.0.addr().is_ipv4()
    }

    /// The node's own address in its subnet, with the prefix length: as written, or network + 1 when
    /// the host bits are zero (flanneld writes network + 1 itself since 0.1). A /31, /32, /127 or
    /// /128 has no room for that and stays as written.
    #[must_use]
    pub fn host(&self) -> Cidr {
        let full = if self.is_ipv4() { 32 } else { 128 };
        if self.addr() != self.0.network() || self.prefix_len() >= full - 1 {
            return *self;
        }
        let addr = match self.0.network() {
            IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from(u32::from(a) + 1)),
            IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from(u128::from(a) + 1)),
        };
        Cidr(IpNet::new_assert(addr, self.prefix_len()))
    }

    /// The first and the last address of the subnet that a pod can have: neither the network's own, nor
    /// the node's (`host`), nor IPv4's broadcast address. The subnet is one of `parse_subnet`.
    pub fn pods(&self) -> (IpAddr, IpAddr) {
        let own = self.host().addr();
        let step = |addr: IpAddr, up: bool| match addr {
            IpAddr::V4(a) => {
                let n = u32::from(a);
                IpAddr::V4(Ipv4Addr::from(if up { n.wrapping_add(1) } else { n.wrapping_sub(1) }))
            }
            IpAddr::V6(a) => {
                let n = u128::from(a);
                IpAddr::V6(Ipv6Addr::from(if up { n.wrapping_add(1) } else { n.wrapping_sub(1) }))
            }
        };
        let beside = |addr: IpAddr, up: bool| if addr == own { step(addr, up) } else { addr };
        let end = self.0.broadcast();
        let last = if self.is_ipv4() { step(end, false) } else { end };
        (beside(step(self.0.network(), true), true), beside(last, false))
    }

    /// The last address of the network.
    pub fn broadcast(&self) -> IpAddr {
        self.0.broadcast()
    }

    /// Whether the address lies in this network.
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.0.contains(&addr)
    }

    /// Whether every address of the other network lies in this one.
    pub fn covers(&self, other: &Cidr) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether two networks have an address in common.
    pub fn overlaps(&self, other: &Cidr) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// From an address and a prefix length, if the length fits the family.
    pub fn new(addr: IpAddr, prefix_len: u8) -> Option<Self> {
        IpNet::new(addr, prefix_len).ok().map(Self)
    }

    /// All addresses of a family.
    pub fn everything(is_ipv4: bool) -> Self {
        Self(if is_ipv4 { ipnet::Ipv4Net::default().into() } else { ipnet::Ipv6Net::default().into() })
    }

    /// Reads a pod subnet: a CIDR with a prefix between /1 and /30 (IPv6: /126), since a bridge and
    /// at least one pod have to fit in.
    pub fn parse_subnet(text: &str) -> Result<Self, String> {
        let cidr: Cidr = text.parse()?;
        let longest = if cidr.is_ipv4() { 30 } else { 126 };
        if cidr.prefix_len() == 0 || cidr.prefix_len() > longest {
            return Err(format!("a pod subnet is between /1 and /{longest}"));
        }
        let addr = cidr.addr();
        if addr.is_multicast() || addr.is_loopback() || addr.is_unspecified() {
            return Err("no pod can have an address of that range".into());
        }
        Ok(cidr)
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((addr, len)) = text.split_once('/') else {
            return Err("has no prefix length: give ADDRESS/LENGTH, such as 10.10.48.1/24".into());
        };
        let addr: IpAddr =
            addr.parse().map_err(|_| "is not an IP address with a prefix length".to_owned())?;
        let longest = if addr.is_ipv4() { 32 } else { 128 };
        let digits = !len.is_empty() && len.len() <= 3 && len.bytes().all(|b| b.is_ascii_digit());
        let len = if digits { len.parse::<u16>().unwrap_or(u16::MAX) } else { u16::MAX };
        u8::try_from(len)
            .ok()
            .and_then(|len| Cidr::new(addr, len))
            .ok_or_else(|| format!("the prefix length is not a number from 0 to {longest}"))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn host_bits_are_kept_and_masked_on_demand() {
        for (text, network, host) in [
            ("10.1.74.1/24", "10.1.74.0/24", "10.1.74.1/24"),
            ("10.1.74.0/24", "10.1.74.0/24", "10.1.74.1/24"),
            ("10.1.74.77/24", "10.1.74.0/24", "10.1.74.77/24"),
            ("10.3.0.4/30", "10.3.0.4/30", "10.3.0.5/30"),
            ("192.0.2.1/32", "192.0.2.1/32", "192.0.2.1/32"),
            ("fd00:12:13::/64", "fd00:12:13::/64", "fd00:12:13::1/64"),
        ] {
            let cidr: Cidr = text.parse().unwrap();
            assert_eq!(cidr.to_string(), text);
            assert_eq!(cidr.network().to_string(), network);
            assert_eq!(cidr.host().to_string(), host);
        }
    }

    #[test]
    fn the_addresses_of_pods() {
        for (text, first, last) in [
            ("10.1.74.1/24", "10.1.74.2", "10.1.74.254"),
            ("10.1.74.77/24", "10.1.74.1", "10.1.74.254"),
            ("10.1.74.254/24", "10.1.74.1", "10.1.74.253"),
            ("10.3.0.5/30", "10.3.0.6", "10.3.0.6"),
            ("255.255.255.253/30", "255.255.255.254", "255.255.255.254"),
            ("fd00:12:13::1/64", "fd00:12:13::2", "fd00:12:13:0:ffff:ffff:ffff:ffff"),
        ] {
            let (a, b) = text.parse::<Cidr>().unwrap().pods();
            assert_eq!((a.to_string().as_str(), b.to_string().as_str()), (first, last), "{text}");
        }
    }

    #[test]
    fn what_is_no_cidr_is_refused() {
        for text in
            ["", "10.1.1.1", "10.1.1.1/33", "10.01.1.1/24", "10.1.1.1/", "10.1.1.1/+8", "x/8", "::/129"]
        {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
        for text in ["0.0.0.0/0", "10.1.1.1/31", "224.0.0.0/8", "127.0.0.1/8", "::/64"] {
            assert!(Cidr::parse_subnet(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_lies_inside_and_what_overlaps() {
        for (a, b, covers, overlaps) in [
            ("10.1.0.0/16", "10.1.74.1/24", true, true),
            ("10.1.74.1/24", "10.1.0.0/16", false, true),
            ("10.1.74.1/24", "10.1.74.9/24", true, true),
            ("10.1.74.0/25", "10.1.74.128/25", false, false),
            ("0.0.0.0/0", "fd00::/64", false, false),
            ("fd00::/48", "fd00:0:0:7::/64", true, true),
        ] {
            let (a, b) = (a.parse::<Cidr>().unwrap(), b.parse::<Cidr>().unwrap());
            assert_eq!((a.covers(&b), a.overlaps(&b)), (covers, overlaps), "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn the_network_contains_the_host_and_the_text_reads_back(addr: u32, len in 1u8..=30) {
            let cidr = Cidr::new(Ipv4Addr::from(addr).into(), len).unwrap();
            prop_assert!(cidr.network().contains(cidr.host().addr()));
            prop_assert_eq!(cidr.to_string().parse::<Cidr>().unwrap(), cidr);
            prop_assert_eq!(cidr.network().network(), cidr.network());
        }
    }
}

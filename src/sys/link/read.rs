//! What the kernel says of links, addresses and routes. By hand, since netlink-packet-route's decoder
//! knows every kind of link, route and queue there is: 0.2 MB, for these few fields.

use std::net::IpAddr;

use netlink_packet_core::parse_u32;

use super::{Link, Port};
use crate::sys::netlink::Attributes;
use crate::types::{Cidr, Mac};

// linux/if_link.h: IFLA_*, IFLA_INFO_*, IFLA_BR_*, IFLA_BRPORT_*.
const ADDRESS: u16 = 1;
const NAME: u16 = 3;
const MTU: u16 = 4;
const MASTER: u16 = 10;
const INFO: u16 = 18;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const INFO_PORT_KIND: u16 = 4;
const INFO_PORT_DATA: u16 = 5;
const BRIDGE_FORWARD_DELAY: u16 = 1;
const BRIDGE_STP_STATE: u16 = 5;
const PORT_STATE: u16 = 1;
const PORT_HAIRPIN: u16 = 4;
/// linux/if_bridge.h: BR_STATE_LISTENING, _LEARNING, _BLOCKING.
const WAITING: [u8; 3] = [1, 2, 4];
/// linux/if_arp.h: ARPHRD_ETHER.
const ETHERNET: [u8; 2] = 1_u16.to_ne_bytes();
// linux/if.h: IFF_*.
const UP: u32 = 1;
const PROMISCUOUS: u32 = 0x100;
const LOWER_UP: u32 = 0x1_0000;
// linux/if_addr.h: IFA_*.
const PEER: u16 = 1;
const LOCAL: u16 = 2;
// linux/rtnetlink.h: RT_TABLE_MAIN, RTN_UNICAST, RTA_*.
const TABLE_MAIN: u8 = 254;
const UNICAST: u8 = 1;
const DESTINATION: u16 = 1;
const OUT: u16 = 4;
const GATEWAY: u16 = 5;
const VIA: u16 = 18;

/// `struct ifinfomsg` (family, padding, type, index, flags, change: 16 bytes), then IFLA_*.
pub(super) fn link(payload: &[u8]) -> Option<Link> {
    let flags = parse_u32(payload.get(8..12)?).ok()?;
    let attributes = Attributes(payload.get(16..)?);
    let info = attributes.nested(INFO);
    let mut link = Link {
        index: parse_u32(payload.get(4..8)?).ok()?,
        name: attributes.text(NAME).unwrap_or_default(),
        kind: info.text(INFO_KIND).unwrap_or_else(|| "device".into()),
        is_ethernet: payload[2..4] == ETHERNET,
        mtu: attributes.native(MTU).unwrap_or_default(),
        up: flags & UP != 0,
        carrier: flags & LOWER_UP != 0,
        promiscuous: flags & PROMISCUOUS != 0,
        master: attributes.native(MASTER),
        mac: attributes.get(ADDRESS).and_then(|bytes| Mac::try_from(bytes).ok()),
        ..Link::default()
    };
    if link.kind == "bridge" {
        let bridge = info.nested(INFO_DATA);
        link.forward_delay = bridge.native(BRIDGE_FORWARD_DELAY);
        link.stp = bridge.native(BRIDGE_STP_STATE).map(|state| state != 0);
    }
    if info.text(INFO_PORT_KIND).is_some_and(|kind| kind == "bridge") {
        let port = info.nested(INFO_PORT_DATA);
        link.port = Port {
            hairpin: port.byte(PORT_HAIRPIN).is_some_and(|on| on != 0),
            waits: port.byte(PORT_STATE).is_some_and(|state| WAITING.contains(&state)),
        };
    }
    Some(link)
}

/// `struct ifaddrmsg` (family, prefix length, flags, scope, index: 8 bytes), then IFA_*: the link's number
/// and its address. IFA_LOCAL is the own address, IFA_ADDRESS the peer's on point-to-point links.
pub(super) fn address(payload: &[u8]) -> Option<(u32, Cidr)> {
    let attributes = Attributes(payload.get(8..)?);
    let own = attributes.get(LOCAL).or_else(|| attributes.get(PEER))?;
    let own = ip(own).filter(|a| !is_link_local(a))?;
    Some((parse_u32(payload.get(4..8)?).ok()?, Cidr::new(own, payload[1])?))
}

/// A route, as far as it matters here.
pub(super) struct Route {
    /// RTPROT_*: who made it.
    pub protocol: u8,
    /// RT_TABLE_*.
    pub table: u8,
    /// RTN_*: unicast, local, broadcast, blackhole and so on.
    pub kind: u8,
    /// `None`: the default route.
    pub destination: Option<IpAddr>,
    pub prefix_len: u8,
    /// By which link.
    pub out: Option<u32>,
    /// By this router.
    pub gateway: Option<IpAddr>,
    /// By a router.
    pub is_via: bool,
}

impl Route {
    /// A unicast route of the main table.
    pub fn is_plain(&self) -> bool {
        self.table == TABLE_MAIN && self.kind == UNICAST
    }
}

/// `struct rtmsg` (family, two lengths, TOS, table, protocol, scope, type, flags: 12 bytes), then RTA_*.
pub(super) fn route(payload: &[u8]) -> Option<Route> {
    let attributes = Attributes(payload.get(12..)?);
    Some(Route {
        protocol: payload[5],
        table: payload[4],
        kind: payload[7],
        destination: attributes.get(DESTINATION).and_then(ip),
        prefix_len: payload[1],
        out: attributes.native(OUT),
        gateway: attributes.get(GATEWAY).and_then(ip),
        is_via: [GATEWAY, VIA].iter().any(|kind| attributes.get(*kind).is_some()),
    })
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

pub(super) fn is_link_local(addr: &IpAddr) -> bool {
    matches!(addr, IpAddr::V6(a) if a.is_unicast_link_local())
}

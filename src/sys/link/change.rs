//! Changes of links. What somebody else made meanwhile as it was to be is fine.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use nix::errno::Errno;
use nix::libc::{
    RTM_DELADDR, RTM_DELLINK, RTM_GETROUTE, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE, RTM_SETLINK,
};
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::link::{
    BridgePortState, BridgeStpState, InfoBridge, InfoBridgePort, LinkMessage,
};
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::{LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, RouteMessageBuilder};

use super::{Links, read, words};
use crate::error::{Context, Error, Result};
use crate::types::{Cidr, IfName, Mac};

/// What is there already is refused.
const NEW: u16 = NLM_F_CREATE | NLM_F_EXCL;

impl Links {
    /// `ip link add NAME [mtu MTU] address MAC type bridge stp_state 0 forward_delay 0`: down, and with an
    /// address that no port changes.
    pub fn add_bridge(&self, name: &IfName, mtu: Option<u32>, mac: Mac) -> Result<()> {
        let mut message = LinkMessageBuilder::<LinkBridge>::new(name.as_str())
            .address(mac.bytes().to_vec())
            .append_info_data(InfoBridge::ForwardDelay(0))
            .append_info_data(InfoBridge::StpState(BridgeStpState::Disabled));
        if let Some(mtu) = mtu {
            message = message.mtu(mtu);
        }
        match self.change(RTM_NEWLINK, NEW, &message.build()) {
            Err(Errno::EOPNOTSUPP) => {
                Err(Error::failed("this kernel has no bridges (CONFIG_BRIDGE, module bridge)"))
            }
            other => other.map_err(words),
        }
    }

    fn set(&self, message: &LinkMessage) -> Result<()> {
        self.change(RTM_SETLINK, 0, message).map_err(words)
    }

    fn by_name(&self, name: &IfName) -> Result<LinkMessageBuilder<LinkUnspec>> {
        Ok(LinkUnspec::new_with_index(self.index(name)?))
    }

    /// `ip link set NAME mtu MTU`; false when the kernel does not take that much.
    pub fn set_mtu(&self, name: &IfName, mtu: u32) -> Result<bool> {
        let message = self.by_name(name)?.mtu(mtu).build();
        match self.change(RTM_SETLINK, 0, &message) {
            Ok(()) => Ok(true),
            Err(Errno::EINVAL) if mtu > 1500 => Ok(false),
            Err(e) => Err(words(e)),
        }
    }

    /// `ip link set NAME up`.
    pub fn set_up(&self, name: &IfName) -> Result<()> {
        self.set(&self.by_name(name)?.up().build())
    }

    /// `ip link set NAME address MAC`.
    pub fn set_mac(&self, name: &IfName, mac: Mac) -> Result<()> {
        self.set(&self.by_name(name)?.address(mac.bytes().to_vec()).build())
    }

    /// `ip link set NAME promisc on|off`.
    pub fn set_promiscuous(&self, name: &IfName, on: bool) -> Result<()> {
        self.set(&self.by_name(name)?.promiscuous(on).build())
    }

    /// `ip link set PORT up master BRIDGE`.
    pub fn attach(&self, port: &IfName, bridge: &IfName) -> Result<()> {
        let bridge = self.index(bridge)?;
        let message = self.by_name(port)?.up().controller(bridge).build();
        match self.change(RTM_SETLINK, 0, &message) {
            Err(Errno::EBUSY) => {
                Err(Error::failed("it is in use by another (a macvlan, a team, Open vSwitch)"))
            }
            other => other.map_err(words),
        }
    }

    /// `ip link set PORT nomaster`.
    pub fn detach(&self, port: &IfName) -> Result<()> {
        self.set(&self.by_name(port)?.nocontroller().build())
    }

    /// `ip link set NAME type bridge stp_state 0`.
    pub fn stp_off(&self, name: &IfName) -> Result<()> {
        self.change_bridge(name, InfoBridge::StpState(BridgeStpState::Disabled))
    }

    /// `ip link set NAME type bridge forward_delay 0`.
    pub fn no_forward_delay(&self, name: &IfName) -> Result<()> {
        self.change_bridge(name, InfoBridge::ForwardDelay(0))
    }

    fn change_bridge(&self, name: &IfName, info: InfoBridge) -> Result<()> {
        let message = LinkMessageBuilder::<LinkBridge>::new(name.as_str()).append_info_data(info).build();
        self.change(RTM_NEWLINK, 0, &message).map_err(words)
    }

    /// `bridge link set dev PORT hairpin on|off`.
    pub fn set_hairpin(&self, port: &IfName, on: bool) -> Result<()> {
        self.change_port(port, InfoBridgePort::HairpinMode(on))
    }

    /// `bridge link set dev PORT state 3`.
    pub fn set_forwarding(&self, port: &IfName) -> Result<()> {
        self.change_port(port, InfoBridgePort::State(BridgePortState::Forwarding))
    }

    fn change_port(&self, port: &IfName, info: InfoBridgePort) -> Result<()> {
        let message = LinkBridgePort::new(self.index(port)?).append_info_data(info).build();
        match self.change(RTM_NEWLINK, 0, &message) {
            Err(Errno::EOPNOTSUPP) => Err(Error::failed("this kernel cannot yet (Linux 3.18 can)")),
            other => other.map_err(words),
        }
    }

    /// `ip link del NAME`. One that is gone is fine.
    pub fn delete(&self, name: &IfName) -> Result<()> {
        let Some(link) = self.get(name)? else { return Ok(()) };
        match self.change(RTM_DELLINK, 0, &LinkUnspec::new_with_index(link.index).build()) {
            Err(Errno::ENODEV) => Ok(()),
            other => other.map_err(words),
        }
    }

    /// `ip addr add CIDR brd + dev NAME`, an IPv6 one with `nodad`: no other node has this lease, and
    /// its pods must not wait a second for their gateway (RFC 4862, 5.4). One that is there is fine.
    pub fn add_address(&self, name: &IfName, cidr: Cidr) -> Result<()> {
        let mut message = address_message(self.index(name)?, cidr);
        if !cidr.is_ipv4() {
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        match self.change(RTM_NEWADDR, NEW, &message) {
            Err(Errno::EEXIST) => {
                let link = self.get(name)?.unwrap_or_default();
                if self.addresses_of(&link)?.contains(&cidr) { Ok(()) } else { Err(words(Errno::EEXIST)) }
            }
            Err(Errno::EACCES) if !cidr.is_ipv4() => {
                Err(Error::failed(format!("IPv6 is off on {name}: net.ipv6.conf.{name}.disable_ipv6")))
            }
            Err(Errno::EOPNOTSUPP) if !cidr.is_ipv4() => {
                Err(Error::failed("this kernel has no IPv6 (CONFIG_IPV6, or ipv6.disable=1 at boot)"))
            }
            other => other.map_err(words),
        }
    }

    /// `ip addr del CIDR dev NAME`. One that is gone is fine, and so is one whose link is gone.
    pub fn delete_address(&self, name: &IfName, cidr: Cidr) -> Result<()> {
        let Some(link) = self.get(name)? else { return Ok(()) };
        let message = address_message(link.index, cidr);
        match self.change(RTM_DELADDR, 0, &message) {
            Err(Errno::EADDRNOTAVAIL | Errno::ENODEV) => Ok(()),
            other => other.map_err(words),
        }
    }

    /// By which link the kernel would send to this address (`ip route get`); `None` when it has no route.
    pub fn way_to(&self, addr: IpAddr) -> Result<Option<u32>> {
        let message: RouteMessage = match addr {
            IpAddr::V4(a) => {
                RouteMessageBuilder::<std::net::Ipv4Addr>::new().destination_prefix(a, 32).build()
            }
            IpAddr::V6(a) => {
                RouteMessageBuilder::<std::net::Ipv6Addr>::new().destination_prefix(a, 128).build()
            }
        };
        match self.one(RTM_GETROUTE, &message, RTM_NEWROUTE, read::route) {
            Ok(route) => Ok(route.and_then(|r| r.out)),
            // No route, or one that says no: unreachable, prohibit, blackhole.
            Err(Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EACCES | Errno::EINVAL) => Ok(None),
            Err(e) => Err(words(e)).context(format!("ip route get {addr}")),
        }
    }
}

fn address_message(index: u32, cidr: Cidr) -> AddressMessage {
    let len = cidr.prefix_len();
    match cidr.addr() {
        IpAddr::V4(a) => {
            rtnetlink::AddressMessageBuilder::<std::net::Ipv4Addr>::new().index(index).address(a, len).build()
        }
        IpAddr::V6(a) => {
            rtnetlink::AddressMessageBuilder::<std::net::Ipv6Addr>::new().index(index).address(a, len).build()
        }
    }
}

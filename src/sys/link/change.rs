//! Changes of links. What somebody else made meanwhile as it was to be is fine.

use std::net::IpAddr;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::link::{
    BridgePortState, BridgeStpState, InfoBridge, InfoBridgePort, LinkMessage,
};
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage};
use rtnetlink::{LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, RouteMessageBuilder};

use super::{Links, is, words};
use crate::error::{Context, Error, Result};
use crate::types::{Cidr, IfName, Mac};

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
        match self.runtime.block_on(self.handle.link().add(message.build()).execute()) {
            Err(e) if is(&e, nix::Error::EOPNOTSUPP) => {
                Err(Error::failed("this kernel has no bridges (CONFIG_BRIDGE, module bridge)"))
            }
            other => other.map_err(|e| words(&e)),
        }
    }

    fn set(&self, message: LinkMessage) -> Result<()> {
        self.runtime.block_on(self.handle.link().set(message).execute()).map_err(|e| words(&e))
    }

    fn by_name(&self, name: &IfName) -> Result<LinkMessageBuilder<LinkUnspec>> {
        Ok(LinkUnspec::new_with_index(self.index(name)?))
    }

    /// `ip link set NAME mtu MTU`; false when the kernel does not take that much.
    pub fn set_mtu(&self, name: &IfName, mtu: u32) -> Result<bool> {
        let message = self.by_name(name)?.mtu(mtu).build();
        match self.runtime.block_on(self.handle.link().set(message).execute()) {
            Ok(()) => Ok(true),
            Err(e) if is(&e, nix::Error::EINVAL) && mtu > 1500 => Ok(false),
            Err(e) => Err(words(&e)),
        }
    }

    /// `ip link set NAME up`.
    pub fn set_up(&self, name: &IfName) -> Result<()> {
        self.set(self.by_name(name)?.up().build())
    }

    /// `ip link set NAME address MAC`.
    pub fn set_mac(&self, name: &IfName, mac: Mac) -> Result<()> {
        self.set(self.by_name(name)?.address(mac.bytes().to_vec()).build())
    }

    /// `ip link set NAME promisc on|off`.
    pub fn set_promiscuous(&self, name: &IfName, on: bool) -> Result<()> {
        self.set(self.by_name(name)?.promiscuous(on).build())
    }

    /// `ip link set PORT up master BRIDGE`.
    pub fn attach(&self, port: &IfName, bridge: &IfName) -> Result<()> {
        let bridge = self.index(bridge)?;
        let message = self.by_name(port)?.up().controller(bridge).build();
        match self.runtime.block_on(self.handle.link().set(message).execute()) {
            Err(e) if is(&e, nix::Error::EBUSY) => {
                Err(Error::failed("it is in use by another (a macvlan, a team, Open vSwitch)"))
            }
            other => other.map_err(|e| words(&e)),
        }
    }

    /// `ip link set PORT nomaster`.
    pub fn detach(&self, port: &IfName) -> Result<()> {
        self.set(self.by_name(port)?.nocontroller().build())
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
        self.runtime.block_on(self.handle.link().change(message).execute()).map_err(|e| words(&e))
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
        let request = self.handle.link().set_port(message);
        self.runtime.block_on(request.execute()).map_err(|e| words(&e))
    }

    /// `ip link del NAME`. One that is gone is fine.
    pub fn delete(&self, name: &IfName) -> Result<()> {
        let Some(link) = self.get(name)? else { return Ok(()) };
        match self.runtime.block_on(self.handle.link().del(link.index).execute()) {
            Err(e) if is(&e, nix::Error::ENODEV) => Ok(()),
            other => other.map_err(|e| words(&e)),
        }
    }

    /// `ip addr add CIDR brd + dev NAME`, an IPv6 one with `nodad`: no other node has this lease, and
    /// its pods must not wait a second for their gateway (RFC 4862, 5.4). One that is there is fine.
    pub fn add_address(&self, name: &IfName, cidr: Cidr) -> Result<()> {
        let mut request = self.handle.address().add(self.index(name)?, cidr.addr(), cidr.prefix_len());
        if !cidr.is_ipv4() {
            request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        match self.runtime.block_on(request.execute()) {
            Err(e) if is(&e, nix::Error::EEXIST) => {
                let link = self.get(name)?.unwrap_or_default();
                if self.addresses_of(&link)?.contains(&cidr) { Ok(()) } else { Err(words(&e)) }
            }
            Err(e) if is(&e, nix::Error::EACCES) && !cidr.is_ipv4() => {
                Err(Error::failed(format!("IPv6 is off on {name}: net.ipv6.conf.{name}.disable_ipv6")))
            }
            Err(e) if is(&e, nix::Error::EOPNOTSUPP) && !cidr.is_ipv4() => {
                Err(Error::failed("this kernel has no IPv6 (CONFIG_IPV6, or ipv6.disable=1 at boot)"))
            }
            other => other.map_err(|e| words(&e)),
        }
    }

    /// `ip addr del CIDR dev NAME`. One that is gone is fine, and so is one whose link is gone.
    pub fn delete_address(&self, name: &IfName, cidr: Cidr) -> Result<()> {
        let Some(link) = self.get(name)? else { return Ok(()) };
        let message = address_message(link.index, cidr);
        match self.runtime.block_on(self.handle.address().del(message).execute()) {
            Err(e) if is(&e, nix::Error::EADDRNOTAVAIL) || is(&e, nix::Error::ENODEV) => Ok(()),
            other => other.map_err(|e| words(&e)),
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
        let mut stream = Box::pin(self.handle.route().get(message).execute());
        match self.runtime.block_on(stream.try_next()) {
            Ok(answer) => Ok(answer.and_then(|m| {
                m.attributes.iter().find_map(|a| match a {
                    RouteAttribute::Oif(index) => Some(*index),
                    _ => None,
                })
            })),
            // No route, or one that says no: unreachable, prohibit, blackhole.
            Err(e)
                if [
                    nix::Error::ENETUNREACH,
                    nix::Error::EHOSTUNREACH,
                    nix::Error::EACCES,
                    nix::Error::EINVAL,
                ]
                .iter()
                .any(|no| is(&e, *no)) =>
            {
                Ok(None)
            }
            Err(e) => Err(words(&e)).context(format!("ip route get {addr}")),
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

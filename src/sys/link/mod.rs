//! Network links over rtnetlink: the only room with an async runtime, and it stays inside.

mod change;
mod ranges;

use std::cell::RefCell;
use std::net::IpAddr;

use futures_util::TryStreamExt;
use rtnetlink::Handle;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{
    BridgePortState, BridgeStpState, InfoBridge, InfoBridgePort, InfoData, InfoPortData, LinkAttribute,
    LinkFlags, LinkInfo, LinkMessage,
};
use tokio::runtime::Runtime;

use crate::error::{Context, Error, Result};
use crate::types::{Cidr, IfName, Mac};

/// A link as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number, which it keeps for life.
    pub index: u32,
    /// Its name; one that no `IfName` can be (a blank in it) is only shown.
    pub name: String,
    /// What `ip -d link` calls it: bridge, veth, dummy; `device` for hardware.
    pub kind: String,
    /// In bytes.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// Something is at the other end: a bridge has it with its first port that is up.
    pub carrier: bool,
    /// Set promiscuous by somebody (`ip link set promisc on`).
    pub promiscuous: bool,
    /// The link it is a port of.
    pub master: Option<u32>,
    /// Its Ethernet address, if it has one.
    pub mac: Option<Mac>,
    /// As a bridge: whether it speaks STP. Kernels before 4.2 do not say.
    pub stp: Option<bool>,
    /// As a bridge: in hundredths of a second. Kernels before 3.18 do not say.
    pub forward_delay: Option<u32>,
    /// As a bridge's port.
    pub port: Port,
}

/// What a bridge's port is set to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// Frames may go back where they came from.
    pub hairpin: bool,
    /// STP holds it back from forwarding.
    pub waits: bool,
}

/// A netlink connection.
pub struct Links {
    runtime: Runtime,
    handle: Handle,
    /// The numbers of links that were asked for by name.
    known: RefCell<Vec<(IfName, u32)>>,
}

/// A netlink error in the kernel's words. Somebody else's doing in between is marked as such.
fn words(error: &rtnetlink::Error) -> Error {
    let Some(errno) = errno(error) else {
        // Its Display would bring the Debug text of every netlink message there is: 0.1 MB.
        return Error::failed("netlink: an answer that was not understood");
    };
    let hint = if errno == nix::Error::EPERM { ": needs root (CAP_NET_ADMIN)" } else { "" };
    let text = Error::failed(format!("{}{hint}", errno.desc()));
    match errno {
        nix::Error::EEXIST | nix::Error::EBUSY | nix::Error::ENODEV | nix::Error::EAGAIN => text.meanwhile(),
        _ => text,
    }
}

fn errno(error: &rtnetlink::Error) -> Option<nix::Error> {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.code.map(|c| nix::Error::from_raw(-c.get())),
        _ => None,
    }
}

fn is(error: &rtnetlink::Error, wanted: nix::Error) -> bool {
    errno(error) == Some(wanted)
}

impl Links {
    /// Connects to the kernel.
    pub fn open() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().context("netlink")?;
        let guard = runtime.enter();
        let (connection, handle, _) = rtnetlink::new_connection().context("netlink")?;
        drop(guard);
        runtime.spawn(connection);
        Ok(Self { runtime, handle, known: RefCell::default() })
    }

    /// The link of that name, `None` if there is none.
    pub fn get(&self, name: &IfName) -> Result<Option<Link>> {
        self.known.borrow_mut().retain(|(known, _)| known != name);
        let mut stream = Box::pin(self.handle.link().get().match_name(name.as_str()).execute());
        match self.runtime.block_on(stream.try_next()) {
            Ok(message) => {
                let link = message.as_ref().map(read);
                self.known.borrow_mut().extend(link.iter().map(|l| (name.clone(), l.index)));
                Ok(link)
            }
            Err(e) if is(&e, nix::Error::ENODEV) => Ok(None),
            Err(e) => Err(words(&e)).context(format!("ip link show {name}")),
        }
    }

    /// All links.
    pub fn all(&self) -> Result<Vec<Link>> {
        self.known.borrow_mut().clear();
        let messages: Vec<_> = self
            .runtime
            .block_on(self.handle.link().get().execute().try_collect())
            .map_err(|e| words(&e))
            .context("ip link")?;
        Ok(messages.iter().map(read).collect())
    }

    /// Of one that has gone and come again meanwhile, the number is no link's any more: ENODEV.
    fn index(&self, name: &IfName) -> Result<u32> {
        if let Some((_, index)) = self.known.borrow().iter().find(|(known, _)| known == name) {
            return Ok(*index);
        }
        let link = self.get(name)?;
        link.map(|l| l.index).ok_or_else(|| Error::failed(format!("{name} is gone")).meanwhile())
    }

    /// The addresses of all links, each with its link's number; IPv6 link-local ones are left out.
    pub fn addresses(&self) -> Result<Vec<(u32, Cidr)>> {
        let stream = self.handle.address().get().execute();
        let messages: Vec<_> =
            self.runtime.block_on(stream.try_collect()).map_err(|e| words(&e)).context("ip addr")?;
        Ok(messages.iter().filter_map(|m| Some((m.header.index, address(m)?))).collect())
    }

    /// One link's addresses.
    pub fn addresses_of(&self, link: &Link) -> Result<Vec<Cidr>> {
        let all = self.addresses()?.into_iter();
        Ok(all.filter(|(index, _)| *index == link.index).map(|(_, cidr)| cidr).collect())
    }
}

fn read(message: &LinkMessage) -> Link {
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        kind: "device".into(),
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        promiscuous: flags.contains(LinkFlags::Promisc),
        ..Link::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Controller(index) => link.master = Some(*index),
            LinkAttribute::Address(bytes) => link.mac = Mac::try_from(bytes.as_slice()).ok(),
            LinkAttribute::LinkInfo(infos) => infos.iter().for_each(|info| read_info(&mut link, info)),
            _ => {}
        }
    }
    link
}

fn read_info(link: &mut Link, info: &LinkInfo) {
    match info {
        LinkInfo::Kind(kind) => link.kind = kind.to_string(),
        LinkInfo::Data(InfoData::Bridge(infos)) => {
            for info in infos {
                match info {
                    InfoBridge::ForwardDelay(delay) => link.forward_delay = Some(*delay),
                    InfoBridge::StpState(state) => link.stp = Some(*state != BridgeStpState::Disabled),
                    _ => {}
                }
            }
        }
        LinkInfo::PortData(InfoPortData::BridgePort(infos)) => {
            for info in infos {
                match info {
                    InfoBridgePort::HairpinMode(on) => link.port.hairpin = *on,
                    InfoBridgePort::State(state) => {
                        link.port.waits = matches!(
                            state,
                            BridgePortState::Listening
                                | BridgePortState::Learning
                                | BridgePortState::Blocking
                        );
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// `IFA_LOCAL` is the own address; `IFA_ADDRESS` the peer's on point-to-point links.
fn address(message: &AddressMessage) -> Option<Cidr> {
    let mut own = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(addr) => own = Some(*addr),
            AddressAttribute::Address(addr) => own = own.or(Some(*addr)),
            _ => {}
        }
    }
    Cidr::new(own.filter(|a| !is_link_local(a))?, message.header.prefix_len)
}

fn is_link_local(addr: &IpAddr) -> bool {
    matches!(addr, IpAddr::V6(a) if a.is_unicast_link_local())
}

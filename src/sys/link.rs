//! Network links over rtnetlink: the only room with an async runtime, and it stays inside.

use std::net::IpAddr;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::{Handle, LinkBridge, LinkUnspec};
use tokio::runtime::Runtime;

use crate::error::{Context, Error, Result};
use crate::types::{Cidr, IfName};

/// A link as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What `ip -d link` calls it: bridge, veth, dummy; `device` for hardware.
    pub kind: String,
    /// In bytes.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// Its addresses, but for IPv6 link-local ones.
    pub addrs: Vec<Cidr>,
}

/// A netlink connection.
pub struct Links {
    pub(super) runtime: Runtime,
    pub(super) handle: Handle,
}

/// A netlink error in the kernel's words.
pub(super) fn words(error: &rtnetlink::Error) -> Error {
    if let rtnetlink::Error::NetlinkError(message) = error
        && let Some(code) = message.code
    {
        let errno = nix::Error::from_raw(-code.get());
        let hint = if errno == nix::Error::EPERM { ": needs root (CAP_NET_ADMIN)" } else { "" };
        return Error::failed(format!("{}{hint}", errno.desc()));
    }
    // Its Display would bring the Debug text of every netlink message there is: 0.1 MB.
    Error::failed("netlink: an answer that was not understood")
}

fn is(error: &rtnetlink::Error, errno: nix::Error) -> bool {
    matches!(error, rtnetlink::Error::NetlinkError(m) if m.raw_code() == -(errno as i32))
}

impl Links {
    /// Connects to the kernel.
    pub fn open() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().context("netlink")?;
        let guard = runtime.enter();
        let (connection, handle, _) = rtnetlink::new_connection().context("netlink")?;
        drop(guard);
        runtime.spawn(connection);
        Ok(Self { runtime, handle })
    }

    /// The link of that name, `None` if there is none.
    pub fn get(&self, name: &IfName) -> Result<Option<Link>> {
        let Some(message) = self.message(name)? else { return Ok(None) };
        let mut link = Link {
            kind: "device".into(),
            mtu: 0,
            up: message.header.flags.contains(LinkFlags::Up),
            addrs: self.addresses(message.header.index)?,
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::LinkInfo(infos) => {
                    for info in infos {
                        if let LinkInfo::Kind(kind) = info {
                            link.kind = kind_text(kind);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(Some(link))
    }

    fn message(&self, name: &IfName) -> Result<Option<LinkMessage>> {
        let mut stream = Box::pin(self.handle.link().get().match_name(name.as_str()).execute());
        match self.runtime.block_on(stream.try_next()) {
            Ok(message) => Ok(message),
            Err(e) if is(&e, nix::Error::ENODEV) => Ok(None),
            Err(e) => Err(words(&e)).context(format!("ip link show {name}")),
        }
    }

    fn index(&self, name: &IfName) -> Result<u32> {
        let message = self.message(name)?;
        message.map(|m| m.header.index).ok_or_else(|| Error::failed(format!("{name} is gone")))
    }

    fn addresses(&self, index: u32) -> Result<Vec<Cidr>> {
        let stream = self.handle.address().get().set_link_index_filter(index).execute();
        let messages: Vec<_> = self.runtime.block_on(stream.try_collect()).map_err(|e| words(&e))?;
        let mut found = Vec::new();
        for message in messages.iter().filter(|m| m.header.index == index) {
            // IFA_LOCAL is the own address; IFA_ADDRESS the peer's on point-to-point links.
            let local = message.attributes.iter().find_map(|a| match a {
                AddressAttribute::Local(addr) => Some(*addr),
                _ => None,
            });
            let addr = local.or_else(|| {
                message.attributes.iter().find_map(|a| match a {
                    AddressAttribute::Address(addr) => Some(*addr),
                    _ => None,
                })
            });
            found.extend(
                addr.filter(|a| !is_link_local(a)).and_then(|a| Cidr::new(a, message.header.prefix_len)),
            );
        }
        Ok(found)
    }

    /// `ip link add NAME type bridge`. One that came meanwhile is fine.
    pub fn add_bridge(&self, name: &IfName) -> Result<()> {
        let request = self.handle.link().add(LinkBridge::new(name.as_str()).build());
        match self.runtime.block_on(request.execute()) {
            Err(e) if is(&e, nix::Error::EEXIST) => match self.get(name)? {
                Some(link) if link.kind == "bridge" => Ok(()),
                _ => Err(words(&e)),
            },
            Err(e) if is(&e, nix::Error::EOPNOTSUPP) => {
                Err(Error::failed("this kernel has no bridges (CONFIG_BRIDGE, module bridge)"))
            }
            other => other.map_err(|e| words(&e)),
        }
    }

    /// `ip link set NAME mtu MTU`; false when the kernel does not take that much.
    pub fn set_mtu(&self, name: &IfName, mtu: u32) -> Result<bool> {
        let message = LinkUnspec::new_with_index(self.index(name)?).mtu(mtu).build();
        match self.runtime.block_on(self.handle.link().set(message).execute()) {
            Ok(()) => Ok(true),
            Err(e) if is(&e, nix::Error::EINVAL) && mtu > 1500 => Ok(false),
            Err(e) => Err(words(&e)),
        }
    }

    /// `ip link set NAME up`.
    pub fn set_up(&self, name: &IfName) -> Result<()> {
        let message = LinkUnspec::new_with_index(self.index(name)?).up().build();
        self.runtime.block_on(self.handle.link().set(message).execute()).map_err(|e| words(&e))
    }

    /// `ip addr add CIDR brd + dev NAME`. One that is there is fine.
    pub fn add_address(&self, name: &IfName, cidr: Cidr) -> Result<()> {
        let request = self.handle.address().add(self.index(name)?, cidr.addr(), cidr.prefix_len());
        match self.runtime.block_on(request.execute()) {
            Err(e) if is(&e, nix::Error::EEXIST) => Ok(()),
            other => other.map_err(|e| words(&e)),
        }
    }

    /// `ip addr del CIDR dev NAME`. One that is gone is fine.
    pub fn delete_address(&self, name: &IfName, cidr: Cidr) -> Result<()> {
        let index = self.index(name)?;
        let message = match cidr.addr() {
            IpAddr::V4(a) => rtnetlink::AddressMessageBuilder::<std::net::Ipv4Addr>::new()
                .index(index)
                .address(a, cidr.prefix_len())
                .build(),
            IpAddr::V6(a) => rtnetlink::AddressMessageBuilder::<std::net::Ipv6Addr>::new()
                .index(index)
                .address(a, cidr.prefix_len())
                .build(),
        };
        match self.runtime.block_on(self.handle.address().del(message).execute()) {
            Err(e) if is(&e, nix::Error::EADDRNOTAVAIL) => Ok(()),
            other => other.map_err(|e| words(&e)),
        }
    }
}

fn kind_text(kind: &InfoKind) -> String {
    kind.to_string()
}

pub(super) fn is_link_local(addr: &IpAddr) -> bool {
    matches!(addr, IpAddr::V6(a) if a.is_unicast_link_local())
}

//! Network links, their addresses and routes. rtnetlink's builders make the requests; they go over a
//! plain socket, since the kernel answers at once: its own connection wants an async runtime.

mod change;
mod ranges;
mod read;
mod routes;
mod watch;

use std::cell::RefCell;

use netlink_packet_core::{Emitable, NLM_F_ACK, NLM_F_DUMP};
use nix::errno::Errno;
use nix::libc::{RTM_GETADDR, RTM_GETLINK, RTM_NEWADDR, RTM_NEWLINK};
use rtnetlink::packet_route::address::AddressMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};

use crate::error::{Context, Error, Result};
use crate::sys::netlink::{self, HEADER, Protocol, Socket, again};
use crate::types::{Cidr, IfName, Mac};
pub use watch::Watch;

/// A link as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // as the kernel's flags
pub struct Link {
    /// Its number, which it keeps for life.
    pub index: u32,
    /// Its name; one that no `IfName` can be (a blank in it) is only shown.
    pub name: String,
    /// What `ip -d link` calls it: bridge, veth, dummy; `device` for hardware.
    pub kind: String,
    /// Speaks Ethernet.
    pub is_ethernet: bool,
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
    socket: Socket,
    /// The numbers of links that were asked for by name.
    known: RefCell<Vec<(IfName, u32)>>,
}

/// A netlink error in the kernel's words. Somebody else's doing in between is marked as such.
fn words(errno: Errno) -> Error {
    let hint = if errno == Errno::EPERM { ": needs root (CAP_NET_ADMIN)" } else { "" };
    let text = Error::failed(format!("{}{hint}", errno.desc()));
    match errno {
        Errno::EEXIST | Errno::EBUSY | Errno::ENODEV | Errno::EAGAIN => text.meanwhile(),
        _ => text,
    }
}

impl Links {
    /// Connects to the kernel.
    pub fn open() -> Result<Self> {
        let socket = Socket::open(Protocol::NetlinkRoute).context("netlink")?;
        Ok(Self { socket, known: RefCell::default() })
    }

    /// Sends one message and hands out what is said to it.
    fn talk(
        &self,
        kind: u16,
        flags: u16,
        body: &impl Emitable,
        each: impl FnMut(u16, &[u8]),
    ) -> Result<(), Errno> {
        let length = HEADER + body.buffer_len();
        let mut message = vec![0; length];
        body.emit(&mut message[HEADER..]);
        let number = self.socket.number(1);
        netlink::head(&mut message, kind, flags, number);
        self.socket.ask(&message, number, number, each).map_err(|failure| failure.errno)
    }

    /// Asks for a change, and whether it was made.
    fn change(&self, kind: u16, flags: u16, body: &impl Emitable) -> Result<(), Errno> {
        self.talk(kind, flags | NLM_F_ACK, body, |_, _| {})
    }

    /// Asks for one thing.
    fn one<T>(
        &self,
        kind: u16,
        body: &impl Emitable,
        answer: u16,
        read: fn(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, Errno> {
        let mut found = None;
        self.talk(kind, NLM_F_ACK, body, |is, payload| {
            if is == answer {
                found = read(payload);
            }
        })?;
        Ok(found)
    }

    /// Asks for all there are; again while they change meanwhile.
    fn list<T>(
        &self,
        kind: u16,
        body: &impl Emitable,
        answer: u16,
        read: fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Errno> {
        let mut found = Vec::new();
        again(|| {
            found.clear();
            let each = |is, payload: &[u8]| {
                if is == answer {
                    found.extend(read(payload));
                }
            };
            Ok(self.talk(kind, NLM_F_DUMP, body, each)?)
        })?;
        Ok(found)
    }

    /// The link of that name, `None` if there is none.
    pub fn get(&self, name: &IfName) -> Result<Option<Link>> {
        self.known.borrow_mut().retain(|(known, _)| known != name);
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_string()));
        match self.one(RTM_GETLINK, &message, RTM_NEWLINK, read::link) {
            Ok(link) => {
                self.known.borrow_mut().extend(link.iter().map(|l| (name.clone(), l.index)));
                Ok(link)
            }
            Err(Errno::ENODEV) => Ok(None),
            Err(e) => Err(words(e)).context(format!("ip link show {name}")),
        }
    }

    /// All links.
    pub fn all(&self) -> Result<Vec<Link>> {
        self.known.borrow_mut().clear();
        let all = self.list(RTM_GETLINK, &LinkMessage::default(), RTM_NEWLINK, read::link);
        all.map_err(words).context("ip link")
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
        let all = self.list(RTM_GETADDR, &AddressMessage::default(), RTM_NEWADDR, read::address);
        all.map_err(words).context("ip addr")
    }

    /// One link's addresses.
    pub fn addresses_of(&self, link: &Link) -> Result<Vec<Cidr>> {
        let all = self.addresses()?.into_iter();
        Ok(all.filter(|(index, _)| *index == link.index).map(|(_, cidr)| cidr).collect())
    }
}

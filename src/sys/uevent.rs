//! The kernel's word that devices came or went (netlink, NETLINK_KOBJECT_UEVENT).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

use crate::error::{Context, Result};

/// UEVENT_BUFFER_SIZE (linux/kobject.h) and the event's name: none is longer.
const LONGEST: usize = 4096;

/// A socket on which the kernel tells.
pub struct Events(OwnedFd);

impl Events {
    /// From here on nothing is missed.
    pub fn listen() -> Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = Some(SockProtocol::NetlinkKObjectUEvent);
        let fd = socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol).context("uevents")?;
        // Group 1: the kernel's own, before any udev has a hand in it.
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 1)).context("uevents")?;
        Ok(Self(fd))
    }

    /// The aliases of devices that came or went since; an empty one where some events were lost. What came
    /// without one (a disk, a link) has only to wake who looks for it.
    pub fn aliases(&self) -> Vec<String> {
        let (mut found, mut event) = (Vec::new(), [0; LONGEST]);
        loop {
            match recv(self.0.as_raw_fd(), &mut event, MsgFlags::empty()) {
                Ok(length) => found.extend(alias(&event[..length])),
                Err(Errno::ENOBUFS) => found.push(String::new()),
                Err(Errno::EINTR) => {}
                Err(_) => return found,
            }
        }
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// `ACTION@PATH`, then `NAME=VALUE`, each with a NUL behind it (lib/kobject_uevent.c).
fn alias(event: &[u8]) -> Option<String> {
    let value = event.split(|b| *b == 0).find_map(|field| field.strip_prefix(b"MODALIAS="))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_an_alias_or_none() {
        let event =
            b"add@/devices/pci0000:00/0000:00:03.0\0ACTION=add\0SUBSYSTEM=pci\0MODALIAS=pci:v1\0SEQNUM=7\0";
        assert_eq!(alias(event).as_deref(), Some("pci:v1"));
        assert_eq!(alias(b"add@/x\0ACTION=add\0XMODALIAS=pci:v1\0"), None);
        assert_eq!(alias(b""), None);
    }
}

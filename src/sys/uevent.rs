//! The kernel's word that devices came or went (netlink, NETLINK_KOBJECT_UEVENT).

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

use crate::error::{Context, Result};
use crate::sys::wait::Deadline;

/// How long one wait is at the most: a look more now and then does no harm.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(30);

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

    /// Sleeps until something happens to a device, or the deadline passes. What came is dropped: devices
    /// are looked at where they are.
    pub fn wait(&self, deadline: &Deadline) {
        let millis = u16::try_from(deadline.attempt(LONGEST).as_millis() + 1).unwrap_or(u16::MAX);
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, PollTimeout::from(millis));
        let mut event = [0; 4096];
        // An overrun (ENOBUFS) is news too; it ends with the next look.
        while recv(self.0.as_raw_fd(), &mut event, MsgFlags::empty()).is_ok() {}
    }
}

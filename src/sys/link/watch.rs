use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

use crate::error::{Context, Result};

/// `RTMGRP_LINK` of rtnetlink.h.
const LINKS: u32 = 1;

/// Tells when links come, go or change; to be opened before the look that it is to wake from.
pub struct Watch(OwnedFd);

impl Watch {
    /// From here on.
    pub fn open() -> Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute);
        let fd = fd.context("netlink")?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, LINKS)).context("netlink")?;
        Ok(Self(fd))
    }

    /// Sleeps until something has changed, or so long. What it was is for the next look to see.
    pub fn sleep(&self, span: Duration) {
        let millis = u16::try_from(span.as_millis() + 1).unwrap_or(u16::MAX);
        let _ = poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], PollTimeout::from(millis));
        let mut buffer = [0; 8192];
        // ENOBUFS: some were lost; there was something all the same.
        while matches!(
            recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()),
            Ok(_) | Err(Errno::ENOBUFS | Errno::EINTR)
        ) {}
    }
}

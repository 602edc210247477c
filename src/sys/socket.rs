//! Unix sockets of other programs: whether somebody is there.

use std::os::fd::AsRawFd;
use std::path::Path;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

/// Connects and hangs up. The error says why nobody answers; a program that takes no connections at
/// present (its queue is full) does not hold us up.
pub fn answers(path: &Path) -> Result<(), String> {
    let said = |e: nix::Error| match e {
        nix::Error::ENOENT => "is not there".to_owned(),
        nix::Error::ECONNREFUSED => "nobody listens there".to_owned(),
        nix::Error::EAGAIN => "takes no connections".to_owned(),
        other => other.desc().to_owned(),
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None).map_err(said)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path).map_err(said)?).map_err(said)
}

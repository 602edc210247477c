//! Packets of a link that has no address yet, and the DHCP client's port of one that has.
// The C library's constants and sizes have other types than its structures; all of them fit.
#![allow(unsafe_code, clippy::cast_possible_truncation)]

use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, bind, recv, setsockopt, socket, sockopt,
};

use crate::types::IfName;

/// No frame that a server sends is longer, unless it is not meant for us.
const LONGEST: usize = 2048;

/// Classic BPF over an IPv4 packet: UDP, no later fragment, to that port; else nothing of it. So the
/// traffic of a busy link wakes nobody.
fn filter(port: u16) -> [libc::sock_filter; 9] {
    use libc::{
        BPF_ABS, BPF_B, BPF_H, BPF_IND, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_LD, BPF_LDX, BPF_MSH, BPF_RET,
    };
    let op = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    [
        op(BPF_LD | BPF_B | BPF_ABS, 0, 0, 9), // the protocol
        op(BPF_JMP | BPF_JEQ, 0, 6, 17),
        op(BPF_LD | BPF_H | BPF_ABS, 0, 0, 6), // the fragment's offset
        op(BPF_JMP | BPF_JSET, 4, 0, 0x1fff),
        op(BPF_LDX | BPF_B | BPF_MSH, 0, 0, 0), // the header's length
        op(BPF_LD | BPF_H | BPF_IND, 0, 0, 2),  // the port behind it
        op(BPF_JMP | BPF_JEQ, 0, 1, port.into()),
        op(BPF_RET, 0, 0, 0xffff),
        op(BPF_RET, 0, 0, 0),
    ]
}

/// IPv4 packets as they are, on one link.
pub struct Raw(OwnedFd, u32);

impl Raw {
    /// Those to that UDP port only.
    pub fn open(index: u32, port: u16) -> Result<Self, Errno> {
        // Without a protocol nothing comes in before the filter is there.
        // SAFETY: no memory is involved.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        // SAFETY: a descriptor of our own that is used nowhere else.
        let fd = unsafe { OwnedFd::from_raw_fd(Errno::result(fd)?) };
        let mut program = filter(port);
        let program = libc::sock_fprog { len: 9, filter: program.as_mut_ptr() };
        // SAFETY: the program lives until the kernel has copied it, and its length is given.
        Errno::result(unsafe {
            libc::setsockopt(
                fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const program).cast(),
                size_of::<libc::sock_fprog>() as libc::socklen_t,
            )
        })?;
        let raw = Self(fd, index);
        let address = raw.everybody();
        // SAFETY: the address lives, and its size is given.
        Errno::result(unsafe {
            libc::bind(raw.0.as_raw_fd(), (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as u32)
        })?;
        Ok(raw)
    }

    /// All stations of the link.
    fn everybody(&self) -> libc::sockaddr_ll {
        // SAFETY: all of its fields are numbers.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_IP as u16).to_be();
        address.sll_ifindex = self.1.cast_signed();
        address.sll_halen = 6;
        address.sll_addr = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0];
        address
    }

    /// Sends a packet to all stations of the link.
    pub fn send(&self, packet: &[u8]) -> Result<(), Errno> {
        let address = self.everybody();
        // SAFETY: packet and address live, and their sizes are given.
        Errno::result(unsafe {
            libc::sendto(
                self.0.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                0,
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as u32,
            )
        })
        .map(drop)
    }

    /// The next packet that comes until then.
    pub fn receive(&self, until: Instant) -> Option<Vec<u8>> {
        next(self.0.as_fd(), until)
    }
}

fn next(fd: BorrowedFd<'_>, until: Instant) -> Option<Vec<u8>> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        // One more than the rounded-down milliseconds: never a busy loop at the end.
        let millis = PollTimeout::from(u16::try_from(left.as_millis() + 1).unwrap_or(u16::MAX));
        if poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], millis).unwrap_or(0) == 0 {
            continue;
        }
        let mut buffer = vec![0; LONGEST];
        match recv(fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(length) => {
                buffer.truncate(length);
                return Some(buffer);
            }
            // The link went down: what is asked for does not come, but the wait is as long.
            Err(_) => std::thread::sleep(left.min(Duration::from_millis(100))),
        }
    }
}

/// A UDP port, on one link: with an address there is no need of raw packets, and an open port keeps the
/// kernel from answering that nobody listens.
pub struct Port(UdpSocket);

impl Port {
    /// On that link.
    pub fn open(link: &IfName, port: u16) -> Result<Self, Errno> {
        let fd = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        setsockopt(&fd, sockopt::Broadcast, &true)?;
        setsockopt(&fd, sockopt::BindToDevice, &link.as_str().into())?;
        bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)))?;
        Ok(Self(fd.into()))
    }

    /// Sends a message.
    pub fn send(&self, to: SocketAddrV4, message: &[u8]) -> std::io::Result<()> {
        self.0.send_to(message, to).map(drop)
    }

    /// The next message that comes until then.
    pub fn receive(&self, until: Instant) -> Option<Vec<u8>> {
        next(self.0.as_fd(), until)
    }
}

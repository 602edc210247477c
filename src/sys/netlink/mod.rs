//! One netlink socket. The kernel answers rtnetlink and nfnetlink inside the caller's `send`, and fills
//! the next part of a list inside `recv` (net/netlink/af_netlink.c), so that nothing is ever waited for:
//! an answer that is not there will not come. nft reads its own in the same way.

mod attributes;

use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_core::{
    NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, parse_i32,
};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socket};

pub use attributes::{Attributes, text};
pub use nix::sys::socket::SockProtocol as Protocol;

/// The most that the kernel puts into one answer to a list is 32 KiB.
const LONGEST: usize = 64 << 10;

/// `struct nlmsghdr`.
pub const HEADER: usize = 16;

/// Writes a request's header; the message is as long as it will be.
pub fn head(message: &mut [u8], kind: u16, flags: u16, number: u32) {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut header = NetlinkBuffer::new(message);
    header.set_length(length);
    header.set_message_type(kind);
    header.set_flags(NLM_F_REQUEST | flags);
    header.set_sequence_number(number);
}

/// A socket for requests.
pub struct Socket {
    fd: OwnedFd,
    next: Cell<u32>,
    buffer: RefCell<Vec<u8>>,
}

/// What the kernel said, and to which of the messages; `None`: there was no answer.
pub struct Failure {
    /// The message's number.
    pub number: Option<u32>,
    /// What the kernel said.
    pub errno: Errno,
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self { number: None, errno }
    }
}

impl Socket {
    /// Connects to one of the kernel's subsystems, of this network namespace.
    pub fn open(protocol: Protocol) -> Result<Self, Errno> {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        Ok(Self { fd, next: Cell::new(1), buffer: RefCell::new(vec![0; LONGEST]) })
    }

    /// The first of so many numbers for messages.
    pub fn number(&self, count: u32) -> u32 {
        self.next.replace(self.next.get().wrapping_add(count))
    }

    /// Sends messages and hands out what is said to those numbered `first` to `last`, type and payload,
    /// until the last one's list ends or it is acknowledged. `EINTR`: the list changed while it was read.
    pub fn ask(
        &self,
        request: &[u8],
        first: u32,
        last: u32,
        mut each: impl FnMut(u16, &[u8]),
    ) -> Result<(), Failure> {
        self.send(request)?;
        let mut buffer = self.buffer.borrow_mut();
        let mut changed = false;
        loop {
            let length = self.receive(&mut buffer)?;
            let mut rest = &buffer[..length];
            while let Ok(message) = NetlinkBuffer::new_checked(rest) {
                let next = usize::try_from(message.length()).unwrap_or(length).next_multiple_of(4);
                let number = message.sequence_number();
                rest = rest.get(next..).unwrap_or_default();
                if number < first || number > last {
                    continue; // said to an earlier request that failed
                }
                changed |= message.flags() & NLM_F_DUMP_INTR != 0;
                match message.message_type() {
                    NLMSG_ERROR | NLMSG_DONE => match errno(message.payload()) {
                        0 if number < last => {}
                        0 if changed => return Err(Errno::EINTR.into()),
                        0 => return Ok(()),
                        code => {
                            return Err(Failure { number: Some(number), errno: Errno::from_raw(-code) });
                        }
                    },
                    kind => each(kind, message.payload()),
                }
            }
        }
    }

    fn send(&self, request: &[u8]) -> Result<(), Errno> {
        loop {
            match send(self.fd.as_raw_fd(), request, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                sent => return sent.map(|_| ()),
            }
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        loop {
            match recv(self.fd.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC) {
                Err(Errno::EINTR) => {}
                Ok(length) if length > buffer.len() => return Err(Errno::EMSGSIZE),
                received => return received,
            }
        }
    }
}

/// Negative, as `struct nlmsgerr` has it; 0: an acknowledgement, or a list's good end.
fn errno(payload: &[u8]) -> i32 {
    payload.get(..4).and_then(|code| parse_i32(code).ok()).unwrap_or_default()
}

/// Runs a question again when what it asks for changed meanwhile.
pub fn again(mut ask: impl FnMut() -> Result<(), Failure>) -> Result<(), Errno> {
    for _ in 1..ATTEMPTS {
        match ask() {
            Err(Failure { errno: Errno::EINTR, .. }) => {}
            answer => return answer.map_err(|f| f.errno),
        }
    }
    ask().map_err(|f| f.errno)
}

/// How often a list is asked for that changes while it is read.
const ATTEMPTS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_never_holds_still_is_given_up() {
        let mut asked = 0;
        let answer = again(|| {
            asked += 1;
            Err(Errno::EINTR.into())
        });
        assert_eq!((answer, asked), (Err(Errno::EINTR), ATTEMPTS));
    }
}

//! The tables of legacy iptables, read from the kernel without any program. Nothing is written, and
//! looking makes no table.
#![allow(unsafe_code)]

mod blob;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::error::{Context, Error, Result};
use blob::Info;
pub use blob::{DroppedBy, Forward, Table};

/// `IPT_SO_GET_INFO` and `IPT_SO_GET_ENTRIES` (include/uapi/linux/netfilter_ipv4/ip_tables.h); IPv6's
/// have the same numbers and the same structures, struct ipt_getinfo and struct ipt_get_entries.
const GET_INFO: libc::c_int = 64;
const GET_ENTRIES: libc::c_int = 65;

/// `XT_TABLE_MAXNAMELEN`: both structures begin with the table's name, ended by a zero.
const NAME_LEN: usize = 32;
/// Where struct ipt_get_entries has the entries' size in bytes (u32), and then, aligned, the entries.
const SIZE_AT: usize = NAME_LEN;
const ENTRIES_AT: usize = (SIZE_AT + size_of::<u32>()).next_multiple_of(align_of::<u64>());

/// A table that is replaced while it is read is read again, so many times in all.
const TRIES: usize = 20;

/// The tables there are in this network namespace, IPv4's or IPv6's; none when the kernel has no
/// legacy iptables. Needs CAP_NET_ADMIN over the namespace, and to read a file of its root (0440): who
/// is not uid 0 needs CAP_DAC_READ_SEARCH too, and in a user namespace whose network namespace is older
/// than its uid map (`unshare -Un`, unprivileged) nobody can.
pub fn tables(ipv4: bool) -> Result<Vec<Table>> {
    let family = if ipv4 { &IPV4 } else { &IPV6 };
    // Only by names from here: the kernel makes (and loads) a table that is asked for and not there.
    let names = match std::fs::read_to_string(family.names) {
        Ok(names) => names,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(refused(Errno::try_from(e).unwrap_or(Errno::EIO))).context(family.names),
    };
    if names.is_empty() {
        return Ok(Vec::new());
    }
    // Any IP socket answers; a datagram one, other than a raw one, needs no CAP_NET_RAW.
    let socket = match socket(family.domain, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None) {
        Ok(socket) => socket,
        Err(Errno::EAFNOSUPPORT) => return Ok(Vec::new()),
        Err(e) => return Err(refused(e)).context("a socket for legacy iptables"),
    };
    let kernel = Kernel { socket, level: family.level };
    let read = |name: &str| kernel.table(name, ipv4).context(format!("legacy iptables table {name}"));
    names.lines().filter_map(|name| read(name).transpose()).collect()
}

struct Family {
    /// Which tables there are, one name a line; not there without the kernel's module.
    names: &'static str,
    domain: AddressFamily,
    level: libc::c_int,
}

const IPV4: Family =
    Family { names: "/proc/net/ip_tables_names", domain: AddressFamily::Inet, level: libc::IPPROTO_IP };
const IPV6: Family =
    Family { names: "/proc/net/ip6_tables_names", domain: AddressFamily::Inet6, level: libc::IPPROTO_IPV6 };

struct Kernel {
    socket: OwnedFd,
    level: libc::c_int,
}

impl Kernel {
    /// `None` when the table has gone since its name was read.
    fn table(&self, name: &str, ipv4: bool) -> Result<Option<Table>> {
        for _ in 0..TRIES {
            let read = self.info(name).and_then(|info| {
                let entries = self.entries(name, &info)?;
                // The entries of a table of the same size may have come in between.
                Ok((self.info(name)? == info).then_some((info, entries)))
            });
            match read {
                Ok(Some((info, entries))) => {
                    let table = blob::read(name, &info, &entries, ipv4);
                    return table.map(Some).ok_or_else(|| Error::failed("its rules are not understood"));
                }
                // EAGAIN: the size is no longer that of the info.
                Ok(None) | Err(Errno::EAGAIN) => {}
                Err(Errno::ENOENT | Errno::ENOPROTOOPT) => return Ok(None),
                Err(e) => return Err(refused(e)),
            }
        }
        Err(Error::failed("it changes all the time").meanwhile())
    }

    fn info(&self, name: &str) -> nix::Result<Info> {
        let mut bytes = named(name, Info::LEN)?;
        self.get(GET_INFO, &mut bytes)?;
        Info::parse(&bytes).ok_or(Errno::EPROTO)
    }

    fn entries(&self, name: &str, info: &Info) -> nix::Result<Vec<u8>> {
        let mut bytes = named(name, ENTRIES_AT + info.size as usize)?;
        bytes[SIZE_AT..SIZE_AT + 4].copy_from_slice(&info.size.to_ne_bytes());
        self.get(GET_ENTRIES, &mut bytes)?;
        Ok(bytes.split_off(ENTRIES_AT))
    }

    fn get(&self, option: libc::c_int, bytes: &mut [u8]) -> nix::Result<()> {
        let mut len = libc::socklen_t::try_from(bytes.len()).map_err(|_| Errno::EMSGSIZE)?;
        let (socket, to) = (self.socket.as_raw_fd(), bytes.as_mut_ptr().cast());
        // SAFETY: the kernel writes at most `len` bytes, which are those of `bytes`.
        let done = unsafe { libc::getsockopt(socket, self.level, option, to, &raw mut len) };
        Errno::result(done).map(drop)
    }
}

/// A structure of `len` bytes that begins with the table's name.
fn named(name: &str, len: usize) -> nix::Result<Vec<u8>> {
    if name.len() >= NAME_LEN {
        return Err(Errno::ENAMETOOLONG);
    }
    let mut bytes = vec![0; len];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Ok(bytes)
}

fn refused(error: Errno) -> Error {
    match error {
        Errno::EPERM | Errno::EACCES => {
            Error::failed(format!("{}: needs root (CAP_NET_ADMIN, CAP_DAC_READ_SEARCH)", error.desc()))
        }
        _ => error.into(),
    }
}

//! systemd's notification socket (sd_notify(3)): a datagram to `/path` or `@abstract`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket};

use crate::error::one_line;

static ADDRESS: OnceLock<String> = OnceLock::new();
static IS_READY: AtomicBool = AtomicBool::new(false);

/// The name of the variable, for `exec`, which hands it to the program that takes kboot's place.
pub const VARIABLE: &str = "NOTIFY_SOCKET";

/// Remembers the socket's address. `main` takes the variable out of the environment right after, so
/// that no child inherits it.
pub fn start(address: &str) {
    if !address.is_empty() {
        let _ = ADDRESS.set(address.to_owned());
    }
}

/// The address, for a program exec'd in kboot's place: READY is its to say, unless it has been said.
pub fn address() -> Option<&'static str> {
    ADDRESS.get().map(String::as_str).filter(|_| !IS_READY.load(Ordering::Relaxed))
}

/// Tells the service manager what is waited for, and that starting takes `extend` more (systemd 236
/// and later: otherwise TimeoutStartSec would end the wait). Without a manager: nothing.
pub fn waiting(status: &str, extend: std::time::Duration) {
    // It may quote what a server said, and each line of a message counts.
    send(&format!("STATUS={}\nEXTEND_TIMEOUT_USEC={}", one_line(status), extend.as_micros()));
}

/// Whether this is the process that systemd started, not one somewhere below it: a script of a service of another
/// name may run kboot long before that service is ready. SYSTEMD_EXEC_PID came with 248.
fn is_started_by_manager() -> bool {
    std::env::var("SYSTEMD_EXEC_PID")
        .map_or_else(|_| nix::unistd::getppid().as_raw() == 1, |pid| pid.parse() == Ok(std::process::id()))
}

/// Tells the service manager how a run ended: a unit of Type=notify is started once it hears READY=1. One that
/// has been ready long since is stopping.
pub fn ended(well: bool, status: &str) {
    if !IS_READY.load(Ordering::Relaxed) && is_started_by_manager() {
        send(&format!("{}STATUS={}", if well { "READY=1\n" } else { "" }, one_line(status)));
    }
}

/// Sends lines of sd_notify(3), such as `READY=1`. Without a manager: nothing.
pub fn send(message: &str) {
    if message.lines().any(|line| line == "READY=1") {
        IS_READY.store(true, Ordering::Relaxed);
    }
    let Some(address) = ADDRESS.get() else { return };
    let target = match address.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(address),
    };
    if let (Ok(target), Ok(socket)) = (target, UnixDatagram::unbound()) {
        let _ = socket.set_nonblocking(true);
        let _ = socket.send_to_addr(message.as_bytes(), &target);
    }
}

/// How often the manager wants to hear WATCHDOG=1 (sd_watchdog_enabled(3)): half of WATCHDOG_USEC, where
/// that is meant for this process.
pub fn watchdog() -> Option<std::time::Duration> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let is_ours = std::env::var_os("WATCHDOG_PID").is_none()
        || number("WATCHDOG_PID") == Some(std::process::id().into());
    let span = number("WATCHDOG_USEC").filter(|usec| *usec > 0 && is_ours && ADDRESS.get().is_some())?;
    Some(std::time::Duration::from_micros(span / 2))
}

/// The other end: where children say what they wait for.
pub struct Listener {
    socket: UnixDatagram,
    /// NOTIFY_SOCKET for them.
    pub address: String,
}

impl Listener {
    /// At an abstract address that the kernel chooses (autobind, unix(7)).
    pub fn open() -> Option<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Datagram, flags, None).ok()?;
        bind(fd.as_raw_fd(), &UnixAddr::new_unnamed()).ok()?;
        let socket = UnixDatagram::from(fd);
        let own = socket.local_addr().ok()?;
        let address = format!("@{}", std::str::from_utf8(own.as_abstract_name()?).ok()?);
        Some(Self { socket, address })
    }

    /// The last STATUS of a wait that has come; how a child ended is for others.
    pub fn status(&self) -> Option<String> {
        let (mut last, mut message) = (None, [0; 4096]);
        while let Ok(count) = self.socket.recv(&mut message) {
            let text = String::from_utf8_lossy(&message[..count]);
            if !text.contains("EXTEND_TIMEOUT_USEC=") {
                continue;
            }
            last = text.lines().find_map(|l| l.strip_prefix("STATUS=")).map(one_line).or(last);
        }
        last
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_status_is_heard() {
        let listener = Listener::open().unwrap();
        assert_eq!(listener.status(), None);
        start(&listener.address);
        waiting("a", std::time::Duration::from_secs(1));
        send("READY=1\nSTATUS=b");
        send("EXTEND_TIMEOUT_USEC=9\nSTATUS=waiting \tfor b");
        assert_eq!((listener.status().as_deref(), listener.status()), (Some("waiting for b"), None));
        // A server's words are one line: else it would say READY in kboot's name.
        waiting("NAK: no\nREADY=1\nMAINPID=1", std::time::Duration::from_secs(1));
        assert_eq!(listener.status().as_deref(), Some("NAK: no READY=1 MAINPID=1"));
    }
}

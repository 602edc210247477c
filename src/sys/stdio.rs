//! Descriptors 0 to 2, which a boot context may hand over closed, and writing to them.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU8, Ordering};

use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::stat::Mode;

use crate::error::{Context, Error, Result};

/// Bit N is set when descriptor N was closed when the process started.
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// The process's first act: notes which of descriptors 0 to 2 are closed and fills them, so that no
/// file or socket opened later becomes a standard stream. `/dev/null` if there is one; else `/`
/// opened with `O_PATH`, on which reads and writes fail as on a closed descriptor.
pub fn settle() {
    for fd in 0..=2 {
        // SAFETY: F_GETFD on a number that may not be open; no memory is involved.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } != -1 {
            continue;
        }
        CLOSED.fetch_or(1 << fd, Ordering::Relaxed);
        // SAFETY: constant C strings; the lowest free number is `fd`, since all below are open.
        unsafe {
            if libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) == -1 {
                libc::open(c"/".as_ptr(), libc::O_PATH);
            }
        }
    }
}

/// Fills those of descriptors 0 to 2 that were closed, or all of them, with the console. `false`: there is
/// none (console=null), and they stay as they are.
pub fn take_console(all: bool) -> bool {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let Ok(console) = nix::fcntl::open(c"/dev/console", flags, Mode::empty()) else { return false };
    for fd in 0..=2 {
        if all || was_closed(fd) {
            // SAFETY: a copy onto a number that `settle` filled.
            unsafe { libc::dup2(console.as_raw_fd(), fd.into()) };
        }
    }
    CLOSED.store(0, Ordering::Relaxed);
    true
}

/// Whether stderr is the console, where the kernel's own lines stand too (device 5:1).
pub fn is_console() -> bool {
    !was_closed(2) && nix::sys::stat::fstat(io::stderr()).is_ok_and(|s| s.st_rdev == libc::makedev(5, 1))
}

/// Whether stderr is a terminal.
pub fn is_terminal() -> bool {
    !was_closed(2) && io::IsTerminal::is_terminal(&io::stderr())
}

/// Whether stdout (1) or stderr (2) is a terminal that shows colours, and whoever sits there wants them
/// (no-color.org). Not the console of a boot, whose lines others read too.
pub fn is_coloured(fd: u8) -> bool {
    let is_terminal = match fd {
        1 => !was_closed(1) && io::IsTerminal::is_terminal(&io::stdout()),
        _ => is_terminal() && !is_console(),
    };
    is_terminal && can_erase() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Whether the terminal knows more than lines.
pub fn can_erase() -> bool {
    std::env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb")
}

/// Whether descriptor `fd` (0 to 2) was closed when the process started.
pub fn was_closed(fd: u8) -> bool {
    CLOSED.load(Ordering::Relaxed) & (1 << fd) != 0
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> nix::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(fd, bytes) {
            Ok(0) => return Err(nix::Error::EIO),
            Ok(n) => bytes = &bytes[n..],
            Err(nix::Error::EINTR) => {}
            // A console in non-blocking mode (set by whoever shares it): wait until it takes more.
            Err(nix::Error::EAGAIN) => {
                let mut fds = [nix::poll::PollFd::new(fd, nix::poll::PollFlags::POLLOUT)];
                nix::poll::poll(&mut fds, nix::poll::PollTimeout::NONE)?;
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Writes data to stdout. A reader that went away (EPIPE) ends it quietly; a stdout that was closed,
/// or a full disk, is an error: what was asked for did not get out.
pub fn out(text: &str) -> Result<()> {
    if was_closed(1) {
        return Err(Error::failed("stdout: it is closed"));
    }
    match write_all(io::stdout().as_fd(), text.as_bytes()) {
        Ok(()) | Err(nix::Error::EPIPE) => Ok(()),
        Err(e) => Err(e).context("stdout"),
    }
}

/// Writes a line to stderr in one piece; what cannot be written is dropped.
pub fn err_line(line: &str) {
    err(&format!("{line}\n"));
}

/// Writes to stderr as it is.
pub fn err(text: &str) {
    let _ = write_all(io::stderr().as_fd(), text.as_bytes());
}

/// How many columns the terminal has that a stream is; `None` where it is none, or does not say.
pub fn columns(stream: &impl AsFd) -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    let fd = stream.as_fd().as_raw_fd();
    // SAFETY: TIOCGWINSZ fills in the one structure that it is given.
    let is_known = unsafe { libc::ioctl(fd, libc::TIOCGWINSZ, &raw mut size) } == 0;
    Some(usize::from(size.ws_col)).filter(|columns| is_known && *columns > 0)
}

static ARGV0: std::sync::OnceLock<std::ffi::OsString> = std::sync::OnceLock::new();

/// Remembers argv[0], for hosts without /proc.
pub fn set_argv0(argv0: Option<&std::ffi::OsString>) {
    if let Some(argv0) = argv0 {
        let _ = ARGV0.set(argv0.clone());
    }
}

/// argv[0], if the process has one.
pub fn argv0() -> Option<&'static std::ffi::OsString> {
    ARGV0.get()
}

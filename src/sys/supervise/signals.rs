use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::error::{Context, Result};
use crate::sys::child;

/// What is handed on to the program.
const HANDED_ON: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// Signals as something to read. They stay blocked: so PID 1, for which the kernel drops those at their
/// default, gets them too, and so do those that a shell started kboot with ignored (`kboot &`).
pub struct Signals(SignalFd);

impl Signals {
    /// From here on none of them ends kboot.
    pub fn take() -> Result<Self> {
        let mut set = SigSet::empty();
        HANDED_ON.into_iter().chain([Signal::SIGCHLD]).for_each(|signal| set.add(signal));
        set.thread_block().context("signals")?;
        // Ignored, the kernel would reap by itself, and the exit status would be lost.
        child::default_signal(libc::SIGCHLD);
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC);
        Ok(Self(fd.context("signalfd")?))
    }

    /// Sleeps until a signal comes, or until then.
    pub fn wait(&self, until: Option<Instant>) {
        let left = until.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
        // One more than the rounded-down milliseconds: never a busy loop at the end.
        let millis = if left.is_zero() { 0 } else { left.as_millis() + 1 };
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, PollTimeout::from(u16::try_from(millis).unwrap_or(u16::MAX)));
    }

    /// The next that has come and is to be handed on.
    pub fn next(&self) -> Option<Signal> {
        while let Ok(Some(info)) = self.0.read_signal() {
            let signal = i32::try_from(info.ssi_signo).ok().and_then(|n| Signal::try_from(n).ok());
            if let Some(signal) = signal.filter(|s| *s != Signal::SIGCHLD) {
                return Some(signal);
            }
        }
        None
    }
}

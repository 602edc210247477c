use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::error::{Context, Result};
use crate::sys::child;

/// Signals as something to read. They stay blocked: so PID 1, for which the kernel drops those at their
/// default, gets them too, and so do those that a shell started kboot with ignored (`kboot &`).
pub struct Signals(SignalFd);

impl Signals {
    /// From here on none of these ends kboot; SIGCHLD is taken besides.
    pub fn take(signals: &[Signal]) -> Result<Self> {
        let mut set = SigSet::empty();
        signals.iter().chain([&Signal::SIGCHLD]).for_each(|signal| set.add(*signal));
        set.thread_block().context("signals")?;
        // Ignored, the kernel would reap by itself, and the exit status would be lost.
        child::default_signal(libc::SIGCHLD);
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC);
        Ok(Self(fd.context("signalfd")?))
    }

    /// Sleeps until a signal comes, one of the others has something to read, or until then.
    pub fn wait(&self, until: Option<Instant>, others: &[BorrowedFd<'_>]) {
        let left = until.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
        // One more than the rounded-down milliseconds: never a busy loop at the end.
        let millis = if left.is_zero() { 0 } else { left.as_millis() + 1 };
        let all = std::iter::once(self.0.as_fd()).chain(others.iter().copied());
        let mut fds: Vec<PollFd<'_>> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let _ = poll(&mut fds, PollTimeout::from(u16::try_from(millis).unwrap_or(u16::MAX)));
    }

    /// The next that has come, but for SIGCHLD.
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

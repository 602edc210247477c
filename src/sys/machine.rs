//! The machine as PID 1 has it: whether it is one, restarting it, turning it off.

use std::os::unix::fs::MetadataExt;

use nix::sys::reboot::{RebootMode, reboot, set_cad_enabled};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, sync};

use crate::error::Error;
use crate::sys::mount;

/// PROC_PID_INIT_INO (linux/proc_ns.h): the first pid namespace's number, the same on every kernel.
const FIRST_PIDS: u64 = 0xefff_fffc;

/// How it shall end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `reboot`.
    Restart,
    /// `poweroff`.
    PowerOff,
}

/// Whether this process is PID 1.
pub fn is_first() -> bool {
    std::process::id() == 1
}

/// Whether this process sees all of a machine, not a container's part of it. Without /proc nobody can say:
/// then it is a machine, whose kernel has just started.
pub fn is_whole() -> bool {
    std::fs::metadata("/proc/self/ns/pid").map_or(true, |m| m.ino() == FIRST_PIDS)
}

/// Ctrl-Alt-Del comes as SIGINT from now on, instead of restarting at once.
pub fn take_ctrl_alt_del() {
    let _ = set_cad_enabled(false);
}

/// Sends a signal to every process that there is, but for PID 1.
pub fn signal_all(signal: Signal) {
    let _ = kill(Pid::from_raw(-1), signal);
}

/// Writes out what is not on disks yet, unmounts, and ends the machine. Returns only when that failed.
pub fn end(how: End) -> Error {
    sync();
    mount::unmount_all();
    sync();
    let mode = match how {
        End::Restart => RebootMode::RB_AUTOBOOT,
        End::PowerOff => RebootMode::RB_POWER_OFF,
    };
    match reboot(mode) {
        Err(errno) => Error::from(errno),
        Ok(never) => match never {},
    }
}

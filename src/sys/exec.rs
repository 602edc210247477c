//! Other programs: finding them, running a short one, becoming one.
#![allow(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};

use crate::error::{Error, Exit, Result, io_text};
use crate::sys::notify;

/// What PATH is when the kernel or an init gave none: where boot programs live.
pub const DEFAULT_PATH: &str = "/sbin:/usr/sbin:/bin:/usr/bin";

/// Finds a program as execvp does, but says which of the two it is: 127 not there, 126 not
/// executable. A name with a slash is taken as it is.
pub fn find(program: &str) -> Result<PathBuf> {
    let not_found = || Error::new(Exit::NotFound, format!("{program}: no such program"));
    if program.is_empty() {
        return Err(not_found());
    }
    let path = std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned());
    let candidates: Vec<PathBuf> = if program.contains('/') {
        vec![PathBuf::from(program)]
    } else {
        path.split(':').filter(|d| !d.is_empty()).map(|d| Path::new(d).join(program)).collect()
    };
    let mut blocked = None;
    for candidate in candidates {
        match candidate.metadata() {
            Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => return Ok(candidate),
            Ok(_) => blocked = Some(candidate),
            Err(_) => {}
        }
    }
    Err(match blocked {
        Some(path) => {
            Error::new(Exit::NotExecutable, format!("{}: is not an executable file", path.display()))
        }
        None => not_found(),
    })
}

/// What a short-lived program printed.
pub struct Output {
    /// Its exit status, `None` when a signal ended it.
    pub status: Option<i32>,
    /// Its stdout, up to 64 KiB.
    pub stdout: String,
}

/// Runs a program that answers and ends, such as `kubelet --version`; killed when it takes longer
/// than `longest`. It gets no stdin and its stderr is dropped.
pub fn ask(program: &Path, args: &[&str], longest: Duration) -> Result<Output> {
    let shown = format!("{} {}", program.display(), args.join(" "));
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| Error::new(exit_of(&e), format!("{shown}: {}", io_text(&e))))?;
    let end = Instant::now() + longest;
    let answer = read_until(&mut child, end).and_then(|text| Some((text, wait_until(&mut child, end)?)));
    let Some((stdout, status)) = answer else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(Error::deadline(format!("{shown}: no answer within {} ms", longest.as_millis())));
    };
    Ok(Output { status: status.code(), stdout })
}

/// Runs a program that may take long and must not be cut short (an init script between stop and start):
/// nothing of it is read, and when the time is over it is left running. Its exit status.
pub fn run(program: &Path, args: &[&str], longest: Duration) -> Result<Option<i32>> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| Error::new(exit_of(&e), io_text(&e)))?;
    match wait_until(&mut child, Instant::now() + longest) {
        Some(status) => Ok(status.code()),
        None => Err(Error::deadline(format!("not done within {} s, and left running", longest.as_secs()))),
    }
}

/// What the child prints until it closes its stdout; `None` when the time is over before.
fn read_until(child: &mut Child, end: Instant) -> Option<String> {
    let mut bytes = Vec::new();
    let mut pipe = child.stdout.take()?;
    while bytes.len() < 1 << 16 {
        let left = end.saturating_duration_since(Instant::now()).as_millis() + 1;
        let left = PollTimeout::from(u16::try_from(left).unwrap_or(u16::MAX));
        let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, left) == Ok(0) {
            return None;
        }
        let mut chunk = [0; 4096];
        match pipe.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn wait_until(child: &mut Child, end: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < end => {
                let _ = poll(&mut [], PollTimeout::from(5u8));
            }
            _ => return None,
        }
    }
}

fn exit_of(error: &std::io::Error) -> Exit {
    if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::NotExecutable }
}

/// Becomes another program; returns only when that failed. It gets default signal dispositions, an
/// empty signal mask, descriptors 0 to 2 (and those of systemd's socket activation) and no others,
/// the environment without the variables of `unset` and with those of `env`, and NOTIFY_SOCKET if kboot
/// was given one.
pub fn exec(
    program: &str,
    args: &[String],
    unset: impl Iterator<Item = &'static str>,
    env: &[(String, String)],
) -> Error {
    let path = match find(program) {
        Ok(path) => path,
        Err(error) => return error,
    };
    let mut command = Command::new(&path);
    command.arg0(OsStr::new(program)).args(args);
    unset.for_each(|name| {
        command.env_remove(name);
    });
    command.envs(env.iter().map(|(k, v)| (OsString::from(k), OsString::from(v))));
    if let Some(address) = notify::address() {
        command.env(notify::VARIABLE, address);
    }
    default_signals();
    close_on_exec(first_stray_descriptor());
    let error = command.exec();
    Error::new(exit_of(&error), format!("{}: {}", path.display(), io_text(&error)))
}

/// By the system call itself: the C libraries keep a few signals to themselves (32 to 34), and those
/// too may come ignored from whoever started the boot.
fn default_signals() {
    // SIG_DFL, no flags, an empty mask: all zero, whatever the machine's order of the fields.
    let default = [0u64; 4];
    for signal in 1..=64 {
        // SAFETY: reads 32 bytes at most of `default`; SIGKILL and SIGSTOP give EINVAL.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), 0usize, 8usize) };
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}

/// systemd passes sockets from descriptor 3 on to the process LISTEN_PID, which an exec stays.
fn first_stray_descriptor() -> u32 {
    let number = |name| std::env::var(name).ok().and_then(|v| v.parse::<u32>().ok());
    match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (Some(pid), Some(count)) if pid == std::process::id() => 3 + count.min(1024),
        _ => 3,
    }
}

fn close_on_exec(first: u32) {
    // SAFETY: marks descriptors only; nothing is closed while this program still runs.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 {
        return;
    }
    // Before Linux 5.11: the first 4096 numbers, which is more than a boot context ever opens.
    for fd in first..4096 {
        // SAFETY: as above; a number that is not open gives EBADF.
        unsafe { libc::fcntl(fd.cast_signed(), libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

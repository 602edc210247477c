//! What a program gets that takes kboot's place or is started by it: limits, signals, descriptors.
#![allow(unsafe_code)]

use std::io;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::stat::Mode;

use crate::error::Error;

/// Process settings; of what is `None` the program gets what kboot was given.
#[derive(Clone, Copy, Default, Debug)]
pub struct Settings {
    /// RLIMIT_NOFILE, soft and hard.
    pub nofile: Option<u64>,
    /// /proc/self/oom_score_adj, -1000 to 1000 (proc(5)).
    pub oom_score_adj: Option<i32>,
    /// The nice value, -20 to 19 (setpriority(2)).
    pub nice: Option<i32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Setting {
    Nofile = 1,
    OomScoreAdj = 2,
    Nice = 3,
    Parent = 4,
}

/// A setting that the kernel refused.
#[derive(Debug)]
pub struct Refused(Setting, Errno);

impl Settings {
    /// Sets them for this process. Nothing is allocated: it may run between fork and exec.
    pub fn apply(&self) -> Result<(), Refused> {
        let refused = |setting| move |errno| Refused(setting, errno);
        if let Some(count) = self.nofile {
            setrlimit(Resource::RLIMIT_NOFILE, count, count).map_err(refused(Setting::Nofile))?;
        }
        if let Some(points) = self.oom_score_adj {
            write_oom_score_adj(points).map_err(refused(Setting::OomScoreAdj))?;
        }
        if let Some(nice) = self.nice {
            // SAFETY: numbers only; 0 is this process.
            let done = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
            Errno::result(done).map_err(refused(Setting::Nice))?;
        }
        Ok(())
    }
}

fn write_oom_score_adj(points: i32) -> nix::Result<()> {
    use io::Write;
    let mut text = [0; 12];
    let mut rest = &mut text[..];
    let _ = write!(rest, "{points}");
    let length = 12 - rest.len();
    let file = open(c"/proc/self/oom_score_adj", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    nix::unistd::write(file, &text[..length]).map(|_| ())
}

impl Refused {
    /// From what `Command::spawn` gives back of an error of `prepare`: an error's number is all that comes
    /// from the child, so it carries both, the setting above the kernel's own 12 bits.
    pub fn from_child(error: &io::Error) -> Option<Self> {
        let number = error.raw_os_error()?;
        let settings = [Setting::Nofile, Setting::OomScoreAdj, Setting::Nice, Setting::Parent];
        let setting = settings.into_iter().find(|s| *s as i32 == number >> 12)?;
        Some(Self(setting, Errno::from_raw(number & 0xfff)))
    }

    fn for_parent(&self) -> io::Error {
        io::Error::from_raw_os_error((self.0 as i32) << 12 | self.1 as i32)
    }

    /// In words: exit 1.
    pub fn error(&self, settings: &Settings) -> Error {
        let why = self.1.desc();
        let number = |n: Option<i32>| n.unwrap_or_default();
        Error::failed(match (self.0, self.1) {
            (Setting::Nofile, _) => nofile_text(settings.nofile.unwrap_or_default(), why),
            (Setting::OomScoreAdj, Errno::ENOENT) => "oom_score_adj: /proc is not mounted".to_owned(),
            (Setting::OomScoreAdj, Errno::EACCES | Errno::EPERM) => format!(
                "oom_score_adj {}: {why}: it takes CAP_SYS_RESOURCE to make it lower",
                number(settings.oom_score_adj)
            ),
            (Setting::OomScoreAdj, _) => format!("oom_score_adj {}: {why}", number(settings.oom_score_adj)),
            (Setting::Nice, _) => {
                format!("nice {}: {why}: it takes CAP_SYS_NICE to make it lower", number(settings.nice))
            }
            (Setting::Parent, _) => "kboot was killed meanwhile".to_owned(),
        })
    }
}

fn nofile_text(count: u64, why: &str) -> String {
    let most =
        std::fs::read_to_string("/proc/sys/fs/nr_open").ok().and_then(|t| t.trim().parse::<u64>().ok());
    let hard = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(_, hard)| hard);
    match most.filter(|most| count > *most) {
        Some(most) => format!("nofile {count}: {why}: the kernel's own limit, fs.nr_open, is {most}"),
        None => format!("nofile {count}: {why}: it takes CAP_SYS_RESOURCE to go above {hard}"),
    }
}

/// What a child does between fork and exec: settings, its end with kboot's, signals, descriptors.
pub fn prepare(settings: &Settings, parent: u32) -> io::Result<()> {
    settings.apply().map_err(|refused| refused.for_parent())?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // Had kboot ended before that, nobody would tell.
    if nix::unistd::getppid().as_raw().cast_unsigned() != parent {
        return Err(Refused(Setting::Parent, Errno::ESRCH).for_parent());
    }
    default_signals();
    close_on_exec(3);
    Ok(())
}

/// Makes this process, between fork and exec, the leader of a session that has stdin as its terminal. Where
/// stdin is none it goes on without.
pub fn lead_terminal() -> io::Result<()> {
    nix::unistd::setsid()?;
    // SAFETY: numbers only. 1: it is taken away from another session, of which nobody is left at a boot.
    unsafe { libc::ioctl(0, libc::TIOCSCTTY, 1) };
    Ok(())
}

/// By the system call itself: the C libraries keep a few signals to themselves (32 to 34), and those
/// too may come ignored from whoever started the boot.
pub fn default_signals() {
    for signal in 1..=64 {
        default_signal(signal);
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}

/// The default disposition of one signal, by its number.
pub fn default_signal(signal: i32) {
    // SIG_DFL, no flags, an empty mask: all zero, whatever the machine's order of the fields.
    let default = [0u64; 4];
    // SAFETY: reads 32 bytes at most of `default`; SIGKILL and SIGSTOP give EINVAL.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), 0usize, 8usize) };
}

/// systemd passes sockets from descriptor 3 on to the process LISTEN_PID, which an exec stays.
pub fn first_stray_descriptor() -> u32 {
    let number = |name| std::env::var(name).ok().and_then(|v| v.parse::<u32>().ok());
    match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (Some(pid), Some(count)) if pid == std::process::id() => 3 + count.min(1024),
        _ => 3,
    }
}

/// Keeps descriptors from this number on from the program.
pub fn close_on_exec(first: u32) {
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

/// A child that has ended, and its wait status; `None` while none has. Not nix's: that one does not know
/// the real-time signals, and with them loses the pid.
pub fn reap() -> Option<(i32, std::process::ExitStatus)> {
    let mut status = 0;
    // SAFETY: writes one number.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    (pid > 0).then(|| (pid, std::os::unix::process::ExitStatusExt::from_raw(status)))
}

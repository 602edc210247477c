//! `--restart`: docker reads its options when it starts, and never again.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::applet;
use crate::applet::report::{Report, Step};
use crate::client::docker;
use crate::error::{Context, Error, Result};
use crate::plan::docker::is_dockerd;
use crate::sys::process::command_line;
use crate::sys::wait::{Deadline, Retry, retry_every};
use crate::sys::{exec, run_dir};

/// A restart that is due: it outlives a kboot that is killed between the file and the restart.
const DUE: &str = "docker-restart";
const INIT_SCRIPT: &str = "/etc/init.d/docker";
/// docker gives its containers 10 s each to end.
const LONGEST: Duration = Duration::from_mins(10);

/// By whom docker is restarted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// systemd if it runs, else the init script.
    Auto,
    /// `systemctl`.
    Systemd,
    /// systemd, if docker runs, once what docker waits for is done: for a unit that docker waits for.
    Queue,
    /// /etc/init.d/docker.
    Sysv,
    /// This process is ended, and whoever looks after it starts it again.
    Pid(i32),
}

impl argh::FromArgValue for How {
    fn from_arg_value(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "systemd" => Ok(Self::Systemd),
            "queue" => Ok(Self::Queue),
            "sysv" => Ok(Self::Sysv),
            pid => match pid.parse::<i32>() {
                Ok(pid) if pid > 1 => Ok(Self::Pid(pid)),
                _ => Err("is none of auto, systemd, queue, sysv and a pid".into()),
            },
        }
    }
}

/// What is run, or ended.
struct Restart {
    line: String,
}

impl std::fmt::Display for Restart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.line)
    }
}

impl Step for Restart {
    fn kind(&self) -> &'static str {
        "service"
    }
}

impl How {
    /// Whether it can be done here; exit 2 if not.
    pub fn check(self) -> Result<()> {
        let Self::Pid(pid) = self else { return self.settled().map(drop) };
        let words = command_line(pid);
        match words.first().map(|w| w.rsplit('/').next().unwrap_or_default()) {
            _ if is_dockerd(&words) => Ok(()),
            // An earlier run ended it, and did not see it come back: `run` waits for that.
            None if is_due() => Ok(()),
            None => Err(Error::usage(format!("--restart {pid}: there is no such process"))),
            Some(other) => Err(Error::usage(format!("--restart {pid}: is {other}, not dockerd"))),
        }
    }

    /// Whether systemd starts docker again, so that its unit counts.
    pub fn is_by_systemd(self) -> bool {
        self.settled().is_ok_and(|how| matches!(how, Self::Systemd | Self::Queue))
    }

    fn settled(self) -> Result<Self> {
        let has_systemd = Path::new("/run/systemd/system").is_dir();
        let has_script = Path::new(INIT_SCRIPT).exists();
        match self {
            Self::Auto | Self::Systemd if has_systemd => Ok(Self::Systemd),
            Self::Queue if has_systemd => Ok(Self::Queue),
            Self::Auto | Self::Sysv if has_script => Ok(Self::Sysv),
            Self::Auto => Err(Error::usage(format!(
                "--restart auto: neither systemd runs nor is there an {INIT_SCRIPT}: give dockerd's pid"
            ))),
            Self::Systemd => Err(Error::usage("--restart systemd: it does not run here")),
            Self::Queue => Err(Error::usage("--restart queue: systemd does not run here")),
            Self::Sysv => Err(Error::usage(format!("--restart sysv: there is no {INIT_SCRIPT}"))),
            pid @ Self::Pid(_) => Ok(pid),
        }
    }

    fn steps(self) -> Vec<Restart> {
        let lines = match self {
            Self::Sysv => vec![format!("{INIT_SCRIPT} restart")],
            Self::Pid(pid) => vec![format!("kill {pid}")],
            _ => {
                let verb = if self == Self::Queue { "--no-block try-restart" } else { "restart" };
                vec!["systemctl daemon-reload".to_owned(), format!("systemctl {verb} docker.service")]
            }
        };
        lines.into_iter().map(|line| Restart { line }).collect()
    }
}

/// Notes that a restart is due, before the first file is written.
pub fn remember(report: &Report) -> Result<()> {
    if report.dry_run { Ok(()) } else { run_dir::write(DUE, "").context("--restart") }
}

/// Whether an earlier run left one undone.
pub fn is_due() -> bool {
    run_dir::read(DUE).is_some()
}

/// Restarts docker and waits until it answers; `has_changed`: this run changed
/// its settings; `socket` is where they say that it listens.
pub fn run(
    how: How,
    has_changed: bool,
    socket: Option<&str>,
    deadline: &Deadline,
    report: &mut Report,
) -> Result<()> {
    let how = how.settled()?;
    let url = applet::docker::host(socket)?;
    report.carry_out(&how.steps(), |step| match how {
        How::Pid(pid) => end(pid, has_changed, deadline),
        _ => call(&step.line, deadline),
    })?;
    if report.dry_run {
        return Ok(());
    }
    if how != How::Queue {
        docker::wait_until_it_answers(&url, deadline)
            .context("docker has not come back with its new settings")?;
    }
    run_dir::remove(DUE)
}

fn call(line: &str, deadline: &Deadline) -> Result<()> {
    let mut words = line.split(' ');
    let program = exec::find(words.next().unwrap_or_default())?;
    let args: Vec<&str> = words.collect();
    match exec::run(&program, &args, deadline.attempt(LONGEST))? {
        Some(0) => Ok(()),
        // Debian's init script restarts only a docker that it has started.
        Some(code) => Err(Error::failed(format!("exit status {code}: docker's own log tells why"))),
        None => Err(Error::failed("it was ended by a signal")),
    }
}

/// Ends a dockerd and waits until it is gone: its successor has to be another one.
fn end(pid: i32, is_new: bool, deadline: &Deadline) -> Result<()> {
    // Much may have happened since it was looked at: the pid may be another's by now.
    How::Pid(pid).check()?;
    if is_new && command_line(pid).is_empty() {
        let why = "there is no such process (any more): give the pid of the dockerd that runs";
        return Err(Error::failed(why));
    }
    match kill(Pid::from_raw(pid), Signal::SIGTERM) {
        Ok(()) | Err(nix::Error::ESRCH) => {}
        Err(e) => return Err(Error::failed(e.desc())),
    }
    retry_every(deadline, &format!("the end of process {pid}"), Duration::from_millis(200), || {
        // An ended process that nobody has waited for has no exe.
        if Path::new(&format!("/proc/{pid}/exe")).read_link().is_err() {
            return Ok(());
        }
        Err(Retry::Later { why: "it still runs".into(), after: None })
    })
}

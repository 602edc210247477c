//! A program that is kept running, for hosts with no service manager: signals are handed on to it, what
//! it leaves behind is reaped, and it is started again until kboot is asked to stop. One thread, which
//! sleeps in poll.

pub mod crew;
mod health;
mod pause;
mod signals;

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::{Error, Result};
use crate::sys::child::{self, Settings};
use crate::sys::exec::{self, Environment};
use crate::sys::{clock, log, notify, timeline};
use crate::types::{Timeout, Url};
use health::Health;
use pause::Pauses;
use signals::Signals;

/// How long a killed program may take to be gone: one that hangs in the kernel (a dead NFS server) may never.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// What is handed on to the program.
const HANDED_ON: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// What is kept running, and how.
pub struct Program {
    /// What the log calls it: `the kubelet`.
    pub what: &'static str,
    /// Its name or path; looked for anew at each start.
    pub program: String,
    /// The words behind its name.
    pub args: Vec<String>,
    /// Its variables, all of them.
    pub environment: Environment,
    /// Limits and priorities, for it alone.
    pub settings: Settings,
    /// How long it may take to end after SIGTERM, before SIGKILL.
    pub stop_timeout: Timeout,
    /// Where it says that it is well; `None`: it is as long as it runs.
    pub healthz: Option<Url>,
}

enum State {
    Running { pid: i32, since: Instant },
    Pausing { until: Instant },
    Over,
}

struct Stop {
    signal: Signal,
    asked: Instant,
    /// When to do more.
    then: Option<Instant>,
    is_killed: bool,
}

struct Supervisor {
    program: Program,
    signals: Signals,
    health: Health,
    pauses: Pauses,
    state: State,
    stop: Option<Stop>,
    is_ready: bool,
    /// The exit status of the last run.
    code: u8,
}

/// Runs the program until SIGTERM or SIGINT comes; gives back its exit status. A program that cannot be
/// started the first time is an error (126, 127, or 1 for refused settings). Later it is tried again, as
/// after any other end, exit status 0 among them: while it is being replaced it may be missing.
pub fn run(program: Program) -> Result<u8> {
    let signals = Signals::take(&HANDED_ON)?;
    // Before Linux 3.4 orphans go to PID 1, as they always did.
    let _ = prctl::set_child_subreaper(true);
    let health = Health::at(program.healthz.as_ref())?;
    let state = State::Over;
    let pauses = Pauses::new();
    let mut own =
        Supervisor { program, signals, health, pauses, state, stop: None, is_ready: false, code: 0 };
    own.start()?;
    timeline::leave(&format!("{} is started", own.program.what));
    loop {
        own.reap();
        own.do_what_is_due()?;
        if matches!(own.state, State::Over) {
            return Ok(own.code);
        }
        own.signals.wait(own.next_due(), &[]);
        while let Some(signal) = own.signals.next() {
            own.take(signal);
        }
    }
}

impl Supervisor {
    fn start(&mut self) -> Result<()> {
        self.health.begin();
        let Program { what, program, args, environment, settings, .. } = &self.program;
        let pid = exec::start(program, args, environment.clone(), settings)?;
        log::info!("{what} is started (pid {pid})");
        notify::send(&format!("STATUS={what} is started (pid {pid})"));
        self.state = State::Running { pid, since: Instant::now() };
        Ok(())
    }

    /// Every child that has ended: the program, and orphans, whose parent kboot has become.
    fn reap(&mut self) {
        while let Some((ended, status)) = child::reap() {
            match self.state {
                State::Running { pid, since } if pid == ended => self.ended(pid, since, status),
                _ => log::debug!("reaped an orphan (pid {ended}), which {}", in_words(status)),
            }
        }
    }

    fn ended(&mut self, pid: i32, since: Instant, status: ExitStatus) {
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
        self.code = u8::try_from(code).unwrap_or(u8::MAX);
        let what = format!("{} (pid {pid}) {}", self.program.what, in_words(status));
        if let Some(stop) = &self.stop {
            log::info!("{what}, {} after {}", seconds(stop.asked.elapsed()), stop.signal);
            self.state = State::Over;
        } else {
            self.pause(&format!("{what} after {}", seconds(since.elapsed())));
        }
    }

    fn pause(&mut self, why: &str) {
        let span = self.pauses.after(self.health.well_for()) / 2;
        let pause = span + clock::jitter(span);
        let text = format!("{why}: it is started again in {}", seconds(pause));
        log::warning!("{text}");
        notify::send(&format!("STATUS={text}"));
        self.state = State::Pausing { until: Instant::now() + pause };
    }

    fn do_what_is_due(&mut self) -> Result<()> {
        if self.next_due().is_none_or(|at| at > Instant::now()) {
            return Ok(());
        }
        match (&self.state, &mut self.stop) {
            (State::Running { pid, .. }, Some(stop)) if stop.is_killed => Err(Error::failed(format!(
                "{} (pid {pid}) does not end, even by SIGKILL: it hangs in the kernel (/proc/{pid}/stack)",
                self.program.what
            ))),
            (State::Running { .. }, Some(_)) => {
                self.kill();
                Ok(())
            }
            (State::Running { .. }, None) => {
                if self.health.look(self.program.what) {
                    self.say_well();
                }
                Ok(())
            }
            (State::Pausing { .. }, _) => {
                if let Err(error) = self.start() {
                    self.pause(&error.to_string());
                }
                Ok(())
            }
            (State::Over, _) => Ok(()),
        }
    }

    fn next_due(&self) -> Option<Instant> {
        match (&self.state, &self.stop) {
            (State::Running { .. }, Some(stop)) => stop.then,
            (State::Running { .. }, None) => Some(self.health.next),
            (State::Pausing { until }, _) => Some(*until),
            (State::Over, _) => None,
        }
    }

    fn say_well(&mut self) {
        let State::Running { pid, .. } = self.state else { return };
        let ready = if self.is_ready { "" } else { "READY=1\n" };
        notify::send(&format!("{ready}STATUS={} runs (pid {pid})", self.program.what));
        self.is_ready = true;
    }

    /// A signal has come. TERM and INT stop the program and kboot; the others are the program's to know.
    fn take(&mut self, signal: Signal) {
        let what = self.program.what;
        let stops = matches!(signal, Signal::SIGTERM | Signal::SIGINT);
        match (&self.state, &self.stop) {
            (State::Running { .. }, Some(stop)) if stops && !stop.is_killed => {
                log::info!("{signal} again");
                self.kill();
            }
            (State::Running { pid, .. }, None) if stops => {
                let then = match self.program.stop_timeout {
                    Timeout::Once => Some(Instant::now()),
                    Timeout::After(span) => Some(Instant::now() + span),
                    Timeout::Forever => None,
                };
                log::info!("{signal}: stopping {what} (pid {pid})");
                notify::send(&format!("STOPPING=1\nSTATUS=stopping {what} (pid {pid})"));
                let _ = kill(Pid::from_raw(*pid), signal);
                self.stop = Some(Stop { signal, asked: Instant::now(), then, is_killed: false });
            }
            (State::Running { pid, .. }, _) if !stops => {
                log::info!("{signal}: handed on to {what} (pid {pid})");
                let _ = kill(Pid::from_raw(*pid), signal);
            }
            (State::Pausing { .. }, _) if stops => {
                log::info!("{signal}: {what} is not started again");
                notify::send("STOPPING=1");
                self.state = State::Over;
            }
            _ => log::debug!("{signal}: {what} does not run"),
        }
    }

    fn kill(&mut self) {
        if let (State::Running { pid, .. }, Some(stop)) = (&self.state, &mut self.stop) {
            log::warning!(
                "{} (pid {pid}) runs {} after {}: SIGKILL",
                self.program.what,
                seconds(stop.asked.elapsed()),
                stop.signal
            );
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            (stop.is_killed, stop.then) = (true, Some(Instant::now() + GONE_WITHIN));
        }
    }
}

/// In tenths of a second. Rust's own way of printing fractions makes the binary 16 KB larger.
fn seconds(span: Duration) -> String {
    format!("{}.{} s", span.as_secs(), span.subsec_millis() / 100)
}

/// How a program ended.
pub fn in_words(status: ExitStatus) -> String {
    let Some(signal) = status.signal() else {
        return format!("exited with status {}", status.code().unwrap_or_default());
    };
    let name = Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |s| s.to_string());
    format!("was killed by {name}{}", if status.core_dumped() { " (core dumped)" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_in_words() {
        for (raw, words) in [
            (0, "exited with status 0"),
            (255 << 8, "exited with status 255"),
            (9, "was killed by SIGKILL"),
            (0x8b, "was killed by SIGSEGV (core dumped)"),
            (40, "was killed by signal 40"),
        ] {
            assert_eq!(in_words(ExitStatus::from_raw(raw)), words);
        }
    }
}

//! Several programs beside each other: some run once, some are kept running. What they write, how they
//! end, and signals come as events; one thread sleeps in poll.

use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::pause::Pauses;
use super::signals::Signals;
use super::{GONE_WITHIN, in_words, seconds};
use crate::error::Result;
use crate::sys::child::{self, Settings};
use crate::sys::exec::{self, Environment, Launch};
use crate::sys::lines::Lines;
use crate::sys::{clock, notify};

/// How long a program may take to end after SIGTERM, before SIGKILL.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// The same for what is left when all that was started here is gone.
const REST_WITHIN: Duration = Duration::from_secs(3);

/// What is run.
pub struct Job {
    /// An applet's name, or a program's path.
    pub name: String,
    /// The words behind it.
    pub args: Vec<String>,
    /// Its variables, all of them.
    pub environment: Environment,
    /// It is this program itself, by another name: its lines have priorities, and it says what it waits for.
    pub is_applet: bool,
    /// It is started again whenever it ends.
    pub is_kept: bool,
}

/// What has happened. The first number of each is the job's, as `start` gave it.
pub enum Event {
    /// It wrote a line.
    Line(usize, String),
    /// An applet says what it waits for.
    Status(String),
    /// It has ended, and all that it wrote has come.
    Ended(usize, ExitStatus),
    /// It has ended and is started again: why, and when.
    Again(usize, String),
    /// Something else than a job has ended: an orphan, or what `exec::launch` started.
    Reaped(i32),
    /// A signal has come.
    Signal(Signal),
}

enum State {
    Running { pid: i32, since: Instant },
    Pausing { until: Instant },
    Over,
}

struct Member {
    job: Job,
    output: Lines,
    pauses: Pauses,
    state: State,
}

/// All of them.
pub struct Crew {
    signals: Signals,
    listener: Option<notify::Listener>,
    members: Vec<Member>,
    is_stopping: bool,
    /// Asked again while stopping: nobody is waited for.
    is_hurried: bool,
}

impl Crew {
    /// With nobody in it. These signals become events.
    pub fn new(signals: &[Signal]) -> Result<Self> {
        let signals = Signals::take(signals)?;
        Ok(Self {
            signals,
            listener: notify::Listener::open(),
            members: Vec::new(),
            is_stopping: false,
            is_hurried: false,
        })
    }

    /// Starts a job, and gives back its number.
    pub fn start(&mut self, job: Job) -> Result<usize> {
        let member = Member { job, output: Lines::open()?, pauses: Pauses::new(), state: State::Over };
        self.members.push(member);
        let at = self.members.len() - 1;
        self.launch(at)?;
        Ok(at)
    }

    /// A job's name.
    pub fn name(&self, at: usize) -> &str {
        &self.members[at].job.name
    }

    fn launch(&mut self, at: usize) -> Result<()> {
        let Member { job, output, state, .. } = &mut self.members[at];
        let mut environment = job.environment.clone();
        let path = if job.is_applet {
            environment.push(("JOURNAL_STREAM".into(), output.stream().into()));
            // What a step waits for is shown: not what goes on beside it.
            let listener = self.listener.iter().filter(|_| !job.is_kept);
            environment.extend(listener.map(|l| (notify::VARIABLE.into(), l.address.clone().into())));
            exec::own()
        } else {
            exec::find(&job.name)?
        };
        let pid = exec::launch(Launch {
            path: &path,
            name: &job.name,
            args: &job.args,
            environment,
            settings: Settings::default(),
            output: Some(output.writer()),
            has_terminal: false,
        })?;
        *state = State::Running { pid, since: Instant::now() };
        Ok(())
    }

    /// Sleeps until something happens, or until then, and says what did.
    pub fn turn(&mut self, until: Option<Instant>) -> Vec<Event> {
        self.turn_or(until, None)
    }

    /// The same, which ends as well when that descriptor has something to read.
    pub fn turn_or(&mut self, until: Option<Instant>, other: Option<BorrowedFd<'_>>) -> Vec<Event> {
        let starts = self.members.iter().filter_map(|m| match m.state {
            State::Pausing { until } if !self.is_stopping => Some(until),
            _ => None,
        });
        let until = starts.chain(until).min();
        let mut fds: Vec<BorrowedFd<'_>> = self.members.iter().map(|m| m.output.reader()).collect();
        fds.extend(self.listener.as_ref().map(AsFd::as_fd).into_iter().chain(other));
        self.signals.wait(until, &fds);
        let mut events = Vec::new();
        // SIGCHLD goes with them: whoever ends later wakes the next turn.
        let signals: Vec<Signal> = std::iter::from_fn(|| self.signals.next()).collect();
        let ended: Vec<(i32, ExitStatus)> = std::iter::from_fn(child::reap).collect();
        for (at, member) in self.members.iter_mut().enumerate() {
            let has_ended =
                matches!(member.state, State::Running { pid, .. } if ended.iter().any(|e| e.0 == pid));
            events.extend(member.output.take(has_ended).into_iter().map(|line| Event::Line(at, line)));
        }
        events.extend(self.listener.as_ref().and_then(notify::Listener::status).map(Event::Status));
        events.extend(ended.into_iter().map(|(pid, status)| self.ended(pid, status)));
        events.extend(signals.into_iter().map(Event::Signal));
        self.start_again(&mut events);
        events
    }

    fn ended(&mut self, ended: i32, status: ExitStatus) -> Event {
        let is_it = |m: &Member| matches!(m.state, State::Running { pid, .. } if pid == ended);
        let Some(at) = self.members.iter().position(is_it) else { return Event::Reaped(ended) };
        let member = &mut self.members[at];
        let State::Running { since, .. } = member.state else { return Event::Reaped(ended) };
        member.state = State::Over;
        if !member.job.is_kept || self.is_stopping {
            return Event::Ended(at, status);
        }
        let why = format!("{} after {}", in_words(status), seconds(since.elapsed()));
        self.pause(at, since.elapsed(), &why)
    }

    fn pause(&mut self, at: usize, well: Duration, why: &str) -> Event {
        let member = &mut self.members[at];
        let span = member.pauses.after(well) / 2;
        let pause = span + clock::jitter(span);
        member.state = State::Pausing { until: Instant::now() + pause };
        Event::Again(at, format!("{why}: it is started again in {}", seconds(pause)))
    }

    fn start_again(&mut self, events: &mut Vec<Event>) {
        for at in 0..self.members.len() {
            let is_due =
                matches!(self.members[at].state, State::Pausing { until } if until <= Instant::now());
            if is_due
                && !self.is_stopping
                && let Err(error) = self.launch(at)
            {
                events.push(self.pause(at, Duration::ZERO, &error.to_string()));
            }
        }
    }

    /// Ends one that runs: SIGTERM, and SIGKILL when it takes longer than 30 s.
    pub fn end(&mut self, at: usize, hear: &mut dyn FnMut(&Self, Event)) {
        for (signal, span) in [(Signal::SIGTERM, STOP_WITHIN), (Signal::SIGKILL, GONE_WITHIN)] {
            let State::Running { pid, .. } = self.members[at].state else { return };
            let _ = kill(Pid::from_raw(pid), signal);
            let is_there = |crew: &Self| matches!(crew.members[at].state, State::Running { .. });
            self.wait_for(is_there, signal, span, hear);
        }
    }

    /// Ends all, the last started first; nothing is started again.
    pub fn stop(&mut self, hear: &mut dyn FnMut(&Self, Event)) {
        self.is_stopping = true;
        for at in (0..self.members.len()).rev() {
            self.end(at, hear);
        }
    }

    /// Ends what else runs: every process that this one, PID 1, can reach.
    pub fn stop_rest(&mut self, signal_all: fn(Signal), hear: &mut dyn FnMut(&Self, Event)) {
        self.is_stopping = true;
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            signal_all(signal);
            self.wait_for(|_| has_children(), signal, REST_WITHIN, hear);
        }
    }

    /// Until it is gone after that signal; after SIGTERM no longer than nobody asks once more.
    fn wait_for(
        &mut self,
        is_there: impl Fn(&Self) -> bool,
        after: Signal,
        span: Duration,
        hear: &mut dyn FnMut(&Self, Event),
    ) {
        let end = Instant::now() + span;
        while is_there(self) && Instant::now() < end && !(self.is_hurried && after == Signal::SIGTERM) {
            for event in self.turn(Some(end)) {
                self.is_hurried |= matches!(event, Event::Signal(Signal::SIGTERM | Signal::SIGINT));
                hear(self, event);
            }
        }
    }
}

/// Whether there is a child left; a dead one that nobody has reaped counts.
fn has_children() -> bool {
    let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    waitid(Id::All, flags) != Err(Errno::ECHILD)
}

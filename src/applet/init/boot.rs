use std::os::fd::AsFd;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::console::Console;
use super::drivers::Drivers;
use super::ground;
use super::wanted::Wanted;
use crate::error::{Error, Result};
use crate::plan::boot_list::Line;
use crate::plan::init::text;
use crate::sys::link::Links;
use crate::sys::machine::{self, End};
use crate::sys::supervise::crew::{Crew, Event, Job};
use crate::sys::supervise::in_words;
use crate::sys::uevent::Events;
use crate::sys::wait::Deadline;
use crate::sys::{clock, notify, timeline};

/// What ends the machine, and what PID 1 takes so that nothing comes of it.
const SIGNALS: [Signal; 5] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGPWR, Signal::SIGHUP, Signal::SIGQUIT];

/// How often what is waited for is drawn anew.
pub const DRAWN_EVERY: Duration = Duration::from_secs(1);

/// One boot.
pub struct Boot {
    pub console: Console,
    pub crew: Crew,
    pub drivers: Drivers,
    /// Devices that come later; `None`: another loads their drivers.
    events: Option<Events>,
    /// A signal has asked for it.
    pub asked: Option<End>,
    /// It goes on when the list is done, and must not end while the machine runs.
    is_init: bool,
    /// The step that runs.
    step: Option<Running>,
}

/// What is known of a running step.
struct Running {
    at: usize,
    started: Instant,
    /// What it waits for, and whether that was said.
    status: Option<(String, bool)>,
    summary: Option<String>,
    /// Its last error, or a program's last line.
    why: Option<String>,
    ended: Option<ExitStatus>,
}

impl Boot {
    /// Begins, and says so.
    pub fn begin(is_once: bool) -> Result<Self> {
        let mut boot = Self { is_init: machine::is_first() && !is_once, ..Self::new()? };
        let version = env!("CARGO_PKG_VERSION");
        let age = after_kernel().map(|age| format!(", {age}")).unwrap_or_default();
        boot.console.say(6, &format!("init {version}{age}"));
        if machine::is_first() && machine::is_whole() {
            machine::take_ctrl_alt_del();
            // Before the first look: nothing comes unseen between the two.
            boot.events = Events::listen().ok();
        }
        let missing: Vec<&str> = if is_once { Vec::new() } else { ground::missing().collect() };
        if !missing.is_empty() && machine::is_whole() {
            boot.console.say(4, &format!("warning: cannot be mounted: {}", missing.join(" ")));
        }
        Ok(boot)
    }

    /// Without a word.
    pub fn new() -> Result<Self> {
        let crew = Crew::new(&SIGNALS)?;
        Ok(Self {
            console: Console::open(),
            crew,
            drivers: Drivers::new(),
            events: None,
            asked: None,
            is_init: true,
            step: None,
        })
    }

    /// All of it. Of PID 1 this returns in a container only.
    pub fn run(mut self, wanted: &Wanted, deadline: &Deadline) -> Result<()> {
        let mut done = self.steps(wanted);
        if self.is_init && done.is_ok() && self.asked.is_none() {
            match &wanted.root {
                Some(root) => done = self.switch(root, wanted, deadline),
                None => self.stay(),
            }
        }
        match (self.asked, done) {
            (Some(end), _) if self.is_init => self.end(end),
            (None, Err(error)) if self.is_init => Err(self.trouble(error)),
            (Some(_), _) => Err(Error::failed("stopped by a signal")),
            (None, done) => done,
        }
    }

    fn steps(&mut self, wanted: &Wanted) -> Result<()> {
        let started = Instant::now();
        if self.is_init && wanted.root.is_none() {
            ground::control_groups(wanted.has_old_cgroups);
        }
        timeline::phase("modules");
        self.drivers.named(&wanted.modules, &mut self.console);
        self.drivers.of_devices(&mut self.console);
        if let Err(error) = loopback() {
            self.console.say(4, &format!("warning: ip link set lo up: {error}"));
        }
        timeline::phase("boot list");
        let mut count = 0;
        for line in &wanted.list {
            if line.respawn {
                self.serve(line)?;
            } else {
                self.take(line)?;
            }
            count += usize::from(line.number > 0);
        }
        let span = text::span(started.elapsed().as_millis());
        let steps = if count == 1 { "step" } else { "steps" };
        let age = after_kernel().map(|age| format!("; {age}")).unwrap_or_default();
        self.console.say(6, &format!("the boot list is done: {count} {steps} ({span}{age})"));
        if self.is_init && wanted.root.is_none() {
            timeline::leave(&format!("the boot list is done: {count} {steps}"));
        }
        Ok(())
    }

    fn serve(&mut self, line: &Line) -> Result<()> {
        let started = Instant::now();
        match self.crew.start(job(line)) {
            Ok(_) => {
                self.console.say(6, &format!("{} started, and kept running", line.program));
                Ok(())
            }
            Err(error) => self.failed(line, started, &error.to_string()),
        }
    }

    /// Takes one step: its failure is said, and is an error unless the line has it otherwise.
    fn take(&mut self, line: &Line) -> Result<()> {
        let started = Instant::now();
        let at = match self.crew.start(job(line)) {
            Ok(at) => at,
            Err(error) => return self.failed(line, started, &error.to_string()),
        };
        self.step = Some(Running { at, started, status: None, summary: None, why: None, ended: None });
        while self.step.as_ref().is_some_and(|s| s.ended.is_none()) {
            self.turn(Some(Instant::now() + DRAWN_EVERY));
            self.draw();
            if self.asked.is_some() {
                self.stop_step(at);
                return Err(Error::program(1));
            }
        }
        let Some(Running { summary, why, ended: Some(status), .. }) = self.step.take() else { return Ok(()) };
        if status.success() {
            let span = text::span(started.elapsed().as_millis());
            let summary = summary.unwrap_or_else(|| "done".into());
            self.console.say(6, &format!("{} {summary} ({span})", line.program));
            return Ok(());
        }
        let end = in_words(status);
        let why = match why {
            Some(why) if !line.is_path() => why,
            Some(why) => format!("{end}: {why}"),
            None => end,
        };
        self.failed(line, started, &why)
    }

    fn failed(&mut self, line: &Line, started: Instant, why: &str) -> Result<()> {
        let span = started.elapsed();
        timeline::step(&line.text(), timeline::now().saturating_sub(span), Some(why));
        let (priority, span) = (if line.may_fail { 4 } else { 3 }, text::span(span.as_millis()));
        self.console.say(priority, &format!("{} failed ({span}): {why}", line.program));
        if line.may_fail {
            return Ok(());
        }
        timeline::fail(&format!("{}: {why}", line.program));
        Err(Error::program(1))
    }

    /// Sleeps until something happens, or until then, and hears it.
    pub fn turn(&mut self, until: Option<Instant>) -> Vec<i32> {
        let mut reaped = Vec::new();
        for event in self.crew.turn_or(until, self.events.as_ref().map(AsFd::as_fd)) {
            if let Event::Reaped(pid) = event {
                reaped.push(pid);
            }
            self.hear(event);
        }
        if let Some(events) = &self.events {
            self.drivers.of_new(&events.aliases(), &mut self.console);
        }
        reaped
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Line(at, line) => self.line(at, &line),
            Event::Status(status) => {
                if let Some(step) = self.step.as_mut() {
                    step.status = Some((status, false));
                }
            }
            Event::Ended(at, status) => {
                if let Some(step) = self.step.as_mut().filter(|s| s.at == at) {
                    step.ended = Some(status);
                }
            }
            Event::Again(at, why) => self.console.say(4, &format!("{} {why}", self.crew.name(at))),
            Event::Signal(Signal::SIGINT) => self.asked = Some(End::Restart),
            Event::Signal(Signal::SIGTERM | Signal::SIGPWR) => self.asked = Some(End::PowerOff),
            Event::Signal(_) | Event::Reaped(_) => {}
        }
    }

    fn line(&mut self, at: usize, line: &str) {
        let name = self.crew.name(at).to_owned();
        let (priority, said) = text::record(line);
        let said = text::without_name(&name, said);
        if let Some(step) = self.step.as_mut().filter(|s| s.at == at) {
            match (priority, text::summary(said)) {
                (0..=3, _) => {
                    step.why = Some(said.to_owned());
                    return;
                }
                (6, Some(summary)) => {
                    step.summary = Some(summary.to_owned());
                    return;
                }
                _ if name.starts_with('/') => step.why = Some(said.to_owned()),
                _ => {}
            }
        }
        if priority <= 4 {
            self.console.say(priority, &format!("{name}: {said}"));
        } else {
            self.console.note(&name, priority, said);
        }
    }

    fn draw(&mut self) {
        let Some(step) = self.step.as_mut().filter(|s| s.ended.is_none()) else { return };
        if let Some((status, is_said)) = &mut step.status {
            let text = format!("{}: {status}", self.crew.name(step.at));
            self.console.waiting(&text, step.started.elapsed().as_secs(), !*is_said);
            *is_said = true;
        }
    }

    fn stop_step(&mut self, at: usize) {
        let console = &mut self.console;
        self.crew.end(at, &mut |crew, event| late(console, crew, event));
    }
}

fn loopback() -> Result<()> {
    Links::open()?.set_up(&"lo".parse().map_err(Error::failed)?)
}

/// What is still said while all is stopped.
pub fn late(console: &mut Console, crew: &Crew, event: Event) {
    if let Event::Line(at, line) = event {
        let (priority, said) = text::record(&line);
        console.note(crew.name(at), priority, text::without_name(crew.name(at), said));
    }
}

/// `1.62 s after the kernel's start`; a container has no kernel of its own.
fn after_kernel() -> Option<String> {
    let age = clock::uptime().filter(|_| machine::is_whole())?;
    Some(format!("{} after the kernel's start", text::span(age.as_millis())))
}

/// What is run for a line. init's own socket is nobody else's.
fn job(line: &Line) -> Job {
    let inherited =
        std::env::vars_os().filter(|(name, _)| name != notify::VARIABLE && name != "JOURNAL_STREAM");
    let own = line.variables.iter().map(|(name, value)| (name.into(), value.into()));
    Job {
        name: line.program.clone(),
        args: line.args.clone(),
        environment: inherited.chain(own).collect(),
        is_applet: !line.is_path(),
        is_kept: line.respawn,
    }
}

//! Waiting: the one deadline of a run, files awaited by inotify, servers by backoff. What is waited
//! for is said once, then every 30 s, and to the service manager.

mod deadline;
mod file;

use std::time::{Duration, Instant};

pub use deadline::Deadline;
pub use file::{Seen, file};

use crate::error::{Error, Result};
use crate::sys::{clock, log, notify, timeline};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const REPORT_EVERY: Duration = Duration::from_secs(30);
/// How often to show to somebody who is watching that time goes by.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// Why an attempt did not succeed.
#[derive(Debug)]
pub enum Retry {
    /// It may succeed later; not before `after`, if the other side said so (`Retry-After`).
    Later {
        /// The reason in words.
        why: String,
        /// The least time to wait.
        after: Option<Duration>,
    },
    /// It never will.
    Never(Error),
}

impl From<Error> for Retry {
    fn from(error: Error) -> Self {
        Retry::Never(error)
    }
}

/// Says what is waited for: the first time, then every 30 s; on a terminal in one line that is kept up to
/// date and taken away at the end. A wait that was said goes into the run's record.
struct Progress<'a> {
    what: &'a str,
    why: String,
    started: Instant,
    said: Option<Instant>,
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.said.is_some() {
            log::end_progress();
            timeline::waited(self.what, &self.why, self.started.elapsed());
        }
    }
}

impl<'a> Progress<'a> {
    fn new(what: &'a str) -> Self {
        Self { what, why: String::new(), started: Instant::now(), said: None }
    }

    fn report(&mut self, why: &str) {
        why.clone_into(&mut self.why);
        let is_watched = log::is_watched();
        if is_watched {
            let tail = format!(" ({} s)", self.started.elapsed().as_secs());
            log::progress(&format!("waiting for {}: {why}", self.what), &tail);
        }
        if self.said.is_some_and(|at| at.elapsed() < REPORT_EVERY) {
            return;
        }
        if is_watched {
            // They see it already.
        } else if self.said.is_none() {
            log::info!("waiting for {}: {why}", self.what);
        } else {
            log::info!("still waiting for {} after {} s: {why}", self.what, self.started.elapsed().as_secs());
        }
        self.said = Some(Instant::now());
        notify::waiting(&format!("waiting for {}: {why}", self.what), REPORT_EVERY * 3);
    }

    /// The time until the next report is due.
    fn next_report(&self) -> Duration {
        self.said.map_or(Duration::ZERO, |at| REPORT_EVERY.saturating_sub(at.elapsed()).min(rhythm()))
    }

    fn give_up(&self, deadline: &Deadline, why: &str) -> Error {
        if deadline.is_once() {
            Error::deadline(format!("{}: {why}", self.what))
        } else {
            Error::deadline(format!("{}: not within {}: {why}", self.what, deadline.timeout()))
        }
    }

    fn no_patience(&self, deadline: &Deadline, after: Duration, why: &str) -> Error {
        Error::deadline(format!(
            "{}: {why}: it asks to be left alone for {} s, more than --timeout {} leaves",
            self.what,
            after.as_secs(),
            deadline.timeout()
        ))
    }
}

/// How long to sleep at the most before the next report.
fn rhythm() -> Duration {
    if log::is_watched() { SHOW_EVERY } else { REPORT_EVERY }
}

/// Waits a moment before a look at what others are changing, a longer one each time.
pub fn breathe(round: u32) {
    pause(clock::jitter(Duration::from_millis(10) * round));
}

/// Sleeps, without a signal's waking it early being of any harm.
fn pause(span: Duration) {
    let millis = u16::try_from(span.as_millis()).unwrap_or(u16::MAX);
    let _ = nix::poll::poll(&mut [], millis);
}

/// What is done about a clock that is not set.
pub const FOR_THE_CLOCK: &str = "waiting for it to be set";

/// Waits until the clock is set: before, nobody can say whether a certificate is valid.
pub fn for_the_clock(deadline: &Deadline) -> Result<()> {
    retry(deadline, "the time of day", || {
        let unset = clock::unset().map(|why| format!("{why}: {FOR_THE_CLOCK}"));
        unset.map_or(Ok(()), |why| Err(Retry::Later { why, after: None }))
    })
}

/// Attempts something until it succeeds, can never succeed, or the deadline passes (exit 75). Pauses
/// are drawn from spans that grow from 50 ms to 5 s (full jitter), and end when the clock is set; what the
/// other side asks for (`Retry-After`) comes on top whatever the clock does, lest all who were told the same
/// come back at once.
pub fn retry<T>(deadline: &Deadline, what: &str, attempt: impl FnMut() -> Result<T, Retry>) -> Result<T> {
    retry_every(deadline, what, LONGEST_PAUSE, attempt)
}

/// The same with pauses of `longest` at the most: for what is on this host and costs nothing to ask.
pub fn retry_every<T>(
    deadline: &Deadline,
    what: &str,
    longest: Duration,
    mut attempt: impl FnMut() -> Result<T, Retry>,
) -> Result<T> {
    let mut found = None;
    // One loop for all kinds of attempts: each of its own would be a kilobyte and more of the binary.
    attempts(deadline, what, longest, &mut || {
        found = Some(attempt()?);
        Ok(())
    })?;
    found.ok_or_else(|| Error::failed(format!("{what}: nothing came of it")))
}

fn attempts(
    deadline: &Deadline,
    what: &str,
    longest: Duration,
    attempt: &mut dyn FnMut() -> Result<(), Retry>,
) -> Result<()> {
    let mut progress = Progress::new(what);
    let mut span = FIRST_PAUSE;
    loop {
        let (why, after) = match attempt() {
            Ok(()) => return Ok(()),
            Err(Retry::Never(error)) => return Err(error),
            Err(Retry::Later { why, after }) => (why, after),
        };
        if deadline.passed() {
            return Err(progress.give_up(deadline, &why));
        }
        // A server that asks for more patience than is left gets no further request.
        if let Some(after) = after.filter(|a| deadline.left().is_some_and(|until| *a > until)) {
            return Err(progress.no_patience(deadline, after, &why));
        }
        progress.report(&why);
        let (asked, chance) = (after.unwrap_or_default(), clock::jitter(span));
        let most = deadline.left().unwrap_or(Duration::MAX);
        rest(asked.min(most), asked.saturating_add(chance).min(most), |part| {
            let is_set = clock::sleep_until_set(part);
            progress.report(&why);
            is_set
        });
        span = (span * 2).min(longest);
    }
}

/// The same for what wakes those who wait: `sleep` ends when something has happened, or after that long.
pub fn woken<T>(
    deadline: &Deadline,
    what: &str,
    sleep: impl Fn(Duration),
    mut attempt: impl FnMut() -> Result<T, Retry>,
) -> Result<T> {
    let mut progress = Progress::new(what);
    loop {
        let why = match attempt() {
            Ok(found) => return Ok(found),
            Err(Retry::Never(error)) => return Err(error),
            Err(Retry::Later { why, .. }) => why,
        };
        if deadline.passed() {
            return Err(progress.give_up(deadline, &why));
        }
        progress.report(&why);
        sleep(deadline.left().unwrap_or(REPORT_EVERY).min(progress.next_report()));
    }
}

/// Sleeps for `whole` by parts; once `sleep` says that the clock was set, for what was `asked` only.
fn rest(asked: Duration, whole: Duration, mut sleep: impl FnMut(Duration) -> bool) {
    let begun = Instant::now();
    let mut end = whole;
    while let Some(left) = end.checked_sub(begun.elapsed()).filter(|d| !d.is_zero()) {
        if sleep(left.min(rhythm()).max(Duration::from_millis(1))) {
            end = asked;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;

    fn later() -> Retry {
        Retry::Later { why: "refused".into(), after: None }
    }

    #[test]
    fn it_tries_again_until_it_succeeds() {
        let deadline = Deadline::start("10s".parse().unwrap());
        let mut tries = 0;
        let result = retry(&deadline, "x", || {
            tries += 1;
            if tries < 3 { Err(later()) } else { Ok(tries) }
        });
        assert_eq!(result.unwrap(), 3);
    }

    #[test]
    fn once_means_one_attempt_and_75() {
        let deadline = Deadline::start("0".parse().unwrap());
        let mut tries = 0;
        let error = retry::<()>(&deadline, "http://x", || {
            tries += 1;
            Err(later())
        });
        let error = error.unwrap_err();
        assert_eq!((error.exit, error.to_string().as_str(), tries), (Exit::Deadline, "http://x: refused", 1));
    }

    #[test]
    fn the_deadline_ends_it_and_says_why() {
        let deadline = Deadline::start("120ms".parse().unwrap());
        let started = Instant::now();
        let error = retry::<()>(&deadline, "http://x", || Err(later())).unwrap_err();
        assert!(started.elapsed() >= Duration::from_millis(120));
        assert_eq!(error.to_string(), "http://x: not within 120ms: refused");
    }

    #[test]
    fn more_patience_than_is_left_ends_it_at_once() {
        let deadline = Deadline::start("20s".parse().unwrap());
        let started = Instant::now();
        let after = Some(Duration::from_mins(1));
        let error =
            retry::<()>(&deadline, "x", || Err(Retry::Later { why: "busy".into(), after })).unwrap_err();
        assert_eq!(error.exit, Exit::Deadline);
        assert_eq!(
            error.to_string(),
            "x: busy: it asks to be left alone for 60 s, more than --timeout 20s leaves"
        );
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_clock_that_is_set_ends_the_chance_part_of_a_pause_only() {
        let asked = Duration::from_millis(60);
        let started = Instant::now();
        rest(asked, asked + Duration::from_secs(20), |part| {
            pause(part.min(Duration::from_millis(5)));
            true
        });
        assert!((asked..Duration::from_secs(10)).contains(&started.elapsed()));
        let started = Instant::now();
        rest(Duration::ZERO, Duration::from_secs(20), |_| true);
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::sys::http::{Client, Tls};
use crate::sys::{log, notify};
use crate::types::Url;

/// Signals wait while kboot waits for an answer: not longer than this, which is also what Kubernetes'
/// own probes allow by default.
const LONGEST_ANSWER: Duration = Duration::from_secs(1);
/// How soon after the start to ask, and how seldom while the program is not well.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often while it is well; a service manager's watchdog may want to hear of it more often.
const WELL_EVERY: Duration = Duration::from_secs(10);
/// A program that is not well so long after its start is worth a line.
const SAY_AFTER: Duration = Duration::from_mins(1);

/// Whether the program is well, by its healthz. Without one it is as long as it runs.
pub struct Health {
    client: Option<Client>,
    every: Duration,
    pause: Duration,
    started: Instant,
    said: bool,
    well_since: Option<Instant>,
    /// The longest time of this run that it was well and then was not.
    well_before: Duration,
    /// When to look next.
    pub next: Instant,
}

impl Health {
    /// At this URL, or at its `/healthz` where it has no path.
    pub fn at(url: Option<&Url>) -> Result<Self> {
        let client = url.map(|url| Client::new(url, &Tls::default())).transpose()?;
        let every = notify::watchdog().unwrap_or(WELL_EVERY).min(WELL_EVERY);
        let (pause, started) = (FIRST_PAUSE, Instant::now());
        let (said, well_since, well_before) = (false, None, Duration::ZERO);
        Ok(Self { client, every, pause, started, said, well_since, well_before, next: started })
    }

    /// A run has begun.
    pub fn begin(&mut self) {
        let now = Instant::now();
        (self.pause, self.started, self.said) = (FIRST_PAUSE, now, false);
        (self.well_since, self.well_before) = (None, Duration::ZERO);
        self.next = if self.client.is_some() { now + FIRST_PAUSE } else { now };
    }

    fn is_well(&self) -> bool {
        self.well_since.is_some()
    }

    /// How long it was well in this run, at a stretch.
    pub fn well_for(&self) -> Duration {
        self.well_since.map_or(Duration::ZERO, |since| since.elapsed()).max(self.well_before)
    }

    /// Looks, says what has changed, and keeps the service manager's watchdog quiet while all is well.
    /// Whether it has become well.
    pub fn look(&mut self, what: &str) -> bool {
        let was_well = self.is_well();
        let answer = self.client.as_ref().map_or(Ok(()), ask);
        let since_start = super::seconds(self.started.elapsed());
        match (answer, self.well_since) {
            (Ok(()), Some(_)) => {}
            (Ok(()), None) => {
                if let Some(client) = &self.client {
                    log::info!("{what} is healthy {since_start} after its start ({})", client.base());
                }
                self.well_since = Some(Instant::now());
            }
            (Err(why), Some(_)) => {
                log::warning!("{what} is not healthy any more: {why}");
                notify::send(&format!("STATUS={what} is not healthy: {why}"));
                (self.well_before, self.well_since) = (self.well_for(), None);
                (self.pause, self.said) = (FIRST_PAUSE, true);
            }
            (Err(why), None) => {
                if !self.said && self.started.elapsed() >= SAY_AFTER {
                    log::warning!("{what} is not healthy {since_start} after its start: {why}");
                    self.said = true;
                }
            }
        }
        if self.is_well() {
            notify::send("WATCHDOG=1");
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.next = Instant::now() + if self.is_well() { self.every } else { self.pause };
        self.is_well() && !was_well
    }
}

fn ask(client: &Client) -> Result<(), String> {
    let path = if client.base().path().is_empty() { "/healthz" } else { "" };
    match client.send_as(None, "GET", path, None, LONGEST_ANSWER) {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(format!("{}: status {}", client.base(), answer.status)),
        Err(failure) => Err(format!("{}: {}", client.base(), failure.why)),
    }
}

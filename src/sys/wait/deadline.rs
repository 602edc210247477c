use std::time::{Duration, Instant};

use crate::types::Timeout;

/// The end of a run's patience, on the monotonic clock; it starts with the applet.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    timeout: Timeout,
    started: Instant,
}

impl Deadline {
    /// Starts the clock.
    pub fn start(timeout: Timeout) -> Self {
        Self { timeout, started: Instant::now() }
    }

    /// The time left; `None` without end. A single attempt has no time left from the start.
    pub fn left(&self) -> Option<Duration> {
        match self.timeout {
            Timeout::Once => Some(Duration::ZERO),
            Timeout::After(span) => Some(span.saturating_sub(self.started.elapsed())),
            Timeout::Forever => None,
        }
    }

    /// Whether nothing more may be waited for.
    pub fn passed(&self) -> bool {
        self.left() == Some(Duration::ZERO)
    }

    /// Whether there is to be one attempt only.
    pub fn is_once(&self) -> bool {
        self.timeout == Timeout::Once
    }

    /// The timeout it was started with.
    pub fn timeout(&self) -> Timeout {
        self.timeout
    }

    /// How long one attempt may take: what is left, `longest` at the most. The one attempt of
    /// `--timeout 0` gets all of `longest`.
    pub fn attempt(&self, longest: Duration) -> Duration {
        if self.is_once() { longest } else { self.left().map_or(longest, |left| left.min(longest)) }
    }
}

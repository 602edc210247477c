use std::time::Duration;

/// The first pause: a kubelet that was killed, or an upgrade, costs a node no more than that.
const FIRST: Duration = Duration::from_secs(1);
/// The longest: the node is back a minute after its fault is mended, and one that fails for days has
/// asked an API server less than a thousand times a day.
const LONGEST: Duration = Duration::from_mins(1);
/// So long the program was well, and then its end has nothing to do with its start.
pub const GOOD_RUN: Duration = Duration::from_secs(30);

/// The pauses between runs: 1 s, doubling to a minute, and 1 s again after a good run.
pub struct Pauses {
    next: Duration,
}

impl Pauses {
    pub fn new() -> Self {
        Self { next: FIRST }
    }

    /// The pause after a run that was well for so long; zero: never.
    pub fn after(&mut self, well: Duration) -> Duration {
        if well >= GOOD_RUN {
            self.next = FIRST;
        }
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_minute_and_begin_anew_after_a_good_run() {
        let mut pauses = Pauses::new();
        let mut seconds = |well| pauses.after(Duration::from_secs(well)).as_secs();
        let short: Vec<u64> = [0, 29, 0, 0, 5, 0, 0, 0].map(&mut seconds).into();
        assert_eq!(short, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!([30, 0, 0].map(seconds), [1, 2, 4]);
    }
}

//! Chance for pauses, and when this boot began. Deadlines, on the monotonic clock, are in `wait`.

use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};

/// A random span of up to `full` ("full jitter"), a tenth of it at the least, so that hosts which boot
/// together do not ask together. std's hasher seeds itself from the kernel without blocking.
pub fn jitter(full: Duration) -> Duration {
    let random = std::hash::RandomState::new().build_hasher().finish();
    let least = full / 10;
    let span = u64::try_from(full.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
    least + Duration::from_micros(random % span.max(1))
}

/// When this boot began, by the clock as it is set now (it may have been set since).
pub fn boot_time() -> Option<SystemTime> {
    let up = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
    SystemTime::now().checked_sub(Duration::from(up))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_spread_over_all_but_the_first_tenth() {
        let full = Duration::from_secs(10);
        let spans: Vec<Duration> = (0..1000).map(|_| jitter(full)).collect();
        assert!(spans.iter().all(|s| (full / 10..full).contains(s)));
        for tenth in 1..10 {
            let within = full / 10 * tenth..full / 10 * (tenth + 1);
            let count = spans.iter().filter(|s| within.contains(s)).count();
            assert!((50..200).contains(&count), "{tenth}: {count} of 1000");
        }
        assert_eq!(jitter(Duration::ZERO), Duration::ZERO);
    }
}

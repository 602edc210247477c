//! Chance for pauses, and when this boot began. Deadlines, on the monotonic clock, are in `wait`.

use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};

/// A random span from half of `full` to `full`, so that hosts which boot together do not ask
/// together. std's hasher seeds itself from the kernel without blocking.
pub fn jitter(full: Duration) -> Duration {
    let random = std::hash::RandomState::new().build_hasher().finish();
    let half = full / 2;
    let span = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
    half + Duration::from_micros(random % span.max(1))
}

/// When this boot began, by the clock as it is set now (it may have been set since).
pub fn boot_time() -> Option<SystemTime> {
    let up = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
    SystemTime::now().checked_sub(Duration::from(up))
}

//! The wall clock and a little chance. Deadlines use the monotonic clock: see `wait`.

use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970, 0 when the clock stands before it.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// A random span from half of `full` to `full`, so that hosts which boot together do not ask
/// together. std's hasher seeds itself from the kernel without blocking.
pub fn jitter(full: Duration) -> Duration {
    let random = std::hash::RandomState::new().build_hasher().finish();
    let half = full / 2;
    let span = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
    half + Duration::from_micros(random % span.max(1))
}

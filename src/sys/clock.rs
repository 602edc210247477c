//! The time of day, chance for pauses, and when this boot began. Deadlines, on the monotonic clock, are
//! in `wait`.

use std::hash::{BuildHasher, Hasher};
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{ClockId, clock_gettime};

/// When this was built, in seconds since 1970: scripts/build gives the commit's time, so that one
/// commit makes one binary. A clock that shows an earlier time is wrong.
const BUILT: u64 = match option_env!("SOURCE_DATE_EPOCH") {
    Some(text) => number(text.as_bytes()),
    None => 1_767_225_600, // 2026-01-01
};

/// A timer that never rings within the life of Linux's clock, which ends in 2262.
const NEVER: i64 = 9_000_000_000;

const fn number(digits: &[u8]) -> u64 {
    let (mut at, mut value) = (0, 0);
    while at < digits.len() && digits[at].is_ascii_digit() {
        value = value * 10 + (digits[at] - b'0') as u64;
        at += 1;
    }
    value
}

/// The time of day, in seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Why no date can be judged yet: the clock shows a time before this was built, as on a host without a
/// battery until something sets it (NTP, a fake-hwclock).
pub fn unset() -> Option<String> {
    let now = now();
    (now < BUILT).then(|| format!("the clock says {}, before kboot was built", date(now)))
}

/// A day as `YYYY-MM-DD`, in UTC, of seconds since 1970.
pub fn date(seconds: u64) -> String {
    // Years that begin in March, in eras of 400: the leap day is the last of its year.
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + next)
}

/// Sleeps; true at once when somebody sets the clock (`timerfd_create(2)`): certificates may be valid
/// then, and tokens. A signal may wake it early, which does no harm.
pub fn sleep_until_set(span: Duration) -> bool {
    let millis = PollTimeout::from(u16::try_from(span.as_millis()).unwrap_or(u16::MAX));
    let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
    let timer = TimerFd::new(nix::sys::timerfd::ClockId::CLOCK_REALTIME, TimerFlags::TFD_CLOEXEC)
        .and_then(|t| t.set(Expiration::OneShot(TimeSpec::seconds(NEVER)), flags).map(|()| t));
    match timer {
        Ok(timer) => poll(&mut [PollFd::new(timer.as_fd(), PollFlags::POLLIN)], millis).is_ok_and(|n| n > 0),
        Err(_) => poll(&mut [], millis).is_err(),
    }
}

/// A number by chance. std's hasher seeds itself from the kernel without blocking.
pub fn chance() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

/// A random span of up to `full` ("full jitter"), a tenth of it at the least, so that hosts which boot
/// together do not ask together.
pub fn jitter(full: Duration) -> Duration {
    let least = full / 10;
    let span = u64::try_from(full.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
    least + Duration::from_micros(chance() % span.max(1))
}

/// When this boot began, by the clock as it is set now (it may have been set since).
pub fn boot_time() -> Option<SystemTime> {
    SystemTime::now().checked_sub(uptime()?)
}

/// How long this host is up, sleep included: no setting of the clock changes it.
pub fn uptime() -> Option<Duration> {
    clock_gettime(ClockId::CLOCK_BOOTTIME).ok().map(Duration::from)
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

    #[test]
    fn days_as_date_shows_them() {
        // date -u -d @SECONDS +%F
        for (seconds, day) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_767_225_599, "2025-12-31"),
            (1_767_225_600, "2026-01-01"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(seconds), day);
        }
    }

    #[test]
    fn the_pause_lasts() {
        let started = std::time::Instant::now();
        assert!(
            !sleep_until_set(Duration::from_millis(30)) && started.elapsed() >= Duration::from_millis(30)
        );
        assert!(BUILT >= 1_767_225_600 && unset().is_none());
    }
}

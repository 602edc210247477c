use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How long a run may take: `90s`, `5m`, `1h30m`, `500ms`, a bare number of seconds, `0` for a single
/// attempt, `forever`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// One attempt; nothing is waited for.
    Once,
    /// So long from the start of the run.
    After(Duration),
    /// No end.
    Forever,
}

/// A hundred years: longer is a typing error, and sums with it cannot overflow a clock.
const LONGEST: u64 = 100 * 366 * 24 * 3600;

impl FromStr for Timeout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "forever" {
            return Ok(Timeout::Forever);
        }
        let bad =
            || "is not a duration: give 90s, 5m, 1h30m, 500ms, a number of seconds, 0 or forever".to_owned();
        let mut total = Duration::ZERO;
        let mut rest = text;
        loop {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
            let letters = rest[digits..].find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len() - digits);
            let millis = match &rest[digits..digits + letters] {
                "" if digits == text.len() => 1000,
                "ms" => 1,
                "s" => 1000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(bad()),
            };
            total = number
                .checked_mul(millis)
                .map(Duration::from_millis)
                .map_or(Duration::MAX, |d| total.saturating_add(d));
            rest = &rest[digits + letters..];
            if total.as_secs() > LONGEST {
                return Err("is too long: give forever".into());
            }
            if rest.is_empty() {
                break;
            }
        }
        Ok(if total.is_zero() { Timeout::Once } else { Timeout::After(total) })
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Timeout::Once => f.write_str("0"),
            Timeout::Forever => f.write_str("forever"),
            Timeout::After(d) => {
                let (secs, millis) = (d.as_secs(), d.subsec_millis());
                match (secs, millis) {
                    (s, 0) if s % 3600 == 0 => write!(f, "{}h", s / 3600),
                    (s, 0) if s % 60 == 0 => write!(f, "{}m", s / 60),
                    (s, 0) => write!(f, "{s}s"),
                    (s, m) => write!(f, "{}ms", s * 1000 + u64::from(m)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_people_write_them() {
        for (text, seconds, shown) in [
            ("90s", 90.0, "90s"),
            ("5m", 300.0, "5m"),
            ("1h30m", 5400.0, "90m"),
            ("500ms", 0.5, "500ms"),
            ("7", 7.0, "7s"),
            ("2d", 172_800.0, "48h"),
        ] {
            let timeout: Timeout = text.parse().unwrap();
            assert_eq!(timeout, Timeout::After(Duration::from_secs_f64(seconds)), "{text}");
            assert_eq!(timeout.to_string(), shown);
        }
        assert_eq!("0".parse(), Ok(Timeout::Once));
        assert_eq!("0s".parse(), Ok(Timeout::Once));
        assert_eq!("forever".parse(), Ok(Timeout::Forever));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "s", "5x", "-1", "1.5s", "5m3", " 5", "99999999999999999999", "9999999999h", "1h é"]
        {
            assert!(text.parse::<Timeout>().is_err(), "{text}");
        }
    }
}

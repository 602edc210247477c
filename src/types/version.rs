//! Versions of the programs that kboot works for: numbers alone, compared as numbers.

/// Major, minor and patch.
pub type Version = (u16, u16, u16);

/// Reads `0.5.5`, `v0.22`, `20.10.24+dfsg1` or `28.0.0-rc.1`: what follows the numbers is passed over.
pub fn parse_version(text: &str) -> Result<Version, String> {
    let numbers = text.trim().strip_prefix('v').unwrap_or(text.trim());
    let end = numbers.find(['-', '+', '~', ' ', ',']).unwrap_or(numbers.len());
    let parts: Vec<Option<u16>> = numbers[..end]
        .split('.')
        .map(|p| p.parse().ok().filter(|_| p.bytes().all(|b| b.is_ascii_digit())))
        .collect();
    match parts.as_slice() {
        [Some(major)] => Ok((*major, 0, 0)),
        [Some(major), Some(minor)] => Ok((*major, *minor, 0)),
        [Some(major), Some(minor), Some(patch), ..] => Ok((*major, *minor, *patch)),
        _ => Err("is no version such as 1.2.3".into()),
    }
}

/// As it is written: `0.5.5`.
pub fn show_version((major, minor, patch): Version) -> String {
    format!("{major}.{minor}.{patch}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_programs_print_them() {
        for (text, want) in [
            ("0.5.5", (0, 5, 5)),
            ("v0.22", (0, 22, 0)),
            ("28", (28, 0, 0)),
            ("20.10.24+dfsg1", (20, 10, 24)),
            ("28.0.0-rc.1", (28, 0, 0)),
            ("1.13.1-ce", (1, 13, 1)),
            ("17.05.0-ce", (17, 5, 0)),
        ] {
            assert_eq!(parse_version(text), Ok(want), "{text}");
        }
        for text in ["", "v", "a.b", "1.x", "1..2", "+1.2"] {
            assert!(parse_version(text).is_err(), "{text}");
        }
        assert_eq!(show_version((0, 5, 5)), "0.5.5");
    }
}

//! Which versions a kubelet may be of, by the flags that it lists.

use super::Version;
use super::table::{self, Flag};
use super::version::NEWEST_KNOWN;

/// Kubelets up to 1.10 do not list what is deprecated (pull request 62505).
const HIDES_DEPRECATED: u8 = 10;
/// A text that lists fewer flags is no kubelet's help: 1.0 has more than 50.
const FEWEST: usize = 40;

/// The range of minor versions whose column of the table agrees best with the flags that a
/// `kubelet --help` lists on stdout (up to 1.9 it is stderr, which is not read: those are asked for by
/// `--kubelet-version`): for a build that calls itself v0.0.0 ([`Version::is_placeholder`]). `None` when
/// the text is no kubelet's help.
///
/// Versions at an equal distance differ in no flag that the table knows, so the lower end's flags are those of
/// all; its configuration file has fields that all of them know, and lacks what came later.
pub fn versions_by_help(help: &str) -> Option<(Version, Version)> {
    let mut listed: Vec<String> = help.lines().filter_map(listed).map(|f| f.replace('_', "-")).collect();
    listed.sort_unstable();
    listed.dedup();
    if listed.len() < FEWEST {
        return None;
    }
    let known = |name: &str| listed.iter().any(|l| l == name);
    let rows: Vec<(Flag, bool)> = table::flags().map(|f| (f, known(f.name))).collect();
    let columns = 0..=NEWEST_KNOWN.column();
    let distances: Vec<(u8, usize)> = columns.map(|m| (m, distance(&rows, listed.len(), m))).collect();
    let best = distances.iter().map(|(_, d)| *d).min().filter(|best| best * 4 < listed.len())?;
    let mut nearest =
        distances.iter().filter(|(_, d)| *d == best).map(|(m, _)| Version { minor: (*m).into() });
    let lowest = nearest.next()?;
    Some((lowest, nearest.next_back().unwrap_or(lowest)))
}

/// The flag of a line such as `  -v, --v Level    number for the log level`.
fn listed(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let long = match line.strip_prefix('-')?.split_once(", --") {
        Some((short, long)) if short.len() == 1 => long,
        _ => line.strip_prefix("--")?,
    };
    let end = long.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').unwrap_or(long.len());
    Some(&long[..end])
}

/// How many flags only one of the two has: the text, or that minor's column.
fn distance(rows: &[(Flag, bool)], listed: usize, minor: u8) -> usize {
    let hidden = |f: &Flag| minor <= HIDES_DEPRECATED && f.deprecated.is_some_and(|d| d <= minor);
    let alive = || rows.iter().filter(|(f, _)| f.lives(minor));
    let both = alive().filter(|(_, is_listed)| *is_listed).count();
    let absent = alive().filter(|(f, is_listed)| !is_listed && !hidden(f)).count();
    listed - both + absent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(minor: u8, but: &str) -> String {
        let lines: Vec<String> = table::flags()
            .filter(|f| f.lives(minor) && f.name != but)
            .map(|f| format!("      --{} string     what it does --really", f.name))
            .collect();
        format!("Usage:\n  kubelet [flags]\n\nFlags:\n  -z, --z-own Level   x\n{}\n", lines.join("\n"))
    }

    #[test]
    fn a_column_finds_itself() {
        for minor in 0..=38 {
            let (low, high) = versions_by_help(&help(minor, "address")).unwrap();
            let found = low.minor..=high.minor;
            assert!(found.contains(&u32::from(minor)) && high.minor - low.minor < 4, "1.{minor}: {found:?}");
            for other in found {
                let other = u8::try_from(other).unwrap();
                let column =
                    |m: u8| table::flags().filter(|f| f.lives(m)).map(|f| f.name).collect::<Vec<_>>();
                assert_eq!(column(minor), column(other), "what ties has the same flags");
            }
        }
        assert_eq!(versions_by_help(&help(20, "")), Some((Version { minor: 20 }, Version { minor: 20 })));
    }

    #[test]
    fn other_texts_are_no_help() {
        assert_eq!(versions_by_help(""), None);
        assert_eq!(versions_by_help("Usage:\n  --address ip\n  --port int\n"), None);
        let other: String = (0..80).fold(String::new(), |text, i| format!("{text}  --option-{i} x\n"));
        assert_eq!(versions_by_help(&other), None);
    }

    #[test]
    fn lines_of_help() {
        for (line, flag) in [
            ("      --address ip      The IP", Some("address")),
            ("  -v, --v Level         number", Some("v")),
            ("  kubelet [flags]", None),
            ("- a list, --with a flag", None),
        ] {
            assert_eq!(listed(line), flag, "{line}");
        }
    }
}

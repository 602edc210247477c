//! "Did you mean": the nearest of some names.

/// The nearest of the names, if it is near enough to be what was meant.
pub fn nearest<'n>(given: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let best = names.map(|n| (distance(given, n), n)).min_by_key(|(d, _)| *d)?;
    (best.0 <= 1 + given.len() / 5).then_some(best.1)
}

/// Levenshtein's distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_enough_or_nothing() {
        let names = || ["--name", "--mtu", "--subnet", "--masquerade"].into_iter();
        assert_eq!(nearest("--nmae", names()), Some("--name"));
        assert_eq!(nearest("--masqerade", names()), Some("--masquerade"));
        assert_eq!(nearest("--frobnicate", names()), None);
        assert_eq!((distance("", "abc"), distance("kitten", "sitting")), (3, 3));
    }
}

//! "Did you mean": the nearest of some names.

/// The one name that begins so, else the nearest, if it is near enough to be what was meant.
pub fn nearest<'n>(given: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let names: Vec<&str> = names.collect();
    let mut begun = names.iter().filter(|n| given.len() > 3 && n.starts_with(given));
    if let Some(first) = begun.next().filter(|first| begun.all(|n| n == *first)) {
        return Some(first);
    }
    let best = names.into_iter().map(|n| (distance(given, n), n)).min_by_key(|(d, _)| *d)?;
    (best.0 <= 1 + given.len() / 5).then_some(best.1)
}

/// The number of bytes to put in, take out, exchange, or swap with their neighbour (Levenshtein's
/// distance with Damerau's swaps).
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let is_swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                let swapped = if is_swap { rows[i - 2][j - 2] + 1 } else { usize::MAX };
                changed.min(swapped).min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1)
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_enough_or_nothing() {
        let names = || ["--name", "--mtu", "--subnet", "--masquerade"].into_iter();
        assert_eq!(nearest("--nmae", names()), Some("--name"));
        assert_eq!(nearest("upd", ["udp", "gce"].into_iter()), Some("udp"));
        assert_eq!(nearest("--masqerade", names()), Some("--masquerade"));
        assert_eq!(nearest("--frobnicate", names()), None);
        assert_eq!(nearest("--masq", names()), Some("--masquerade"));
        assert_eq!(nearest("--serv", ["--server", "--server"].into_iter()), Some("--server"));
        assert_eq!(nearest("--ipv6", ["--ipv6-network", "--ipv6-subnet"].into_iter()), None);
        assert_eq!((distance("", "abc"), distance("kitten", "sitting")), (3, 3));
    }
}

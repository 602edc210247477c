//! What a step's lines say, and what is shown of them.

/// A line of a child: its priority (sd-daemon(3): `<N>` in front; else 6, info) and its words.
pub fn record(line: &str) -> (u8, &str) {
    let marked = line.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    match marked.map(|(number, text)| (number.parse::<u8>(), text)) {
        Some((Ok(priority @ 0..=7), text)) => (priority, text),
        _ => (6, line),
    }
}

/// Takes `kboot NAME: ` off, which an applet's lines have in front.
pub fn without_name<'a>(name: &str, text: &'a str) -> &'a str {
    let rest = text.strip_prefix("kboot ").and_then(|t| t.strip_prefix(name)?.strip_prefix(": "));
    rest.unwrap_or(text)
}

/// What an applet's last line says it made sure of: `cbr0 up (4 changed, 2 already so)` -> `cbr0 up`.
pub fn summary(text: &str) -> Option<&str> {
    let (what, counts) = text.rsplit_once(" (")?;
    (counts.ends_with(" already so)") && counts.contains(" changed, ")).then_some(what)
}

/// A span of milliseconds: `12 ms`, `1.62 s`, `75 s`.
pub fn span(millis: u128) -> String {
    match millis {
        0..1000 => format!("{millis} ms"),
        1000..60_000 => format!("{}.{:02} s", millis / 1000, millis % 1000 / 10),
        _ => format!("{} s", millis / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_and_summaries() {
        assert_eq!(record("<3>kboot bridge: no"), (3, "kboot bridge: no"));
        for plain in ["hello", "<9>x", "<x>y", "<3", ""] {
            assert_eq!(record(plain), (6, plain));
        }
        assert_eq!(without_name("bridge", "kboot bridge: a: b"), "a: b");
        assert_eq!(without_name("bridge", "kboot bridges: a"), "kboot bridges: a");
        assert_eq!(summary("cbr0 10.1.2.1/24 up (4 changed, 2 already so)"), Some("cbr0 10.1.2.1/24 up"));
        for other in ["ip link add cbr0", "x (already so)", "dry run: x (3 to change, 0 already so)"] {
            assert_eq!(summary(other), None, "{other}");
        }
    }

    #[test]
    fn spans() {
        for (millis, text) in
            [(0, "0 ms"), (999, "999 ms"), (1000, "1.00 s"), (1628, "1.62 s"), (75_200, "75 s")]
        {
            assert_eq!(span(millis), text);
        }
    }
}

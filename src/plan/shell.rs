//! Words as a POSIX shell reads them back: for texts that an operator may paste.

/// The word as it is when no shell would touch it, else in single quotes.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// A command line.
pub fn join<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_touch_is_quoted() {
        assert_eq!(join(["kubelet", "--address=0.0.0.0"]), "kubelet --address=0.0.0.0");
        assert_eq!(join(["a b", "", "it's", "$x"]), r"'a b' '' 'it'\''s' '$x'");
    }
}

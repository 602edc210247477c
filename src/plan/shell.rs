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

/// Reads the word at the start of a text as a POSIX shell does, and what follows it. Where a shell would
/// expand, execute or redirect something, that is an error: nothing is ever done here.
pub fn word(text: &str) -> Result<(String, &str), String> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    let mut quote = None;
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (None, ' ' | '\t') => return Ok((out, &text[at..])),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            (None | Some('"'), '$' | '`') => {
                return Err(format!("a shell would expand the {c}: write it plainly"));
            }
            (None, ';' | '&' | '|' | '<' | '>' | '(' | ')') => {
                return Err(format!("a shell would act on the {c}: write it plainly"));
            }
            (None, '\\') => out.extend(chars.next().map(|(_, c)| c)),
            // In double quotes a backslash is one, but before these.
            (Some('"'), '\\') => match chars.clone().next() {
                Some((_, next @ ('$' | '`' | '"' | '\\'))) => {
                    chars.next();
                    out.push(next);
                }
                _ => out.push(c),
            },
            _ => out.push(c),
        }
    }
    match quote {
        Some(open) => Err(format!("a {open} is not closed")),
        None => Ok((out, "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each as dash reads it (`printf '%s|' WORD`).
    #[test]
    fn words_as_a_shell_reads_them() {
        for (text, word_, rest) in [
            ("1450", "1450", ""),
            ("1450 # c", "1450", " # c"),
            ("14\"5\"'0'", "1450", ""),
            ("true#x", "true#x", ""),
            (r"a\ b c", "a b", " c"),
            (r#""a\"b\c""#, r#"a"b\c"#, ""),
            (r"'a\b$c'", r"a\b$c", ""),
            ("\"\"", "", ""),
        ] {
            assert_eq!(word(text), Ok((word_.to_owned(), rest)), "{text}");
        }
        for (text, why) in [
            ("$(reboot)", "a shell would expand the $: write it plainly"),
            ("\"`id`\"", "a shell would expand the `: write it plainly"),
            ("1;reboot", "a shell would act on the ;: write it plainly"),
            ("\"1400", "a \" is not closed"),
        ] {
            assert_eq!(word(text).unwrap_err(), why);
        }
    }

    #[test]
    fn what_a_shell_would_touch_is_quoted() {
        assert_eq!(join(["kubelet", "--address=0.0.0.0"]), "kubelet --address=0.0.0.0");
        assert_eq!(join(["a b", "", "it's", "$x"]), r"'a b' '' 'it'\''s' '$x'");
    }
}

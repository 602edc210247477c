//! The kernel's command line: what /proc/cmdline says, cut as the kernel cuts it (`next_arg` of
//! lib/cmdline.c, `parse_args` of kernel/params.c).

/// One parameter: `NAME=VALUE`, or a bare `NAME`.
#[derive(Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// What stands before the first `=`.
    pub name: &'a str,
    /// What stands behind it, without its quotes.
    pub value: Option<&'a str>,
}

/// The parameters in their order. Blanks separate them, except between double quotes, which may stand
/// around the value or around the whole (`"a=b c"`); nothing escapes a quote. What follows a bare `--`
/// is init's, not a parameter.
pub fn parse(text: &str) -> Vec<Parameter<'_>> {
    let mut rest = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\0');
    let mut found = Vec::new();
    while !rest.is_empty() {
        let mut is_quoted = false;
        let end = rest.find(|c: char| {
            is_quoted ^= c == '"';
            c.is_ascii_whitespace() && !is_quoted
        });
        let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
        let parameter = parameter(word);
        if parameter == (Parameter { name: "--", value: None }) {
            break;
        }
        found.push(parameter);
        rest = behind.trim_start_matches(|c: char| c.is_ascii_whitespace());
    }
    found
}

fn parameter(word: &str) -> Parameter<'_> {
    let word = unquoted(word);
    match word.split_once('=') {
        Some((name, value)) => Parameter { name, value: Some(unquoted(value)) },
        None => Parameter { name: word, value: None },
    }
}

/// The kernel takes a quote off the end only where one was taken off the beginning.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').map_or(text, |inner| inner.strip_suffix('"').unwrap_or(inner))
}

/// `-` and `_` are one in a parameter's name (`parameq`).
pub fn is_same_name(a: &str, b: &str) -> bool {
    let plain = |c: u8| if c == b'-' { b'_' } else { c };
    a.bytes().map(plain).eq(b.bytes().map(plain))
}

/// The value of a parameter: of several the last, as a boot loader's menu appends to a line that stands.
/// A bare name has the value "".
pub fn value<'a>(parameters: &[Parameter<'a>], name: &str) -> Option<&'a str> {
    let found = parameters.iter().rev().find(|p| is_same_name(p.name, name))?;
    Some(found.value.unwrap_or_default())
}

/// The values of all of that name, in their order.
pub fn values<'a>(parameters: &[Parameter<'a>], name: &str) -> impl Iterator<Item = &'a str> {
    parameters.iter().filter(move |p| is_same_name(p.name, name)).map(|p| p.value.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_as_the_kernel_cuts_them() {
        for (text, expected) in [
            ("", &[][..]),
            ("quiet  ro\n", &[("quiet", None), ("ro", None)]),
            ("console=ttyS0,115200 panic=-1", &[("console", Some("ttyS0,115200")), ("panic", Some("-1"))]),
            ("kboot.boot=\"a b; c\" ro", &[("kboot.boot", Some("a b; c")), ("ro", None)]),
            ("\"kboot.boot=a b; c\" ro", &[("kboot.boot", Some("a b; c")), ("ro", None)]),
            ("a=b\"c d\"e f", &[("a", Some("b\"c d\"e")), ("f", None)]),
            ("a=\"\" b=", &[("a", Some("")), ("b", Some(""))]),
            ("a=b=c", &[("a", Some("b=c"))]),
            ("a=\"open to the end", &[("a", Some("open to the end"))]),
            ("a=b\" c", &[("a", Some("b\" c"))]),
            ("ro -- single a=b", &[("ro", None)]),
            ("--x \"--\" y", &[("--x", None)]),
        ] {
            let found: Vec<_> = parse(text).iter().map(|p| (p.name, p.value)).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn the_last_of_a_name_counts_however_its_dashes_are_written() {
        let line = parse("kboot.out-interface=a kboot.out_interface=b kboot.rescue");
        assert_eq!(value(&line, "kboot.out-interface"), Some("b"));
        assert_eq!(value(&line, "kboot_rescue"), None);
        assert_eq!(value(&line, "kboot.rescue"), Some(""));
        assert_eq!(value(&line, "kboot.other"), None);
    }
}

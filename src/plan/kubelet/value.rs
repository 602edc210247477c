//! What the kubelet's own flags say.

/// The last value that they give to one of them, `--flag=value` or `--flag value`; `_` is `-` in names, as
/// pflag is set up.
pub fn flag_value<'a>(flags: &'a [String], name: &str) -> Option<&'a str> {
    let is_it = |flag: &str| flag.strip_prefix("--").is_some_and(|f| f.replace('_', "-") == name);
    flags.iter().enumerate().rev().find_map(|(at, word)| match word.split_once('=') {
        Some((flag, value)) => is_it(flag).then_some(value),
        None if is_it(word) => flags.get(at + 1).map(String::as_str),
        None => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_counts() {
        for (flags, expected) in [
            ("", None),
            ("--v=2 --port=1 --port 2", Some("2")),
            ("--root_dir /a --x", Some("/a")),
            ("--root-dir", None),
            ("root-dir=/a", None),
        ] {
            let flags: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
            assert_eq!(flag_value(&flags, "port").or(flag_value(&flags, "root-dir")), expected, "{flags:?}");
        }
    }
}

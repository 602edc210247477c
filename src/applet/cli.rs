//! From argv to what argh reads. argh takes neither `--name=value` nor `-vq`, lets stray words pass
//! and prints over several lines; so the words are judged here, against the same table that argh's
//! derive makes of each applet's options, and argh gets them in the one form it understands.

use std::ffi::OsString;

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, FromArgs, Optionality};

use super::near;
use crate::error::{Error, Result, one_line};

/// How argh begins where an option has to be there and is not.
pub const MISSING: &str = "Required options not provided";

/// The words of one call, checked against the applet's options.
pub struct Words {
    pub(super) applet: &'static str,
    /// The options in their order, each with its value if it takes one.
    pub(super) given: Vec<(String, Option<String>)>,
    /// Which environment variable an option's value came from.
    pub(super) from_env: Vec<(String, String)>,
    /// What followed `--`; `None` when there was no `--`.
    pub rest: Option<Vec<String>>,
    /// `-h` or `--help` was among them.
    pub help: bool,
}

impl Words {
    /// Scans argv (without argv[0] and the applet's name).
    pub fn scan(applet: &'static str, info: &CommandInfoWithArgs, argv: &[OsString]) -> Result<Self> {
        let mut words = Vec::with_capacity(argv.len());
        for (at, word) in argv.iter().enumerate() {
            let text = word.to_str().ok_or_else(|| {
                Error::usage(format!("argument {} is not UTF-8: {}", at + 1, word.to_string_lossy()))
            })?;
            words.push(text.to_owned());
        }
        let rest = words.iter().position(|w| w == "--").map(|at| {
            let rest = words.split_off(at + 1);
            words.pop();
            rest
        });
        let mut scan = Self { applet, given: Vec::new(), from_env: Vec::new(), rest, help: false };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            scan.take(info, &word, &mut words)?;
        }
        Ok(scan)
    }

    fn take(
        &mut self,
        info: &CommandInfoWithArgs,
        word: &str,
        more: &mut impl Iterator<Item = String>,
    ) -> Result<()> {
        if let Some(long) = word.strip_prefix("--") {
            return self.take_long(info, long, more);
        }
        match word.strip_prefix('-') {
            Some(shorts) if !shorts.is_empty() => self.take_shorts(info, shorts, more),
            _ => {
                let hint = near::own_option(info, &format!("--{word}"));
                let hint = if hint.is_empty() { ": options start with --" } else { &hint };
                Err(Error::usage(format!("stray word {word:?}{hint}")))
            }
        }
    }

    fn take_long(
        &mut self,
        info: &CommandInfoWithArgs,
        long: &str,
        more: &mut impl Iterator<Item = String>,
    ) -> Result<()> {
        let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v.to_owned())));
        if name == "help" && value.is_none() {
            self.help = true;
            return Ok(());
        }
        let flag = find_long(info, name)?;
        match (matches!(flag.kind, FlagInfoKind::Switch), value) {
            (true, Some(_)) => Err(Error::usage(format!("--{name} takes no value"))),
            (true, None) => self.add(flag, None),
            (false, Some(value)) => self.add(flag, Some(value)),
            (false, None) => {
                // `--name --mtu 1400`: a forgotten value, not a link called --mtu.
                let is_option = |v: &String| v.strip_prefix("--").is_some_and(|n| find_long(info, n).is_ok());
                let value = more.next().filter(|v| !is_option(v));
                let value = value.ok_or_else(|| Error::usage(format!("--{name} needs a value")))?;
                self.add(flag, Some(value))
            }
        }
    }

    /// `-vq`: one letter each; `-d FILE`, `-dFILE`: what takes a value takes the rest, or the next word.
    fn take_shorts(
        &mut self,
        info: &CommandInfoWithArgs,
        shorts: &str,
        more: &mut impl Iterator<Item = String>,
    ) -> Result<()> {
        for (at, short) in shorts.char_indices() {
            if short == 'h' {
                self.help = true;
                continue;
            }
            let flag = info.flags.iter().find(|f| f.short == Some(short));
            let flag = flag.ok_or_else(|| {
                // `-dry-run`, as Go's flag package has it.
                let long = shorts.split('=').next().unwrap_or_default();
                let hint =
                    if long.len() > 2 { near::own_option(info, &format!("--{long}")) } else { String::new() };
                let shown = if hint.is_empty() { short.to_string() } else { long.to_owned() };
                Error::usage(format!("unknown option -{shown}{hint}"))
            })?;
            if !matches!(flag.kind, FlagInfoKind::Switch) {
                let rest = &shorts[at + short.len_utf8()..];
                let value = if rest.is_empty() { more.next() } else { Some(rest.to_owned()) };
                let value = value.ok_or_else(|| Error::usage(format!("-{short} needs a value")))?;
                return self.add(flag, Some(value));
            }
            self.add(flag, None)?;
        }
        Ok(())
    }

    pub(super) fn add(&mut self, flag: &FlagInfo<'_>, value: Option<String>) -> Result<()> {
        let repeats = matches!(flag.optionality, Optionality::Repeating) || flag.long == "--verbose";
        if !repeats && self.has(flag.long) {
            return Err(Error::usage(format!("{} is given twice", flag.long)));
        }
        if value.as_deref() == Some("") {
            return Err(Error::usage(format!("{} '': is empty (an unset variable?)", flag.long)));
        }
        self.given.push((flag.long.to_owned(), value));
        Ok(())
    }

    pub fn has(&self, long: &str) -> bool {
        self.given.iter().any(|(option, _)| option == long)
    }

    /// How often a switch was given.
    pub fn count(&self, long: &str) -> u8 {
        u8::try_from(self.given.iter().filter(|(o, _)| o == long).count()).unwrap_or(u8::MAX)
    }

    /// Whether the command line itself gives it, not a variable.
    pub fn is_typed(&self, long: &str) -> bool {
        self.has(long) && self.source(long) == long
    }

    /// Where an option's value came from: the option itself, or a variable.
    pub fn source<'w>(&'w self, long: &'w str) -> &'w str {
        self.from_env.iter().find(|(option, _)| option == long).map_or(long, |(_, name)| name)
    }

    /// Lets argh make the applet's struct of the words; what it finds wrong is exit 2, on one line.
    pub fn parse<A: FromArgs>(&self) -> Result<A> {
        let words: Vec<&str> =
            self.given.iter().flat_map(|(o, v)| [Some(o.as_str()), v.as_deref()]).flatten().collect();
        A::from_args(&["kboot", self.applet], &words).map_err(|exit| Error::usage(self.reword(&exit.output)))
    }

    /// `Error parsing option '--name' with value 'x': why` -> `--name x: why`, or, where the value
    /// came from the environment, `KBOOT_NAME=x: why`.
    fn reword(&self, output: &str) -> String {
        let text = one_line(output);
        let parts = text.strip_prefix("Error parsing option '").and_then(|t| {
            let (option, t) = t.split_once("' with value '")?;
            let (value, why) = t.rsplit_once("': ")?;
            Some((option, value, why))
        });
        match parts {
            Some((option, value, why)) => {
                let (value, why) = (masked(option, value), in_words(why));
                match self.source(option) {
                    name if name != option => format!("{name}={value}: {why}"),
                    _ => format!("{option} {value}: {why}"),
                }
            }
            None => text,
        }
    }
}

/// A value without what may be secret in it: the user and password of a URL, a variable's value.
fn masked(option: &str, value: &str) -> String {
    if let ("--env", Some((name, _))) = (option, value.split_once('=')) {
        return format!("{name}=…");
    }
    let (scheme, rest) = value.split_once("://").unwrap_or(("", value));
    match rest.split('/').next().and_then(|authority| authority.rfind('@')) {
        Some(at) if !scheme.is_empty() => format!("{scheme}://…{}", &rest[at..]),
        _ => value.to_owned(),
    }
}

/// Rust's words for numbers (core::num::IntErrorKind) in an operator's.
fn in_words(why: &str) -> &str {
    match why {
        "invalid digit found in string" => "is not a whole number",
        "number too large to fit in target type" => "is too large a number",
        "number too small to fit in target type" => "is too small a number",
        other => other,
    }
}

fn find_long<'i>(info: &'i CommandInfoWithArgs, name: &str) -> Result<&'i FlagInfo<'i>> {
    let long = format!("--{name}");
    let found = info.flags.iter().find(|f| f.long == long);
    found.ok_or_else(|| Error::usage(format!("unknown option {long}{}", near::option(info, &long))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::APPLETS;

    fn scan(words: &[&str]) -> Result<Words> {
        let argv: Vec<OsString> = words.iter().map(OsString::from).collect();
        let bridge = APPLETS.iter().find(|a| a.name == "bridge").unwrap();
        Words::scan("bridge", &(bridge.info)(), &argv)
    }

    fn words(given: &[&str]) -> Vec<String> {
        flat(&scan(given).unwrap())
    }

    fn flat(words: &Words) -> Vec<String> {
        words.given.iter().flat_map(|(o, v)| [Some(o.clone()), v.clone()]).flatten().collect()
    }

    #[test]
    fn both_spellings_and_clusters_become_one_form() {
        assert_eq!(
            words(&["--name=br7", "--mtu", "1400", "-vvq"]),
            ["--name", "br7", "--mtu", "1400", "--verbose", "--verbose", "--quiet"]
        );
        assert_eq!(words(&["--subnet=x", "--subnet", "a=b"]), ["--subnet", "x", "--subnet", "a=b"]);
    }

    #[test]
    fn what_follows_two_dashes_is_left_alone() {
        let found = scan(&["-q", "--", "--nonsense", "--", "-x"]).unwrap();
        assert_eq!(flat(&found), ["--quiet"]);
        assert_eq!(found.rest.unwrap(), ["--nonsense", "--", "-x"]);
    }

    #[test]
    fn no_secret_is_repeated() {
        for (option, value, shown) in [
            ("--server", "https://bob:hunter2@10.0.0.1:6443/x", "https://…@10.0.0.1:6443/x"),
            ("--server", "https://10.0.0.1/@x", "https://10.0.0.1/@x"),
            ("--env", "A B=secret", "A B=…"),
            ("--label", "a@b", "a@b"),
        ] {
            assert_eq!(masked(option, value), shown);
        }
    }

    #[test]
    fn usage_errors_in_one_line() {
        for (given, error) in [
            (&["--nmae", "x"][..], "unknown option --nmae: did you mean --name?"),
            (&["--qqqqqq"], "unknown option --qqqqqq"),
            (&["-x"], "unknown option -x"),
            (&["word"], "stray word \"word\": options start with --"),
            (&["-"], "stray word \"-\": options start with --"),
            (&["--name"], "--name needs a value"),
            (&["--name", "--mtu", "1400"], "--name needs a value"),
            (&["--name=a", "--name", "b"], "--name is given twice"),
            (&["--json", "--json"], "--json is given twice"),
            (&["--json=yes"], "--json takes no value"),
            (&["--name="], "--name '': is empty (an unset variable?)"),
            (&["-dry-run"], "unknown option -dry-run: did you mean --dry-run?"),
            (&["-quiet"], "unknown option -quiet: did you mean --quiet?"),
            (&["-nmae=x"], "unknown option -nmae: did you mean --name?"),
            (&["--masq", "x"], "unknown option --masq: did you mean --masquerade?"),
            (&["--out", "x"], "unknown option --out: did you mean --out-interface?"),
            (&["--node-name", "x"], "unknown option --node-name: did you mean --name?"),
            (&["--no"], "unknown option --no"),
            (&["--wait-ready"], "unknown option --wait-ready: register has it"),
            // Both are near to an option of bridge's.
            (&["--role", "x"], "unknown option --role: units and cloud-init have it"),
            (&["--boot"], "unknown option --boot: init and mkinitramfs have it"),
            (&["--cert=x"], "unknown option --cert: etcd-config, flannel-env and register have it"),
            (&["help"], "stray word \"help\": did you mean --help?"),
            (&["chekc"], "stray word \"chekc\": did you mean --check?"),
        ] {
            let found = scan(given).err().map(|e| e.to_string());
            assert_eq!(found.as_deref(), Some(error));
        }
    }
}

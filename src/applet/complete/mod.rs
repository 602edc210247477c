//! `--completion SHELL` prints a shell's script. At each TAB that script asks kboot itself, `--complete NAME
//! [WORD...] CURRENT`, for what can stand in CURRENT's place; so it can never disagree with the binary.
//!
//! The answer is a line for each candidate, all of the word, a TAB and a few words about it behind where there
//! are some; which of them begin as CURRENT does the shell finds out, by its own rules. A line with a colon in
//! front is for the script: `:files PREFIX`, `:directories PREFIX` and `:commands`, the shell's own, behind that
//! much of the word. Nothing is waited for, written or logged.

mod values;

use std::ffi::{OsStr, OsString};
use std::fmt::Write;

use argh::{FlagInfo, FlagInfoKind, Optionality};

use super::{APPLETS, Applet, by_zeroth, find, install};
use crate::error::{Error, Result};
use crate::sys::stdio;

/// kboot's own options.
const OWN: [(&str, &str); 6] = [
    ("help", "what an applet takes"),
    ("--help", "what there is"),
    ("--list", "the applets' names"),
    ("--version", "which kboot this is"),
    ("--install", "links to the applets"),
    ("--completion", "a shell's script for completion"),
];

/// `--completion bash|zsh|fish`.
pub fn script(args: &[OsString]) -> Result<()> {
    let text = match args {
        [shell] if shell == "bash" => include_str!("bash"),
        [shell] if shell == "zsh" => include_str!("zsh"),
        [shell] if shell == "fish" => include_str!("fish"),
        _ => return Err(Error::usage("--completion takes bash, zsh or fish")),
    };
    let links: Vec<&str> = APPLETS.iter().map(|a| a.name).filter(|n| install::has_link(n)).collect();
    stdio::out(&text.replace("@LINKS@", &links.join(" ")))
}

/// `--complete NAME [WORD...] CURRENT`.
pub fn answer(args: &[OsString]) {
    let mut answer = Answer::default();
    if let [name, words @ .., current] = args {
        let words: Vec<_> = words.iter().map(|w| w.to_string_lossy()).collect();
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let current = current.to_string_lossy();
        match by_zeroth(name) {
            Some(applet) => answer.applet(applet, &words, &current),
            None => answer.kboot(&words, &current),
        }
    }
    // A shell that went away has no use for it.
    let _ = stdio::out(&answer.0);
}

/// The lines for the shell.
#[derive(Default)]
struct Answer(String);

impl Answer {
    /// A candidate. bash puts it into the line as it is: of what was found on this host, no name that means
    /// more than itself there.
    fn add(&mut self, word: &str, about: &str) {
        if word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-@+:/=,".contains(&b)) {
            let tab = if about.is_empty() { "" } else { "\t" };
            let _ = writeln!(self.0, "{word}{tab}{about}");
        }
    }

    /// A word for the script.
    fn tell(&mut self, word: &str, prefix: &str) {
        let _ = writeln!(self.0, ":{word} {prefix}");
    }

    fn applets(&mut self) {
        for applet in &APPLETS {
            self.add(applet.name, brief(applet.summary));
        }
    }

    fn kboot(&mut self, words: &[&str], current: &str) {
        match words {
            [] => {
                self.applets();
                for (word, about) in OWN {
                    self.add(word, about);
                }
            }
            ["help"] => self.applets(),
            ["--completion"] => ["bash", "zsh", "fish"].iter().for_each(|shell| self.add(shell, "")),
            ["--install"] => {
                self.add("-s", "symbolic links");
                self.tell("directories", "");
            }
            ["--install", "-s"] => self.tell("directories", ""),
            [name, words @ ..] => {
                if let Some(applet) = find(OsStr::new(name)) {
                    self.applet(applet, words, current);
                }
            }
        }
    }

    /// An option's value, or the options that are not given yet.
    fn applet(&mut self, applet: &Applet, words: &[&str], current: &str) {
        let info = (applet.info)();
        let mut given: Vec<&str> = Vec::new();
        let mut open: Option<&FlagInfo<'_>> = None;
        for (at, word) in words.iter().enumerate() {
            if open.take().is_some() {
                continue;
            }
            if *word == "--" {
                return self.rest(applet, words.len() - at - 1);
            }
            let (flags, value) = read(info.flags, word);
            given.extend(flags.iter().map(|f| f.long));
            open = flags.last().copied().filter(|f| value.is_none() && takes_value(f));
        }
        if let Some(flag) = open {
            return self.value(applet, flag, "", current);
        }
        if let (flags, Some(value)) = read(info.flags, current) {
            if let Some(flag) = flags.last().filter(|f| takes_value(f)) {
                self.value(applet, flag, &current[..current.len() - value.len()], value);
            }
            return;
        }
        for flag in info.flags.iter().filter(|f| repeats(f) || !given.contains(&f.long)) {
            let about = if flag.long == "--help" { "what it takes" } else { brief(flag.description) };
            self.add(flag.long, about);
        }
        if let Some(rest) = applet.rest {
            self.add("--", rest);
        }
    }

    /// What follows `--`, where something does: a command's words, or flags of the kubelet's.
    fn rest(&mut self, applet: &Applet, before: usize) {
        match applet.rest {
            Some(rest) if before == 0 && rest.starts_with("COMMAND") => self.tell("commands", ""),
            Some(_) => self.tell("files", ""),
            None => {}
        }
    }
}

/// The options that a word gives, and the value that stands in it: `--name=value`, `-vq`, `-oFILE`.
fn read<'f, 'w>(flags: &'f [FlagInfo<'f>], word: &'w str) -> (Vec<&'f FlagInfo<'f>>, Option<&'w str>) {
    if word.starts_with("--") {
        let (long, value) = word.split_once('=').map_or((word, None), |(long, value)| (long, Some(value)));
        return (flags.iter().filter(|f| f.long == long).collect(), value);
    }
    let mut found = Vec::new();
    for (at, short) in word.strip_prefix('-').unwrap_or_default().char_indices() {
        let rest = &word[1 + at + short.len_utf8()..];
        let Some(flag) = flags.iter().find(|f| f.short == Some(short)) else { break };
        found.push(flag);
        if takes_value(flag) {
            return (found, Some(rest).filter(|r| !r.is_empty()));
        }
    }
    (found, None)
}

fn takes_value(flag: &FlagInfo<'_>) -> bool {
    matches!(flag.kind, FlagInfoKind::Option { .. })
}

fn repeats(flag: &FlagInfo<'_>) -> bool {
    matches!(flag.optionality, Optionality::Repeating) || flag.long == "--verbose"
}

/// Its first words: shells cut the rest at the screen's edge anyway.
fn brief(text: &str) -> &str {
    [" (default", "; "].iter().fold(text, |text, end| text.split(end).next().unwrap_or_default())
}

//! The operator's own flags, checked against the table: what that version does not know is left out.

use super::Version;
use super::table::{self, Flag, Standing};

/// The operator's flags, as far as that version takes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// As they were written.
    pub(super) words: Vec<String>,
    /// Those that are known: the name without dashes, `-` for `_`, and the value; a switch alone is `true`.
    given: Vec<(&'static str, Option<String>)>,
    /// One line each.
    pub(super) notes: Vec<String>,
}

type Rest<'a> = std::slice::Iter<'a, String>;

impl Extra {
    /// Goes through the words as the kubelet's pflag does: `--name=value`, `--name value` (whatever the value
    /// begins with), `--switch`, `-v 2`, `-v=2`, `-v2`; behind `--` nothing is a flag. An error is one line,
    /// for bad input.
    pub fn read(words: &[String], version: Version) -> Result<Self, String> {
        let mut extra = Self::default();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if word == "--" {
                extra.words.push(word.clone());
                extra.words.extend(rest.by_ref().cloned());
            } else if let Some(long) = word.strip_prefix("--") {
                let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v)));
                extra.long(word, name, value, &mut rest, version)?;
            } else if let Some(short) = word.strip_prefix('-').filter(|s| !s.is_empty()) {
                extra.short(word, short, &mut rest);
            } else {
                let note = format!("{word} is no flag (a switch is turned off by --name=false): passed on");
                extra.notes.push(note);
                extra.words.push(word.clone());
            }
        }
        Ok(extra)
    }

    /// Whether that version gets a flag of that name from them.
    pub fn gives(&self, name: &str) -> bool {
        self.given.iter().any(|(given, _)| *given == name)
    }

    /// What that version is given for it: the last one counts.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.given.iter().rev().find(|(given, _)| *given == name)?.1.as_deref()
    }

    /// Whether they turn a switch on or off, in any of the words that Go has for that (strconv.ParseBool).
    pub fn switch(&self, name: &str) -> Option<bool> {
        match self.value(name)? {
            "true" | "True" | "TRUE" | "t" | "T" | "1" => Some(true),
            "false" | "False" | "FALSE" | "f" | "F" | "0" => Some(false),
            _ => None,
        }
    }

    fn long(
        &mut self,
        word: &str,
        name: &str,
        value: Option<&str>,
        rest: &mut Rest<'_>,
        version: Version,
    ) -> Result<(), String> {
        match table::standing(name, version.column()) {
            Standing::Lives(flag) => {
                refuse(&flag, version)?;
                self.notes.extend(caution(&flag, version));
                self.words.push(word.to_owned());
                let value = match value {
                    Some(value) => Some(value.to_owned()),
                    None if flag.takes_value => rest.next().cloned().inspect(|v| self.words.push(v.clone())),
                    None => Some("true".to_owned()),
                };
                self.given.push((flag.name, value));
            }
            Standing::Dead(flag) => {
                let why = flag.why_not(version.column());
                self.notes.push(format!("--{} is left out for kubelet {version}: {why}", flag.name));
                if flag.takes_value && value.is_none() {
                    rest.next();
                }
            }
            Standing::Unknown => {
                self.notes.push(format!("--{name} is unknown to kboot: passed on to kubelet {version}"));
                self.words.push(word.to_owned());
                let next = rest.clone().next().filter(|next| value.is_none() && !next.starts_with('-'));
                if let Some(next) = next {
                    self.words.push(next.clone());
                    rest.next();
                }
            }
        }
        Ok(())
    }

    /// The kubelet has two short flags: -v with a value, -h without.
    fn short(&mut self, word: &str, short: &str, rest: &mut Rest<'_>) {
        self.words.push(word.to_owned());
        match short {
            "v" => self.words.extend(rest.next().cloned()),
            "h" => {}
            _ if short.starts_with('v') => {}
            _ => {
                let note = format!("{word} is unknown to kboot (a long flag has two dashes): passed on");
                self.notes.push(note);
            }
        }
    }
}

/// What would part the kubelet from what kboot itself does with the same value.
fn refuse(flag: &Flag, version: Version) -> Result<(), String> {
    let why = match flag.name {
        "hostname-override" => "give --name to kboot instead: register must use the same",
        "kubeconfig" => {
            "give --kubeconfig to kboot instead: it checks that file, and register must use the same"
        }
        "api-servers" => "give --server to kboot instead: register must use the same",
        "container-runtime" | "container-runtime-endpoint" => {
            "give --runtime to kboot instead: it waits for that one and looks at it"
        }
        "config" if version.column() >= 28 => {
            "kboot writes that file: give flags instead, or files of your own in a --config-dir"
        }
        "config" if version.column() >= 10 => "kboot writes that file: give flags instead",
        _ => return Ok(()),
    };
    Err(format!("--{}: {why}", flag.name))
}

/// What else a flag wants.
fn caution(flag: &Flag, version: Version) -> Option<String> {
    (flag.name == "config-dir" && version.column() < 30).then(|| {
        format!("--config-dir: kubelet {version} ends, unless KUBELET_CONFIG_DROPIN_DIR_ALPHA is in its environment (--env)")
    })
}

#[cfg(test)]
mod tests;

//! The operator's own flags, checked against the table: what that version does not know is left out.

use super::Version;
use super::table::{self, Flag, Standing};

/// The operator's flags, as far as that version takes them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extra {
    /// As they were written.
    pub words: Vec<String>,
    /// The names of those that are known, without dashes, `-` for `_`.
    pub given: Vec<&'static str>,
    /// One line each.
    pub notes: Vec<String>,
}

/// Goes through the words as the kubelet's pflag does: `--name=value`, `--name value` (whatever the value
/// begins with), `--switch`, `-v 2`, `-v=2`, `-v2`; behind `--` nothing is a flag.
pub(super) fn check(words: &[String], version: Version) -> Result<Extra, String> {
    let mut extra = Extra::default();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            extra.words.push(word.clone());
            extra.words.extend(rest.by_ref().cloned());
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v)));
            extra.long(word, name, value.is_some(), &mut rest, version)?;
        } else if let Some(short) = word.strip_prefix('-').filter(|s| !s.is_empty()) {
            extra.short(word, short, &mut rest);
        } else {
            extra
                .notes
                .push(format!("{word} is no flag (a switch is turned off by --name=false): passed on"));
            extra.words.push(word.clone());
        }
    }
    Ok(extra)
}

type Rest<'a> = std::slice::Iter<'a, String>;

impl Extra {
    fn long(
        &mut self,
        word: &str,
        name: &str,
        has_value: bool,
        rest: &mut Rest<'_>,
        version: Version,
    ) -> Result<(), String> {
        match table::standing(name, version.column()) {
            Standing::Lives(flag) => {
                refuse(&flag, version)?;
                self.notes.extend(caution(&flag, version));
                self.words.push(word.to_owned());
                self.given.push(flag.name);
                if flag.takes_value && !has_value {
                    self.words.extend(rest.next().cloned());
                }
            }
            Standing::Dead(flag) => {
                let why = flag.why_not(version.column());
                self.notes.push(format!("--{} is left out for kubelet {version}: {why}", flag.name));
                if flag.takes_value && !has_value {
                    rest.next();
                }
            }
            Standing::Unknown => {
                self.notes.push(format!("--{name} is unknown to kboot: passed on to kubelet {version}"));
                self.words.push(word.to_owned());
                let value = rest.clone().next().filter(|next| !has_value && !next.starts_with('-'));
                if let Some(value) = value {
                    self.words.push(value.clone());
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
mod tests {
    use super::*;

    fn checked(minor: u32, words: &str) -> Extra {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        check(&words, Version { minor }).unwrap()
    }

    #[test]
    fn what_is_known_is_passed_as_it_was_written() {
        for words in [
            "--v=2",
            "-v 2",
            "-v=2",
            "-v2 -h",
            "--node-labels a=b --fail-swap-on=false",
            "--eviction_hard memory.available<5%",
            "--oom-score-adj -5 --v 2",
            "--register-with-taints=k=v:NoSchedule",
            "--node-labels",
            "--v=2 -- --api-servers x",
        ] {
            let extra = checked(20, words);
            assert_eq!((extra.words.join(" "), extra.notes.len()), (words.to_owned(), 0), "{extra:?}");
        }
        assert_eq!(checked(20, "--eviction_hard=x --v=2").given, ["eviction-hard", "v"]);
    }

    #[test]
    fn what_is_gone_or_not_there_yet_is_left_out_with_its_value() {
        for (minor, words, left, note) in [
            (
                20,
                "--api-servers http://x --v=2",
                "--v=2",
                "--api-servers is left out for kubelet 1.20: gone in 1.8; now: the kubeconfig's server",
            ),
            (
                20,
                "--api_servers=http://x",
                "",
                "--api-servers is left out for kubelet 1.20: gone in 1.8; now: the kubeconfig's server",
            ),
            (
                5,
                "--configure-cbr0 --v=2",
                "--v=2",
                "--configure-cbr0 is left out for kubelet 1.5: gone in 1.5; now: a network plugin",
            ),
            (
                20,
                "--config-dir -x --v=2",
                "--v=2",
                "--config-dir is left out for kubelet 1.20: it came in 1.28",
            ),
            (
                22,
                "--chaos-chance=1",
                "",
                "--chaos-chance is left out for kubelet 1.22: gone in 1.22, nothing replaces it",
            ),
            (
                7,
                "--config /m",
                "",
                "--config is left out for kubelet 1.7: gone in 1.6; now: --pod-manifest-path",
            ),
            (
                35,
                "--pod-infra-container-image p",
                "",
                "--pod-infra-container-image is left out for kubelet 1.35: gone in 1.35; now: the runtime's sandbox image",
            ),
            (
                32,
                "--runonce --v=2",
                "--v=2",
                "--runonce is left out for kubelet 1.32: gone in 1.32, nothing replaces it",
            ),
            (
                50,
                "--containerd /x",
                "",
                "--containerd is left out for kubelet 1.50: gone in 1.37; now: --container-runtime-endpoint",
            ),
            (
                20,
                "--container-log-x 5 --v=2",
                "--container-log-x 5 --v=2",
                "--container-log-x is unknown to kboot: passed on to kubelet 1.20",
            ),
            (
                29,
                "--config-dir /x",
                "--config-dir /x",
                "--config-dir: kubelet 1.29 ends, unless KUBELET_CONFIG_DROPIN_DIR_ALPHA is in its environment (--env)",
            ),
            (20, "--nope --v=2", "--nope --v=2", "--nope is unknown to kboot: passed on to kubelet 1.20"),
            (
                20,
                "--fail-swap-on false",
                "--fail-swap-on false",
                "false is no flag (a switch is turned off by --name=false): passed on",
            ),
            (
                20,
                "-logtostderr",
                "-logtostderr",
                "-logtostderr is unknown to kboot (a long flag has two dashes): passed on",
            ),
        ] {
            let extra = checked(minor, words);
            assert_eq!(
                (extra.words.join(" ").as_str(), extra.notes),
                (left, vec![note.to_owned()]),
                "{words}"
            );
        }
    }

    #[test]
    fn what_belongs_to_kboot_is_refused() {
        for (minor, words, why) in [
            (
                20,
                "--hostname-override=x",
                "--hostname-override: give --name to kboot instead: register must use the same",
            ),
            (
                1,
                "--hostname_override x",
                "--hostname-override: give --name to kboot instead: register must use the same",
            ),
            (20, "--config=/x", "--config: kboot writes that file: give flags instead"),
            (
                28,
                "--config /x",
                "--config: kboot writes that file: give flags instead, or files of your own in a --config-dir",
            ),
            (
                1,
                "--api-servers x",
                "--api-servers: give --server to kboot instead: register must use the same",
            ),
            (
                20,
                "--kubeconfig=/x",
                "--kubeconfig: give --kubeconfig to kboot instead: it checks that file, and register must use the same",
            ),
        ] {
            let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            assert_eq!(check(&words, Version { minor }).unwrap_err(), why);
        }
    }
}

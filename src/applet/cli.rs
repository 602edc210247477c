//! From argv to what argh reads. argh takes neither `--name=value` nor `-vq`, lets stray words pass
//! and prints over several lines; so the words are judged here, against the same table that argh's
//! derive makes of each applet's options, and argh gets them in the one form it understands.

use std::ffi::OsString;

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, FromArgs, Optionality};

use super::nearest::nearest;
use crate::error::{Error, Result, one_line};

/// Options of which one given on the command line keeps the environment from giving the other: a
/// lease is never mixed from two places.
const ONE_SET: [[&str; 2]; 1] = [["--subnet", "--env-file"]];

/// Options that mean something else in most other applets (a Node's name, a TLS key): from the
/// environment, only the applet's own variable counts for them.
const OWN_VARIABLE_ONLY: [(&str, &str); 2] = [("bridge", "--name"), ("docker-flags", "--key")];

/// The words of one call, checked against the applet's options.
pub struct Words {
    applet: &'static str,
    /// The options in their order, each with its value if it takes one.
    given: Vec<(String, Option<String>)>,
    /// Which environment variable an option's value came from.
    from_env: Vec<(String, String)>,
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
            let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v.to_owned())));
            if name == "help" && value.is_none() {
                self.help = true;
                return Ok(());
            }
            let flag = find_long(info, name)?;
            let is_switch = matches!(flag.kind, FlagInfoKind::Switch);
            return match (is_switch, value) {
                (true, Some(_)) => Err(Error::usage(format!("--{name} takes no value"))),
                (true, None) => self.add(flag, None),
                (false, Some(value)) => self.add(flag, Some(value)),
                (false, None) => {
                    let missing = || Error::usage(format!("--{name} needs a value"));
                    let value = more.next().ok_or_else(missing)?;
                    // `--name --mtu 1400`: a forgotten value, not a link called --mtu.
                    if value.starts_with("--") && find_long(info, &value[2..]).is_ok() {
                        return Err(missing());
                    }
                    self.add(flag, Some(value))
                }
            };
        }
        match word.strip_prefix('-') {
            Some(shorts) if !shorts.is_empty() => {
                for short in shorts.chars() {
                    if short == 'h' {
                        self.help = true;
                        continue;
                    }
                    let flag = info.flags.iter().find(|f| f.short == Some(short));
                    self.add(flag.ok_or_else(|| Error::usage(format!("unknown option -{short}")))?, None)?;
                }
                Ok(())
            }
            _ => Err(Error::usage(format!("stray word {word:?}: options start with --"))),
        }
    }

    fn add(&mut self, flag: &FlagInfo<'_>, value: Option<String>) -> Result<()> {
        let repeats = matches!(flag.optionality, Optionality::Repeating) || flag.long == "--verbose";
        if !repeats && self.has(flag.long) {
            return Err(Error::usage(format!("{} is given twice", flag.long)));
        }
        self.given.push((flag.long.to_owned(), value));
        Ok(())
    }

    fn has(&self, long: &str) -> bool {
        self.given.iter().any(|(option, _)| option == long)
    }

    /// How often a switch was given.
    pub fn count(&self, long: &str) -> u8 {
        u8::try_from(self.given.iter().filter(|(o, _)| o == long).count()).unwrap_or(u8::MAX)
    }

    /// Adds what the environment says of options that the command line is silent about:
    /// `KBOOT_BRIDGE_OUT_INTERFACE`, then `KBOOT_OUT_INTERFACE`. Empty means unset. A switch takes
    /// 1, true or yes, and 0, false or no; a repeatable option takes values separated by commas.
    pub fn add_environment(
        &mut self,
        info: &CommandInfoWithArgs,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<()> {
        let given: Vec<&str> = info.flags.iter().map(|f| f.long).filter(|l| self.has(l)).collect();
        for flag in info.flags {
            let shadowed =
                ONE_SET.iter().any(|set| set.contains(&flag.long) && set.iter().any(|l| given.contains(l)));
            if given.contains(&flag.long) || shadowed || flag.long == "--help" {
                continue;
            }
            let option = flag.long[2..].replace('-', "_").to_uppercase();
            let applet = self.applet.replace('-', "_").to_uppercase();
            let mut names = vec![format!("KBOOT_{applet}_{option}")];
            if !OWN_VARIABLE_ONLY.contains(&(self.applet, flag.long)) {
                names.push(format!("KBOOT_{option}"));
            }
            let found = names.into_iter().find_map(|n| get(&n).filter(|v| !v.is_empty()).map(|v| (n, v)));
            let Some((name, value)) = found else { continue };
            self.from_env.push((flag.long.to_owned(), name.clone()));
            match (&flag.kind, &flag.optionality) {
                (FlagInfoKind::Switch, _) => match value.as_str() {
                    "1" | "true" | "yes" => self.add(flag, None)?,
                    "0" | "false" | "no" => {}
                    _ => return Err(Error::usage(format!("{name}={value}: takes 1 or 0"))),
                },
                (_, Optionality::Repeating) => {
                    for item in value.split(',') {
                        self.add(flag, Some(item.to_owned()))?;
                    }
                }
                _ => self.add(flag, Some(value))?,
            }
        }
        Ok(())
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
            Some((option, value, why)) => match self.from_env.iter().find(|(o, _)| o == option) {
                Some((_, name)) => format!("{name}={value}: {why}"),
                None if value.is_empty() => format!("{option} '': {why}"),
                None => format!("{option} {value}: {why}"),
            },
            None => text,
        }
    }
}

fn find_long<'i>(info: &'i CommandInfoWithArgs, name: &str) -> Result<&'i FlagInfo<'i>> {
    let long = format!("--{name}");
    if let Some(flag) = info.flags.iter().find(|f| f.long == long) {
        return Ok(flag);
    }
    let near = nearest(&long, info.flags.iter().map(|f| f.long));
    let hint = near.map(|n| format!(": did you mean {n}?")).unwrap_or_default();
    Err(Error::usage(format!("unknown option {long}{hint}")))
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
        assert_eq!(words(&["--subnet=", "--subnet", "a=b"]), ["--subnet", "", "--subnet", "a=b"]);
    }

    #[test]
    fn what_follows_two_dashes_is_left_alone() {
        let found = scan(&["-q", "--", "--nonsense", "--", "-x"]).unwrap();
        assert_eq!(flat(&found), ["--quiet"]);
        assert_eq!(found.rest.unwrap(), ["--nonsense", "--", "-x"]);
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
        ] {
            let found = scan(given).err().map(|e| e.to_string());
            assert_eq!(found.as_deref(), Some(error));
        }
    }

    #[test]
    fn the_environment_fills_in_what_the_command_line_leaves_open() {
        let bridge = APPLETS.iter().find(|a| a.name == "bridge").unwrap();
        let env = |name: &str| {
            let value = match name {
                "KBOOT_BRIDGE_OUT_INTERFACE" => "own",
                "KBOOT_OUT_INTERFACE" => "all",
                "KBOOT_NAME" => "node-1",
                "KBOOT_MTU" => "1400",
                "KBOOT_SUBNET" => "10.1.2.1/24,fd00::1/64",
                "KBOOT_DRY_RUN" => "yes",
                "KBOOT_JSON" => "0",
                "KBOOT_ENV_FILE" => "",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let mut found = scan(&["--mtu=1300"]).unwrap();
        found.add_environment(&(bridge.info)(), env).unwrap();
        let text = flat(&found).join(" ");
        assert!(
            text.contains("--out-interface own") && text.contains("--mtu 1300") && !text.contains("1400"),
            "{text}"
        );
        assert!(
            text.contains("--subnet 10.1.2.1/24 --subnet fd00::1/64") && text.contains("--dry-run"),
            "{text}"
        );
        assert!(!text.contains("node-1"), "a Node's name is no bridge's: {text}");
        assert!(!text.contains("--json") && !text.contains("--env-file"), "{text}");

        let mut found = scan(&["--env-file", "x"]).unwrap();
        found.add_environment(&(bridge.info)(), env).unwrap();
        assert!(!found.has("--subnet"), "a lease is never mixed from two places");
    }
}

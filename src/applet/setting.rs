//! `--set NAME=VALUE`: an option of another applet, judged against the table before a host reads it.

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind};

use super::cli::Words;
use super::environment::{OWN_VARIABLE_ONLY, variable};
use super::{APPLETS, Applet};
use crate::plan::nearest::nearest;

/// A variable of `/etc/default/kboot`.
pub struct Setting {
    /// `KBOOT_SERVER`, `KBOOT_BRIDGE_OUT_INTERFACE`.
    pub variable: String,
    /// Its value: one line, not empty.
    pub value: String,
}

/// Takes the variable's name, `KBOOT_BRIDGE_MTU`, or the option's, `bridge.mtu`, or `mtu` for every applet
/// that has one.
pub fn parse(text: &str) -> Result<Setting, String> {
    let (name, value) =
        text.split_once('=').ok_or("is no NAME=VALUE, such as server=http://10.0.0.1:8080")?;
    if value.is_empty() || value.contains(char::is_control) {
        return Err(format!("the value of {name} is empty, or more than one line"));
    }
    let given = format!("KBOOT_{}", variable(strip_prefix(name)));
    if given == "KBOOT_ROLE" {
        return Err("that is --role".into());
    }
    let mut known = vec!["log".to_owned()];
    let mut is_known = given == "KBOOT_LOG";
    for applet in &APPLETS {
        let info = (applet.info)();
        for (option, flag) in names(applet, &info) {
            if given == format!("KBOOT_{}", variable(&option)) {
                is_known = true;
                judge(applet, &info, flag, (&given, value))?;
            }
            known.push(option);
        }
    }
    if !is_known {
        return Err(format!("no applet has such an option{}", hint(name, &known)));
    }
    Ok(Setting { variable: given, value: value.to_owned() })
}

/// Without what only says that it is kboot's.
fn strip_prefix(name: &str) -> &str {
    ["KBOOT_", "kboot.", "--"].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

/// What is for one run: on a host that boots it would keep the steps from their work.
const FOR_ONE_RUN: [&str; 6] = ["--dry-run", "--json", "--check", "--down", "--show", "--remove"];

/// What the applet itself would say of the value on the host.
fn judge(
    applet: &Applet,
    info: &CommandInfoWithArgs,
    flag: &FlagInfo<'_>,
    (given, value): (&str, &str),
) -> Result<(), String> {
    if FOR_ONE_RUN.contains(&flag.long) {
        return Err("is for one run, not for a host".into());
    }
    if matches!(flag.kind, FlagInfoKind::Switch) && !["1", "true", "yes", "0", "false", "no"].contains(&value)
    {
        return Err("is a switch: it takes 1 or 0".into());
    }
    let words = Words::scan(applet.name, info, &[]).and_then(|mut words| {
        words.add_environment(info, |name| (name == given).then(|| value.to_owned())).map(|()| words)
    });
    let wrong = match words {
        Ok(words) => applet.why_not(&words),
        Err(error) => Some(error),
    };
    let Some(text) = wrong.map(|error| error.to_string()) else { return Ok(()) };
    Err(text
        .rsplit_once(&format!("{given}="))
        .and_then(|(_, t)| t.split_once(": "))
        .map_or(text.clone(), |(_, why)| why.to_owned()))
}

/// What an applet reads, `bridge.mtu` and `mtu`.
fn names<'i>(applet: &'static Applet, info: &'i CommandInfoWithArgs) -> Vec<(String, &'i FlagInfo<'static>)> {
    let mut names = Vec::new();
    for flag in info.flags.iter().filter(|f| f.long != "--help") {
        let option = flag.long.trim_start_matches('-');
        names.push((format!("{}.{option}", applet.name), flag));
        if !OWN_VARIABLE_ONLY.contains(&(applet.name, flag.long)) {
            names.push((option.to_owned(), flag));
        }
    }
    names
}

/// The nearest name, spelled as the given one is.
fn hint(given: &str, known: &[String]) -> String {
    let as_variable = |name: &String| format!("KBOOT_{}", variable(name));
    let is_variable = given.starts_with("KBOOT_");
    let bare = strip_prefix(given).to_owned();
    let names: Vec<String> =
        if is_variable { known.iter().map(as_variable).collect() } else { known.to_vec() };
    let near = nearest(if is_variable { given } else { &bare }, names.iter().map(String::as_str));
    near.map(|n| format!(": did you mean {n}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_people_write_them() {
        for (text, variable, value) in [
            ("KBOOT_SERVER=http://10.99.3.1:8080", "KBOOT_SERVER", "http://10.99.3.1:8080"),
            ("bridge.out-interface=ens3", "KBOOT_BRIDGE_OUT_INTERFACE", "ens3"),
            ("kboot.register.label=a=b", "KBOOT_REGISTER_LABEL", "a=b"),
            ("--mtu=1400", "KBOOT_MTU", "1400"),
            ("mk-docker-opts.sh.key=OPTS", "KBOOT_MK_DOCKER_OPTS_SH_KEY", "OPTS"),
            ("bridge.no-masquerade=yes", "KBOOT_BRIDGE_NO_MASQUERADE", "yes"),
            ("label=a=b,c=d", "KBOOT_LABEL", "a=b,c=d"),
            ("log=debug", "KBOOT_LOG", "debug"),
        ] {
            let found = parse(text).map(|s| (s.variable, s.value));
            assert_eq!(found, Ok((variable.to_owned(), value.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_nothing_reads_is_told_at_once() {
        for (text, why) in [
            ("server", "is no NAME=VALUE, such as server=http://10.0.0.1:8080"),
            ("KBOOT_SEVER=x", "no applet has such an option: did you mean KBOOT_SERVER?"),
            ("bridge.nmae=br7", "no applet has such an option: did you mean bridge.name?"),
            ("kboot.regster.server=x", "no applet has such an option: did you mean register.server?"),
            ("wallpaper=blue", "no applet has such an option"),
            ("role=node", "that is --role"),
            ("server=", "the value of server is empty, or more than one line"),
            ("server=a\nb", "the value of server is empty, or more than one line"),
            ("replace=perhaps", "is a switch: it takes 1 or 0"),
            ("dry-run=1", "is for one run, not for a host"),
            ("bridge.mtu=abc", "is no MTU: give a number from 68 to 65535"),
            ("masquerade=10.10.0.0/33", "the prefix length is not a number from 0 to 32"),
            ("KBOOT_SERVER=ftp://x", "is no http, https or unix URL"),
            ("KBOOT_LABEL=a=b,c d", "is not KEY=VALUE"),
            ("docker-flags.format=jsn", "is none of flags, env, daemon-json and systemd"),
        ] {
            assert_eq!(parse(text).err().as_deref(), Some(why), "{text}");
        }
    }
}

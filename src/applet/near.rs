//! What was meant by a name that is nobody's: the end of an error's line.

use argh::{CommandInfoWithArgs, FlagInfo};

use super::APPLETS;
use crate::plan::nearest::nearest;

/// What kubeadm, kubectl and the kubelet call it.
const ELSEWHERE: [(&str, &str); 10] = [
    ("--token", "--token-file"),
    ("--bootstrap-token", "--bootstrap-token-file"),
    ("--discovery-token", "--bootstrap-token-file"),
    ("--discovery-token-ca-cert-hash", "--ca-hash"),
    ("--node-name", "--name"),
    ("--hostname-override", "--name"),
    ("--certificate-authority", "--cacert"),
    ("--client-certificate", "--cert"),
    ("--client-key", "--key"),
    ("--container-runtime-endpoint", "--runtime"),
];

/// What `kboot` itself takes in an applet's place.
const COMMANDS: [&str; 5] = ["--list", "--help", "--version", "--install", "--completion"];

/// `: did you mean --name?`, or nothing.
fn hint(near: Option<&str>) -> String {
    near.map(|near| format!(": did you mean {near}?")).unwrap_or_default()
}

/// The applet's own option that goes by that name, here or elsewhere.
fn exact<'i>(info: &'i CommandInfoWithArgs, long: &str) -> Option<&'i str> {
    let elsewhere = ELSEWHERE.iter().find(|(other, _)| *other == long).map(|(_, ours)| *ours);
    let find = |name: &str| info.flags.iter().map(|f| f.long).find(|k| *k == name);
    elsewhere.and_then(find).or_else(|| find(long))
}

/// The applet's own option that was meant.
pub fn own_option(info: &CommandInfoWithArgs, long: &str) -> String {
    hint(exact(info, long).or_else(|| nearest(long, info.flags.iter().map(|f| f.long))))
}

/// The applet's own option that was meant, unless others have exactly that.
pub fn option(info: &CommandInfoWithArgs, long: &str) -> String {
    let others = if exact(info, long).is_some() { Vec::new() } else { owners(long) };
    match others.as_slice() {
        [] => match own_option(info, long) {
            own if own.is_empty() && COMMANDS.contains(&long) => ": kboot itself has it".into(),
            own => own,
        },
        [one] => format!(": {one} has it"),
        [some @ .., last] => format!(": {} and {last} have it", some.join(", ")),
    }
}

fn owners(option: &str) -> Vec<&'static str> {
    let is_it = |f: &FlagInfo<'_>| f.long == option || f.short.is_some_and(|s| option == format!("-{s}"));
    APPLETS.iter().filter(|a| (a.info)().flags.iter().any(is_it)).map(|a| a.name).collect()
}

/// The applet that was meant, or what `kboot` itself takes.
pub fn applet(name: &str) -> String {
    let own = nearest(name.strip_prefix("kboot-").unwrap_or(name), APPLETS.iter().map(|a| a.name));
    hint(own.or_else(|| nearest(&format!("--{name}"), COMMANDS.into_iter())))
}

/// What was meant by an option in front of the applet's name.
pub fn command(option: &str) -> String {
    let option = option.split('=').next().unwrap_or_default();
    let near = hint(nearest(option, COMMANDS.into_iter()));
    if near.is_empty() && !owners(option).is_empty() {
        return ": an applet's options follow its name".into();
    }
    near
}

//! Files of flags

use crate::plan::subnet_env::Lease;
use crate::types::IfName;

/// Which bridge dockerd uses.
pub enum Mode {
    /// One that is there: `--bridge`. dockerd then sets no NAT of its own: who made the bridge does.
    Bridge(IfName),
    /// docker0 with the lease's address: `--bip`.
    Bip,
}

/// What kboot decides; an administrator's own flags beside them stay. `-b` is `--bridge`.
const OURS: [&str; 6] = ["--bridge", "-b", "--bip", "--iptables", "--ip-masq", "--mtu"];

/// The flags. docker's `--ip-masq` is flannel's turned round: one of the two masquerades, as
/// mk-docker-opts.sh has it.
pub fn flags(mode: &Mode, lease: &Lease, mtu: Option<u32>) -> Result<Vec<String>, String> {
    let mut flags = Vec::new();
    match mode {
        Mode::Bridge(name) => {
            flags.push(format!("--bridge={name}"));
            flags.push("--iptables=false".into());
            flags.push("--ip-masq=false".into());
        }
        Mode::Bip => {
            let subnet = lease.subnet.ok_or("--bip needs an IPv4 subnet: the lease has none")?;
            flags.push(format!("--bip={}", subnet.host()));
            if let Some(flannel_does) = lease.ipmasq {
                flags.push(format!("--ip-masq={}", !flannel_does));
            }
        }
    }
    if let Some(mtu) = mtu {
        flags.push(format!("--mtu={mtu}"));
    }
    Ok(flags)
}

/// `KEY="FLAGS"`, as a shell and systemd's EnvironmentFile read it.
pub fn assignment(key: &str, flags: &[String]) -> String {
    format!("{key}=\"{}\"\n", flags.join(" "))
}

/// A file as it is to be, and which of the administrator's flags made room for kboot's.
#[derive(Debug, PartialEq, Eq)]
pub struct Merged {
    /// The whole file.
    pub text: String,
    /// The line that is kboot's.
    pub line: String,
    /// Flags that were there and are not any more, with nothing of their name in their place.
    pub dropped: Vec<String>,
}

/// A file that holds a line of flags and nothing else.
pub fn merge_flags(old: &str, flags: &[String]) -> Result<Merged, String> {
    if old.lines().count() > 1 || !(old.trim().is_empty() || old.starts_with('-')) {
        return Err("holds something else than a line of flags: --format env, or another file".into());
    }
    let (mut all, dropped) = sort_out(old, flags)?;
    all.extend(flags.iter().cloned());
    let line = all.join(" ");
    Ok(Merged { text: format!("{line}\n"), line, dropped })
}

/// A file of assignments with ours in it: other lines and the administrator's other flags stay, in
/// their places. The error says what cannot be understood without a shell.
pub fn merge_env(old: &str, key: &str, flags: &[String]) -> Result<Merged, String> {
    let mut lines: Vec<String> = old.lines().map(str::to_owned).collect();
    let value_of = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("export ").unwrap_or(line);
        line.strip_prefix(key).and_then(|l| l.strip_prefix('=')).map(str::to_owned)
    };
    let found: Vec<(usize, String)> =
        lines.iter().enumerate().filter_map(|(at, l)| Some((at, value_of(l)?))).collect();
    let (at, value) = match found.as_slice() {
        [] => {
            lines.push(String::new());
            (lines.len() - 1, String::new())
        }
        [(at, _)] if lines[*at].starts_with([' ', '\t']) => {
            return Err(format!(
                "line {}: {key} is assigned inside something: write it at the line's start",
                at + 1
            ));
        }
        [(at, value)] => (*at, value.clone()),
        [_, (at, _), ..] => return Err(format!("line {}: {key} is assigned twice", at + 1)),
    };
    let (mut all, dropped) =
        sort_out(&value, flags).map_err(|why| format!("line {}: {key} {why}", at + 1))?;
    all.extend(flags.iter().cloned());
    let export = if lines[at].starts_with("export ") { "export " } else { "" };
    let line = format!("{export}{}", assignment(key, &all).trim_end());
    lines[at].clone_from(&line);
    Ok(Merged { text: format!("{}\n", lines.join("\n")), line, dropped })
}

/// Parts the flags of a value: those that stay, and those that kboot decides and has other words for.
fn sort_out(value: &str, flags: &[String]) -> Result<(Vec<String>, Vec<String>), String> {
    let value = value.trim();
    let inner = ['"', '\''].iter().find_map(|&q| value.strip_prefix(q)?.strip_suffix(q)).unwrap_or(value);
    if inner.chars().any(|c| "\"'\\$`;&|<>()#".contains(c)) {
        return Err("holds what only a shell can read: write it as plain flags".into());
    }
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    let mut words = inner.split_whitespace();
    while let Some(word) = words.next() {
        let (name, has_value) = word.split_once('=').map_or((word, false), |(n, _)| (n, true));
        if !OURS.contains(&name) {
            kept.push(word.to_owned());
            continue;
        }
        let mut flag = word.to_owned();
        if !has_value && !matches!(name, "--iptables" | "--ip-masq") {
            // `--bip 10.1.2.1/24`: the value is the next word. A boolean's never is.
            flag = words.next().map_or(flag, |value| format!("{word}={value}"));
        }
        // A new value of the same flag is what was asked for.
        let same_name = |f: &String| f.split('=').next() == Some(name);
        if !flags.iter().any(same_name) {
            dropped.push(flag);
        }
    }
    Ok((kept, dropped))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::subnet_env::{Read, parse};

    fn lease(masq: &str) -> Lease {
        let text = format!("FLANNEL_SUBNET=10.4.9.1/24\nFLANNEL_MTU=1472\n{masq}");
        match parse(&text).unwrap() {
            Read::Whole(lease) => lease,
            Read::Partial(why) => panic!("{why}"),
        }
    }

    #[test]
    fn the_seeds_flags() {
        let lease = lease("FLANNEL_IPMASQ=false\n");
        let flags = |mode| flags(&mode, &lease, lease.mtu).unwrap().join(" ");
        assert_eq!(
            flags(Mode::Bridge("cbr0".parse().unwrap())),
            "--bridge=cbr0 --iptables=false --ip-masq=false --mtu=1472"
        );
        assert_eq!(flags(Mode::Bip), "--bip=10.4.9.1/24 --ip-masq=true --mtu=1472");
    }

    #[test]
    fn flannels_masquerading_turned_round_or_left_out() {
        assert_eq!(
            flags(&Mode::Bip, &lease("FLANNEL_IPMASQ=true\n"), None).unwrap().join(" "),
            "--bip=10.4.9.1/24 --ip-masq=false"
        );
        assert_eq!(flags(&Mode::Bip, &lease(""), None).unwrap().join(" "), "--bip=10.4.9.1/24");
    }

    #[test]
    fn other_lines_and_other_flags_stay() {
        let ours = ["--bridge=cbr0".to_owned(), "--mtu=1472".to_owned()];
        for (old, new) in [
            ("", "DOCKER_OPTS=\"--bridge=cbr0 --mtu=1472\"\n"),
            ("# c\nX=1", "# c\nX=1\nDOCKER_OPTS=\"--bridge=cbr0 --mtu=1472\"\n"),
            (
                "DOCKER_OPTS='--dns 8.8.8.8 --bip 10.1.1.1/24 --iptables --mtu=9000'\nY=2\n",
                "DOCKER_OPTS=\"--dns 8.8.8.8 --bridge=cbr0 --mtu=1472\"\nY=2\n",
            ),
            (
                "#DOCKER_OPTS=\"--x\"\nexport DOCKER_OPTS=-b br0\n",
                "#DOCKER_OPTS=\"--x\"\nexport DOCKER_OPTS=\"--bridge=cbr0 --mtu=1472\"\n",
            ),
        ] {
            let merged = merge_env(old, "DOCKER_OPTS", &ours).unwrap();
            assert_eq!(merged.text, new);
            let again = merge_env(&merged.text, "DOCKER_OPTS", &ours).unwrap();
            assert_eq!((again.text.as_str(), again.dropped.len()), (new, 0), "a second time");
        }
    }

    #[test]
    fn what_made_room_is_told() {
        let ours = ["--bip=10.4.9.1/24".to_owned(), "--mtu=1472".to_owned()];
        let old = "DOCKER_OPTS=\"--iptables=false -b br0 --debug --mtu 1472\"\n";
        let merged = merge_env(old, "DOCKER_OPTS", &ours).unwrap();
        assert_eq!(merged.line, "DOCKER_OPTS=\"--debug --bip=10.4.9.1/24 --mtu=1472\"");
        assert_eq!(merged.dropped, ["--iptables=false", "-b=br0"]);
        let merged = merge_flags("--debug --bip=10.2.2.1/24\n", &ours).unwrap();
        assert_eq!(
            (merged.text.as_str(), merged.dropped.len()),
            ("--debug --bip=10.4.9.1/24 --mtu=1472\n", 0)
        );
        assert!(merge_flags("X=1\n", &ours).is_err() && merge_flags("--a\n--b\n", &ours).is_err());
        assert!(merge_env("if x; then\n  DOCKER_OPTS=--a\nfi\n", "DOCKER_OPTS", &ours).is_err());
    }

    #[test]
    fn what_needs_a_shell_is_left_alone() {
        let ours = ["--bridge=cbr0".to_owned()];
        assert!(
            merge_env("DOCKER_OPTS=\"$X --dns 1\"\n", "DOCKER_OPTS", &ours)
                .unwrap_err()
                .starts_with("line 1:")
        );
        assert!(
            merge_env("DOCKER_OPTS=a\nDOCKER_OPTS=b\n", "DOCKER_OPTS", &ours).unwrap_err().contains("twice")
        );
    }
}

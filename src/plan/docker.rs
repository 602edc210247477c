//! dockerd's network flags.

use super::subnet_env::Lease;
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

/// A file that holds a line of flags and nothing else.
pub fn flags_file(old: &str, flags: &[String]) -> Result<String, String> {
    if old.trim().is_empty() || (old.starts_with('-') && old.lines().count() == 1) {
        Ok(format!("{}\n", flags.join(" ")))
    } else {
        Err("holds something else than a line of flags: --format env, or another file".into())
    }
}

/// A file of assignments with ours in it: other lines and the administrator's other flags stay, in
/// their places. The error says what cannot be understood without a shell.
pub fn merge(old: &str, key: &str, flags: &[String]) -> Result<String, String> {
    let mut lines: Vec<String> = old.lines().map(str::to_owned).collect();
    let assigns = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("export ").unwrap_or(line);
        line.strip_prefix(key).and_then(|l| l.strip_prefix('=')).map(str::to_owned)
    };
    let found: Vec<(usize, String)> =
        lines.iter().enumerate().filter_map(|(at, l)| Some((at, assigns(l)?))).collect();
    let ours = match found.as_slice() {
        [] => {
            lines.push(assignment(key, flags).trim_end().to_owned());
            return Ok(joined(&lines));
        }
        [(at, value)] => {
            let mut all = foreign_flags(value).map_err(|why| format!("line {}: {key} {why}", at + 1))?;
            all.extend(flags.iter().cloned());
            (*at, assignment(key, &all))
        }
        [_, (at, _), ..] => return Err(format!("line {}: {key} is assigned twice", at + 1)),
    };
    let export = if lines[ours.0].trim_start().starts_with("export ") { "export " } else { "" };
    lines[ours.0] = format!("{export}{}", ours.1.trim_end());
    Ok(joined(&lines))
}

fn joined(lines: &[String]) -> String {
    format!("{}\n", lines.join("\n"))
}

/// The flags of an assignment that are not kboot's to decide.
fn foreign_flags(value: &str) -> Result<Vec<String>, String> {
    let value = value.trim();
    let inner = ['"', '\''].iter().find_map(|&q| value.strip_prefix(q)?.strip_suffix(q)).unwrap_or(value);
    if inner.chars().any(|c| "\"'\\$`;&|<>()#".contains(c)) {
        return Err("holds what only a shell can read: write it as plain flags".into());
    }
    let mut kept = Vec::new();
    let mut words = inner.split_whitespace();
    while let Some(word) = words.next() {
        let (name, has_value) = word.split_once('=').map_or((word, false), |(n, _)| (n, true));
        if !OURS.contains(&name) {
            kept.push(word.to_owned());
        } else if !has_value && !matches!(name, "--iptables" | "--ip-masq") {
            // `--bip 10.1.2.1/24`: the value is the next word. A boolean's never is.
            words.next();
        }
    }
    Ok(kept)
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
            let merged = merge(old, "DOCKER_OPTS", &ours).unwrap();
            assert_eq!(merged, new);
            assert_eq!(merge(&merged, "DOCKER_OPTS", &ours).unwrap(), new, "a second time");
        }
    }

    #[test]
    fn what_needs_a_shell_is_left_alone() {
        let ours = ["--bridge=cbr0".to_owned()];
        assert!(
            merge("DOCKER_OPTS=\"$X --dns 1\"\n", "DOCKER_OPTS", &ours).unwrap_err().starts_with("line 1:")
        );
        assert!(merge("DOCKER_OPTS=a\nDOCKER_OPTS=b\n", "DOCKER_OPTS", &ours).unwrap_err().contains("twice"));
    }
}

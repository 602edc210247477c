//! Whether docker's default bridge may be taken away.

use super::docker::values;

/// Its name, unless dockerd is told another.
pub use super::nat::docker0::NAME;

/// The link of that name.
pub struct Link {
    /// As `ip -d link` calls it.
    pub kind: String,
    /// The links that hang on it.
    pub ports: Vec<String>,
}

/// A dockerd that runs.
pub struct Dockerd {
    /// Its pid.
    pub pid: i32,
    /// Which bridge it is on, `none` without one; `None` when that is not known.
    pub bridge: Option<String>,
    /// The running containers of its default network.
    pub containers: Vec<String>,
}

/// What was found.
pub struct Facts {
    /// docker0, if it is there.
    pub link: Option<Link>,
    /// The dockerd of this network namespace, if one runs.
    pub dockerd: Option<Dockerd>,
}

/// Which bridge a dockerd is on: as its API says; before 1.9, which does not say it (but `answers`), and of
/// one that is silent, as its command line does. What daemon.json (1.10) says, the API says too.
pub fn bridge_of(argv: &[String], answers: bool, said: Option<String>) -> Option<String> {
    said.or_else(|| values(argv, "bridge").pop()).or_else(|| answers.then(|| NAME.to_owned()))
}

/// Where a dockerd listens, as a client's URL: its first unix socket, else the usual one, which is also
/// systemd's (`-H fd://`).
pub fn socket_of(argv: &[String]) -> String {
    let mut hosts = values(argv, "host").into_iter();
    hosts.find(|h| h.starts_with("unix:///")).unwrap_or_else(|| "unix:///var/run/docker.sock".into())
}

/// The error is a conflict. `force` is for a dockerd that runs: it goes on with no bridge until it is
/// started again. Containers would lose their network without a word, so nothing forces that.
pub fn may_go(facts: &Facts, force: bool) -> Result<(), String> {
    let link = facts.link.as_ref();
    if let Some(Link { kind, .. }) = link.filter(|l| l.kind != "bridge") {
        return Err(format!(
            "{NAME} is a {kind} device, not a bridge: not docker's: leave --replace-docker0 out"
        ));
    }
    let dockerd = facts.dockerd.as_ref().filter(|d| d.bridge.as_deref().is_none_or(|b| b == NAME));
    if let Some(Dockerd { containers, .. }) = dockerd.filter(|d| !d.containers.is_empty()) {
        let (list, words) = (containers.join(", "), containers.join(" "));
        return Err(format!("{NAME} has containers on it: {list}: stop them first (docker stop {words})"));
    }
    if let Some(Link { ports, .. }) = link.filter(|l| !l.ports.is_empty()) {
        let (list, first) = (ports.join(", "), &ports[0]);
        return Err(format!(
            "{NAME} has links on it: {list}: end the containers they belong to, or take them off (ip link set {first} nomaster)"
        ));
    }
    match dockerd {
        Some(Dockerd { pid, bridge, .. }) if !force => {
            let what = if bridge.is_some() {
                format!("runs on {NAME}")
            } else {
                "runs, on which bridge is not known".into()
            };
            Err(format!(
                "dockerd (pid {pid}) {what}: stop it (systemctl stop docker docker.socket; service docker stop) or give --force"
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    fn link(kind: &str, ports: &[&str]) -> Link {
        Link { kind: kind.into(), ports: strings(ports) }
    }

    fn dockerd(bridge: Option<&str>, containers: &[&str]) -> Dockerd {
        Dockerd { pid: 812, bridge: bridge.map(str::to_owned), containers: strings(containers) }
    }

    #[test]
    fn it_goes_when_nothing_hangs_on_it_and_no_dockerd_runs_on_it() {
        for (link, dockerd) in [
            (Some(link("bridge", &[])), None),
            (None, None),
            // dockerd with kboot's bridge already, and what docker0 was before.
            (Some(link("bridge", &[])), Some(dockerd(Some("cbr0"), &["web"]))),
            (Some(link("bridge", &[])), Some(dockerd(Some("none"), &[]))),
        ] {
            assert_eq!(may_go(&Facts { link, dockerd }, false), Ok(()));
        }
    }

    #[test]
    fn what_holds_it() {
        let stop = "stop it (systemctl stop docker docker.socket; service docker stop) or give --force";
        for (link, dockerd, force, text) in [
            (
                Some(link("vlan", &[])),
                None,
                true,
                "docker0 is a vlan device, not a bridge: not docker's: leave --replace-docker0 out".to_owned(),
            ),
            (
                Some(link("bridge", &["veth1", "veth2"])),
                Some(dockerd(Some("docker0"), &["web", "db"])),
                true,
                "docker0 has containers on it: web, db: stop them first (docker stop web db)".into(),
            ),
            (
                Some(link("bridge", &["veth1", "tap7"])),
                None,
                true,
                "docker0 has links on it: veth1, tap7: end the containers they belong to, or take them off (ip link set veth1 nomaster)".into(),
            ),
            (
                Some(link("bridge", &["tap7"])),
                Some(dockerd(Some("cbr0"), &["web"])),
                true,
                "docker0 has links on it: tap7: end the containers they belong to, or take them off (ip link set tap7 nomaster)".into(),
            ),
            (Some(link("bridge", &[])), Some(dockerd(Some("docker0"), &[])), false, format!("dockerd (pid 812) runs on docker0: {stop}")),
            (None, Some(dockerd(None, &[])), false, format!("dockerd (pid 812) runs, on which bridge is not known: {stop}")),
        ] {
            assert_eq!(may_go(&Facts { link, dockerd }, force), Err(text));
        }
        for bridge in [Some("docker0"), None] {
            let facts = Facts { link: Some(link("bridge", &[])), dockerd: Some(dockerd(bridge, &[])) };
            assert_eq!(may_go(&facts, true), Ok(()));
        }
    }

    #[test]
    fn which_bridge_a_dockerd_is_on() {
        let own = strings(&["docker", "-d", "-b=br7"]);
        let plain = strings(&["/usr/bin/dockerd", "-H", "fd://"]);
        for (argv, answers, said, bridge) in [
            (&plain, true, Some("cbr0"), Some("cbr0")),
            (&own, true, None, Some("br7")),
            (&own, false, None, Some("br7")),
            (&plain, true, None, Some("docker0")),
            (&plain, false, None, None),
        ] {
            assert_eq!(bridge_of(argv, answers, said.map(str::to_owned)).as_deref(), bridge, "{argv:?}");
        }
        assert_eq!(socket_of(&plain), "unix:///var/run/docker.sock");
        let two = strings(&["dockerd", "-H", "tcp://[::1]:2375", "--host=unix:///run/other.sock"]);
        assert_eq!(socket_of(&two), "unix:///run/other.sock");
    }
}

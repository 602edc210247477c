//! Which resolv.conf pods are to have.

use super::{Finding, Level};
use std::net::IpAddr;

/// Where systemd-resolved keeps the servers that it asks itself.
pub const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// A name server on the loopback is the host's own, and not there in a pod: a cluster's DNS pod that is
/// told to ask it asks itself (CoreDNS' loop, coredns#2087). `text`: /etc/resolv.conf; `beside`: that of
/// systemd-resolved; `asked`: the file that was given, and whether it is there. Returns the file for the kubelet too, where it is
/// not /etc/resolv.conf.
pub fn resolver(
    text: Option<&str>,
    beside: Option<&str>,
    asked: Option<(&str, bool)>,
) -> (Option<String>, Finding) {
    let check = "resolv-conf";
    let missing = |path: &str, advice: &str| {
        let why = "pods with the node's DNS (dnsPolicy Default, the cluster's DNS itself) do not start";
        Finding::bad(check, Level::Warning, format!("there is no {path}"), why, advice)
    };
    match asked {
        // To the kubelet that is: no file, what the runtime does by itself.
        Some(("", _)) => return (None, Finding::ok(check, "none, as given")),
        Some((path, true)) => {
            return (Some(path.to_owned()), Finding::ok(check, format!("{path}, as given")));
        }
        Some((path, false)) => return (Some(path.to_owned()), missing(path, "make it, or give another")),
        None => {}
    }
    let Some(text) = text else {
        return (None, missing("/etc/resolv.conf", "make one, or give --resolv-conf"));
    };
    let Some(local) = servers(text).into_iter().find(IpAddr::is_loopback) else {
        return (None, Finding::ok(check, "/etc/resolv.conf"));
    };
    if beside.is_some_and(|b| servers(b).iter().any(|ip| !ip.is_loopback())) {
        let what = format!("{RESOLVED}, since /etc/resolv.conf names {local}");
        return (Some(RESOLVED.to_owned()), Finding::ok(check, what));
    }
    let what = format!("/etc/resolv.conf names {local}, which is each pod's own");
    let why = "the cluster's DNS asks itself, and pods find nothing";
    let advice = "give --resolv-conf a file with the servers behind it";
    (None, Finding::bad(check, Level::Warning, what, why, advice))
}

fn servers(text: &str) -> Vec<IpAddr> {
    let words = text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>());
    words.filter(|w| w.len() > 1 && w[0] == "nameserver").filter_map(|w| w[1].parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolveds_loop_is_left_out() {
        let stub = "# x\nnameserver 127.0.0.53\noptions edns0\n";
        let real = "nameserver 192.0.2.53\n";
        assert_eq!(
            resolver(Some(real), Some(real), None),
            (None, Finding::ok("resolv-conf", "/etc/resolv.conf"))
        );
        assert_eq!(resolver(Some(stub), Some(real), None).0.as_deref(), Some(RESOLVED));
        for beside in [None, Some(stub), Some("")] {
            let (file, finding) = resolver(Some(stub), beside, None);
            assert_eq!((file, finding.level), (None, Level::Warning));
        }
        assert_eq!(resolver(Some("nameserver ::1\n"), None, None).1.level, Level::Warning);
        assert_eq!(resolver(None, None, None).1.level, Level::Warning);
        let asked = |is_there| resolver(Some(stub), None, Some(("/etc/other", is_there)));
        assert_eq!(asked(true).0.as_deref(), Some("/etc/other"));
        assert_eq!((asked(true).1.level, asked(false).1.level), (Level::Ok, Level::Warning));
    }
}

//! The pod network: the lease, the bridge, CNI's configuration.

use super::{Finding, Level};
use crate::types::{Cidr, IfName};

/// The lease; without one the Node's name may be unknown, and its pods have no addresses.
pub fn subnet(lease: &[Cidr], needed_for_the_name: bool) -> Finding {
    let check = "subnet";
    if !lease.is_empty() {
        let list: Vec<String> = lease.iter().map(ToString::to_string).collect();
        return Finding::ok(check, list.join(","));
    }
    let level = if needed_for_the_name { Level::Blocker } else { Level::Warning };
    let why =
        if needed_for_the_name { "the Node's name comes from it" } else { "pods get no addresses of it" };
    Finding::bad(check, level, "there is no lease yet", why, "start flanneld, or give --subnet")
}

/// A link, as far as it matters here.
pub struct Bridge {
    /// What it is: bridge, dummy, …
    pub kind: String,
    /// Administratively up.
    pub up: bool,
    /// Its addresses.
    pub addresses: Vec<Cidr>,
}

/// The pod bridge, with the lease's subnets on it. `found`: the link of that name.
pub fn bridge(name: &IfName, found: Option<&Bridge>, lease: &[Cidr]) -> Finding {
    let check = "bridge";
    let why = "pods get no network";
    let bad = |what: String, advice: &str| Finding::bad(check, Level::Warning, what, why, advice);
    let Some(link) = found else { return bad(format!("there is no {name}"), "run kboot bridge") };
    if link.kind != "bridge" {
        return bad(
            format!("{name} is a {} device, not a bridge", link.kind),
            "remove it, then run kboot bridge",
        );
    }
    if !link.up {
        return bad(format!("{name} is down"), "run kboot bridge");
    }
    let list = |cidrs: &[Cidr]| cidrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let lacks = |c: &&Cidr| !link.addresses.iter().any(|a| a.network() == c.network());
    if let Some(lacking) = lease.iter().find(lacks) {
        let has = if link.addresses.is_empty() { "no address".into() } else { list(&link.addresses) };
        return bad(format!("{name} has {has}, the lease is {lacking}"), "run kboot bridge");
    }
    Finding::ok(check, format!("{name} {}", list(&link.addresses)))
}

/// CNI's configuration: the files in its directory, in the order in which runtimes take them. Whether
/// the first is a bridge plugin's is the caller's to see.
pub fn cni(directory: &str, files: &[String]) -> Finding {
    let check = "cni";
    match files.first() {
        Some(first) => Finding::ok(check, format!("{directory}/{first}")),
        None => Finding::bad(
            check,
            Level::Warning,
            format!("{directory} has no configuration"),
            "the Node stays NotReady (NetworkPluginNotReady)",
            "run kboot cni-config; with flannel's own DaemonSet wait for it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bridge_and_what_may_be_wrong_with_it() {
        let name: IfName = "pods0".parse().unwrap();
        let lease = ["10.20.7.1/24".parse().unwrap()];
        let found = |kind: &str, up, addrs: &[&str]| Bridge {
            kind: kind.into(),
            up,
            addresses: addrs.iter().map(|a| a.parse().unwrap()).collect(),
        };
        let line = |link: Option<Bridge>| bridge(&name, link.as_ref(), &lease).to_string();
        assert_eq!(line(Some(found("bridge", true, &["10.20.7.1/24"]))), "pods0 10.20.7.1/24");
        for (link, what) in [
            (None, "there is no pods0"),
            (Some(found("dummy", true, &[])), "pods0 is a dummy device, not a bridge"),
            (Some(found("bridge", false, &["10.20.7.1/24"])), "pods0 is down"),
            (
                Some(found("bridge", true, &["10.20.8.1/24"])),
                "pods0 has 10.20.8.1/24, the lease is 10.20.7.1/24",
            ),
            (Some(found("bridge", true, &[])), "pods0 has no address, the lease is 10.20.7.1/24"),
        ] {
            assert!(line(link).starts_with(&format!("{what}: pods get no network: ")), "{what}");
        }
    }

    #[test]
    fn a_lease_is_needed_for_the_name() {
        assert_eq!(subnet(&[], true).level, Level::Blocker);
        assert_eq!(subnet(&[], false).level, Level::Warning);
    }
}

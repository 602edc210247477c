//! Taking the bridge away again: what kboot put there and nothing else.

use super::link::{is_made, is_own};
use super::{Change, Facts, Link, Step};
use crate::types::{Cidr, IfName, Mac};

/// The changes, and why the bridge stays if it does.
pub struct Down {
    /// In this order.
    pub changes: Vec<Change>,
    /// What keeps the bridge: `veth1a, eth1 are on it`.
    pub stays: Option<String>,
}

/// Plans it. `cluster`: where an address is flannel's, should the record be lost.
pub fn plan(name: &IfName, facts: &Facts, cluster: &[Cidr]) -> Down {
    let mut down = Down { changes: Vec::new(), stays: None };
    let Some(link) = &facts.link else { return down };
    let record = facts.record.as_ref();
    // Without a record, the bridge's own address tells the one that it was made for.
    let is_its = |c: &Cidr| record.is_none() && link.mac == Some(Mac::of_bridge(c.addr()));
    let (own, foreign): (Vec<&Cidr>, Vec<&Cidr>) =
        link.addrs.iter().partition(|c| is_own(record, cluster, c) || is_its(c));
    let is_ours = |port: &IfName| record.is_some_and(|r| r.ports.contains(port));
    let (attached, others): (Vec<_>, Vec<_>) = facts.ports.iter().partition(|p| is_ours(&p.name));
    for port in attached {
        let why = format!("{name}: {} is attached", port.name);
        down.changes.push(Change::new(Step::Detach(port.name.clone()), why));
    }
    let ports: Vec<String> = others.iter().map(|p| p.name.to_string()).collect();
    let addrs: Vec<String> = foreign.iter().map(ToString::to_string).collect();
    down.stays = stays(facts, link, &ports, &addrs);
    if down.stays.is_none() {
        down.changes.push(Change::new(Step::DeleteLink(name.clone()), format!("{name}: is there")));
        return down;
    }
    if own.iter().any(|c| c.is_ipv4()) && foreign.iter().any(|c| c.is_ipv4()) {
        let step = Step::Sysctl(super::link::promote_secondaries(name), "1".into());
        down.changes.push(Change::new(step, format!("{name}: its other addresses are to stay")));
    }
    for cidr in own {
        down.changes
            .push(Change::new(Step::DeleteAddress(name.clone(), *cidr), format!("{name}: has {cidr}")));
    }
    down
}

fn stays(facts: &Facts, link: &Link, ports: &[String], addrs: &[String]) -> Option<String> {
    let record = facts.record.as_ref();
    let hint = if record.is_none() { " (kboot's own? give --masquerade CLUSTER-CIDR)" } else { "" };
    match (ports, addrs) {
        ([], []) => (!is_made(record, link)).then(|| "kboot did not make it".into()),
        ([], [one]) => Some(format!("{one} is on it{hint}")),
        ([], _) => Some(format!("{} are on it{hint}", addrs.join(", "))),
        ([one], _) => Some(format!("{one} is on it")),
        _ => Some(format!("{} are on it", ports.join(", "))),
    }
}

//! The bridge as a link: its own attributes, its addresses, its ports.

use super::{Change, Plan, Step};
use crate::types::{Cidr, IfName, Mac};

/// Ethernet's, which a link has unless told otherwise.
const DEFAULT_MTU: u32 = 1500;

/// What is wanted.
pub struct Wanted {
    /// The bridge's name.
    pub name: IfName,
    /// Its addresses: the lease's with the host's bits first, then any others.
    pub addrs: Vec<Cidr>,
    /// Its MTU in bytes; `None`: as it is.
    pub mtu: Option<u32>,
    /// The cluster's networks, as far as known.
    pub cluster: Vec<Cidr>,
    /// Whether it receives what is addressed to others; `None`: as it is.
    pub promiscuous: Option<bool>,
    /// Whether frames may leave by the port they came from; `None`: as it is.
    pub hairpin: Option<bool>,
}

/// The link of that name, a bridge.
pub struct Link {
    /// Its number, which no other link gets.
    pub index: u32,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// Promiscuous.
    pub promiscuous: bool,
    /// Its Ethernet address.
    pub mac: Option<Mac>,
    /// Whether it speaks STP, if the kernel says.
    pub stp: Option<bool>,
    /// In hundredths of a second, if the kernel says.
    pub forward_delay: Option<u32>,
    /// Its addresses.
    pub addrs: Vec<Cidr>,
}

/// One of its ports.
#[derive(Clone)]
pub struct Port {
    /// Its name.
    pub name: IfName,
    /// Whether it is one end of a veth: a pod's.
    pub is_veth: bool,
    /// Its hairpin mode.
    pub hairpin: bool,
    /// Whether STP still holds it back.
    pub waits: bool,
}

/// A link that is to be a port.
pub struct Candidate {
    /// Its name.
    pub name: IfName,
    /// Whether it is a port of this bridge.
    pub is_port: bool,
    /// Whether it is, and up.
    pub is_attached: bool,
    /// Whether it is one end of a veth.
    pub is_veth: bool,
}

/// What kboot noted about the bridge since the boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Whether kboot made it.
    pub made: bool,
    /// Its number; none while it was being made.
    pub index: Option<u32>,
    /// The Ethernet address that kboot pinned.
    pub mac: Option<Mac>,
    /// The addresses that kboot put on it.
    pub addrs: Vec<Cidr>,
    /// The ports that kboot attached.
    pub ports: Vec<IfName>,
}

/// What was found.
#[derive(Default)]
pub struct Facts {
    /// The bridge, if there is one.
    pub link: Option<Link>,
    /// Its ports, where they matter.
    pub ports: Vec<Port>,
    /// The links to attach.
    pub attach: Vec<Candidate>,
    /// The record, if there is one.
    pub record: Option<Record>,
    /// Whether the bridge is, or would be made, without IPv6 (`disable_ipv6`).
    pub ipv6_is_off: bool,
}

/// The changes in an order that never takes a pod's gateway away: what is new comes first; what is of
/// an earlier lease is `stale`'s business, after the new rules.
pub fn plan(wanted: &Wanted, facts: &Facts) -> Plan {
    let name = &wanted.name;
    let mut plan = Plan::default();
    match &facts.link {
        Some(link) => plan_changes(wanted, link, facts, &mut plan),
        None => plan_birth(wanted, &mut plan),
    }
    if facts.ipv6_is_off {
        let step = Step::Sysctl(format!("net/ipv6/conf/{name}/disable_ipv6"), "0".into());
        plan.changes.push(Change::new(step, format!("{name}: IPv6 is off")));
    }
    let has = facts.link.as_ref().map(|l| l.addrs.as_slice()).unwrap_or_default();
    for cidr in &wanted.addrs {
        // The kernel has an IPv6 address once a link, with one prefix.
        if let Some(other) = other_prefix(cidr, has) {
            let why = format!("{name}: has {other}, wanted is {cidr}");
            plan.changes.push(Change::new(Step::DeleteAddress(name.clone(), *other), why));
        }
        let step = Step::AddAddress(name.clone(), *cidr);
        plan.want(has.contains(cidr), step, format!("{name}: has no address {cidr}"));
    }
    for port in &facts.attach {
        let step = Step::Attach(port.name.clone(), name.clone());
        plan.want(port.is_attached, step, format!("{name}: {} is not attached", port.name));
    }
    // An MTU that a bridge had already may yield to its new port's.
    if let Some(mtu) = wanted.mtu.filter(|_| facts.link.is_some() && facts.attach.iter().any(|c| !c.is_port))
    {
        let why = format!("{name}: a new port may change the MTU");
        plan.changes.push(Change::new(Step::SetMtu(name.clone(), mtu), why));
    }
    plan_mode(wanted, facts, &mut plan);
    let is_up = facts.link.as_ref().is_some_and(|l| l.up);
    plan.want(is_up, Step::SetUp(name.clone()), format!("{name}: is down"));
    plan
}

fn plan_birth(wanted: &Wanted, plan: &mut Plan) {
    let name = &wanted.name;
    let why = format!("{name}: is not there");
    let mac = Mac::of_bridge(wanted.addrs[0].addr());
    // The kernel pins an MTU that is changed, not one that is set to what it is, nor one given at birth:
    // that yields to the ports' (br_mtu_auto_adjust in net/bridge/br_if.c).
    let birth = (wanted.mtu == Some(DEFAULT_MTU)).then_some(DEFAULT_MTU - 1);
    plan.changes.push(Change::new(Step::AddBridge(name.clone(), birth, mac), &why));
    plan.changes.extend(wanted.mtu.map(|mtu| Change::new(Step::SetMtu(name.clone(), mtu), &why)));
}

fn plan_changes(wanted: &Wanted, link: &Link, facts: &Facts, plan: &mut Plan) {
    plan_attributes(wanted, link, facts.record.as_ref(), plan);
    if plan.changes.is_empty() {
        plan.already += 1;
        return;
    }
    // Without STP they would still wait out its delays, half a minute.
    for port in facts.ports.iter().filter(|p| p.waits) {
        let why = format!("{}: waits for STP", port.name);
        plan.changes.push(Change::new(Step::Forward(port.name.clone()), why));
    }
}

fn other_prefix<'h>(cidr: &Cidr, has: &'h [Cidr]) -> Option<&'h Cidr> {
    has.iter().find(|h| !cidr.is_ipv4() && h.addr() == cidr.addr() && h != &cidr)
}

/// An administrator's IPv6 address that is wanted with another prefix: it cannot be there with both.
pub fn misfit(wanted: &Wanted, facts: &Facts) -> Option<String> {
    let has = &facts.link.as_ref()?.addrs;
    let other = wanted.addrs.iter().find_map(|c| other_prefix(c, has))?;
    let is_foreign = !is_own(facts.record.as_ref(), &wanted.cluster, other);
    is_foreign.then(|| {
        format!(
            "{0} has {other}, which kboot did not put there: remove it (ip addr del {other} dev {0})",
            wanted.name
        )
    })
}

fn plan_attributes(wanted: &Wanted, link: &Link, record: Option<&Record>, plan: &mut Plan) {
    let name = &wanted.name;
    let mut differs = |step: Step, why: String| plan.changes.push(Change::new(step, why));
    if let Some(mtu) = wanted.mtu.filter(|mtu| *mtu != link.mtu) {
        let why = format!("{name}: the MTU is {}, wanted is {mtu}", link.mtu);
        differs(Step::SetMtu(name.clone(), mtu), why);
    }
    // Whether the kernel may change it with the ports is not to be seen by netlink.
    let is_pinned =
        |mac: &Mac| mac.is_usable() && (mac.is_own() || record.is_some_and(|r| r.mac.as_ref() == Some(mac)));
    if let Some(mac) = link.mac.filter(|mac| !is_pinned(mac)) {
        let why = format!("{name}: its address {mac} may change with its ports");
        let pinned = if mac.is_usable() { mac } else { Mac::of_bridge(wanted.addrs[0].addr()) };
        differs(Step::SetMac(name.clone(), pinned), why);
    }
    if link.stp == Some(true) {
        differs(Step::StpOff(name.clone()), format!("{name}: speaks STP: new pods wait for it"));
    }
    if let Some(delay) = link.forward_delay.filter(|d| *d != 0) {
        let why = format!("{name}: the forward delay is {}.{:02} s, wanted is 0", delay / 100, delay % 100);
        differs(Step::NoForwardDelay(name.clone()), why);
    }
}

fn plan_mode(wanted: &Wanted, facts: &Facts, plan: &mut Plan) {
    let name = &wanted.name;
    let switch = |on: bool| if on { "on" } else { "off" };
    if let Some(on) = wanted.promiscuous {
        let is_so = facts.link.as_ref().is_some_and(|l| l.promiscuous) == on;
        let why = format!("{name}: promiscuous mode is {}, wanted is {}", switch(!on), switch(on));
        plan.want(is_so, Step::Promiscuous(name.clone(), on), why);
    }
    if let Some(on) = wanted.hairpin {
        let is_port = |name: &IfName| facts.ports.iter().any(|p| p.name == *name);
        let present = facts.ports.iter().filter(|p| p.is_veth).map(|p| (&p.name, p.hairpin));
        let new = facts.attach.iter().filter(|c| c.is_veth && !is_port(&c.name)).map(|c| (&c.name, false));
        for (port, is_on) in present.chain(new) {
            let why = format!("{port}: hairpin mode is {}, wanted is {}", switch(!on), switch(on));
            plan.want(is_on == on, Step::Hairpin(port.clone(), on), why);
        }
    }
}

/// The setting by which an address outlives the one before it in its network.
pub(super) fn promote_secondaries(name: &IfName) -> String {
    format!("net/ipv4/conf/{name}/promote_secondaries")
}

/// Takes away the addresses of an earlier lease.
pub fn stale(wanted: &Wanted, facts: &Facts) -> Vec<Change> {
    let name = &wanted.name;
    let has = facts.link.as_ref().map(|l| l.addrs.as_slice()).unwrap_or_default();
    let stale: Vec<&Cidr> = has
        .iter()
        .filter(|c| wanted.addrs.iter().all(|w| other_prefix(w, has) != Some(c)))
        .filter(|c| !wanted.addrs.contains(c) && is_own(facts.record.as_ref(), &wanted.cluster, c))
        .collect();
    let stays = |c: &Cidr| wanted.addrs.contains(c) || has.contains(c) && !stale.contains(&c);
    let mut changes = Vec::new();
    // Without it the kernel deletes, with an address, all others of its network that came after it.
    let of_one_network = |c: &&&Cidr| {
        let others = has.iter().chain(&wanted.addrs);
        c.is_ipv4() && others.into_iter().any(|o| stays(o) && o.network() == c.network())
    };
    if let Some(first) = stale.iter().find(of_one_network) {
        let step = Step::Sysctl(promote_secondaries(name), "1".into());
        changes.push(Change::new(step, format!("{name}: {first} would take its neighbours with it")));
    }
    changes.extend(stale.into_iter().map(|c| {
        Change::new(
            Step::DeleteAddress(name.clone(), *c),
            format!("{name}: has {c}, which kboot put there and which is not wanted any more"),
        )
    }));
    changes
}

/// Whether kboot made this very link, and not somebody one of the same name after it. Without a record
/// its Ethernet address tells.
pub fn is_made(record: Option<&Record>, link: &Link) -> bool {
    let Some(record) = record else { return link.mac.is_some_and(|m| m.is_own()) };
    let is_it = record.index.map_or(record.mac == link.mac, |index| index == link.index);
    record.made && is_it
}

/// Whether kboot or flannel put the address there: one that kboot's record names or, without a record,
/// one inside the cluster's network. Any other is an administrator's.
pub fn is_own(record: Option<&Record>, cluster: &[Cidr], cidr: &Cidr) -> bool {
    match record {
        Some(record) => record.addrs.contains(cidr),
        None => cluster.iter().any(|c| c.contains(cidr.addr())),
    }
}

/// Another link that has a pod subnet, or a part of it: pods are reached by one of the two only. A
/// host's address alone (`flannel.1` has the subnet's first, /32) is no network.
pub fn rival<'a>(subnets: &[Cidr], others: impl Iterator<Item = (&'a str, Cidr)>) -> Option<String> {
    let mut others = others.filter(|(_, cidr)| {
        let full = if cidr.is_ipv4() { 32 } else { 128 };
        let has = |s: &Cidr| s.contains(cidr.addr()) && (s.prefix_len()..full).contains(&cidr.prefix_len());
        subnets.iter().any(has)
    });
    others.next().map(|(link, cidr)| {
        let hint = if link == "docker0" { "give --replace-docker0, or " } else { "" };
        format!("{link} has {cidr} of this host's pod subnet: pods would be reached by one of the two only: {hint}remove it (ip addr del {cidr} dev {link})")
    })
}

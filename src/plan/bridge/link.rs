//! The bridge as a link: its own attributes, its addresses, its ports.

use super::{Change, Plan, Step};
use crate::types::{Cidr, IfName, Mac};

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
}

/// A link that is to be a port.
pub struct Candidate {
    /// Its name.
    pub name: IfName,
    /// Whether it is a port of this bridge, and up.
    pub is_attached: bool,
}

/// What kboot noted about the bridge since the boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Whether kboot made it.
    pub made: bool,
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
}

/// The changes in an order that never takes a pod's gateway away: what is new comes first; what is of
/// an earlier lease is `stale`'s business, after the new rules.
pub fn plan(wanted: &Wanted, facts: &Facts) -> Plan {
    let name = &wanted.name;
    let mut plan = Plan::default();
    if let Some(link) = &facts.link {
        plan_attributes(wanted, link, facts.record.as_ref(), &mut plan);
        if plan.changes.is_empty() {
            plan.already += 1;
        }
    } else {
        let why = format!("{name}: is not there");
        let mac = Mac::of_bridge(wanted.addrs[0].addr());
        plan.changes.push(Change::new(Step::AddBridge(name.clone(), mac), &why));
        // On its own: one given at birth yields to the ports' (br_mtu_auto_adjust in net/bridge/br_if.c).
        plan.changes.extend(wanted.mtu.map(|mtu| Change::new(Step::SetMtu(name.clone(), mtu), &why)));
    }
    let has = facts.link.as_ref().map(|l| l.addrs.as_slice()).unwrap_or_default();
    for cidr in &wanted.addrs {
        let step = Step::AddAddress(name.clone(), *cidr);
        plan.want(has.contains(cidr), step, format!("{name}: has no address {cidr}"));
    }
    plan_mode(wanted, facts, &mut plan);
    for port in &facts.attach {
        let step = Step::Attach(port.name.clone(), name.clone());
        plan.want(port.is_attached, step, format!("{name}: {} is not attached", port.name));
    }
    let is_up = facts.link.as_ref().is_some_and(|l| l.up);
    plan.want(is_up, Step::SetUp(name.clone()), format!("{name}: is down"));
    plan
}

fn plan_attributes(wanted: &Wanted, link: &Link, record: Option<&Record>, plan: &mut Plan) {
    let name = &wanted.name;
    let mut differs = |step: Step, why: String| plan.changes.push(Change::new(step, why));
    if let Some(mtu) = wanted.mtu.filter(|mtu| *mtu != link.mtu) {
        let why = format!("{name}: the MTU is {}, wanted is {mtu}", link.mtu);
        differs(Step::SetMtu(name.clone(), mtu), why);
    }
    // Whether the kernel may change it with the ports is not to be seen by netlink.
    let is_pinned = |mac: &Mac| mac.is_own() || record.is_some_and(|r| r.mac.as_ref() == Some(mac));
    if let Some(mac) = link.mac.filter(|mac| !is_pinned(mac)) {
        let why = format!("{name}: its address {mac} may change with its ports");
        differs(Step::SetMac(name.clone(), mac), why);
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
        for port in facts.ports.iter().filter(|p| p.is_veth) {
            let why = format!("{}: hairpin mode is {}, wanted is {}", port.name, switch(!on), switch(on));
            plan.want(port.hairpin == on, Step::Hairpin(port.name.clone(), on), why);
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
        .filter(|c| !wanted.addrs.contains(c) && is_own(facts.record.as_ref(), &wanted.cluster, c))
        .collect();
    let mut changes = Vec::new();
    // Without it the kernel deletes, with an address, all others of its network that came after it.
    if let Some(first) = stale.iter().find(|c| c.is_ipv4()) {
        let step = Step::Sysctl(promote_secondaries(name), "1".into());
        changes.push(Change::new(step, format!("{name}: {first} would take its neighbours with it")));
    }
    changes.extend(stale.into_iter().map(|c| {
        Change::new(Step::DeleteAddress(name.clone(), *c), format!("{name}: has {c} of an earlier lease"))
    }));
    changes
}

/// Whether kboot or flannel put the address there: one that kboot's record names or, without a record,
/// one inside the cluster's network. Any other is an administrator's.
pub(super) fn is_own(record: Option<&Record>, cluster: &[Cidr], cidr: &Cidr) -> bool {
    match record {
        Some(record) => record.addrs.contains(cidr),
        None => cluster.iter().any(|c| c.contains(cidr.addr())),
    }
}

/// Another link that has the pod subnet, or a part of it: pods are reached by one of the two only. A
/// host's address alone (`flannel.1` has the subnet's first, /32) is no network.
pub fn rival<'a>(wanted: &Wanted, others: impl Iterator<Item = (&'a str, Cidr)>) -> Option<String> {
    let mut others = others.filter(|(_, cidr)| {
        let full = if cidr.is_ipv4() { 32 } else { 128 };
        wanted
            .addrs
            .iter()
            .any(|own| own.contains(cidr.addr()) && (own.prefix_len()..full).contains(&cidr.prefix_len()))
    });
    others.next().map(|(link, cidr)| {
        let hint = if link == "docker0" { "give --replace-docker0, or " } else { "" };
        format!("{link} has {cidr} of this host's pod subnet: pods would be reached by one of the two only: {hint}remove it (ip addr del {cidr} dev {link})")
    })
}

//! From what a link is to have to the steps to it.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;

use crate::plan::bridge;
use crate::types::{Cidr, IfName, Mac, Route};

/// One change, its text the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// What a bridge may need as well.
    Link(bridge::Step),
    /// `ip route replace`; the gateway is on the link though no address of it says so.
    Route(IfName, Route, bool),
    /// An exchange with a DHCP server.
    Dhcp(IfName, Option<Mac>),
    /// The resolver's file, with that content.
    Resolver(String, String),
    /// `hostname NAME`.
    Hostname(String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(step) => step.fmt(f),
            Self::Route(name, route, is_onlink) => {
                write!(f, "ip route replace {route} dev {name}{}", if *is_onlink { " onlink" } else { "" })
            }
            Self::Dhcp(name, mac) => {
                write!(f, "dhcp {name}")?;
                mac.map_or(Ok(()), |mac| write!(f, " (ask for a lease, from {mac})"))
            }
            Self::Resolver(path, text) => write!(f, "write {path}: {}", text.trim_end().replace('\n', ", ")),
            Self::Hostname(name) => write!(f, "hostname {name}"),
        }
    }
}

/// What a link is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal {
    /// Which.
    pub name: IfName,
    /// An address that it is to have.
    pub address: Cidr,
    /// One that it had by an earlier lease.
    pub stale: Option<Cidr>,
    /// Where it leads.
    pub routes: Vec<Route>,
    /// In bytes.
    pub mtu: Option<u32>,
}

/// What it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Administratively.
    pub up: bool,
    /// In bytes.
    pub mtu: u32,
    /// With their prefixes.
    pub addresses: Vec<Cidr>,
    /// Those of the main table that lead over it.
    pub routes: Vec<Route>,
}

/// The steps in their order, and how many things are already so. An old address goes first: with it the
/// kernel takes away those of its network that came later, and its routes.
pub fn plan(goal: &Goal, facts: &Facts) -> (Vec<Step>, usize) {
    let name = || goal.name.clone();
    let (mut steps, mut already) = (Vec::new(), 0);
    let mut want = |is_so: bool, step: Step| if is_so { already += 1 } else { steps.push(step) };
    if let Some(mtu) = goal.mtu {
        want(facts.mtu == mtu, Step::Link(bridge::Step::SetMtu(name(), mtu)));
    }
    want(facts.up, Step::Link(bridge::Step::SetUp(name())));
    let stale = goal.stale.filter(|old| *old != goal.address && facts.addresses.contains(old));
    if let Some(old) = stale {
        want(false, Step::Link(bridge::Step::DeleteAddress(name(), old)));
    }
    let has_address = facts.addresses.contains(&goal.address);
    want(has_address, Step::Link(bridge::Step::AddAddress(name(), goal.address)));
    for route in &goal.routes {
        let is_there = facts.routes.contains(route) && stale.is_none();
        want(is_there, Step::Route(name(), route.clone(), is_onlink(goal, route)));
    }
    (steps, already)
}

/// Whether the gateway has to be called the link's neighbour: as on clouds whose netmask is /32.
fn is_onlink(goal: &Goal, route: &Route) -> bool {
    let Some(via) = route.via else { return false };
    let is_link_local = matches!(via, IpAddr::V6(a) if a.is_unicast_link_local());
    let known = goal.routes.iter().any(|r| r.via.is_none() && r.to.contains(via));
    !is_link_local && !known && !goal.address.contains(via)
}

/// The resolver's file; `None` where no name server is known: what is there may know one.
pub fn resolv_conf(search: &[String], dns: &[IpAddr]) -> Option<String> {
    let mut lines = Vec::new();
    if !search.is_empty() {
        lines.push(format!("search {}\n", search.join(" ")));
    }
    lines.extend(dns.iter().map(|addr| format!("nameserver {addr}\n")));
    (!dns.is_empty()).then(|| lines.concat())
}

/// Whether a host has no name of its own yet (Linux's is `(none)`).
pub fn is_nameless(name: &str) -> bool {
    matches!(name, "" | "(none)" | "localhost" | "localhost.localdomain")
}

//! What is there now, and what stands in the way.

use serde_json::{Value, json};

use super::Run;
use super::goal::Goal;
use super::record::recorded;
use crate::error::{Error, Result};
use crate::plan::bridge::{
    self, Candidate, Facts, Port,
    link::{misfit, rival},
};
use crate::sys::link::Link;
use crate::sys::sysctl;
use crate::types::{Cidr, IfName};

/// The link, if there is one; anything but a bridge of that name is a conflict, before any change.
pub fn probe(run: &Run<'_>) -> Result<Option<Link>> {
    let name = &run.name;
    match run.links.get(name)? {
        Some(link) if link.kind == "device" => {
            Err(Error::conflict(format!("{name} is this host's own link, not a bridge: give another --name")))
        }
        Some(link) if link.kind != "bridge" => {
            let kind = &link.kind;
            Err(Error::conflict(format!("{name} is a {kind} device, not a bridge: remove it or give --name")))
        }
        other => Ok(other),
    }
}

/// Looks at the bridge and at all that is wanted of it. `leaving`: a link that is about to go.
pub fn look(run: &mut Run<'_>, goal: &Goal, leaving: Option<u32>) -> Result<Facts> {
    let wanted = &goal.link;
    let link = probe(run)?;
    let index = link.as_ref().map(|l| l.index);
    let addresses = run.links.addresses()?;
    let others = addresses.iter().filter(|(i, _)| Some(*i) != index && Some(*i) != leaving && *i != 0);
    if rival(&goal.subnets, others.clone().map(|(_, c)| ("", *c))).is_some() {
        let links = run.links.all()?;
        let name = |i: u32| links.iter().find(|l| l.index == i).map_or("?", |l| l.name.as_str());
        if let Some(text) = rival(&goal.subnets, others.map(|(i, c)| (name(*i), *c))) {
            return Err(Error::conflict(text));
        }
    }
    let mut names: Vec<&IfName> = Vec::new();
    for name in &run.args.attach {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let attach = names.into_iter().map(|name| candidate(run, name, index, &addresses));
    let attach = attach.collect::<Result<Vec<_>>>()?;
    // Every pod is a port: they are looked at only where that matters.
    let had_stp =
        link.as_ref().is_some_and(|l| l.stp == Some(true) || l.forward_delay.is_some_and(|d| d > 0));
    let ports = match index.filter(|_| wanted.hairpin.is_some() || had_stp) {
        Some(index) => ports(run, index)?,
        None => Vec::new(),
    };
    let own: Vec<Cidr> = addresses.iter().filter(|(i, _)| Some(*i) == index).map(|(_, c)| *c).collect();
    run.report.found("link", link.as_ref().map_or(Value::Null, |l| shown(l, &own)));
    let ipv6_is_off = wanted.addrs.iter().any(|a| !a.is_ipv4()) && ipv6_is_off(run, link.is_some())?;
    let link = link.as_ref().map(|l| as_fact(l, own));
    let facts = Facts { link, ports, attach, record: recorded(&run.name), ipv6_is_off };
    misfit(wanted, &facts).map_or(Ok(facts), |text| Err(Error::conflict(text)))
}

/// On the bridge or, if there is none, on every new link.
fn ipv6_is_off(run: &Run<'_>, is_there: bool) -> Result<bool> {
    let link = if is_there { run.name.as_str() } else { "default" };
    Ok(sysctl::read(&format!("net/ipv6/conf/{link}/disable_ipv6"))?.as_deref() == Some("1"))
}

fn shown(link: &Link, addrs: &[Cidr]) -> Value {
    let addrs: Vec<String> = addrs.iter().map(ToString::to_string).collect();
    let mac = link.mac.map(|m| m.to_string());
    json!({"name": link.name, "kind": link.kind, "mtu": link.mtu, "up": link.up, "mac": mac, "addresses": addrs})
}

/// The link as the planner knows it.
pub fn as_fact(link: &Link, addrs: Vec<Cidr>) -> bridge::Link {
    bridge::Link {
        index: link.index,
        mtu: link.mtu,
        up: link.up,
        promiscuous: link.promiscuous,
        mac: link.mac,
        stp: link.stp,
        forward_delay: link.forward_delay,
        addrs,
    }
}

/// The bridge's ports.
pub fn ports(run: &Run<'_>, index: u32) -> Result<Vec<Port>> {
    let links = run.links.all()?.into_iter().filter(|l| l.master == Some(index));
    // A name that is no IfName (it has a blank, say) is one that no step can name.
    Ok(links
        .filter_map(|l| {
            let (name, is_veth) = (l.name.parse().ok()?, l.kind == "veth");
            Some(Port { name, is_veth, hairpin: l.port.hairpin, waits: l.port.waits })
        })
        .collect())
}

fn candidate(
    run: &Run<'_>,
    name: &IfName,
    bridge: Option<u32>,
    addresses: &[(u32, Cidr)],
) -> Result<Candidate> {
    let conflict = |why: String| Err(Error::conflict(format!("--attach {name}: {why}")));
    let Some(link) = run.links.get(name)? else {
        return Err(Error::failed(format!("--attach {name}: there is no such link")));
    };
    if link.kind == "bridge" {
        return conflict("is a bridge itself: a bridge cannot be another's port".into());
    }
    if link.mac.is_none() {
        return conflict("is no Ethernet device: it cannot be a bridge's port".into());
    }
    if let Some(master) = link.master.filter(|m| Some(*m) != bridge) {
        let links = run.links.all()?;
        let other = links.iter().find(|l| l.index == master).map_or("another link", |l| l.name.as_str());
        return conflict(format!("is a port of {other} already: ip link set {name} nomaster first"));
    }
    if link.master.is_none()
        && let Some((_, cidr)) = addresses.iter().find(|(index, _)| *index == link.index)
    {
        return conflict(format!("has the address {cidr}, which a port cannot use: the host would lose it"));
    }
    let is_port = link.master.is_some();
    Ok(Candidate {
        name: name.clone(),
        is_port,
        is_attached: is_port && link.up,
        is_veth: link.kind == "veth",
    })
}

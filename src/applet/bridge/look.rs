//! What is there now, and what stands in the way.

use serde_json::{Value, json};

use super::Run;
use super::record::recorded;
use crate::error::{Error, Result};
use crate::plan::bridge::{self, Candidate, Facts, Port, Wanted, link::rival};
use crate::sys::link::Link;
use crate::types::Cidr;

/// The link, if there is one; anything but a bridge of that name is a conflict, before any change.
pub fn probe(run: &Run<'_>) -> Result<Option<Link>> {
    let name = &run.name;
    match run.links.get(name)? {
        Some(link) if link.kind != "bridge" => {
            let kind = &link.kind;
            Err(Error::conflict(format!("{name} is a {kind} device, not a bridge: remove it or give --name")))
        }
        other => Ok(other),
    }
}

/// Looks at the bridge and at all that is wanted of it. `leaving`: a link that is about to go.
pub fn look(run: &mut Run<'_>, wanted: &Wanted, leaving: Option<u32>) -> Result<Facts> {
    let link = probe(run)?;
    let index = link.as_ref().map(|l| l.index);
    let addresses = run.links.addresses()?;
    let others = addresses.iter().filter(|(i, _)| Some(*i) != index && Some(*i) != leaving && *i != 0);
    if rival(wanted, others.clone().map(|(_, c)| ("", *c))).is_some() {
        let links = run.links.all()?;
        let name = |i: u32| links.iter().find(|l| l.index == i).map_or("?", |l| l.name.as_str());
        if let Some(text) = rival(wanted, others.map(|(i, c)| (name(*i), *c))) {
            return Err(Error::conflict(text));
        }
    }
    let attach = run.args.attach.iter().map(|name| candidate(run, name, index, &addresses));
    let attach = attach.collect::<Result<Vec<_>>>()?;
    let ports = match index.filter(|_| wanted.hairpin.is_some()) {
        Some(index) => ports(run, index)?,
        None => Vec::new(),
    };
    let own: Vec<Cidr> = addresses.iter().filter(|(i, _)| Some(*i) == index).map(|(_, c)| *c).collect();
    run.report.found("link", link.as_ref().map_or(Value::Null, |l| shown(l, &own)));
    Ok(Facts { link: link.as_ref().map(|l| as_fact(l, own)), ports, attach, record: recorded(&run.name) })
}

fn shown(link: &Link, addrs: &[Cidr]) -> Value {
    let addrs: Vec<String> = addrs.iter().map(ToString::to_string).collect();
    let mac = link.mac.map(|m| m.to_string());
    json!({"name": link.name, "kind": link.kind, "mtu": link.mtu, "up": link.up, "mac": mac, "addresses": addrs})
}

/// The link as the planner knows it.
pub fn as_fact(link: &Link, addrs: Vec<Cidr>) -> bridge::Link {
    bridge::Link {
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
            let (is_veth, hairpin) = (l.kind == "veth", l.hairpin == Some(true));
            Some(Port { name: l.name.parse().ok()?, is_veth, hairpin })
        })
        .collect())
}

fn candidate(
    run: &Run<'_>,
    name: &crate::types::IfName,
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
    if link.master.is_some() && link.master != bridge {
        return conflict("is another link's port already: ip link set nomaster first".into());
    }
    if link.master.is_none()
        && let Some((_, cidr)) = addresses.iter().find(|(index, _)| *index == link.index)
    {
        return conflict(format!("has the address {cidr}, which a port cannot use: the host would lose it"));
    }
    Ok(Candidate { name: name.clone(), is_attached: link.master.is_some() && link.up })
}

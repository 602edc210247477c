//! `--replace-docker0`: docker's default bridge and docker's own rules about it go.

use super::Run;
use super::programs::Programs;
use super::seen::Seen;
use crate::client::docker::{self, DefaultNetwork};
use crate::error::{Error, Result};
use crate::plan::bridge::{Call, Change, Step};
use crate::plan::docker::is_dockerd;
use crate::plan::docker0::{self, Facts, Link, NAME};
use crate::plan::nat::choose::Variant;
use crate::plan::nat::docker0::{Delete, Listed, TABLES, plan as plan_rules};
use crate::sys::process;
use crate::types::{Cidr, IfName, Url};

/// A dockerd of this network namespace.
pub struct Dockerd {
    pid: i32,
    /// The words it was started with.
    pub argv: Vec<String>,
    /// What it says of its default network, if it answers.
    pub network: Option<DefaultNetwork>,
}

/// The dockerd that runs here, if one does.
pub fn dockerd() -> Result<Option<Dockerd>> {
    let Some((pid, argv)) = process::find_in_this_network(is_dockerd) else { return Ok(None) };
    let url: Url = docker0::socket_of(&argv).parse().map_err(Error::failed)?;
    let network = docker::default_network(&url)?;
    Ok(Some(Dockerd { pid, argv, network }))
}

/// Exit 3 when it may not go.
pub fn may_go(run: &Run<'_>) -> Result<()> {
    let link = run.links.get(&name()?)?;
    let ports = match &link {
        Some(link) => {
            run.links.all()?.into_iter().filter(|l| l.master == Some(link.index)).map(|l| l.name).collect()
        }
        None => Vec::new(),
    };
    let dockerd = dockerd()?.map(|d| {
        let answers = d.network.is_some();
        let (said, containers) = d.network.map_or((None, Vec::new()), |n| (n.bridge, n.containers));
        docker0::Dockerd { pid: d.pid, bridge: docker0::bridge_of(&d.argv, answers, said), containers }
    });
    let facts = Facts { link: link.map(|l| Link { kind: l.kind, ports }), dockerd };
    docker0::may_go(&facts, run.args.force).map_err(Error::conflict)
}

fn name() -> Result<IfName> {
    NAME.parse().map_err(Error::failed)
}

/// docker0 as it is about to go.
#[derive(Default)]
pub struct Leaving {
    /// The link, if it is there.
    pub link: Option<Change>,
    /// Its number.
    pub index: Option<u32>,
    /// docker's rules for it. By its text each is found wherever it stands by then.
    pub rules: Vec<Change>,
}

/// Plans its removal. The link goes first: nothing that its rules closed is open after that. The rules
/// go when all that is placed by a number stands in its place.
pub fn plan(run: &mut Run<'_>, seen: &Seen) -> Result<Leaving> {
    may_go(run)?;
    let link = run.links.get(&name()?)?;
    let addrs = link.as_ref().map_or_else(|| Ok(Vec::new()), |l| run.links.addresses_of(l))?;
    let mut leaving = Leaving { index: link.as_ref().map(|l| l.index), ..Leaving::default() };
    if link.is_some() {
        leaving.link = Some(Change::new(Step::DeleteLink(name()?), format!("{NAME}: is there")));
    }
    for variant in [Variant::Legacy, Variant::Nft] {
        for ipv4 in [true, false] {
            leaving.rules.extend(rules(run, seen, (variant, ipv4), &addrs)?);
        }
    }
    Ok(leaving)
}

fn rules(
    run: &mut Run<'_>,
    seen: &Seen,
    (variant, ipv4): (Variant, bool),
    addrs: &[Cidr],
) -> Result<Vec<Change>> {
    let tables: Vec<&'static str> =
        TABLES.into_iter().filter(|t| seen.has_table_of_iptables(variant, ipv4, t)).collect();
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let Some(programs) = Programs::of_variant(run, variant)? else {
        if !seen.has_chain_of_iptables(variant, ipv4, "DOCKER") {
            return Ok(Vec::new());
        }
        let suffix = variant.suffix();
        return Err(Error::failed(format!(
            "docker's rules for {NAME} are iptables-{suffix}'s, and there is no such program in PATH: install iptables"
        )));
    };
    let program = programs.of(ipv4);
    let listed: Vec<Listed> =
        tables.into_iter().map(|t| Ok((t, run.iptables.list(program, t)?))).collect::<Result<_>>()?;
    let own: Vec<Cidr> = addrs.iter().filter(|a| a.is_ipv4() == ipv4).copied().collect();
    let planned = plan_rules(&listed, &own);
    for rule in planned.stay {
        run.report.warn(format!("names {NAME} and is not docker's: stays: {program} {rule}"));
    }
    let change = |delete: Delete| {
        let why = format!("{program}: docker's rule for {NAME}: {delete}");
        Change::new(Step::Iptables(Call { program, table: delete.table, args: delete.args }), why)
    };
    Ok(planned.deletes.into_iter().map(change).collect())
}

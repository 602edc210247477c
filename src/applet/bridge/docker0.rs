//! `--replace-docker0`: docker's default bridge and docker's own rules about it go.

use super::Run;
use super::programs::Programs;
use super::seen::Seen;
use crate::client::docker::{self, DefaultNetwork};
use crate::error::{Error, Result};
use crate::plan::bridge::{Call, Change, Plan, Step};
use crate::plan::docker::is_dockerd;
use crate::plan::docker0::{self, Facts, Link, NAME};
use crate::plan::nat::choose::Variant;
use crate::plan::nat::docker0::{Listed, TABLES, plan as plan_rules};
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

/// Plans its removal; gives back the number of its link, if that is about to go. The link goes first:
/// nothing that its rules closed is open after that.
pub fn plan(run: &mut Run<'_>, plan: &mut Plan) -> Result<Option<u32>> {
    if !run.args.replace_docker0 {
        return Ok(None);
    }
    may_go(run)?;
    let link = run.links.get(&name()?)?;
    let addrs = link.as_ref().map_or_else(|| Ok(Vec::new()), |l| run.links.addresses_of(l))?;
    if link.is_some() {
        plan.changes.push(Change::new(Step::DeleteLink(name()?), format!("{NAME}: is there")));
    }
    let seen = Seen::look(run)?;
    for variant in [Variant::Legacy, Variant::Nft] {
        for ipv4 in [true, false] {
            rules(run, &seen, (variant, ipv4), &addrs, plan)?;
        }
    }
    Ok(link.map(|l| l.index))
}

fn rules(
    run: &mut Run<'_>,
    seen: &Seen,
    (variant, ipv4): (Variant, bool),
    addrs: &[Cidr],
    plan: &mut Plan,
) -> Result<()> {
    let tables: Vec<&'static str> =
        TABLES.into_iter().filter(|t| seen.has_table_of_iptables(variant, ipv4, t)).collect();
    if tables.is_empty() {
        return Ok(());
    }
    let Some(programs) = Programs::of_variant(run, variant)? else {
        let suffix = variant.suffix();
        run.report.warn(format!("docker's rules of iptables-{suffix} stay: there is no such program"));
        return Ok(());
    };
    let program = programs.of(ipv4);
    let listed: Vec<Listed> =
        tables.into_iter().map(|t| Ok((t, run.iptables.list(program, t)?))).collect::<Result<_>>()?;
    let own: Vec<Cidr> = addrs.iter().filter(|a| a.is_ipv4() == ipv4).copied().collect();
    let planned = plan_rules(&listed, &own);
    for rule in planned.stay {
        run.report.warn(format!("names {NAME} and is not docker's: stays: {program} {rule}"));
    }
    plan.changes.extend(planned.deletes.into_iter().map(|delete| {
        let why = format!("{program}: docker's rule for {NAME}: {delete}");
        Change::new(Step::Iptables(Call { program, table: delete.table, args: delete.args }), why)
    }));
    Ok(())
}

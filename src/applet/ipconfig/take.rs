//! Taking the steps.

use super::Run;
use crate::applet::report;
use crate::error::{Error, Result};
use crate::plan::bridge;
use crate::plan::ipconfig::{Facts, Goal, Step, plan};
use crate::sys::link::Links;
use crate::sys::{file, hostname, lock, log};

impl report::Step for Step {
    fn kind(&self) -> &'static str {
        match self {
            Self::Link(step) => report::Step::kind(step),
            Self::Route(..) => "route",
            Self::Dhcp(..) => "dhcp",
            Self::Resolver(..) => "file",
            Self::Hostname(_) => "hostname",
        }
    }

    fn context(&self) -> String {
        match self {
            Self::Resolver(path, _) => format!("write {path}"),
            other => other.to_string(),
        }
    }
}

/// Takes them, one run at a time.
pub fn carry_out(run: &mut Run<'_>, steps: &[Step]) -> Result<()> {
    let is_work = !run.report.dry_run && !steps.is_empty();
    let _lock = is_work.then(|| lock::acquire(&run.deadline)).transpose()?;
    let links = &run.links;
    run.report.carry_out(steps, |step| one(links, step))
}

fn one(links: &Links, step: &Step) -> Result<()> {
    match step {
        Step::Link(bridge::Step::SetMtu(name, mtu)) => {
            if !links.set_mtu(name, *mtu)? {
                log::warning!("{name} does not take an MTU of {mtu}: it stays as it is");
            }
            Ok(())
        }
        Step::Link(bridge::Step::SetUp(name)) => links.set_up(name),
        Step::Link(bridge::Step::AddAddress(name, cidr)) => links.add_address(name, *cidr),
        Step::Link(bridge::Step::DeleteAddress(name, cidr)) => links.delete_address(name, *cidr),
        Step::Route(name, route, is_onlink) => links.replace_route(name, route, *is_onlink),
        Step::Resolver(path, text) => write(path, text),
        Step::Hostname(name) => hostname::set(name),
        Step::Link(_) | Step::Dhcp(..) => Err(Error::failed("is no step of its own")),
    }
}

/// A link to nothing, as images leave it for a resolver that does not run yet, is replaced; any other is
/// followed.
fn write(path: &str, text: &str) -> Result<()> {
    let path = std::path::Path::new(path);
    file::make_directory_of(path)?;
    let write = if path.exists() { file::write_atomic } else { file::replace };
    write(path, text.as_bytes(), 0o644)
}

/// Gives a link what it is to have.
pub fn settle(run: &mut Run<'_>, goal: &Goal, how: &str) -> Result<()> {
    let Some(link) = run.links.get(&goal.name)? else {
        return Err(Error::failed(format!("{} is gone", goal.name)));
    };
    let (addresses, routes) = (run.links.addresses_of(&link)?, run.links.routes_by(&link)?);
    let (steps, already) = plan(goal, &Facts { up: link.up, mtu: link.mtu, addresses, routes });
    log::debug!("{} ({how})", goal.name);
    run.report.already(already);
    carry_out(run, &steps)
}

/// `eth0 10.0.2.15/24 via 10.0.2.2 (static)`.
pub fn shown(goal: &Goal, how: &str) -> String {
    let via = goal.routes.iter().find(|r| r.is_default()).and_then(|r| r.via);
    let via = via.map(|via| format!(" via {via}")).unwrap_or_default();
    format!("{} {}{via} ({how})", goal.name, goal.address)
}

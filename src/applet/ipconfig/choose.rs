//! The link: the one named, else the first that is fit.

use super::{Run, take};
use crate::error::Result;
use crate::plan::bridge;
use crate::plan::ip_param::Device;
use crate::plan::ipconfig::Step;
use crate::sys::link::{Link, Watch};
use crate::sys::wait::{self, Retry};
use crate::types::IfName;

/// The link, awaited: its driver may still be looking for its hardware.
pub fn link(run: &mut Run<'_>, device: Option<&Device>) -> Result<(IfName, Link)> {
    let deadline = run.deadline;
    let watch = Watch::open()?;
    let what = device.map_or("a network link".to_owned(), |d| format!("link {d}"));
    wait::woken(
        &deadline,
        &what,
        |span| watch.sleep(span),
        || {
            let mut links = run.links.all()?;
            // A bridge or a VLAN may have the Ethernet address of the link below.
            links.sort_by_key(|l| (l.kind != "device", l.index));
            let fit: Vec<(IfName, &Link)> = links
                .iter()
                .filter(|l| device.map_or_else(|| is_fit(run, l), |d| is_it(d, l)))
                .filter_map(|l| Some((l.name.parse().ok()?, l)))
                .collect();
            match fit.as_slice() {
                [] => Err(later(match device {
                    Some(_) => format!("there is none of that name: {}", names(&links)),
                    None => format!("there is no Ethernet card (a driver?) among {}", names(&links)),
                })),
                [(name, link), ..] if device.is_some() => Ok((name.clone(), (*link).clone())),
                all => first(run, all),
            }
        },
    )
}

fn later(why: String) -> Retry {
    Retry::Later { why, after: None }
}

fn names(links: &[Link]) -> String {
    links.iter().map(|l| l.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn is_it(device: &Device, link: &Link) -> bool {
    match device {
        Device::Name(name) => link.name == name.as_str(),
        Device::Mac(mac) => link.mac == Some(*mac),
    }
}

/// Ethernet, and hardware: what software makes (bridge, veth, tun) says its kind.
fn is_fit(run: &Run<'_>, link: &Link) -> bool {
    let is_taken = run.done.iter().any(|(index, _)| *index == link.index);
    link.is_ethernet && link.kind == "device" && link.master.is_none() && !is_taken
}

/// The first with a carrier. A link that is down has none: all are brought up to see.
fn first(run: &mut Run<'_>, fit: &[(IfName, &Link)]) -> Result<(IfName, Link), Retry> {
    let found = fit.iter().find(|(_, l)| l.carrier).or(fit.first().filter(|_| run.report.dry_run));
    if let Some((name, link)) = found {
        return Ok((name.clone(), (*link).clone()));
    }
    let down = fit.iter().filter(|(_, l)| !l.up);
    let steps: Vec<Step> = down.map(|(name, _)| Step::Link(bridge::Step::SetUp(name.clone()))).collect();
    take::carry_out(run, &steps)?;
    let names: Vec<&str> = fit.iter().map(|(name, _)| name.as_str()).collect();
    Err(later(format!("none has a carrier: {}", names.join(", "))))
}

/// Waits until something is at the other end.
pub fn carrier(run: &Run<'_>, name: &IfName) -> Result<()> {
    let watch = Watch::open()?;
    wait::woken(
        &run.deadline,
        &format!("link {name}"),
        |span| watch.sleep(span),
        || match run.links.get(name)? {
            Some(link) if link.carrier => Ok(()),
            Some(_) => Err(later("has no carrier: is its cable in?".into())),
            None => Err(later("is gone".into())),
        },
    )
}

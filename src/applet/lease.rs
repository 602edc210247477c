//! Where a lease comes from, for every applet that needs one: `--subnet`; else `--env-file` if given;
//! else FLANNEL_SUBNET and its fellows in the environment; else /run/flannel/subnet.env, awaited.

use std::path::Path;

use crate::error::{Error, Result};
use crate::plan::subnet_env::{self, Lease, Read};
use crate::sys::file;
use crate::sys::log;
use crate::sys::wait::{self, Deadline, Seen};
use crate::types::Cidr;

use super::options::LeaseOptions;

/// Where flanneld writes its lease unless told otherwise.
pub const SUBNET_ENV: &str = "/run/flannel/subnet.env";

/// The lease that is there without waiting: from the options, the environment, or a file that is whole.
/// Anything wrong with what the operator gave is an error here already.
pub fn now(options: &LeaseOptions) -> Result<Option<Lease>> {
    if let Some(lease) = at_hand(options)? {
        return Ok(Some(lease));
    }
    match look(path(options), options.allow_stale)? {
        Seen::Ready(lease) => Ok(Some(lease)),
        Seen::NotYet(_) | Seen::Elsewhere(_) => Ok(None),
    }
}

/// What flanneld left of this boot where it writes unless told otherwise, whole or not at all.
pub fn at_default() -> Option<Lease> {
    match look(Path::new(SUBNET_ENV), false) {
        Ok(Seen::Ready(lease)) => Some(lease),
        _ => None,
    }
}

fn path(options: &LeaseOptions) -> &Path {
    options.env_file.as_deref().unwrap_or(Path::new(SUBNET_ENV))
}

/// Whether the options make sense, before anything else is looked at.
pub fn check(options: &LeaseOptions) -> Result<()> {
    if options.env_file.is_some() && !options.subnet.is_empty() {
        return Err(Error::usage("--subnet and --env-file are both given: a lease comes from one place"));
    }
    of_subnets(&options.subnet).map(drop)
}

/// The subnet that was given in place of a lease.
pub fn fixed(options: &LeaseOptions) -> Result<Option<Lease>> {
    check(options)?;
    Ok(Some(of_subnets(&options.subnet)?).filter(|l| l.subnets().next().is_some()))
}

fn at_hand(options: &LeaseOptions) -> Result<Option<Lease>> {
    if let Some(lease) = fixed(options)? {
        return Ok(Some(lease));
    }
    if options.env_file.is_some() {
        return Ok(None);
    }
    let Some(lease) = in_environment()? else { return Ok(None) };
    log::info!("lease {} from FLANNEL_SUBNET in the environment", shown(&lease));
    // A shell that once read an old lease would keep it for good.
    if let Ok(Seen::Ready(file)) = look(Path::new(SUBNET_ENV), true)
        && (file.subnet, file.subnet6) != (lease.subnet, lease.subnet6)
    {
        log::warning!("{SUBNET_ENV} has another lease, {}: unset FLANNEL_SUBNET to use it", shown(&file));
    }
    Ok(Some(lease))
}

fn in_environment() -> Result<Option<Lease>> {
    let lease = subnet_env::from_variables(|name| std::env::var(name).ok()).map_err(Error::usage)?;
    Ok(Some(lease).filter(|l| l.subnets().next().is_some()))
}

/// The lease as flanneld's file has it by now; the same where it did not come from there.
pub fn again(options: &LeaseOptions, lease: Lease) -> Lease {
    let is_in_environment = options.env_file.is_none() && matches!(in_environment(), Ok(Some(_)));
    if !options.subnet.is_empty() || is_in_environment {
        return lease;
    }
    match look(path(options), options.allow_stale) {
        Ok(Seen::Ready(now)) => now,
        _ => lease,
    }
}

fn of_subnets(subnets: &[Cidr]) -> Result<Lease> {
    let mut lease = Lease::default();
    for cidr in subnets {
        let place = if cidr.is_ipv4() { &mut lease.subnet } else { &mut lease.subnet6 };
        if let Some(first) = place.replace(*cidr) {
            return Err(Error::usage(format!(
                "--subnet {first} and --subnet {cidr}: give one of each address family"
            )));
        }
    }
    Ok(lease)
}

/// Finds the lease, waiting for flannel's file if it has to come from there.
pub fn resolve(options: &LeaseOptions, deadline: &Deadline) -> Result<Lease> {
    match at_hand(options)? {
        Some(lease) => Ok(lease),
        None => from_file(path(options), options.allow_stale, deadline, |_| Ok(None)),
    }
}

/// Waits for flannel's file: missing, empty, partial or left by an earlier boot it is awaited, and where
/// `doubt` has a reason against the lease in it; junk or a directory is exit 1.
pub fn from_file(
    path: &Path,
    allow_stale: bool,
    deadline: &Deadline,
    mut doubt: impl FnMut(&Lease) -> Result<Option<String>>,
) -> Result<Lease> {
    let lease = wait::file(path, deadline, |path| match look(path, allow_stale)? {
        Seen::Ready(lease) => Ok(match doubt(&lease)? {
            Some(why) => Seen::Elsewhere(why),
            None => Seen::Ready(lease),
        }),
        Seen::NotYet(why) | Seen::Elsewhere(why) => Ok(Seen::NotYet(why)),
    })?;
    log::debug!("lease {} from {}", shown(&lease), path.display());
    Ok(lease)
}

/// Whether a file lies in /etc, wherever its name leads.
fn is_operators(path: &Path) -> bool {
    path.canonicalize().is_ok_and(|p| p.starts_with("/etc"))
}

fn look(path: &Path, allow_stale: bool) -> Result<Seen<Lease>> {
    // Before it is read: what flanneld puts in its place meanwhile must not make the old one young. What lies
    // in /etc is an administrator's own, and meant to last.
    let is_old = !allow_stale && !is_operators(path) && file::is_from_earlier_boot(path);
    let Some(bytes) = file::read_if_there(path)? else {
        return Ok(Seen::NotYet("is not there yet (flanneld writes it)".into()));
    };
    let text = String::from_utf8(bytes).ok().filter(|t| !t.contains('\0'));
    let text = text.ok_or_else(|| Error::failed(format!("{}: is not text", path.display())))?;
    match subnet_env::parse(&text) {
        Ok(Read::Whole(_)) if is_old => {
            Ok(Seen::NotYet("is from an earlier boot (--allow-stale takes it)".into()))
        }
        Ok(Read::Whole(lease)) => Ok(Seen::Ready(lease)),
        Ok(Read::Partial(_)) if text.is_empty() => Ok(Seen::NotYet("is empty".into())),
        Ok(Read::Partial(why)) => Ok(Seen::NotYet(why)),
        Err(why) => Err(Error::failed(format!("{}: {why}", path.display()))),
    }
}

/// Its subnets.
pub fn shown(lease: &Lease) -> String {
    lease.subnets().map(|c| c.to_string()).collect::<Vec<_>>().join(" ")
}

//! Whose rules it is to be: a program's, and which one's, or nf_tables by netlink.

use std::time::Duration;

use super::firewall::Seen;
use super::{Firewall, Run};
use crate::error::{Context, Error, Exit, Result};
use crate::plan::nat::choose::{self, Variant};
use crate::plan::nat::iptables;
use crate::sys::iptables::PROGRAMS;
use crate::sys::{exec, log};
use crate::types::parse_version;

/// The choice, with the reason for the log.
pub enum Backend {
    /// nf_tables by netlink.
    Nft,
    /// These programs, IPv4's and IPv6's.
    Iptables(&'static str, &'static str),
}

/// Chooses: where kboot's rules are already; else iptables if it runs and can list nat; else nft.
/// `None` when nothing is to be masqueraded by anybody.
pub fn choose(run: &mut Run<'_>, seen: &Seen) -> Result<Backend> {
    let has_nft = seen.has_nft();
    let (backend, why) = match run.args.firewall {
        Firewall::Nft if has_nft => (Backend::Nft, "--firewall nft".to_owned()),
        Firewall::Nft => return Err(Error::failed(crate::sys::nft::MISSING)),
        Firewall::Iptables => by_program(run, seen)?,
        _ if seen.own_table(&run.name) => (Backend::Nft, "kboot's rules are there".to_owned()),
        _ => match by_program(run, seen).and_then(|chosen| works(run, chosen)) {
            Ok(chosen) => chosen,
            Err(error) if error.exit == Exit::Deadline => return Err(error),
            Err(error) if has_nft => (Backend::Nft, error.to_string()),
            Err(error) => {
                return Err(Error::failed(format!(
                    "masquerading: {error}, and {}",
                    crate::sys::nft::MISSING
                )));
            }
        },
    };
    let name = match backend {
        Backend::Nft => "nft",
        Backend::Iptables(program, _) => program,
    };
    log::debug!("firewall {name}: {why}");
    run.report.found("firewall", serde_json::json!({"backend": name, "reason": why}));
    Ok(backend)
}

fn works(run: &Run<'_>, chosen: (Backend, String)) -> Result<(Backend, String)> {
    if let Backend::Iptables(four, six) = chosen.0 {
        // The family that has pods, or IPv4's.
        let program = if run.args.subnet.iter().all(|s| !s.is_ipv4()) && !run.args.subnet.is_empty() {
            six
        } else {
            four
        };
        run.iptables.list(program, "nat")?;
    }
    Ok(chosen)
}

fn by_program(run: &mut Run<'_>, seen: &Seen) -> Result<(Backend, String)> {
    exec::find("iptables").map_err(|_| Error::failed("there is no iptables program"))?;
    let (legacy, nft) = seen.engines()?;
    if let Some(text) = choose::mixed(&legacy, &nft) {
        run.report.warn(text);
    }
    let Some((variant, why)) = choose::variant(&legacy, &nft, &iptables::chain(&run.name)) else {
        return Ok((Backend::Iptables("iptables", "ip6tables"), "it is there".into()));
    };
    if let Some((four, six)) = of_variant(variant) {
        return Ok((Backend::Iptables(four, six), why));
    }
    let suffix = variant.suffix();
    run.report.warn(format!(
        "the host's rules are iptables-{suffix}'s, and there is no such program: rules of both will be loaded"
    ));
    Ok((Backend::Iptables("iptables", "ip6tables"), "it is the only one".into()))
}

/// The programs that speak to that engine: the plain ones if they do.
pub fn of_variant(variant: Variant) -> Option<(&'static str, &'static str)> {
    if of_plain() == Some(variant) {
        return Some(("iptables", "ip6tables"));
    }
    let named = |start: &str| {
        let name = format!("{start}-{}", variant.suffix());
        PROGRAMS.into_iter().find(|p| *p == name && exec::find(p).is_ok())
    };
    let four = named("iptables")?;
    Some((four, named("ip6tables").unwrap_or("ip6tables")))
}

/// What `iptables` speaks to: by the file that it is, else by its own word.
fn of_plain() -> Option<Variant> {
    let path = exec::find("iptables").ok()?;
    let file = path.canonicalize().ok()?;
    let by_file = Variant::of_file(&file.file_name()?.to_string_lossy());
    by_file.or_else(|| {
        let said = exec::ask(&path, &["--version"], WITHIN).ok()?;
        Some(Variant::of_version(&said.stdout))
    })
}

/// The longest that a program may take to say its version.
const WITHIN: Duration = Duration::from_secs(10);

/// Whether the program's MASQUERADE takes `--random-fully`: iptables from 1.6.2 on, ip6tables from 1.8.6
/// on. Kernels before 3.13 take it and do without. A rule that has it answers without asking.
pub fn random_fully(run: &Run<'_>, program: &'static str, listed: &[String]) -> Result<bool> {
    if iptables::listed_random_fully(&run.name, listed) == Some(true) {
        return Ok(true);
    }
    let since = if program.starts_with("ip6") { (1, 8, 6) } else { (1, 6, 2) };
    let said =
        exec::ask(&exec::find(program)?, &["--version"], run.deadline.attempt(WITHIN)).context(program)?;
    let version = said.stdout.split_whitespace().nth(1).unwrap_or_default();
    Ok(parse_version(version).is_ok_and(|v| v >= since))
}

//! Whose rules it is to be: a program's, and which one's, or nf_tables by netlink.

use std::time::Duration;

use super::seen::Seen;
use super::{Firewall, Run};
use crate::error::{Context, Error, Exit, Result};
use crate::plan::nat::choose::{self, Variant};
use crate::plan::nat::iptables;
use crate::sys::iptables::PROGRAMS;
use crate::sys::{exec, log, nft};
use crate::types::parse_version;

/// Who makes the rules.
pub enum Backend {
    /// nf_tables by netlink.
    Nft,
    /// These programs.
    Iptables(Programs),
}

/// iptables and ip6tables, and what they speak to.
pub struct Programs {
    four: &'static str,
    six: &'static str,
    /// Which of the kernel's engines.
    pub variant: Variant,
}

/// Chooses: where kboot's rules are already; else iptables if it runs and can list nat, of each of the
/// families (whether IPv4); else nft.
pub fn choose(run: &mut Run<'_>, seen: &Seen, families: &[bool]) -> Result<Backend> {
    let has_nft = seen.has_nft();
    let (backend, why) = match run.args.firewall {
        Firewall::Nft if has_nft => (Backend::Nft, "--firewall nft".to_owned()),
        Firewall::Nft => return Err(Error::failed(nft::MISSING)),
        Firewall::Iptables if exec::find("iptables").is_err() => {
            return Err(Error::failed("there is no iptables in PATH: install it, or give --firewall nft"));
        }
        Firewall::Iptables => {
            by_program(run, seen).map(|(programs, why)| (Backend::Iptables(programs), why))?
        }
        _ if seen.own_table(&run.name) => (Backend::Nft, "kboot's rules are there".to_owned()),
        _ => match working(run, seen, families) {
            Ok((programs, why)) => (Backend::Iptables(programs), why),
            Err(error) if error.exit == Exit::Deadline => return Err(error),
            Err(error) if has_nft => {
                log::info!("firewall nft: {error}");
                (Backend::Nft, error.to_string())
            }
            Err(error) => {
                return Err(Error::failed(format!("masquerading: {error}, and {}", nft::MISSING)));
            }
        },
    };
    let name = match &backend {
        Backend::Nft => "nft",
        Backend::Iptables(programs) => programs.four,
    };
    log::debug!("firewall {name}: {why}");
    run.report.found("firewall", serde_json::json!({"backend": name, "reason": why}));
    Ok(backend)
}

fn working(run: &mut Run<'_>, seen: &Seen, families: &[bool]) -> Result<(Programs, String)> {
    let (programs, why) = by_program(run, seen)?;
    for ipv4 in families {
        programs.list_nat(run, seen, *ipv4)?;
    }
    Ok((programs, why))
}

fn by_program(run: &mut Run<'_>, seen: &Seen) -> Result<(Programs, String)> {
    let plain = Programs::plain(run)?.ok_or_else(|| Error::failed("there is no iptables program"))?;
    let (legacy, nft) = seen.engines()?;
    if let Some(text) = choose::mixed(&legacy, &nft) {
        run.report.warn(text);
    }
    let Some((variant, why)) = choose::variant(&legacy, &nft, &iptables::chain(&run.name)) else {
        return Ok((plain, "it is there".into()));
    };
    if let Some(programs) = Programs::of_variant(run, variant)? {
        return Ok((programs, why));
    }
    let suffix = variant.suffix();
    run.report.warn(format!(
        "the host's rules are iptables-{suffix}'s, and there is no such program: rules of both will be loaded"
    ));
    Ok((plain, "it is the only one".into()))
}

impl Programs {
    /// `iptables` and `ip6tables`, as they are installed: what they speak to is told by the file that they
    /// are, else by their own word.
    fn plain(run: &Run<'_>) -> Result<Option<Self>> {
        let Ok(path) = exec::find("iptables") else { return Ok(None) };
        let file = path.canonicalize().ok();
        let name = file.as_deref().and_then(|f| f.file_name()).unwrap_or_default();
        let variant = if let Some(variant) = Variant::of_file(&name.to_string_lossy()) {
            variant
        } else {
            Variant::of_version(&exec::ask(&path, &["--version"], run.deadline.attempt(WITHIN))?.stdout)
        };
        Ok(Some(Self { four: "iptables", six: "ip6tables", variant }))
    }

    /// The programs that speak to that engine: the plain ones if they do.
    pub fn of_variant(run: &Run<'_>, variant: Variant) -> Result<Option<Self>> {
        if let Some(plain) = Self::plain(run)?.filter(|p| p.variant == variant) {
            return Ok(Some(plain));
        }
        let named = |start: &str| {
            let name = format!("{start}-{}", variant.suffix());
            PROGRAMS.into_iter().find(|p| *p == name && exec::find(p).is_ok())
        };
        let named = named("iptables").map(|four| (four, named("ip6tables").unwrap_or("ip6tables")));
        Ok(named.map(|(four, six)| Self { four, six, variant }))
    }

    /// That family's program.
    pub fn of(&self, ipv4: bool) -> &'static str {
        if ipv4 { self.four } else { self.six }
    }

    /// The lines of `-t nat -S`. Listing legacy iptables' table makes it: not for a mere look.
    pub fn list_nat(&self, run: &Run<'_>, seen: &Seen, ipv4: bool) -> Result<Vec<String>> {
        let is_there =
            self.variant == Variant::Nft || seen.has_table_of_iptables(Variant::Legacy, ipv4, "nat");
        if run.is_look_only() && !is_there {
            return Ok(Vec::new());
        }
        seen.nat_by(run, self.of(ipv4))
    }
}

/// The longest that a program may take to say its version.
const WITHIN: Duration = Duration::from_secs(10);

/// Whether the program's MASQUERADE takes `--random-fully`: iptables from 1.6.2 on, ip6tables from 1.8.6
/// on. Kernels before 3.13 take it and do without. A rule that has it answers without asking.
pub fn random_fully(run: &Run<'_>, program: &'static str, listed: &[String]) -> Result<bool> {
    if iptables::has_random_fully(&run.name, listed) {
        return Ok(true);
    }
    let since = if program.starts_with("ip6") { (1, 8, 6) } else { (1, 6, 2) };
    let said =
        exec::ask(&exec::find(program)?, &["--version"], run.deadline.attempt(WITHIN)).context(program)?;
    let version = said.stdout.split_whitespace().nth(1).unwrap_or_default();
    Ok(parse_version(version).is_ok_and(|v| v >= since))
}

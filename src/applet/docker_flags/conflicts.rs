//! Looks for everything with which dockerd would refuse to start once the outcome is in place: exit 3.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::Args;
use super::forms::{Format, Outcome};
use super::host::{self, Unit};
use super::restart::How;
use crate::applet::report::Report;
use crate::error::{Error, Result};
use crate::plan::docker::around;
use crate::plan::docker::conflicts::{self, Sources};
use crate::plan::docker::words;
use crate::plan::subnet_env::Lease;
use crate::sys::process::command_line;
use crate::types::Version;

/// dockerd's own default.
const DAEMON_JSON: &str = "/etc/docker/daemon.json";
/// What Debian's and Ubuntu's sysvinit and upstart scripts read.
const DEFAULT_FILE: &str = "/etc/default/docker";

type Places = Vec<(String, Vec<String>)>;

/// The check. Returns the socket that dockerd will listen on, where its settings name one.
pub fn check(
    args: &Args,
    outcome: &Outcome,
    lease: &Lease,
    version: Option<Version>,
    report: &mut Report,
) -> Result<Option<String>> {
    let flags = flags(args, outcome, report)?;
    let (path, text) = daemon_json(args, outcome, &flags, report)?;
    let shown = path.display().to_string();
    if let (Some(text), Some(version)) = (&text, version.filter(|v| *v < (23, 0, 0) && *v >= (1, 10, 0))) {
        // moby 20.10: EOF, and "invalid character 'ï'".
        if text.trim().is_empty() || text.starts_with('\u{feff}') {
            let what = if text.trim().is_empty() { "is empty" } else { "begins with a byte order mark" };
            let version = crate::types::show_version(version);
            return Err(Error::conflict(format!("{shown}: {what}: docker {version} does not start with it")));
        }
    }
    let map = text.filter(|t| !t.trim().is_empty()).map(|text| {
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        serde_json::from_str::<Map<String, Value>>(text)
            .map_err(|e| Error::conflict(format!("{shown}: dockerd would not read it: {e}")))
    });
    let map = map.transpose()?;
    let sources = Sources { json: map.as_ref().map(|m| (shown.as_str(), m)), flags: &flags, version };
    let mut found = conflicts::find(&sources);
    found.extend(lease.subnet.iter().flat_map(|subnet| around::outside(&sources, subnet)));
    match found.as_slice() {
        [] => Ok(around::socket(&sources)),
        [one] => Err(Error::conflict(one.clone())),
        [first, rest @ ..] => {
            Err(Error::conflict(format!("{first} (and {} more: {})", rest.len(), rest.join("; "))))
        }
    }
}

/// The daemon.json that dockerd will read.
fn daemon_json(
    args: &Args,
    outcome: &Outcome,
    flags: &Places,
    report: &mut Report,
) -> Result<(PathBuf, Option<String>)> {
    let words: Vec<&String> = flags.iter().flat_map(|(_, w)| w).collect();
    let given = words.iter().enumerate().find_map(|(at, w)| match w.strip_prefix("--config-file")? {
        "" => words.get(at + 1).map(|w| w.as_str()),
        value => value.strip_prefix('='),
    });
    let read = PathBuf::from(given.unwrap_or(DAEMON_JSON));
    if args.format != Format::DaemonJson {
        let text = host::text(&read)?;
        return Ok((read, text));
    }
    let Some(edit) = outcome.edits.first() else { return Ok((read, Some(outcome.printed.clone()))) };
    if given.is_some() && read != edit.path {
        report.warn(format!("dockerd reads {} (--config-file), not {}", read.display(), edit.path.display()));
    }
    Ok((edit.path.clone(), Some(edit.text.clone())))
}

/// The command line that dockerd will be started with: the caller's own, that of the process to be
/// restarted, docker.service's, or that of the script that reads /etc/default/docker.
fn flags(args: &Args, outcome: &Outcome, report: &mut Report) -> Result<Places> {
    let own = |place: &str| vec![(place.to_owned(), outcome.flags.clone())];
    if args.output.is_none() && matches!(args.format, Format::Flags | Format::Env) {
        return Ok(own("these flags"));
    }
    if let (Format::DaemonJson, Some(How::Pid(pid))) = (args.format, args.restart) {
        return Ok(vec![(format!("process {pid}"), command_line(pid))]);
    }
    let Some(unit) = Unit::read(&[], outcome.as_if.as_deref().unwrap_or(&outcome.edits))? else {
        return Ok(match &args.output {
            Some(path) if args.format != Format::DaemonJson => own(&path.display().to_string()),
            _ => sysv_flags()?,
        });
    };
    if !unit.starts_dockerd() {
        report.warn(format!(
            "{}: starts docker by another program: its flags are not seen",
            unit.service.starter
        ));
        return Ok(Vec::new());
    }
    let places = unit.flags()?;
    let reaches = |flag: &String| places.iter().any(|(_, words)| words.contains(flag));
    match (args.format, args.output.as_deref()) {
        (Format::Flags | Format::Env, Some(path)) if !outcome.flags.iter().all(reaches) => {
            not_read(args, path, &unit, report)?;
            Ok(own(&path.display().to_string()))
        }
        (Format::Systemd, _) if !outcome.flags.iter().all(reaches) => Err(Error::conflict(format!(
            "{} overrules the drop-in: give kboot's a name that sorts after all others (zz-kboot.conf)",
            overruling(args, &unit)
        ))),
        _ => Ok(places),
    }
}

/// The file that has the last word instead of kboot's.
fn overruling<'u>(args: &Args, unit: &'u Unit) -> &'u String {
    let own = args.output.as_ref().map(|p| p.display().to_string()).unwrap_or_default();
    let line = unit.service.exec_start.as_deref().unwrap_or_default();
    let variable = crate::plan::docker::unit::variable_read(line);
    let origin = variable.as_ref().map_or(&unit.service.starter, |name| unit.origin(name));
    if unit.service.starter == own || Path::new(origin).with_extension("conf") == Path::new(&own) {
        &unit.service.starter
    } else {
        origin
    }
}

/// Flags in a file that docker.service does not start dockerd with.
fn not_read(args: &Args, path: &Path, unit: &Unit, report: &mut Report) -> Result<()> {
    let shown = path.display();
    let is_named = unit.service.environment_files.iter().any(|f| Path::new(f) == path);
    let why = if is_named {
        format!("docker.service reads {shown}, but another file overrules it, or it is another variable")
    } else {
        format!("docker.service does not read {shown}: --format systemd does it")
    };
    if args.restart.is_some_and(How::is_by_systemd) {
        return Err(Error::conflict(format!("{why}: a restart would change nothing")));
    }
    if is_named || path.starts_with("/etc") {
        report.warn(why);
    }
    Ok(())
}

fn sysv_flags() -> Result<Places> {
    let text = host::text(Path::new(DEFAULT_FILE))?.unwrap_or_default();
    let value = words::env_file(&text).into_iter().rev().find(|(name, _)| name == "DOCKER_OPTS");
    let words = words::split(&value.unwrap_or_default().1, false)
        .map_err(|why| Error::conflict(format!("{DEFAULT_FILE}: {why}")))?;
    Ok(vec![(DEFAULT_FILE.to_owned(), words.into_iter().map(|w| w.text).collect())])
}

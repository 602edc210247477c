//! What on this host dockerd takes settings from: its unit, the files of variables, daemon.json.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::Args;
use super::forms::{Edit, Format, Outcome};
use crate::applet::report::Report;
use crate::error::{Error, Result};
use crate::plan::docker::conflicts::{self, Sources};
use crate::plan::docker::unit::{self, File, Service};
use crate::plan::docker::words;
use crate::sys::file;
use crate::types::Version;

/// Where units are, the first winning (systemd.unit(5)).
pub const UNIT_DIRS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// Where kboot's drop-in goes, unless told.
pub const OWN_DROP_IN: &str = "/etc/systemd/system/docker.service.d/90-kboot.conf";
/// dockerd's own default.
const DAEMON_JSON: &str = "/etc/docker/daemon.json";
/// What Debian's and Ubuntu's sysvinit and upstart scripts read.
const DEFAULT_FILE: &str = "/etc/default/docker";

type Variables = Vec<(String, String)>;

/// docker.service with its drop-ins but for the files left out; `edits` stand for what is there now.
/// `None`: there is no such unit.
pub fn service(leave_out: &[PathBuf], edits: &[Edit]) -> Result<Option<(Service, Variables)>> {
    let read = |path: &Path| -> Result<Option<String>> {
        match edits.iter().find(|e| e.path == path) {
            Some(edit) => Ok(Some(edit.text.clone())),
            None => text(path),
        }
    };
    let unit = UNIT_DIRS.iter().map(|d| Path::new(d).join("docker.service")).find(|p| p.exists());
    let Some(unit) = unit else { return Ok(None) };
    let mut files = Vec::new();
    for path in std::iter::once(unit).chain(drop_ins(edits)).filter(|p| !leave_out.contains(p)) {
        let text = read(&path)?.unwrap_or_default();
        files.push(File { path: path.display().to_string(), text });
    }
    let service = unit::read(&files).map_err(Error::conflict)?;
    let mut texts = Vec::new();
    for path in service.environment_files.iter().map(Path::new).filter(|p| !leave_out.iter().any(|l| l == p))
    {
        texts.extend(read(path)?);
    }
    let variables = unit::variables(&service, texts.iter().map(String::as_str));
    Ok(Some((service, variables)))
}

/// In systemd's order: by name, wherever they are; of one name the first directory's.
fn drop_ins(edits: &[Edit]) -> Vec<PathBuf> {
    let mut found: BTreeMap<std::ffi::OsString, PathBuf> = BTreeMap::new();
    for dir in UNIT_DIRS.iter().map(|d| Path::new(d).join("docker.service.d")) {
        let there = std::fs::read_dir(&dir).into_iter().flatten().flatten().map(|e| e.path());
        let new = edits.iter().map(|e| e.path.clone()).filter(|p| p.parent() == Some(&dir));
        for path in there.chain(new).filter(|p| p.extension().is_some_and(|e| e == "conf")) {
            let Some(name) = path.file_name() else { continue };
            found.entry(name.to_owned()).or_insert(path);
        }
    }
    found.into_values().collect()
}

fn text(path: &Path) -> Result<Option<String>> {
    let bytes = file::read_if_there(path)?;
    Ok(bytes.map(|b| String::from_utf8_lossy(&b).into_owned()))
}

/// Looks for everything with which dockerd would refuse to start, once the outcome is in place: exit 3.
pub fn check(args: &Args, outcome: &Outcome, version: Option<Version>, report: &mut Report) -> Result<()> {
    let flags = flags(args, outcome, report)?;
    let words: Vec<&String> = flags.iter().flat_map(|(_, w)| w).collect();
    let given = words.iter().enumerate().find_map(|(at, w)| match w.strip_prefix("--config-file")? {
        "" => words.get(at + 1).map(|w| w.as_str()),
        value => value.strip_prefix('='),
    });
    let path = match (args.format, &args.output) {
        (Format::DaemonJson, Some(path)) => path.clone(),
        _ => given.unwrap_or(DAEMON_JSON).into(),
    };
    let json = match (args.format, outcome.edits.first()) {
        (Format::DaemonJson, Some(edit)) => Some(edit.text.clone()),
        (Format::DaemonJson, None) => Some(outcome.printed.clone()),
        _ => text(&path)?,
    };
    let shown = path.display().to_string();
    let map = json.filter(|t| !t.trim().is_empty()).map(|text| {
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        serde_json::from_str::<Map<String, Value>>(text)
            .map_err(|e| Error::conflict(format!("{shown}: dockerd would not read it: {e}")))
    });
    let map = map.transpose()?;
    let sources = Sources {
        json: map.as_ref().map(|m| (shown.as_str(), m)),
        flags: &flags,
        version: version.map(|(major, minor, _)| (major.into(), minor.into())),
    };
    match conflicts::find(&sources).as_slice() {
        [] => Ok(()),
        [one] => Err(Error::conflict(one.clone())),
        [first, rest @ ..] => {
            Err(Error::conflict(format!("{first} (and {} more: {})", rest.len(), rest.join("; "))))
        }
    }
}

/// The command line that dockerd will be started with: the caller's own, docker.service's, or that of
/// the script that reads /etc/default/docker.
fn flags(args: &Args, outcome: &Outcome, report: &mut Report) -> Result<Vec<(String, Vec<String>)>> {
    let own = |place: &str| vec![(place.to_owned(), outcome.flags.clone())];
    if args.output.is_none() && matches!(args.format, Format::Flags | Format::Env) {
        return Ok(own("these flags"));
    }
    let Some((service, variables)) = service(&[], &outcome.edits)? else {
        return Ok(match &args.output {
            Some(path) if args.format != Format::DaemonJson => own(&path.display().to_string()),
            _ => sysv_flags()?,
        });
    };
    let line = service.exec_start.unwrap_or_default();
    let words = words::words(&line, &variables)
        .map_err(|why| Error::conflict(format!("docker.service: ExecStart={line}: {why}")))?;
    if let (Some(path), Format::Flags | Format::Env) = (&args.output, args.format) {
        let shown = path.display().to_string();
        let is_read = service.environment_files.iter().any(|f| Path::new(f) == path);
        if !is_read || !outcome.flags.iter().all(|f| words.contains(f)) {
            if path.starts_with("/etc") {
                report.warn(format!("docker.service does not read {shown}: --format systemd does it"));
            }
            return Ok(own(&shown));
        }
    }
    Ok(vec![("docker.service".to_owned(), words)])
}

fn sysv_flags() -> Result<Vec<(String, Vec<String>)>> {
    let text = text(Path::new(DEFAULT_FILE))?.unwrap_or_default();
    let value = words::env_file(&text).into_iter().rev().find(|(name, _)| name == "DOCKER_OPTS");
    let words = value.map(|(_, v)| v.split_whitespace().map(str::to_owned).collect()).unwrap_or_default();
    Ok(vec![(DEFAULT_FILE.to_owned(), words)])
}

//! The four forms: what each file is to be, and writing it.

use std::path::{Path, PathBuf};

use argh::FromArgValue;

use super::host::{self, Unit};
use super::restart::{self, How};
use super::{Args, key};
use crate::applet::report::{Report, Step};
use crate::error::{Error, Result};
use crate::plan::docker::{self, Setting, json, unit};
use crate::sys::file;
use crate::sys::wait::Deadline;

/// How the settings are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One line.
    Flags,
    /// `KEY="FLAGS"`.
    Env,
    /// Keys of daemon.json.
    DaemonJson,
    /// A drop-in of docker.service.
    Systemd,
}

// argh's derive would write daemon_json.
impl FromArgValue for Format {
    fn from_arg_value(text: &str) -> Result<Self, String> {
        match text {
            "flags" => Ok(Self::Flags),
            "env" => Ok(Self::Env),
            "daemon-json" => Ok(Self::DaemonJson),
            "systemd" => Ok(Self::Systemd),
            _ => Err("is none of flags, env, daemon-json and systemd".into()),
        }
    }
}

/// A file as it is to be.
pub struct Edit {
    /// Where.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
    /// What it was; `None`: it was not there.
    old: Option<String>,
    /// What is kboot's in it, in one line.
    line: String,
}

impl std::fmt::Display for Edit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "edit {}: {}", self.path.display(), self.line)
    }
}

impl Step for Edit {
    fn kind(&self) -> &'static str {
        "file"
    }
}

/// What comes of it.
pub struct Outcome {
    /// For stdout.
    pub printed: String,
    /// The files, where `--output` was given.
    pub edits: Vec<Edit>,
    /// The flags, where they are nobody's but the caller's.
    pub flags: Vec<String>,
    /// The files of the systemd form as they would lie where systemd reads them, if they do not.
    pub as_if: Option<Vec<Edit>>,
    /// Settings of an administrator's that made room.
    dropped: Vec<String>,
}

/// Composes the form that was asked for.
pub fn compose(args: &Args, settings: &[Setting]) -> Result<Outcome> {
    let flags: Vec<String> = settings.iter().flat_map(Setting::flags).collect();
    let mut outcome =
        Outcome { printed: String::new(), edits: Vec::new(), flags, as_if: None, dropped: Vec::new() };
    let old = args.output.as_deref().map(old_text).transpose()?.flatten();
    let text = old.as_deref().unwrap_or_default();
    let shown = args.output.as_ref().map(|p| p.display().to_string()).unwrap_or_default();
    let conflict =
        |why: String| Error::conflict(if shown.is_empty() { why } else { format!("{shown}: {why}") });
    let (text, line) = match args.format {
        Format::Flags | Format::Env => {
            let merged = match args.format {
                Format::Env => docker::merge_env(text, &key(args)?, settings),
                _ => docker::merge_flags(text, settings),
            };
            let merged = merged.map_err(conflict)?;
            outcome.dropped = merged.dropped;
            (merged.text, merged.line)
        }
        Format::DaemonJson => {
            let merged = json::merge(text, settings).map_err(conflict)?;
            let gone = merged.changes.iter().filter_map(|c| c.strip_prefix("without "));
            let gone = gone.filter(|g| !g.starts_with("a byte order mark"));
            outcome.dropped = gone.map(str::to_owned).collect();
            (merged.text, merged.changes.join(", "))
        }
        Format::Systemd => return drop_in(args, settings, old, outcome),
    };
    outcome.printed.clone_from(&text);
    if let Some(path) = &args.output {
        outcome.edits.push(Edit { path: path.clone(), text, old, line });
    }
    Ok(outcome)
}

/// The drop-in, and beside it the file of variables, if docker's unit reads one.
fn drop_in(args: &Args, settings: &[Setting], old: Option<String>, mut outcome: Outcome) -> Result<Outcome> {
    let own = args.output.clone().unwrap_or_else(|| host::OWN_DROP_IN.into());
    let env_path = own.with_extension("env");
    let unit = Unit::read(&[own.clone(), env_path.clone()], &[])?.ok_or_else(|| {
        let dirs = host::UNIT_DIRS.join(" ");
        Error::failed(format!("docker.service: is in none of {dirs}: install docker first"))
    })?;
    let line = unit.service.exec_start.as_deref().unwrap_or_default();
    if !line.is_empty() && !unit.starts_dockerd() {
        return Err(Error::conflict(format!(
            "{}: ExecStart={line}: does not start dockerd itself",
            unit.service.starter
        )));
    }
    let env_name = env_path.display().to_string().replace('%', "%%");
    let made = unit::drop_in(&unit.service, &unit.variables, settings, &env_name).map_err(Error::conflict)?;
    let words: Vec<String> = unit.flags()?.into_iter().flat_map(|(_, words)| words).collect();
    outcome.dropped = docker::dropped(&words, settings).map_err(Error::conflict)?;
    outcome.printed.clone_from(&made.text);
    let body = |text: &str| text.lines().filter(|l| !l.starts_with('#')).collect::<Vec<_>>().join("; ");
    let edit = |path: PathBuf, text: &str, old| Edit { line: body(text), path, text: text.to_owned(), old };
    let is_seen =
        host::UNIT_DIRS.iter().any(|d| own.parent() == Some(&Path::new(d).join("docker.service.d")));
    if args.output.is_none() || !is_seen {
        let place = Path::new(host::OWN_DROP_IN);
        let there = made.text.replace(&env_name, &place.with_extension("env").display().to_string());
        let env = made.env_file.iter().map(|text| edit(place.with_extension("env"), text, None));
        outcome.as_if = Some(env.chain([edit(place.to_owned(), &there, None)]).collect());
    }
    if args.output.is_none() {
        outcome.printed +=
            &made.env_file.map_or_else(String::new, |e| format!("\n# {}\n{e}", env_path.display()));
        return Ok(outcome);
    }
    // The variables come first: the drop-in names their file.
    let old_env = old_text(&env_path)?;
    outcome.edits.extend(made.env_file.iter().map(|text| edit(env_path.clone(), text, old_env.clone())));
    outcome.edits.push(edit(own, &made.text, old));
    Ok(outcome)
}

fn old_text(path: &Path) -> Result<Option<String>> {
    let Some(bytes) = file::read_if_there(path)? else { return Ok(None) };
    let text = String::from_utf8(bytes);
    text.map(Some).map_err(|_| Error::conflict(format!("{}: is not text", path.display())))
}

/// Writes what differs; then, if something did, restarts docker.
pub fn store(
    outcome: Outcome,
    how: Option<How>,
    socket: Option<&str>,
    deadline: &Deadline,
    report: &mut Report,
) -> Result<()> {
    for setting in &outcome.dropped {
        report.warn(format!("{setting} makes room for {}", outcome.flags.join(" ")));
    }
    let (same, changed): (Vec<Edit>, Vec<Edit>) =
        outcome.edits.into_iter().partition(|e| e.old.as_deref() == Some(e.text.as_str()));
    report.already(same.len());
    let has_changed = !changed.is_empty();
    if how.is_some() && has_changed {
        restart::remember(report)?;
    }
    report.carry_out(&changed, |edit| {
        if let Some(parent) = edit.path.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent)?;
        }
        file::write_atomic(&edit.path, edit.text.as_bytes(), 0o644)
    })?;
    match how {
        Some(how) if has_changed || restart::is_due() => {
            restart::run(how, has_changed, socket, deadline, report)
        }
        _ => Ok(()),
    }
}

//! Writing them into a directory.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::Args;
use crate::applet::report::{Report, Step};
use crate::error::{Error, Result};
use crate::plan::units::{self, File};
use crate::sys::{file, log};

/// A change.
enum Change {
    Write(PathBuf, String),
    Remove(PathBuf),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(path, _) => write!(f, "write {}", path.display()),
            Self::Remove(path) => write!(f, "rm {}", path.display()),
        }
    }
}

impl Step for Change {
    fn kind(&self) -> &'static str {
        "file"
    }
}

/// Writes the wanted ones that differ, and removes those of kboot's own that are not wanted, disabled first.
pub fn store(args: &Args, directory: &Path, wanted: Vec<File>, report: &mut Report) -> Result<()> {
    if !directory.is_dir() {
        return Err(Error::usage(format!("--output {}: is not a directory", directory.display())));
    }
    let changes = plan(args, directory, wanted, report)?;
    report.carry_out(&changes, |change| match change {
        Change::Write(path, text) => file::write_atomic(path, text.as_bytes(), 0o644),
        Change::Remove(path) => Ok(fs::remove_file(path)?),
    })?;
    report.summary(directory.display());
    if !report.dry_run && !changes.is_empty() && Path::new("/run/systemd/system").is_dir() {
        log::info!("systemd reads them at: systemctl daemon-reload");
    }
    Ok(())
}

/// All is looked at before anything is touched.
fn plan(args: &Args, directory: &Path, wanted: Vec<File>, report: &mut Report) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    let mut rest: Vec<&str> = units::names().collect();
    for File { name, text } in wanted {
        rest.retain(|other| *other != name);
        let path = directory.join(name);
        if is_masked(&path) {
            log::info!("{name} is masked, and left so");
            continue;
        }
        match file::read_if_there(&path)? {
            Some(found) if found == text.as_bytes() => report.already(1),
            Some(found) if !args.replace && !units::is_own(&found) => {
                let shown = path.display();
                return Err(Error::conflict(format!("{shown}: is not kboot's: remove it, or --replace")));
            }
            _ => changes.push(Change::Write(path, text)),
        }
    }
    for name in rest {
        let path = directory.join(name);
        if !is_masked(&path) && file::read_if_there(&path)?.is_some_and(|found| units::is_own(&found)) {
            changes.extend(enabling(directory, name).into_iter().map(Change::Remove));
            changes.push(Change::Remove(path));
        }
    }
    Ok(changes)
}

/// The links by which `systemctl enable` made other units want it. With one left docker would not start any more:
/// it would require what is not there.
fn enabling(directory: &Path, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let linking = |path: &PathBuf| path.extension().is_some_and(|e| e == "wants" || e == "requires");
    let links = entries.map(|e| e.path()).filter(linking).map(|path| path.join(name));
    links.filter(|link| fs::symlink_metadata(link).is_ok_and(|m| m.is_symlink())).collect()
}

/// An administrator has said that it is never to be started (`systemctl mask`).
fn is_masked(path: &Path) -> bool {
    fs::read_link(path).is_ok_and(|to| to == Path::new("/dev/null"))
}

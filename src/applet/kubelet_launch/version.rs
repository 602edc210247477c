//! Which version the kubelet is.

use std::time::Duration;

use serde_json::json;

use crate::applet::program_version;
use crate::applet::report::Report;
use crate::error::{Context, Error, Result};
use crate::plan::kubelet::{NEWEST_KNOWN, Version, versions_by_help};
use crate::sys::wait::Deadline;
use crate::sys::{exec, log};

/// The longest that `kubelet --help` may take.
const WITHIN: Duration = Duration::from_secs(30);

/// The one that was given; else what `kubelet --version` says; else, of a build that does not know its own
/// version, the lowest whose flags fit its `--help`: what that one takes, the others take too.
pub fn find(
    given: Option<Version>,
    program: &str,
    looks_only: bool,
    deadline: &Deadline,
    report: &mut Report,
) -> Result<Version> {
    let version = given.map_or_else(|| ask(program, looks_only, deadline, report), Ok)?;
    report.found("kubeletVersion", json!(version.to_string()));
    if version > NEWEST_KNOWN {
        report.warn(format!(
            "kubelet {version} is newer than kboot knows: its flags are taken for those of {NEWEST_KNOWN}"
        ));
    }
    Ok(version)
}

fn ask(program: &str, looks_only: bool, deadline: &Deadline, report: &mut Report) -> Result<Version> {
    let path = exec::find(program)
        .context("the kubelet cannot be asked for its version (--kubelet-version gives it)")?;
    // Its own time-out is not the run's: only then would another run help.
    let own = |e: Error| if deadline.passed() { e } else { Error::failed(e.to_string()) };
    let said = program_version::ask(&path, looks_only, deadline).map_err(own)?;
    if let Ok(version) = said.parse() {
        log::debug!("{} is {said}", path.display());
        return Ok(version);
    }
    let shown = path.display();
    let unknown = || Error::failed(format!("{shown} --version says {said:?}: give --kubelet-version"));
    if !Version::is_placeholder(&said) {
        return Err(unknown());
    }
    let help = exec::ask(&path, &["--help"], deadline.attempt(WITHIN)).map_err(own)?;
    let (lowest, highest) = versions_by_help(&help.stdout).ok_or_else(unknown)?;
    let range = if lowest == highest { lowest.to_string() } else { format!("{lowest} to {highest}") };
    report.warn(format!(
        "{shown} says {said:?}: by the flags of its --help it is {range}, and taken for {lowest}"
    ));
    Ok(lowest)
}

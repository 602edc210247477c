//! The version of a program on this host: asked of it once, then remembered by the file that it is.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::sys::wait::Deadline;
use crate::sys::{exec, log, run_dir};

/// The longest that a program may take to say its version; a cold disk is slow.
const WITHIN: Duration = Duration::from_secs(30);

/// What the program prints for `--version`, on one line. It is kept in /run/kboot/NAME-version.json
/// as long as the program's file is the same (device, inode, size, time of change); a run that only
/// looks leaves no record.
pub fn ask(program: &Path, looks_only: bool, deadline: &Deadline) -> Result<String> {
    let name = program.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let record = format!("{name}-version.json");
    let meta = program.metadata()?;
    let file = json!([meta.dev(), meta.ino(), meta.size(), meta.ctime(), meta.ctime_nsec()]);
    let known: Value = run_dir::read(&record).and_then(|t| serde_json::from_str(&t).ok()).unwrap_or_default();
    if let Some(said) = known["said"].as_str().filter(|_| known["file"] == file) {
        return Ok(said.to_owned());
    }
    let output = exec::ask(program, &["--version"], deadline.attempt(WITHIN))?;
    let said = output.stdout.lines().next().unwrap_or_default().trim().to_owned();
    let shown = program.display();
    match output.status {
        Some(0) if said.is_empty() => return Err(Error::failed(format!("{shown} --version says nothing"))),
        Some(0) => {}
        Some(code) => {
            return Err(Error::failed(format!(
                "{shown} --version ends with exit status {code}: does it run here?"
            )));
        }
        None => return Err(Error::failed(format!("{shown} --version is killed by a signal"))),
    }
    if looks_only {
        return Ok(said);
    }
    if let Err(error) = run_dir::write(&record, &format!("{}\n", json!({ "file": file, "said": said }))) {
        log::debug!("no record is kept: {error}");
    }
    Ok(said)
}

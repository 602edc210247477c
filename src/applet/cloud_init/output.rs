//! Printing user-data, or writing it into a file.

use std::fmt;
use std::io::Write;
use std::path::Path;

use super::Args;
use crate::applet::report::{Report, Step};
use crate::error::{Context, Result};
use crate::sys::file;

struct WriteFile<'a> {
    path: &'a Path,
    size: usize,
}

impl fmt::Display for WriteFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {}: {} bytes of user-data", self.path.display(), self.size)
    }
}

impl Step for WriteFile<'_> {
    fn kind(&self) -> &'static str {
        "file"
    }
}

/// What holds a secret is for its owner alone.
pub fn write(args: &Args, text: &str, is_secret: bool, report: &mut Report) -> Result<()> {
    let Some(path) = args.output.as_deref().filter(|p| p.as_os_str() != "-") else {
        report.found("userData", text.into());
        return report.data(text);
    };
    let mode = if is_secret { 0o600 } else { 0o644 };
    if file::read_if_there(path).usage("--output")?.is_some_and(|old| old == text.as_bytes()) {
        report.already(1);
    } else {
        report.carry_out(&[WriteFile { path, size: text.len() }], |step| {
            file::write_by(step.path, mode, &mut |out| out.write_all(text.as_bytes()))
        })?;
    }
    report.summary(path.display());
    Ok(())
}

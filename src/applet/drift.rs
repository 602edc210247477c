//! What `--check` tells: a line for each difference, and exit 3 if there is one.

use serde_json::json;

use super::report::Report;
use crate::error::{Error, Result};

/// One difference.
pub struct Difference {
    /// In words: `is down`.
    pub what: String,
    /// What a run would do about it; `None`: it would leave that to somebody.
    pub fix: Option<String>,
}

/// Prints them, and fails if there are any. `none`: what is to be said where a run would mend none.
pub fn tell(report: &mut Report, found: &[Difference], none: &str) -> Result<()> {
    let list = found.iter().map(|d| json!({"what": d.what, "fix": d.fix}));
    report.found("differences", list.collect());
    for difference in found {
        report.data(&format!("{}\n", difference.what))?;
    }
    let count = match found.len() {
        0 => return Ok(()),
        1 => "1 difference".to_owned(),
        n => format!("{n} differences"),
    };
    let by_kboot = found.iter().filter(|d| d.fix.is_some()).count();
    Err(Error::conflict(match by_kboot {
        0 => format!("{count}{none}"),
        n if n == found.len() => format!("{count}: run it without --check to mend that"),
        n => format!("{count}: run it without --check to mend {n} of them"),
    }))
}

//! A boot list, judged before its first step.

use std::ffi::OsString;

use super::APPLETS;
use super::cli::Words;
use crate::error::Error;
use crate::plan::boot_list::{self, Line};
use crate::plan::nearest::nearest;

/// Reads the list. What its applets would say of their options is said now, with the line's number: where
/// there is no shell, a typing error costs a boot.
pub fn judge(lines: &[&str], stays: bool) -> Result<Vec<Line>, (usize, String)> {
    let list = boot_list::parse(lines)?;
    boot_list::check(&list, stays, &why_not)?;
    Ok(list)
}

fn why_not(line: &Line) -> Option<String> {
    let name = &line.program;
    let Some(applet) = APPLETS.iter().find(|a| a.name == name) else {
        let near = nearest(name, APPLETS.iter().map(|a| a.name));
        let hint = near.map(|n| format!(": did you mean {n}?")).unwrap_or_default();
        return Some(format!("{name}: applet not found{hint} (a program needs its path)"));
    };
    let argv: Vec<OsString> = line.args.iter().map(Into::into).collect();
    let wrong = |error: Error| format!("{name}: {error}");
    match Words::scan(applet.name, &(applet.info)(), &argv) {
        Ok(words) => applet.why_not(&words).map(wrong),
        Err(error) => Some(wrong(error)),
    }
}

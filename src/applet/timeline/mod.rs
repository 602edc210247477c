//! `timeline`: the boot, drawn from the records that the applets left.

use std::path::PathBuf;

use serde_json::Value;

use super::cli::Words;
use super::options::applet_args;
use super::report::{Report, Step};
use super::{Applet, info_of, judge_of};
use crate::error::{Error, Result};
use crate::plan::timeline::{self, Run};
use crate::sys::{self, file, log, stdio};

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "timeline",
    summary: "draw this boot: what ran when, what it waited for",
    examples: &[
        "in the terminal's width: kboot timeline",
        "for a browser: kboot timeline --svg boot.svg",
        "for a program: kboot timeline --json",
    ],
    rest: None,
    groups: &["Form: --svg"],
    exits: &[],
    variables: &[],
    files: &["/run/kboot/timeline: a record of each run"],
    info: info_of::<Args>,
    judge: judge_of::<Args>,
    run,
};

applet_args! {
    /// draws this boot, from the kernel's start on: when each applet ran, how long it worked and what it
    /// waited for, what failed and why. Each run leaves a record in /run/kboot/timeline.
    struct Args [] {
        /// a picture for browsers, into that file; - is stdout
        #[argh(option, arg_name = "path")]
        svg: Option<PathBuf>,
    }
}

fn run(words: &Words, report: &mut Report) -> Result<()> {
    // What looks at the boot is no part of it.
    sys::timeline::forget();
    let args: Args = words.parse()?;
    if args.common().json && args.svg.is_some() {
        return Err(Error::usage("--json and --svg are two forms of one thing: give one"));
    }
    let (records, runs) = read(report);
    if runs.is_empty() && args.svg.is_none() {
        log::info!("no run of this boot has left a record in /run/kboot/timeline");
    }
    report.found("runs", Value::Array(records));
    match args.svg {
        Some(path) if path.as_os_str() == "-" => report.data(&timeline::svg(&runs)),
        Some(path) => picture(path, &timeline::svg(&runs), report),
        None if runs.is_empty() => Ok(()),
        None => {
            let width = stdio::columns(&std::io::stdout()).unwrap_or(80).clamp(60, 200);
            let mut text = timeline::text(&runs, width);
            if stdio::is_coloured(1) {
                text = text.split('\n').map(in_red).collect::<Vec<_>>().join("\n");
            }
            report.data(&text)
        }
    }
}

/// A failure's line stands out.
fn in_red(line: &str) -> String {
    if line.starts_with("  exit ") { format!("\x1b[31m{line}\x1b[m") } else { line.to_owned() }
}

fn picture(path: PathBuf, svg: &str, report: &mut Report) -> Result<()> {
    if file::read_if_there(&path).is_ok_and(|there| there.as_deref() == Some(svg.as_bytes())) {
        report.already(1);
        return Ok(());
    }
    report.carry_out(&[Picture(path)], |Picture(path)| file::write_atomic(path, svg.as_bytes(), 0o644))
}

/// The records and what they say, by the start of their runs; damaged ones are warned of.
fn read(report: &mut Report) -> (Vec<Value>, Vec<Run>) {
    let (mut records, mut runs) = (Vec::new(), Vec::new());
    for (path, text) in sys::timeline::read() {
        let record = serde_json::from_str(&text).ok();
        match record.and_then(|record| Run::of(&record).map(|run| (record, run))) {
            Some((record, run)) => {
                records.push(record);
                runs.push(run);
            }
            None => report.warn(format!("{}: is no record of a run: left out", path.display())),
        }
    }
    (records, runs)
}

/// The file to write.
struct Picture(PathBuf);

impl std::fmt::Display for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "write {}", self.0.display())
    }
}

impl Step for Picture {
    fn kind(&self) -> &'static str {
        "file"
    }
}

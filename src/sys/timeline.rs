//! What a run leaves in /run/kboot/timeline for `kboot timeline`: one small JSON file, named so that names
//! sort by start. Times are seconds since the kernel's start, sleep included (CLOCK_BOOTTIME).

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{Context, Result};
use crate::sys::{clock, file, log, run_dir};

/// Of a boot the first runs are kept, which are the boot itself, and the latest ones; those in between go.
const FIRST: usize = 32;
const MOST: usize = 64;

/// As many waits, steps and phases a record may have: it stays a small file whatever goes on.
const LISTED: usize = 100;

/// This process's run; `None` where none is recorded.
static RUN: Mutex<Option<Run>> = Mutex::new(None);

#[derive(Default)]
struct Run {
    applet: &'static str,
    start: Duration,
    text: Option<String>,
    waits: Vec<Span>,
    steps: Vec<Span>,
    phases: Vec<Span>,
    has_left: bool,
}

struct Span {
    text: String,
    why: Option<String>,
    start: Duration,
    end: Duration,
}

/// The time since the kernel's start, for `step`.
pub fn now() -> Duration {
    clock::uptime().unwrap_or_default()
}

/// From here on this run is recorded.
pub fn start(applet: &'static str) {
    set(Some(Run { applet, start: now(), ..Run::default() }));
}

/// This run leaves no record.
pub fn forget() {
    set(None);
}

fn set(run: Option<Run>) {
    if let Ok(mut slot) = RUN.lock() {
        *slot = run;
    }
}

fn with<T>(work: impl FnOnce(&mut Run) -> T) -> Option<T> {
    RUN.lock().ok()?.as_mut().map(work)
}

fn add(list: &mut Vec<Span>, span: Span) {
    if list.len() < LISTED {
        list.push(span);
    }
}

/// Notes a step that began at that time and is done now; or why it failed.
pub fn step(text: &str, began: Duration, failed: Option<&str>) {
    let (text, why) = (text.to_owned(), failed.map(str::to_owned));
    with(|run| add(&mut run.steps, Span { text, why, start: began, end: now() }));
}

/// Notes a wait that is over, with the last reason for it.
pub fn waited(what: &str, why: &str, span: Duration) {
    let end = now();
    let (text, why) = (what.to_owned(), Some(why.to_owned()));
    with(|run| add(&mut run.waits, Span { text, why, start: end.saturating_sub(span), end }));
}

/// `init` begins something else; what it did before is over.
pub fn phase(text: &str) {
    let (text, start) = (text.to_owned(), now());
    with(|run| {
        if let Some(last) = run.phases.last_mut() {
            last.end = start;
        }
        // Without an end of its own it lasts to the record's.
        add(&mut run.phases, Span { text, why: None, start, end: Duration::MAX });
    });
}

/// Keeps the line that says what the run came to.
pub fn said(text: &str) {
    with(|run| run.text = Some(text.to_owned()));
}

/// Leaves the record now: another program takes kboot's place, or what is left to do is to look after one.
pub fn leave(text: &str) {
    said(text);
    with(|run| {
        run.has_left = true;
        run.write("exec", 0, None);
    });
}

/// Leaves the record of a run that has failed, and may go on all the same: PID 1 does not end.
pub fn fail(why: &str) {
    with(|run| {
        run.has_left = true;
        run.write("failed", 1, Some(why));
    });
}

/// The other program did not take kboot's place after all.
pub fn stay() {
    with(|run| run.has_left = false);
}

/// Leaves the record of a run that has ended.
pub fn finish(outcome: &str, exit: u8, error: Option<&str>) {
    with(|run| {
        if !run.has_left {
            run.write(outcome, exit, error);
        }
    });
}

impl Run {
    fn write(&self, outcome: &str, exit: u8, error: Option<&str>) {
        let pid = std::process::id();
        let name = format!("{:016}-{pid}-{}.json", self.start.as_micros(), self.applet);
        let record = self.record(now(), outcome, exit, error);
        if let Err(error) = put(&name, &format!("{record}\n")) {
            // Nothing depends on it: a host without a /run of its own boots all the same.
            log::debug!("no record of this run: {error}");
        }
    }

    fn record(&self, end: Duration, outcome: &str, exit: u8, error: Option<&str>) -> Value {
        let waited = covered(&self.waits);
        let worked = end.saturating_sub(self.start).saturating_sub(waited);
        json!({
            "applet": self.applet,
            "pid": std::process::id(),
            "start": seconds(self.start),
            "end": seconds(end),
            "waited": seconds(waited),
            "worked": seconds(worked),
            "outcome": outcome,
            "exit": exit,
            "text": self.text,
            "error": error,
            "waits": list(&self.waits, end, "why"),
            "steps": list(&self.steps, end, "error"),
            "phases": list(&self.phases, end, "error"),
        })
    }
}

fn list(spans: &[Span], end: Duration, why: &str) -> Value {
    let spans = spans.iter().map(|span| {
        let took = span.end.min(end).saturating_sub(span.start);
        let mut value = json!({ "text": span.text, "start": seconds(span.start), "took": seconds(took) });
        if let Some(reason) = &span.why {
            value[why] = reason.as_str().into();
        }
        value
    });
    spans.collect()
}

/// How long at least one of the waits was going on: one may lie within another.
fn covered(waits: &[Span]) -> Duration {
    let mut spans: Vec<(Duration, Duration)> = waits.iter().map(|w| (w.start, w.end)).collect();
    spans.sort_unstable();
    let (mut sum, mut until) = (Duration::ZERO, Duration::ZERO);
    for (start, end) in spans {
        sum += end.saturating_sub(start.max(until));
        until = until.max(end);
    }
    sum
}

/// To the microsecond, and no further digits.
fn seconds(span: Duration) -> f64 {
    let whole = f64::from(u32::try_from(span.as_secs()).unwrap_or(u32::MAX));
    (whole * 1e6 + f64::from(span.subsec_micros())) / 1e6
}

fn directory() -> PathBuf {
    Path::new(run_dir::RUN_DIR).join("timeline")
}

fn put(name: &str, text: &str) -> Result<()> {
    run_dir::ensure()?;
    let directory = directory();
    fs::DirBuilder::new().recursive(true).mode(0o755).create(&directory).context(directory.display())?;
    if file::is_from_earlier_boot(&directory) {
        // A /run that survives reboots: what is in there began at another kernel's start.
        remove_all(&names());
    }
    file::put(&directory, name, text.as_bytes())?;
    let names = names();
    let surplus = names.len().saturating_sub(MOST);
    remove_all(&names[FIRST.min(names.len())..][..surplus]);
    Ok(())
}

fn remove_all(names: &[String]) {
    for name in names {
        let _ = fs::remove_file(directory().join(name));
    }
}

/// The records' names, by the start of their runs.
fn names() -> Vec<String> {
    let entries = fs::read_dir(directory()).into_iter().flatten().flatten();
    let names = entries.filter_map(|e| e.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|n| !n.starts_with('.')).collect();
    names.sort_unstable();
    names
}

/// All records of this boot, each with its path; by the start of their runs.
pub fn read() -> Vec<(PathBuf, String)> {
    if !directory().is_dir() || run_dir::ensure().is_err() {
        return Vec::new();
    }
    let paths = names().into_iter().map(|name| directory().join(name));
    let of_this_boot = paths.filter(|path| !file::is_from_earlier_boot(path));
    let texts = of_this_boot.filter_map(|path| {
        let bytes = file::read_if_there(&path).ok()?;
        Some((path, String::from_utf8_lossy(&bytes?).into_owned()))
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: u64, end: u64) -> Span {
        let (start, end) = (Duration::from_millis(start), Duration::from_millis(end));
        Span { text: "x".into(), why: None, start, end }
    }

    #[test]
    fn waits_within_waits_count_once() {
        assert_eq!(covered(&[]), Duration::ZERO);
        assert_eq!(covered(&[span(20, 30), span(10, 50), span(60, 61)]), Duration::from_millis(41));
        assert_eq!(covered(&[span(10, 30), span(20, 50)]), Duration::from_millis(40));
    }

    #[test]
    fn seconds_have_six_digits_at_most() {
        for (micros, text) in
            [(0, "0.0"), (1, "1e-6"), (12_345_678, "12.345678"), (864_000_000_001, "864000.000001")]
        {
            assert_eq!(json!(seconds(Duration::from_micros(micros))).to_string(), text);
        }
    }

    #[test]
    fn the_record_of_a_run() {
        let mut run = Run {
            applet: "bridge",
            start: Duration::from_secs(2),
            text: Some("cbr0 up".into()),
            waits: vec![span(2100, 2600)],
            steps: vec![Span { why: Some("Operation not permitted".into()), ..span(2700, 2701) }],
            phases: vec![span(2000, 2500)],
            has_left: false,
        };
        run.phases.push(Span { end: Duration::MAX, ..span(2500, 0) });
        let record = run.record(Duration::from_secs(3), "failed", 1, Some("why"));
        for (at, value) in [
            ("/start", json!(2.0)),
            ("/end", json!(3.0)),
            ("/waited", json!(0.5)),
            ("/worked", json!(0.5)),
            ("/waits/0/took", json!(0.5)),
            ("/steps/0/error", json!("Operation not permitted")),
            ("/phases/1/took", json!(0.5)),
            ("/exit", json!(1)),
        ] {
            assert_eq!(record.pointer(at), Some(&value), "{at} of {record}");
        }
    }
}

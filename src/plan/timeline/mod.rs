//! The boot, drawn from the records that runs left in /run/kboot/timeline: for a terminal and for a browser.
//! All times are microseconds since the kernel's start.

mod svg;
#[cfg(test)]
mod tests;
mod text;

use core::time::Duration;

use serde_json::Value;

pub use svg::draw as svg;
pub use text::draw as text;

/// Runs with a longer pause in between are drawn on a scale of their own: a boot of 9 s is not to vanish
/// beside what was run three days later.
const PAUSE: u64 = 120_000_000;

/// Part of a run: a wait, a step or a phase.
#[derive(Debug, PartialEq, Eq)]
pub struct Span {
    text: String,
    /// Of a wait what it was for, of a step why it failed.
    why: Option<String>,
    start: u64,
    end: u64,
}

/// One run.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    applet: String,
    start: u64,
    end: u64,
    waited: u64,
    exit: u64,
    /// What came of it, in the words of the log: the last line, or the error.
    text: String,
    waits: Vec<Span>,
    steps: Vec<Span>,
    phases: Vec<Span>,
}

impl Run {
    /// Reads a record; `None`: it is none.
    pub fn of(record: &Value) -> Option<Self> {
        let (start, end) = (micros(record, "start")?, micros(record, "end")?);
        let text = ["error", "text", "outcome"].into_iter().find_map(|key| record.get(key)?.as_str());
        Some(Self {
            applet: record.get("applet")?.as_str()?.to_owned(),
            start,
            end: end.max(start),
            waited: micros(record, "waited")?,
            exit: record.get("exit")?.as_u64()?,
            text: text.unwrap_or_default().to_owned(),
            waits: spans(record, "waits", "why")?,
            steps: spans(record, "steps", "error")?,
            phases: spans(record, "phases", "error")?,
        })
    }

    fn worked(&self) -> u64 {
        (self.end - self.start).saturating_sub(self.waited)
    }

    fn has_failed(&self) -> bool {
        self.exit != 0
    }

    /// All of it in words, a line each.
    fn story(&self) -> String {
        let mut lines = vec![format!(
            "{}: {} at {}, worked {}, waited {}",
            self.applet,
            if self.has_failed() { format!("exit {}", self.exit) } else { "done".to_owned() },
            time(self.end),
            time(self.worked()),
            time(self.waited)
        )];
        lines.push(self.text.clone());
        lines.extend(self.waits.iter().map(|w| format!("waited for {}", w.story())));
        lines.extend(self.steps.iter().map(Span::story));
        lines.join("\n")
    }
}

impl Span {
    fn story(&self) -> String {
        let why = self.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        format!("{} ({}){why}", self.text, time(self.end - self.start))
    }
}

fn spans(record: &Value, key: &str, why: &str) -> Option<Vec<Span>> {
    let list = record.get(key)?.as_array()?.iter();
    list.map(|span| {
        let start = micros(span, "start")?;
        Some(Span {
            text: span.get("text")?.as_str()?.to_owned(),
            why: span.get(why).and_then(Value::as_str).map(str::to_owned),
            start,
            end: start.saturating_add(micros(span, "took")?),
        })
    })
    .collect()
}

/// Seconds in JSON.
fn micros(value: &Value, key: &str) -> Option<u64> {
    let span = Duration::try_from_secs_f64(value.get(key)?.as_f64()?).ok()?;
    u64::try_from(span.as_micros()).ok()
}

/// Runs on one scale.
struct Chart<'a> {
    runs: &'a [Run],
    from: u64,
    to: u64,
}

impl Chart<'_> {
    /// Whether the kernel's own time is on it, which ends where the first run begins.
    fn has_kernel(&self) -> bool {
        self.from == 0
    }

    /// When: since the kernel's start, or, where that lies far back, since the scale's.
    fn when(&self, at: u64) -> String {
        if self.has_kernel() { time(at) } else { format!("+{}", time(at - self.from)) }
    }

    /// Where a time stands on a line of that length.
    fn at(&self, time: u64, length: u64) -> u64 {
        let (time, whole) = (time.clamp(self.from, self.to) - self.from, (self.to - self.from).max(1));
        u64::try_from(u128::from(time) * u128::from(length) / u128::from(whole)).unwrap_or(length)
    }

    /// Who had the machine until the first run.
    fn before(&self) -> &'static str {
        if self.runs.first().is_some_and(|run| run.applet == "init") { "kernel" } else { "before" }
    }

    /// Times at round distances from the first, `most` at the most.
    fn marks(&self, most: u64) -> Vec<u64> {
        let whole = self.to - self.from;
        let steps = (0..12).map(|n| 10u64.pow(n)).flat_map(|ten| [ten, 2 * ten, 5 * ten]);
        let step = steps.into_iter().find(|step| whole / step <= most).unwrap_or(whole.max(1));
        (1..=whole / step).map(|n| self.from + n * step).collect()
    }
}

/// Cuts runs, which are in the order of their start, where nothing ran for long.
fn charts(runs: &[Run]) -> Vec<Chart<'_>> {
    let (mut found, mut first, mut until) = (Vec::new(), 0, 0);
    for (at, run) in runs.iter().enumerate() {
        if run.start > until + PAUSE && at > first {
            found.push(chart(&runs[first..at], until));
            first = at;
        }
        until = until.max(run.end);
    }
    if first < runs.len() {
        found.push(chart(&runs[first..], until));
    }
    found
}

fn chart(runs: &[Run], to: u64) -> Chart<'_> {
    let start = runs.first().map_or(0, |run| run.start);
    Chart { runs, from: if start > PAUSE { start } else { 0 }, to }
}

/// A time in seven columns at the most.
fn time(micros: u64) -> String {
    let (seconds, tenths) = (micros / 1_000_000, |of: u64| micros / (of * 100_000) % 10);
    match micros {
        0 => "0 s".to_owned(),
        1..10_000 => format!("{}.{} ms", micros / 1000, micros / 100 % 10),
        10_000..1_000_000 => format!("{} ms", micros / 1000),
        1_000_000..100_000_000 => format!("{seconds}.{:02} s", micros / 10_000 % 100),
        100_000_000..10_000_000_000 => format!("{seconds} s"),
        10_000_000_000..172_800_000_000 => format!("{}.{} h", seconds / 3600, tenths(3600)),
        _ => format!("{}.{} d", seconds / 86_400, tenths(86_400)),
    }
}

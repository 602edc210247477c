//! The boot in a terminal's columns.

use core::fmt::Write;

use super::{Chart, Run, Span, charts, time};

const NAME: usize = 14;
/// The columns of the table before the bars, and the one behind them for a failure's mark.
const TABLE: usize = NAME + 3 * 8 + 2 + 1;

const WORKED: char = '█';
const WAITED: char = '·';
const BEFORE: char = '░';

/// Draws the runs, in the order of their start, in lines of at most `width` columns.
pub fn draw(runs: &[Run], width: usize) -> String {
    let length = width.saturating_sub(TABLE).max(10);
    let mut text = String::new();
    for chart in charts(runs) {
        head(&mut text, &chart, length);
        for run in chart.runs {
            let end = if run.has_failed() { "X" } else { "" };
            let bar = cells(&chart, length, run.start, run.end, &run.waits);
            row(
                &mut text,
                &run.applet,
                [chart.when(run.start), time(run.worked()), time(run.waited)],
                &format!("{bar}{end}"),
            );
            phases(&mut text, &chart, run, length);
            if run.has_failed() {
                let why = format!("  exit {}: {}", run.exit, run.text);
                let _ = writeln!(text, "{}", cut(&why, width));
            }
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{WORKED} worked  {WAITED} waited  {BEFORE} before kboot  X failed");
    text
}

/// The scale, and the time before the first run.
fn head(text: &mut String, chart: &Chart<'_>, bar: usize) {
    let (from, to) = (time(chart.from), chart.when(chart.to));
    let gap = bar.saturating_sub(from.len());
    let _ = writeln!(text, "{:NAME$}{:>8}{:>8}{:>8}  {from}{to:>gap$}", "", "start", "worked", "waited");
    let first = chart.runs.first().map_or(0, |run| run.start);
    if chart.has_kernel() && first > 0 {
        let bar = cells(chart, bar, 0, first, &[]).replace(WORKED, &BEFORE.to_string());
        row(text, chart.before(), [chart.when(0), String::new(), String::new()], &bar);
    }
}

fn phases(text: &mut String, chart: &Chart<'_>, run: &Run, bar: usize) {
    for phase in &run.phases {
        let bar = cells(chart, bar, phase.start, phase.end, &run.waits);
        let name = format!(" {}", phase.text);
        row(text, &name, [chart.when(phase.start), time(phase.end - phase.start), String::new()], &bar);
    }
}

fn row(text: &mut String, name: &str, [start, worked, waited]: [String; 3], bar: &str) {
    let line = format!("{:NAME$}{start:>8}{worked:>8}{waited:>8}  {bar}", cut(name, NAME));
    let _ = writeln!(text, "{}", line.trim_end());
}

/// One column for each part of the scale: what filled most of it. The shortest run has one.
fn cells(chart: &Chart<'_>, bar: usize, start: u64, end: u64, waits: &[Span]) -> String {
    let length = bar as u64;
    let first = chart.at(start, length).min(length - 1);
    let last = chart.at(end, length).clamp(first + 1, length);
    let part = ((chart.to - chart.from) / length).max(1);
    let cell = |column: u64| {
        let from = (chart.from + column * part).max(start);
        let to = (chart.from + (column + 1) * part).min(end).max(from);
        let waited: u64 = waits.iter().map(|w| w.end.min(to).saturating_sub(w.start.max(from))).sum();
        if waited * 2 > to - from { WAITED } else { WORKED }
    };
    (0..first).map(|_| ' ').chain((first..last).map(cell)).collect()
}

/// No longer than that; what is left out is shown by dots.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

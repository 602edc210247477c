//! The boot as a picture for a browser: SVG 1.1, nothing loaded, no script; light and dark by the reader's
//! preference.

use core::fmt::Write;

use super::{Chart, Run, charts, time};

const WIDTH: u64 = 900;
/// Where the bars begin, and how long the scale is.
const LEFT: u64 = 130;
const SCALE: u64 = WIDTH - LEFT - 120;
const ROW: u64 = 22;
const HEAD: u64 = 28;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#24292f}.s{fill:#57606a}.e{text-anchor:end}\
.m{text-anchor:middle}rect.bg{fill:#fff}.g{stroke:#d0d7de}.b{fill:#d0d7de}.d{fill:#0969da}.w{fill:#9ec9f5}\
.p{fill:#54aeff}.f{fill:#cf222e}.t{fill:none;stroke:#fff;stroke-width:.5}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9198a1}rect.bg{fill:#0d1117}.g{stroke:#30363d}\
.b{fill:#30363d}.d{fill:#4493f8}.w{fill:#1f3f6b}.p{fill:#316dca}.f{fill:#f85149}.t{stroke:#0d1117}}";

/// Draws the runs, in the order of their start.
pub fn draw(runs: &[Run]) -> String {
    let (mut body, mut y) = (String::new(), 8);
    for chart in charts(runs) {
        y = panel(&mut body, &chart, y);
    }
    legend(&mut body, y + 8);
    let height = y + 32;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\">\n<title>The boot, as kboot timeline has it</title>\n<style>{STYLE}</style>\n\
         <rect class=\"bg\" width=\"{WIDTH}\" height=\"{height}\"/>\n{body}</svg>\n"
    )
}

fn panel(body: &mut String, chart: &Chart<'_>, top: u64) -> u64 {
    let phases: usize = chart.runs.iter().map(|run| run.phases.len()).sum();
    let rows = chart.runs.len() + phases;
    let bottom = top + HEAD + rows as u64 * ROW;
    let first = chart.runs.first().map_or(0, |run| run.start);
    if chart.has_kernel() {
        let story = format!("{}: {}", chart.before(), time(first));
        rect(body, "b", (x(chart, 0), x(chart, first)), (top + HEAD - 4, bottom - top - HEAD + 4), &story);
        label(body, "s m", x(chart, 0).midpoint(x(chart, first)), bottom + 12, chart.before());
    }
    label(body, "s m", x(chart, chart.from), top + 16, &time(chart.from));
    for mark in chart.marks(8) {
        let x = x(chart, mark);
        let _ = writeln!(body, "<path class=\"g\" d=\"M{x} {}V{bottom}\"/>", top + HEAD - 6);
        label(body, "s m", x, top + 16, &chart.when(mark));
    }
    let mut y = top + HEAD;
    for run in chart.runs {
        bars(body, chart, run, y);
        y += ROW;
        for phase in &run.phases {
            label(body, "s", 20, y + 15, &phase.text);
            rect(body, "p", (x(chart, phase.start), x(chart, phase.end)), (y + 7, 8), &phase.story());
            label(body, "s", x(chart, phase.end) + 6, y + 15, &time(phase.end - phase.start));
            y += ROW;
        }
    }
    bottom + 20
}

fn bars(body: &mut String, chart: &Chart<'_>, run: &Run, y: u64) {
    let (from, to) = (x(chart, run.start), x(chart, run.end));
    let class = if run.has_failed() { "f" } else { "d" };
    label(body, "", 8, y + 15, &run.applet);
    rect(body, class, (from, to), (y + 4, 14), &run.story());
    for wait in &run.waits {
        let story = format!("{}: waited for {}", run.applet, wait.story());
        rect(body, "w", (x(chart, wait.start), x(chart, wait.end)), (y + 4, 14), &story);
    }
    for step in &run.steps {
        let class = if step.why.is_some() { "f" } else { "t" };
        rect(body, class, (x(chart, step.start), x(chart, step.end)), (y + 4, 14), &step.story());
    }
    let failed = if run.has_failed() { format!(", exit {}", run.exit) } else { String::new() };
    label(body, "s", to.max(from + 1) + 6, y + 15, &format!("{}{failed}", time(run.end - run.start)));
}

fn legend(body: &mut String, y: u64) {
    let kinds = [("d", "worked"), ("w", "waited"), ("f", "failed"), ("b", "before kboot")];
    for (x, (class, text)) in (LEFT..).step_by(110).zip(kinds) {
        rect(body, class, (x, x + 12), (y, 12), text);
        label(body, "s", x + 18, y + 10, text);
    }
}

fn x(chart: &Chart<'_>, time: u64) -> u64 {
    LEFT + chart.at(time, SCALE)
}

/// A bar, a pixel long at the least, that tells its story to a pointer over it.
fn rect(body: &mut String, class: &str, (from, to): (u64, u64), (y, height): (u64, u64), story: &str) {
    let width = to.saturating_sub(from).max(1);
    let _ = writeln!(
        body,
        "<rect class=\"{class}\" x=\"{from}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"><title>{}</title></rect>",
        escape(story)
    );
}

fn label(body: &mut String, class: &str, x: u64, y: u64, text: &str) {
    let _ = writeln!(body, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>", escape(text));
}

/// XML 1.0 takes no control characters but line breaks, escaped or not.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '\n' => escaped.push('\n'),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

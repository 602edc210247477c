//! Writes the manual pages, kboot.8 and kboot-APPLET.8, of the same tables as `--help`:
//!
//! ```text
//! cargo run --example manual -- DIR
//! ```
//!
//! Their date is SOURCE_DATE_EPOCH's, else the commit's.
#![allow(clippy::print_stderr, clippy::format_push_string)]

use std::path::Path;
use std::process::{Command, ExitCode};

use kboot::applet::help::{self, Page, cut};
use kboot::applet::{APPLETS, Applet};

fn main() -> ExitCode {
    let dir = std::env::args().nth(1).ok_or_else(|| "usage: manual DIR".to_owned());
    match dir.and_then(|dir| write(Path::new(&dir))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("manual: {why}");
            ExitCode::FAILURE
        }
    }
}

fn write(dir: &Path) -> Result<(), String> {
    let date = date()?;
    let overview = [("kboot".to_owned(), overview(&date))];
    let applets = APPLETS.iter().map(|a| (format!("kboot-{}", a.name), applet(a, &date)));
    for (name, page) in overview.into_iter().chain(applets) {
        let path = dir.join(format!("{name}.8"));
        std::fs::write(&path, page).map_err(|why| format!("{}: {why}", path.display()))?;
    }
    Ok(())
}

/// Days are those of UTC.
fn date() -> Result<String, String> {
    let seconds = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => seconds,
        Err(_) => said_by("git", &["-C", env!("CARGO_MANIFEST_DIR"), "log", "-1", "--format=%ct"])
            .map_err(|why| format!("{why}: give SOURCE_DATE_EPOCH"))?,
    };
    said_by("date", &["-u", "-d", &format!("@{}", seconds.trim()), "+%Y-%m-%d"])
}

fn said_by(program: &str, args: &[&str]) -> Result<String, String> {
    let out = Command::new(program).args(args).output().map_err(|why| format!("{program}: {why}"))?;
    if !out.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&out.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

fn applet(applet: &Applet, date: &str) -> String {
    let mut page = Roff::new(&format!("kboot-{}", applet.name), applet.summary, date);
    help::page(applet, &mut page);
    page.finish(&["kboot"])
}

/// The page of the whole: what `kboot help` says, and what README has on all applets.
fn overview(date: &str) -> String {
    let mut page = Roff::new("kboot", "from \"the kernel is up\" to \"this node is in the cluster\"", date);
    help::overview(&mut page);
    page.heading("Options of all applets");
    help::run_options(&mut page);
    for (title, paragraphs, items) in SECTIONS {
        page.heading(title);
        paragraphs.iter().for_each(|text| page.paragraph(text));
        let own: &[&str] = if *title == "Exit status" { &help::EXITS } else { &[] };
        for entry in own.iter().chain(*items) {
            let (head, text) = cut(entry);
            page.item(head, "", text);
        }
    }
    let applets: Vec<String> = APPLETS.iter().map(|a| format!("kboot-{}", a.name)).collect();
    page.finish(&applets.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A title, paragraphs, and entries as in the applets' tables.
type Section = (&'static str, &'static [&'static str], &'static [&'static str]);

const SECTIONS: &[Section] = &[
    (
        "Exit status",
        &[],
        &[
            "3: what is there contradicts what is asked, and the option that allows it (--replace, ...) was not \
             given; nothing was touched",
            "75: not within --timeout; run it again",
            "126, 127: the program to exec cannot be run, is not there; no such applet",
        ],
    ),
    (
        "Output",
        &["Data, and what --dry-run and --json print, go to stdout, all else to stderr; where there is no \
             stderr, to the kernel's log. An error is one line. Colours are for terminals only."],
        &[],
    ),
    (
        "Environment",
        &[
            "Every option can come from the environment: KBOOT_BRIDGE_OUT_INTERFACE, then KBOOT_OUT_INTERFACE, \
             for bridge's --out-interface. A switch takes 1 or 0, a repeatable option values separated by commas; \
             empty is as good as not set. What the command line says silences variables that contradict it.",
        ],
        &[
            "KBOOT_LOG: [error|warn|info|debug][,stderr|kmsg]: how much is said, and where",
            "NO_COLOR: no colours, if it is set and not empty; nor are there any with TERM=dumb or no TERM",
            "NOTIFY_SOCKET: the service manager hears what is waited for, and of the end",
        ],
    ),
    (
        "Kernel parameters",
        &["What neither the command line nor a variable says is looked for in /proc/cmdline: \
             kboot.bridge.out-interface=, then kboot.out-interface=. - and _ are one. Given twice, the last \
             counts; a switch's bare name means 1. Every user of the host can read that line."],
        &[
            "kboot.log=: KBOOT_LOG's equal",
            "kboot.boot=: the boot list of init: a file, or the lines themselves",
        ],
    ),
    (
        "Files",
        &[],
        &[
            "/etc/default/kboot: options as lines KBOOT_NAME=value, for the units, jobs and scripts that run the \
             applets; one that is run by hand does not read it",
            "/run/kboot: what of the host is kboot's own, and how it was before; losing it is safe",
            "/run/kboot/timeline: a record of each run, for kboot timeline",
            "/etc/kboot/boot: the boot list of init",
        ],
    ),
];

/// A page in the macros of man(7).
struct Roff {
    text: String,
    /// What stands last.
    last: Last,
    has_options: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Name,
    Usage,
    Heading,
    Code,
    Words,
}

impl Roff {
    /// Without hyphenation, for options are to be found by their names.
    fn new(name: &str, summary: &str, date: &str) -> Self {
        let (title, version) = (escape(&name.to_uppercase()), env!("CARGO_PKG_VERSION"));
        let (name, summary) = (escape(name), escape(summary));
        let text = format!(
            ".TH {title} 8 {date} \"kboot {version}\" \"System Administration\"\n\
             .nr HY 0\n.nh\n.ad l\n.SH NAME\n{name} \\-\n{summary}\n"
        );
        Self { text, last: Last::Name, has_options: false }
    }

    fn section(&mut self, title: &str) {
        self.settle(Last::Heading);
        let title = escape(&title.to_uppercase());
        self.line(&format!(".SH {title}"));
    }

    /// Ends lines of code before other things.
    fn settle(&mut self, next: Last) {
        if self.last == Last::Code && next != Last::Code {
            self.line(".EE\n.RE");
        }
        self.last = next;
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Lines of a length for editors; none starts with what roff would take for a request.
    fn words(&mut self, text: &str) {
        let mut line = String::new();
        for word in text.split_whitespace().map(escape) {
            if !line.is_empty() && line.len() + word.len() > 78 {
                self.line(&line);
                line.clear();
            }
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(&word);
        }
        self.line(&line);
    }

    fn finish(mut self, see_also: &[&str]) -> String {
        self.section("See also");
        let pages: Vec<String> = see_also.iter().map(|page| format!("\\fB{}\\fR(8)", escape(page))).collect();
        self.line(&pages.join(",\n"));
        self.text
    }
}

impl Page for Roff {
    fn usage(&mut self, line: &str) {
        if self.last == Last::Usage {
            self.line(".br");
        } else {
            self.section("Synopsis");
        }
        self.settle(Last::Usage);
        let styled: Vec<String> = line.split(' ').map(styled).collect();
        self.line(&styled.join(" "));
    }

    fn heading(&mut self, title: &str) {
        self.section(title);
    }

    fn group(&mut self, title: &str) {
        if !self.has_options {
            self.section("Options");
            self.has_options = true;
        }
        self.settle(Last::Heading);
        self.line(&format!(".SS {}", escape(title)));
    }

    fn paragraph(&mut self, text: &str) {
        match self.last {
            Last::Usage => self.section("Description"),
            Last::Heading => {}
            _ => {
                self.settle(Last::Words);
                self.line(".PP");
            }
        }
        self.settle(Last::Words);
        self.words(text);
    }

    fn code(&mut self, line: &str) {
        if self.last != Last::Code {
            self.line(".RS 2\n.EX");
        }
        self.settle(Last::Code);
        self.line(&escape(line));
    }

    fn item(&mut self, names: &str, value: &str, text: &str) {
        self.settle(Last::Words);
        let value = if value.is_empty() { String::new() } else { format!(" \\fI{}\\fR", escape(value)) };
        self.line(&format!(".TP\n\\fB{}\\fR{value}", escape(names.trim())));
        self.words(text);
    }
}

/// A word of a usage line: what stands for something else is capitals.
fn styled(word: &str) -> String {
    let is_capital = word.chars().any(char::is_alphabetic) && !word.chars().any(char::is_lowercase);
    let font = if is_capital { 'I' } else { 'B' };
    let (open, rest) = word.split_at(word.len() - word.trim_start_matches('[').len());
    let (name, close) = rest.split_at(rest.trim_end_matches(']').len());
    format!("{open}\\f{font}{}\\fR{close}", escape(name))
}

/// As roff reads it back: nothing is a request, an escape or a typographer's sign.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '`' => out.push_str("\\(ga"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            '"' => out.push_str("\\(dq"),
            '.' if out.is_empty() => out.push_str("\\&."),
            c if c.is_ascii() => out.push(c),
            c => out.push_str(&format!("\\[u{:04X}]", u32::from(c))),
        }
    }
    out
}

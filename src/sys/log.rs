//! The log: one line a record, to stderr, to the journal by way of stderr, or to the kernel's ring
//! buffer when there is no stderr. `KBOOT_LOG=[LEVEL][,stderr|kmsg]`.

use std::io::{IsTerminal, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::error::one_line;
use crate::sys::stdio;

/// devkmsg_write takes up to 1024 bytes since Linux 3.5, 976 with PRINTK_CALLER on older ones.
const KMSG_LONGEST: usize = 976;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Stderr,
    /// stderr is a stream of the journal: `<N>` in front gives the priority (sd-daemon(3)).
    Journal,
    Kmsg,
}

struct Sink {
    applet: String,
    target: Target,
    /// It is a terminal that can erase a line.
    is_terminal: bool,
    /// It is one that shows colours.
    is_coloured: bool,
}

impl Sink {
    /// Of a run that has not come far enough to have one.
    fn early(applet: &str) -> Self {
        let target = early_target();
        let is_coloured = target == Target::Stderr && stdio::is_coloured(2);
        Self { applet: applet.to_owned(), target, is_terminal: false, is_coloured }
    }
}

/// Goes back to the line's start and erases what stands there (ECMA-48).
const ERASE: &str = "\r\x1b[K";

/// A line of progress stands on the terminal, without a line break.
static STANDS: AtomicBool = AtomicBool::new(false);

static SINK: OnceLock<Sink> = OnceLock::new();
struct Logger;

/// Starts the log for one run. `setting` is that of `KBOOT_LOG`; `verbose` counts `-v`; `quiet` leaves
/// warnings and errors. Returns what is wrong with the setting, if anything: a typing error there must not
/// stop a boot.
pub fn start(applet: &str, setting: &str, verbose: u8, quiet: bool) -> Option<&'static str> {
    let (mut level, mut target, mut complaint) = (LevelFilter::Info, None, None);
    for word in setting.split(',').filter(|w| !w.is_empty()) {
        match (word, word.parse::<LevelFilter>()) {
            ("stderr", _) => target = Some(stderr_target()),
            ("kmsg", _) => target = Some(Target::Kmsg),
            (_, Ok(parsed)) => level = parsed,
            _ => complaint = Some("takes [LEVEL][,stderr|kmsg]: error, warn, info, debug, trace"),
        }
    }
    level = match (verbose, quiet) {
        (0, false) => level,
        (0, true) => level.min(LevelFilter::Warn),
        (1, _) => level.max(LevelFilter::Debug),
        (_, _) => LevelFilter::Trace,
    };
    let target = target.unwrap_or_else(early_target);
    let is_terminal = target == Target::Stderr && std::io::stderr().is_terminal() && stdio::can_erase();
    let is_coloured = is_terminal && stdio::is_coloured(2);
    let sink = Sink { applet: applet.to_owned(), target, is_terminal, is_coloured };
    if SINK.set(sink).is_ok() && log::set_logger(&Logger).is_ok() {
        log::set_max_level(level);
    }
    complaint
}

/// Prints the error line that ends a run; `main` is the only caller. Works before `start` too.
pub fn error(applet: Option<&str>, text: &str) {
    match SINK.get() {
        Some(sink) => emit(sink, Level::Error, text),
        None => emit(&Sink::early(applet.unwrap_or_default()), Level::Error, text),
    }
}

fn early_target() -> Target {
    if stdio::was_closed(2) { Target::Kmsg } else { stderr_target() }
}

/// JOURNAL_STREAM holds the device and inode of the stream that systemd connected (systemd.exec(5)).
fn stderr_target() -> Target {
    let is_journal = std::env::var("JOURNAL_STREAM").ok().and_then(|stream| {
        let (dev, ino) = stream.split_once(':')?;
        let stat = nix::sys::stat::fstat(std::io::stderr()).ok()?;
        Some(dev.parse() == Ok(stat.st_dev) && ino.parse() == Ok(stat.st_ino))
    });
    if is_journal == Some(true) { Target::Journal } else { Target::Stderr }
}

fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Whether somebody may be watching: stderr is a terminal, and `-q` was not given.
pub fn is_watched() -> bool {
    log::max_level() >= LevelFilter::Info && SINK.get().is_some_and(|sink| sink.is_terminal)
}

/// Shows a line of progress to who is watching, in place of the one before; `end_progress`, or the next line
/// of the log, takes it away. The text is cut to the terminal's width, what changes (`tail`) is always there:
/// a line that breaks into two cannot be erased.
pub fn progress(text: &str, tail: &str) {
    let Some(sink) = SINK.get() else { return };
    let most = stdio::columns(&std::io::stderr()).unwrap_or(80).saturating_sub(1 + tail.len());
    let line: String = format!("{}: {}", name_of(&sink.applet), one_line(text)).chars().take(most).collect();
    STANDS.store(true, Ordering::Relaxed);
    stdio::err(&format!("{ERASE}{line}{tail}"));
}

/// Takes the line of progress away, if one stands there.
pub fn end_progress() {
    stdio::err(take_away());
}

fn take_away() -> &'static str {
    if STANDS.swap(false, Ordering::Relaxed) { ERASE } else { "" }
}

fn name_of(applet: &str) -> String {
    if applet.is_empty() { "kboot".to_owned() } else { format!("kboot {applet}") }
}

fn emit(sink: &Sink, level: Level, text: &str) {
    let mark = match level {
        Level::Error | Level::Info => "",
        Level::Warn => "warning: ",
        Level::Debug => "debug: ",
        Level::Trace => "trace: ",
    };
    let text = one_line(text);
    let name = name_of(&sink.applet);
    match level {
        Level::Error if sink.is_coloured => {
            stdio::err_line(&format!("{}\x1b[1;31m{name}:\x1b[m {text}", take_away()));
        }
        Level::Warn if sink.is_coloured => {
            stdio::err_line(&format!("{}{name}: \x1b[33mwarning:\x1b[m {text}", take_away()));
        }
        _ => put(sink, &sink.applet, priority(level), &format!("{mark}{text}")),
    }
}

fn put(sink: &Sink, applet: &str, priority: u8, text: &str) {
    let name = name_of(applet);
    match sink.target {
        Target::Stderr => stdio::err_line(&format!("{}{name}: {text}", take_away())),
        Target::Journal => stdio::err_line(&format!("<{priority}>{name}: {text}")),
        Target::Kmsg => kmsg(applet, priority, text),
    }
}

/// Writes a line that another applet wrote, or, with no name, one of kboot's own.
pub fn line(applet: &str, priority: u8, text: &str) {
    put(SINK.get().unwrap_or(&Sink::early("")), applet, priority, text);
}

/// Writes a record to the kernel's log. Facility 3 (daemon): the kernel turns facility 0 of a user's record into 1. The device is opened
/// for each record, since the kernel drops the eleventh record within 5 s of one open file.
pub fn kmsg(applet: &str, priority: u8, text: &str) {
    let name = if applet.is_empty() { "kboot".to_owned() } else { format!("kboot[{applet}]") };
    let mut record = format!("<{}>{name}: {text}", 3 << 3 | priority);
    if record.len() >= KMSG_LONGEST {
        let cut = (0..=KMSG_LONGEST - 4).rev().find(|&at| record.is_char_boundary(at)).unwrap_or(0);
        record.truncate(cut);
        record.push_str("...");
    }
    // Without a line break the kernel keeps the record open for more, and shows it to nobody yet.
    record.push('\n');
    let options = std::fs::OpenOptions::new().write(true).custom_flags(nix::libc::O_NOCTTY).open("/dev/kmsg");
    // Only the real device: a plain file of that name in some chroot is not to be filled.
    let device = options.ok().filter(|f| f.metadata().is_ok_and(|m| m.rdev() != 0));
    if let Some(mut file) = device {
        let _ = file.write_all(record.as_bytes());
    }
}

/// Hands a record to the log facade. The facade's own macros are compiled out below errors in
/// release builds (`release_max_level_error`): that takes the libraries' 0.1 MB of chatter off, and
/// keeps them from ever printing what a request carries. kboot's own come this way.
pub fn record(level: Level, args: std::fmt::Arguments<'_>) {
    if level <= log::max_level() {
        log::logger().log(&Record::builder().level(level).target("kboot").args(args).build());
    }
}

/// What was warned of in this run.
static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Logs a warning and keeps it for the run's report.
pub fn warn(args: std::fmt::Arguments<'_>) {
    if let Ok(mut warnings) = WARNINGS.lock() {
        warnings.push(args.to_string());
    }
    record(Level::Warn, args);
}

/// All that was warned of so far.
pub fn warnings() -> Vec<String> {
    WARNINGS.lock().map(|warnings| warnings.clone()).unwrap_or_default()
}

macro_rules! info {
    ($($args:tt)*) => { $crate::sys::log::record(::log::Level::Info, format_args!($($args)*)) };
}
macro_rules! warning {
    ($($args:tt)*) => { $crate::sys::log::warn(format_args!($($args)*)) };
}
macro_rules! debug {
    ($($args:tt)*) => { $crate::sys::log::record(::log::Level::Debug, format_args!($($args)*)) };
}
pub(crate) use {debug, info, warning};

impl Log for Logger {
    /// Only kboot's own records: a library's might show what a request carries.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("kboot")
    }

    fn log(&self, record: &Record<'_>) {
        if let Some(sink) = SINK.get().filter(|_| self.enabled(record.metadata())) {
            emit(sink, record.level(), &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

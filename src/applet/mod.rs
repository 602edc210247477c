//! The applets: a static table, and from argv to one of them.

mod boot_line;
mod bridge;
mod cli;
mod cloud_init;
mod cni_config;
mod complete;
mod docker;
mod docker_flags;
mod drift;
mod environment;
mod etcd;
mod etcd_config;
mod flannel_env;
pub mod help;
mod init;
mod install;
mod ipconfig;
mod kernel_module;
mod kubelet_launch;
mod lease;
mod mk_docker_opts;
mod mkinitramfs;
mod near;
mod node_name;
mod options;
mod parameters;
mod pod_bridge;
mod program_version;
mod register;
mod report;
mod server;
mod setting;
mod timeline;
mod tls;
mod units;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use argh::{ArgsInfo, CommandInfoWithArgs, FromArgs};

use crate::error::{Error, Exit, Result};
use crate::plan::cmdline;
use crate::plan::nearest::nearest;
use crate::sys::{self, log, machine, stdio};
use cli::Words;
use report::Report;

/// One applet.
pub struct Applet {
    /// Its name: argv[0], or the first argument.
    pub name: &'static str,
    /// One line for `kboot --help`.
    pub summary: &'static str,
    /// `WHAT IT DOES: LINE`; the lines can be pasted.
    pub examples: &'static [&'static str],
    /// What may follow `--`; `None`: nothing.
    pub rest: Option<&'static str>,
    /// `TITLE: --option --option`: each of its options once, in the order of `--help`; without `options::RUN`.
    pub groups: &'static [&'static str],
    /// `STATUS: MEANING`: those that it can end with, but for `help::EXITS`.
    pub exits: &'static [&'static str],
    /// `NAME: MEANING`: variables and kernel parameters that are not options.
    pub variables: &'static [&'static str],
    /// `PATH: WHAT FOR`: files that it reads or writes unless told otherwise.
    pub files: &'static [&'static str],
    info: fn() -> CommandInfoWithArgs,
    judge: fn(&Words) -> Result<()>,
    run: fn(&Words, &mut Report) -> Result<()>,
}

/// All applets, in the order of a boot.
pub static APPLETS: [Applet; 14] = [
    init::APPLET,
    ipconfig::APPLET,
    etcd_config::APPLET,
    flannel_env::APPLET,
    bridge::APPLET,
    docker_flags::APPLET,
    mk_docker_opts::APPLET,
    cni_config::APPLET,
    kubelet_launch::APPLET,
    register::APPLET,
    mkinitramfs::APPLET,
    units::APPLET,
    cloud_init::APPLET,
    timeline::APPLET,
];

/// Runs what argv asks for. Returns the applet's name, if one was found, for the error line.
pub fn dispatch(argv: &[OsString]) -> (Option<&'static str>, Result<()>) {
    // An empty argv (Linux before 5.18 passes one on) is a call without arguments.
    let Some((zeroth, rest)) = argv.split_first() else { return multiplex(&[]) };
    match (by_zeroth(zeroth), mistyped_link(zeroth)) {
        (Some(applet), _) => (Some(applet.name), call(applet, rest)),
        (None, Some(error)) => (None, Err(error)),
        (None, None) => multiplex(rest),
    }
}

/// argv[0] without one leading `-` (a login shell's), and without directories.
fn base(zeroth: &OsStr) -> &[u8] {
    let bytes = zeroth.as_bytes();
    let bytes = bytes.strip_prefix(b"-").unwrap_or(bytes);
    bytes.rsplit(|&b| b == b'/').next().unwrap_or(bytes)
}

/// The applet that argv[0] names: its basename, exact match, with or without `kboot-` in front.
fn by_zeroth(zeroth: &OsStr) -> Option<&'static Applet> {
    let base = base(zeroth);
    find(OsStr::from_bytes(base.strip_prefix(b"kboot-").unwrap_or(base)))
}

/// A link such as kboot-brigde. A binary's name with its version or machine is near to no applet.
fn mistyped_link(zeroth: &OsStr) -> Option<Error> {
    let name = String::from_utf8_lossy(base(zeroth).strip_prefix(b"kboot-")?);
    nearest(&name, APPLETS.iter().map(|a| a.name)).map(|_| not_found(&format!("kboot-{name}")))
}

fn find(name: &OsStr) -> Option<&'static Applet> {
    APPLETS.iter().find(|a| name == a.name)
}

fn multiplex(args: &[OsString]) -> (Option<&'static str>, Result<()>) {
    let Some(first) = args.first() else {
        return (None, help::show(None));
    };
    if let Some(applet) = find(first) {
        return (Some(applet.name), call(applet, &args[1..]));
    }
    let shown = first.to_string_lossy();
    let result = match (shown.as_ref(), &args[1..]) {
        ("--list", []) => stdio::out(&format!("{}\n", APPLETS.each_ref().map(|a| a.name).join("\n"))),
        ("--help" | "-h" | "help", []) => help::show(None),
        ("--help" | "-h" | "help", [again]) if again == "--help" || again == "-h" || again == "help" => {
            help::show(None)
        }
        ("--help" | "-h" | "help", [name]) => match find(name) {
            Some(applet) => help::show(Some(applet)),
            None => Err(not_found(&name.to_string_lossy())),
        },
        ("--help" | "-h" | "help", _) => Err(Error::usage(format!("{shown} takes one APPLET"))),
        ("--version" | "-V", []) => stdio::out(concat!("kboot ", env!("CARGO_PKG_VERSION"), "\n")),
        ("--install", rest) => install::run(rest),
        ("--completion", rest) => complete::script(rest),
        ("--complete", rest) => {
            complete::answer(rest);
            Ok(())
        }
        ("--list" | "--version" | "-V", _) => Err(Error::usage(format!("{shown} stands alone"))),
        (option, _) if option.starts_with('-') => {
            Err(Error::usage(format!("unknown option {option}{}", near::command(option))))
        }
        _ => Err(not_found(&shown)),
    };
    (None, result)
}

fn not_found(name: &str) -> Error {
    Error::new(Exit::NotFound, format!("{name}: applet not found{}", near::applet(name)))
}

fn call(applet: &'static Applet, argv: &[OsString]) -> Result<()> {
    let is_init = applet.name == init::APPLET.name && machine::is_first();
    if is_init {
        init::ground::lay();
    }
    let mut report = Report::new(applet.name);
    let before_dashes = argv.iter().take_while(|w| *w != "--");
    report.json = before_dashes.clone().any(|w| w == "--json");
    report.dry_run = before_dashes.clone().any(|w| w == "--dry-run");
    let result = scan_and_run(applet, argv, &mut report);
    // Whatever went wrong, or right: should PID 1 end, the kernel would panic.
    let result =
        if is_init { result.and_then(|()| init::is_over()).map_err(init::in_trouble) } else { result };
    report.finish(result)
}

fn scan_and_run(applet: &'static Applet, argv: &[OsString], report: &mut Report) -> Result<()> {
    let info = (applet.info)();
    let mut words = match Words::scan(applet.name, &info, argv) {
        // What the kernel hands to PID 1 is meant for the init of the root, in words of its own.
        Err(_) if applet.name == init::APPLET.name && machine::is_first() && machine::is_whole() => {
            init::handed_on(argv)
        }
        other => other?,
    };
    if words.help {
        report.json = false;
        return help::show(Some(applet));
    }
    sys::timeline::start(applet.name);
    // To a container's init it is the host's.
    let is_foreign = applet.name == init::APPLET.name && !machine::is_whole();
    let line = if is_foreign { String::new() } else { sys::cmdline::read() };
    let line = cmdline::parse(&line);
    words.add_environment(&info, |name| std::env::var(name).ok())?;
    words.add_parameters(&info, &line)?;
    report.json = words.count("--json") > 0;
    report.dry_run = words.count("--dry-run") > 0;
    if words.count("--check") > words.count("--fix") {
        // A look, which a timer may take each minute: it is no part of the boot, and writes nothing.
        sys::timeline::forget();
    }
    start_log(&words, &line, report);
    // Of what nothing reads, init tells: it is the first of a boot.
    let meant_for = (applet.name != init::APPLET.name).then_some(applet);
    for stranger in parameters::strangers(&line, meant_for) {
        report.warn(stranger);
    }
    if words.rest.is_some() && applet.rest.is_none() {
        return Err(Error::usage("nothing can follow --"));
    }
    (applet.run)(&words, report)
}

/// `KBOOT_LOG`, else `kboot.log=`.
fn start_log(words: &Words, line: &[cmdline::Parameter<'_>], report: &mut Report) {
    let variable = std::env::var("KBOOT_LOG").ok().filter(|v| !v.is_empty());
    let (name, setting) = match (variable, parameters::find(line, "KBOOT_LOG")) {
        (None, Some((name, value))) => (name, value.unwrap_or_default()),
        (variable, _) => ("KBOOT_LOG".to_owned(), variable.unwrap_or_default()),
    };
    let complaint = log::start(words.applet, &setting, words.count("--verbose"), words.count("--quiet") > 0);
    if let Some(complaint) = complaint {
        report.warn(format!("{name}={setting}: {complaint}"));
    }
}

/// argh's table of an applet's options, as a plain function for `APPLETS`.
fn info_of<A: ArgsInfo>() -> CommandInfoWithArgs {
    A::get_args_info()
}

/// Whether argh takes the words, their values too.
fn judge_of<A: FromArgs>(words: &Words) -> Result<()> {
    words.parse::<A>().map(drop)
}

impl Applet {
    /// What is wrong with the values among these words; what an option that is missing here gets from elsewhere
    /// is not known yet.
    fn why_not(&self, words: &Words) -> Option<Error> {
        (self.judge)(words).err().filter(|error| !error.to_string().starts_with(cli::MISSING))
    }
}

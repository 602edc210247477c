//! `init`: PID 1 of an initramfs, of a small machine or of a container; or its steps alone, in the
//! initramfs of a distribution.

mod boot;
mod console;
mod drivers;
pub mod ground;
mod root;
mod stay;
mod trouble;
mod wanted;

use std::ffi::OsString;
use std::fmt;

use super::cli::Words;
use super::options::applet_args;
use super::report::{Report, Step};
use super::{Applet, info_of, judge_of};
use crate::error::{Error, Result};
use crate::sys::machine;
use crate::sys::wait::Deadline;
use boot::Boot;
pub use trouble::{in_trouble, is_over};
use wanted::Wanted;

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "init",
    summary: "PID 1: mounts, drivers, the boot list; stay or switch root",
    examples: &[
        "the steps of a list, where another is PID 1: kboot init --once --boot /etc/kboot/boot",
        "what a boot by this list would do: kboot init --boot 'bridge --no-masquerade; register' --dry-run",
    ],
    rest: Some("ARGS of the root's init"),
    groups: &["Boot: --boot --module --once", "Root: --root --real-init"],
    exits: &["1: a step failed; PID 1 of a machine restarts it instead, as panic= says"],
    variables: &[
        "ip=, nameserver=, BOOTIF=: the network, as ipconfig takes them",
        "root=, rootfstype=, rootflags=, ro, rw, init=: the root, as the kernel takes them",
        "kboot.modules=: more modules to load",
        "kboot.rescue=: a shell for a boot that failed, such as /bin/sh",
        "panic=: seconds from a failure to the restart; less than 0 at once, 0 never",
    ],
    files: &["/etc/kboot/boot: the boot list", "/etc/kboot/modules: modules to load, one a line"],
    info: info_of::<Args>,
    judge: judge_of::<Args>,
    run,
};

applet_args! {
    /// as PID 1: mounts what is missing, loads the modules it is told to and those of the devices that
    /// are there, brings up lo and the network (ip=), runs the boot list, and then becomes the init of
    /// the root (root=), or stays: reaps, restarts what is to be kept running, and stops in order. A
    /// list has a line for each step: [- | respawn] [NAME=VALUE...] APPLET [ARGS...]; with - its
    /// failure does not stop the boot, respawn keeps it running, a word with / in front is a program.
    struct Args [] {
        /// the boot list: a file, or the lines themselves, cut by ; (default: /etc/kboot/boot)
        #[argh(option, arg_name = "path|lines")]
        boot: Option<String>,
        /// a kernel module to load besides those of /etc/kboot/modules; repeatable or separated by
        /// commas
        #[argh(option, arg_name = "module")]
        module: Vec<String>,
        /// the root to switch to: a device, or a directory where it is mounted; none: stay (default:
        /// the kernel's root=)
        #[argh(option, arg_name = "path")]
        root: Option<String>,
        /// the root's init (default: the kernel's init=, else /sbin/init and its likes)
        #[argh(option, arg_name = "path")]
        real_init: Option<String>,
        /// take the steps and end, where another is PID 1
        #[argh(switch)]
        once: bool,
    }
}

/// Words of the kernel's that are no options of this init: all are handed on.
pub fn handed_on(argv: &[OsString]) -> Words {
    let rest = Some(argv.iter().map(|w| w.to_string_lossy().into_owned()).collect());
    Words { applet: APPLET.name, given: Vec::new(), from_env: Vec::new(), rest, help: false }
}

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let args: Args = words.parse()?;
    let common = args.common();
    check(&args, words)?;
    let deadline = Deadline::start(common.timeout);
    let wanted = Wanted::of(&args, words.rest.as_deref().unwrap_or_default())?;
    if common.dry_run {
        return plan(&wanted, report);
    }
    Boot::begin(args.once)?.run(&wanted, &deadline)
}

fn check(args: &Args, words: &Words) -> Result<()> {
    if args.json && !args.dry_run {
        return Err(Error::usage("--json goes with --dry-run: the steps have their own"));
    }
    let fellow = ["--root", "--real-init"].into_iter().find(|o| words.is_typed(o));
    match (args.once, fellow) {
        (true, Some(fellow)) => {
            Err(Error::usage(format!("{fellow} is not for --once: the other init switches the root")))
        }
        (true, None) if machine::is_first() && machine::is_whole() => {
            Err(Error::usage("--once is for where another is PID 1: here the kernel would panic"))
        }
        (false, _) if !args.dry_run && !machine::is_first() => Err(Error::usage(
            "is not PID 1: give it to the kernel as rdinit= or as the image's /init; --once takes the steps alone",
        )),
        _ => Ok(()),
    }
}

/// What would be done, a line each.
struct Line(&'static str, String);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

impl Step for Line {
    fn kind(&self) -> &'static str {
        self.0
    }
}

fn plan(wanted: &Wanted, report: &mut Report) -> Result<()> {
    let modules = wanted.modules.iter().map(|m| Line("module", format!("modprobe {m}")));
    let steps = wanted.list.iter().map(|l| Line("exec", l.text()));
    let root = wanted.root.iter().map(|r| Line("exec", format!("switch_root {r} {}", wanted.init_text())));
    modules.chain(steps).chain(root).try_for_each(|line| report.plan(&line))
}

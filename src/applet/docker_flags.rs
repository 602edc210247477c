//! `docker-flags`: what dockerd has to be told.

use std::path::{Path, PathBuf};

use argh::FromArgValue;
use serde_json::json;

use super::cli::Words;
use super::options::applet_args;
use super::report::{Report, Step};
use super::{Applet, info_of, lease};
use crate::error::{Error, Result};
use crate::plan::docker::{self, Merged, Mode};
use crate::plan::subnet_env::parse_mtu;
use crate::sys::wait::Deadline;
use crate::sys::{file, lock};
use crate::types::IfName;

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "docker-flags",
    summary: "print or store dockerd's network flags for this lease",
    examples: &[
        "dockerd $(docker-flags --bridge cbr0)",
        "docker-flags --bridge cbr0 --format env --output /etc/default/docker",
        "docker-flags --bip --format env --key DOCKER_NETWORK_OPTIONS",
    ],
    rest: None,
    info: info_of::<Args>,
    run,
};

#[derive(FromArgValue, Clone, Copy, PartialEq, Eq)]
enum Format {
    Flags,
    Env,
}

applet_args! {
    /// prints the flags with which dockerd puts its containers into this host's flannel subnet, or
    /// keeps them in a file of variables, the rest of which stays as it is.
    struct Args [lease] {
        /// have dockerd use this bridge (made by kboot bridge); it then sets no NAT rules
        #[argh(option, arg_name = "ifname")]
        bridge: Option<IfName>,
        /// or have dockerd make docker0 with the lease's address
        #[argh(switch)]
        bip: bool,
        /// the containers' MTU (default: the lease's)
        #[argh(option, arg_name = "bytes", from_str_fn(parse_mtu))]
        mtu: Option<u32>,
        /// flags (one line) or env (KEY="FLAGS") (default: flags)
        #[argh(option, arg_name = "form", default = "Format::Flags")]
        format: Format,
        /// with env: the variable (default: DOCKER_OPTS)
        #[argh(option, arg_name = "key")]
        key: Option<String>,
        /// write there instead of stdout (-); what else is in it stays
        #[argh(option, arg_name = "path")]
        output: Option<PathBuf>,
    }
}

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let mut args: Args = words.parse()?;
    args.output.take_if(|path| path.as_os_str() == "-");
    let deadline = Deadline::start(args.common().timeout);
    let mode = mode(&args)?;
    let key = key(&args)?;
    check(&args, words)?;
    let lease = lease::resolve(&args.lease_options(), &deadline)?;
    let flags = docker::flags(&mode, &lease, args.mtu.or(lease.mtu)).map_err(Error::usage)?;
    report.found("flags", json!(flags));
    let Some(path) = &args.output else {
        return report.data(&match args.format {
            Format::Flags => format!("{}\n", flags.join(" ")),
            Format::Env => docker::assignment(&key, &flags),
        });
    };
    let _lock = if report.dry_run { None } else { Some(lock::acquire(&deadline)?) };
    store(&args, path, &key, &flags, report)
}

fn mode(args: &Args) -> Result<Mode> {
    match (&args.bridge, args.bip) {
        (Some(name), false) => Ok(Mode::Bridge(name.clone())),
        (None, true) => Ok(Mode::Bip),
        (None, false) => Err(Error::usage("give --bridge NAME (kboot's bridge) or --bip (docker0)")),
        (Some(_), true) => {
            Err(Error::usage("--bridge and --bip are both given: dockerd refuses the two together"))
        }
    }
}

fn key(args: &Args) -> Result<String> {
    let key = args.key.clone().unwrap_or_else(|| "DOCKER_OPTS".into());
    if args.key.is_some() && args.format != Format::Env {
        return Err(Error::usage("--key goes with --format env"));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if key.is_empty() || key.starts_with(|c: char| c.is_ascii_digit()) || !key.chars().all(fits) {
        return Err(Error::usage(format!("--key {key}: is no name of a variable")));
    }
    Ok(key)
}

fn check(args: &Args, words: &Words) -> Result<()> {
    if args.json && !args.dry_run && words.count("--format") > 0 && args.output.is_none() {
        return Err(Error::usage("--json does not go with --format, but for --dry-run or --output"));
    }
    if let Some(path) = &args.output {
        if path.is_dir() {
            return Err(Error::usage(format!("--output {}: is a directory, not a file", path.display())));
        }
        if !path.parent().is_none_or(|p| p.as_os_str().is_empty() || p.is_dir()) {
            return Err(Error::usage(format!("--output {}: its directory does not exist", path.display())));
        }
    }
    Ok(())
}

/// A file to be written.
struct Write<'a> {
    path: &'a Path,
    merged: Merged,
}

impl std::fmt::Display for Write<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "edit {}: {}", self.path.display(), self.merged.line)
    }
}

impl Step for Write<'_> {
    fn kind(&self) -> &'static str {
        "file"
    }
}

fn store(args: &Args, path: &Path, key: &str, flags: &[String], report: &mut Report) -> Result<()> {
    let shown = path.display();
    let old = file::read_if_there(path)?.unwrap_or_default();
    let old = String::from_utf8(old).map_err(|_| Error::conflict(format!("{shown}: is not text")))?;
    let merged = match args.format {
        Format::Env => docker::merge_env(&old, key, flags),
        Format::Flags => docker::merge_flags(&old, flags),
    };
    let merged = merged.map_err(|why| Error::conflict(format!("{shown}: {why}")))?;
    for flag in &merged.dropped {
        report.warn(format!("{shown}: {flag} makes room for {}", flags.join(" ")));
    }
    let steps = if merged.text == old { Vec::new() } else { vec![Write { path, merged }] };
    report.already(1 - steps.len());
    report.carry_out(&steps, |step| file::write_atomic(step.path, step.merged.text.as_bytes(), 0o644))?;
    report.summary(format_args!("{shown}: {}", flags.join(" ")));
    Ok(())
}

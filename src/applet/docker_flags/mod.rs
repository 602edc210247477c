//! `docker-flags`: what dockerd has to be told.

mod forms;
mod host;
mod restart;

use std::path::PathBuf;

use serde_json::json;

use super::cli::Words;
use super::options::applet_args;
use super::report::Report;
use super::{Applet, info_of, lease, program_version};
use crate::error::{Error, Result};
use crate::plan::docker::{self, Mode, Setting, Wanted};
use crate::plan::subnet_env::{Lease, parse_mtu};
use crate::sys::wait::Deadline;
use crate::sys::{exec, log, sysctl};
use crate::types::{IfName, Url, Version, parse_version};
use forms::Format;
use restart::How;

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "docker-flags",
    summary: "print or store dockerd's network flags for this lease",
    examples: &[
        "dockerd $(docker-flags --bridge cbr0)",
        "docker-flags --bridge cbr0 --format env --output /etc/default/docker",
        "docker-flags --bridge cbr0 --format daemon-json -o /etc/docker/daemon.json",
        "docker-flags --bip --format env --key DOCKER_NETWORK_OPTIONS",
    ],
    rest: None,
    info: info_of::<Args>,
    run,
};

applet_args! {
    /// prints the settings with which dockerd puts its containers into this host's flannel subnet, or
    /// keeps them in a file, the rest of which stays as it is.
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
        /// a mirror that dockerd asks before the default registry; repeatable
        #[argh(option, arg_name = "url")]
        registry_mirror: Vec<String>,
        /// flags (one line), env (KEY="FLAGS"), daemon-json or systemd (a drop-in) (default: flags)
        #[argh(option, arg_name = "form", default = "Format::Flags")]
        format: Format,
        /// with env: the variable (default: DOCKER_OPTS)
        #[argh(option, arg_name = "key")]
        key: Option<String>,
        /// write there instead of stdout (-); what else is in it stays
        #[argh(option, short = 'o', arg_name = "path")]
        output: Option<PathBuf>,
        /// once the file has changed, restart docker and wait until it answers: auto, systemd, sysv,
        /// or the pid of a dockerd that somebody starts again
        #[argh(option, arg_name = "how")]
        restart: Option<How>,
        /// dockerd's version, such as 1.9.1 (default: asked of the dockerd in PATH)
        #[argh(option, arg_name = "version", from_str_fn(parse_version))]
        docker_version: Option<Version>,
        /// do not look for settings elsewhere with which dockerd would refuse to start
        #[argh(switch)]
        no_conflict_check: bool,
    }
}

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let mut args: Args = words.parse()?;
    args.output.take_if(|path| path.as_os_str() == "-");
    let deadline = Deadline::start(args.common().timeout);
    let mode = mode(&args)?;
    check(&args, words)?;
    let lease = lease::resolve(&args.lease_options(), &deadline)?;
    let (settings, version) = settings(&args, mode, &lease, &deadline, report)?;
    let flags: Vec<String> = settings.iter().flat_map(Setting::flags).collect();
    report.found("flags", json!(flags));
    let outcome = forms::compose(&args, &settings)?;
    if !args.no_conflict_check {
        host::check(&args, &outcome, version, report)?;
    }
    match &args.output {
        None => report.data(&outcome.printed),
        Some(path) => {
            forms::store(outcome, args.restart, &deadline, report)?;
            report.summary(format_args!("{}: {}", path.display(), flags.join(" ")));
            Ok(())
        }
    }
}

fn settings(
    args: &Args,
    mode: Mode,
    lease: &Lease,
    deadline: &Deadline,
    report: &mut Report,
) -> Result<(Vec<Setting>, Option<Version>)> {
    let version = match args.docker_version {
        Some(version) => Some(version),
        None => asked_version(deadline),
    };
    if args.format == Format::DaemonJson && version.is_some_and(|v| v < (1, 10, 0)) {
        return Err(Error::usage("--format daemon-json: docker reads a daemon.json since 1.10 only"));
    }
    let wanted = Wanted {
        mode,
        lease,
        mtu: args.mtu.or(lease.mtu),
        mirrors: &args.registry_mirror,
        version,
        forwards: sysctl::read("net.ipv4.ip_forward").is_ok_and(|v| v.as_deref() == Some("1")),
    };
    let (settings, warnings) = docker::settings(&wanted).map_err(Error::usage)?;
    for warning in warnings {
        report.warn(warning);
    }
    Ok((settings, version))
}

/// `Docker version 20.10.24+dfsg1, build 297e128`. No dockerd here: the settings that all take.
fn asked_version(deadline: &Deadline) -> Option<Version> {
    let program = exec::find("dockerd").ok()?;
    let said = program_version::ask(&program, deadline);
    let version = said.map_err(|e| e.to_string()).and_then(|s| {
        let word =
            s.split_whitespace().find(|w| w.starts_with(|c: char| c.is_ascii_digit())).unwrap_or_default();
        parse_version(word)
    });
    match version {
        Ok(version) => Some(version),
        Err(why) => {
            log::info!("docker's version is not known: {}: {why}", program.display());
            None
        }
    }
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
    if !docker::mk_opts::is_name(&key) {
        return Err(Error::usage(format!("--key {key}: is no name of a variable")));
    }
    Ok(key)
}

fn check(args: &Args, words: &Words) -> Result<()> {
    key(args)?;
    if args.json && !args.dry_run && words.count("--format") > 0 && args.output.is_none() {
        return Err(Error::usage("--json does not go with --format, but for --dry-run or --output"));
    }
    for mirror in &args.registry_mirror {
        let is_web = mirror.starts_with("http://") || mirror.starts_with("https://");
        if !is_web || mirror.parse::<Url>().is_err() || mirror.contains(char::is_whitespace) {
            return Err(Error::usage(format!(
                "--registry-mirror {mirror}: is no URL such as https://mirror.example"
            )));
        }
    }
    if let Some(how) = &args.restart {
        if args.output.is_none() {
            return Err(Error::usage("--restart goes with --output: nothing is changed without"));
        }
        how.check()?;
    }
    if let Some(path) = &args.output {
        if path.is_dir() {
            return Err(Error::usage(format!("--output {}: is a directory, not a file", path.display())));
        }
        // A unit's directory for drop-ins is not there before the first one.
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
        if args.format != Format::Systemd && !parent.is_none_or(std::path::Path::is_dir) {
            return Err(Error::usage(format!("--output {}: its directory does not exist", path.display())));
        }
        if args.format == Format::Systemd && path.extension().is_none_or(|e| e != "conf") {
            return Err(Error::usage(format!(
                "--output {}: a drop-in is called docker.service.d/NAME.conf",
                path.display()
            )));
        }
    }
    Ok(())
}

//! `docker-flags`: what dockerd has to be told.

mod conflicts;
mod forms;
mod host;
mod restart;

use std::path::{Path, PathBuf};

use serde_json::json;

use super::cli::Words;
use super::options::applet_args;
use super::report::Report;
use super::{Applet, info_of, judge_of, lease, options, pod_bridge, program_version};
use crate::error::{Error, Result};
use crate::plan::docker::{self, Mode, Setting, Wanted};
use crate::plan::subnet_env::{Lease, parse_mtu};
use crate::sys::wait::Deadline;
use crate::sys::{exec, lock, log, sysctl};
use crate::types::{IfName, Url, Version, parse_version};
use forms::Format;
use restart::How;

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "docker-flags",
    summary: "print or store dockerd's network flags for this lease",
    examples: &[
        "for a command line: dockerd $(kboot docker-flags --bridge cbr0)",
        "in the file that Debian's docker.io reads: kboot docker-flags --bridge cbr0 --format env -o /etc/default/docker",
        "in docker's own file: kboot docker-flags --bridge cbr0 --format daemon-json \\\n    -o /etc/docker/daemon.json",
        "as flannel's own scripts do it, without cbr0: kboot docker-flags --bip --format env --key DOCKER_NETWORK_OPTIONS",
    ],
    rest: None,
    groups: &[
        "Settings: --bridge --bip --mtu --registry-mirror",
        "Output: --format --key --output",
        "docker: --docker-version --no-conflict-check --restart",
        options::LEASE,
    ],
    exits: &[
        "3: other settings contradict these: docker would not start with them, or not heed them",
        options::LATE,
    ],
    variables: &[options::LEASE_VARIABLES, "DOCKER_HOST: where docker answers"],
    files: &[
        options::LEASE_FILE,
        "/etc/docker/daemon.json, /etc/default/docker: looked at for contradictions, as are docker's units",
    ],
    info: info_of::<Args>,
    judge: judge_of::<Args>,
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
        #[argh(option, arg_name = "format", default = "Format::Flags")]
        format: Format,
        /// with env: the variable (default: DOCKER_OPTS)
        #[argh(option, arg_name = "variable")]
        key: Option<String>,
        /// write there instead of stdout (-); what else is in it stays
        #[argh(option, short = 'o', arg_name = "path")]
        output: Option<PathBuf>,
        /// once the file has changed, restart docker and wait until it answers: auto, systemd, sysv,
        /// or the pid of a dockerd that somebody starts again; or queue: systemd is to do it later,
        /// for a unit that docker waits for
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
    if let Some(path) = &mut args.output {
        *path = std::path::absolute(&path)?;
    }
    let deadline = Deadline::start(args.common().timeout);
    let mode = mode(&args)?;
    check(&args, words)?;
    let lease = lease::resolve(&args.lease_options(), &deadline)?;
    let (settings, version) = settings(&args, mode, &lease, &deadline, report)?;
    let flags: Vec<String> = settings.iter().flat_map(Setting::flags).collect();
    report.found("flags", json!(flags));
    // What is merged is read under it too.
    let is_written = args.output.is_some() && !report.dry_run;
    let _lock = is_written.then(|| lock::acquire(&deadline)).transpose()?;
    let outcome = forms::compose(&args, &settings)?;
    let socket = if args.no_conflict_check {
        None
    } else {
        check_bridge(&args, &lease, report)?;
        conflicts::check(&args, &outcome, &lease, version, report)?
    };
    match &args.output {
        None => report.data(&outcome.printed),
        Some(path) => {
            forms::store(outcome, args.restart, socket.as_deref(), &deadline, report)?;
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
        None => asked_version(deadline, report.dry_run),
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
    if wanted.mtu.is_none() {
        report.warn("the lease says no MTU: containers get docker's 1500, too much for an overlay: --mtu");
    }
    Ok((settings, version))
}

/// `Docker version 20.10.24+dfsg1, build 297e128`. No dockerd here: the settings that all take.
fn asked_version(deadline: &Deadline, looks_only: bool) -> Option<Version> {
    let program = exec::find("dockerd").ok()?;
    let said = program_version::ask(&program, looks_only, deadline);
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
        // dockerd takes a host alone ("path, query, or fragment at end of the URI").
        let is_web = mirror.starts_with("http://") || mirror.starts_with("https://");
        let url: Option<Url> = mirror.parse().ok();
        let is_plain = mirror.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:/[]".contains(c));
        if !is_web || !is_plain || url.is_none_or(|u| !matches!(u.path(), "" | "/")) {
            return Err(Error::usage(format!("--registry-mirror {mirror}: is no https://HOST[:PORT]")));
        }
    }
    if let Some(how) = &args.restart {
        if args.output.is_none() {
            return Err(Error::usage("--restart goes with --output: nothing is changed without"));
        }
        how.check()?;
    }
    args.output.as_deref().map_or(Ok(()), |path| check_output(path, args.format))
}

/// Whether the file can be written, and is one that a reader of this form would look into.
fn check_output(path: &Path, format: Format) -> Result<()> {
    let refuse = |why: &str| Err(Error::usage(format!("--output {}: {why}", path.display())));
    if path.is_dir() {
        return refuse("is a directory, not a file");
    }
    // Both are not there before the first file in them.
    let is_made = format == Format::Systemd || path.starts_with("/etc/docker");
    if !is_made && !path.parent().is_none_or(Path::is_dir) {
        return refuse("its directory does not exist");
    }
    let is = |extension: &str| path.extension().is_some_and(|e| e == extension);
    let is_variables = path.starts_with("/etc/default") || path.starts_with("/etc/sysconfig");
    match format {
        Format::Systemd if !is("conf") => refuse("a drop-in is called docker.service.d/NAME.conf"),
        Format::DaemonJson if is_variables || is("conf") || is("env") => {
            refuse("holds no JSON: /etc/docker/daemon.json does")
        }
        Format::Flags if is_variables => refuse("holds variables: --format env"),
        Format::Flags | Format::Env if is("json") => refuse("holds JSON: --format daemon-json"),
        _ => Ok(()),
    }
}

/// dockerd makes no bridge but docker0, and takes the subnet that it finds on it.
fn check_bridge(args: &Args, lease: &Lease, report: &mut Report) -> Result<()> {
    let (Some(name), Some(_)) = (&args.bridge, &args.output) else { return Ok(()) };
    let Ok((link, addrs)) = pod_bridge::look(name) else { return Ok(()) };
    let why = match (&link, lease.subnet) {
        (None, _) => format!("{name} is not there: dockerd does not start without it: kboot bridge makes it"),
        (Some(link), _) if link.kind != "bridge" => format!("{name} is a {} device, not a bridge", link.kind),
        (Some(_), Some(subnet)) if !addrs.iter().any(|a| a.network() == subnet.network()) => {
            format!("{name} has no address of {}: kboot bridge gives it one", subnet.network())
        }
        _ => return Ok(()),
    };
    if args.restart.is_some() {
        return Err(Error::conflict(why));
    }
    report.warn(why);
    Ok(())
}

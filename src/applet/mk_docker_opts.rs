//! `mk-docker-opts.sh`: the file that flannel's script of that name writes, from the same options.

use std::path::{Path, PathBuf};

use argh::FromArgValue;

use super::cli::Words;
use super::lease::{SUBNET_ENV, from_file};
use super::options::applet_args;
use super::report::{Report, Step};
use super::{Applet, info_of, judge_of, options};
use crate::error::{Error, Result};
use crate::plan::docker::mk_opts::{Ask, Generation, Inputs, compose, is_name};
use crate::plan::shell;
use crate::plan::subnet_env::{KEYS, Lease};
use crate::sys::file;
use crate::sys::link::Links;
use crate::sys::wait::Deadline;
use crate::types::{Cidr, Timeout};

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "mk-docker-opts.sh",
    summary: "as flannel's script: the lease as a file of docker's options",
    examples: &[
        "one variable, in a file that docker's unit reads: kboot mk-docker-opts.sh -k DOCKER_NETWORK_OPTIONS -d /run/flannel/docker",
        "a variable for each option: kboot mk-docker-opts.sh -i",
    ],
    rest: None,
    groups: &[
        "As the script: --env-file --output --individual --combined --key --omit-ip-masq",
        "Besides: --mk-compat",
    ],
    exits: &[options::LATE],
    variables: &[],
    files: &[options::LEASE_FILE, "/run/docker_opts.env: what is written"],
    info: info_of::<Args>,
    judge: judge_of::<Args>,
    run,
};

/// Which script's ways are kept, those that were mended too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compat {
    Bash05,
    Sh06,
}

impl FromArgValue for Compat {
    fn from_arg_value(text: &str) -> Result<Self, String> {
        match text {
            "0.5" => Ok(Self::Bash05),
            "0.6" => Ok(Self::Sh06),
            _ => Err("is neither 0.5 (flannel to 0.5.6) nor 0.6 (from 0.6.0)".into()),
        }
    }
}

applet_args! {
    /// writes docker's options for this host's lease, as flannel's mk-docker-opts.sh does and with its
    /// options: neither -i nor -c means both. It waits for the lease only where --timeout is given.
    struct Args [] {
        /// flannel's file with the lease (default: /run/flannel/subnet.env)
        #[argh(option, short = 'f', arg_name = "path")]
        env_file: Option<PathBuf>,
        /// where to write; - is stdout (default: /run/docker_opts.env)
        #[argh(option, short = 'd', arg_name = "path")]
        output: Option<PathBuf>,
        /// a variable for each option: DOCKER_OPT_BIP, DOCKER_OPT_IPMASQ, DOCKER_OPT_MTU
        #[argh(switch, short = 'i')]
        individual: bool,
        /// one variable with all of them
        #[argh(switch, short = 'c')]
        combined: bool,
        /// the name of that one (default: DOCKER_OPTS)
        #[argh(option, short = 'k', arg_name = "variable")]
        key: Option<String>,
        /// without --ip-masq, which docker has since 1.3
        #[argh(switch, short = 'm')]
        omit_ip_masq: bool,
        /// byte by byte as the script of flannel 0.5 or 0.6 (and later): a lease that is not there is no
        /// error then, and FLANNEL_* may come from the environment
        #[argh(option, arg_name = "version")]
        mk_compat: Option<Compat>,
    }
}

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let args: Args = words.parse()?;
    // The script waits for nothing.
    let timeout = if words.count("--timeout") > 0 { args.common().timeout } else { Timeout::Once };
    let input = args.env_file.clone().unwrap_or_else(|| SUBNET_ENV.into());
    let key = args.key.as_deref().unwrap_or("DOCKER_OPTS");
    check(&args, key, &input)?;
    let lease = match args.mk_compat {
        None => from_lease(&from_file(&input, true, &Deadline::start(timeout), |_| Ok(None))?, &input)?,
        Some(_) => from_text(&input)?,
    };
    if args.mk_compat.is_none() {
        check_route(&lease)?;
    }
    let extra: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let text = compose(&Ask {
        lease: &lease,
        individual: args.individual,
        combined: args.combined,
        key,
        prefix: extra.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str()),
        omit_ip_masq: args.omit_ip_masq,
        extra: &extra,
        generation: if args.mk_compat == Some(Compat::Bash05) {
            Generation::Bash05
        } else {
            Generation::Sh06
        },
    });
    let text = text.map_err(Error::failed)?;
    write(&args, text, report)?;
    if args.mk_compat == Some(Compat::Sh06) { check_route(&lease) } else { Ok(()) }
}

fn check(args: &Args, key: &str, input: &Path) -> Result<()> {
    if !is_name(key) {
        return Err(Error::usage(format!("--key {key}: is no name of a variable")));
    }
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if args.output.as_deref().is_some_and(|output| real(output) == real(input)) {
        return Err(Error::usage("--output and --env-file are one file: the lease would be lost"));
    }
    Ok(())
}

fn from_lease(lease: &Lease, path: &Path) -> Result<Inputs> {
    let subnet = lease.subnet.ok_or_else(|| {
        Error::failed(format!("{}: has no IPv4 subnet: docker-flags knows the others", path.display()))
    })?;
    Ok(Inputs {
        subnet: Some(subnet.to_string()),
        mtu: lease.mtu.map(|m| m.to_string()),
        ipmasq: lease.ipmasq.map(|b| b.to_string()),
    })
}

/// What the script would have sourced, the environment beneath it; nothing is executed.
fn from_text(path: &Path) -> Result<Inputs> {
    let bytes = file::read_if_there(path)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut file: Vec<(String, String)> = Vec::new();
    for (at, line) in text.split('\n').enumerate() {
        let line = line.trim_start();
        let pair = line.strip_prefix("export ").unwrap_or(line).split_once('=');
        let Some((name, value)) = pair.filter(|(n, _)| KEYS.contains(n)) else { continue };
        let place = format!("{}: line {}: {name}", path.display(), at + 1);
        let (value, _) = shell::word(value).map_err(|why| Error::failed(format!("{place}: {why}")))?;
        file.push((name.to_owned(), value));
    }
    let value = |name: &str| {
        let own = file.iter().rev().find(|(n, _)| n == name);
        own.map(|(_, v)| v.clone()).or_else(|| std::env::var(name).ok())
    };
    Ok(Inputs { subnet: value("FLANNEL_SUBNET"), mtu: value("FLANNEL_MTU"), ipmasq: value("FLANNEL_IPMASQ") })
}

/// A route to the subnet by another host (flannel 0.18 and later look for it): the lease is not this
/// host's any more.
fn check_route(lease: &Inputs) -> Result<()> {
    let Some(subnet) = lease.subnet.as_deref().and_then(|s| s.parse::<Cidr>().ok()) else { return Ok(()) };
    let ranges = Links::open().and_then(|links| links.ranges()).unwrap_or_default();
    match ranges.iter().find(|r| r.is_via && r.cidr == subnet.network()) {
        Some(route) => Err(Error::failed(format!(
            "the route to {} leads to another host (by {}): is the lease an old one?",
            route.cidr, route.link
        ))),
        None => Ok(()),
    }
}

struct Write<'a> {
    path: &'a Path,
    text: String,
}

impl std::fmt::Display for Write<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<&str> = self.text.lines().collect();
        write!(f, "write {}: {}", self.path.display(), lines.join("; "))
    }
}

impl Step for Write<'_> {
    fn kind(&self) -> &'static str {
        "file"
    }
}

fn write(args: &Args, text: String, report: &mut Report) -> Result<()> {
    let path = args.output.as_deref().unwrap_or(Path::new("/run/docker_opts.env"));
    let is_stdout =
        ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|p| path.as_os_str() == *p);
    if is_stdout {
        return report.data(&text);
    }
    if file::read_if_there(path)?.is_some_and(|old| old == text.as_bytes()) {
        report.already(1);
    } else {
        let step = Write { path, text };
        report.carry_out(&[step], |step| file::write_atomic(step.path, step.text.as_bytes(), 0o644))?;
    }
    report.summary(path.display());
    Ok(())
}

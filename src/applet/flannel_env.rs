//! `flannel-env`: waits for flannel's lease and gives it out.

use std::net::IpAddr;
use std::path::Path;

use argh::FromArgValue;
use serde_json::{Map, Value, json};

use super::cli::Words;
use super::lease::{SUBNET_ENV, fixed, from_file, shown};
use super::options::applet_args;
use super::report::{Report, Step};
use super::{Applet, etcd, info_of, judge_of, options, tls};
use crate::client::etcd::{Cluster, served};
use crate::error::{Error, Result};
use crate::plan::flannel::{self, Form};
use crate::plan::host_lease;
use crate::plan::shell;
use crate::plan::subnet_env::Lease;
use crate::sys::child::Settings;
use crate::sys::exec;
use crate::sys::link::Links;
use crate::sys::wait::Deadline;

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "flannel-env",
    summary: "wait for flannel's lease; print it or run a command with it",
    examples: &[
        "the lease as variables of this shell: lease=$(kboot flannel-env) && eval \"$lease\"",
        "one of them: kboot flannel-env --get FLANNEL_SUBNET_IP",
        "become a command that finds them in its environment: kboot flannel-env --timeout 90s -- \\\n    \
         sh -c 'exec dockerd --bip=$FLANNEL_SUBNET --mtu=$FLANNEL_MTU'",
    ],
    rest: Some("COMMAND [ARGS]"),
    groups: &[
        options::LEASE,
        "Output: --format --get",
        "etcd: --lease-of --public-ip --prefix --user --password-file",
        options::TLS,
    ],
    exits: &[
        options::LATE,
        "126, 127: COMMAND cannot be run, is not there; otherwise its exit status counts",
    ],
    variables: &[],
    files: &[options::LEASE_FILE],
    info: info_of::<Args>,
    judge: judge_of::<Args>,
    run,
};

#[derive(FromArgValue, Clone, Copy)]
enum Format {
    Sh,
    Export,
    Env,
    Systemd,
    Json,
}

applet_args! {
    /// waits for the file in which flanneld writes this host's lease, reads it without a shell, and
    /// prints it; with a command, becomes that command with the variables set. Besides flannel's own
    /// there are FLANNEL_SUBNET_IP, _NETWORK, _LEN, _GATEWAY, _FIRST and _LAST (the first and last
    /// address of a pod), and the same of FLANNEL_IPV6_SUBNET.
    struct Args [lease etcd tls] {
        /// the endpoints of flannel's etcd: wait until it holds this lease for this host; repeatable or
        /// separated by commas
        #[argh(option, arg_name = "url")]
        lease_of: Vec<String>,
        /// with --lease-of: flanneld's --public-ip (default: any address of this host)
        #[argh(option, arg_name = "ip")]
        public_ip: Option<IpAddr>,
        /// sh (KEY=value, for eval), export, env, systemd (EnvironmentFile=) or json (default: sh)
        #[argh(option, arg_name = "format")]
        format: Option<Format>,
        /// print this one variable's value only
        #[argh(option, arg_name = "variable")]
        get: Option<String>,
    }
}

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let args: Args = words.parse()?;
    let common = args.common();
    let command = words.rest.as_deref();
    check(&args, command)?;
    let deadline = Deadline::start(common.timeout);
    let path = args.env_file.as_deref().unwrap_or(Path::new(SUBNET_ENV));
    let etcd = EtcdLeases::of(&args, words, deadline)?;
    let doubt = |lease: &Lease| etcd.as_ref().map_or(Ok(None), |etcd| etcd.doubt(lease));
    let (lease, source) = match fixed(&args.lease_options())? {
        Some(lease) => (lease, words.source("--subnet").to_owned()),
        None => (from_file(path, args.allow_stale, &deadline, doubt)?, path.display().to_string()),
    };
    report.conclude(format!("lease {}", shown(&lease)));
    let variables = lease.variables();
    let object: Map<String, Value> = variables.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
    report.found("lease", Value::Object(object));
    if let Some(command) = command {
        let step = Exec { command: command.to_vec(), variables };
        report.plan(&step)?;
        if common.dry_run {
            return Ok(());
        }
        let environment = environment(step.variables);
        return Err(exec::exec(&command[0], &command[1..], environment, &Settings::default()));
    }
    if let Some(name) = &args.get {
        let value = variables.iter().find(|(k, _)| k == name).map(|(_, v)| v);
        let value = value.ok_or_else(|| Error::failed(format!("{source}: has no {name}")))?;
        return report.data(&format!("{value}\n"));
    }
    let form = match args.format {
        None | Some(Format::Sh | Format::Env) => Form::Plain,
        Some(Format::Export) => Form::Export,
        Some(Format::Systemd) => Form::Systemd,
        Some(Format::Json) => Form::Json,
    };
    report.data(&flannel::format(&variables, form))
}

/// kboot's own environment, in which flannel's variables are those of this lease and no others.
fn environment(variables: Vec<(String, String)>) -> exec::Environment {
    let others = std::env::vars_os().filter(|(name, _)| !flannel::variable_names().any(|v| name == v));
    others.chain(variables.into_iter().map(|(k, v)| (k.into(), v.into()))).collect()
}

/// The etcd that knows whose a lease is.
struct EtcdLeases {
    cluster: Cluster,
    key: String,
    public_ip: Option<IpAddr>,
}

impl EtcdLeases {
    fn of(args: &Args, words: &Words, deadline: Deadline) -> Result<Option<Self>> {
        if args.lease_of.is_empty() {
            let fellows =
                ["--public-ip", "--prefix", "--user", "--password-file", "--cacert", "--cert", "--key"];
            // In the environment they may be meant for another applet.
            return match fellows.iter().find(|name| words.is_typed(name)) {
                Some(name) => Err(Error::usage(format!("{name} goes with --lease-of"))),
                None => Ok(None),
            };
        }
        let options = args.etcd_options();
        let key = etcd::key(&options, "subnets")?;
        let tls = tls::read(&args.tls_files(), false)?;
        let cluster = etcd::cluster("--lease-of", &args.lease_of, &options, &tls, deadline)?;
        Ok(Some(Self { cluster, key, public_ip: args.public_ip }))
    }

    /// Why the lease is not this host's; `None`: it is. Where both APIs have an entry, v3's counts: a
    /// flannel that reads v2 wrote nothing there, and what it left in v2 may be years old.
    fn doubt(&self, lease: &Lease) -> Result<Option<String>> {
        let no_ipv4 = || Error::failed("--lease-of: flanneld keeps no lease in etcd without an IPv4 subnet");
        let subnet = lease.subnet.ok_or_else(no_ipv4)?;
        let key = format!("{}/{}", self.key, host_lease::key_name(&subnet, lease.subnet6.as_ref()));
        let mut held = None;
        for api in served(&self.cluster, true, true)? {
            held = api.read(&key)?.and_then(|s| host_lease::parse(&key, &s.value)).or(held);
        }
        let own = match self.public_ip {
            Some(ip) => vec![ip],
            None => Links::open()?.ranges()?.iter().filter(|r| r.is_address).map(|r| r.cidr.addr()).collect(),
        };
        let subnet = subnet.network();
        Ok(match held {
            Some(held) if held.public_ip.is_some_and(|ip| own.contains(&ip)) => None,
            Some(held) => Some(format!(
                "{subnet} is leased to {} now, which is not this host (--public-ip?)",
                held.holder()
            )),
            None => Some(format!("etcd holds no lease of {subnet} now ({key})")),
        })
    }
}

fn check(args: &Args, command: Option<&[String]>) -> Result<()> {
    if let Some(command) = command {
        if args.format.is_some() || args.get.is_some() {
            return Err(Error::usage("--format and --get print: they do not go with a command"));
        }
        if command.is_empty() {
            return Err(Error::usage("a command follows --"));
        }
    }
    if !args.subnet.is_empty() && !args.lease_of.is_empty() {
        return Err(Error::usage("--lease-of judges a lease: it does not go with --subnet, which is none"));
    }
    if args.format.is_some() && args.get.is_some() {
        return Err(Error::usage("--get prints one bare value: it does not go with --format"));
    }
    if args.json && !args.dry_run && (args.format.is_some() || command.is_some()) {
        return Err(Error::usage("--json goes with neither --format nor a command, but for --dry-run"));
    }
    if let Some(name) = args.get.as_deref().filter(|n| !flannel::variable_names().any(|v| v == *n)) {
        let names: Vec<&str> = flannel::variable_names().collect();
        return Err(Error::usage(format!("--get {name}: no such variable: {}", names.join(" "))));
    }
    Ok(())
}

struct Exec {
    command: Vec<String>,
    variables: Vec<(String, String)>,
}

impl std::fmt::Display for Exec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let variables = self.variables.iter().map(|(k, v)| format!("{k}={v}"));
        let all: Vec<String> =
            ["env".to_owned()].into_iter().chain(variables).chain(self.command.clone()).collect();
        f.write_str(&shell::join(all.iter().map(String::as_str)))
    }
}

impl Step for Exec {
    fn kind(&self) -> &'static str {
        "exec"
    }
}

//! `etcd-config`: puts flannel's network config into etcd, or confirms that it is there.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use argh::FromArgValue;
use serde_json::{Value, json};

use super::cli::Words;
use super::options::applet_args;
use super::report::{Report, Step};
use super::{Applet, info_of, tls};
use crate::client::etcd::{Cluster, KeyValue, Written, served};
use crate::error::{Context, Error, Result};
use crate::plan::etcd::{self, Write};
use crate::plan::network_config::{self, NetworkConfig};
use crate::plan::network_fields::{Fields, compose};
use crate::sys::file;
use crate::sys::log;
use crate::sys::wait::Deadline;
use crate::types::{Cidr, Url};

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "etcd-config",
    summary: "put flannel's network config into etcd, or confirm it",
    examples: &[
        "etcd-config --endpoints http://10.0.0.1:4001 --file flannel.json",
        "etcd-config --network 10.10.0.0/16 --backend vxlan",
        "etcd-config --show",
    ],
    rest: None,
    info: info_of::<Args>,
    run,
};

#[derive(FromArgValue, Clone, Copy, PartialEq, Eq)]
enum Api {
    Auto,
    V2,
    V3,
    Both,
}

applet_args! {
    /// checks flannel's network config as flanneld would, and writes it to etcd if there is none; the
    /// same config in other words is fine, a different one is exit 3 unless --replace is given.
    struct Args [tls] {
        /// etcd, such as http://10.0.0.1:2379; repeatable or separated by commas (default:
        /// ETCDCTL_ENDPOINTS, else http://127.0.0.1:4001 and http://127.0.0.1:2379)
        #[argh(option, arg_name = "url")]
        endpoints: Vec<String>,
        /// flannel's --etcd-prefix (default: /coreos.com/network)
        #[argh(option, arg_name = "key")]
        prefix: Option<String>,
        /// the config as a JSON file; - is stdin
        #[argh(option, arg_name = "path")]
        file: Option<PathBuf>,
        /// or its Network: the range all pods get their addresses from
        #[argh(option, arg_name = "cidr")]
        network: Option<Cidr>,
        /// with --network: the prefix length of a host's subnet
        #[argh(option, arg_name = "n")]
        subnet_len: Option<u8>,
        /// with --network: the first subnet
        #[argh(option, arg_name = "ip")]
        subnet_min: Option<Ipv4Addr>,
        /// with --network: the last subnet
        #[argh(option, arg_name = "ip")]
        subnet_max: Option<Ipv4Addr>,
        /// with --network: udp, vxlan, host-gw, ...
        #[argh(option, arg_name = "type")]
        backend: Option<String>,
        /// with --backend: a field of it, such as Port=7890; repeatable
        #[argh(option, arg_name = "k=v")]
        backend_option: Vec<String>,
        /// the range of service addresses: no host's subnet may overlap it
        #[argh(option, arg_name = "cidr")]
        service_cidr: Option<Cidr>,
        /// v2 (flannel up to 0.17), v3 (from 0.18), both, or auto: all that etcd serves
        #[argh(option, arg_name = "api", default = "Api::Auto")]
        api: Api,
        /// replace a different config
        #[argh(switch)]
        replace: bool,
        /// print the config that etcd holds, its secrets too; write nothing
        #[argh(switch)]
        show: bool,
        /// user name in etcd
        #[argh(option, arg_name = "name")]
        user: Option<String>,
        /// file with the password of --user
        #[argh(option, arg_name = "path")]
        password_file: Option<PathBuf>,
    }
}

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let args: Args = words.parse()?;
    let common = args.common();
    if args.show && (args.file.is_some() || args.network.is_some() || args.replace) {
        return Err(Error::usage(
            "--show writes nothing: it goes with neither --file, --network nor --replace",
        ));
    }
    let deadline = Deadline::start(common.timeout);
    let wanted = if args.show { None } else { Some(wanted(&args, &deadline)?) };
    let key = network_config::config_key(args.prefix.as_deref().unwrap_or("/coreos.com/network"));
    let tls = tls::read(&args.tls_files(), false)?;
    let cluster = Cluster::new(&endpoints(&args)?, &tls, user(&args)?, deadline)?;
    let apis = choose(&cluster, args.api)?;
    match wanted {
        None => show(&apis, &key, report),
        Some(config) => settle(&apis, &key, &config, args.replace, report),
    }
}

fn wanted(args: &Args, deadline: &Deadline) -> Result<NetworkConfig> {
    let (name, text) = match (&args.file, args.network) {
        (Some(_), Some(_)) => {
            return Err(Error::usage("--file and --network are both given: one config comes from one place"));
        }
        (None, None) => return Err(Error::usage("give the config: --file PATH or --network CIDR")),
        (Some(path), None) if path.as_os_str() == "-" => ("stdin".to_owned(), file::read_stdin(deadline)?),
        (Some(path), None) => (path.display().to_string(), file::read_named(path)?),
        (None, Some(network)) => ("--network".to_owned(), compose(&fields(args, network)?)),
    };
    if args.file.is_some() && has_fields(args) {
        return Err(Error::usage(
            "--subnet-len, --subnet-min, --subnet-max and --backend go with --network, not with --file",
        ));
    }
    let config = network_config::parse(&text).map_err(|why| Error::usage(format!("{name}: {why}")))?;
    if let Some(six) = args.service_cidr.filter(|c| !c.is_ipv4()) {
        return Err(Error::usage(format!("--service-cidr {six}: IPv4 only")));
    }
    if let Some(service) = &args.service_cidr.filter(|s| config.leases_overlap(s)) {
        let leases = config.leases();
        return Err(Error::usage(format!(
            "--service-cidr {service}: hosts would get subnets of it ({leases}): move SubnetMin or SubnetMax"
        )));
    }
    log::debug!("subnets {}", config.leases());
    Ok(config)
}

fn has_fields(args: &Args) -> bool {
    args.subnet_len.is_some()
        || args.subnet_min.is_some()
        || args.subnet_max.is_some()
        || args.backend.is_some()
        || !args.backend_option.is_empty()
}

fn fields(args: &Args, network: Cidr) -> Result<Fields> {
    if args.backend.is_none() && !args.backend_option.is_empty() {
        return Err(Error::usage("--backend-option goes with --backend"));
    }
    let mut backend_options = Vec::new();
    for option in &args.backend_option {
        match option.split_once('=') {
            Some((key, _)) if network_config::is_secret(key) => {
                return Err(Error::usage(format!(
                    "--backend-option {key}: a secret would show in ps: give it with --file"
                )));
            }
            Some((key, value)) if !key.is_empty() => backend_options.push((key.to_owned(), value.to_owned())),
            _ => return Err(Error::usage(format!("--backend-option {option}: is not K=V"))),
        }
    }
    Ok(Fields {
        network: network.network().to_string(),
        subnet_len: args.subnet_len,
        subnet_min: args.subnet_min,
        subnet_max: args.subnet_max,
        backend: args.backend.clone(),
        backend_options,
    })
}

fn endpoints(args: &Args) -> Result<Vec<Url>> {
    let variable = std::env::var("ETCDCTL_ENDPOINTS").ok().filter(|v| !v.is_empty());
    let (name, text) = match (args.endpoints.is_empty(), variable) {
        (false, _) => ("--endpoints", args.endpoints.join(",")),
        (true, Some(text)) => ("ETCDCTL_ENDPOINTS", text),
        // flannel's own defaults, before and after etcd got its official port.
        (true, None) => ("default", "http://127.0.0.1:4001,http://127.0.0.1:2379".to_owned()),
    };
    text.split(',')
        .map(|t| t.trim().parse().map_err(|why| Error::usage(format!("{name} {t}: {why}"))))
        .collect()
}

fn user(args: &Args) -> Result<Option<(String, String)>> {
    match (&args.user, &args.password_file) {
        (None, None) => Ok(None),
        (Some(name), Some(path)) => {
            let password = file::read_named(path)?;
            Ok(Some((name.clone(), password.trim_end_matches(['\n', '\r']).to_owned())))
        }
        _ => Err(Error::usage("--user and --password-file go together")),
    }
}

/// The APIs to work with; one that was asked for and is not there is an error.
fn choose(cluster: &Cluster, api: Api) -> Result<Vec<Box<dyn KeyValue + '_>>> {
    let apis = served(cluster, api != Api::V3, api != Api::V2)?;
    let lacks = |name| !apis.iter().any(|a| a.name() == name);
    let why = match api {
        Api::V2 | Api::Both if lacks("v2") => "serves no v2 API: start it with --enable-v2 (etcd 3.4, 3.5)",
        Api::V3 | Api::Both if lacks("v3") => "serves no v3 API by HTTP (--enable-grpc-gateway)",
        _ if apis.is_empty() => "serves neither the v2 nor the v3 API by HTTP: no etcd?",
        _ => return Ok(apis),
    };
    Err(Error::failed(format!("etcd at {}: {why}", cluster.shown())))
}

fn show(apis: &[Box<dyn KeyValue + '_>], key: &str, report: &mut Report) -> Result<()> {
    let mut held = 0;
    for api in apis {
        let stored = api.read(key)?;
        let text = stored.map(|s| String::from_utf8_lossy(&s.value).into_owned());
        report.found(api.name(), json!(text.as_ref().map(|t| network_config::shown(t.as_bytes()))));
        held += usize::from(text.is_some());
        report.data(&format!("{} {key} {}\n", api.name(), text.as_deref().unwrap_or("-").trim_end()))?;
    }
    if held == 0 {
        return Err(Error::failed(format!("{key}: etcd holds no config")));
    }
    Ok(())
}

impl Step for Write {
    fn kind(&self) -> &'static str {
        "etcd"
    }
}

/// Reads all APIs before any is written.
fn settle(
    apis: &[Box<dyn KeyValue + '_>],
    key: &str,
    config: &NetworkConfig,
    replace: bool,
    report: &mut Report,
) -> Result<()> {
    let mut held = Vec::new();
    for api in apis {
        let stored = api.read(key)?;
        report.found(api.name(), json!(stored.as_ref().map(|s| network_config::shown(&s.value))));
        held.push((api.name(), stored.map(|s| (s.revision, s.value))));
    }
    let steps = etcd::plan(config, key, &held, replace).map_err(Error::conflict)?;
    report.already(apis.len() - steps.len());
    report.carry_out(&steps, |step| {
        let api = apis.iter().find(|a| a.name() == step.api);
        api.map_or_else(|| Err(Error::failed("the API is gone")), |api| write(api.as_ref(), step, config))
    })?;
    let names: Vec<&str> = apis.iter().map(|a| a.name()).collect();
    report.found("leases", Value::from(config.leases()));
    report.summary(format_args!("{key} in {}: subnets {}", names.join(" and "), config.leases()));
    Ok(())
}

/// Writes, then reads back: a lost race against the same config is success.
fn write(api: &dyn KeyValue, step: &Write, config: &NetworkConfig) -> Result<()> {
    let value = step.value.as_bytes();
    let written = match step.replaces {
        None => api.create(&step.key, value)?,
        Some(revision) => api.swap(&step.key, revision, value)?,
    };
    let now = api.read(&step.key).context("reading it back")?;
    match now {
        Some(s) if config.means_the_same(&s.value) => Ok(()),
        Some(s) if written == Written::Lost => Err(Error::failed(format!(
            "another config came first: {}: run it again",
            network_config::shown(&s.value)
        ))),
        _ => Err(Error::failed("it was written, but is not there now")),
    }
}

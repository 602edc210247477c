//! `etcd-config`: puts flannel's network config into etcd, or confirms that it is there.

mod reserve;
mod settle;
mod show;
mod wanted;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use argh::FromArgValue;

use super::cli::Words;
use super::options::applet_args;
use super::report::Report;
use super::{Applet, etcd, info_of, judge_of, options, tls};
use crate::client::etcd::{Cluster, KeyValue, served};
use crate::error::{Error, Result};
use crate::plan::network::NEWEST;
use crate::plan::reservation::Reservation;
use crate::sys::wait::Deadline;
use crate::types::{Cidr, Version, parse_version, show_version};

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "etcd-config",
    summary: "put flannel's network config into etcd, or confirm it",
    examples: &[
        "a config from a file: kboot etcd-config --endpoints http://10.0.0.1:4001 --file flannel.json",
        "one made of options, with room for 50 hosts: kboot etcd-config --network 10.10.0.0/16 --backend vxlan --nodes 50",
        "a subnet kept for one host: kboot etcd-config --reserve 10.10.48.0/24=10.0.0.7",
        "the config and all leases, as etcd holds them: kboot etcd-config --show",
    ],
    rest: None,
    groups: &[
        "Network config: --file --network --subnet-len --subnet-min --subnet-max --ipv6-network --ipv6-subnet-len \
         --ipv6-subnet-min --ipv6-subnet-max --backend --backend-option",
        "Judging it: --service-cidr --nodes --flannel-version --allow-unknown --allow-overlap",
        "Writing and showing: --replace --reserve --show",
        "etcd: --endpoints --api --prefix --user --password-file",
        options::TLS,
    ],
    exits: &[
        "3: etcd holds something else (see --replace), or this host uses the range already",
        options::LATE,
    ],
    variables: &["ETCDCTL_ENDPOINTS: etcd, unless --endpoints is given"],
    files: &[],
    info: info_of::<Args>,
    judge: judge_of::<Args>,
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
    struct Args [etcd tls] {
        /// etcd, such as http://10.0.0.1:2379; repeatable or separated by commas (default:
        /// ETCDCTL_ENDPOINTS, else http://127.0.0.1:4001 and http://127.0.0.1:2379)
        #[argh(option, arg_name = "url")]
        endpoints: Vec<String>,
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
        /// with --network: IPv6 as well, from this range (flannel 0.15 and later)
        #[argh(option, arg_name = "cidr")]
        ipv6_network: Option<Cidr>,
        /// with --ipv6-network: as --subnet-len
        #[argh(option, arg_name = "n")]
        ipv6_subnet_len: Option<u8>,
        /// with --ipv6-network: as --subnet-min
        #[argh(option, arg_name = "ip")]
        ipv6_subnet_min: Option<Ipv6Addr>,
        /// with --ipv6-network: as --subnet-max
        #[argh(option, arg_name = "ip")]
        ipv6_subnet_max: Option<Ipv6Addr>,
        /// with --network: udp, vxlan, host-gw, ...
        #[argh(option, arg_name = "type")]
        backend: Option<String>,
        /// with --backend: a field of it, such as Port=7890; repeatable
        #[argh(option, arg_name = "k=v")]
        backend_option: Vec<String>,
        /// the range of service addresses: no host's subnet may overlap it; repeatable
        #[argh(option, arg_name = "cidr")]
        service_cidr: Vec<Cidr>,
        /// how many hosts there will be: each needs a subnet
        #[argh(option, arg_name = "n")]
        nodes: Option<u64>,
        /// judge by the rules of this flannel, such as 0.5.5 (default: today's)
        #[argh(option, arg_name = "version", from_str_fn(parse_version))]
        flannel_version: Option<Version>,
        /// take fields and backends that flannel does not know
        #[argh(switch)]
        allow_unknown: bool,
        /// take a range of which this host has addresses or routes
        #[argh(switch)]
        allow_overlap: bool,
        /// keep a subnet for the host with that public IP, without end; repeatable (dual stack:
        /// cidr+cidr=ip)
        #[argh(option, arg_name = "cidr=ip")]
        reserve: Vec<Reservation>,
        /// v2 (flannel up to 0.17), v3 (from 0.18), both, or auto: all that etcd serves (default: auto)
        #[argh(option, arg_name = "api", default = "Api::Auto")]
        api: Api,
        /// replace a different config
        #[argh(switch)]
        replace: bool,
        /// print the config that etcd holds, its secrets too, and all leases; write nothing
        #[argh(switch)]
        show: bool,
    }
}

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let args: Args = words.parse()?;
    check(&args, words)?;
    let deadline = Deadline::start(args.common().timeout);
    let wanted = wanted::read(&args, &deadline, report)?;
    let options = args.etcd_options();
    let keys =
        settle::Keys { config: etcd::key(&options, "config")?, subnets: etcd::key(&options, "subnets")? };
    let tls = tls::read(&args.tls_files(), false)?;
    let cluster = etcd::cluster("--endpoints", &args.endpoints, &options, &tls, deadline)?;
    let apis = choose(&cluster, args.api, args.flannel_version)?;
    if args.show {
        return show::run(&apis, &keys, args.rules(), report);
    }
    settle::run(&args, &apis, &keys, wanted.as_ref(), report)
}

impl Args {
    /// The flannel whose rules are taken.
    fn rules(&self) -> Version {
        self.flannel_version.unwrap_or(NEWEST)
    }
}

fn check(args: &Args, words: &Words) -> Result<()> {
    let has_config = args.file.is_some() || args.network.is_some();
    if args.show && (has_config || args.replace || !args.reserve.is_empty()) {
        return Err(Error::usage(
            "--show writes nothing: it goes with neither --file, --network, --reserve nor --replace",
        ));
    }
    if !args.show && !has_config && args.reserve.is_empty() {
        return Err(Error::usage("give the config: --file PATH or --network CIDR"));
    }
    let of_config = ["--service-cidr", "--nodes", "--replace", "--allow-unknown", "--allow-overlap"];
    if let Some(name) = of_config.iter().find(|name| !has_config && words.is_typed(name)) {
        return Err(Error::usage(format!("{name} goes with --file or --network")));
    }
    if args.nodes == Some(0) {
        return Err(Error::usage("--nodes 0: give the number of hosts, or leave it away"));
    }
    reserve::check(&args.reserve)?;
    match (args.api, args.flannel_version) {
        (Api::V3, Some(version)) if version < FIRST_V3 => {
            Err(Error::usage(format!("--api v3: flannel {} reads the v2 API only", show_version(version))))
        }
        (Api::V2, Some(version)) if version >= FIRST_V3 => {
            Err(Error::usage(format!("--api v2: flannel {} reads the v3 API only", show_version(version))))
        }
        _ => Ok(()),
    }
}

/// The first flannel that reads etcd's v3 API, and no other.
const FIRST_V3: Version = (0, 18, 0);

/// The APIs to work with; one that was asked for, or that this flannel reads, and is not there is an
/// error.
fn choose(cluster: &Cluster, api: Api, version: Option<Version>) -> Result<Vec<Box<dyn KeyValue + '_>>> {
    let apis = served(cluster, api != Api::V3, api != Api::V2)?;
    let lacks = |name| !apis.iter().any(|a| a.name() == name);
    let reads = |v3: bool| version.is_some_and(|v| (v >= FIRST_V3) == v3);
    let why = if lacks("v2") && lacks("v3") && api == Api::Auto {
        "serves neither the v2 nor the v3 API by HTTP: no etcd?"
    } else if lacks("v2") && (matches!(api, Api::V2 | Api::Both) || reads(false)) {
        "serves no v2 API: start it with --enable-v2 (etcd 3.4, 3.5)"
    } else if lacks("v3") && (matches!(api, Api::V3 | Api::Both) || reads(true)) {
        "serves no v3 API by HTTP (--enable-grpc-gateway)"
    } else {
        return Ok(apis);
    };
    let reader = version.map(|v| format!(", and flannel {} reads no other", show_version(v)));
    let reader = reader.filter(|_| api == Api::Auto).unwrap_or_default();
    Err(Error::failed(format!("etcd at {}: {why}{reader}", cluster.shown())))
}

//! `kubelet-launch`: the kubelet with the flags that its version takes.

mod facts;
mod files;
mod input;
mod launch;
mod node;
mod preflight;
mod process;
mod runtime;
mod version;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::cli::Words;
use super::options::applet_args;
use super::report::Report;
use super::server::Server;
use super::{Applet, info_of, judge_of, lease, node_name, options, server};
use crate::error::{Error, Result};
use crate::plan::kubelet::environment::Variable;
use crate::plan::kubelet::{Extra, Runtime, Version};
use crate::plan::subnet_env::Lease;
use crate::sys::exec;
use crate::sys::wait::Deadline;
use crate::types::{Cidr, IfName, NodeName, Timeout};
use launch::Kubelet;
use preflight::Scene;
use process::Process;

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "kubelet-launch",
    summary: "become the kubelet, with the flags that its version takes",
    examples: &[
        "a cluster of 2015: kboot kubelet-launch --server http://10.0.0.1:8080",
        "one of today, and a flag of the kubelet's own: kboot kubelet-launch --kubeconfig /etc/kubernetes/kubelet.conf -- --v=2",
        "what it will find on this host; what can be mended is: kboot kubelet-launch --check --fix",
        "on a host with no service manager: kboot kubelet-launch --supervise --oom-score-adj -999 --nofile 1000000",
        "the command line for a kubelet that is not here: kboot kubelet-launch --kubelet-version 1.1 --server 10.0.0.1:8080 --dry-run",
    ],
    rest: Some("KUBELET-FLAGS"),
    groups: &[
        "Kubelet: --kubelet --kubelet-version",
        "Node: --name --node-ip --register-node",
        "Pods: --runtime --pause-image --manifests --bridge --cluster-dns --cluster-domain --resolv-conf",
        "Kubelet's API: --address --open-api --client-ca-file --read-only-port --healthz-port",
        "Checking the host: --check --fix --ignore --allow-swap --allow-cgroup-v1",
        "Process: --supervise --stop-timeout --nofile --oom-score-adj --nice --env",
        options::LEASE,
        options::SERVER,
    ],
    exits: &[
        "3: the kubelet cannot run here as things are; --check tells why",
        options::LATE,
        "126, 127: the kubelet cannot be run, is not there; otherwise its exit status counts",
    ],
    variables: &[
        options::LEASE_VARIABLES,
        options::SERVER_VARIABLES,
        "NOTIFY_SOCKET: gets READY=1 once the kubelet is well",
    ],
    files: &[options::LEASE_FILE, "/etc/kubernetes/manifests: static pods", options::KUBECONFIGS],
    info: info_of::<Args>,
    judge: judge_of::<Args>,
    run,
};

applet_args! {
    /// asks the kubelet for its version, looks at what it will find on this host, composes settings that
    /// mean the same in every version from 1.0 on, and becomes the kubelet. What follows -- are flags of
    /// its own; those that its version does not know are left out.
    struct Args [lease server] {
        /// the kubelet (default: kubelet, from PATH)
        #[argh(option, arg_name = "program")]
        kubelet: Option<String>,
        /// its version, instead of asking it
        #[argh(option, arg_name = "version")]
        kubelet_version: Option<Version>,
        /// the Node's name (default: of the client certificate, else the subnet's address)
        #[argh(option, arg_name = "node")]
        name: Option<NodeName>,
        /// static pods (default: /etc/kubernetes/manifests)
        #[argh(option, arg_name = "dir")]
        manifests: Option<PathBuf>,
        /// where the kubelet listens (default: 0.0.0.0)
        #[argh(option, arg_name = "ip")]
        address: Option<IpAddr>,
        /// the Node's address, if the kubelet is not to find it; repeatable, one of each family
        #[argh(option, arg_name = "ip")]
        node_ip: Vec<IpAddr>,
        /// have the kubelet make its own Node (default: kboot register does)
        #[argh(switch)]
        register_node: bool,
        /// the cluster's DNS server; repeatable
        #[argh(option, arg_name = "ip")]
        cluster_dns: Vec<IpAddr>,
        /// the cluster's domain
        #[argh(option, arg_name = "domain")]
        cluster_domain: Option<String>,
        /// the resolv.conf that pods get (default: /etc/resolv.conf, or systemd-resolved's behind it)
        #[argh(option, arg_name = "path")]
        resolv_conf: Option<PathBuf>,
        /// the image that holds a pod's namespaces, where the default cannot be pulled
        #[argh(option, arg_name = "image")]
        pause_image: Option<String>,
        /// docker, or a CRI socket such as unix:///run/containerd/containerd.sock
        /// (default: docker for kubelets up to 1.23, where it is there; else the first CRI socket)
        #[argh(option, arg_name = "runtime")]
        runtime: Option<Runtime>,
        /// the pod bridge that is looked at (default: cbr0)
        #[argh(option, arg_name = "ifname")]
        bridge: Option<IfName>,
        /// let anybody who reaches port 10250 use the kubelet's API, as where the API server is plain HTTP
        /// (default: those whom the API server knows, in versions that can tell)
        #[argh(switch)]
        open_api: bool,
        /// who signs client certificates for the kubelet's API (default: /etc/kubernetes/pki/ca.crt, else
        /// the kubeconfig's CA)
        #[argh(option, arg_name = "path")]
        client_ca_file: Option<PathBuf>,
        /// the port where anybody may read the kubelet's API, 10255 by tradition (default: 0, none)
        #[argh(option, arg_name = "port", default = "0")]
        read_only_port: u16,
        /// where the kubelet tells its health, on the loopback (default: 10248)
        #[argh(option, arg_name = "port")]
        healthz_port: Option<u16>,
        /// start although the host swaps
        #[argh(switch)]
        allow_swap: bool,
        /// start on control groups version 1, where the kubelet is 1.35 or later
        #[argh(switch)]
        allow_cgroup_v1: bool,
        /// look only: a table of what the kubelet will find here; exit 3 if it cannot run
        #[argh(switch)]
        check: bool,
        /// mend what can be mended safely: kernel settings and modules, the manifests directory
        #[argh(switch)]
        fix: bool,
        /// start in spite of what that check finds, or all; repeatable
        #[argh(option, arg_name = "check")]
        ignore: Vec<String>,
        /// stay, and keep the kubelet running, on a host with no service manager; TERM or INT ends both
        #[argh(switch)]
        supervise: bool,
        /// with --supervise: how long the kubelet may take to end before it is killed (default: 30s)
        #[argh(option, arg_name = "duration")]
        stop_timeout: Option<Timeout>,
        /// how many files the kubelet may open (RLIMIT_NOFILE, soft and hard)
        #[argh(option, arg_name = "n", from_str_fn(process::parse_nofile))]
        nofile: Option<u64>,
        /// its oom_score_adj, -1000 to 1000
        #[argh(option, arg_name = "n", from_str_fn(process::parse_oom_score_adj))]
        oom_score_adj: Option<i32>,
        /// its nice value, -20 to 19
        #[argh(option, arg_name = "n", from_str_fn(process::parse_nice))]
        nice: Option<i32>,
        /// a variable that the kubelet gets besides PATH, HOME, proxies and their like, as it is
        /// here or with that value; repeatable
        #[argh(option, arg_name = "name[=value]")]
        env: Vec<Variable>,
    }
}

impl Args {
    fn listen(&self) -> IpAddr {
        self.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    fn kubelet(&self) -> &str {
        self.kubelet.as_deref().unwrap_or("kubelet")
    }

    fn ignores(&self, check: &str) -> bool {
        self.ignore.iter().any(|i| i == check || i == "all")
    }
}

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let args = input::settle(words.parse()?)?;
    let common = args.common();
    let looks_only = args.check || common.dry_run;
    if common.json && !looks_only {
        return Err(Error::usage("--json goes with --check or --dry-run: kboot becomes the kubelet"));
    }
    let mut process = Process::of(&args, words, report)?;
    // Whoever asks how things are wants to hear it now.
    let patience = if args.check && !words.is_typed("--timeout") { Timeout::Once } else { common.timeout };
    let deadline = Deadline::start(patience);
    lease::check(&args.lease_options())?;
    let program = args.kubelet().to_owned();
    input::manifests(&args)?;
    let server = server::resolve(&input::server_options(&args, words))?;
    if !looks_only {
        exec::find(&program)?;
    }
    let version = version::find(args.kubelet_version, &program, looks_only, &deadline, report)?;
    let extra = words.rest.clone().unwrap_or_default();
    let extra = Extra::read(&extra, version).map_err(Error::usage)?;
    process.watch(&extra, args.healthz_port)?;
    let mut scene = scene(args, extra, version, server)?;
    let files = launch::validate(&scene)?;
    (scene.lease, scene.name) = lease_and_name(&scene.args, &scene.server, &deadline)?;
    if !looks_only {
        scene.wait(&deadline)?;
    }
    look_and_launch(&scene, Kubelet { program, files, process }, &deadline, report)
}

fn scene(args: Args, extra: Extra, version: Version, server: Server) -> Result<Scene> {
    let docker = runtime::docker_url(&extra, version)?;
    Ok(Scene {
        runtime: runtime::choose(args.runtime.as_ref(), &docker, version)?,
        docker,
        bridge: args.bridge.clone().map_or_else(|| "cbr0".parse().map_err(Error::failed), Ok)?,
        manifests: input::manifests(&args)?,
        extra,
        args,
        version,
        server,
        name: None,
        lease: Vec::new(),
    })
}

fn look_and_launch(scene: &Scene, kubelet: Kubelet, deadline: &Deadline, report: &mut Report) -> Result<()> {
    let mut look = preflight::look(scene)?;
    if scene.args.fix {
        look = preflight::mend(scene, look, deadline, report)?;
    }
    let told = preflight::tell(&look.findings, scene.args.check, report);
    if scene.args.check {
        told?;
        report.summary(format_args!("kubelet {} can start here", scene.version));
        return Ok(());
    }
    if !report.dry_run {
        told?;
    }
    launch::launch(scene, kubelet, &look, report)
}

/// The Node's name may come from the lease: then a launch waits for that. A check does not wait.
fn lease_and_name(
    args: &Args,
    server: &Server,
    deadline: &Deadline,
) -> Result<(Vec<Cidr>, Option<NodeName>)> {
    let known = node_name::known(args.name.as_ref(), &server.tls)?;
    let lease = match lease::now(&args.lease_options())? {
        None if known.is_none() && !args.check => Some(lease::resolve(&args.lease_options(), deadline)?),
        now => now,
    };
    let name = match (known, &lease) {
        (None, Some(lease)) => Some(node_name::resolve(None, &server.tls, lease)?),
        (known, _) => known,
    };
    Ok((lease.iter().flat_map(Lease::subnets).collect(), name))
}

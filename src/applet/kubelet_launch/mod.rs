//! `kubelet-launch`: the kubelet with the flags that its version takes.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::cli::Words;
use super::options::applet_args;
use super::report::{Report, Step};
use super::server::Server;
use super::{Applet, info_of, lease, node_name, server};
use crate::error::{Error, Result};
use crate::plan::kubelet::{self, Api, Runtime, Version, Wanted};
use crate::plan::shell;
use crate::sys::wait::Deadline;
use crate::sys::{exec, log, run_dir};
use crate::types::{NodeName, Scheme};

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "kubelet-launch",
    summary: "become the kubelet, with the flags that its version takes",
    examples: &[
        "kubelet-launch --server http://10.0.0.1:8080",
        "kubelet-launch --kubeconfig /etc/kubernetes/kubelet.conf -- --v=2",
        "kubelet-launch --kubelet-version 1.1 --server 10.0.0.1:8080 --dry-run",
    ],
    rest: Some("KUBELET-FLAGS"),
    info: info_of::<Args>,
    run,
};

applet_args! {
    /// asks the kubelet for its version, composes the command line that means the same in every
    /// version from 1.0 on, and becomes the kubelet. What follows -- is handed on as it is.
    struct Args [lease server] {
        /// the kubelet (default: kubelet, from PATH)
        #[argh(option, arg_name = "path")]
        kubelet: Option<String>,
        /// its version, instead of asking it
        #[argh(option, arg_name = "v")]
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
        /// have the kubelet make its own Node (default: kboot register does)
        #[argh(switch)]
        register_node: bool,
        /// the cluster's DNS server
        #[argh(option, arg_name = "ip")]
        cluster_dns: Option<IpAddr>,
        /// the cluster's domain
        #[argh(option, arg_name = "domain")]
        cluster_domain: Option<String>,
        /// the image that holds a pod's namespaces, where the default cannot be pulled
        #[argh(option, arg_name = "image")]
        pause_image: Option<String>,
        /// docker, or a CRI socket such as unix:///run/containerd/containerd.sock
        /// (default: docker up to kubelet 1.23, then containerd's socket)
        #[argh(option, arg_name = "runtime")]
        runtime: Option<Runtime>,
    }
}

/// How long `kubelet --version` may take: 0.1 s on a healthy host, more from a cold disk.
const VERSION_WITHIN: Duration = Duration::from_secs(30);
/// Where the kubeconfig stands that names the server and nothing else.
const BARE_KUBECONFIG: &str = "kubelet.kubeconfig";
/// The kubelet's settings, from 1.10 on.
const CONFIG: &str = "/run/kboot/kubelet.yaml";

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let args: Args = words.parse()?;
    let common = args.common();
    if common.json && !common.dry_run {
        return Err(Error::usage("--json goes with --dry-run only: kboot becomes the kubelet"));
    }
    let deadline = Deadline::start(common.timeout);
    lease::check(&args.lease_options())?;
    let program = args.kubelet.clone().unwrap_or_else(|| "kubelet".into());
    let manifests = manifests(&args)?;
    let server = server::resolve(&args.server_options(words))?;
    if !common.dry_run {
        exec::find(&program)?;
    }
    let version = version(&args, &program, &deadline, report)?;
    let bare = bare_kubeconfig(&server, version)?;
    let name = match node_name::known(args.name.as_ref(), &server.tls)? {
        Some(name) => name,
        None => node_name::resolve(None, &server.tls, &lease::resolve(&args.lease_options(), &deadline)?)?,
    };
    let extra: Vec<String> = words.rest.iter().flatten().cloned().collect();
    let wanted = wanted(&args, &server, name, manifests, bare.as_ref());
    let flags = kubelet::compose(&wanted, version, &extra, CONFIG).map_err(Error::usage)?.flags;
    let missing = bare.filter(|b| run_dir::read(BARE_KUBECONFIG).as_deref() != Some(&b.text));
    report.carry_out(missing.as_slice(), |step| run_dir::write(BARE_KUBECONFIG, &step.text))?;
    let step = Launch { program, flags };
    report.plan(&step)?;
    if common.dry_run {
        return Ok(());
    }
    log::info!("{step}");
    Err(exec::exec(&step.program, &step.flags, std::iter::empty(), &[]))
}

fn wanted(args: &Args, server: &Server, name: NodeName, manifests: String, bare: Option<&Write>) -> Wanted {
    let given = server.kubeconfig.as_ref().map(|p| p.display().to_string());
    Wanted {
        name,
        server: server.url.clone(),
        kubeconfig: given.or_else(|| bare.map(|b| b.path.clone())),
        manifests,
        address: args.address.unwrap_or(IpAddr::from([0, 0, 0, 0])),
        register_node: args.register_node,
        cluster_dns: args.cluster_dns.into_iter().collect(),
        cluster_domain: args.cluster_domain.clone(),
        pause_image: args.pause_image.clone(),
        runtime: args.runtime.clone(),
        cgroup_driver: None,
        resolv_conf: None,
        node_ip: Vec::new(),
        allow_swap: false,
        allow_cgroup_v1: false,
        read_only_port: 0,
        healthz_port: None,
        api: Api::Open,
    }
}

fn manifests(args: &Args) -> Result<String> {
    let path = args.manifests.as_deref().unwrap_or(Path::new("/etc/kubernetes/manifests"));
    if path.exists() && !path.is_dir() {
        return Err(Error::usage(format!("--manifests {}: is not a directory", path.display())));
    }
    let text = path.to_str().ok_or_else(|| Error::usage("--manifests: is not UTF-8"))?;
    Ok(text.to_owned())
}

fn version(args: &Args, program: &str, deadline: &Deadline, report: &mut Report) -> Result<Version> {
    let version = args.kubelet_version.map_or_else(|| ask(program, deadline), Ok)?;
    report.found("kubeletVersion", json!(format!("1.{}", version.minor)));
    if version > kubelet::NEWEST_KNOWN {
        report.warn(format!(
            "kubelet 1.{} is newer than kboot knows: its flags are taken for those of 1.{}",
            version.minor,
            kubelet::NEWEST_KNOWN.minor
        ));
    }
    Ok(version)
}

fn ask(program: &str, deadline: &Deadline) -> Result<Version> {
    let path = exec::find(program)?;
    let output = exec::ask(&path, &["--version"], deadline.attempt(VERSION_WITHIN));
    // Its own time-out is not the run's: only then would another run help.
    let output = output.map_err(|e| if deadline.passed() { e } else { Error::failed(e.to_string()) })?;
    let line = output.stdout.lines().next().unwrap_or_default();
    match (output.status, line.parse()) {
        (Some(0), Ok(version)) => {
            log::debug!("{} is {line}", path.display());
            Ok(version)
        }
        _ => {
            Err(Error::failed(format!("{} --version says {line:?}: give --kubelet-version", path.display())))
        }
    }
}

/// A kubelet from 1.8 on that was given a server only gets a kubeconfig that says just that; without
/// credentials it is good for plain HTTP.
fn bare_kubeconfig(server: &Server, version: Version) -> Result<Option<Write>> {
    let (url, minor) = (&server.url, version.minor);
    if url.scheme() == Scheme::Unix {
        return Err(Error::usage(format!("{url}: a kubelet reaches its server by http or https only")));
    }
    let differs = server.kubeconfig_url.as_ref().filter(|other| *other != url);
    if let Some(other) = differs.filter(|_| kubelet::goes_by_kubeconfig(version)) {
        let source = &server.source;
        return Err(Error::usage(format!(
            "{source} {url}: the kubeconfig has {other}, and kubelet 1.{minor} goes by that"
        )));
    }
    if server.kubeconfig.is_some() || !kubelet::needs_kubeconfig(version) {
        return Ok(None);
    }
    if url.scheme() != Scheme::Http {
        return Err(Error::usage(format!(
            "{url}: kubelet 1.{minor} needs --kubeconfig with its credentials"
        )));
    }
    let path = format!("{}/{BARE_KUBECONFIG}", run_dir::RUN_DIR);
    Ok(Some(Write { path, server: url.to_string(), text: kubelet::bare_kubeconfig(url) }))
}

struct Write {
    path: String,
    server: String,
    text: String,
}

impl std::fmt::Display for Write {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "kubectl config --kubeconfig={} set-cluster kboot --server={}", self.path, self.server)
    }
}

impl Step for Write {
    fn kind(&self) -> &'static str {
        "file"
    }
}

/// The exec.
struct Launch {
    program: String,
    flags: Vec<String>,
}

impl std::fmt::Display for Launch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&shell::join(
            [self.program.as_str()].into_iter().chain(self.flags.iter().map(String::as_str)),
        ))
    }
}

impl Step for Launch {
    fn kind(&self) -> &'static str {
        "exec"
    }
}

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
use crate::client::kube::Credentials;
use crate::error::{Error, Result};
use crate::plan::kubelet::{self, Runtime, Version, Wanted};
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

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let args: Args = words.parse()?;
    let common = args.common();
    if common.json && !common.dry_run {
        return Err(Error::usage("--json goes with --dry-run only: kboot becomes the kubelet"));
    }
    let deadline = Deadline::start(common.timeout);
    lease::at_hand(&args.lease_options())?;
    let program = args.kubelet.clone().unwrap_or_else(|| "kubelet".into());
    let manifests = manifests(&args)?;
    let server = server::resolve(&args.server_options())?;
    let version = version(&args, &program, &deadline)?;
    report.found("kubeletVersion", json!(format!("1.{}", version.minor)));

    let name = match node_name::known(args.name.as_ref(), &server.tls)? {
        Some(name) => name,
        None => node_name::resolve(None, &server.tls, &lease::resolve(&args.lease_options(), &deadline)?)?,
    };
    let kubeconfig = kubeconfig(&server, version, report)?;
    let wanted = Wanted {
        name,
        server: server.url,
        kubeconfig,
        manifests,
        address: args.address.unwrap_or(IpAddr::from([0, 0, 0, 0])),
        register_node: args.register_node,
        cluster_dns: args.cluster_dns,
        cluster_domain: args.cluster_domain.clone(),
        pause_image: args.pause_image.clone(),
        runtime: args.runtime.clone(),
    };
    let mut flags = kubelet::compose(&wanted, version).map_err(Error::usage)?;
    flags.extend(words.rest.iter().flatten().cloned());
    let step = Launch { program, flags };
    report.plan(&step)?;
    if common.dry_run {
        return Ok(());
    }
    log::info!("{step}");
    Err(exec::exec(&step.program, &step.flags, &[]))
}

fn manifests(args: &Args) -> Result<String> {
    let path = args.manifests.as_deref().unwrap_or(Path::new("/etc/kubernetes/manifests"));
    if path.exists() && !path.is_dir() {
        return Err(Error::usage(format!("--manifests {}: is not a directory", path.display())));
    }
    let text = path.to_str().ok_or_else(|| Error::usage("--manifests: is not UTF-8"))?;
    Ok(text.to_owned())
}

fn version(args: &Args, program: &str, deadline: &Deadline) -> Result<Version> {
    if let Some(version) = args.kubelet_version {
        return Ok(version);
    }
    let path = exec::find(program)?;
    let output = exec::ask(&path, &["--version"], deadline.attempt(VERSION_WITHIN))?;
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

/// The kubeconfig to hand on. A kubelet from 1.8 on that was given a server only gets one that says
/// just that; without credentials it is good for plain HTTP.
fn kubeconfig(server: &Server, version: Version, report: &mut Report) -> Result<Option<String>> {
    if let Some(path) = &server.kubeconfig {
        return Ok(Some(path.display().to_string()));
    }
    if !kubelet::needs_kubeconfig(version) {
        return Ok(None);
    }
    if server.url.scheme() != Scheme::Http || matches!(server.credentials, Credentials::Header(_)) {
        return Err(Error::usage(format!(
            "{}: kubelet 1.{} needs --kubeconfig with its credentials",
            server.url, version.minor
        )));
    }
    let path = format!("{}/{BARE_KUBECONFIG}", run_dir::RUN_DIR);
    let text = kubelet::bare_kubeconfig(&server.url);
    let is_there = run_dir::read(BARE_KUBECONFIG).as_deref() == Some(&text);
    let steps = if is_there {
        Vec::new()
    } else {
        vec![Write { path: path.clone(), server: server.url.to_string() }]
    };
    report.carry_out(&steps, |_| run_dir::write(BARE_KUBECONFIG, &text))?;
    Ok(Some(path))
}

struct Write {
    path: String,
    server: String,
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

//! The kubelet's command line, for the version that is there: an unknown flag ends the kubelet.

pub mod environment;
pub mod healthz;
mod value;
mod version;

pub use value::flag_value;
pub use version::{CgroupDriver, NEWEST_KNOWN, Runtime, Version};

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::types::{NodeName, Scheme, Url};

/// What the kubelet is to do, whatever its version.
pub struct Wanted {
    /// `--hostname-override`.
    pub name: NodeName,
    /// The API server.
    pub server: Url,
    /// A kubeconfig with server and credentials.
    pub kubeconfig: Option<String>,
    /// The directory of static pods.
    pub manifests: String,
    /// Where its API listens.
    pub address: IpAddr,
    /// Whether it makes its own Node.
    pub register_node: bool,
    /// The cluster's DNS servers, in order.
    pub cluster_dns: Vec<IpAddr>,
    /// The cluster's domain.
    pub cluster_domain: Option<String>,
    /// The image that holds a pod's namespaces.
    pub pause_image: Option<String>,
    /// docker or a CRI socket; `None`: what that version's users have.
    pub runtime: Option<Runtime>,
    /// Who makes the pods' cgroups; `None`: the kubelet's default, or what its runtime says.
    pub cgroup_driver: Option<CgroupDriver>,
    /// The resolv.conf that pods get.
    pub resolv_conf: Option<String>,
    /// The Node's addresses: one, or one of each family.
    pub node_ip: Vec<IpAddr>,
    /// Start although the host swaps (refused by default since 1.8).
    pub allow_swap: bool,
    /// Start on a host with cgroup v1 (refused by default since 1.35).
    pub allow_cgroup_v1: bool,
    /// The port of the API that asks for no credentials; 0 is none. 1.0 opened 10255 by default.
    pub read_only_port: u16,
    /// The port of /healthz on the loopback; `None`: the default, 10248.
    pub healthz_port: Option<u16>,
    /// Who may use its API on port 10250.
    pub api: Api,
}

/// Who may use the kubelet's API: it runs commands in any container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Api {
    /// Whom the API server knows (TokenReview, SubjectAccessReview), and clients with a certificate
    /// of that CA.
    Authenticated {
        /// A PEM file.
        client_ca: Option<String>,
    },
    /// Anybody who reaches its port.
    Open,
}

/// How that version is told what is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Composed {
    /// What follows the program's name, the user's own flags at the end.
    pub flags: Vec<String>,
    /// The KubeletConfiguration (v1beta1) that belongs into the file of `--config`; from 1.10 on.
    pub config: Option<Value>,
    /// One line each: what that version cannot do, and what was left out.
    pub notes: Vec<String>,
}

/// The range of minor versions whose flags agree best with a `kubelet --help`.
pub fn versions_by_help(_help: &str) -> Option<(Version, Version)> {
    None
}

/// containerd's socket: what a kubelet without docker is most often run with.
const CONTAINERD: &str = "unix:///run/containerd/containerd.sock";

/// The flags behind the program's name and the file for `config_path`, of what that version knows.
/// `extra` are the user's own flags. Errors are one line, for bad input.
pub fn compose(
    wanted: &Wanted,
    version: Version,
    extra: &[String],
    config_path: &str,
) -> Result<Composed, String> {
    let minor = version.minor;
    let mut flags = Vec::new();
    let config = (minor >= 10).then(|| {
        flags.push(format!("--config={config_path}"));
        json!({
            "kind": "KubeletConfiguration",
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "staticPodPath": wanted.manifests,
            "address": wanted.address.to_string(),
        })
    });
    if config.is_none() {
        // --config was the manifests' directory until 1.3 and is a file of settings since 1.10.
        let manifests = if minor <= 3 { "--config" } else { "--pod-manifest-path" };
        flags.push(format!("{manifests}={}", wanted.manifests));
        flags.push(format!("--address={}", wanted.address));
    }
    if minor <= 4 {
        flags.push("--configure-cbr0=false".into());
    }
    flags.push(format!("--register-node={}", wanted.register_node));
    server_flags(wanted, minor, &mut flags)?;
    flags.push(format!("--hostname-override={}", wanted.name));
    runtime_flags(wanted, minor, &mut flags)?;
    flags.extend(extra.iter().cloned());
    Ok(Composed { flags, config, notes: Vec::new() })
}

/// Whether the server in a kubeconfig counts for that version: until 1.3 --api-servers wins.
pub fn goes_by_kubeconfig(version: Version) -> bool {
    version.minor >= 4
}

/// Whether that version reads the server from a kubeconfig only.
pub fn needs_kubeconfig(version: Version) -> bool {
    version.minor >= 8
}

fn server_flags(wanted: &Wanted, minor: u32, flags: &mut Vec<String>) -> Result<(), String> {
    // --api-servers: gone in 1.8; until 1.3 it wins over the kubeconfig's server.
    if minor <= 3 || (minor <= 7 && wanted.kubeconfig.is_none()) {
        let url = wanted.server.to_string();
        let server = if wanted.server.scheme() == Scheme::Http {
            url.trim_start_matches("http://").to_owned()
        } else {
            url
        };
        flags.push(format!("--api-servers={server}"));
    }
    match &wanted.kubeconfig {
        Some(path) => flags.push(format!("--kubeconfig={path}")),
        None if minor >= 8 => return Err("this kubelet takes the server from a kubeconfig only".into()),
        None => {}
    }
    // 1.4 to 1.7 use the kubeconfig's server only when told to insist on the file.
    if (4..=7).contains(&minor) && wanted.kubeconfig.is_some() {
        flags.push("--require-kubeconfig".into());
    }
    Ok(())
}

fn runtime_flags(wanted: &Wanted, minor: u32, flags: &mut Vec<String>) -> Result<(), String> {
    let default = if minor >= 24 { Runtime::Endpoint(CONTAINERD.into()) } else { Runtime::Docker };
    match wanted.runtime.as_ref().unwrap_or(&default) {
        Runtime::Docker if minor >= 24 => Err(format!(
            "--runtime docker: kubelet 1.{minor} has no docker client (gone in 1.24): give a CRI socket"
        )),
        Runtime::Docker => Ok(()),
        Runtime::Endpoint(_) if minor < 5 => {
            Err(format!("--runtime: kubelet 1.{minor} knows docker only (CRI came in 1.5)"))
        }
        Runtime::Endpoint(socket) => {
            if minor <= 23 {
                flags.push("--container-runtime=remote".into());
            }
            flags.push(format!("--container-runtime-endpoint={socket}"));
            Ok(())
        }
    }
}

/// A kubeconfig that names a server and nothing else: for an API server without authentication.
pub fn bare_kubeconfig(server: &Url) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: kboot\n  cluster:\n    server: {server}\n\
         contexts:\n- name: kboot\n  context:\n    cluster: kboot\n    user: \"\"\ncurrent-context: kboot\n"
    )
}

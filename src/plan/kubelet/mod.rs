//! The kubelet's command line and file of settings, for the version that is there: the meaning asked for is
//! the same in every version from 1.0 on, and none sees a flag or a field that it does not know.

pub mod environment;
mod extra;
pub mod healthz;
mod help;
mod line;
pub mod table;
#[cfg(test)]
mod tests;
mod version;

pub use extra::Extra;
pub use help::versions_by_help;
pub use version::{CgroupDriver, NEWEST_KNOWN, Runtime, Version};

use std::net::IpAddr;

use serde_json::Value;

use crate::types::{NodeName, Url};
use line::Line;

/// What the kubelet is to do, whatever its version.
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
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
    /// docker or a CRI socket: one that this version has a client for.
    pub runtime: Runtime,
    /// Who makes the pods' cgroups; `None`: the kubelet's default, or what its runtime says.
    pub cgroup_driver: Option<CgroupDriver>,
    /// The resolv.conf that pods get.
    pub resolv_conf: Option<String>,
    /// Whether the operator gave that file: only then its having no effect is worth a note.
    pub resolv_conf_is_given: bool,
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
    /// Whether it renews its client certificate, into its --cert-dir and by the API server's CSRs (it does
    /// not by default; since 1.8).
    pub rotate_certificates: bool,
    /// Its `oom_score_adj`: it sets -999 itself, whatever it was started with; `None`: that.
    pub oom_score_adj: Option<i32>,
    /// How many files it may open: it sets 1000000 itself; `None`: that.
    pub max_open_files: Option<u64>,
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

/// The flags behind the program's name, and from 1.10 on the object for the file at `config_path`. `extra`
/// are the operator's own flags, read for the same version: they win over kboot's. An error is one line, for bad input.
pub fn compose(
    wanted: &Wanted,
    version: Version,
    extra: &Extra,
    config_path: &str,
) -> Result<Composed, String> {
    let column = version.column();
    let mut line = Line::start(version, extra.clone(), config_path);
    // Until 1.3 --config is the directory of manifests; 1.4 and 1.5 know both names.
    if column <= 3 {
        line.set("config", wanted.manifests.as_str());
    } else if column > 5 || !line.is_given("config") {
        line.set("pod-manifest-path", wanted.manifests.as_str());
    }
    line.set("configure-cbr0", false);
    line.set("register-node", wanted.register_node);
    server(&mut line, wanted, version)?;
    line.set("address", wanted.address.to_string());
    line.set("hostname-override", wanted.name.as_str());
    cluster(&mut line, wanted, column);
    runtime(&mut line, wanted, column);
    host(&mut line, wanted, column);
    api(&mut line, wanted, version);
    itself(&mut line, wanted);
    Ok(line.finish())
}

/// Whether the server in a kubeconfig counts for that version: until 1.3 --api-servers wins.
pub fn goes_by_kubeconfig(version: Version) -> bool {
    version.minor >= 4
}

/// Whether that version reads the server from a kubeconfig only.
pub fn needs_kubeconfig(version: Version) -> bool {
    version.minor >= 8
}

fn server(line: &mut Line, wanted: &Wanted, version: Version) -> Result<(), String> {
    let column = version.column();
    // Until 1.3 it wins over the kubeconfig's server.
    if column <= 3 || (!needs_kubeconfig(version) && wanted.kubeconfig.is_none()) {
        let url = wanted.server.to_string();
        line.set("api-servers", url.strip_prefix("http://").unwrap_or(&url));
    }
    let Some(path) = &wanted.kubeconfig else {
        let must = needs_kubeconfig(version);
        return if must {
            Err("this kubelet takes the server from a kubeconfig only".into())
        } else {
            Ok(())
        };
    };
    line.set("kubeconfig", path.as_str());
    // 1.4 to 1.7 use the kubeconfig's server only when told to insist on the file.
    if (4..=7).contains(&column) {
        line.set("require-kubeconfig", true);
    }
    Ok(())
}

fn cluster(line: &mut Line, wanted: &Wanted, column: u8) {
    let mut servers: Vec<String> = wanted.cluster_dns.iter().map(IpAddr::to_string).collect();
    // One address until 1.5, a list since 1.6 (options.go).
    if column <= 5 && servers.len() > 1 {
        servers.truncate(1);
        line.note(format!("--cluster-dns: kubelet 1.{column} takes one server, {} is it", servers[0]));
    }
    if !servers.is_empty() {
        line.set("cluster-dns", servers);
    }
    if let Some(domain) = &wanted.cluster_domain {
        line.set("cluster-domain", domain.as_str());
    }
    if let Some(image) = &wanted.pause_image {
        pause_image(line, image, &wanted.runtime);
    }
}

/// A CRI runtime makes the pods' sandboxes by itself; the kubelet then only keeps that image from being
/// collected.
fn pause_image(line: &mut Line, image: &str, runtime: &Runtime) {
    let name = "pod-infra-container-image";
    match runtime {
        Runtime::Docker => line.set_option("--pause-image", name, image),
        Runtime::Endpoint(_) => {
            line.set(name, image);
            line.note(
                "--pause-image has no effect on a CRI runtime: the runtime's own sandbox image counts \
                 (containerd's sandbox_image, CRI-O's pause_image)"
                    .into(),
            );
        }
    }
}

fn runtime(line: &mut Line, wanted: &Wanted, column: u8) {
    let Runtime::Endpoint(socket) = &wanted.runtime else { return };
    // Only 1.5 has it off: it then dials dockershim's own socket.
    line.set("experimental-cri", true);
    if column <= 23 {
        line.set("container-runtime", "remote");
    }
    // URLs are understood since 1.7 (pull request 46089), paths until then.
    let path = socket.strip_prefix("unix://").filter(|_| column < 7);
    line.set("container-runtime-endpoint", path.unwrap_or(socket));
}

fn host(line: &mut Line, wanted: &Wanted, column: u8) {
    if let Some(driver) = wanted.cgroup_driver
        && !line.set("cgroup-driver", driver.to_string())
        && driver != CgroupDriver::Cgroupfs
    {
        line.note(format!("the runtime uses {driver}; kubelet 1.{column} knows cgroupfs only"));
    }
    match &wanted.resolv_conf {
        Some(path) if wanted.resolv_conf_is_given => {
            line.set_option("--resolv-conf", "resolv-conf", path.as_str());
        }
        Some(path) => _ = line.set("resolv-conf", path.as_str()),
        None => {}
    }
    let mut addresses: Vec<String> = wanted.node_ip.iter().map(IpAddr::to_string).collect();
    // 1.20.2 ends over two: "not supported in a single-stack cluster". The gate is on since 1.21.
    if (2..21).contains(&column) && addresses.len() > 1 {
        addresses.truncate(1);
        line.note(format!("--node-ip: kubelet 1.{column} takes one address, {} is it", addresses[0]));
    }
    if !addresses.is_empty() {
        line.set_option("--node-ip", "node-ip", addresses);
    }
    // Before 1.8 swap is allowed, before 1.31 cgroup v1 is.
    if wanted.allow_swap {
        line.set("fail-swap-on", false);
    }
    if wanted.allow_cgroup_v1 {
        line.set("fail-cgroupv1", false);
    }
    if let Some(port) = wanted.healthz_port {
        line.set("healthz-port", port);
    }
}

/// Says everything: by flags alone the kubelet lets everybody in, with a file nobody it does not know.
fn api(line: &mut Line, wanted: &Wanted, version: Version) {
    line.set("read-only-port", wanted.read_only_port);
    // cAdvisor's own is open to all on 4194 by default up to 1.10.
    line.set("cadvisor-port", 0);
    let known_only = matches!(wanted.api, Api::Authenticated { .. });
    if version.column() < 5 {
        if known_only {
            line.note(format!(
                "kubelet {version} asks nobody who they are (it came in 1.5): its API is open to whoever \
                 reaches port 10250"
            ));
        }
        return;
    }
    line.set("anonymous-auth", !known_only);
    line.set("authentication-token-webhook", known_only);
    line.set("authorization-mode", if known_only { "Webhook" } else { "AlwaysAllow" });
    if let Api::Authenticated { client_ca: Some(path) } = &wanted.api {
        line.set("client-ca-file", path.as_str());
    }
}

/// The kubelet's own process and identity, and which pods it takes.
fn itself(line: &mut Line, wanted: &Wanted) {
    // Later ones leave privileged pods to the API server; up to 1.9 this kept them out by default.
    line.set("allow-privileged", true);
    if wanted.rotate_certificates {
        line.set("rotate-certificates", true);
    }
    if let Some(score) = wanted.oom_score_adj {
        line.set("oom-score-adj", score);
    }
    if let Some(files) = wanted.max_open_files {
        line.set("max-open-files", files);
    }
}

/// A kubeconfig that names a server and nothing else: for an API server without authentication.
pub fn bare_kubeconfig(server: &Url) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: kboot\n  cluster:\n    server: {server}\n\
         contexts:\n- name: kboot\n  context:\n    cluster: kboot\n    user: \"\"\ncurrent-context: kboot\n"
    )
}

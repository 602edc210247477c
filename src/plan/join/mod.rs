//! How a host with a bootstrap token comes to the kubelet's own credentials: what is there, what is
//! missing, and the kubeconfig that ties it together.

use std::fmt;

use super::shell::quote;
use crate::types::{NodeName, Url};

/// The kubelet's kubeconfig as it was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Config {
    /// None there.
    Absent,
    /// It names this server and the certificate that kboot keeps.
    Ours,
    /// The same, but it trusts another CA: the cluster was made anew.
    Outdated,
    /// It names something else.
    Foreign,
}

/// What was found.
pub struct Seen {
    /// The kubeconfig.
    pub config: Config,
    /// Why the certificate that the kubeconfig names is not good for this node; `None` when it is.
    pub flaw: Option<String>,
    /// A key that an earlier run made.
    pub has_key: bool,
    /// A certificate of that very key is kept already, and is good.
    pub has_certificate: bool,
}

/// Where things are kept.
pub struct Paths {
    /// The key until it has a certificate.
    pub key: String,
    /// Certificate and key in one file.
    pub pair: String,
    /// The kubeconfig.
    pub kubeconfig: String,
}

/// One step.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Make a key and write it to that path.
    Key(String),
    /// Ask for a certificate of this node.
    Request(NodeName),
    /// Keep certificate and key in that path.
    Keep(String),
    /// Keep a copy of somebody else's kubeconfig: it may hold the only one of a key.
    Aside(String),
    /// Write the kubeconfig to that path, for that server and with that file of certificate and key.
    Kubeconfig(String, Url, String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Key(path) => {
                write!(f, "openssl ecparam -name prime256v1 -genkey -noout -out {}", quote(path))
            }
            Step::Request(name) => {
                write!(f, "kubectl create -f - # CertificateSigningRequest for {}", user(name))
            }
            Step::Keep(path) => write!(f, "cat certificate key > {}", quote(path)),
            Step::Aside(path) => write!(f, "install -m 600 {} {}", quote(path), quote(&aside(path))),
            Step::Kubeconfig(path, server, pair) => write!(
                f,
                "kubectl config --kubeconfig={} set-cluster default-cluster --server={server} # {}",
                quote(path),
                quote(pair)
            ),
        }
    }
}

/// Where the copy of a kubeconfig is kept: of the last that was replaced.
pub fn aside(kubeconfig: &str) -> String {
    format!("{kubeconfig}.kboot-old")
}

/// The group that the node authorizer wants.
pub const GROUP: &str = "system:nodes";

/// The user that the node authorizer knows as this node.
pub fn user(name: &NodeName) -> String {
    format!("system:node:{name}")
}

/// What is to be done; nothing when the kubeconfig is good as it is. One that is not kboot's is left
/// alone unless `replace` says otherwise.
pub fn plan(
    seen: &Seen,
    paths: &Paths,
    name: &NodeName,
    server: &Url,
    replace: bool,
) -> Result<Vec<Step>, String> {
    let Some(flaw) = &seen.flaw else { return Ok(Vec::new()) };
    if seen.config == Config::Foreign && !replace {
        return Err(format!("{}: {flaw}: --replace joins anew and writes another", paths.kubeconfig));
    }
    let mut steps = Vec::new();
    if !seen.has_certificate {
        if !seen.has_key {
            steps.push(Step::Key(paths.key.clone()));
        }
        steps.push(Step::Request(name.clone()));
        steps.push(Step::Keep(paths.pair.clone()));
    }
    if seen.config == Config::Foreign {
        steps.push(Step::Aside(paths.kubeconfig.clone()));
    }
    if seen.config != Config::Ours || replace {
        steps.push(Step::Kubeconfig(paths.kubeconfig.clone(), server.clone(), paths.pair.clone()));
    }
    Ok(steps)
}

/// What a kubeconfig says of its cluster.
pub struct Cluster<'c> {
    /// The server.
    pub server: &'c Url,
    /// Its CA: PEM, in base64; the system's when absent.
    pub ca: Option<String>,
    /// The name in its certificate, where it is not the URL's.
    pub tls_server_name: Option<&'c str>,
    /// The proxy on the way.
    pub proxy: Option<&'c str>,
}

/// The kubelet's kubeconfig, with the names that the kubelet itself gives after a bootstrap.
pub fn kubeconfig(cluster: &Cluster<'_>, pair: &str) -> String {
    // A JSON string is a YAML one.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let server = cluster.server.to_string();
    let of_cluster = [
        ("server", Some(server.as_str())),
        ("certificate-authority-data", cluster.ca.as_deref()),
        ("tls-server-name", cluster.tls_server_name),
        ("proxy-url", cluster.proxy),
    ];
    let of_cluster = of_cluster.iter().filter_map(|(key, value)| Some((key, quoted((*value)?))));
    let of_cluster: Vec<String> = of_cluster.map(|(key, value)| format!("    {key}: {value}\n")).collect();
    let (of_cluster, pair) = (of_cluster.concat(), quoted(pair));
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: default-cluster\n  cluster:\n{of_cluster}\
         users:\n- name: default-auth\n  user:\n    client-certificate: {pair}\n    client-key: {pair}\n\
         contexts:\n- name: default-context\n  context:\n    cluster: default-cluster\n    \
         namespace: default\n    user: default-auth\ncurrent-context: default-context\n"
    )
}

#[cfg(test)]
mod tests;

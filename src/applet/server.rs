//! Which API server, and with which credentials. One order for register and kubelet-launch.

use std::path::{Path, PathBuf};

use super::options::ServerOptions;
use crate::client::kube::Credentials;
use crate::client::kubeconfig::{self, Kubeconfig};
use crate::error::{Error, Result};
use crate::sys::http::{Client, Tls};
use crate::sys::log;
use crate::types::Url;

/// Where kubeadm, and register, leave a node's own kubeconfig.
pub const KUBELETS_OWN: &str = "/etc/kubernetes/kubelet.conf";
/// That, and where kubeadm leaves a control plane's.
const WELL_KNOWN: [&str; 2] = [KUBELETS_OWN, "/etc/kubernetes/admin.conf"];
/// The insecure port of the years when the cluster's first node asked itself.
const LAST_RESORT: &str = "http://127.0.0.1:8080";
const DEFAULT: &str = "default";

/// The server that was chosen.
pub struct Server {
    /// Its URL.
    pub url: Url,
    /// Which of the sources it came from.
    pub source: String,
    /// The kubeconfig it came from, if any.
    pub kubeconfig: Option<PathBuf>,
    /// The server in it, where `--server` names another.
    pub kubeconfig_url: Option<Url>,
    /// What to trust and to show, by that kubeconfig.
    pub tls: Tls,
    /// How to say who we are, by that kubeconfig.
    pub credentials: Credentials,
    /// Why the kubeconfig does not say that by itself: to be cleared where something else does.
    pub lacks: Option<String>,
}

impl Server {
    fn plain(url: Url, source: impl Into<String>) -> Self {
        Self {
            url,
            source: source.into(),
            kubeconfig: None,
            kubeconfig_url: None,
            tls: Tls::default(),
            credentials: Credentials::None,
            lacks: None,
        }
    }

    /// The one that a kubeconfig names.
    pub fn of(path: &Path, config: Kubeconfig, source: String) -> Self {
        Self {
            url: config.server,
            source,
            kubeconfig: Some(path.to_owned()),
            kubeconfig_url: None,
            tls: config.tls,
            credentials: config.credentials,
            lacks: config.lacks,
        }
    }

    /// A client for it, with its credentials. Exit 2 where there are none to be had, or they do not fit.
    pub fn client(&self) -> Result<Client> {
        if let Some(why) = &self.lacks {
            return Err(Error::usage(why.as_str()));
        }
        let mut client = Client::new(&self.url, &self.tls)?;
        if let Some(header) = self.credentials.header() {
            client.authorize(header);
        }
        Ok(client)
    }
}

/// `--server`; else `--kubeconfig`; else KUBECONFIG; KUBERNETES_MASTER; the well-known files; else
/// http://127.0.0.1:8080. With both options, the server is `--server` and the rest the file's.
pub fn resolve(options: &ServerOptions) -> Result<Server> {
    choose(options, kubeconfig::read).inspect(tell)
}

/// The same for one who is nobody there yet: what a kubeconfig says of a user does not count.
pub fn resolve_as_nobody(options: &ServerOptions) -> Result<Server> {
    choose(options, kubeconfig::read_cluster).inspect(tell)
}

fn tell(server: &Server) {
    log::info!("API server {} (from {})", server.url, server.source);
}

/// The same, but only one that something names.
pub fn named(options: &ServerOptions) -> Result<Option<Server>> {
    Ok(Some(choose(options, kubeconfig::read)?).filter(|server| server.source != DEFAULT))
}

/// How a kubeconfig is read, in that context.
type Reader = fn(&Path, Option<&str>) -> Result<Kubeconfig>;

fn choose(options: &ServerOptions, read: Reader) -> Result<Server> {
    let server = from_sources(options, read)?;
    match &options.context {
        Some(name) if server.kubeconfig.is_none() => {
            Err(Error::usage(format!("--context {name}: the server is not from a kubeconfig")))
        }
        _ => Ok(server),
    }
}

fn from_sources(options: &ServerOptions, read: Reader) -> Result<Server> {
    let read = |path: &Path| read(path, options.context.as_deref());
    if let Some(path) = &options.kubeconfig {
        let mut server = Server::of(path, read(path)?, format!("--kubeconfig {}", path.display()));
        if let Some((url, source)) = &options.server {
            server.kubeconfig_url = Some(std::mem::replace(&mut server.url, url.clone()));
            server.source.clone_from(source);
        }
        return Ok(server);
    }
    if let Some((url, source)) = &options.server {
        return Ok(Server::plain(url.clone(), source));
    }
    if let Some(path) = variable("KUBECONFIG").and_then(|list| first_there(&list)) {
        let config = read(&path)?;
        return Ok(Server::of(&path, config, format!("KUBECONFIG {}", path.display())));
    }
    if let Some(text) = variable("KUBERNETES_MASTER") {
        let url = text.parse().map_err(|why| Error::usage(format!("KUBERNETES_MASTER={text}: {why}")))?;
        return Ok(Server::plain(url, "KUBERNETES_MASTER"));
    }
    for path in WELL_KNOWN.map(Path::new) {
        if path.exists() {
            return Ok(Server::of(path, read(path)?, path.display().to_string()));
        }
    }
    let url = LAST_RESORT.parse().map_err(Error::usage)?;
    Ok(Server::plain(url, DEFAULT))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// KUBECONFIG may be a list; client-go leaves out what does not exist. If nothing does, the first is
/// tried all the same, for its error.
fn first_there(list: &str) -> Option<PathBuf> {
    let mut paths = list.split(':').filter(|p| !p.is_empty()).map(PathBuf::from);
    let first = paths.clone().next();
    paths.find(|p| p.exists()).or(first)
}

//! The container runtime: which one, whether it answers, and how it is set up.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::preflight::Scene;
use crate::applet;
use crate::client::docker;
use crate::error::{Context, Error, Result};
use crate::plan::kubelet::{CgroupDriver, Extra, Runtime, Version};
use crate::plan::preflight::{containerd_driver, crio_driver, imports, is_without_cri};
use crate::sys::wait::{Deadline, Retry, retry_every};
use crate::sys::{file, socket};
use crate::types::{Scheme, Url};

/// Where CRI runtimes listen: containerd, CRI-O, and docker behind cri-dockerd.
const CRI: [&str; 3] = ["/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/cri-dockerd.sock"];
/// containerd's configuration.
pub const CONTAINERD: &str = "/etc/containerd/config.toml";
/// A look at a socket of this host costs nothing.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What was found of the runtime.
#[derive(Default)]
pub struct Seen {
    /// Why it does not answer, if it does not.
    pub silent: Option<String>,
    /// Who makes its containers' cgroups, as far as it tells.
    pub driver: Option<CgroupDriver>,
    /// Where its images are.
    pub root: String,
    /// Whether it was told to know no CRI.
    pub without_cri: bool,
}

/// The one that was asked for; else docker for kubelets that have its client and hosts that have its
/// socket; else the first CRI socket that is there; else what users of that version have. One that this
/// version has no client for is exit 2: it is not worth waiting for. A containerd without CRI is there for
/// docker, which another socket's runtime may be in front of.
pub fn choose(asked: Option<&Runtime>, docker: &Url, version: Version) -> Result<Runtime> {
    let (knows_docker, knows_cri) = (version.minor < 24, version.minor >= 5);
    match asked {
        Some(Runtime::Docker) if !knows_docker => {
            return Err(Error::usage(format!(
                "--runtime docker: kubelet {version} has no docker client (gone in 1.24): give a CRI socket"
            )));
        }
        Some(Runtime::Endpoint(_)) if !knows_cri => {
            return Err(Error::usage(format!(
                "--runtime: kubelet {version} knows docker only (CRI came in 1.5)"
            )));
        }
        Some(runtime) => return Ok(runtime.clone()),
        None => {}
    }
    let there = || CRI.into_iter().filter(|path| knows_cri && Path::new(path).exists());
    let cri = there().find(|path| !configured(Path::new(path)).without_cri).or_else(|| there().next());
    Ok(match cri {
        Some(_) if knows_docker && is_there(docker) => Runtime::Docker,
        Some(path) => Runtime::Endpoint(format!("unix://{path}")),
        None if knows_docker => Runtime::Docker,
        None => Runtime::Endpoint(format!("unix://{}", CRI[0])),
    })
}

/// Where the kubelet's client looks for docker: --docker-endpoint, which has docker's usual socket as its
/// default since 1.4 (v1alpha1's `SetDefaults_KubeletConfiguration`); before, as docker's own client does.
pub fn docker_url(extra: &Extra, version: Version) -> Result<Url> {
    match extra.value("docker-endpoint").filter(|endpoint| !endpoint.is_empty()) {
        Some(endpoint) => applet::docker::url("--docker-endpoint", endpoint),
        None if version.minor < 4 || extra.gives("docker-endpoint") => applet::docker::host(None),
        None => applet::docker::url("--docker-endpoint", applet::docker::SOCKET),
    }
}

/// A server elsewhere was asked for; a socket may be nobody's.
fn is_there(docker: &Url) -> bool {
    docker.scheme() != Scheme::Unix || path_of(&docker.to_string()).exists()
}

/// Its name in messages.
pub fn shown(scene: &Scene) -> String {
    match &scene.runtime {
        Runtime::Docker => format!("docker at {}", scene.docker),
        Runtime::Endpoint(url) => url.clone(),
    }
}

/// Waits until it answers: the kubelet ends where it does not.
pub fn wait(scene: &Scene, deadline: &Deadline) -> Result<()> {
    match &scene.runtime {
        Runtime::Docker => docker::wait_until_it_answers(&scene.docker, deadline),
        Runtime::Endpoint(url) => retry_every(deadline, url, LOOK_EVERY, || {
            socket::answers(&path_of(url)).map_err(|why| Retry::Later { why, after: None })
        }),
    }
    .context("the container runtime does not answer")
}

/// One look.
pub fn look(scene: &Scene) -> Seen {
    match &scene.runtime {
        Runtime::Docker => {
            let (info, silent) = match docker::info(&scene.docker) {
                Ok(info) => (info, None),
                Err(why) => (docker::Info::default(), Some(why)),
            };
            Seen {
                silent,
                driver: info.cgroup_driver.and_then(|d| d.parse().ok()),
                root: info.root.unwrap_or_else(|| "/var/lib/docker".into()),
                without_cri: false,
            }
        }
        Runtime::Endpoint(url) => {
            let path = path_of(url);
            Seen { silent: socket::answers(&path).err(), ..configured(&path) }
        }
    }
}

fn path_of(url: &str) -> PathBuf {
    url.trim_start_matches("unix://").into()
}

/// By the files of the runtime that has this socket. Files that this user may not read say nothing.
fn configured(socket: &Path) -> Seen {
    let socket = socket.to_str().map(|path| path.trim_start_matches("/var"));
    match socket {
        Some("/run/containerd/containerd.sock") => {
            let files = containerd_files().ok();
            Seen {
                without_cri: files.as_deref().is_some_and(is_without_cri),
                driver: files.as_deref().map(containerd_driver),
                root: "/var/lib/containerd".into(),
                silent: None,
            }
        }
        Some("/run/crio/crio.sock") => Seen {
            driver: crio_files().ok().as_deref().map(crio_driver),
            root: "/var/lib/containers".into(),
            ..Seen::default()
        },
        _ => Seen { root: "/var/lib".into(), ..Seen::default() },
    }
}

/// containerd's file and those that it imports, and they in turn; a path may be relative to the file's.
fn containerd_files() -> Result<Vec<String>> {
    let mut paths = vec![PathBuf::from(CONTAINERD)];
    let (mut texts, mut at) = (Vec::new(), 0);
    while let Some(path) = paths.get(at).cloned() {
        at += 1;
        let Some(text) = config(&path)? else { continue };
        let directory = path.parent().unwrap_or(Path::new("/"));
        let named: Vec<PathBuf> = imports(&text).iter().flat_map(|i| matching(&directory.join(i))).collect();
        let new = named.into_iter().filter(|p| !paths.contains(p)).collect::<Vec<_>>();
        paths.extend(new);
        texts.push(text);
    }
    Ok(texts)
}

fn crio_files() -> Result<Vec<String>> {
    let more = matching(Path::new("/etc/crio/crio.conf.d/*"));
    let all = [PathBuf::from("/etc/crio/crio.conf")].into_iter().chain(more);
    all.filter_map(|path| config(&path).transpose()).collect()
}

fn config(path: &Path) -> Result<Option<String>> {
    let bytes = file::read_if_there(path)?;
    Ok(bytes.map(|b| String::from_utf8_lossy(&b).into_owned()))
}

/// The files of a pattern whose last part may hold one `*`, in their order.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let Some((start, end)) = name.split_once('*') else { return vec![pattern.to_owned()] };
    let entries = pattern.parent().and_then(|dir| fs::read_dir(dir).ok()).into_iter().flatten().flatten();
    let fits = |p: &PathBuf| {
        let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end) && p.is_file()
    };
    let mut paths: Vec<PathBuf> = entries.map(|e| e.path()).filter(fits).collect();
    paths.sort();
    paths
}

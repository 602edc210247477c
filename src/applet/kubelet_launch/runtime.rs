//! The container runtime: which one, whether it answers, and how it is set up.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::client::docker;
use crate::error::{Context, Error, Result};
use crate::plan::kubelet::{CgroupDriver, Runtime, Version};
use crate::plan::preflight::{containerd_driver, crio_driver, imports};
use crate::sys::wait::{Deadline, Retry, retry_every};
use crate::sys::{file, socket};
use crate::types::Url;

/// docker's own socket, and the kubelet's default for it (--docker-endpoint).
const DOCKER: &str = "unix:///var/run/docker.sock";
/// Where CRI runtimes listen: containerd, CRI-O, and docker behind cri-dockerd.
const CRI: [&str; 3] = ["/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/cri-dockerd.sock"];
/// A look at a socket of this host costs nothing.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What was found of the runtime.
pub struct Seen {
    /// Why it does not answer, if it does not.
    pub silent: Option<String>,
    /// Who makes its containers' cgroups, as far as it tells.
    pub driver: Option<CgroupDriver>,
    /// Where its images are.
    pub root: String,
}

/// The one that was asked for; else docker for kubelets that have its client and hosts that have its
/// socket; else the first CRI socket that is there; else what users of that version have.
pub fn choose(asked: Option<&Runtime>, version: Version) -> Runtime {
    if let Some(runtime) = asked {
        return runtime.clone();
    }
    let knows_docker = version.minor < 24;
    let cri = CRI.into_iter().find(|path| version.minor >= 5 && Path::new(path).exists());
    match cri {
        Some(_) if knows_docker && Path::new("/var/run/docker.sock").exists() => Runtime::Docker,
        Some(path) => Runtime::Endpoint(format!("unix://{path}")),
        None if knows_docker => Runtime::Docker,
        None => Runtime::Endpoint(format!("unix://{}", CRI[0])),
    }
}

/// Its name in messages.
pub fn shown(runtime: &Runtime) -> String {
    match runtime {
        Runtime::Docker => format!("docker at {DOCKER}"),
        Runtime::Endpoint(url) => url.clone(),
    }
}

/// Waits until it answers: the kubelet ends where it does not.
pub fn wait(runtime: &Runtime, deadline: &Deadline) -> Result<()> {
    match runtime {
        Runtime::Docker => docker::wait_until_it_answers(&docker_url()?, deadline),
        Runtime::Endpoint(url) => retry_every(deadline, url, LOOK_EVERY, || {
            socket::answers(&path_of(url)).map_err(|why| Retry::Later { why, after: None })
        }),
    }
    .context("the container runtime does not answer")
}

/// One look.
pub fn look(runtime: &Runtime) -> Result<Seen> {
    match runtime {
        Runtime::Docker => {
            let (info, silent) = match docker::info(&docker_url()?) {
                Ok(info) => (info, None),
                Err(why) => (docker::Info::default(), Some(why)),
            };
            Ok(Seen {
                silent,
                driver: info.cgroup_driver.and_then(|d| d.parse().ok()),
                root: info.root.unwrap_or_else(|| "/var/lib/docker".into()),
            })
        }
        Runtime::Endpoint(url) => {
            let path = path_of(url);
            let (driver, root) = configured(&path)?;
            Ok(Seen { silent: socket::answers(&path).err(), driver, root: root.into() })
        }
    }
}

fn docker_url() -> Result<Url> {
    DOCKER.parse().map_err(Error::failed)
}

fn path_of(url: &str) -> PathBuf {
    url.trim_start_matches("unix://").into()
}

/// By the files of the runtime that has this socket: its cgroup driver, and where it keeps things.
fn configured(socket: &Path) -> Result<(Option<CgroupDriver>, &'static str)> {
    match socket.to_str() {
        Some("/run/containerd/containerd.sock" | "/var/run/containerd/containerd.sock") => {
            let mut files: Vec<String> =
                config(Path::new("/etc/containerd/config.toml"))?.into_iter().collect();
            for pattern in files.first().map(|f| imports(f)).unwrap_or_default() {
                files.extend(matching(Path::new(&pattern))?);
            }
            Ok((Some(containerd_driver(&files)), "/var/lib/containerd"))
        }
        Some("/run/crio/crio.sock" | "/var/run/crio/crio.sock") => {
            let mut files: Vec<String> = config(Path::new("/etc/crio/crio.conf"))?.into_iter().collect();
            files.extend(matching(Path::new("/etc/crio/crio.conf.d/*"))?);
            Ok((Some(crio_driver(&files)), "/var/lib/containers"))
        }
        _ => Ok((None, "/var/lib")),
    }
}

fn config(path: &Path) -> Result<Option<String>> {
    let bytes = file::read_if_there(path)?;
    Ok(bytes.map(|b| String::from_utf8_lossy(&b).into_owned()))
}

/// The files of a pattern whose last part may hold one `*`, in their order.
fn matching(pattern: &Path) -> Result<Vec<String>> {
    let name = pattern.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let Some((start, end)) = name.split_once('*') else { return Ok(config(pattern)?.into_iter().collect()) };
    let entries = pattern.parent().and_then(|dir| fs::read_dir(dir).ok()).into_iter().flatten().flatten();
    let fits = |p: &PathBuf| {
        let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end) && p.is_file()
    };
    let mut paths: Vec<PathBuf> = entries.map(|e| e.path()).filter(fits).collect();
    paths.sort();
    paths.iter().filter_map(|p| config(p).transpose()).collect()
}

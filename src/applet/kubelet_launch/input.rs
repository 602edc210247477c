//! What was typed, as far as it can be wrong whatever this host is like.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::{Args, preflight};
use crate::applet::cli::Words;
use crate::applet::options::ServerOptions;
use crate::applet::server::KUBELETS_OWN;
use crate::error::{Error, Result};
use crate::plan::nearest::nearest;
use crate::sys::file;
use crate::sys::http::certificates;
use crate::types::{NodeName, Scheme};

/// Refuses what no kubelet takes, before anything is asked or waited for (exit 2), and makes paths absolute:
/// relative ones in its file of settings would be relative to that file.
pub fn settle(mut args: Args) -> Result<Args> {
    check_names(&args.ignore)?;
    check_addresses(&args.node_ip)?;
    if let Some(domain) = &args.cluster_domain {
        check_domain(domain)?;
    }
    args.manifests = absolute("--manifests", args.manifests)?;
    args.client_ca_file = absolute("--client-ca-file", args.client_ca_file)?;
    // Empty is none.
    if args.resolv_conf.as_deref() != Some(Path::new("")) {
        args.resolv_conf = absolute("--resolv-conf", args.resolv_conf)?;
    }
    if let Some(path) = &args.client_ca_file {
        let name = format!("--client-ca-file {}", path.display());
        certificates(&name, file::read_named(path)?.as_bytes())?;
    }
    Ok(args)
}

/// Over https the kubelet needs credentials: those that a join has left here, unless others are named. So one
/// /etc/default/kboot, with KBOOT_SERVER, is enough for register, which joins, and for this.
pub fn server_options(args: &Args, words: &Words) -> ServerOptions {
    let mut options = args.server_options(words);
    let is_https = options.server.as_ref().is_some_and(|(url, _)| url.scheme() == Scheme::Https);
    if is_https && options.kubeconfig.is_none() {
        options.kubeconfig = Some(KUBELETS_OWN.into()).filter(|path: &PathBuf| path.exists());
    }
    options
}

fn absolute(option: &str, path: Option<PathBuf>) -> Result<Option<PathBuf>> {
    let absolute = |path: PathBuf| {
        let path = std::path::absolute(path).map_err(|e| Error::usage(format!("{option}: {e}")))?;
        if path.to_str().is_some() { Ok(path) } else { Err(Error::usage(format!("{option}: is not UTF-8"))) }
    };
    path.map(absolute).transpose()
}

/// The kubelet's own rules for them (`nodeutil.ParseNodeIPArgument`, `validateNodeIP`).
fn check_addresses(ips: &[IpAddr]) -> Result<()> {
    if let Some(ip) = ips.iter().find(|ip| ip.is_unspecified() || ip.is_loopback()) {
        return Err(Error::usage(format!("--node-ip {ip}: no other host reaches this one there")));
    }
    for (at, ip) in ips.iter().enumerate() {
        if let Some(first) = ips[..at].iter().find(|other| other.is_ipv4() == ip.is_ipv4()) {
            let why = "are of one family: give one, or one of each";
            return Err(Error::usage(format!("--node-ip {first} and {ip} {why}")));
        }
    }
    Ok(())
}

/// A Node's name is made of the same (RFC 1123); a dot at its end does no harm.
fn check_domain(domain: &str) -> Result<()> {
    match domain.strip_suffix('.').unwrap_or(domain).parse::<NodeName>() {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::usage(format!(
            "--cluster-domain {domain:?}: is no DNS name in lower case such as cluster.local"
        ))),
    }
}

fn check_names(names: &[String]) -> Result<()> {
    let is_known = |name: &&String| preflight::known_checks().any(|known| known == name.as_str());
    let Some(name) = names.iter().find(|n| !is_known(n)) else { return Ok(()) };
    let hint = nearest(name, preflight::known_checks()).map(|n| format!(": did you mean {n}?"));
    Err(Error::usage(format!("--ignore {name}: there is no such check{}", hint.unwrap_or_default())))
}

/// The directory of static pods.
pub fn manifests(args: &Args) -> Result<String> {
    let path = args.manifests.as_deref().unwrap_or(Path::new("/etc/kubernetes/manifests"));
    if path.exists() && !path.is_dir() {
        return Err(Error::usage(format!("--manifests {}: is not a directory", path.display())));
    }
    Ok(path.display().to_string())
}

//! The etcd that flannel uses: its endpoints, who we are there, where its keys begin.

use super::options::EtcdOptions;
use crate::client::etcd::Cluster;
use crate::error::{Error, Result};
use crate::plan::network;
use crate::sys::file;
use crate::sys::http::Tls;
use crate::sys::wait::Deadline;
use crate::types::Url;

/// The members; `given` are `--endpoints`, or another option's of that `name`.
pub fn cluster(
    name: &str,
    given: &[String],
    options: &EtcdOptions,
    tls: &Tls,
    deadline: Deadline,
) -> Result<Cluster> {
    Cluster::new(&endpoints(name, given)?, tls, user(options)?, deadline)
}

/// A key of flannel's: `config`, `subnets`.
pub fn key(options: &EtcdOptions, name: &str) -> Result<String> {
    let prefix = options.prefix.as_deref().unwrap_or("/coreos.com/network");
    network::key(prefix, name).map_err(|why| Error::usage(format!("--prefix {prefix}: {why}")))
}

fn endpoints(name: &str, given: &[String]) -> Result<Vec<Url>> {
    let variable = std::env::var("ETCDCTL_ENDPOINTS").ok().filter(|v| !v.is_empty());
    let (name, text) = match (given.is_empty(), variable) {
        (false, _) => (name, given.join(",")),
        (true, Some(text)) => ("ETCDCTL_ENDPOINTS", text),
        // flannel's own defaults, before and after etcd got its official port.
        (true, None) => ("default", "http://127.0.0.1:4001,http://127.0.0.1:2379".to_owned()),
    };
    let one = |text: &str| -> Result<Url> {
        let url: Url = text.parse().map_err(|why| Error::usage(format!("{name} {text}: {why}")))?;
        // Under a path of the v2 API, requests of the v3 API would be writes.
        match url.path() {
            "" | "/" => Ok(url),
            path => Err(Error::usage(format!("{name} {text}: leave {path} away"))),
        }
    };
    text.split(',').map(|t| one(t.trim())).collect()
}

fn user(options: &EtcdOptions) -> Result<Option<(String, String)>> {
    match (&options.user, &options.password_file) {
        (None, None) => Ok(None),
        (Some(name), Some(path)) => {
            let password = file::read_named(path)?;
            Ok(Some((name.clone(), password.trim_end_matches(['\n', '\r']).to_owned())))
        }
        _ => Err(Error::usage("--user and --password-file go together")),
    }
}

//! Where docker is reached.

use crate::error::{Error, Result};
use crate::types::Url;

/// docker's usual socket.
pub const SOCKET: &str = "unix:///var/run/docker.sock";

/// As docker's own client: DOCKER_HOST; else where its settings say; else its usual socket.
pub fn host(socket: Option<&str>) -> Result<Url> {
    match std::env::var("DOCKER_HOST").ok().filter(|v| !v.is_empty()) {
        Some(variable) => url("DOCKER_HOST", &variable),
        None => url("docker's socket", socket.unwrap_or(SOCKET)),
    }
}

/// As docker writes it: `unix:///PATH` or `tcp://HOST:PORT`. Anything else that `source` says is exit 2.
pub fn url(source: &str, text: &str) -> Result<Url> {
    let url = text.replacen("tcp://", "http://", 1);
    url.parse().map_err(|why| Error::usage(format!("{source}={text}: {why}")))
}

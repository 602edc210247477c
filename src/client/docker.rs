//! docker's API, as far as asking whether it answers.

use crate::error::Result;
use crate::sys::http::{Client, Tls};
use crate::sys::wait::{Deadline, Retry, retry};
use crate::types::Url;

/// Waits until dockerd answers (`GET /_ping`, in every version).
pub fn wait_until_it_answers(url: &Url, deadline: &Deadline) -> Result<()> {
    let client =
        Client::new(url, &Tls { cacert: None, identity: None, server_name: None, skip_verify: false })?;
    retry(deadline, &format!("docker at {url}"), || {
        let answer = client.send("GET", "/_ping", None, deadline).map_err(Retry::from)?;
        match answer.status {
            200 => Ok(()),
            status => Err(Retry::Later { why: format!("HTTP status {status}"), after: None }),
        }
    })
}

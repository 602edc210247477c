//! The Kubernetes API: Nodes, and waiting for a server that is not ready.

mod list;
mod watch;

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::sys::http::{Client, Response};
use crate::sys::wait::{Deadline, Retry, retry};
use crate::types::BootstrapToken;
pub use list::Looked;
pub use watch::Watched;

/// How long a refusal may be a server's that has not loaded its tokens and roles yet.
pub(super) const REFUSED_FOR: Duration = Duration::from_secs(15);

/// How kboot says who it is, beside a client certificate. Never printed.
#[derive(Clone)]
pub enum Credentials {
    /// Nothing to say.
    None,
    /// The `Authorization` header.
    Header(String),
}

impl Credentials {
    /// A bearer token (RFC 6750). `from` names its file in the error.
    pub fn bearer(token: &str, from: &str) -> Result<Self> {
        let token = token.trim();
        if token.is_empty() {
            return Err(Error::usage(format!("{from}: holds no token")));
        }
        if !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::usage(format!("{from}: a token is one word of printable characters")));
        }
        Ok(Self::Header(format!("Bearer {token}")))
    }

    /// A user name and password (RFC 7617).
    pub fn basic(name: &str, password: &str) -> Result<Self> {
        if name.contains(':') {
            return Err(Error::usage("a user name has no ':'"));
        }
        Ok(Self::Header(format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))))
    }

    /// The bootstrap token that it is, if it is one.
    pub fn bootstrap_token(&self) -> Option<BootstrapToken> {
        self.header()?.strip_prefix("Bearer ")?.parse().ok()
    }

    /// The header's value.
    pub fn header(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Header(value) => Some(value.clone()),
        }
    }
}

/// The API of one server.
pub struct Kube<'c> {
    client: &'c Client,
    deadline: &'c Deadline,
}

/// What became of a create.
pub enum Created {
    /// The object as the server keeps it.
    Now(Value),
    /// Somebody was faster, or an earlier attempt of ours arrived without our knowing.
    AlreadyExists,
}

impl<'c> Kube<'c> {
    /// With a client and the run's deadline.
    pub fn new(client: &'c Client, deadline: &'c Deadline) -> Self {
        Self { client, deadline }
    }

    /// A Node, `None` if there is none of that name.
    pub fn node(&self, name: &str) -> Result<Option<Value>> {
        self.object_at(&node_path(name))
    }

    /// Any object, `None` if there is none.
    pub(super) fn object_at(&self, path: &str) -> Result<Option<Value>> {
        let answer = self.call("GET", path, None)?;
        match answer.status {
            200 => Ok(Some(self.object(&answer)?)),
            404 if status(&answer)["reason"] == "NotFound" => Ok(None),
            _ => Err(self.unexpected(&answer)),
        }
    }

    /// Creates a Node.
    pub fn create_node(&self, node: &Value) -> Result<Created> {
        let body = node.to_string();
        let answer = self.call("POST", "/api/v1/nodes", Some(("application/json", body.as_bytes())))?;
        match answer.status {
            201 => Ok(Created::Now(self.object(&answer)?)),
            // 1.0 and 1.1 say kind "node", later ones "nodes": the reason is the same.
            409 if status(&answer)["reason"] == "AlreadyExists" => Ok(Created::AlreadyExists),
            _ => Err(self.unexpected(&answer)),
        }
    }

    /// Merge-patches a Node (RFC 7386, served since 1.0). A resourceVersion in it guards the write;
    /// `None` when the Node changed in between, or is gone.
    pub fn patch_node(&self, name: &str, patch: &Value) -> Result<Option<Value>> {
        let body = patch.to_string();
        let content = ("application/merge-patch+json", body.as_bytes());
        let answer = self.call("PATCH", &node_path(name), Some(content))?;
        match answer.status {
            200 => Ok(Some(self.object(&answer)?)),
            409 if status(&answer)["reason"] == "Conflict" => Ok(None),
            404 if status(&answer)["reason"] == "NotFound" => Ok(None),
            _ => Err(self.unexpected(&answer)),
        }
    }

    /// Deletes the Node that has this uid and no other; whether there is none of that uid any more.
    /// (Up to 1.3 a server does not look at the uid.)
    pub fn delete_node(&self, name: &str, uid: &str) -> Result<bool> {
        let options =
            serde_json::json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}});
        let body = options.to_string();
        let answer = self.call("DELETE", &node_path(name), Some(("application/json", body.as_bytes())))?;
        match answer.status {
            200 | 202 => Ok(true),
            404 if status(&answer)["reason"] == "NotFound" => Ok(true),
            409 if status(&answer)["reason"] == "Conflict" => Ok(false),
            _ => Err(self.unexpected(&answer)),
        }
    }

    /// One request, tried again while the server is not there or not ready. Refusals (401, 403) are
    /// tried for 15 s and then final: tokens and roles are loaded late at a control plane's start.
    pub(super) fn call(&self, method: &str, path: &str, content: Option<(&str, &[u8])>) -> Result<Response> {
        let mut refused: Option<Instant> = None;
        let what = self.client.base().to_string();
        retry(self.deadline, &what, || {
            let answer = match self.client.send(method, path, content, self.deadline) {
                Ok(answer) => answer,
                Err(failure) if failure.passing => return Err(failure.into()),
                Err(failure) => return Err(Error::failed(format!("{what}: {}", failure.why)).into()),
            };
            match answer.status {
                403 if by_admission(&answer).is_some() => {
                    Err(Retry::Never(Error::failed(format!("{what}: {}", refusal(&answer)))))
                }
                401 | 403 => {
                    let since = *refused.get_or_insert_with(Instant::now);
                    let why = refusal(&answer);
                    if since.elapsed() >= REFUSED_FOR || self.deadline.passed() {
                        return Err(Retry::Never(Error::failed(format!("{what}: {why}"))));
                    }
                    Err(Retry::Later { why: format!("{why} (tried for 15 s at most)"), after: None })
                }
                _ => busy(&answer).map_or(Ok(answer), Err),
            }
        })
    }

    pub(super) fn object(&self, answer: &Response) -> Result<Value> {
        serde_json::from_slice(&answer.body).map_err(|_| {
            Error::failed(format!("{}: its answer is not JSON: no API server?", self.client.base()))
        })
    }

    pub(super) fn unexpected(&self, answer: &Response) -> Error {
        Error::failed(format!("{}: {}", self.client.base(), status_words(answer)))
    }
}

/// Whether the server says that it may answer later.
pub(super) fn busy(answer: &Response) -> Option<Retry> {
    let is_busy = matches!(answer.status, 429 | 500..=599);
    is_busy.then(|| Retry::Later { why: status_words(answer), after: answer.retry_after })
}

/// A 401 or 403 in words.
pub(super) fn refusal(answer: &Response) -> String {
    match answer.status {
        401 => "401 Unauthorized: it does not know these credentials (token, certificate)".into(),
        _ if by_admission(answer) == Some(NODE_RESTRICTION) => format!(
            "403 Forbidden: {}: a node's own credentials do not suffice: leave it out, or use an administrator's",
            words(answer)
        ),
        _ => format!("403 Forbidden: {}", words(answer)),
    }
}

/// `node "a" is not allowed to modify taints`
const NODE_RESTRICTION: &str = "is not allowed to ";

/// The words by which admission refuses, which is final; an authorizer (`User "a" cannot create nodes`)
/// may have to load its roles yet.
fn by_admission(answer: &Response) -> Option<&'static str> {
    let text = status(answer)["message"].as_str()?.to_owned();
    [NODE_RESTRICTION, " denied the request"].into_iter().find(|w| text.contains(w))
}

fn status_words(answer: &Response) -> String {
    let is_api_server = status(answer)["kind"] == "Status" || answer.status >= 500;
    let hint = if is_api_server { "" } else { " (no API server?)" };
    format!("HTTP status {}: {}{hint}", answer.status, words(answer))
}

fn node_path(name: &str) -> String {
    format!("/api/v1/nodes/{name}")
}

/// The Status object of an answer, null if it is none.
pub(super) fn status(answer: &Response) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// The server's own words, cut to what fits a console.
fn words(answer: &Response) -> String {
    let text = status(answer)["message"].as_str().map(str::to_owned);
    let text = text.unwrap_or_else(|| String::from_utf8_lossy(&answer.body).into_owned());
    if text.trim().is_empty() {
        return "without a word".into();
    }
    text.chars().take(300).collect()
}

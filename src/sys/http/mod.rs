//! HTTP/1.1 to one server: over TCP, TLS or a unix socket. No proxy is used unless a kubeconfig names
//! one, no redirect followed, no status is an error; each request has a deadline and each body a limit.

pub mod certificate;
mod der;
mod failure;
pub mod key;
mod pinned;
mod proxy;
mod resolve;
mod roots;
mod stream;
mod tls;
mod unix;

use std::time::Duration;

use ureq::http::Request;
use ureq::http::request::Builder;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, TcpConnector};
use ureq::{Agent, Body, Timeout};

pub use failure::Failure;
pub use proxy::Proxy;
pub use stream::{Answer, Stream};
pub use tls::{Identity, Tls, certificates};

use failure::tls_failure;

use crate::error::{Error, Result};
use crate::sys::wait::{self, Deadline};
use crate::sys::{clock, log};
use crate::types::{Scheme, Url};

/// The longest that one attempt may take; a server that accepts and then hangs is tried again.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(10);
/// The shortest: one that begins as the deadline passes shall bring the server's own word, not a
/// time-out that hides it.
const SHORTEST_ATTEMPT: Duration = Duration::from_secs(1);
/// The longest that a server may tell us to wait.
const LONGEST_RETRY_AFTER: u64 = 600;
/// The largest body that is read.
const LARGEST_BODY: u64 = 10 << 20;

/// A server, how it is trusted, and how kboot makes itself known to it.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    base: Url,
    authorization: Option<String>,
    /// Whether dates are checked, and so the clock has to be right.
    is_dated: bool,
    /// The name that the server's certificate has to bear, for messages.
    name: String,
    /// Where the CA came from, where it is not the system's, for messages.
    ca: Option<String>,
    /// The proxy in between, for messages.
    proxy: Option<String>,
}

/// A server's answer, whatever its status.
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// `Retry-After` in seconds (RFC 9110 §10.2.3; its date form is not used by these servers).
    pub retry_after: Option<Duration>,
}

impl Client {
    /// A client for one server. Certificates and keys are read and matched here: what is wrong with
    /// them is exit 2, before anything is sent.
    pub fn new(base: &Url, tls: &Tls) -> Result<Self> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(tls.proxy.as_ref().map(|p| p.proxy.clone()))
            .user_agent(concat!("kboot/", env!("CARGO_PKG_VERSION")))
            .build();
        if tls.proxy.is_some() && base.scheme() != Scheme::Https {
            return Err(Error::usage(format!(
                "{base}: proxy-url: only https servers are reached by a proxy"
            )));
        }
        let agent = match base.scheme() {
            Scheme::Http => Agent::with_parts(config, TcpConnector::default(), resolve::Names),
            Scheme::Https => {
                let tcp = ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default());
                let connector = tcp.chain(tls.connector(base.host())?);
                Agent::with_parts(config, connector, resolve::Names)
            }
            Scheme::Unix => {
                Agent::with_parts(config, unix::UnixConnector::new(base.host()), resolve::Nothing)
            }
        };
        Ok(Self {
            agent,
            base: base.clone(),
            authorization: None,
            is_dated: base.scheme() == Scheme::Https && !tls.skip_verify,
            name: tls.server_name.as_deref().unwrap_or(base.host()).to_owned(),
            ca: tls.cacert.as_ref().map(|(name, _)| name.clone()),
            proxy: tls.proxy.as_ref().map(ToString::to_string),
        })
    }

    /// Sends this `Authorization` header with each request. It is never logged.
    pub fn authorize(&mut self, header: String) {
        self.authorization = Some(header);
    }

    /// The server, for messages.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Sends one request. `content` is the body with its media type.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        content: Option<(&str, &[u8])>,
        deadline: &Deadline,
    ) -> Result<Response, Failure> {
        self.send_as(self.authorization.as_deref(), method, path, content, deadline.attempt(LONGEST_ATTEMPT))
    }

    /// The same with this `Authorization` header, within this time.
    pub fn send_as(
        &self,
        authorization: Option<&str>,
        method: &str,
        path: &str,
        content: Option<(&str, &[u8])>,
        longest: Duration,
    ) -> Result<Response, Failure> {
        let mut request = self.request(authorization, method, path)?;
        if let Some((media_type, _)) = content {
            request = request.header("content-type", media_type);
        }
        let longest = longest.max(SHORTEST_ATTEMPT);
        let answer = if let Some((_, body)) = content {
            let request = request.body(body).map_err(|e| malformed(&e))?;
            self.agent.run(self.agent.configure_request(request).timeout_global(Some(longest)).build())
        } else {
            let request = request.body(()).map_err(|e| malformed(&e))?;
            self.agent.run(self.agent.configure_request(request).timeout_global(Some(longest)).build())
        };
        self.whole(answer.map_err(|e| self.failure(e, longest))?, longest)
    }

    /// What all requests have, once the clock allows any.
    fn request(&self, authorization: Option<&str>, method: &str, path: &str) -> Result<Builder, Failure> {
        self.check_clock()?;
        let url = self.base.join(path);
        log::debug!("{method} {url}");
        let request = Request::builder().method(method).uri(url).header("accept", "application/json");
        Ok(match authorization {
            Some(value) => request.header("authorization", value),
            None => request,
        })
    }

    fn whole(&self, mut answer: ureq::http::Response<Body>, longest: Duration) -> Result<Response, Failure> {
        let seconds =
            answer.headers().get("retry-after").and_then(|v| v.to_str().ok()?.trim().parse::<u64>().ok());
        let body = answer.body_mut().with_config().limit(LARGEST_BODY).read_to_vec();
        let body = body.map_err(|e| self.failure(e, longest))?;
        let status = answer.status().as_u16();
        log::debug!("{status}, {} bytes", body.len());
        Ok(Response {
            status,
            body,
            retry_after: seconds.map(|s| Duration::from_secs(s.min(LONGEST_RETRY_AFTER))),
        })
    }

    /// No certificate can be judged before the clock is set.
    fn check_clock(&self) -> Result<(), Failure> {
        let unset = clock::unset().filter(|_| self.is_dated);
        unset.map_or(Ok(()), |why| {
            Err(Failure { why: format!("{why}: {}", wait::FOR_THE_CLOCK), passing: true })
        })
    }

    fn failure(&self, error: ureq::Error, longest: Duration) -> Failure {
        if let ureq::Error::Io(e) = &error
            && let Some(tls) = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            return tls_failure(tls, &self.name, self.ca.as_deref());
        }
        let host = self.proxy.as_deref().unwrap_or(self.base.host());
        let (why, passing) = match error {
            ureq::Error::Io(e) => (resolve::words(host, &e), true),
            ureq::Error::Timeout(Timeout::Resolve) => {
                (format!("{host}: no answer from DNS{}", resolve::hint()), true)
            }
            ureq::Error::Timeout(_) => (format!("no answer within {} ms", longest.as_millis()), true),
            ureq::Error::HostNotFound => (format!("{host}: no such host{}", resolve::hint()), true),
            ureq::Error::BodyExceedsLimit(_) => ("the answer is larger than 10 MiB".into(), false),
            // 407: it wants another user or password.
            ureq::Error::ConnectProxyFailed(why) => (why.clone(), !why.contains("407")),
            other => (other.to_string(), true),
        };
        match &self.proxy {
            Some(proxy) => Failure { why: format!("by the proxy {proxy}: {why}"), passing },
            None => Failure { why, passing },
        }
    }
}

fn malformed(error: &ureq::http::Error) -> Failure {
    Failure { why: error.to_string(), passing: false }
}

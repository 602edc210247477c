//! From a URL's host to addresses.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::error::io_text;

/// This host, by name (RFC 6761, 6.3).
const OWN: &str = "localhost";
/// What std puts before getaddrinfo's words; musl's and glibc's for a server that does not answer.
const LOOKUP: &str = "failed to lookup address information: ";
const AGAIN: [&str; 2] = ["Try again", "Temporary failure in name resolution"];

/// Why there is no connection to a host, in words.
pub fn words(host: &str, error: &std::io::Error) -> String {
    let text = io_text(error);
    let is_own = host.parse::<IpAddr>().map_or(host == OWN, |addr| addr.is_loopback());
    match text.strip_prefix(LOOKUP) {
        Some(why) if AGAIN.contains(&why) => format!("{host}: no answer from DNS{}", hint()),
        Some(why) => format!("{host}: {why}{}", hint()),
        None if is_own && error.kind() == ErrorKind::NetworkUnreachable => format!("{text}: is lo up?"),
        None => text,
    }
}

/// Why names may not be found, where that is plain.
pub fn hint() -> &'static str {
    if Path::new("/etc/resolv.conf").exists() { "" } else { " (there is no /etc/resolv.conf)" }
}

/// An address needs no asking; a name is looked up by ureq's resolver, in a thread of its own so that
/// a deadline can end the wait.
#[derive(Debug)]
pub struct Names;

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        match (host.parse::<IpAddr>(), uri.port_u16()) {
            (Ok(addr), Some(port)) => Ok(one(self, SocketAddr::new(addr, port))),
            // Without a hosts file the resolver would ask DNS.
            (_, Some(port)) if host == OWN && !Path::new("/etc/hosts").exists() => {
                Ok(one(self, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)))
            }
            _ => DefaultResolver::default().resolve(uri, config, timeout),
        }
    }
}

/// For a unix socket: ureq resolves before it connects, but there is nothing to resolve.
#[derive(Debug)]
pub struct Nothing;

impl Resolver for Nothing {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(one(self, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80)))
    }
}

fn one(resolver: &impl Resolver, addr: SocketAddr) -> ResolvedSocketAddrs {
    let mut addrs = resolver.empty();
    addrs.push(addr);
    addrs
}

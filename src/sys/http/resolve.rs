//! From a URL's host to addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

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

//! The ranges of addresses that this host has to do with: its links' addresses, its routes.

use nix::libc::{RTM_GETROUTE, RTM_NEWROUTE};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::RouteMessage;

use super::read::{self, Route, is_link_local};
use super::{Links, words};
use crate::error::{Context, Result};
use crate::types::{Cidr, HostRange};

/// linux/rtnetlink.h: RTPROT_RA.
const ROUTER_ADVERTISEMENT: u8 = 9;

impl Links {
    /// The addresses of all links but the loopback, then the unicast routes of the main table but the
    /// default one; IPv6 link-local ones are left out.
    pub fn ranges(&self) -> Result<Vec<HostRange>> {
        let links = self.all()?;
        let name = |index: u32| links.iter().find(|l| l.index == index).map_or("?", |l| l.name.as_str());
        let addresses = self.addresses()?.into_iter().filter(|(_, c)| !c.addr().is_loopback());
        let mut found: Vec<HostRange> = addresses
            .map(|(index, cidr)| HostRange {
                link: name(index).to_owned(),
                cidr,
                is_address: true,
                is_via: false,
            })
            .collect();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            found.extend(self.routes(family)?.iter().filter_map(|r| range(r, name)));
        }
        Ok(found)
    }

    /// The links by which a router has advertised itself (routes of protocol ra).
    pub fn advertised(&self) -> Result<Vec<u32>> {
        let routes = self.routes(AddressFamily::Inet6)?;
        Ok(routes.iter().filter(|r| r.protocol == ROUTER_ADVERTISEMENT).filter_map(|r| r.out).collect())
    }

    pub(super) fn routes(&self, family: AddressFamily) -> Result<Vec<Route>> {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        self.list(RTM_GETROUTE, &message, RTM_NEWROUTE, read::route).map_err(words).context("ip route")
    }
}

fn range<'n>(route: &Route, name: impl Fn(u32) -> &'n str) -> Option<HostRange> {
    let addr =
        route.destination.filter(|_| route.is_plain()).filter(|a| !is_link_local(a) && !a.is_multicast())?;
    let cidr = Cidr::new(addr, route.prefix_len)?;
    let link = name(route.out.unwrap_or_default()).to_owned();
    Some(HostRange { link, cidr, is_address: false, is_via: route.is_via })
}

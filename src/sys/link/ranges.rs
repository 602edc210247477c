//! The ranges of addresses that this host has to do with: its links' addresses, its routes.

use std::net::IpAddr;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteType,
};

use super::{Links, is_link_local, words};
use crate::error::{Context, Result};
use crate::types::{Cidr, HostRange};

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
        for is_ipv4 in [true, false] {
            found.extend(self.routes(is_ipv4)?.iter().filter_map(|m| route(m, name)));
        }
        Ok(found)
    }

    /// The links by which a router has advertised itself (routes of protocol ra).
    pub fn advertised(&self) -> Result<Vec<u32>> {
        let routes = self.routes(false)?;
        let advertised = routes.iter().filter(|m| m.header.protocol == RouteProtocol::Ra);
        let link = |m: &RouteMessage| {
            m.attributes.iter().find_map(|a| match a {
                RouteAttribute::Oif(index) => Some(*index),
                _ => None,
            })
        };
        Ok(advertised.filter_map(link).collect())
    }

    fn routes(&self, is_ipv4: bool) -> Result<Vec<RouteMessage>> {
        let mut message = RouteMessage::default();
        message.header.address_family = if is_ipv4 {
            rtnetlink::packet_route::AddressFamily::Inet
        } else {
            rtnetlink::packet_route::AddressFamily::Inet6
        };
        let stream = self.handle.route().get(message).execute();
        self.runtime.block_on(stream.try_collect()).map_err(|e| words(&e)).context("ip route")
    }
}

fn route<'n>(message: &RouteMessage, name: impl Fn(u32) -> &'n str) -> Option<HostRange> {
    let header = &message.header;
    if header.table != RouteHeader::RT_TABLE_MAIN || header.kind != RouteType::Unicast {
        return None;
    }
    let (mut addr, mut link, mut is_via) = (None, 0, false);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(a)) => addr = Some(IpAddr::from(*a)),
            RouteAttribute::Destination(RouteAddress::Inet6(a)) => addr = Some(IpAddr::from(*a)),
            RouteAttribute::Oif(index) => link = *index,
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_) => is_via = true,
            _ => {}
        }
    }
    let addr = addr.filter(|a| !is_link_local(a) && !a.is_multicast())?;
    let cidr = Cidr::new(addr, header.destination_prefix_length)?;
    Some(HostRange { link: name(link).to_owned(), cidr, is_address: false, is_via })
}

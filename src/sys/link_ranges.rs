//! The ranges of addresses that this host has to do with: its links' addresses, its routes.

use std::net::IpAddr;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType};

use super::link::{Links, is_link_local, words};
use crate::error::{Context, Result};
use crate::types::{Cidr, HostRange};

impl Links {
    /// The addresses of all links but the loopback, then the unicast routes of the main table but the
    /// default one; IPv6 link-local ones are left out.
    pub fn ranges(&self) -> Result<Vec<HostRange>> {
        let names = self.names()?;
        let name = |index: u32| names.iter().find(|(i, _)| *i == index).map_or("?", |(_, n)| n.as_str());
        let stream = self.handle.address().get().execute();
        let addresses: Vec<_> =
            self.runtime.block_on(stream.try_collect()).map_err(|e| words(&e)).context("ip addr")?;
        let mut found = Vec::new();
        for message in &addresses {
            let addr = message.attributes.iter().find_map(|a| match a {
                AddressAttribute::Local(addr) => Some(*addr),
                _ => None,
            });
            let first = message.attributes.iter().find_map(|a| match a {
                AddressAttribute::Address(addr) => Some(*addr),
                _ => None,
            });
            let Some(addr) = addr.or(first).filter(|a| !a.is_loopback() && !is_link_local(a)) else {
                continue;
            };
            let cidr = Cidr::new(addr, message.header.prefix_len);
            let link = name(message.header.index).to_owned();
            found.extend(cidr.map(|cidr| HostRange { link, cidr, is_address: true, is_via: false }));
        }
        for is_ipv4 in [true, false] {
            found.extend(self.routes(is_ipv4)?.iter().filter_map(|m| route(m, name)));
        }
        Ok(found)
    }

    fn names(&self) -> Result<Vec<(u32, String)>> {
        let links: Vec<_> =
            self.runtime.block_on(self.handle.link().get().execute().try_collect()).map_err(|e| words(&e))?;
        let name = |attributes: &[LinkAttribute]| {
            attributes.iter().find_map(|a| match a {
                LinkAttribute::IfName(name) => Some(name.clone()),
                _ => None,
            })
        };
        Ok(links.iter().filter_map(|m| Some((m.header.index, name(&m.attributes)?))).collect())
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

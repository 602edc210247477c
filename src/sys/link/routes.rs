//! Routes of the main table.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use nix::libc::RTM_NEWROUTE;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteAttribute, RouteFlags, RouteMessage, RouteScope};

use super::{Link, Links, words};
use crate::error::Result;
use crate::types::{Cidr, IfName, Route};

impl Links {
    /// The unicast routes that lead over a link.
    pub fn routes_by(&self, link: &Link) -> Result<Vec<Route>> {
        let mut found = Vec::new();
        for (family, is_ipv4) in [(AddressFamily::Inet, true), (AddressFamily::Inet6, false)] {
            let routes = self.routes(family)?.into_iter();
            let by_it = routes.filter(|r| r.is_plain() && r.out == Some(link.index));
            found.extend(by_it.filter_map(|r| {
                let to = match r.destination {
                    Some(to) => Cidr::new(to, r.prefix_len)?,
                    None => Cidr::everything(is_ipv4),
                };
                Some(Route { to, via: r.gateway })
            }));
        }
        Ok(found)
    }

    /// `ip route replace ROUTE dev NAME [onlink]`.
    pub fn replace_route(&self, name: &IfName, route: &Route, is_onlink: bool) -> Result<()> {
        let index = self.index(name)?;
        let len = route.to.prefix_len();
        let scope = if route.via.is_some() { RouteScope::Universe } else { RouteScope::Link };
        let mut message: RouteMessage = match route.to.addr() {
            IpAddr::V4(to) => {
                let message = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(to, len).scope(scope);
                match route.via {
                    Some(IpAddr::V4(via)) => message.gateway(via).build(),
                    _ => message.build(),
                }
            }
            IpAddr::V6(to) => {
                let message = RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(to, len);
                match route.via {
                    Some(IpAddr::V6(via)) => message.gateway(via).build(),
                    _ => message.build(),
                }
            }
        };
        message.attributes.push(RouteAttribute::Oif(index));
        if is_onlink {
            message.header.flags |= RouteFlags::Onlink;
        }
        self.change(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &message).map_err(words)
    }
}

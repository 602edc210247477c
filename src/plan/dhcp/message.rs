use std::net::Ipv4Addr;

use smoltcp::wire::{DhcpMessageType as Type, DhcpPacket, DhcpRepr, EthernetAddress};

use super::Lease;
use super::options::{self, Found};
use crate::plan::ip_param::{classful, prefix_len};
use crate::types::{Cidr, Mac};

/// Who asks.
pub struct Client {
    /// By what the server knows us.
    pub mac: Mac,
    /// One exchange's number.
    pub xid: u32,
    /// Since when we ask, in seconds.
    pub secs: u16,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Who has an address? That one, if it is free.
    Discover(Option<Ipv4Addr>),
    /// That address of that server's offer.
    Select(Ipv4Addr, Ipv4Addr),
    /// More time for that address, which is in use.
    More(Ipv4Addr),
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// This may be had.
    Offer(Lease),
    /// This is ours.
    Ack(Lease),
    /// It is not; in the server's words.
    Nak(String),
}

/// Classless routes stand before the router (RFC 3442), which is not sent then.
const WANTED: &[u8] = &[121, 1, 3, 6, 12, 15, 26, 51, 54, 58, 59, 119];
/// What fits in an Ethernet frame behind the headers of IP and UDP.
const LARGEST: u16 = 1472;
/// Relays and servers of BOOTP's days drop shorter ones.
const SHORTEST: usize = 300;
/// Where a server says nothing of a length.
const DEFAULT: u32 = 3600;
/// Less would be asking all the time.
const LEAST: u32 = 60;

impl Client {
    /// The message.
    pub fn message(&self, ask: Ask) -> Option<Vec<u8>> {
        let none = Ipv4Addr::UNSPECIFIED;
        let (kind, own, wish, server) = match ask {
            Ask::Discover(wish) => (Type::Discover, none, wish, None),
            Ask::Select(wish, server) => (Type::Request, none, Some(wish), Some(server)),
            Ask::More(own) => (Type::Request, own, None, None),
        };
        let repr = DhcpRepr {
            message_type: kind,
            transaction_id: self.xid,
            secs: self.secs,
            client_hardware_address: EthernetAddress(*self.mac.bytes()),
            client_ip: own,
            your_ip: none,
            server_ip: none,
            router: None,
            subnet_mask: None,
            relay_agent_ip: none,
            // Without an address nothing but a broadcast reaches every link.
            broadcast: own == none,
            requested_ip: wish,
            client_identifier: None,
            server_identifier: server,
            parameter_request_list: Some(WANTED),
            dns_servers: None,
            max_size: Some(LARGEST),
            lease_duration: None,
            renew_duration: None,
            rebind_duration: None,
            additional_options: &[],
        };
        let mut bytes = vec![0; repr.buffer_len().max(SHORTEST)];
        repr.emit(&mut DhcpPacket::new_unchecked(bytes.as_mut_slice())).ok().map(|()| bytes)
    }
}

/// What that message says to this client; `None`: it is not for it, or not to be understood.
pub fn decode(client: &Client, bytes: &[u8]) -> Option<Answer> {
    let bytes = options::gathered(bytes);
    let packet = DhcpPacket::new_checked(bytes.as_slice()).ok()?;
    let repr = DhcpRepr::parse(&packet).ok()?;
    if repr.transaction_id != client.xid || repr.client_hardware_address.0 != *client.mac.bytes() {
        return None;
    }
    match repr.message_type {
        Type::Offer => lease(&packet, &repr).map(Answer::Offer),
        Type::Ack => lease(&packet, &repr).map(Answer::Ack),
        Type::Nak => Some(Answer::Nak(options::text(&packet, 56))),
        _ => None,
    }
}

fn lease(packet: &DhcpPacket<&[u8]>, repr: &DhcpRepr<'_>) -> Option<Lease> {
    let addr = repr.your_ip;
    let is_hosts =
        !addr.is_unspecified() && !addr.is_multicast() && !addr.is_loopback() && !addr.is_broadcast();
    let prefix = match repr.subnet_mask {
        Some(mask) => prefix_len(mask)?,
        None => classful(addr),
    };
    let address = Cidr::new(addr.into(), prefix).filter(|_| is_hosts && prefix > 0)?;
    let seconds = repr.lease_duration.unwrap_or(DEFAULT).max(LEAST);
    // Half and seven eighths, where they are not given or make no sense (RFC 2131, 4.4.5).
    let rebind = repr.rebind_duration.filter(|t| (2..seconds).contains(t)).unwrap_or(seconds / 8 * 7);
    let renew =
        repr.renew_duration.filter(|t| (1..rebind).contains(t)).unwrap_or((seconds / 2).min(rebind - 1));
    let Found { routes, search, hostname, mtu, dns } = options::find(packet);
    // An offer without its server's address cannot be taken.
    let server = repr.server_identifier?;
    Some(Lease { address, server, routes, dns, search, hostname, mtu, seconds, renew, rebind })
}

//! The options that smoltcp hands out as bytes. All is checked: whoever answers first on a network may be
//! anybody, and what it says ends up in files.

use std::net::Ipv4Addr;

use smoltcp::wire::DhcpPacket;

use crate::plan::ip_param::is_name;
use crate::types::{Cidr, Route};

/// What is there of them.
pub struct Found {
    pub routes: Vec<Route>,
    pub search: Vec<String>,
    pub hostname: Option<String>,
    pub mtu: Option<u32>,
    pub dns: Vec<Ipv4Addr>,
}

/// As many name servers as resolvers read (MAXNS of resolv.h).
const MOST_SERVERS: usize = 3;
/// The least MTU that every host of IPv4 can do with (RFC 791).
const LEAST_MTU: u16 = 576;

/// Where the fixed part ends, and in it the fields that may hold options besides: `file`, `sname` (RFC 2131).
const FIXED: usize = 240;
const LENT: [(u8, std::ops::Range<usize>); 2] = [(1, 108..236), (2, 44..108)];

/// The message with the options that stand in other fields (option 52, RFC 2132 9.3) behind the others.
pub fn gathered(bytes: &[u8]) -> Vec<u8> {
    let lent = options(bytes, FIXED..bytes.len()).into_iter().find(|o| o.first() == Some(&52));
    let lent = lent.and_then(|o| o.get(2).copied()).unwrap_or(0);
    let fields = LENT.into_iter().filter(|(bit, _)| lent & bit != 0).map(|(_, field)| field);
    let all = std::iter::once(FIXED..bytes.len()).chain(fields).flat_map(|field| options(bytes, field));
    [bytes.get(..FIXED).unwrap_or_default().to_vec(), all.flatten().collect()].concat()
}

/// Those of one field, each as it is written.
fn options(bytes: &[u8], field: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    let (Some(fixed), Some(field)) = (bytes.get(..FIXED), bytes.get(field)) else { return Vec::new() };
    let message = [fixed, field].concat();
    let written = |kind, data: &[u8]| u8::try_from(data.len()).ok().map(|len| [&[kind, len], data].concat());
    let packet = DhcpPacket::new_unchecked(message.as_slice());
    packet.options().filter_map(|o| written(o.kind, o.data)).collect()
}

/// All of an option's parts together: a long one comes in several (RFC 3396).
fn option(packet: &DhcpPacket<&[u8]>, kind: u8) -> Vec<u8> {
    packet.options().filter(|o| o.kind == kind).flat_map(|o| o.data.iter().copied()).collect()
}

/// Text; a NUL at its end is some servers' habit.
pub fn text(packet: &DhcpPacket<&[u8]>, kind: u8) -> String {
    String::from_utf8_lossy(&option(packet, kind)).trim_end_matches('\0').to_owned()
}

fn addresses(bytes: &[u8]) -> impl Iterator<Item = Ipv4Addr> {
    let read = |chunk: &[u8]| <[u8; 4]>::try_from(chunk).ok().map(Ipv4Addr::from);
    bytes.chunks_exact(4).filter_map(read).filter(|a| !a.is_unspecified() && !a.is_broadcast())
}

pub fn find(packet: &DhcpPacket<&[u8]>) -> Found {
    let mut routes = classless(&option(packet, 121)).unwrap_or_default();
    if routes.is_empty() {
        routes.extend(addresses(&option(packet, 3)).next().map(|via| Route::default_by(via.into())));
    }
    // The kernel would refuse such a route, and with it the whole lease.
    let is_there =
        |via: std::net::IpAddr| via != packet.your_ip() && !via.is_loopback() && !via.is_multicast();
    routes.retain(|r| r.via.is_none_or(is_there));
    let mut search = domains(&option(packet, 119));
    if search.is_empty() {
        search = text(packet, 15).split_whitespace().map(|d| d.trim_end_matches('.').to_owned()).collect();
    }
    search.retain(|domain| is_name(domain));
    let mtu = <[u8; 2]>::try_from(option(packet, 26)).ok().map(u16::from_be_bytes);
    Found {
        routes,
        search,
        hostname: Some(text(packet, 12)).filter(|name| is_name(name) && name.len() <= 64),
        mtu: mtu.filter(|mtu| *mtu >= LEAST_MTU).map(u32::from),
        dns: addresses(&option(packet, 6)).take(MOST_SERVERS).collect(),
    }
}

/// RFC 3442: the length of the prefix, as many of its bytes as that needs, the gateway; 0.0.0.0: none.
fn classless(mut bytes: &[u8]) -> Option<Vec<Route>> {
    let mut routes = Vec::new();
    while let [len, rest @ ..] = bytes {
        let (prefix, rest) = rest.split_at_checked(usize::from(len.div_ceil(8)))?;
        let (via, rest) = rest.split_first_chunk::<4>()?;
        let mut network = [0; 4];
        network.get_mut(..prefix.len())?.copy_from_slice(prefix);
        let via = Some(Ipv4Addr::from(*via)).filter(|v| !v.is_unspecified());
        routes.push(Route { to: Cidr::new(network.into(), *len)?.network(), via: via.map(Into::into) });
        bytes = rest;
    }
    Some(routes)
}

/// RFC 3397: names as DNS writes them, one after the other; a pointer leads back to what stood before.
fn domains(bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = 0;
    while next < bytes.len() {
        let Some((name, behind)) = domain(bytes, next) else { break };
        found.push(name);
        next = behind;
    }
    found
}

fn domain(bytes: &[u8], start: usize) -> Option<(String, usize)> {
    let (mut at, mut behind) = (start, None);
    let mut labels: Vec<String> = Vec::new();
    loop {
        match usize::from(*bytes.get(at)?) {
            0 => return Some((labels.join("."), behind.unwrap_or(at + 1))),
            high @ 0xc0.. => {
                behind = behind.or(Some(at + 2));
                let to = (high & 0x3f) << 8 | usize::from(*bytes.get(at + 1)?);
                // Only ever backwards: no circle.
                at = Some(to).filter(|to| *to < at)?;
            }
            len => {
                let label = bytes.get(at + 1..at + 1 + len)?;
                labels.push(String::from_utf8(label.to_vec()).ok()?);
                at += 1 + len;
            }
        }
        if labels.len() > 127 {
            return None;
        }
    }
}

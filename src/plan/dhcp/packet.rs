//! The headers of IPv4 and UDP around a message: a link without an address has no other way.

use std::net::Ipv4Addr;

use smoltcp::wire::{IpProtocol, Ipv4Packet, UdpPacket};

/// Where servers listen.
pub const SERVER_PORT: u16 = 67;
/// Where clients do.
pub const CLIENT_PORT: u16 = 68;

const IP_HEADER: u8 = 20;
const UDP_HEADER: usize = 8;

/// A message from nobody to everybody on the link.
pub fn frame(message: &[u8]) -> Option<Vec<u8>> {
    let (from, to) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
    let udp_len = UDP_HEADER + message.len();
    let mut bytes = vec![0; usize::from(IP_HEADER) + udp_len];
    let mut ip = Ipv4Packet::new_unchecked(&mut bytes);
    ip.set_version(4);
    ip.set_header_len(IP_HEADER);
    ip.set_total_len(u16::try_from(usize::from(IP_HEADER) + udp_len).ok()?);
    ip.set_hop_limit(64);
    ip.set_next_header(IpProtocol::Udp);
    ip.set_src_addr(from);
    ip.set_dst_addr(to);
    ip.fill_checksum();
    let mut udp = UdpPacket::new_unchecked(ip.payload_mut());
    udp.set_src_port(CLIENT_PORT);
    udp.set_dst_port(SERVER_PORT);
    udp.set_len(u16::try_from(udp_len).ok()?);
    udp.payload_mut().copy_from_slice(message);
    udp.fill_checksum(&from.into(), &to.into());
    Some(bytes)
}

/// The message in a packet from a server to a client; `None`: it is something else.
pub fn unframe(bytes: &[u8]) -> Option<&[u8]> {
    let ip = Ipv4Packet::new_checked(bytes).ok()?;
    let is_whole = !ip.more_frags() && ip.frag_offset() == 0;
    if ip.version() != 4 || !ip.verify_checksum() || ip.next_header() != IpProtocol::Udp || !is_whole {
        return None;
    }
    let (from, to) = (ip.src_addr(), ip.dst_addr());
    let inner = bytes.get(usize::from(ip.header_len())..usize::from(ip.total_len()))?;
    let udp = UdpPacket::new_checked(inner).ok()?;
    let is_ours = udp.src_port() == SERVER_PORT && udp.dst_port() == CLIENT_PORT;
    let is_right =
        udp.verify_checksum(&from.into(), &to.into()) || udp.checksum() == partial(from, to, udp.len());
    (is_ours && is_right).then(|| inner.get(UDP_HEADER..usize::from(udp.len())))?
}

/// What stands in the field while the sum is left to hardware that never saw the packet, as between
/// virtual machines and containers of one host: the sum over the addresses, the protocol and the length.
fn partial(from: Ipv4Addr, to: Ipv4Addr, len: u16) -> u16 {
    let halves = |a: Ipv4Addr| (a.to_bits() >> 16) + (a.to_bits() & 0xffff);
    let sum = halves(from) + halves(to) + u32::from(u8::from(IpProtocol::Udp)) + u32::from(len);
    let folded = (sum >> 16) + (sum & 0xffff);
    u16::try_from((folded >> 16) + (folded & 0xffff)).unwrap_or(0)
}

//! What stands in one field.

use std::net::{IpAddr, Ipv4Addr};

use super::Method;

/// The fields between colons; those within `[brackets]` separate nothing.
pub fn cut(text: &str) -> Result<Vec<&str>, String> {
    let mut depth = 0_u8;
    let fields = text.split(|c| {
        match c {
            '[' => depth = depth.saturating_add(1),
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ':' && depth == 0
    });
    let fields = fields.collect();
    if depth > 0 { Err("a bracket is open to the end".into()) } else { Ok(fields) }
}

/// One of the words for a method; `None`: it is none of them.
pub fn word(text: &str) -> Option<Result<Method, String>> {
    let only = |what: &str| Some(Err(format!("{text}: kboot {what}")));
    match text {
        "dhcp" | "on" | "any" => Some(Ok(Method::Dhcp)),
        "off" | "none" => Some(Ok(Method::Off)),
        "bootp" | "rarp" | "both" => only("speaks DHCP only: give dhcp"),
        "dhcp6" | "auto6" | "either6" | "link6" | "ra6" | "link-local" => only(
            "sets IPv6 addresses as written only; routers' advertisements are the kernel's: leave it away",
        ),
        "ibft" => only("reads no iBFT: give dhcp or the address"),
        _ => None,
    }
}

/// An address; `None` where there is none, or 0.0.0.0 stands for none.
pub fn address(text: &str) -> Result<Option<IpAddr>, String> {
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let parsed = match (inner, text) {
        (_, "") => return Ok(None),
        (Some(inner), _) => inner.parse().ok().map(IpAddr::V6),
        (None, text) => text.parse().ok().map(IpAddr::V4),
    };
    let addr = parsed.ok_or_else(|| format!("{text:?}: is no IPv4 address, nor an IPv6 one in brackets"))?;
    let is_nobodys = addr.is_multicast() || addr == IpAddr::V4(Ipv4Addr::BROADCAST);
    if is_nobodys {
        Err(format!("{text:?}: is no host's"))
    } else {
        Ok(Some(addr).filter(|a| !a.is_unspecified()))
    }
}

/// The prefix length of a netmask, or of its own number.
pub fn mask(text: &str) -> Option<u8> {
    match text.parse::<Ipv4Addr>() {
        Ok(dotted) => prefix_len(dotted),
        Err(_) => text.parse().ok(),
    }
}

/// The length of the prefix that a netmask stands for, if its ones are all in front.
pub fn prefix_len(mask: Ipv4Addr) -> Option<u8> {
    let ones = mask.to_bits().leading_ones();
    (mask.to_bits().checked_shl(ones).unwrap_or(0) == 0).then(|| u8::try_from(ones).ok())?
}

/// By the address's class, as the kernel takes it where no netmask is given.
pub fn classful(addr: Ipv4Addr) -> u8 {
    match addr.octets()[0] {
        0..=127 => 8,
        128..=191 => 16,
        _ => 24,
    }
}

/// A name such as RFC 1123 has them; `_` is met as well.
pub fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// The name before the first dot and the domain behind it.
pub fn hostname(text: &str) -> Result<Option<(String, Option<String>)>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if !is_name(text) {
        return Err(format!("hostname {text:?}: is none"));
    }
    let (name, domain) = text.split_once('.').map_or((text, None), |(name, domain)| (name, Some(domain)));
    Ok(Some((name.to_owned(), domain.map(str::to_owned))))
}

//! The kernel parameter `ip=`, as the kernel reads it (Documentation/admin-guide/nfs/nfsroot.rst:
//! `CLIENT:SERVER:GATEWAY:NETMASK:HOSTNAME:DEVICE:AUTOCONF:DNS0:DNS1:NTP`), and dracut's forms beside it
//! (dracut.cmdline(7)): `DEVICE:dhcp[:MTU]`, a prefix length for the netmask, `[IPv6]` in brackets, the
//! MTU in place of DNS0.

mod fields;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::str::FromStr;

pub use fields::{classful, is_name, prefix_len};

use crate::types::{Cidr, IfName, Mac};
use fields::{address, cut, hostname, mask, word};

/// Which link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// By its name.
    Name(IfName),
    /// By its Ethernet address.
    Mac(Mac),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self::Mac).or_else(|_| text.parse().map(Self::Name))
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Mac(mac) => mac.fmt(f),
        }
    }
}

/// How a link comes to its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// Not at all: it is left alone.
    Off,
    /// By DHCP.
    Dhcp,
    /// As written: an address, and the gateway.
    Static(Cidr, Option<IpAddr>),
}

/// One `ip=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// `None`: the first that is fit.
    pub device: Option<Device>,
    /// Where its address comes from.
    pub method: Method,
    /// This host's name, and the domain behind it.
    pub hostname: Option<(String, Option<String>)>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// In bytes.
    pub mtu: Option<u32>,
}

impl Param {
    /// DHCP, on that link.
    pub fn dhcp(device: Option<Device>) -> Self {
        Self { device, method: Method::Dhcp, hostname: None, dns: Vec::new(), mtu: None }
    }
}

const FORMS: &str = "give dhcp, DEVICE:dhcp, off or CLIENT:SERVER:GATEWAY:NETMASK:HOSTNAME:DEVICE:none";

impl FromStr for Param {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fields = cut(text)?;
        let at = |index: usize| fields.get(index).copied().unwrap_or_default();
        match (fields.len(), word(at(0)), word(at(1))) {
            (1, _, _) if text.is_empty() => Err(format!("is empty: {FORMS}")),
            (1, Some(method), _) => Ok(Self { method: method?, ..Self::dhcp(None) }),
            (2..=3, None, Some(method)) => {
                let device = at(0).parse().map_err(|why| format!("device {:?}: {why}", at(0)))?;
                Ok(Self { method: method?, mtu: mtu(at(2))?, ..Self::dhcp(Some(device)) })
            }
            (1..=10, None, _) => full(&at, fields.len()),
            (_, None, _) => Err(format!(
                "has {} fields, not 10 at most: IPv6 addresses stand in [brackets]",
                fields.len()
            )),
            _ => Err(format!("{:?} stands alone or behind a device: {FORMS}", at(0))),
        }
    }
}

fn mtu(text: &str) -> Result<Option<u32>, String> {
    let number = text.parse::<u32>().ok().filter(|mtu| (68..=65_535).contains(mtu));
    match text {
        "" => Ok(None),
        _ => number.map(Some).ok_or_else(|| format!("MTU {text:?}: is none of 68 to 65535")),
    }
}

fn full<'a>(at: &impl Fn(usize) -> &'a str, count: usize) -> Result<Param, String> {
    let dns_at = |index| address(at(index)).map_err(|why| format!("name server {why}"));
    let has_mtu = !at(7).is_empty() && at(7).bytes().all(|b| b.is_ascii_digit());
    if has_mtu && count > 8 {
        return Err("a MAC address behind the MTU is not set by kboot: leave it away".into());
    }
    let dns = if has_mtu { [None, None] } else { [dns_at(7)?, dns_at(8)?] };
    address(at(1)).map_err(|why| format!("server {why}"))?;
    address(at(9)).map_err(|why| format!("NTP server {why}"))?;
    let method = method(at)?;
    let device = at(5);
    let parsed = device.parse().map_err(|why| format!("device {device:?}: {why}"));
    Ok(Param {
        device: if device.is_empty() { None } else { Some(parsed?) },
        method,
        hostname: hostname(at(4))?,
        dns: dns.into_iter().flatten().collect(),
        mtu: if has_mtu { mtu(at(7))? } else { None },
    })
}

fn method<'a>(at: &impl Fn(usize) -> &'a str) -> Result<Method, String> {
    let (client, prefix) = match at(0).split_once('/') {
        Some((client, prefix)) => (client, Some(prefix)),
        None => (at(0), Some(at(3)).filter(|text| !text.is_empty())),
    };
    let client = address(client).map_err(|why| format!("address {why}"))?;
    let gateway = address(at(2)).map_err(|why| format!("gateway {why}"))?;
    let auto = match at(6) {
        "" => Method::Dhcp,
        text => {
            word(text).unwrap_or_else(|| Err(format!("autoconf {text:?}: is none of dhcp, on, off, none")))?
        }
    };
    let Some(client) = client else { return Ok(auto) };
    if at(6) == "dhcp" {
        return Err("an address and dhcp: give one of them".into());
    }
    let len = match (prefix, client) {
        (None, IpAddr::V4(addr)) => Some(classful(addr)),
        (None, IpAddr::V6(_)) => None,
        (Some(text), _) => mask(text),
    };
    let cidr = len.and_then(|len| Cidr::new(client, len)).ok_or_else(|| {
        format!("netmask {:?}: is none, nor the length of a prefix", prefix.unwrap_or_default())
    })?;
    if gateway.is_some_and(|g| g.is_ipv4() != cidr.is_ipv4() || g == client) {
        return Err(format!("gateway {}: is none for {client}", at(2)));
    }
    Ok(Method::Static(cidr, gateway))
}

/// What several of them say together: whether no two speak of the same.
pub fn check(all: &[Param]) -> Result<(), String> {
    let family = |p: &Param| matches!(&p.method, Method::Static(cidr, _) if !cidr.is_ipv4());
    for (at, one) in all.iter().enumerate() {
        if all[..at].iter().any(|other| other.device == one.device && family(other) == family(one)) {
            return Err(match &one.device {
                Some(device) => format!("{device} is configured twice"),
                None => "two of them name no device".into(),
            });
        }
    }
    Ok(())
}

/// pxelinux's `BOOTIF=01-52-54-00-12-34-56`: the link that this host was booted by.
pub fn boot_link(text: &str) -> Option<Mac> {
    text.strip_prefix("01-")?.replace('-', ":").parse().ok()
}

//! flannel's /run/flannel/subnet.env: read strictly, without a shell, and the values made of it.

use super::shell::word;
use crate::types::Cidr;

/// Every key that flanneld ever wrote: SUBNET and MTU since 0.1.0, IPMASQ 0.2.1, NETWORK 0.5.3, the
/// IPv6 ones 0.15.0 (`WriteSubnetFile`).
pub const KEYS: [&str; 6] = [
    "FLANNEL_NETWORK",
    "FLANNEL_SUBNET",
    "FLANNEL_IPV6_NETWORK",
    "FLANNEL_IPV6_SUBNET",
    "FLANNEL_MTU",
    "FLANNEL_IPMASQ",
];

/// A host's lease: one set of values, never mixed from two places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// The subnet of this host with flannel's host bits, IPv4.
    pub subnet: Option<Cidr>,
    /// The same, IPv6.
    pub subnet6: Option<Cidr>,
    /// The cluster's networks, IPv4 (flannel 0.21.0 to 0.24.4 may write several).
    pub networks: Vec<Cidr>,
    /// The same, IPv6.
    pub networks6: Vec<Cidr>,
    /// The MTU for links of pods, in bytes.
    pub mtu: Option<u32>,
    /// Whether flanneld itself masquerades.
    pub ipmasq: Option<bool>,
}

/// What a look at a lease file showed.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// All that flanneld always writes is there.
    Whole(Lease),
    /// Something is missing yet (flannel 0.1 and 0.2 wrote in place).
    Partial(String),
}

/// Reads the file. An error is a line that flanneld never writes: `line 3: why`.
pub fn parse(text: &str) -> Result<Read, String> {
    let mut lease = Lease::default();
    let mut seen = Vec::new();
    let (whole_lines, cut_off) = text.rsplit_once('\n').unwrap_or(("", text));
    for (at, line) in whole_lines.split('\n').enumerate() {
        take_line(&mut lease, &mut seen, line).map_err(|why| format!("line {}: {why}", at + 1))?;
    }
    // The last value that is ever written needs no line break to be known whole.
    let is_last_value = matches!(cut_off.trim_end(), "FLANNEL_IPMASQ=true" | "FLANNEL_IPMASQ=false");
    if is_last_value {
        take_line(&mut lease, &mut seen, cut_off)?;
    }
    if lease.subnet.is_none() && lease.subnet6.is_none() {
        return Ok(Read::Partial("has no FLANNEL_SUBNET yet".into()));
    }
    if lease.mtu.is_none() {
        return Ok(Read::Partial("has no FLANNEL_MTU yet".into()));
    }
    if !cut_off.is_empty() && !is_last_value {
        return Ok(Read::Partial("its last line has no end yet".into()));
    }
    Ok(Read::Whole(lease))
}

/// Makes a lease of variables as `source subnet.env` leaves them. An error names the variable.
pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Lease, String> {
    let mut lease = Lease::default();
    for key in KEYS {
        if let Some(value) = get(key).filter(|v| !v.is_empty()) {
            set(&mut lease, key, &value).map_err(|why| format!("{key}={value}: {why}"))?;
        }
    }
    Ok(lease)
}

/// One line as a shell would read it, but for anything that a shell would expand or execute.
fn take_line(lease: &mut Lease, seen: &mut Vec<String>, line: &str) -> Result<(), String> {
    let mut rest = line.trim();
    if let Some(after) = rest.strip_prefix("export").filter(|r| r.starts_with([' ', '\t'])) {
        rest = after.trim_start();
    }
    while !rest.is_empty() && !rest.starts_with('#') {
        let (key, value) = rest.split_once('=').ok_or("is not KEY=value")?;
        if !KEYS.contains(&key) {
            let why = match key.trim() {
                trimmed if KEYS.contains(&trimmed) => "a blank stands before the =",
                _ if key.starts_with('\u{feff}') => "begins with a byte order mark",
                _ => "is no key that flannel writes",
            };
            return Err(format!("{} {why}", printable(key.trim())));
        }
        if seen.iter().any(|s| s == key) {
            return Err(format!("{key} stands there twice"));
        }
        seen.push(key.to_owned());
        let (value, after) = word(value).map_err(|why| format!("{key}: {why}"))?;
        set(lease, key, &value).map_err(|why| format!("{key}={}: {why}", printable(&value)))?;
        rest = after.trim_start();
    }
    Ok(())
}

fn printable(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn set(lease: &mut Lease, key: &str, value: &str) -> Result<(), String> {
    let subnet = |v4: bool| {
        let cidr = Cidr::parse_subnet(value)?;
        if cidr.is_ipv4() == v4 { Ok(Some(cidr)) } else { Err("is of the other address family".to_owned()) }
    };
    let networks = |v4: bool| {
        let list: Result<Vec<Cidr>, String> = value.split(',').map(str::parse).collect();
        list.and_then(|l| {
            if l.iter().all(|c| c.is_ipv4() == v4) {
                Ok(l)
            } else {
                Err("is of the other address family".to_owned())
            }
        })
    };
    match key {
        "FLANNEL_SUBNET" => lease.subnet = subnet(true)?,
        "FLANNEL_IPV6_SUBNET" => lease.subnet6 = subnet(false)?,
        "FLANNEL_NETWORK" => lease.networks = networks(true)?,
        "FLANNEL_IPV6_NETWORK" => lease.networks6 = networks(false)?,
        "FLANNEL_MTU" => lease.mtu = Some(parse_mtu(value)?),
        _ => {
            lease.ipmasq = match value {
                "true" => Some(true),
                "false" => Some(false),
                _ => return Err("is neither true nor false".into()),
            }
        }
    }
    Ok(())
}

/// An MTU: 68 bytes is the least that IPv4 works with (RFC 791), 65535 the most a bridge takes.
pub fn parse_mtu(text: &str) -> Result<u32, String> {
    let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    number
        .filter(|n| (68..=65535).contains(n))
        .ok_or_else(|| "is no MTU: give a number from 68 to 65535".to_owned())
}

/// Whether links with these addresses can have that MTU.
pub fn check_mtu(mtu: Option<u32>, addrs: &[Cidr]) -> Result<(), String> {
    match mtu.filter(|mtu| *mtu < 1280 && addrs.iter().any(|a| !a.is_ipv4())) {
        Some(mtu) => Err(format!("the MTU {mtu} is too small for IPv6, which needs 1280 (RFC 8200)")),
        None => Ok(()),
    }
}

impl Lease {
    /// Its subnets, IPv4 first.
    pub fn subnets(&self) -> impl Iterator<Item = Cidr> + '_ {
        self.subnet.into_iter().chain(self.subnet6)
    }

    /// All variables of it that have a value: flannel's own, then what a boot script needs made of
    /// each subnet: `_IP` and `_GATEWAY` the node's own address in it, `_NETWORK` the subnet masked, `_LEN`
    /// its prefix length, `_FIRST` and `_LAST` the first and last address that a pod can have.
    pub fn variables(&self) -> Vec<(String, String)> {
        let list = |cidrs: &[Cidr]| {
            let texts: Vec<String> = cidrs.iter().map(ToString::to_string).collect();
            (!texts.is_empty()).then(|| texts.join(","))
        };
        let values = [
            list(&self.networks),
            self.subnet.map(|c| c.to_string()),
            list(&self.networks6),
            self.subnet6.map(|c| c.to_string()),
            self.mtu.map(|m| m.to_string()),
            self.ipmasq.map(|b| b.to_string()),
        ];
        let own = KEYS.into_iter().zip(values);
        let mut all: Vec<(String, String)> = own.filter_map(|(k, v)| Some((k.to_owned(), v?))).collect();
        for (key, subnet) in [("FLANNEL_SUBNET", self.subnet), ("FLANNEL_IPV6_SUBNET", self.subnet6)] {
            if let Some(cidr) = subnet {
                let pods = cidr.pods();
                all.push((format!("{key}_IP"), cidr.host().addr().to_string()));
                all.push((format!("{key}_NETWORK"), cidr.network().to_string()));
                all.push((format!("{key}_LEN"), cidr.prefix_len().to_string()));
                all.push((format!("{key}_GATEWAY"), cidr.host().addr().to_string()));
                all.push((format!("{key}_FIRST"), pods.0.to_string()));
                all.push((format!("{key}_LAST"), pods.1.to_string()));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests;

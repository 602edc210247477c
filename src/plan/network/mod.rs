//! flannel's network config in etcd, judged as flanneld judges it (`ParseConfig` and `CheckNetworkConfig`
//! of pkg/subnet/config.go), version by version.

mod backend;
pub mod backends;
pub mod compose;
pub mod difference;
mod family;
mod go_json;
pub mod judge;
mod secret;

use std::net::IpAddr;

use serde_json::{Value, json};

pub use backend::Backend;
pub use family::Leases;
pub use secret::{is_secret, is_shown, shown};

use crate::plan::nearest::nearest;
use crate::types::{Cidr, Version, show_version};
use family::Asked;
use go_json::{NoObject, Pairs};

/// The newest flannel whose rules are known; taken when no version is given.
pub const NEWEST: Version = (0, 28, 9);

/// A config that flanneld takes.
#[derive(Debug)]
pub struct NetworkConfig {
    /// The bytes to write, verbatim.
    pub text: String,
    /// IPv4, unless switched off.
    pub ipv4: Option<Leases>,
    /// IPv6, if switched on.
    pub ipv6: Option<Leases>,
    /// How packets travel between hosts.
    pub backend: Backend,
    /// What flanneld takes, or passes over, though it cannot be meant so: errors, unless allowed.
    pub odd: Vec<String>,
    /// What one should know.
    pub warnings: Vec<String>,
    nftables: bool,
}

/// Every name that flanneld's Config ever had, and the version it came with.
const KEYS: [(&str, Version); 14] = [
    ("Network", (0, 1, 0)),
    ("SubnetLen", (0, 1, 0)),
    ("SubnetMin", (0, 1, 0)),
    ("SubnetMax", (0, 1, 0)),
    ("Backend", (0, 1, 0)),
    ("EnableIPv4", (0, 15, 0)),
    ("EnableIPv6", (0, 15, 0)),
    ("IPv6Network", (0, 15, 0)),
    ("IPv6SubnetLen", (0, 15, 0)),
    ("IPv6SubnetMin", (0, 15, 0)),
    ("IPv6SubnetMax", (0, 15, 0)),
    ("EnableNFTables", (0, 25, 0)),
    ("Networks", (0, 21, 0)),
    ("IPv6Networks", (0, 21, 0)),
];

/// Reads and judges a config by the rules of one version of flannel. Errors begin with the field.
pub fn parse(text: &str, version: Version) -> Result<NetworkConfig, String> {
    let pairs = go_json::object(text).map_err(|why| match why {
        NoObject::NotJson(why) => format!("is not JSON: {why}"),
        NoObject::Other => "is JSON, but no object with a Network in it".into(),
    })?;
    let odd = sort_out(&pairs, version);
    let known = Pairs(pairs.0.iter().filter(|(n, _)| knows(n, version)).cloned().collect());
    let flag = |name: &str| known.plain(name, go_json::boolean, "boolean");
    let has_ipv4 = flag("EnableIPv4")?.unwrap_or(true);
    let has_ipv6 = flag("EnableIPv6")?.unwrap_or(false);
    let nftables = flag("EnableNFTables")?.unwrap_or(false);
    let before_0_10 = version < (0, 10, 0);
    let (asked4, asked6) = (asked(&known, "", true)?, asked(&known, "IPv6", false)?);
    if !has_ipv4 && !has_ipv6 {
        return Err("EnableIPv4: is off, and EnableIPv6 is not on: no family is left".into());
    }
    if has_ipv4 && asked4.network.is_none() {
        let instead = odd.first().map(|o| format!(" ({o})")).unwrap_or_default();
        return Err(format!("Network: is missing{instead}"));
    }
    let ipv4 = has_ipv4.then(|| family::leases(&asked4, true, before_0_10)).transpose()?;
    let ipv6 = has_ipv6.then(|| family::leases(&asked6, false, false)).transpose()?;
    let backend = Backend::read(known.all("Backend").next_back(), version)?;
    let mut config = NetworkConfig {
        text: text.to_owned(),
        odd: [odd, backend.odd.clone()].concat(),
        warnings: backend.warnings.clone(),
        ipv4,
        ipv6,
        backend,
        nftables,
    };
    config.warn_of(&pairs, &known, has_ipv6);
    Ok(config)
}

fn knows(name: &str, version: Version) -> bool {
    KEYS.iter().any(|(key, since)| key.eq_ignore_ascii_case(name) && *since <= version)
}

/// What the names of a family hold; both families' are read, also that of one that is off: Go does.
fn asked(pairs: &Pairs<'_>, prefix: &str, is_ipv4: bool) -> Result<Asked, String> {
    let network = pairs.unquoted(&format!("{prefix}Network"), str::parse::<Cidr>)?;
    let addr = |name: &str| -> Result<Option<IpAddr>, String> {
        let name = format!("{prefix}{name}");
        // flanneld's IPv6 bounds are pointers: null makes them unset. Its IPv4 ones choke on it.
        if !is_ipv4 && pairs.all(&name).next_back() == Some("null") {
            return Ok(None);
        }
        let family = if is_ipv4 { "IPv4" } else { "IPv6" };
        let parse = |text: &str| {
            let addr = text.parse::<IpAddr>().ok().filter(|a| a.is_ipv4() == is_ipv4);
            addr.ok_or_else(|| format!("is not an {family} address"))
        };
        pairs.unquoted(&name, parse)
    };
    let len = pairs.plain(&format!("{prefix}SubnetLen"), go_json::unsigned, "whole number")?;
    Ok(Asked { network, len, min: addr("SubnetMin")?, max: addr("SubnetMax")? })
}

/// What is wrong with the names that this flannel does not know.
fn sort_out(pairs: &Pairs<'_>, version: Version) -> Vec<String> {
    let mut odd = Vec::new();
    for (name, _) in pairs.0.iter().filter(|(n, _)| !knows(n, version)) {
        let later = KEYS.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        odd.push(match later {
            Some((key, since)) => format!(
                "{key}: flannel {} passes over it: it came with {}",
                show_version(version),
                show_version(*since)
            ),
            None if backends::is_field(name) || name.eq_ignore_ascii_case("Type") => {
                format!("{name}: belongs inside of Backend")
            }
            None => {
                let near = nearest_key(name).map(|n| format!(": did you mean {n}?")).unwrap_or_default();
                format!("{name}: flannel knows no such field{near}")
            }
        });
    }
    odd
}

fn nearest_key(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    let names: Vec<String> = KEYS.iter().map(|(key, _)| key.to_ascii_lowercase()).collect();
    let near = nearest(&lower, names.iter().map(String::as_str))?;
    KEYS.iter().map(|(key, _)| *key).find(|key| key.eq_ignore_ascii_case(near))
}

impl NetworkConfig {
    fn warn_of(&mut self, pairs: &Pairs<'_>, known: &Pairs<'_>, has_ipv6: bool) {
        for (name, last) in pairs.repeated() {
            let is_short = is_shown(name) && !name.eq_ignore_ascii_case("Backend");
            let last = if is_short { format!(", {last}") } else { String::new() };
            self.warnings.push(format!("{name}: stands there twice: flannel takes the last{last}"));
        }
        // Read, and then emptied: they are for the Kubernetes mode.
        for name in ["Networks", "IPv6Networks"].into_iter().filter(|n| known.all(n).next().is_some()) {
            self.odd.push(format!("{name}: flannel passes over it: give one Network"));
        }
        let is_six = |name: &&str| known.all(name).next().is_some() && !has_ipv6;
        for name in
            ["IPv6Network", "IPv6SubnetLen", "IPv6SubnetMin", "IPv6SubnetMax"].into_iter().filter(is_six)
        {
            self.odd.push(format!("{name}: flannel passes over it without \"EnableIPv6\": true"));
        }
    }

    /// Both families' subnets.
    pub fn leases(&self) -> impl Iterator<Item = &Leases> {
        self.ipv4.iter().chain(&self.ipv6)
    }

    /// Whether flanneld would lease just these subnets, of the families that there are.
    pub fn would_lease(&self, subnet: Option<Cidr>, subnet6: Option<Cidr>) -> bool {
        let fits = |subnet: Option<Cidr>, leases: &Option<Leases>| match (subnet, leases) {
            (Some(subnet), Some(leases)) => leases.would_lease(&subnet),
            (subnet, leases) => subnet.is_none() && leases.is_none(),
        };
        fits(subnet, &self.ipv4) && fits(subnet6, &self.ipv6)
    }

    /// How many hosts can be served: as many as the smaller family has subnets.
    pub fn hosts(&self) -> u128 {
        self.leases().map(Leases::count).min().unwrap_or(0)
    }

    /// For the log: `10.10.10.0-10.10.255.0 by /24, 246 hosts, udp`.
    pub fn summary(&self) -> String {
        let leases: Vec<String> = self.leases().map(Leases::shown).collect();
        let (hosts, kind) = (self.hosts(), &self.backend.kind);
        format!("{}, for {hosts} hosts, {kind}", leases.join(" and "))
    }

    /// What flanneld makes of it: each field with its effective value, those that are absent too.
    pub fn effective(&self) -> Vec<(String, Value)> {
        let mut all = vec![("EnableIPv4".to_owned(), json!(self.ipv4.is_some()))];
        all.push(("EnableIPv6".into(), json!(self.ipv6.is_some())));
        for (prefix, leases) in [("", &self.ipv4), ("IPv6", &self.ipv6)] {
            if let Some(leases) = leases {
                all.push((format!("{prefix}Network"), json!(leases.network.to_string())));
                all.push((format!("{prefix}SubnetLen"), json!(leases.len)));
                all.push((format!("{prefix}SubnetMin"), json!(leases.min.to_string())));
                all.push((format!("{prefix}SubnetMax"), json!(leases.max.to_string())));
            }
        }
        all.push(("EnableNFTables".into(), json!(self.nftables)));
        all.push(("Backend.Type".into(), json!(self.backend.kind)));
        let fields = self.backend.fields.iter().map(|(k, v)| (format!("Backend.{k}"), v.clone()));
        all.into_iter().chain(fields).collect()
    }
}

/// PREFIX/NAME as flannel's path.Join cleans it: v3 keys are literal. A prefix without its first slash is
/// another key in v3 than in v2: an error.
pub fn key(prefix: &str, name: &str) -> Result<String, String> {
    if !prefix.starts_with('/') {
        return Err(format!(
            "does not begin with a slash: give /{prefix}, and flanneld's --etcd-prefix alike"
        ));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in prefix.split('/').chain([name]) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}

#[cfg(test)]
mod tests;

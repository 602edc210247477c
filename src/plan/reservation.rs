//! Reservations: leases without an end, as flannel's Documentation/reservations.md has them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::json;

use super::host_lease::{HostLease, key_name};
use crate::types::Cidr;

/// What `--reserve` asks for: a subnet that one host shall always get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The subnet, IPv4.
    pub subnet: Cidr,
    /// The subnet, IPv6.
    pub subnet6: Option<Cidr>,
    /// The host's `PublicIP`.
    pub ip: Ipv4Addr,
    /// The host's `PublicIPv6`.
    pub ip6: Option<Ipv6Addr>,
}

impl std::str::FromStr for Reservation {
    type Err = String;

    /// `CIDR=IP`, in dual stack `CIDR+CIDR=IP` or `CIDR+CIDR=IP+IP`.
    fn from_str(text: &str) -> Result<Self, String> {
        let form =
            || "is not CIDR=IP such as 10.10.48.0/24=10.99.0.7 (dual stack: CIDR+CIDR6=IP+IP6)".to_owned();
        let (ranges, ips) = text.split_once('=').ok_or_else(form)?;
        let pair = |text: &str| match text.split_once('+') {
            Some((a, b)) => (a.to_owned(), Some(b.to_owned())),
            None => (text.to_owned(), None),
        };
        let (four, six) = pair(ranges);
        let subnet = Cidr::parse_subnet(&four)?;
        let subnet6 = six.map(|s| Cidr::parse_subnet(&s)).transpose()?;
        let (ip, ip6) = pair(ips);
        let ip: IpAddr = ip.parse().map_err(|_| form())?;
        let ip6 = ip6.map(|t| t.parse::<Ipv6Addr>()).transpose().map_err(|_| form())?;
        match (subnet.is_ipv4(), subnet6.is_none_or(|c| !c.is_ipv4()), ip) {
            (true, true, IpAddr::V4(ip)) if is_hosts(ip) && !subnet.contains(ip.into()) => {
                Ok(Self { subnet, subnet6, ip, ip6 })
            }
            (true, true, IpAddr::V4(ip)) => Err(format!("{ip} can be no host's address")),
            _ => Err(form()),
        }
    }
}

fn is_hosts(ip: Ipv4Addr) -> bool {
    !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || ip.is_broadcast())
}

impl Reservation {
    /// The last part of its key.
    pub fn key_name(&self) -> String {
        key_name(&self.subnet, self.subnet6.as_ref())
    }

    /// What is written: the host fills in the rest when it takes it.
    pub fn value(&self) -> String {
        let mut value = json!({ "PublicIP": self.ip.to_string() });
        if let Some(six) = self.ip6 {
            value["PublicIPv6"] = json!(six.to_string());
        }
        value.to_string()
    }

    /// Whether it can be had beside the leases that there are; `Some`: the entry of just this key and
    /// host. The error is a conflict.
    pub fn fits<'l>(&self, leases: &'l [HostLease]) -> Result<Option<&'l HostLease>, String> {
        let ip = self.ip;
        for lease in leases {
            match (self.has_key_of(lease), lease.public_ip == Some(ip.into())) {
                (true, true) => return Ok(Some(lease)),
                (_, false) if self.overlaps(lease) => {
                    return Err(format!(
                        "{} is leased to {}, wanted is {ip}",
                        lease.subnets(),
                        lease.holder()
                    ));
                }
                (false, true) => {
                    return Err(format!("{ip} has {} already: one host has one subnet", lease.subnets()));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn has_key_of(&self, lease: &HostLease) -> bool {
        (lease.subnet, lease.subnet6) == (self.subnet.network(), self.subnet6.map(|c| c.network()))
    }

    fn overlaps(&self, lease: &HostLease) -> bool {
        let share = |a: Cidr, b: Cidr| a.contains(b.network().addr()) || b.contains(a.network().addr());
        let six = self.subnet6.zip(lease.subnet6);
        share(self.subnet, lease.subnet) || six.is_some_and(|(a, b)| share(a, b))
    }

    /// The lease that it will be.
    pub fn lease(&self) -> HostLease {
        HostLease {
            subnet: self.subnet.network(),
            subnet6: self.subnet6.map(|c| c.network()),
            public_ip: Some(self.ip.into()),
            public_ip6: self.ip6.map(IpAddr::V6),
            backend: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::host_lease::parse;
    use super::*;

    #[test]
    fn reservations() {
        let wanted: Reservation = "10.5.52.0/24=192.0.2.8".parse().unwrap();
        assert_eq!(
            (wanted.key_name().as_str(), wanted.value().as_str()),
            ("10.5.52.0-24", r#"{"PublicIP":"192.0.2.8"}"#)
        );
        let dual: Reservation = "10.5.1.0/24+fd00:12::/64=192.0.2.7+2001:db8::7".parse().unwrap();
        assert_eq!(dual.key_name(), "10.5.1.0-24&fd00:12::-64");
        assert_eq!(dual.value(), r#"{"PublicIP":"192.0.2.7","PublicIPv6":"2001:db8::7"}"#);
        for text in [
            "10.5.52.0/24",
            "10.5.52.0=192.0.2.8",
            "fd00::/64=192.0.2.8",
            "10.5.52.0/24=fd00::1",
            "10.5.52.0/24=0.0.0.0",
            "10.5.52.0/24=127.0.0.1",
            "10.5.52.0/24=10.5.52.7",
            "10.5.52.0/24+10.5.53.0/24=192.0.2.8",
        ] {
            assert!(text.parse::<Reservation>().is_err(), "{text}");
        }
        let held =
            |key: &str, ip: &str| [parse(key, format!(r#"{{"PublicIP":"{ip}"}}"#).as_bytes()).unwrap()];
        for (key, ip, error) in [
            ("/10.5.52.0-24", "192.0.2.8", None),
            ("/10.5.53.0-24", "192.0.2.9", None),
            ("/10.5.52.0-24", "192.0.2.9", Some("10.5.52.0/24 is leased to 192.0.2.9, wanted is 192.0.2.8")),
            ("/10.5.52.0-25", "192.0.2.9", Some("10.5.52.0/25 is leased to 192.0.2.9, wanted is 192.0.2.8")),
            (
                "/10.5.53.0-24",
                "192.0.2.8",
                Some("192.0.2.8 has 10.5.53.0/24 already: one host has one subnet"),
            ),
        ] {
            assert_eq!(wanted.fits(&held(key, ip)).err().as_deref(), error, "{key} {ip}");
        }
    }
}

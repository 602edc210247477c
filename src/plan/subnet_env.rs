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
    rest = rest.strip_prefix("export ").unwrap_or(rest).trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (key, value) = rest.split_once('=').ok_or("is not KEY=value")?;
        if !KEYS.contains(&key) {
            return Err(format!("{} is no key that flannel writes", printable(key)));
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEED: &str = "FLANNEL_SUBNET=10.10.48.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n";

    fn whole(text: &str) -> Lease {
        match parse(text) {
            Ok(Read::Whole(lease)) => lease,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn every_generation_of_the_file_is_read() {
        let seed = whole(SEED);
        assert_eq!(seed.subnet.unwrap().to_string(), "10.10.48.1/24");
        assert_eq!((seed.mtu, seed.ipmasq), (Some(1472), Some(false)));
        // 0.1.0 wrote these two only.
        assert_eq!(whole("FLANNEL_SUBNET=10.1.74.1/24\nFLANNEL_MTU=1450\n").ipmasq, None);
        // 0.15 and later, both families.
        let dual = whole(
            "FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.3.1/24\nFLANNEL_IPV6_NETWORK=fd00:42::/56\n\
             FLANNEL_IPV6_SUBNET=fd00:42:0:3::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
        );
        assert_eq!(dual.subnets().count(), 2);
        assert_eq!(dual.networks6[0].to_string(), "fd00:42::/56");
        // IPv6 only: no FLANNEL_SUBNET at all.
        let six = whole(
            "FLANNEL_IPV6_NETWORK=fd00:42::/56\nFLANNEL_IPV6_SUBNET=fd00:42:0:3::1/64\nFLANNEL_MTU=1430\n",
        );
        assert_eq!(six.subnet, None);
        // 0.21.0 to 0.24.4: a comma list.
        assert_eq!(whole(&format!("FLANNEL_NETWORK=10.5.0.0/16,10.6.0.0/16\n{SEED}")).networks.len(), 2);
    }

    #[test]
    fn shell_forms_are_read_without_a_shell() {
        let lease = whole("# lease\r\nexport FLANNEL_SUBNET=\"10.1.2.1/24\"\r\n\r\nFLANNEL_MTU='1400'\r\n");
        assert_eq!((lease.subnet.unwrap().to_string().as_str(), lease.mtu), ("10.1.2.1/24", Some(1400)));
        let lease = whole(
            "export FLANNEL_SUBNET=10.1.2.1/24 FLANNEL_MTU=1\"4\"00 # both\n  FLANNEL_IPMASQ=true\t#\n",
        );
        assert_eq!((lease.mtu, lease.ipmasq), (Some(1400), Some(true)));
    }

    #[test]
    fn junk_is_an_error_with_its_line() {
        for (text, error) in [
            (
                "FLANNEL_SUBNET=10.1.2.1/33\n",
                "line 1: FLANNEL_SUBNET=10.1.2.1/33: the prefix length is not a number from 0 to 32",
            ),
            ("\nFLANNEL_MTU=9x\n", "line 2: FLANNEL_MTU=9x: is no MTU: give a number from 68 to 65535"),
            ("hello\n", "line 1: is not KEY=value"),
            ("FLANNEL_FOO=1\n", "line 1: FLANNEL_FOO is no key that flannel writes"),
            (
                "FLANNEL_SUBNET=$(reboot)\n",
                "line 1: FLANNEL_SUBNET: a shell would expand the $: write it plainly",
            ),
            ("FLANNEL_IPMASQ=yes\n", "line 1: FLANNEL_IPMASQ=yes: is neither true nor false"),
            ("FLANNEL_MTU=\"1400\n", "line 1: FLANNEL_MTU: a \" is not closed"),
            ("FLANNEL_MTU=1400\nFLANNEL_MTU=1400\n", "line 2: FLANNEL_MTU stands there twice"),
            (
                "FLANNEL_SUBNET=fd00::1/64\n",
                "line 1: FLANNEL_SUBNET=fd00::1/64: is of the other address family",
            ),
            (
                "FLANNEL_IPV6_SUBNET=10.1.2.1/24\n",
                "line 1: FLANNEL_IPV6_SUBNET=10.1.2.1/24: is of the other address family",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), error);
        }
    }

    proptest! {
        /// Written in place, the file is seen at every length: it is never junk, never whole too early.
        #[test]
        fn every_prefix_of_a_file_is_partial_or_whole(cut in 0usize..=SEED.len()) {
            let masq_is_whole = SEED.len() - 1;
            match parse(&SEED[..cut]).unwrap() {
                Read::Whole(lease) => {
                    prop_assert!(cut >= masq_is_whole || SEED[..cut].ends_with("1472\n"), "{}", cut);
                    prop_assert_eq!(lease.mtu, Some(1472));
                }
                Read::Partial(_) => prop_assert!(cut < masq_is_whole),
            }
        }

        #[test]
        fn nothing_makes_it_panic(text in "\\PC*(\n\\PC*)*") {
            let _ = parse(&text);
        }
    }

    #[test]
    fn variables_for_a_boot_script() {
        let text: Vec<String> =
            whole(SEED).variables().into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            text,
            [
                "FLANNEL_SUBNET=10.10.48.1/24",
                "FLANNEL_MTU=1472",
                "FLANNEL_IPMASQ=false",
                "FLANNEL_SUBNET_IP=10.10.48.1",
                "FLANNEL_SUBNET_NETWORK=10.10.48.0/24",
                "FLANNEL_SUBNET_LEN=24",
                "FLANNEL_SUBNET_GATEWAY=10.10.48.1",
                "FLANNEL_SUBNET_FIRST=10.10.48.2",
                "FLANNEL_SUBNET_LAST=10.10.48.254",
            ]
        );
    }
}

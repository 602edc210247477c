//! The pod bridge: what is wanted against the link that is there.

use std::fmt;

use crate::types::{Cidr, IfName};

/// What is wanted.
pub struct Wanted {
    /// The bridge's name.
    pub name: IfName,
    /// Its addresses: the lease's, with the host's bits.
    pub addrs: Vec<Cidr>,
    /// Its MTU; `None`: as the kernel makes it.
    pub mtu: Option<u32>,
    /// The cluster's networks, as far as known.
    pub cluster: Vec<Cidr>,
}

/// The link of that name.
pub struct Link {
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// Its addresses.
    pub addrs: Vec<Cidr>,
}

/// What was found.
pub struct Facts {
    /// The bridge, if there is one.
    pub link: Option<Link>,
    /// The addresses that kboot put on it, by its record; `None` without a record.
    pub ours: Option<Vec<Cidr>>,
}

/// One change, its text the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A kernel setting.
    Sysctl(&'static str, &'static str),
    /// `sysctl -w net/ipv4/conf/NAME/promote_secondaries=1`.
    PromoteSecondaries(IfName),
    /// `ip link add NAME type bridge`.
    AddBridge(IfName),
    /// `ip link set NAME mtu MTU`.
    SetMtu(IfName, u32),
    /// `ip addr add CIDR brd + dev NAME`.
    AddAddress(IfName, Cidr),
    /// `ip addr del CIDR dev NAME`.
    DeleteAddress(IfName, Cidr),
    /// `ip link set NAME up`.
    SetUp(IfName),
    /// `iptables -t nat ...`.
    Iptables(String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Sysctl(name, value) => write!(f, "sysctl -w {name}={value}"),
            Step::PromoteSecondaries(name) => write!(f, "sysctl -w {}=1", promote_secondaries(name)),
            Step::AddBridge(name) => write!(f, "ip link add {name} type bridge"),
            Step::SetMtu(name, mtu) => write!(f, "ip link set {name} mtu {mtu}"),
            Step::AddAddress(name, cidr) if cidr.is_ipv4() => {
                write!(f, "ip addr add {cidr} brd + dev {name}")
            }
            Step::AddAddress(name, cidr) => write!(f, "ip addr add {cidr} dev {name}"),
            Step::DeleteAddress(name, cidr) => write!(f, "ip addr del {cidr} dev {name}"),
            Step::SetUp(name) => write!(f, "ip link set {name} up"),
            Step::Iptables(args) => write!(f, "iptables -t nat {args}"),
        }
    }
}

/// The setting by which an address outlives the one before it in its network. Slashes, since a link's
/// name may have dots in it.
pub fn promote_secondaries(name: &IfName) -> String {
    format!("net/ipv4/conf/{name}/promote_secondaries")
}

/// The changes in an order that never takes a pod's gateway away, and how much is already so.
pub fn plan(wanted: &Wanted, facts: &Facts) -> (Vec<Step>, usize) {
    let name = || wanted.name.clone();
    let mut steps = Vec::new();
    let mut already = 0;
    let mut want = |is_so: bool, step: Step| if is_so { already += 1 } else { steps.push(step) };
    let link = facts.link.as_ref();
    want(link.is_some(), Step::AddBridge(name()));
    if let Some(mtu) = wanted.mtu {
        want(link.is_some_and(|l| l.mtu == mtu), Step::SetMtu(name(), mtu));
    }
    let has = link.map(|l| l.addrs.as_slice()).unwrap_or_default();
    for cidr in &wanted.addrs {
        want(has.contains(cidr), Step::AddAddress(name(), *cidr));
    }
    want(link.is_some_and(|l| l.up), Step::SetUp(name()));
    let stale: Vec<&Cidr> =
        has.iter().filter(|c| !wanted.addrs.contains(c) && is_stale(wanted, facts, c)).collect();
    // Without it the kernel deletes, with an address, all others of its network that came after it.
    if stale.iter().any(|c| c.is_ipv4()) {
        steps.push(Step::PromoteSecondaries(name()));
    }
    steps.extend(stale.into_iter().map(|c| Step::DeleteAddress(name(), *c)));
    (steps, already)
}

/// An address of an earlier lease: one that kboot's record names or, without a record, one inside
/// the cluster's network. Any other is an administrator's.
fn is_stale(wanted: &Wanted, facts: &Facts, cidr: &Cidr) -> bool {
    match &facts.ours {
        Some(ours) => ours.contains(cidr),
        None => wanted.cluster.iter().any(|c| c.contains(cidr.addr())),
    }
}

/// Which masquerading a bridge gets.
#[derive(Debug, PartialEq, Eq)]
pub enum Masquerade {
    /// Not towards these networks.
    Outside(Vec<Cidr>),
    /// None, and the reason to log.
    No(&'static str),
    /// None, though one would be expected: the warning.
    Unknown(&'static str),
}

/// `--masquerade` names the cluster's network; absent, flannel's own words decide. The error is a
/// conflict: two masquerades hide pods from each other.
pub fn masquerade(
    asked: &[Cidr],
    none: bool,
    networks: &[Cidr],
    ipmasq: Option<bool>,
) -> Result<Masquerade, String> {
    match (asked.is_empty(), none, ipmasq) {
        (_, true, _) => Ok(Masquerade::No("no masquerading: --no-masquerade")),
        (false, _, Some(true)) => {
            Err("FLANNEL_IPMASQ=true: flanneld masquerades already: leave --masquerade out, or start flanneld without --ip-masq".into())
        }
        (false, _, _) => Ok(Masquerade::Outside(asked.iter().map(Cidr::network).collect())),
        (true, _, Some(true)) => Ok(Masquerade::No("no masquerading here: flanneld does it (FLANNEL_IPMASQ=true)")),
        (true, _, Some(false) | None) if !networks.is_empty() => Ok(Masquerade::Outside(networks.iter().map(Cidr::network).collect())),
        (true, ..) => Ok(Masquerade::Unknown(
            "no masquerading: the cluster's network is not known: pods reach nothing outside: give --masquerade CLUSTER-CIDR, or --no-masquerade",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn wanted(addr: &str) -> Wanted {
        Wanted {
            name: "br-pods".parse().unwrap(),
            addrs: vec![cidr(addr)],
            mtu: Some(1450),
            cluster: vec![cidr("10.7.0.0/16")],
        }
    }

    fn texts(steps: &[Step]) -> Vec<String> {
        steps.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn from_nothing() {
        let (steps, already) = plan(&wanted("10.7.3.1/24"), &Facts { link: None, ours: None });
        assert_eq!(already, 0);
        assert_eq!(
            texts(&steps),
            [
                "ip link add br-pods type bridge",
                "ip link set br-pods mtu 1450",
                "ip addr add 10.7.3.1/24 brd + dev br-pods",
                "ip link set br-pods up",
            ]
        );
    }

    #[test]
    fn as_wanted_nothing_is_done_and_an_administrators_address_stays() {
        let link = Link { mtu: 1450, up: true, addrs: vec![cidr("192.0.2.7/24"), cidr("10.7.3.1/24")] };
        let (steps, already) = plan(&wanted("10.7.3.1/24"), &Facts { link: Some(link), ours: None });
        assert_eq!((texts(&steps).len(), already), (0, 4));
    }

    #[test]
    fn the_new_lease_comes_before_the_old_goes() {
        let there = |ours| Facts {
            link: Some(Link { mtu: 1450, up: true, addrs: vec![cidr("10.7.2.1/24"), cidr("10.9.9.1/24")] }),
            ours,
        };
        let moved = [
            "ip addr add 10.7.3.1/24 brd + dev br-pods",
            "sysctl -w net/ipv4/conf/br-pods/promote_secondaries=1",
            "ip addr del 10.7.2.1/24 dev br-pods",
        ];
        assert_eq!(texts(&plan(&wanted("10.7.3.1/24"), &there(None)).0), moved);
        assert_eq!(texts(&plan(&wanted("10.7.3.1/24"), &there(Some(vec![cidr("10.7.2.1/24")]))).0), moved);
        assert_eq!(
            texts(&plan(&wanted("10.7.3.1/24"), &there(Some(vec![]))).0),
            moved[..1],
            "the record says: not ours"
        );
    }

    #[test]
    fn who_masquerades() {
        let net = [cidr("10.7.0.0/16")];
        let outside = || Ok(Masquerade::Outside(net.to_vec()));
        assert_eq!(masquerade(&[cidr("10.7.1.2/16")], false, &[], None), outside());
        assert_eq!(masquerade(&[], false, &net, Some(false)), outside());
        assert!(matches!(masquerade(&[], false, &net, Some(true)), Ok(Masquerade::No(_))));
        assert!(matches!(masquerade(&[], false, &[], Some(false)), Ok(Masquerade::Unknown(_))));
        assert_eq!(
            masquerade(&[], false, &net, None),
            outside(),
            "flannel 0.2.0 masqueraded nothing and said nothing"
        );
        assert!(matches!(masquerade(&[], true, &net, Some(true)), Ok(Masquerade::No(_))));
        assert!(masquerade(&net, false, &[], Some(true)).is_err());
    }
}

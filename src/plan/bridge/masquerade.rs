//! Who masquerades: kboot, flanneld, or nobody.

use crate::types::Cidr;

/// Which masquerading one family's pods get.
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
    let outside = |list: &[Cidr]| Ok(Masquerade::Outside(list.iter().map(Cidr::network).collect()));
    match (asked.is_empty(), none, ipmasq) {
        (_, true, _) => Ok(Masquerade::No("no masquerading: --no-masquerade")),
        (false, _, Some(true)) => {
            Err("FLANNEL_IPMASQ=true: flanneld masquerades already: leave --masquerade out, or start flanneld without --ip-masq".into())
        }
        (false, _, _) => outside(asked),
        (true, _, Some(true)) => Ok(Masquerade::No("no masquerading here: flanneld does it (FLANNEL_IPMASQ=true)")),
        (true, _, Some(false) | None) if !networks.is_empty() => outside(networks),
        (true, ..) => Ok(Masquerade::Unknown(
            "the cluster's network is not known: masquerading is left as it is, and without any pods reach nothing outside: give --masquerade CLUSTER-CIDR, or --no-masquerade",
        )),
    }
}

//! Which of the kernel's two rule engines the host's iptables rules live in.

use crate::types::nft::{Chain, ChainId, Family, Policy};

/// What an iptables program speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// ip_tables, the engine of its own, from 2001 on.
    Legacy,
    /// nf_tables (`xtables-nft-multi`, iptables 1.8 on).
    Nft,
}

impl Variant {
    /// By what `iptables --version` prints; before 1.8 it names none, and is legacy.
    pub fn of_version(text: &str) -> Self {
        if text.contains("(nf_tables)") { Variant::Nft } else { Variant::Legacy }
    }

    /// By the file that the program is after all links: `xtables-nft-multi`, `xtables-legacy-multi`,
    /// or, before 1.8, `xtables-multi`. A wrapper script tells nothing.
    pub fn of_file(name: &str) -> Option<Self> {
        match name {
            _ if name.contains("nft") => Some(Variant::Nft),
            _ if name.contains("legacy") => Some(Variant::Legacy),
            "xtables-multi" | "iptables-multi" | "iptables-static" => Some(Variant::Legacy),
            _ if name.contains("compat") => Some(Variant::Nft),
            _ => None,
        }
    }

    /// `legacy` or `nft`, as the programs' names end.
    pub fn suffix(self) -> &'static str {
        match self {
            Variant::Legacy => "legacy",
            Variant::Nft => "nft",
        }
    }
}

/// The rules found in one engine: in nf_tables those of tables that iptables-nft makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Engine {
    /// Whether there is any rule, or a policy that drops.
    pub used: bool,
    /// The chains' names.
    pub chains: Vec<String>,
}

/// Whether a chain of nf_tables is in a table that iptables-nft takes for its own.
pub fn is_of_iptables(id: &ChainId) -> bool {
    matches!(id.family, Family::Ip | Family::Ip6)
        && ["filter", "nat", "mangle", "raw", "security"].contains(&id.table.as_str())
}

/// Whether a chain alone, without its rules, shows that its table is in use: iptables-nft makes the
/// built-in ones for a mere `-L`.
pub fn is_use(chain: &Chain) -> bool {
    chain.base.as_ref().is_none_or(|base| base.policy == Policy::Drop)
}

/// The kubelet's marks (chains of table mangle, from 1.17 and 1.24 on; sig-network's iptables-wrappers go
/// by them).
const KUBELETS: [&str; 2] = ["KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY"];

/// Which variant to use, and why; `None` when nothing speaks for either.
pub fn variant(legacy: &Engine, nft: &Engine, own_chain: &str) -> Option<(Variant, String)> {
    let only = |is: &dyn Fn(&Engine) -> bool| match (is(legacy), is(nft)) {
        (true, false) => Some(Variant::Legacy),
        (false, true) => Some(Variant::Nft),
        _ => None,
    };
    for chain in std::iter::once(own_chain).chain(KUBELETS) {
        if let Some(variant) = only(&|engine: &Engine| engine.chains.iter().any(|c| c == chain)) {
            return Some((variant, format!("chain {chain} is there")));
        }
    }
    only(&|engine: &Engine| engine.used).map(|variant| (variant, "the host's rules are there".into()))
}

/// The warning when both engines have iptables' rules.
pub fn mixed(legacy: &Engine, nft: &Engine) -> Option<&'static str> {
    (legacy.used && nft.used).then_some(
        "rules of both iptables-legacy and iptables-nft are loaded: packets pass all of them, but each program shows its own only",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(used: bool, chains: &[&str]) -> Engine {
        Engine { used, chains: chains.iter().map(|c| (*c).to_owned()).collect() }
    }

    #[test]
    fn the_programs() {
        for (name, variant) in [
            ("xtables-nft-multi", Some(Variant::Nft)),
            ("xtables-legacy-multi", Some(Variant::Legacy)),
            ("iptables-legacy", Some(Variant::Legacy)),
            ("xtables-multi", Some(Variant::Legacy)),
            ("iptables", None),
            ("iptables-wrapper", None),
        ] {
            assert_eq!(Variant::of_file(name), variant, "{name}");
        }
        for (text, variant) in [
            ("iptables v1.8.9 (nf_tables)\n", Variant::Nft),
            ("iptables v1.8.9 (legacy)\n", Variant::Legacy),
            ("iptables v1.4.21\n", Variant::Legacy),
        ] {
            assert_eq!(Variant::of_version(text), variant, "{text}");
        }
    }

    #[test]
    fn the_rules_decide_own_ones_first() {
        let (empty, used) = (engine(false, &[]), engine(true, &["DOCKER"]));
        let (own, kube) = (engine(true, &["KBOOT-cbr0"]), engine(true, &["KUBE-KUBELET-CANARY"]));
        let chosen = |legacy, nft| variant(legacy, nft, "KBOOT-cbr0").map(|(v, _)| v);
        assert_eq!(chosen(&empty, &empty), None);
        assert_eq!(chosen(&used, &empty), Some(Variant::Legacy));
        assert_eq!(chosen(&empty, &used), Some(Variant::Nft));
        assert_eq!(chosen(&used, &used), None);
        assert_eq!(chosen(&used, &kube), Some(Variant::Nft));
        assert_eq!(chosen(&own, &kube), Some(Variant::Legacy));
        assert!(mixed(&own, &kube).is_some() && mixed(&own, &empty).is_none());
    }
}

use std::str::FromStr;

/// How a pod reaches itself by a service, as the kubelet's `--hairpin-mode` calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hairpin {
    /// `promiscuous-bridge`: the bridge takes every frame.
    Promiscuous,
    /// `hairpin-veth`: frames may go back by the port they came from.
    Veth,
    /// `none`.
    None,
}

impl FromStr for Hairpin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "promiscuous-bridge" => Ok(Hairpin::Promiscuous),
            "hairpin-veth" => Ok(Hairpin::Veth),
            "none" => Ok(Hairpin::None),
            _ => Err("is promiscuous-bridge, hairpin-veth or none".into()),
        }
    }
}

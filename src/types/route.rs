use std::fmt;
use std::net::IpAddr;

use super::Cidr;

/// Where packets to a network go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The network, without host bits.
    pub to: Cidr,
    /// The next on the way; `None`: they are on the link.
    pub via: Option<IpAddr>,
}

impl Route {
    /// The default route of the gateway's family.
    pub fn default_by(via: IpAddr) -> Self {
        Self { to: Cidr::everything(via.is_ipv4()), via: Some(via) }
    }

    /// Whether it leads everywhere.
    pub fn is_default(&self) -> bool {
        self.to.prefix_len() == 0
    }
}

/// As ip-route(8) takes it, without the link.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            _ if self.is_default() => f.write_str("default")?,
            to => to.fmt(f)?,
        }
        self.via.map_or(Ok(()), |via| write!(f, " via {via}"))
    }
}

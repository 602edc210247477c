use super::Cidr;

/// A range of addresses that this host has to do with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRange {
    /// The link that has the address, or by which the route leads.
    pub link: String,
    /// The range, host bits kept.
    pub cidr: Cidr,
    /// Whether it is a link's own address; else it is a route's destination.
    pub is_address: bool,
    /// Whether a route leads there by another host (`via`).
    pub is_via: bool,
}

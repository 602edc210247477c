//! Tables, chains and rules of nf_tables as plain data: what the planners want, what the kernel has
//! and what is to be changed. The texts are those that `nft` reads.

mod command;
mod text;

pub use command::Command;

use crate::types::{Cidr, IfName};

/// kboot's own table.
pub const OWN_TABLE: &str = "kboot";

/// A table's address family (`NFPROTO_*` of linux/netfilter.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// IPv4 and IPv6.
    Inet,
    /// ARP.
    Arp,
    /// Frames on a bridge.
    Bridge,
    /// Frames of one device.
    Netdev,
    /// One that this program does not know, by its number.
    Other(u8),
}

/// Where a chain is. The names are the kernel's: any bytes, those that are no UTF-8 replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainId {
    /// The table's family.
    pub family: Family,
    /// The table's name.
    pub table: String,
    /// The chain's name.
    pub name: String,
}

/// What becomes of a packet that no rule of a base chain decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It goes on.
    Accept,
    /// It is dropped.
    Drop,
}

/// How a chain is hung into the packets' way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// `filter`, `nat` or `route`.
    pub kind: String,
    /// The hook's number in its family (`NF_INET_*` of linux/netfilter.h).
    pub hook: u32,
    /// Lower ones come first.
    pub priority: i32,
    /// For what no rule decided on.
    pub policy: Policy,
}

impl Base {
    /// `NF_INET_PRE_ROUTING`.
    pub const PREROUTING: u32 = 0;
    /// `NF_INET_FORWARD`: the same in ip, ip6, inet and bridge.
    pub const FORWARD: u32 = 2;
    /// `NF_INET_POST_ROUTING`: likewise.
    pub const POSTROUTING: u32 = 4;
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Where it is.
    pub id: ChainId,
    /// Its hook; `None` for one that is only jumped to.
    pub base: Option<Base>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The chain that it is in.
    pub chain: ChainId,
    /// The kernel's name for it; 0 in one that is only wanted.
    pub handle: u64,
    /// Its matches and statements, in order.
    pub exprs: Vec<Expr>,
    /// What nft, or iptables' `-m comment`, wrote to it for people.
    pub comment: Option<String>,
}

impl Rule {
    /// Whether both do the same, whatever their handles. The order of the matches does not matter:
    /// iptables has links before addresses, nft leaves them as written.
    pub fn is_same(&self, other: &Rule) -> bool {
        self.chain == other.chain
            && self.comment == other.comment
            && self.exprs.len() == other.exprs.len()
            && self.exprs.iter().all(|e| other.exprs.contains(e))
            && other.exprs.iter().all(|e| self.exprs.contains(e))
    }
}

/// One match or statement of a rule, the same whichever program made it and however the kernel orders
/// its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// Packets of this family only: an inet chain sees both.
    Family(Family),
    /// The packet's address is in that network, or not.
    Address {
        /// Destination; else source.
        dest: bool,
        /// Not in it.
        not: bool,
        /// The network, without host bits.
        network: Cidr,
    },
    /// The link of exactly that name, or any but it.
    Link {
        /// Leaves by it; else came in by it.
        out: bool,
        /// Any but it.
        not: bool,
        /// Its name.
        name: IfName,
    },
    /// Counts packets and bytes; what it has counted does not matter.
    Counter,
    /// Packets get this host's address.
    Masquerade {
        /// With ports by chance (`NF_NAT_RANGE_PROTO_RANDOM_FULLY`).
        random_fully: bool,
    },
    /// The packet goes on to the next base chain.
    Accept,
    /// The packet is gone.
    Drop,
    /// Back to the chain that jumped here; in a base chain to its policy.
    Return,
    /// To that chain, and back.
    Jump(String),
    /// To that chain, and not back.
    Goto(String),
    /// The packet is gone and its sender is told.
    Reject,
    /// A target of iptables that nf_tables has no expression for, by name.
    Target(String),
    /// A match of iptables, likewise.
    Match(String),
    /// All else, by the kernel's name. Nothing wanted is one of these.
    Other(String),
}

//! A rule's expressions, as iptables-nft and nft build them.

use std::net::IpAddr;

use netlink_packet_core::DefaultNla;
use netlink_packet_netfilter::nftables::{
    Bitwise, Cmp, DataAttribute, Expressions, Immediate, Meta, MetaKey, Operator, Payload, Register, Verdict,
    VerdictAttribute,
};

use crate::types::Cidr;
use crate::types::nft::{Expr, Family};

/// `NFT_PAYLOAD_NETWORK_HEADER`.
pub(super) const NETWORK_HEADER: u32 = 1;
/// `NF_ACCEPT`, `NF_DROP` of linux/netfilter.h.
pub(super) const ACCEPT: u32 = 1;
pub(super) const DROP: u32 = 0;
/// `NFTA_MASQ_FLAGS` and the flag `NF_NAT_RANGE_PROTO_RANDOM_FULLY`.
pub(super) const MASQUERADE_FLAGS: u16 = 1;
pub(super) const RANDOM_FULLY: u32 = 1 << 4;
/// `NFPROTO_IPV4`, `NFPROTO_IPV6`: what meta nfproto is compared with.
pub(super) const IPV4: u8 = 2;
pub(super) const IPV6: u8 = 10;

/// Where an address is in its header: (source, destination).
pub(super) fn offsets(is_ipv4: bool) -> (u32, u32) {
    if is_ipv4 { (12, 16) } else { (8, 24) }
}

/// One expression may take several of the kernel's. Of what kboot never wants the kernel gets a name
/// without attributes, and refuses it.
pub(super) fn encode(expr: &Expr) -> Vec<Expressions> {
    match expr {
        Expr::Family(family) => {
            let number = if *family == Family::Ip { IPV4 } else { IPV6 };
            vec![meta(MetaKey::Nfproto), compare(false, vec![number])]
        }
        Expr::Address { dest, not, network } => address(*dest, *not, *network),
        Expr::Link { out, not, name } => {
            let key = if *out { MetaKey::Oifname } else { MetaKey::Iifname };
            // With its NUL: without it, it would be a prefix.
            vec![meta(key), compare(*not, [name.as_str().as_bytes(), &[0]].concat())]
        }
        Expr::Counter => vec![other("counter", Vec::new())],
        Expr::Masquerade { random_fully } => {
            let flags = || DefaultNla::new(MASQUERADE_FLAGS, RANDOM_FULLY.to_be_bytes().to_vec());
            vec![other("masq", random_fully.then(flags).into_iter().collect())]
        }
        Expr::Accept => vec![verdict(Verdict::Other(ACCEPT), None)],
        Expr::Drop => vec![verdict(Verdict::Other(DROP), None)],
        Expr::Return => vec![verdict(Verdict::Return, None)],
        Expr::Jump(chain) => vec![verdict(Verdict::Jump, Some(chain))],
        Expr::Goto(chain) => vec![verdict(Verdict::Goto, Some(chain))],
        Expr::Reject => vec![other("reject", Vec::new())],
        Expr::Target(_) => vec![other("target", Vec::new())],
        Expr::Match(_) => vec![other("match", Vec::new())],
        Expr::Other(name) => vec![other(name, Vec::new())],
    }
}

fn other(name: &str, attributes: Vec<DefaultNla>) -> Expressions {
    Expressions::Other { expression_type: name.to_owned(), attributes }
}

fn meta(key: MetaKey) -> Expressions {
    Expressions::Meta(vec![Meta::DestinationRegister(Register::Reg1), Meta::Key(key)])
}

fn compare(not: bool, value: Vec<u8>) -> Expressions {
    let operator = if not { Operator::NotEqual } else { Operator::Equal };
    let data = Cmp::Data(DataAttribute::Value(value));
    Expressions::Cmp(vec![Cmp::SourceRegister(Register::Reg1), Cmp::Op(operator), data])
}

fn verdict(code: Verdict, chain: Option<&String>) -> Expressions {
    let mut attributes = vec![VerdictAttribute::Code(code)];
    attributes.extend(chain.cloned().map(VerdictAttribute::Chain));
    Expressions::Immediate(vec![
        Immediate::DestinationRegister(Register::Verdict),
        Immediate::Data(DataAttribute::Verdict(attributes)),
    ])
}

/// The bytes of the address that the prefix covers are compared; if it ends inside a byte, all of them
/// after masking. Both programs write and read it so.
fn address(dest: bool, not: bool, network: Cidr) -> Vec<Expressions> {
    let mut bytes = octets(network.addr());
    let (source, destination) = offsets(network.is_ipv4());
    let prefix = usize::from(network.prefix_len());
    let whole = prefix > 0 && prefix % 8 == 0;
    let length = if whole { prefix / 8 } else { bytes.len() };
    let wide = u32::try_from(length).unwrap_or_default();
    let mut expressions = vec![Expressions::Payload(vec![
        Payload::DestinationRegister(Register::Reg1),
        Payload::Base(NETWORK_HEADER),
        Payload::Offset(if dest { destination } else { source }),
        Payload::Len(wide),
    ])];
    if !whole {
        expressions.push(Expressions::Bitwise(vec![
            Bitwise::SourceRegister(Register::Reg1),
            Bitwise::DestinationRegister(Register::Reg1),
            Bitwise::Length(wide),
            Bitwise::Mask(DataAttribute::Value(mask(prefix, length))),
            Bitwise::Xor(DataAttribute::Value(vec![0; length])),
        ]));
    }
    bytes.truncate(length);
    expressions.push(compare(not, bytes));
    expressions
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

/// So many bits from the left, in so many bytes.
pub(super) fn mask(bits: usize, bytes: usize) -> Vec<u8> {
    let byte = |at: usize| {
        !u8::MAX.checked_shr(u32::try_from(bits.saturating_sub(at * 8)).unwrap_or(8)).unwrap_or(0)
    };
    (0..bytes).map(byte).collect()
}

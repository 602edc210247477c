//! What the kernel says of chains and rules. By hand, since netlink-packet-netfilter's decoder copies
//! every attribute, and one that it finds fault with would fail the whole list: here a rule of somebody
//! else's may hold anything.

use netlink_packet_core::parse_u64_be;

use super::encode::COMMENT;
use super::rule::Expressions;
use crate::sys::netlink::{Attributes, text};
use crate::types::nft::{Base, Chain, ChainId, Family, Policy, Rule};

// linux/netfilter/nf_tables.h: enum nft_gen_attributes, nft_chain_attributes, nft_hook_attributes,
// nft_rule_attributes, nft_list_attributes, nft_expr_attributes.
const GEN_ID: u16 = 1;
const TABLE_FLAGS: u16 = 2;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_HANDLE: u16 = 3;
const RULE_EXPRESSIONS: u16 = 4;
const RULE_USERDATA: u16 = 7;
const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;

/// A message of nf_tables: `struct nfgenmsg` (family, version, two bytes of the generation), then attributes.
pub(super) fn message(payload: &[u8]) -> Option<(Family, Attributes<'_>)> {
    let family = match payload.first()? {
        1 => Family::Inet,
        2 => Family::Ip,
        3 => Family::Arp,
        5 => Family::Netdev,
        7 => Family::Bridge,
        10 => Family::Ip6,
        other => Family::Other(*other),
    };
    Some((family, Attributes(payload.get(4..)?)))
}

pub(super) fn generation(payload: &[u8]) -> Option<u32> {
    message(payload)?.1.number(GEN_ID)
}

pub(super) fn table_flags(payload: &[u8]) -> Option<u32> {
    message(payload)?.1.number(TABLE_FLAGS)
}

pub(super) fn chain(payload: &[u8]) -> Option<Chain> {
    let (family, attributes) = message(payload)?;
    let hook = attributes.nested(CHAIN_HOOK);
    let base = hook.number(HOOK_NUMBER).map(|number| Base {
        kind: attributes.text(CHAIN_TYPE).unwrap_or_default(),
        hook: number,
        priority: hook.number(HOOK_PRIORITY).unwrap_or_default().cast_signed(),
        policy: if attributes.number(CHAIN_POLICY) == Some(0) { Policy::Drop } else { Policy::Accept },
    });
    let id = ChainId { family, table: attributes.text(CHAIN_TABLE)?, name: attributes.text(CHAIN_NAME)? };
    Some(Chain { id, base })
}

pub(super) fn rule(payload: &[u8]) -> Option<Rule> {
    let (family, attributes) = message(payload)?;
    let mut expressions = Expressions::new(family);
    for (_, element) in attributes.nested(RULE_EXPRESSIONS).all() {
        let element = Attributes(element);
        expressions.push(&element.text(EXPR_NAME).unwrap_or_default(), element.nested(EXPR_DATA));
    }
    let (exprs, matched) = expressions.end();
    Some(Rule {
        chain: ChainId { family, table: attributes.text(RULE_TABLE)?, name: attributes.text(RULE_CHAIN)? },
        handle: attributes.get(RULE_HANDLE).and_then(|h| parse_u64_be(h).ok()).unwrap_or_default(),
        exprs,
        comment: attributes.get(RULE_USERDATA).and_then(comment).or(matched),
    })
}

/// The comment among a rule's user data: type, length, value, and so on.
fn comment(mut data: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = data {
        let (value, next) = rest.split_at_checked(usize::from(*length))?;
        if *kind == COMMENT {
            return Some(text(value));
        }
        data = next;
    }
    None
}

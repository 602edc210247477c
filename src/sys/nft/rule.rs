//! From the kernel's expressions, which work on registers, to matches and statements.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::parse_u32_be;

use super::expression::{
    ACCEPT, DROP, IPV4, IPV6, MASQUERADE_FLAGS, NETWORK_HEADER, RANDOM_FULLY, mask, offsets,
};
use crate::sys::netlink::Attributes;
use crate::types::nft::{Expr, Family};
use crate::types::{Cidr, IfName};

// linux/netfilter/nf_tables.h: enum nft_meta_attributes, nft_payload_attributes, nft_bitwise_attributes,
// nft_cmp_attributes, nft_immediate_attributes, nft_data_attributes, nft_verdict_attributes,
// nft_match_attributes (nft_target_attributes has the same name).
const LOAD_REGISTER: u16 = 1;
const META_KEY: u16 = 2;
const PAYLOAD_BASE: u16 = 2;
const PAYLOAD_OFFSET: u16 = 3;
const PAYLOAD_LENGTH: u16 = 4;
const BITWISE_SOURCE: u16 = 1;
const BITWISE_DESTINATION: u16 = 2;
const BITWISE_MASK: u16 = 4;
const BITWISE_XOR: u16 = 5;
const BITWISE_OPERATION: u16 = 6;
const CMP_SOURCE: u16 = 1;
const CMP_OPERATOR: u16 = 2;
const CMP_DATA: u16 = 3;
const IMMEDIATE_REGISTER: u16 = 1;
const IMMEDIATE_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
const MASQUERADE_MIN_PORT: u16 = 2;
const XT_NAME: u16 = 1;
const XT_INFO: u16 = 3;

/// enum nft_meta_keys.
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_NFPROTO: u32 = 15;

/// What the last load has put into a register.
struct Load {
    register: u32,
    what: What,
    mask: Option<Vec<u8>>,
}

#[derive(Clone, Copy)]
enum What {
    Family,
    Link {
        out: bool,
    },
    /// Of the network header.
    Bytes {
        offset: u32,
        length: usize,
    },
}

/// A rule's expressions, put in one by one.
pub(super) struct Expressions {
    /// Whose header the packet has, as far as known: in an inet chain after a match for it.
    family: Family,
    load: Option<Load>,
    exprs: Vec<Expr>,
    comment: Option<String>,
}

impl Expressions {
    pub fn new(family: Family) -> Self {
        Self { family, load: None, exprs: Vec::new(), comment: None }
    }

    /// The expressions, and the text of iptables' match `comment`, which is none.
    pub fn end(self) -> (Vec<Expr>, Option<String>) {
        (self.exprs, self.comment)
    }

    pub fn push(&mut self, name: &str, data: Attributes<'_>) {
        let expr = match name {
            "meta" | "payload" => {
                self.load = load(name, data);
                // One that writes, or reads what is not wanted here: the match after it is then not known either.
                if self.load.is_some() { None } else { Some(Expr::Other(name.to_owned())) }
            }
            "bitwise" if self.mask(data).is_some() => None,
            "cmp" => Some(self.compare(data).unwrap_or_else(|| Expr::Other(name.to_owned()))),
            "immediate" if data.number(IMMEDIATE_REGISTER) == Some(0) => Some(verdict(data)),
            "counter" => Some(Expr::Counter),
            "masq" => Some(masquerade(data)),
            "reject" => Some(Expr::Reject),
            "target" => Some(Expr::Target(data.text(XT_NAME).unwrap_or_default())),
            "match" => self.xt_match(data),
            other => {
                // It may write to the register.
                self.load = None;
                Some(Expr::Other(other.to_owned()))
            }
        };
        self.exprs.extend(expr);
    }

    fn xt_match(&mut self, data: Attributes<'_>) -> Option<Expr> {
        let name = data.text(XT_NAME).unwrap_or_default();
        if name == "comment" {
            self.comment = data.text(XT_INFO);
            return None;
        }
        Some(Expr::Match(name))
    }

    fn mask(&mut self, data: Attributes<'_>) -> Option<()> {
        let load = self.load.as_mut()?;
        let same = |kind| data.number(kind) == Some(load.register);
        let keeps = data.nested(BITWISE_XOR).get(DATA_VALUE)?.iter().all(|b| *b == 0);
        let is_mask = data.number(BITWISE_OPERATION).unwrap_or_default() == 0;
        if !(same(BITWISE_SOURCE) && same(BITWISE_DESTINATION) && keeps && is_mask && load.mask.is_none()) {
            return None;
        }
        load.mask = Some(data.nested(BITWISE_MASK).get(DATA_VALUE)?.to_vec());
        Some(())
    }

    fn compare(&mut self, data: Attributes<'_>) -> Option<Expr> {
        let load = self.load.as_ref().filter(|l| data.number(CMP_SOURCE) == Some(l.register))?;
        let not = match data.number(CMP_OPERATOR)? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let value = data.nested(CMP_DATA).get(DATA_VALUE)?;
        match (load.what, &load.mask) {
            (What::Family, None) if !not => {
                let family = match value {
                    [IPV4] => Family::Ip,
                    [IPV6] => Family::Ip6,
                    _ => return None,
                };
                self.family = family;
                Some(Expr::Family(family))
            }
            (What::Link { out }, None) => link(value).map(|name| Expr::Link { out, not, name }),
            (What::Bytes { offset, length }, mask) if value.len() <= length => {
                address(self.family, offset, not, value, mask.as_deref())
            }
            _ => None,
        }
    }
}

fn load(name: &str, data: Attributes<'_>) -> Option<Load> {
    let what = match name {
        "meta" => match data.number(META_KEY)? {
            META_IIFNAME => What::Link { out: false },
            META_OIFNAME => What::Link { out: true },
            META_NFPROTO => What::Family,
            _ => return None,
        },
        _ if data.number(PAYLOAD_BASE)? == NETWORK_HEADER => What::Bytes {
            offset: data.number(PAYLOAD_OFFSET)?,
            length: usize::try_from(data.number(PAYLOAD_LENGTH)?).ok()?,
        },
        _ => return None,
    };
    // Both have it under the same number. What writes to the packet has none.
    Some(Load { register: data.number(LOAD_REGISTER)?, what, mask: None })
}

/// A name with its NUL; without one it is a prefix (`eth*`).
fn link(value: &[u8]) -> Option<IfName> {
    let end = value.iter().position(|b| *b == 0)?;
    if value[end..].iter().any(|b| *b != 0) {
        return None;
    }
    std::str::from_utf8(&value[..end]).ok()?.parse().ok()
}

fn address(family: Family, offset: u32, not: bool, value: &[u8], bits: Option<&[u8]>) -> Option<Expr> {
    let is_ipv4 = match family {
        Family::Ip => true,
        Family::Ip6 => false,
        _ => return None,
    };
    let (source, destination) = offsets(is_ipv4);
    let full = if is_ipv4 { 4 } else { 16 };
    if (offset != source && offset != destination) || value.len() > full {
        return None;
    }
    let prefix = match bits {
        None => value.len() * 8,
        Some(bits) if value.len() == full => (0..=full * 8).find(|n| mask(*n, full) == bits)?,
        Some(_) => return None,
    };
    let mut octets = [0; 16];
    octets[..value.len()].copy_from_slice(value);
    let address = if is_ipv4 {
        let [a, b, c, d, ..] = octets;
        IpAddr::from(Ipv4Addr::new(a, b, c, d))
    } else {
        IpAddr::from(Ipv6Addr::from(octets))
    };
    let network = Cidr::new(address, u8::try_from(prefix).ok()?)?;
    let matches_something = network == network.network();
    matches_something.then_some(Expr::Address { dest: offset == destination, not, network })
}

fn verdict(data: Attributes<'_>) -> Expr {
    // NFT_JUMP, NFT_GOTO, NFT_RETURN of enum nft_verdicts.
    const JUMP: i32 = -3;
    const GOTO: i32 = -4;
    const RETURN: i32 = -5;
    let verdict = data.nested(IMMEDIATE_DATA).nested(DATA_VERDICT);
    let chain = || verdict.text(VERDICT_CHAIN).unwrap_or_default();
    let code = verdict.number(VERDICT_CODE);
    match code.map(u32::cast_signed) {
        Some(JUMP) => Expr::Jump(chain()),
        Some(GOTO) => Expr::Goto(chain()),
        Some(RETURN) => Expr::Return,
        _ if code == Some(ACCEPT) => Expr::Accept,
        _ if code == Some(DROP) => Expr::Drop,
        _ => Expr::Other("verdict".to_owned()),
    }
}

fn masquerade(data: Attributes<'_>) -> Expr {
    let flags = data.get(MASQUERADE_FLAGS).map_or(Some(0), |f| parse_u32_be(f).ok());
    match flags {
        Some(flags @ (0 | RANDOM_FULLY)) if data.get(MASQUERADE_MIN_PORT).is_none() => {
            Expr::Masquerade { random_fully: flags == RANDOM_FULLY }
        }
        _ => Expr::Other("masq".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode;

    /// What nft 1.0.6 sends for `ip saddr 10.9.0.0/24 iifname "cbr9" counter accept` in ip filter FORWARD.
    const BY_NFT: &str = "02000000 0b000100 66696c7465720000 0c000200464f525741524400 04010480\
        34000180 0c0001007061796c6f616400 24000280 0800010000000001 0800020000000001 080003000000000c 0800040000000003\
        2c000180 08000100636d7000 20000280 0800010000000001 0800020000000000 0c000380 070001000a090000\
        24000180 090001006d65746100000000 14000280 0800020000000006 0800010000000001\
        38000180 08000100636d7000 2c000280 0800010000000001 0800020000000000 18000380 140001006362723900000000 0000000000000000\
        14000180 0c000100636f756e74657200 04000280\
        30000180 0e000100696d6d656469617465000000 1c000280 0800010000000000 10000280 0c000280 0800010000000001";

    fn read(hex: &str) -> String {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
        decode::rule(&bytes).unwrap().to_string()
    }

    #[test]
    fn as_nft_sends_it() {
        assert_eq!(read(BY_NFT), r#"ip saddr 10.9.0.0/24 iifname "cbr9" counter accept"#);
        // An IPv4 header has the destination at 16 (RFC 791); NFT_CMP_NEQ; NFT_META_OIFNAME; NF_DROP.
        let daddr = BY_NFT.replace("080003000000000c", "0800030000000010");
        assert!(read(&daddr).starts_with("ip daddr 10.9.0.0/24 "));
        let not = BY_NFT.replace("0800020000000000", "0800020000000001");
        assert!(read(&not).starts_with(r#"ip saddr != 10.9.0.0/24 iifname != "cbr9" "#));
        assert!(read(&BY_NFT.replace("0800020000000006", "0800020000000007")).contains("oifname"));
        // Not the network header; no name.
        let transport = BY_NFT.replace("0800020000000001 080003", "0800020000000002 080003");
        assert!(read(&transport).starts_with("(payload) (cmp) "));
        assert!(read(&BY_NFT.replace("6362723900000000", "6362723900610000")).contains("(cmp)"));
    }
}

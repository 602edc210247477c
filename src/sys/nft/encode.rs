//! Commands as netlink messages, of netlink-packet-netfilter's attributes. Not of its whole messages: those
//! bring the code for conntrack, nflog and sets with them.

use netlink_packet_core::{
    DefaultNla, Emitable, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NetlinkBuffer, Nla,
};
use netlink_packet_netfilter::NetfilterProtoFamily;
use netlink_packet_netfilter::nftables::{
    ChainAttribute, Hook, InetHookNumber, RuleAttribute, TableAttribute, TableFlags,
};

use super::expression;
use crate::sys::netlink;
use crate::types::nft::{Base, Chain, ChainId, Command, Family, Policy, Rule};

// linux/netfilter/nfnetlink.h and nf_tables.h: `NFNL_SUBSYS_NFTABLES`, `NFNL_MSG_BATCH_BEGIN`,
// `NFNL_BATCH_GENID`, enum nf_tables_msg_types.
const NFTABLES: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const BATCH_GENERATION: u16 = 1;
pub(super) const NEW_TABLE: u16 = NFTABLES << 8;
const GET_TABLE: u16 = NFTABLES << 8 | 1;
const DELETE_TABLE: u16 = NFTABLES << 8 | 2;
pub(super) const NEW_CHAIN: u16 = NFTABLES << 8 | 3;
const GET_CHAIN: u16 = NFTABLES << 8 | 4;
const DELETE_CHAIN: u16 = NFTABLES << 8 | 5;
pub(super) const NEW_RULE: u16 = NFTABLES << 8 | 6;
const GET_RULE: u16 = NFTABLES << 8 | 7;
const DELETE_RULE: u16 = NFTABLES << 8 | 8;
pub(super) const NEW_GENERATION: u16 = NFTABLES << 8 | 15;
const GET_GENERATION: u16 = NFTABLES << 8 | 16;
/// `NFTNL_UDATA_RULE_COMMENT`: nft's own convention, also read by iptables-nft.
pub(super) const COMMENT: u8 = 0;

/// `struct nlmsghdr`, and `struct nfgenmsg` behind it: family, version 0, two bytes for the batch.
const HEADERS: usize = netlink::HEADER + 4;
/// All families; also none, in a batch's brackets.
const ANY: Family = Family::Other(0);

/// Messages one after the other, as one `send` takes them.
#[derive(Default)]
pub(super) struct Messages {
    pub bytes: Vec<u8>,
    last: usize,
}

impl Messages {
    fn push<A: Nla>(&mut self, kind: u16, flags: u16, family: Family, sequence: u32, attributes: &[A]) {
        self.last = self.bytes.len();
        let length = HEADERS + attributes.buffer_len();
        self.bytes.resize(self.last + length, 0);
        let message = &mut self.bytes[self.last..];
        netlink::head(message, kind, flags, sequence);
        message[netlink::HEADER] = number(family).into();
        attributes.emit(&mut message[HEADERS..]);
    }

    /// A batch's begin or end, which names the subsystem that it is for.
    fn push_bracket(&mut self, kind: u16, sequence: u32, attributes: &[DefaultNla]) {
        self.push(kind, 0, ANY, sequence, attributes);
        self.bytes[self.last + HEADERS - 2..][..2].copy_from_slice(&NFTABLES.to_be_bytes());
    }

    /// Asks for the number of the ruleset's generation, and for all chains.
    pub fn look(sequence: u32) -> Self {
        let mut messages = Self::default();
        messages.push::<DefaultNla>(GET_GENERATION, 0, ANY, sequence, &[]);
        messages.push::<DefaultNla>(GET_CHAIN, NLM_F_DUMP, ANY, sequence + 1, &[]);
        messages
    }

    /// Asks for one table.
    pub fn table(family: Family, name: &str, sequence: u32) -> Self {
        let mut messages = Self::default();
        messages.push(GET_TABLE, NLM_F_ACK, family, sequence, &table(name));
        messages
    }

    /// Asks for one chain's rules. Old kernels answer with those of others too.
    pub fn rules(chain: &ChainId, sequence: u32) -> Self {
        let mut messages = Self::default();
        messages.push(GET_RULE, NLM_F_DUMP, chain.family, sequence, &in_chain(chain));
        messages
    }

    /// One batch. The messages of command N have the number `sequence` + 1 + N; the last one asks for an
    /// answer, which comes when all is done. (The batch's end gave none before Linux 6.10.)
    pub fn batch(commands: &[Command], sequence: u32, generation: u32) -> Self {
        let mut messages = Self::default();
        let generation = DefaultNla::new(BATCH_GENERATION, generation.to_be_bytes().to_vec());
        messages.push_bracket(BATCH_BEGIN, sequence, &[generation]);
        for (command, sequence) in commands.iter().zip(sequence + 1..) {
            messages.push_command(command, sequence);
        }
        let mut last = NetlinkBuffer::new(&mut messages.bytes[messages.last..]);
        last.set_flags(last.flags() | NLM_F_ACK);
        messages.push_bracket(BATCH_END, sequence, &[]);
        messages
    }

    fn push_command(&mut self, command: &Command, n: u32) {
        match command {
            Command::AddTable(family, name) => {
                // Said, and not left out: one that is dormant wakes up.
                let [name] = table(name);
                let awake = TableAttribute::Flags(TableFlags::empty());
                self.push(NEW_TABLE, NLM_F_CREATE, *family, n, &[name, awake]);
            }
            Command::DeleteTable(family, name) => self.push(DELETE_TABLE, 0, *family, n, &table(name)),
            Command::AddChain(new) => self.push(NEW_CHAIN, NLM_F_CREATE, new.id.family, n, &whole_chain(new)),
            Command::FlushChain(id) => self.push(DELETE_RULE, 0, id.family, n, &in_chain(id)),
            Command::DeleteChain(id) => {
                // Old kernels delete none that has rules.
                self.push(DELETE_RULE, 0, id.family, n, &in_chain(id));
                self.push(DELETE_CHAIN, 0, id.family, n, &chain_name(id));
            }
            Command::AddRule(rule) => {
                self.push(NEW_RULE, NLM_F_CREATE | NLM_F_APPEND, rule.chain.family, n, &whole_rule(rule));
            }
            Command::InsertRule(rule, before) => {
                let mut attributes = whole_rule(rule);
                attributes.extend(before.map(RuleAttribute::Position));
                self.push(NEW_RULE, NLM_F_CREATE, rule.chain.family, n, &attributes);
            }
            Command::DeleteRule(id, handle) => {
                let mut attributes = in_chain(id);
                attributes.push(RuleAttribute::Handle(*handle));
                self.push(DELETE_RULE, 0, id.family, n, &attributes);
            }
        }
    }
}

fn number(family: Family) -> NetfilterProtoFamily {
    match family {
        Family::Ip => NetfilterProtoFamily::IPv4,
        Family::Ip6 => NetfilterProtoFamily::IPv6,
        Family::Inet => NetfilterProtoFamily::Inet,
        Family::Arp => NetfilterProtoFamily::ARP,
        Family::Bridge => NetfilterProtoFamily::Bridge,
        Family::Netdev => NetfilterProtoFamily::NetDev,
        Family::Other(number) => NetfilterProtoFamily::Other(number),
    }
}

fn table(name: &str) -> [TableAttribute; 1] {
    [TableAttribute::Name(name.to_owned())]
}

fn chain_name(id: &ChainId) -> Vec<ChainAttribute> {
    vec![ChainAttribute::Table(id.table.clone()), ChainAttribute::Name(id.name.clone())]
}

fn whole_chain(chain: &Chain) -> Vec<ChainAttribute> {
    let mut attributes = chain_name(&chain.id);
    if let Some(Base { kind, hook, priority, policy }) = &chain.base {
        let policy = match policy {
            Policy::Drop => 0,
            Policy::Accept => 1,
        };
        attributes.extend([
            ChainAttribute::Hook(vec![
                Hook::Number(InetHookNumber::from(*hook).into()),
                Hook::Priority(priority.cast_unsigned()),
            ]),
            ChainAttribute::Policy(policy),
            ChainAttribute::Type(kind.clone()),
        ]);
    }
    attributes
}

fn in_chain(id: &ChainId) -> Vec<RuleAttribute> {
    vec![RuleAttribute::Table(id.table.clone()), RuleAttribute::Chain(id.name.clone())]
}

fn whole_rule(rule: &Rule) -> Vec<RuleAttribute> {
    let mut attributes = in_chain(&rule.chain);
    let expressions = rule.exprs.iter().flat_map(expression::encode).map(Into::into).collect();
    attributes.push(RuleAttribute::Expressions(expressions));
    attributes.extend(rule.comment.as_deref().map(|c| RuleAttribute::UserData(comment(c))));
    attributes
}

/// Type, length with the final NUL, text. At most 254 bytes of it.
fn comment(text: &str) -> Vec<u8> {
    let text = &text.as_bytes()[..text.len().min(254)];
    let length = u8::try_from(text.len() + 1).unwrap_or(u8::MAX);
    [&[COMMENT, length], text, &[0]].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::decode;
    use super::*;
    use crate::types::nft::Expr;

    fn id(family: Family) -> ChainId {
        ChainId { family, table: "kboot".into(), name: "postrouting-br-pods".into() }
    }

    /// What the message of a command says, read as if the kernel had sent it.
    fn payload(command: Command) -> Vec<u8> {
        let bytes = Messages::batch(&[command], 7, 1).bytes;
        let begin = NetlinkBuffer::new_checked(bytes.as_slice()).unwrap().length() as usize;
        NetlinkBuffer::new_checked(&bytes[begin..]).unwrap().payload().to_vec()
    }

    fn rule(family: Family, networks: &[&str]) -> Rule {
        let name = "br-pods".parse().unwrap();
        let mut exprs = vec![Expr::Link { out: true, not: true, name }, Expr::Counter];
        exprs.extend(networks.iter().enumerate().map(|(at, network)| Expr::Address {
            dest: at % 2 == 1,
            not: at % 3 == 1,
            network: network.parse().unwrap(),
        }));
        exprs.push(Expr::Masquerade { random_fully: networks.len() > 2 });
        Rule { chain: id(family), handle: 0, exprs, comment: Some("kboot-br-pods".into()) }
    }

    #[test]
    fn what_is_written_reads_back() {
        let v4 = ["10.7.3.0/24", "10.0.0.0/8", "172.20.4.0/22", "192.0.2.1/32", "0.0.0.0/0", "0.0.0.0/1"];
        let v6 = ["fd00:7:3::/64", "ff00::/8", "fd00::/9", "fd00::1/128", "::/0"];
        let mut inet = rule(Family::Inet, &v6);
        inet.exprs.insert(0, Expr::Family(Family::Ip6));
        let verdicts =
            [Expr::Accept, Expr::Drop, Expr::Return, Expr::Jump("a".into()), Expr::Goto("b".into())];
        let mut plain = rule(Family::Ip, &[]);
        plain.exprs.extend(verdicts);
        plain.comment = None;
        for rule in [rule(Family::Ip, &v4), rule(Family::Ip6, &v6), inet, plain] {
            assert_eq!(decode::rule(&payload(Command::AddRule(rule.clone()))), Some(rule));
        }
        let base = Base { kind: "nat".into(), hook: 4, priority: -100, policy: Policy::Drop };
        for base in [Some(base), None] {
            let chain = Chain { id: id(Family::Ip6), base };
            assert_eq!(decode::chain(&payload(Command::AddChain(chain.clone()))), Some(chain));
        }
    }

    #[test]
    fn an_address_says_nothing_before_its_family_is_known() {
        let rule = rule(Family::Inet, &["10.7.3.0/24"]);
        let found = decode::rule(&payload(Command::AddRule(rule.clone()))).unwrap();
        assert!(!found.is_same(&rule) && found.exprs.contains(&Expr::Other("cmp".into())), "{found}");
    }

    #[test]
    fn one_answer_is_asked_for() {
        let commands = [Command::DeleteChain(id(Family::Ip)), Command::DeleteChain(id(Family::Ip6))];
        let bytes = Messages::batch(&commands, 7, 1).bytes;
        let (mut rest, mut seen) = (bytes.as_slice(), Vec::new());
        while let Ok(message) = NetlinkBuffer::new_checked(rest) {
            seen.push((message.sequence_number(), message.flags() & NLM_F_ACK != 0));
            rest = &rest[message.length() as usize..];
        }
        assert_eq!(seen, [(7, false), (8, false), (8, false), (9, false), (9, true), (7, false)]);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(mut bytes: Vec<u8>, at: proptest::sample::Index) {
            decode::rule(&bytes);
            let good = payload(Command::AddRule(rule(Family::Ip, &["10.7.3.0/24", "10.4.0.0/14"])));
            decode::rule(&good[..at.index(good.len())]);
            let mut broken = good;
            let from = at.index(broken.len());
            bytes.truncate(broken.len() - from);
            broken[from..from + bytes.len()].copy_from_slice(&bytes);
            decode::rule(&broken);
            decode::chain(&broken);
        }
    }
}

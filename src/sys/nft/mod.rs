//! nf_tables over netlink: one look at the ruleset, then one batch of changes that is refused if
//! anything has changed since.

mod decode;
mod encode;
mod expression;
mod refused;
mod rule;

use nix::errno::Errno;

pub use self::refused::Refused;

use self::encode::{Messages, NEW_CHAIN, NEW_GENERATION, NEW_RULE, NEW_TABLE};
use self::refused::words;
use crate::error::{Context, Result};
use crate::sys::netlink::{Failure, Protocol, Socket, again};
use crate::types::nft::{Chain, ChainId, Command, Family, Rule};

/// `NFT_TABLE_F_DORMANT`, `NFT_TABLE_F_OWNER`.
const TABLE_DORMANT: u32 = 1;
const TABLE_OWNER: u32 = 2;

/// What to say where `Nft::open` finds nothing.
pub const MISSING: &str = "this kernel has no nf_tables (Linux 3.18, CONFIG_NF_TABLES, module nf_tables)";

/// The ruleset of this network namespace, as it was at the last look.
pub struct Nft {
    socket: Socket,
    generation: u32,
    chains: Vec<Chain>,
}

impl Nft {
    /// Looks at the ruleset; `None` when this kernel has no nf_tables, for which `MISSING` is the text.
    pub fn open() -> Result<Option<Self>> {
        let socket = match Socket::open(Protocol::NetlinkNetFilter) {
            Err(Errno::EPROTONOSUPPORT) => return Ok(None),
            socket => socket.map_err(words).context("nf_tables")?,
        };
        let mut nft = Self { socket, generation: 0, chains: Vec::new() };
        match nft.try_look() {
            // nfnetlink's answer for a subsystem that is not there and that no module brings; before Linux 3.18,
            // whose nf_tables have no masquerading either, for NFT_MSG_GETGEN.
            Err(Errno::EINVAL) => Ok(None),
            looked => looked.map(|()| Some(nft)).map_err(words).context("nft list chains"),
        }
    }

    /// Looks again: after a batch, or when one was refused because something had changed.
    pub fn look(&mut self) -> Result<()> {
        self.try_look().map_err(words).context("nft list chains")
    }

    fn try_look(&mut self) -> Result<(), Errno> {
        again(|| {
            (self.generation, self.chains) = (0, Vec::new());
            let first = self.socket.number(2);
            self.socket.ask(&Messages::look(first).bytes, first, first + 1, |kind, payload| match kind {
                NEW_GENERATION => self.generation = decode::generation(payload).unwrap_or_default(),
                NEW_CHAIN => self.chains.extend(decode::chain(payload)),
                _ => {}
            })
        })
    }

    /// All chains of all tables.
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// One chain's rules, in order; none if there was no such chain at the last look.
    pub fn rules(&self, chain: &ChainId) -> Result<Vec<Rule>> {
        let mut rules = Vec::new();
        if !self.chains.iter().any(|c| c.id == *chain) {
            return Ok(rules);
        }
        let listed = again(|| {
            rules.clear();
            let number = self.socket.number(1);
            self.socket.ask(&Messages::rules(chain, number).bytes, number, number, |kind, payload| {
                if kind == NEW_RULE {
                    rules.extend(decode::rule(payload).filter(|r| r.chain == *chain));
                }
            })
        });
        listed.map_err(words).context(format!("nft list chain {chain}"))?;
        Ok(rules)
    }

    /// Whether a table is switched off, its chains with it.
    pub fn is_dormant(&self, family: Family, table: &str) -> Result<bool> {
        Ok(self.flags(family, table)? & TABLE_DORMANT != 0)
    }

    /// Whether a running program keeps it for itself (firewalld from 2.2 on): others may not change it.
    pub fn is_owned(&self, family: Family, table: &str) -> Result<bool> {
        Ok(self.flags(family, table)? & TABLE_OWNER != 0)
    }

    fn flags(&self, family: Family, table: &str) -> Result<u32> {
        let number = self.socket.number(1);
        let mut flags = 0;
        let request = Messages::table(family, table, number);
        let asked = self.socket.ask(&request.bytes, number, number, |kind, payload| {
            if kind == NEW_TABLE {
                flags = decode::table_flags(payload).unwrap_or_default();
            }
        });
        match asked.map_err(|f| f.errno) {
            Ok(()) | Err(Errno::ENOENT) => Ok(flags),
            Err(errno) => Err(words(errno)).context(format!("nft list table {family} {table}")),
        }
    }

    /// All of the commands or, with an error, none. The kernel refuses them if anything has changed
    /// since the last look (from Linux 4.11 on), a batch of one's own too.
    pub fn apply(&self, commands: &[Command]) -> Result<(), Refused> {
        if commands.is_empty() {
            return Ok(());
        }
        let count = u32::try_from(commands.len()).unwrap_or(u32::MAX);
        let first = self.socket.number(count.saturating_add(1));
        let messages = Messages::batch(commands, first, self.generation);
        self.socket.ask(&messages.bytes, first, first + count, |_, _| {}).map_err(
            |Failure { number, errno }| {
                // What concerns the batch as a whole has the number of its first bracket.
                let index = number.and_then(|n| usize::try_from(n.checked_sub(first + 1)?).ok());
                Refused::new(index, index.and_then(|i| commands.get(i)), errno)
            },
        )
    }
}

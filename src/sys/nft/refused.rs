//! The kernel's refusals, in words.

use nix::errno::Errno;

use crate::error::Error;
use crate::types::nft::{Command, Expr, Family, Rule};

/// A batch that was refused: nothing of it was done.
#[derive(Debug)]
pub struct Refused {
    /// The command at fault; `None`: the batch as a whole.
    pub index: Option<usize>,
    /// Why, in the kernel's words.
    pub error: Error,
    /// The ruleset is not what it was at the last look: look again, plan again.
    pub changed_meanwhile: bool,
    /// The kernel may lack what a module brings.
    pub lacks_module: bool,
}

/// What the kernel says of an expression, a kind of chain or a family that it does not have.
const LACKS: [Errno; 3] = [Errno::ENOENT, Errno::EOPNOTSUPP, Errno::EAFNOSUPPORT];

impl Refused {
    pub(super) fn new(index: Option<usize>, command: Option<&Command>, errno: Errno) -> Self {
        let missing = command.and_then(|c| missing(c, errno));
        let error = match missing {
            Some(missing) => Error::failed(format!("{}: this kernel has no {missing}", errno.desc())),
            // Its own words are those of an interrupted system call.
            None if errno == Errno::ERESTART => {
                Error::failed("another program has changed the rules meanwhile")
            }
            None => words(errno),
        };
        Self {
            index,
            error,
            changed_meanwhile: is_change(command, errno),
            lacks_module: LACKS.contains(&errno),
        }
    }
}

pub(super) fn words(errno: Errno) -> Error {
    match errno {
        Errno::EPERM => Error::failed(format!("{}: needs root (CAP_NET_ADMIN)", errno.desc())),
        Errno::EAGAIN => Error::failed("the kernel did not answer"),
        Errno::EINTR => Error::failed("the rules change faster than they can be read"),
        _ => errno.into(),
    }
}

/// ERESTART is the kernel's word for a batch made for another generation of the ruleset. Before Linux
/// 4.11 it does not look at that, and a race shows in what a command finds.
fn is_change(command: Option<&Command>, errno: Errno) -> bool {
    match errno {
        Errno::ERESTART => true,
        Errno::EEXIST => matches!(command, Some(Command::AddChain(_))),
        Errno::EBUSY => matches!(command, Some(Command::DeleteChain(_) | Command::DeleteTable(..))),
        Errno::ENOENT => command.is_some_and(|c| missing(c, errno).is_none()),
        _ => false,
    }
}

/// What a kernel may lack that the command needs. A batch makes a chain before its rules, so that it is
/// not the chain that is not found.
fn missing(command: &Command, errno: Errno) -> Option<&'static str> {
    match (errno, command) {
        (Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT, Command::AddTable(Family::Ip, _)) => {
            Some("IPv4 tables (CONFIG_NF_TABLES_IPV4)")
        }
        (Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT, Command::AddTable(Family::Ip6, _)) => {
            Some("IPv6 tables (CONFIG_NF_TABLES_IPV6)")
        }
        (Errno::ENOENT, Command::AddChain(chain)) if chain.base.as_ref().is_some_and(|b| b.kind == "nat") => {
            Some("chains of type nat (CONFIG_NFT_NAT, module nft_chain_nat)")
        }
        (Errno::ENOENT, Command::AddRule(rule) | Command::InsertRule(rule, None)) if masquerades(rule) => {
            Some("masquerading (CONFIG_NFT_MASQ, module nft_masq)")
        }
        _ => None,
    }
}

fn masquerades(rule: &Rule) -> bool {
    rule.exprs.iter().any(|e| matches!(e, Expr::Masquerade { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::nft::{Base, Chain, ChainId, Policy};

    fn refused(command: &Command, errno: Errno) -> (String, bool) {
        let refused = Refused::new(Some(0), Some(command), errno);
        (refused.error.to_string(), refused.changed_meanwhile)
    }

    #[test]
    fn what_the_kernel_lacks_is_no_race() {
        let id = ChainId { family: Family::Ip, table: "kboot".into(), name: "postrouting-cbr0".into() };
        let base =
            Base { kind: "nat".into(), hook: Base::POSTROUTING, priority: 100, policy: Policy::Accept };
        let chain = Command::AddChain(Chain { id: id.clone(), base: Some(base) });
        let exprs = vec![Expr::Masquerade { random_fully: false }];
        let rule = Command::AddRule(Rule { chain: id.clone(), handle: 0, exprs, comment: None });
        let gone = Command::DeleteRule(id, 7);
        for (command, errno, words, changed) in [
            (&chain, Errno::ENOENT, "nft_chain_nat", false),
            (&rule, Errno::ENOENT, "nft_masq", false),
            (&gone, Errno::ENOENT, "No such file or directory", true),
            (&chain, Errno::EEXIST, "File exists", true),
            (&chain, Errno::EPERM, "needs root (CAP_NET_ADMIN)", false),
            (&rule, Errno::ERESTART, "another program has changed the rules", true),
        ] {
            let (text, race) = refused(command, errno);
            assert!(text.contains(words) && race == changed, "{text} {race}");
        }
    }
}

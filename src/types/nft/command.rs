use std::fmt;

use super::{Chain, ChainId, Family, Rule};

/// One change. Its text is a line for a shell: `nft delete rule ip filter FORWARD handle 7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// One that is there is fine.
    AddTable(Family, String),
    /// With all that is in it.
    DeleteTable(Family, String),
    /// One that is there is fine if it hangs at the same hook.
    AddChain(Chain),
    /// Takes its rules away.
    FlushChain(ChainId),
    /// With its rules.
    DeleteChain(ChainId),
    /// At its chain's end.
    AddRule(Rule),
    /// Before the rule with that handle; `None`: at its chain's head.
    InsertRule(Rule, Option<u64>),
    /// By its handle.
    DeleteRule(ChainId, u64),
}

impl Command {
    /// The table that it changes.
    pub fn table(&self) -> &str {
        match self {
            Command::AddTable(_, table) | Command::DeleteTable(_, table) => table,
            Command::AddChain(chain) => &chain.id.table,
            Command::FlushChain(id) | Command::DeleteChain(id) | Command::DeleteRule(id, _) => &id.table,
            Command::AddRule(rule) | Command::InsertRule(rule, _) => &rule.chain.table,
        }
    }

    /// What `nft` reads, not quoted for a shell.
    fn script(&self) -> String {
        match self {
            Command::AddTable(family, name) => format!("add table {family} {name}"),
            Command::DeleteTable(family, name) => format!("delete table {family} {name}"),
            Command::AddChain(Chain { id, base: Some(base) }) => format!("add chain {id} {{ {base} }}"),
            Command::AddChain(Chain { id, base: None }) => format!("add chain {id}"),
            Command::FlushChain(id) => format!("flush chain {id}"),
            Command::DeleteChain(id) => format!("delete chain {id}"),
            Command::AddRule(rule) => format!("add rule {} {rule}", rule.chain),
            Command::InsertRule(rule, None) => format!("insert rule {} {rule}", rule.chain),
            Command::InsertRule(rule, Some(before)) => {
                format!("insert rule {} handle {before} {rule}", rule.chain)
            }
            Command::DeleteRule(chain, handle) => format!("delete rule {chain} handle {handle}"),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let script = self.script();
        let plain = |c: char| c.is_ascii_alphanumeric() || " ./:_@%+,=-".contains(c);
        // Quoted as a whole: a link may have a name that nft without its quotes takes for a word of its own.
        if script.chars().all(plain) {
            write!(f, "nft {script}")
        } else {
            write!(f, "nft '{}'", script.replace('\'', "'\\''"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::nft::Expr;

    #[test]
    fn a_line_for_a_shell() {
        let chain = ChainId { family: Family::Ip, table: "filter".into(), name: "FORWARD".into() };
        let name = "ip".parse().unwrap();
        let exprs = vec![Expr::Link { out: false, not: true, name }, Expr::Counter, Expr::Accept];
        let rule = Rule { chain: chain.clone(), handle: 0, exprs, comment: None };
        for (command, line) in [
            (Command::DeleteRule(chain.clone(), 7), "nft delete rule ip filter FORWARD handle 7"),
            (Command::AddTable(Family::Ip6, "kboot".into()), "nft add table ip6 kboot"),
            (
                Command::InsertRule(rule, Some(3)),
                r#"nft 'insert rule ip filter FORWARD handle 3 iifname != "ip" counter accept'"#,
            ),
            (
                Command::FlushChain(ChainId { name: "it's".into(), ..chain }),
                r"nft 'flush chain ip filter it'\''s'",
            ),
        ] {
            assert_eq!(command.to_string(), line);
        }
    }
}

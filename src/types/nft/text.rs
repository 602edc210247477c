use std::fmt;

use super::{Base, ChainId, Expr, Family, Policy, Rule};

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Ip => "ip",
            Family::Ip6 => "ip6",
            Family::Inet => "inet",
            Family::Arp => "arp",
            Family::Bridge => "bridge",
            Family::Netdev => "netdev",
            Family::Other(number) => return write!(f, "family-{number}"),
        })
    }
}

/// `ip kboot postrouting-cbr0`.
impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.family, self.table, self.name)
    }
}

/// `type nat hook postrouting priority 100 ; policy accept ;`, with the hook's name in the families
/// ip, ip6, inet and bridge.
impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HOOKS: [&str; 6] = ["prerouting", "input", "forward", "output", "postrouting", "ingress"];
        let hook = usize::try_from(self.hook).ok().and_then(|at| HOOKS.get(at)).unwrap_or(&"unknown");
        let policy = match self.policy {
            Policy::Accept => "accept",
            Policy::Drop => "drop",
        };
        write!(f, "type {} hook {hook} priority {} ; policy {policy} ;", self.kind, self.priority)
    }
}

/// The rule without its chain: `iifname "cbr0" ip saddr 10.7.3.0/24 counter accept comment "kboot-cbr0"`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, expr) in self.exprs.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}{expr}")?;
        }
        match &self.comment {
            Some(comment) => write!(f, " comment \"{comment}\""),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unless = |not: &bool| if *not { "!= " } else { "" };
        match self {
            Expr::Family(Family::Ip) => f.write_str("meta nfproto ipv4"),
            Expr::Family(Family::Ip6) => f.write_str("meta nfproto ipv6"),
            Expr::Family(family) => write!(f, "meta nfproto {family}"),
            Expr::Address { dest, not, network } => {
                let family = if network.is_ipv4() { "ip" } else { "ip6" };
                let which = if *dest { "daddr" } else { "saddr" };
                write!(f, "{family} {which} {}{network}", unless(not))
            }
            Expr::Link { out, not, name } => {
                let which = if *out { "oifname" } else { "iifname" };
                write!(f, "{which} {}\"{name}\"", unless(not))
            }
            Expr::Counter => f.write_str("counter"),
            Expr::Masquerade { random_fully: false } => f.write_str("masquerade"),
            Expr::Masquerade { random_fully: true } => f.write_str("masquerade fully-random"),
            Expr::Accept => f.write_str("accept"),
            Expr::Drop => f.write_str("drop"),
            Expr::Return => f.write_str("return"),
            Expr::Jump(chain) => write!(f, "jump {chain}"),
            Expr::Goto(chain) => write!(f, "goto {chain}"),
            Expr::Reject => f.write_str("reject"),
            Expr::Target(name) => write!(f, "xt target \"{name}\""),
            Expr::Match(name) => write!(f, "xt match \"{name}\""),
            Expr::Other(name) => write!(f, "({name})"),
        }
    }
}

//! docker's own rules about docker0, told from an administrator's by their shape, and the order in which
//! they go. They matter once docker0 is gone: `! -o docker0` then holds for every packet, so a left
//! MASQUERADE, DNAT or raw DROP would meet the pods of a bridge that has docker0's subnet.

mod shapes;

use std::fmt;
use std::net::IpAddr;

use crate::types::Cidr;
use shapes::{FORWARD_28_0_0, SHAPES};

/// docker's default bridge, in every version.
pub const NAME: &str = "docker0";
/// The tables to list: docker has rules about docker0 in all but mangle, an administrator may anywhere.
pub const TABLES: [&str; 4] = ["raw", "mangle", "nat", "filter"];

/// A table's name, of `TABLES`, and what `iptables -t TABLE -S` prints.
pub type Listed = (&'static str, Vec<String>);

/// A rule that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// For `-t`.
    pub table: &'static str,
    /// `-D CHAIN RULE`: words that need no quotes.
    pub args: String,
}

impl fmt::Display for Delete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-t {} {}", self.table, self.args)
    }
}

/// What goes and what stays.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// docker's own, in this order.
    pub deletes: Vec<Delete>,
    /// Rules that name docker0 and are not docker's, for a warning: `-t TABLE -A CHAIN RULE`.
    pub stay: Vec<String>,
}

/// Plans one family's rules. `addrs` are docker0's own of that family; without any (its link is gone) docker's
/// own rules tell its subnet. Whoever deletes the link first opens nothing with any of them: those that name
/// docker0 then match either nothing or everything. The latter go first, the former prove to a rerun, wherever
/// this one was killed, that the rest is docker's too.
pub fn plan(tables: &[Listed], addrs: &[Cidr]) -> Plan {
    let rules: Vec<Rule<'_>> =
        tables.iter().flat_map(|(table, lines)| lines.iter().filter_map(|l| Rule::parse(table, l))).collect();
    let is_28_0_0 = rules.iter().any(|r| r.terms.iter().any(|t| t.value.starts_with("docker-ext-bridges-v")));
    let is_dockers = |rule: &Rule<'_>, networks: &[Cidr]| {
        let is_in = |c| c == rule.chain || is_28_0_0 && c == FORWARD_28_0_0 && rule.chain == "FORWARD";
        shapes_of(rule.table)
            .any(|(chains, shape)| chains.split(' ').any(is_in) && fits(shape, rule, Some(networks)))
    };
    let mut networks: Vec<Cidr> = addrs.iter().map(Cidr::network).collect();
    if networks.is_empty() && rules.iter().any(|r| is_dockers(r, &[])) {
        networks = rules.iter().filter_map(told_network).collect();
    }
    let (mut dockers, others): (Vec<_>, Vec<_>) = rules.iter().partition(|r| is_dockers(r, &networks));
    dockers.sort_by_key(|rule| rank(rule));
    let delete = |r: &Rule<'_>| Delete { table: r.table, args: format!("-D {}", r.text) };
    let stays = |r: &Rule<'_>| r.names_docker0().then(|| format!("-t {} -A {}", r.table, r.text));
    Plan {
        deletes: dockers.into_iter().map(delete).collect(),
        stay: others.into_iter().filter_map(stays).collect(),
    }
}

/// A rule as `-S` prints it.
struct Rule<'l> {
    table: &'static str,
    chain: &'l str,
    /// The line after `-A `.
    text: &'l str,
    terms: Vec<Term>,
}

/// An option with its value, such as `! -o docker0`.
#[derive(Debug, PartialEq, Eq)]
struct Term {
    /// `?` before it, in a shape only.
    optional: bool,
    negated: bool,
    option: String,
    value: String,
}

impl<'l> Rule<'l> {
    fn parse(table: &'static str, line: &'l str) -> Option<Self> {
        // iptables 1.4 ends a line with a blank.
        let text = line.strip_prefix("-A ")?.trim_end();
        let (chain, rest) = text.split_once(' ')?;
        Some(Self { table, chain, text, terms: terms(&words(rest)) })
    }

    fn names_docker0(&self) -> bool {
        self.terms.iter().any(|t| t.value == NAME && t.option != "--comment")
    }

    fn value(&self, option: &str) -> Option<&str> {
        self.terms.iter().find(|t| t.option == option && !t.negated).map(|t| t.value.as_str())
    }
}

/// Cuts at blanks. iptables writes what is more than letters, digits, `_` and `-` in double quotes, with a
/// backslash before a quote and a backslash (libxtables, xtables_save_string).
fn words(text: &str) -> Vec<String> {
    let (mut all, mut word, mut is_word, mut quoted) = (Vec::new(), String::new(), false, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' if !quoted => {
                if std::mem::take(&mut is_word) {
                    all.push(std::mem::take(&mut word));
                }
                continue;
            }
            '"' => quoted = !quoted,
            '\\' if quoted => word.extend(chars.next()),
            c => word.push(c),
        }
        is_word = true;
    }
    if is_word {
        all.push(word);
    }
    all
}

/// `-m` is left out: which module knows an option follows from the option.
fn terms(words: &[String]) -> Vec<Term> {
    let mut all: Vec<Term> = Vec::new();
    let (mut optional, mut negated) = (false, false);
    for word in words {
        match word.as_str() {
            "?" => optional = true,
            "!" => negated = true,
            option if option.starts_with('-') => {
                let (optional, negated) = (std::mem::take(&mut optional), std::mem::take(&mut negated));
                all.push(Term { optional, negated, option: option.to_owned(), value: String::new() });
            }
            value => {
                let Some(last) = all.last_mut() else { continue };
                let between = if last.value.is_empty() { "" } else { " " };
                last.value = format!("{}{between}{value}", last.value);
            }
        }
    }
    all.retain(|t| t.option != "-m");
    all
}

fn shapes_of(table: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    SHAPES.iter().filter(move |(t, ..)| *t == table).map(|(_, chains, shape)| (*chains, *shape))
}

/// Whether a rule has a shape: all of its terms and no others, in any order. With `networks` unknown, a
/// `NET` is any.
fn fits(shape: &str, rule: &Rule<'_>, networks: Option<&[Cidr]>) -> bool {
    let mut left: Vec<&Term> = rule.terms.iter().collect();
    let mut own = None;
    for want in terms(&words(shape)) {
        let is_it = |t: &&Term| {
            (t.negated, &t.option) == (want.negated, &want.option)
                && value_fits(&want.value, &t.value, networks)
        };
        let Some(at) = left.iter().position(is_it) else {
            if want.optional {
                continue;
            }
            return false;
        };
        let value = left.remove(at).value.as_str();
        // A container's address that a shape has twice is the same one.
        if want.value == "OWN" && own.replace(value).is_some_and(|before| before != value) {
            return false;
        }
    }
    left.is_empty()
}

fn value_fits(want: &str, has: &str, networks: Option<&[Cidr]>) -> bool {
    match want {
        "NET" => Cidr::parse_subnet(has).is_ok_and(|net| networks.is_none_or(|known| known.contains(&net))),
        "OWN" => {
            address(has).is_some_and(|a| networks.is_some_and(|known| known.iter().any(|n| n.contains(a))))
        }
        "IP" => address(has).is_some(),
        "PROTO" => ["tcp", "udp", "sctp"].contains(&has),
        "PORT" => has.parse::<u16>().is_ok(),
        "ANY" => !has.is_empty(),
        "ESTABLISHED" => ["RELATED,ESTABLISHED", "ESTABLISHED,RELATED"].contains(&has),
        literal => has == literal,
    }
}

/// One address: `172.17.0.2`, `172.17.0.2/32`, `172.17.0.2:80`, `fd00::2/128`, `[fd00::2]:80`.
fn address(text: &str) -> Option<IpAddr> {
    if let Some((address, _)) = text.strip_prefix('[').and_then(|t| t.split_once("]:")) {
        return address.parse().ok();
    }
    let alone = text.strip_suffix("/32").or_else(|| text.strip_suffix("/128")).unwrap_or(text);
    alone.parse().ok().or_else(|| alone.rsplit_once(':')?.0.parse().ok())
}

/// docker0's subnet, from a rule that gives it.
fn told_network(rule: &Rule<'_>) -> Option<Cidr> {
    let tells =
        |(_, shape): (&str, &str)| shape.contains("NET") && shape.contains(NAME) && fits(shape, rule, None);
    let network = || rule.value("-s").or_else(|| rule.value("-d"))?.parse().ok();
    shapes_of(rule.table).any(tells).then(network)?
}

/// First what matches packets without docker0, then what tells its subnet, then what matches none; of
/// these what lets through before what drops.
fn rank(rule: &Rule<'_>) -> u8 {
    let is_link = |t: &Term| t.value == NAME && !t.negated;
    match rule.value("-j") {
        _ if told_network(rule).is_some() => 1,
        _ if !rule.terms.iter().any(is_link) => 0,
        Some("DROP") => 3,
        _ => 2,
    }
}

#[cfg(test)]
mod tests;

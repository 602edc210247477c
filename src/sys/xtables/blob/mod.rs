//! The rules of a table as the kernel gives them: entries one behind the other, each an address part,
//! matches and one target (include/uapi/linux/netfilter/x_tables.h). Numbers are in host byte order.
//! Whatever the bytes are, nothing beyond them is read.

use std::ops::Range;

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// filter, nat, mangle, raw or security.
    pub name: String,
    /// How many rules all its chains have, without the policies.
    pub rules: usize,
    /// The chains that are not built in, in the kernel's order.
    pub chains: Vec<String>,
    /// Its chain FORWARD, if the table has it.
    pub forward: Option<Forward>,
}

/// A chain FORWARD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// How many rules it has, without the policy.
    pub rules: usize,
    /// What drops a forwarded packet on which no rule has a condition that fits; `None` when such a
    /// packet passes, or goes to a program (NFQUEUE).
    pub dropped_by: Option<DroppedBy>,
    /// The comments of its rules.
    pub comments: Vec<String>,
}

/// What drops packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DroppedBy {
    /// The policy of FORWARD.
    Policy,
    /// An unconditional DROP or REJECT in FORWARD, or in a chain to which it jumps unconditionally.
    Rule,
}

/// Number of the hook behind FORWARD, `NF_INET_FORWARD` of include/uapi/linux/netfilter.h.
const FORWARD: usize = 2;

/// What is used of struct ipt_getinfo, which is also struct ip6t_getinfo.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Info {
    /// One bit per built-in chain.
    valid_hooks: u32,
    /// Where in the entries FORWARD begins, and where its policy is.
    forward: [u32; 2],
    /// Of all entries, in bytes.
    pub size: u32,
}

impl Info {
    /// Size of the structure.
    pub const LEN: usize = 84;

    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |at| word(bytes, at).map(u32::from_ne_bytes);
        let forward = [word(36 + 4 * FORWARD)?, word(56 + 4 * FORWARD)?];
        Some(Self { valid_hooks: word(32)?, forward, size: word(80)? })
    }
}

/// What differs between struct ipt_entry (include/uapi/linux/netfilter_ipv4/ip_tables.h) and struct
/// ip6t_entry (include/uapi/linux/netfilter_ipv6/ip6_tables.h).
struct Layout {
    /// What is zero when any packet fits: smsk and dmsk; iniface_mask, outiface_mask and the protocol;
    /// invflags. Without a mask any address and any name fits.
    conditions: [Range<usize>; 3],
    flags: usize,
    /// `IPT_F_GOTO`, `IP6T_F_GOTO`.
    goto: u8,
    /// Flags that are no condition: the above, and `IP6T_F_PROTO` without a protocol (`-p all`).
    idle: u8,
    /// target_offset (u16; next_offset follows), both from the entry's start.
    offsets: usize,
    /// elems: the matches.
    matches: usize,
}

const IPV4: Layout =
    Layout { conditions: [8..16, 48..82, 83..84], flags: 82, goto: 2, idle: 2, offsets: 88, matches: 112 };
const IPV6: Layout = Layout {
    conditions: [32..64, 96..130, 132..133],
    flags: 131,
    goto: 4,
    idle: 4 | 1,
    offsets: 140,
    // In front of them 16 bytes of counters, from where a u64 may stand.
    matches: 148usize.next_multiple_of(align_of::<u64>()) + 16,
};

/// struct xt_entry_match and struct xt_entry_target: size (u16), name, revision, data.
const NAME: Range<usize> = 2..31;
const DATA: usize = 32;

struct Entry {
    at: usize,
    /// No address, link, protocol or match but comments.
    always: bool,
    /// A jump from which RETURN does not come back here.
    goto: bool,
    /// What `-m comment` says, unless another match comes before it.
    comment: Option<String>,
    target: Target,
}

enum Target {
    /// Below zero a verdict, else the place of the entry to go on with.
    Standard(i32),
    /// What stands before a chain's first rule: its name. The last entry of all is one named ERROR.
    Head(String),
    Extension(String),
}

/// Verdicts of struct xt_standard_target: -1 and the negative of `NF_DROP` (0), `NF_REPEAT` (4).
const DROP: i32 = -1;
const RETURN: i32 = -5;

/// `None` when the bytes are not a table.
pub(super) fn read(name: &str, info: &Info, bytes: &[u8], ipv4: bool) -> Option<Table> {
    let layout = if ipv4 { &IPV4 } else { &IPV6 };
    let mut entries = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let (entry, len) = entry(bytes.get(at..)?, at, layout)?;
        entries.push(entry);
        at += len;
    }
    let (end, rest) = entries.split_last()?;
    if !matches!(&end.target, Target::Head(name) if name == "ERROR") {
        return None;
    }
    let chains: Vec<String> = rest
        .iter()
        .filter_map(|e| if let Target::Head(name) = &e.target { Some(name.clone()) } else { None })
        .collect();
    // A policy for each built-in chain, a head and a RETURN for each other one.
    let marks = info.valid_hooks.count_ones() as usize + 2 * chains.len();
    let forward = if info.valid_hooks & (1 << FORWARD) == 0 { None } else { Some(forward(&entries, info)?) };
    Some(Table { name: name.to_owned(), rules: rest.len().checked_sub(marks)?, chains, forward })
}

fn forward(entries: &[Entry], info: &Info) -> Option<Forward> {
    let [first, policy] = info.forward;
    let (first, policy) = (find(entries, first as usize)?, find(entries, policy as usize)?);
    let comments = entries.get(first..policy)?.iter().filter_map(|e| e.comment.clone()).collect();
    Some(Forward { rules: policy - first, dropped_by: dropped_by(entries, first, policy), comments })
}

/// Goes the way of a packet that fits no condition, as ipt_do_table() of net/ipv4/netfilter/ip_tables.c.
fn dropped_by(entries: &[Entry], first: usize, policy: usize) -> Option<DroppedBy> {
    let mut callers = Vec::new();
    let mut at = first;
    // A chain may be called often; circles, which the kernel does not take, come to an end here.
    for _ in 0..64 * entries.len() {
        let entry = entries.get(at)?;
        let by = if at == policy { DroppedBy::Policy } else { DroppedBy::Rule };
        at += 1;
        if !entry.always {
            continue;
        }
        match &entry.target {
            Target::Standard(DROP) => return Some(by),
            Target::Standard(RETURN) => at = callers.pop().unwrap_or(policy),
            Target::Standard(to) => {
                // A rule without a target is a jump to the next one.
                let to = find(entries, usize::try_from(*to).ok()?)?;
                if to != at && !entry.goto {
                    callers.push(at);
                }
                at = to;
            }
            Target::Extension(name) if name == "REJECT" => return Some(by),
            Target::Extension(name) if name == "NFQUEUE" => return None,
            Target::Extension(_) => {}
            Target::Head(_) => return None,
        }
    }
    None
}

fn find(entries: &[Entry], at: usize) -> Option<usize> {
    entries.binary_search_by_key(&at, |e| e.at).ok()
}

/// The first entry in the bytes, and its length.
fn entry(bytes: &[u8], at: usize, layout: &Layout) -> Option<(Entry, usize)> {
    let target_at = usize::from(u16::from_ne_bytes(word(bytes, layout.offsets)?));
    let len = usize::from(u16::from_ne_bytes(word(bytes, layout.offsets + 2)?));
    let target = target(bytes.get(target_at..len)?)?;
    let goto = bytes.get(layout.flags)? & layout.goto != 0;
    let (only_comments, comment) = comments(bytes.get(layout.matches..target_at)?)?;
    let always = no_condition(bytes, layout)? && only_comments;
    Some((Entry { at, always, goto, comment, target }, len))
}

fn no_condition(bytes: &[u8], layout: &Layout) -> Option<bool> {
    let mut none = bytes.get(layout.flags)? & !layout.idle == 0;
    for condition in &layout.conditions {
        none &= bytes.get(condition.clone())?.iter().all(|b| *b == 0);
    }
    Some(none)
}

/// Whether the matches are comments alone, and the last of those before any other (struct
/// xt_comment_info: 256 bytes, ended by a zero).
fn comments(mut matches: &[u8]) -> Option<(bool, Option<String>)> {
    let mut comment = None;
    while !matches.is_empty() {
        let len = usize::from(u16::from_ne_bytes(word(matches, 0)?));
        if until_zero(matches.get(NAME)?) != b"comment" {
            return Some((false, comment));
        }
        // No match is shorter than its head.
        let (this, rest) = matches.split_at_checked(len.max(DATA))?;
        comment = Some(text(&this[DATA..]));
        matches = rest;
    }
    Some((true, comment))
}

fn target(bytes: &[u8]) -> Option<Target> {
    Some(match until_zero(bytes.get(NAME)?) {
        b"" => Target::Standard(i32::from_ne_bytes(word(bytes, DATA)?)),
        // XT_FUNCTION_MAXNAMELEN
        b"ERROR" => Target::Head(text(bytes.get(DATA..DATA + 30)?)),
        name => Target::Extension(text(name)),
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(until_zero(bytes)).into_owned()
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

fn word<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests;

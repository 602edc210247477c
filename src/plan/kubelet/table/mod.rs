//! The life of every kubelet flag and of the configuration's fields: the first minor version that
//! knows it, and the first without it. An unknown flag ends the kubelet (1.20.2: exit status 255).
//!
//! `flags.txt` has one life a line, by name; it is Linux's, Windows has some more:
//! NAME, `v` (a value follows) or `s` (a switch), FIRST, DEPRECATED or `-`, GONE or `-`, evidence, and what
//! does its work now: `@FIELD`, or words, or nothing. `fields.txt`: PATH, FIRST, evidence. Evidence is a source's
//! letter, a number where it has one, and which ends were read there ([`Source`], [`Certainty`]).

use std::fmt;

const FLAGS: &str = include_str!("flags.txt");
const FIELDS: &str = include_str!("fields.txt");

/// One life of a flag. A name may have two: `--config` was a directory first, then a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Without the dashes.
    pub name: &'static str,
    /// Whether a value follows it; a switch takes one only as `--name=value`.
    pub takes_value: bool,
    /// The first minor version that knows it; 0 is 1.0.
    pub first: u8,
    /// The first minor that warns when it is used.
    pub deprecated: Option<u8>,
    /// The first minor version WITHOUT it.
    pub gone: Option<u8>,
    /// What does its work since then.
    pub instead: Instead,
    /// Where its life was read.
    pub evidence: Evidence,
}

/// A field of the KubeletConfiguration (`kubelet.config.k8s.io/v1beta1`, from 1.10 on). Those that kboot writes
/// and those that replace a flag are listed; none of them is gone up to 1.37.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// `authentication.anonymous.enabled`.
    pub path: &'static str,
    /// The first minor version that knows it.
    pub first: u8,
    /// Where its life was read.
    pub evidence: Evidence,
}

/// What replaces a flag; its Display is for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    /// Nothing does.
    Nothing,
    /// A field of the file of `--config`.
    Field(&'static str),
    /// Something else, in words.
    Say(&'static str),
}

/// Where a life was read, as the table has it: `p91577b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence(&'static str);

/// A source tells what it says about the versions that it is of; see [`Certainty`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `o`: `cmd/kubelet/app/options/options.go` (`server.go` until 1.1) at the tags v1.0.0 to v1.10.4, and
    /// in the trees of 1.15 and 1.20.2.
    Options,
    /// `r`: the generated page `kubelet.md` of kubernetes.io for 1.2, 1.7, 1.9, 1.15 and 1.34.
    Reference,
    /// `k`: what kubelets 1.20.2, 1.24.9, 1.25.5 and 1.27.1 list as theirs: `--help`, or `FLAG:` in the log.
    Kubelet,
    /// `n`: the release notes of the minors named (CHANGELOG-1.N.md).
    Notes,
    /// `t`: `KubeletConfiguration` in `types.go`, at 1.10, 1.12, 1.20.2 and 1.25.
    Types,
    /// `p`: that pull request of kubernetes/kubernetes.
    Pull(u32),
    /// `e`: that enhancement proposal (kep.k8s.io).
    Kep(u32),
}

/// Which ends of a life were read in its source. The others are taken from the nearest versions that
/// were seen, and may be some minors off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// `b`: its first and its last version (or that it lives).
    Both,
    /// `f`: its first only.
    First,
    /// `g`: its last only.
    Gone,
    /// `n`: neither: it was seen in between.
    Neither,
}

impl Evidence {
    /// Both parts; `None` would be a mistake in the table.
    pub fn parts(self) -> Option<(Source, Certainty)> {
        let (source, end) = self.0.split_at_checked(self.0.len().checked_sub(1)?)?;
        let number = || source.get(1..)?.parse().ok().filter(|n| *n > 0);
        let source = match source.chars().next()? {
            'p' => Source::Pull(number()?),
            'e' => Source::Kep(number()?),
            _ => match source {
                "o" => Source::Options,
                "r" => Source::Reference,
                "k" => Source::Kubelet,
                "n" => Source::Notes,
                "t" => Source::Types,
                _ => return None,
            },
        };
        let certainty = match end {
            "b" => Certainty::Both,
            "f" => Certainty::First,
            "g" => Certainty::Gone,
            "n" => Certainty::Neither,
            _ => return None,
        };
        Some((source, certainty))
    }
}

fn flag(line: &'static str) -> Option<Flag> {
    let mut words = line.splitn(7, ' ');
    let (name, kind) = (words.next()?, words.next()?);
    let mut minor = || words.next().and_then(|word| word.parse().ok());
    let (first, deprecated, gone) = (minor()?, minor(), minor());
    let evidence = Evidence(words.next()?);
    let instead = words
        .next()
        .map_or(Instead::Nothing, |text| text.strip_prefix('@').map_or(Instead::Say(text), Instead::Field));
    Some(Flag { name, takes_value: kind == "v", first, deprecated, gone, instead, evidence })
}

fn field(line: &'static str) -> Option<Field> {
    let mut words = line.split(' ');
    let path = words.next()?;
    Some(Field { path, first: words.next()?.parse().ok()?, evidence: Evidence(words.next()?) })
}

/// All lives of all flags.
pub fn flags() -> impl Iterator<Item = Flag> {
    FLAGS.lines().filter_map(flag)
}

/// All fields.
pub fn fields() -> impl Iterator<Item = Field> {
    FIELDS.lines().filter_map(field)
}

impl Flag {
    /// Whether that minor version knows it.
    pub fn lives(&self, minor: u8) -> bool {
        self.first <= minor && self.gone.is_none_or(|gone| minor < gone)
    }

    /// Why that minor version does not know it, for a person: `gone in 1.8; now: the kubeconfig's server`.
    pub fn why_not(&self, minor: u8) -> String {
        match (self.gone.filter(|gone| *gone <= minor), self.instead) {
            (None, _) => format!("it came in 1.{}", self.first),
            (Some(gone), Instead::Nothing) => format!("gone in 1.{gone}, nothing replaces it"),
            (Some(gone), instead) => format!("gone in 1.{gone}; now: {instead}"),
        }
    }
}

impl fmt::Display for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Instead::Nothing => Ok(()),
            Instead::Field(path) => write!(f, "{path} in --config"),
            Instead::Say(text) => f.write_str(text),
        }
    }
}

/// How a version stands to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It knows the flag.
    Lives(Flag),
    /// It does not, but others do: the life that ended last before it, else the next to come.
    Dead(Flag),
    /// No version is known to know it.
    Unknown,
}

/// Looks up a flag by its name without dashes, in which `_` may stand for `-`, for one minor version.
pub fn standing(name: &str, minor: u8) -> Standing {
    let name = name.replace('_', "-");
    let mut nearest = Standing::Unknown;
    // A name's lives follow each other in the table.
    for flag in flags().filter(|f| f.name == name) {
        if flag.lives(minor) {
            return Standing::Lives(flag);
        }
        if flag.first < minor || nearest == Standing::Unknown {
            nearest = Standing::Dead(flag);
        }
    }
    nearest
}

/// The field that does a flag's work, if that minor version knows it.
pub fn field_of(name: &str, minor: u8) -> Option<Field> {
    let path = flags().find_map(|f| match f.instead {
        Instead::Field(path) if f.name == name => Some(path),
        _ => None,
    })?;
    fields().find(|f| f.path == path && f.first <= minor)
}

#[cfg(test)]
mod tests;

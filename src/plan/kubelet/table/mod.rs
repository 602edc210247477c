//! The life of every kubelet flag and of the configuration's fields: the first minor version that
//! knows it, and the first without it. An unknown flag ends the kubelet (1.20.2: exit status 255).

mod fields;
mod foreign;
mod old;
mod own;
mod settings;

pub use fields::FIELDS;

use std::fmt;

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
    pub source: Source,
    /// Which ends of its life were read there.
    pub certainty: Certainty,
}

/// A field of the KubeletConfiguration (`kubelet.config.k8s.io/v1beta1`, from 1.10 on).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// `authentication.anonymous.enabled`.
    pub path: &'static str,
    /// The first minor version that knows it.
    pub first: u8,
    /// The first minor version WITHOUT it.
    pub gone: Option<u8>,
    /// Where its life was read.
    pub source: Source,
    /// Which ends of its life were read there.
    pub certainty: Certainty,
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

/// Where a life was read. A source tells what it says about the versions it is of; see [`Certainty`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `cmd/kubelet/app/options/options.go` (`server.go` until 1.1) at the tags v1.0.0 to v1.10.4, and
    /// in the trees of 1.15 and 1.20.2.
    Options,
    /// The generated page `kubelet.md` of kubernetes.io for 1.2, 1.7, 1.9, 1.15 and 1.34.
    Reference,
    /// What kubelets 1.20.2, 1.24.9, 1.25.5 and 1.27.1 list as theirs: `--help`, or `FLAG:` in the log.
    Kubelet,
    /// The release notes of the minors named (CHANGELOG-1.N.md).
    Notes,
    /// That pull request of kubernetes/kubernetes.
    Pull(u32),
    /// That enhancement proposal (kep.k8s.io).
    Kep(u16),
    /// `KubeletConfiguration` in `types.go`, at 1.10, 1.12, 1.20.2 and 1.25.
    Types,
}

/// Which ends of a life were read in its source. The others are taken from the nearest versions that
/// were seen, and may be some minors off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// Its first and its last version (or that it lives).
    Both,
    /// Its first only.
    First,
    /// Its last only.
    Gone,
    /// Neither: it was seen in between.
    Neither,
}

const fn flag(name: &'static str, takes_value: bool, first: u8, source: Source) -> Flag {
    let (deprecated, gone, instead) = (None, None, Instead::Nothing);
    Flag { name, takes_value, first, deprecated, gone, instead, source, certainty: Certainty::Both }
}

/// A flag with a value.
const fn value(name: &'static str, first: u8, source: Source) -> Flag {
    flag(name, true, first, source)
}

/// A flag that is there or not.
const fn switch(name: &'static str, first: u8, source: Source) -> Flag {
    flag(name, false, first, source)
}

impl Flag {
    const fn deprecated(mut self, minor: u8) -> Self {
        self.deprecated = Some(minor);
        self
    }

    const fn gone(mut self, minor: u8) -> Self {
        self.gone = Some(minor);
        self
    }

    const fn say(mut self, instead: &'static str) -> Self {
        self.instead = Instead::Say(instead);
        self
    }

    /// A field says the same.
    const fn also(mut self, path: &'static str) -> Self {
        self.instead = Instead::Field(path);
        self
    }

    /// Deprecated from that minor on in favour of a field.
    const fn field(self, minor: u8, path: &'static str) -> Self {
        self.also(path).deprecated(minor)
    }

    const fn read(mut self, certainty: Certainty) -> Self {
        self.certainty = certainty;
        self
    }

    /// Whether that minor version knows it.
    pub fn lives(&self, minor: u8) -> bool {
        alive(self.first, self.gone, minor)
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

impl Field {
    /// Whether that minor version knows it.
    pub fn lives(&self, minor: u8) -> bool {
        alive(self.first, self.gone, minor)
    }
}

fn alive(first: u8, gone: Option<u8>, minor: u8) -> bool {
    first <= minor && gone.is_none_or(|gone| minor < gone)
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

/// All lives of all flags.
pub fn flags() -> impl Iterator<Item = &'static Flag> {
    [old::FLAGS, settings::FLAGS, own::FLAGS, foreign::FLAGS].into_iter().flatten()
}

/// How a version stands to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It knows the flag.
    Lives(&'static Flag),
    /// It does not, but others do: the life that ended last before it, else the next to come.
    Dead(&'static Flag),
    /// No version is known to know it.
    Unknown,
}

/// Looks up a flag by its name without dashes, in which `_` may stand for `-`, for one minor version.
pub fn standing(name: &str, minor: u8) -> Standing {
    let same = |f: &Flag| f.name.bytes().eq(name.bytes().map(|b| if b == b'_' { b'-' } else { b }));
    let lives: Vec<&'static Flag> = flags().filter(|f| same(f)).collect();
    if let Some(flag) = lives.iter().find(|f| f.lives(minor)) {
        return Standing::Lives(flag);
    }
    let ended = lives.iter().filter(|f| f.first < minor).max_by_key(|f| f.gone);
    match ended.or_else(|| lives.iter().min_by_key(|f| f.first)) {
        Some(flag) => Standing::Dead(flag),
        None => Standing::Unknown,
    }
}

/// The field that does a flag's work, if that minor version knows it.
pub fn field_of(name: &str, minor: u8) -> Option<&'static Field> {
    let path = flags().find_map(|f| match f.instead {
        Instead::Field(path) if f.name == name => Some(path),
        _ => None,
    })?;
    FIELDS.iter().find(|f| f.path == path && f.lives(minor))
}

#[cfg(test)]
mod tests;

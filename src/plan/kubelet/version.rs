//! Which kubelet, and which runtime it speaks to.

use std::fmt;
use std::str::FromStr;

/// A kubelet's version, as far as flags depend on it: 1.MINOR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The second number.
    pub minor: u32,
}

/// The newest whose flags were looked at.
pub const NEWEST_KNOWN: Version = Version { minor: 38 };

impl Version {
    /// Its column of the table: a version that is newer than the table has the last one.
    pub fn column(self) -> u8 {
        u8::try_from(self.minor.min(NEWEST_KNOWN.minor)).unwrap_or(u8::MAX)
    }

    /// Whether that is what a kubelet prints that was built without its version, as some distributions
    /// do: `Kubernetes v0.0.0-master+faecb196815e2`. It parses as no version; its `--help` tells
    /// ([`super::versions_by_help`]).
    pub fn is_placeholder(text: &str) -> bool {
        let text = text.trim();
        text.strip_prefix("Kubernetes ").unwrap_or(text).starts_with("v0.0.0")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.minor)
    }
}

impl FromStr for Version {
    type Err = String;

    /// `Kubernetes v1.20.2`, `v1.34.1+k3s1`, `1.1`: what follows the second number has no say.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || "is no Kubernetes version such as v1.20.2".to_owned();
        let text = text.trim();
        let text = text.strip_prefix("Kubernetes ").unwrap_or(text);
        let text = text.strip_prefix('v').unwrap_or(text);
        let (major, rest) = text.split_once('.').ok_or_else(bad)?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let minor = rest[..end].parse().map_err(|_| bad())?;
        match major {
            "1" => Ok(Self { minor }),
            _ => Err(format!("is Kubernetes {major}.{minor}: kboot knows 1.x")),
        }
    }
}

/// Which runtime the kubelet speaks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// docker, by the kubelet's own client (up to 1.23).
    Docker,
    /// A CRI socket, `unix:///run/containerd/containerd.sock`.
    Endpoint(String),
}

impl FromStr for Runtime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "docker" => Ok(Runtime::Docker),
            path if path.starts_with('/') => Ok(Runtime::Endpoint(format!("unix://{path}"))),
            url if url.starts_with("unix:///") => Ok(Runtime::Endpoint(url.to_owned())),
            _ => Err("is neither docker nor a socket such as unix:///run/containerd/containerd.sock".into()),
        }
    }
}

/// Who makes the pods' cgroups: the kubelet and the runtime must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupDriver {
    /// They write /sys/fs/cgroup themselves.
    Cgroupfs,
    /// They ask systemd.
    Systemd,
}

impl fmt::Display for CgroupDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CgroupDriver::Cgroupfs => "cgroupfs",
            CgroupDriver::Systemd => "systemd",
        })
    }
}

impl FromStr for CgroupDriver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cgroupfs" => Ok(CgroupDriver::Cgroupfs),
            "systemd" => Ok(CgroupDriver::Systemd),
            _ => Err("is neither cgroupfs nor systemd".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_kubelets_print_them() {
        for (text, minor) in [
            ("Kubernetes v1.20.2", 20),
            ("Kubernetes v1.34.1+k3s1\n", 34),
            ("v1.1.8", 1),
            ("1.0", 0),
            ("v1.9.0-eks-ba74326", 9),
        ] {
            assert_eq!(text.parse(), Ok(Version { minor }), "{text}");
        }
        for text in ["", "Kubernetes", "v1", "v2.3.4", "Kubernetes v0.0.0-master+faecb196815e2", "1.x"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
        assert!(Version::is_placeholder("Kubernetes v0.0.0-master+faecb196815e2\n"));
        assert!(Version::is_placeholder("v0.0.0"));
        assert!(!Version::is_placeholder("Kubernetes v1.0.0") && !Version::is_placeholder("no kubelet"));
    }

    #[test]
    fn drivers_read_as_they_are_written() {
        for driver in [CgroupDriver::Cgroupfs, CgroupDriver::Systemd] {
            assert_eq!(driver.to_string().parse(), Ok(driver));
        }
        assert_eq!("cgroup".parse::<CgroupDriver>().unwrap_err(), "is neither cgroupfs nor systemd");
    }
}

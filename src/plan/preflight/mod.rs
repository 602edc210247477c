//! What a kubelet needs of its host, looked at before it starts: facts in, findings out.

mod cgroup;
mod host;
mod kernel;
mod network;
mod resolver;
mod runtime_config;
mod sockets;

use std::fmt;

use serde_json::{Value, json};

pub use cgroup::{Cgroups, cgroups, driver};
pub use host::{Room, Validity, best, clock, manifests, name, room};
pub use kernel::{TUNABLES, conntrack, kmsg, setting, swap, tunables};
pub use network::{Bridge, bridge, cni, subnet};
pub use resolver::{RESOLVED, resolver};
pub use runtime_config::{containerd_driver, crio_driver, imports, is_without_cri};
pub use sockets::{HEALTH, Listener, holder, listeners, port};

/// The names of all checks.
pub const CHECKS: [&str; 20] = [
    "kubelet",
    "subnet",
    "cni",
    "bridge",
    "runtime",
    "cgroup",
    "cgroup-driver",
    "swap",
    "br_netfilter",
    "ip_forward",
    "conntrack",
    "proc-sys",
    "kmsg",
    "name",
    "resolv-conf",
    "clock",
    "manifests",
    "disk",
    "ports",
    "node",
];

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// The kubelet runs, but pods will lack something.
    Warning,
    /// The kubelet would end, or never work.
    Blocker,
}

impl Level {
    /// Its word in the table and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Blocker => "blocker",
        }
    }
}

/// A change that mends a finding and can harm nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fix {
    /// A kernel setting: its name and the value it is to have.
    Setting(&'static str, String),
    /// A kernel module to load.
    Module(&'static str),
    /// A directory to make, with those above it.
    Directory(String),
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fix::Setting(name, value) => write!(f, "sysctl -w {name}={value}"),
            Fix::Module(name) => write!(f, "modprobe {name}"),
            Fix::Directory(path) => write!(f, "mkdir -p {path}"),
        }
    }
}

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the check, for `--ignore`.
    pub check: &'static str,
    /// How much it matters.
    pub level: Level,
    /// What is there.
    pub what: String,
    /// What comes of it; empty when all is well.
    pub why: String,
    /// What to do about it; empty when all is well.
    pub advice: String,
    /// What `--fix` does about it, in this order.
    pub fixes: Vec<Fix>,
}

impl Finding {
    /// All is well.
    pub fn ok(check: &'static str, what: impl Into<String>) -> Self {
        let nothing = String::new;
        Self {
            check,
            level: Level::Ok,
            what: what.into(),
            why: nothing(),
            advice: nothing(),
            fixes: Vec::new(),
        }
    }

    /// Something that matters: what is there, what comes of it, what to do.
    pub fn bad(
        check: &'static str,
        level: Level,
        what: impl Into<String>,
        why: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { check, level, what: what.into(), why: why.into(), advice: advice.into(), fixes: Vec::new() }
    }

    /// The same with what `--fix` does.
    #[must_use]
    pub fn fixed_by(mut self, fixes: impl IntoIterator<Item = Fix>) -> Self {
        self.fixes.extend(fixes);
        self
    }

    /// The same, where `--fix` keeps its hands off.
    #[must_use]
    pub fn left_to(mut self, advice: &str) -> Self {
        if !self.fixes.is_empty() {
            self.fixes.clear();
            advice.clone_into(&mut self.advice);
        }
        self
    }

    /// As `--json` has it.
    pub fn json(&self) -> Value {
        let fixes: Vec<String> = self.fixes.iter().map(Fix::to_string).collect();
        json!({
            "check": self.check, "level": self.level.word(),
            "what": self.what, "why": self.why, "do": self.advice, "fix": fixes,
        })
    }
}

/// What, why, and what to do, on one line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        for part in [&self.why, &self.advice].into_iter().filter(|p| !p.is_empty()) {
            write!(f, ": {part}")?;
        }
        Ok(())
    }
}

/// The table of `--check`: level, check, and the line.
pub fn table(findings: &[Finding]) -> String {
    let width = findings.iter().map(|f| f.check.len()).max().unwrap_or(0);
    let line = |f: &Finding| format!("{:<7}  {:<width$}  {f}\n", f.level.word(), f.check);
    findings.iter().map(line).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_for_a_console() {
        let findings = [
            Finding::ok("swap", "none is on"),
            Finding::bad("ip_forward", Level::Warning, "is 0", "no packet gets on", "do it"),
        ];
        assert_eq!(
            table(&findings),
            "ok       swap        none is on\nwarning  ip_forward  is 0: no packet gets on: do it\n"
        );
    }
}

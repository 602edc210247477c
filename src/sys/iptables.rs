//! The host's iptables program, by way of the iptables crate's `execute` alone: its `exists` takes
//! every failure for absence and its own `--wait` has no end.

use iptables::IPTables;

use crate::error::{Error, Result};
use crate::sys::exec;
use crate::sys::wait::{Deadline, Retry, retry};

/// iptables' exit status for a lock that is held, and (nft variant) for missing rights.
const RESOURCE_PROBLEM: i32 = 4;

/// The program, if the host has one.
pub struct Iptables {
    program: IPTables,
    deadline: Deadline,
}

impl Iptables {
    /// `None` when there is no `iptables` in PATH.
    pub fn find(deadline: Deadline) -> Option<Self> {
        exec::find("iptables").ok()?;
        // Built by hand: `iptables::new` would run `iptables --version` only to decide on --wait.
        let program = IPTables { cmd: "iptables", has_check: true, has_wait: false, is_numeric: true };
        Some(Self { program, deadline })
    }

    /// Runs `iptables -t TABLE ARGS` and returns what it printed. A held xtables lock is waited for
    /// by asking again until the deadline: `--wait SECONDS` is not known before iptables 1.6, and
    /// without `--wait` every version since 1.4.20 says at once that the lock is held.
    pub fn run(&self, table: &str, args: &str) -> Result<String> {
        retry(&self.deadline, "the xtables lock", || {
            let output = self.program.execute(table, args).map_err(|e| Error::failed(e.to_string()))?;
            let stderr = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                Some(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
                Some(RESOURCE_PROBLEM) if stderr.contains("xtables lock") => {
                    Err(Retry::Later { why: "another program holds it".into(), after: None })
                }
                status => Err(Retry::Never(failure(status, &stderr))),
            }
        })
    }

    /// All rules of a table, as `iptables -S` prints them.
    pub fn list(&self, table: &str) -> Result<Vec<String>> {
        Ok(self.run(table, "-S")?.lines().map(str::to_owned).collect())
    }
}

fn failure(status: Option<i32>, stderr: &str) -> Error {
    let text = stderr.lines().find(|l| !l.trim().is_empty()).unwrap_or("without a word");
    let hint = if stderr.contains("Permission denied") { ": needs root (CAP_NET_ADMIN)" } else { "" };
    match status {
        Some(code) => Error::failed(format!("{text} (exit {code}){hint}")),
        None => Error::failed(format!("{text} (killed)")),
    }
}

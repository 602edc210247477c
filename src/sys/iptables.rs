//! The host's iptables program, by way of the iptables crate's `execute` alone: its `exists` takes
//! every failure for absence and its own `--wait` has no end.

use std::cell::Cell;
use std::process::Output;
use std::sync::mpsc;
use std::time::Duration;

use iptables::IPTables;

use crate::error::{Context, Error, Exit, Result};
use crate::sys::wait::{Deadline, Retry, retry};

/// iptables' exit status for a lock that is held, and (nft variant) for missing rights.
const RESOURCE_PROBLEM: i32 = 4;
/// Its exit status for a rule or chain that is not there, and for much else.
const OTHER_PROBLEM: i32 = 1;
/// Its exit status for an argument that it does not know.
const BAD_ARGUMENT: i32 = 2;

/// The programs, IPv4's and IPv6's.
pub const PROGRAMS: [&str; 6] =
    ["iptables", "iptables-legacy", "iptables-nft", "ip6tables", "ip6tables-legacy", "ip6tables-nft"];

/// How long one call may take: what is left until the deadline, so much at the most...
const LONGEST: Duration = Duration::from_mins(1);
/// ... and so much at the least, since `--wait` takes 5 s of it.
const SHORTEST: Duration = Duration::from_secs(7);

/// How the programs are called.
pub struct Iptables {
    deadline: Deadline,
    /// Whether they know `--wait SECONDS` (1.6 on), once one has said.
    knows_wait: Cell<Option<bool>>,
}

impl Iptables {
    /// Calls end with this deadline.
    pub fn new(deadline: Deadline) -> Self {
        Self { deadline, knows_wait: Cell::new(None) }
    }

    /// Runs `PROGRAM -t TABLE ARGS` and returns what it printed. The xtables lock is waited for 5 s at
    /// a time (legacy 1.8.9 without `--wait` waits without end), again and again until the deadline.
    /// Versions before 1.6 do not know the seconds: the first call, a listing, shows it, and then
    /// they say at once that the lock is held.
    pub fn run(&self, program: &'static str, table: &str, args: &str) -> Result<String> {
        retry(&self.deadline, "the xtables lock", || {
            let output = self.execute(program, table, args)?;
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

    fn execute(&self, program: &'static str, table: &str, args: &str) -> Result<Output> {
        if self.knows_wait.get() != Some(false) {
            let output = self.bounded(program, table, format!("{args} --wait 5"))?;
            let is_understood = output.status.code() != Some(BAD_ARGUMENT);
            if is_understood || self.knows_wait.get() == Some(true) {
                self.knows_wait.set(Some(true));
                return Ok(output);
            }
            self.knows_wait.set(Some(false));
        }
        self.bounded(program, table, args.to_owned())
    }

    /// The crate waits for the program without end, so it does that in a thread of its own.
    fn bounded(&self, program: &'static str, table: &str, text: String) -> Result<Output> {
        let longest = self.deadline.attempt(LONGEST).max(SHORTEST);
        let (send, receive) = mpsc::channel();
        let table = table.to_owned();
        let run = move || {
            // Built by hand: `iptables::new` would run `iptables --version` only to decide on its --wait.
            let program = IPTables { cmd: program, has_check: true, has_wait: false, is_numeric: true };
            let _ = send.send(program.execute(&table, &text).map_err(|e| e.to_string()));
        };
        std::thread::Builder::new().spawn(run)?;
        if let Ok(output) = receive.recv_timeout(longest) {
            return output.map_err(Error::failed);
        }
        let exit = if self.deadline.passed() { Exit::Deadline } else { Exit::Failed };
        Err(Error::new(exit, format!("{program} has not ended for {} s, and still runs", longest.as_secs())))
    }

    /// All rules of a table, as `PROGRAM -t TABLE -S` prints them.
    pub fn list(&self, program: &'static str, table: &str) -> Result<Vec<String>> {
        let printed = self.run(program, table, "-S").context(format!("{program} -t {table} -S"))?;
        Ok(printed.lines().map(str::to_owned).collect())
    }
}

fn failure(status: Option<i32>, stderr: &str) -> Error {
    let says = |l: &&str| !l.trim().is_empty() && !l.starts_with("Warning:") && !l.starts_with('#');
    let text = stderr.lines().find(says).unwrap_or("without a word");
    let hint = if stderr.contains("Permission denied") {
        ": needs root (CAP_NET_ADMIN; legacy CAP_NET_RAW too)"
    } else {
        ""
    };
    match status {
        // What a listing showed is no longer there, or it is what the program says of everything else.
        Some(OTHER_PROBLEM) => Error::failed(format!("{text} (exit {OTHER_PROBLEM}){hint}")).meanwhile(),
        Some(code) => Error::failed(format!("{text} (exit {code}){hint}")),
        None => Error::failed(format!("{text} (killed)")),
    }
}

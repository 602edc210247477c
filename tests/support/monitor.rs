//! `ip monitor` beside a run: what the kernel tells of changes while it lasts.

use std::fs;
use std::path::PathBuf;

use super::host::Host;
use super::{Process, Scratch, until};

/// Running in a host, from `start` to `end`.
pub struct Monitor<'h> {
    host: &'h Host,
    log: PathBuf,
    _process: Process,
    _scratch: Scratch,
}

/// Comes and goes on the loopback, to see where the log begins and ends.
const MARK: &str = "198.18.255.1/32";

impl<'h> Monitor<'h> {
    /// Returns once it listens.
    pub fn start(host: &'h Host) -> Self {
        let scratch = Scratch::new();
        let log = scratch.0.join("monitor");
        let inside = host.command("ip", &["-o", "monitor", "link", "address", "route"]);
        let process = Process::start("nsenter", &log, |command| {
            command.args(inside.get_args());
        });
        let monitor = Self { host, log, _process: process, _scratch: scratch };
        until("ip monitor listens", || {
            monitor.host.sh(&format!("ip addr add {MARK} dev lo && ip addr del {MARK} dev lo"));
            monitor.text().contains(MARK)
        });
        monitor
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Its lines, a message each, but for those of the marks.
    pub fn end(self) -> Vec<String> {
        let last = "198.18.255.9/32";
        self.host.sh(&format!("ip addr add {last} dev lo && ip addr del {last} dev lo"));
        until("ip monitor has seen all", || {
            self.text().lines().any(|l| l.contains("Deleted") && l.contains(last))
        });
        let text = self.text();
        text.lines().filter(|l| !l.contains("198.18.255.")).map(str::to_owned).collect()
    }
}

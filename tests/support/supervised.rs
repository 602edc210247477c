//! kubelet-launch --supervise over a stand-in kubelet: a shell script that writes down what happens to it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Scratch, binary, until};

/// Enough options for a kubelet of that version, at a server that is not there.
pub const ENOUGH: [&str; 9] = [
    "kubelet-launch",
    "--kubelet-version",
    "1.3",
    "--server",
    "127.0.0.1:9",
    "--subnet",
    "10.33.5.1/24",
    "--ignore",
    "all",
];

/// What each stand-in begins with: its directory, and that it has been started.
const HEAD: &str = "cd \"${0%/*}\"\necho \"start $$\" >>events\n";
/// Sleeps in pieces, between which the shell runs its traps.
pub const FOREVER: &str = "while :; do sleep 0.02; done";

/// The script, as `kubelet` in the directory. It is renamed into place: a file that is being written
/// cannot be run.
pub fn stand_in(dir: &Scratch, lines: &str) -> String {
    let new = dir.file("kubelet.new", format!("#!/bin/sh\n{HEAD}{lines}\n"));
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    let path = dir.path("kubelet");
    fs::rename(new, &path).unwrap();
    path
}

pub struct Supervised {
    pub dir: Scratch,
    kboot: Child,
    /// kboot's own pid; unshare's where it has a pid namespace of its own.
    pub pid: i32,
}

impl Supervised {
    /// A stand-in that does these lines after it has been started.
    pub fn start(lines: &str, options: &[&str]) -> Self {
        Self::start_by(&[], lines, options, |_| {})
    }

    /// The same, started by another program, and with more done to the command.
    pub fn start_by(by: &[&str], lines: &str, options: &[&str], more: impl FnOnce(&mut Command)) -> Self {
        let dir = Scratch::new();
        stand_in(&dir, lines);
        Self::in_directory(dir, by, options, more)
    }

    /// Over the stand-in that is in the directory.
    pub fn in_directory(
        dir: Scratch,
        by: &[&str],
        options: &[&str],
        more: impl FnOnce(&mut Command),
    ) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).args(by).arg(binary()).args(ENOUGH);
        command.args(["--supervise", "--kubelet", &dir.path("kubelet")]).args(options);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
        let log = fs::File::create(dir.path("log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        more(&mut command);
        let kboot = command.spawn().unwrap();
        let pid = kboot.id().cast_signed();
        Self { dir, kboot, pid }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path("log")).unwrap()
    }

    /// What the stand-in wrote down.
    pub fn events(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.path("events")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub fn await_log(&self, what: &str) {
        until(&format!("{what:?} in {}", self.dir.path("log")), || self.log().contains(what));
    }

    /// Waits until so many of its events begin with this word.
    pub fn await_events(&self, word: &str, count: usize) {
        until(word, || self.events().iter().filter(|e| e.starts_with(word)).count() >= count);
    }

    /// The stand-in's pid in its newest run, once it has begun its `count`th.
    pub fn kubelet(&self, count: usize) -> i32 {
        self.await_events("start ", count);
        let events = self.events();
        let newest = events.iter().rev().find_map(|e| e.strip_prefix("start ")).unwrap();
        newest.parse().unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid), signal).unwrap();
    }

    /// Waits for kboot's end: its exit status, and the log.
    pub fn end(mut self) -> (i32, String) {
        let mut status = None;
        until(&format!("kboot's end: {}", self.log()), || {
            status = self.kboot.try_wait().unwrap();
            status.is_some()
        });
        let status = status.unwrap();
        (status.code().unwrap_or_else(|| 128 + status.signal().unwrap()), self.log())
    }

    /// SIGTERM, and then its end.
    pub fn stop(self) -> (i32, String) {
        self.signal(Signal::SIGTERM);
        self.end()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.kboot.kill();
        let _ = self.kboot.wait();
    }
}

/// Whether a process is there, as a zombie too.
pub fn is_there(pid: i32) -> bool {
    fs::metadata(format!("/proc/{pid}")).is_ok()
}

/// The children of a process, zombies among them.
pub fn children(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

//! A throw-away host: network and mount namespaces with a /run of their own, forwarding off.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, setns};

use super::{Done, binary, finish};

/// Held open by a sleeping process, which ends with the tests, should they be killed.
pub struct Host {
    holder: Child,
    /// What nsenter enters.
    spaces: Vec<String>,
}

const SET_UP: &str = "mount -t tmpfs tmpfs /run && ip link set lo up && \
    echo 0 > /proc/sys/net/ipv4/ip_forward && echo ready";

impl Host {
    pub fn new() -> Self {
        Self::start(&[], "exec sleep infinity")
    }

    /// One whose processes, their orphans too, end with it: they have a pid namespace of their own.
    pub fn with_own_pids() -> Self {
        // The first process reaps orphans, as an init does: whoever waits for one's end sees it.
        let hold = "sleep infinity & wait";
        let mut host = Self::start(&["--pid", "--fork", "--kill-child", "--mount-proc"], hold);
        // unshare itself stays outside; its child is the first in there.
        host.spaces.push(format!("--pid=/proc/{}/ns/pid_for_children", host.holder.id()));
        host
    }

    fn start(more: &[&str], hold: &str) -> Self {
        let mut holder = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "unshare", "--net", "--mount", "--propagation", "private"])
            .args(more)
            .args(["sh", "-c", &format!("{SET_UP} && {hold}")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let spaces = ["--net", "--mount", "--root", "--wd"].map(str::to_owned).into();
        Self { holder, spaces }
    }

    /// Any program inside.
    pub fn command<S: AsRef<OsStr>>(&self, program: impl AsRef<OsStr>, args: &[S]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.holder.id().to_string()])
            .args(&self.spaces)
            .arg("--")
            .arg(program)
            .args(args);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// kboot inside.
    pub fn kboot<S: AsRef<OsStr>>(&self, args: &[S]) -> Done {
        finish(&mut self.command(binary(), args))
    }

    /// kboot inside, with another PATH.
    pub fn kboot_with_path<S: AsRef<OsStr>>(&self, path: &str, args: &[S]) -> Done {
        finish(self.command("env", &[format!("PATH={path}")]).arg(binary()).args(args))
    }

    /// A shell line inside, which must succeed.
    pub fn sh(&self, line: &str) -> String {
        finish(&mut self.command("sh", &["-c", line])).ok().to_owned()
    }

    /// `ip -j` inside.
    pub fn ip(&self, args: &str) -> serde_json::Value {
        serde_json::from_str(&self.sh(&format!("ip -j {args}"))).unwrap()
    }

    /// A cable to another host; both its ends are up.
    pub fn join(&self, link: &str, other: &Self, its_link: &str) {
        let other_pid = other.holder.id().to_string();
        let peer = ["type", "veth", "peer", "name", its_link, "netns", &other_pid];
        // From outside, where that pid means something even to a host with pids of its own.
        let args = [&format!("--net={}", self.netns().display()), "ip", "link", "add", link];
        super::tool("nsenter", &[&args[..], &peer].concat());
        self.sh(&format!("ip link set {link} up"));
        other.sh(&format!("ip link set {its_link} up"));
    }

    /// The file of its network namespace.
    pub fn netns(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.holder.id()).into()
    }

    /// A file inside, by its path from outside.
    pub fn file(&self, path: &str) -> PathBuf {
        format!("/proc/{}/root{path}", self.holder.id()).into()
    }
}

/// Runs something in a network namespace: the sockets it opens stay there.
pub fn inside<T: Send>(netns: &Path, work: impl FnOnce() -> T + Send) -> T {
    let file = File::open(netns).unwrap_or_else(|e| panic!("{}: {e}", netns.display()));
    // A thread of its own, since a namespace is a thread's.
    let entered = || setns(file, CloneFlags::CLONE_NEWNET).map(|()| work()).unwrap();
    thread::scope(|scope| scope.spawn(entered).join().unwrap())
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

//! A real dockerd (Debian's docker.io, 20.10.24) in a throw-away host. /etc is a copy there, /run and
//! /var/lib are tmpfs: nothing of this machine's docker is read or written.

use std::fs;
use std::process::Child;

use serde_json::Value;

use super::host::Host;
use super::{Done, Scratch, finish, need, root_user, until};

/// What dockerd would set for the whole machine goes to files over those of /proc/sys. What the packages
/// of this machine have configured is not there.
const SET_UP: &str = "mkdir /run/etc /run/keys && cp -a /etc/. /run/etc/ && mount --bind /run/etc /etc && \
    rm -rf /etc/docker /etc/default/docker /etc/init.d/docker /etc/systemd/system/docker.* && \
    mkdir -p /etc/docker /etc/default /etc/init.d && mount -t tmpfs tmpfs /var/lib && \
    for key in root_maxkeys root_maxbytes; do \
        [ ! -e /proc/sys/kernel/keys/$key ] || { cat /proc/sys/kernel/keys/$key >/run/keys/$key && \
        mount --bind /run/keys/$key /proc/sys/kernel/keys/$key; }; \
    done";

/// dockerd's own default socket and the file with its pid, as seen inside.
const SOCKET: &str = "/var/run/docker.sock";
const PID_FILE: &str = "/var/run/docker.pid";

/// Whether there is what it needs.
pub fn can_run() -> bool {
    let programs = [("dockerd", "docker"), ("curl", "tools"), ("ip", "tools"), ("iptables", "iptables")];
    root_user() && programs.iter().all(|(program, peer)| need(program, peer).is_some())
}

/// Makes a host ready for docker.
pub fn prepare(host: &Host) {
    host.sh(SET_UP);
}

/// A host for docker with a lease: 10.4.9.1/24, MTU 1422, flanneld masquerades or not.
pub fn host(ipmasq: bool) -> Option<Host> {
    if !can_run() {
        return None;
    }
    let host = Host::new();
    prepare(&host);
    lease(&host, &format!("FLANNEL_MTU=1422\nFLANNEL_IPMASQ={ipmasq}\n"));
    Some(host)
}

/// Puts a lease there as flanneld does: 10.4.9.1/24 and these lines.
pub fn lease(host: &Host, lines: &str) {
    let text = format!("FLANNEL_NETWORK=10.4.0.0/16\nFLANNEL_SUBNET=10.4.9.1/24\n{lines}");
    host.sh(&format!("mkdir -p /run/flannel && printf '{text}' >/run/flannel/subnet.env"));
}

/// An executable script inside, made of these lines.
pub fn script(host: &Host, path: &str, lines: &str) {
    host.sh(&format!(
        "mkdir -p $(dirname {path}) && cat >{path} <<'END'\n#!/bin/sh\n{lines}\nEND\nchmod 755 {path}"
    ));
}

pub struct Dockerd<'a> {
    host: &'a Host,
    child: Child,
    log: Scratch,
}

impl<'a> Dockerd<'a> {
    /// Starts it with these words.
    pub fn start<S: AsRef<str>>(host: &'a Host, words: &[S]) -> Self {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        Self::run(host, &[&["dockerd"], &words[..]].concat())
    }

    /// A shell line that becomes dockerd, or starts it again as long as there is no /run/stop.
    pub fn by_shell(host: &'a Host, line: &str) -> Self {
        Self::run(host, &["sh", "-c", line])
    }

    /// Until it answers. Were the tests killed, it would end with them; "container" keeps it from loading
    /// its AppArmor profile into the kernel.
    fn run(host: &'a Host, words: &[&str]) -> Self {
        let log = Scratch::new();
        let file = fs::File::create(log.0.join("log")).unwrap();
        let args = [&["--pdeathsig", "KILL", "--"], words].concat();
        let mut command = host.command("setpriv", &args);
        command.env("container", "kboot-test").stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap();
        let mut started = Self { host, child, log };
        until("dockerd answers", || {
            assert!(started.child.try_wait().unwrap().is_none(), "it ended: {}", started.log());
            started.answers()
        });
        started
    }

    pub fn answers(&self) -> bool {
        self.ask("/_ping").code == 0
    }

    fn ask(&self, path: &str) -> Done {
        let url = format!("http://docker{path}");
        finish(&mut self.host.command("curl", &["-sf", "--unix-socket", SOCKET, &url]))
    }

    /// docker's API, read by curl.
    pub fn get(&self, path: &str) -> Value {
        self.ask(path).json()
    }

    /// What `docker network inspect bridge` shows: the bridge's name, its MTU, whether docker masquerades,
    /// the subnets.
    pub fn network(&self) -> (String, String, String, Vec<String>) {
        let network = self.get("/networks/bridge");
        let option = |name: &str| network["Options"][name].as_str().unwrap_or_default().to_owned();
        let subnets = network["IPAM"]["Config"].as_array().unwrap().iter();
        (
            option("com.docker.network.bridge.name"),
            option("com.docker.network.driver.mtu"),
            option("com.docker.network.bridge.enable_ip_masquerade"),
            subnets.map(|c| c["Subnet"].as_str().unwrap().to_owned()).collect(),
        )
    }

    /// Its pid, from its own file.
    pub fn pid(&self) -> i32 {
        self.host.sh(&format!("cat {PID_FILE}")).trim().parse().unwrap()
    }

    /// The end of its log.
    fn log(&self) -> String {
        let text = fs::read_to_string(self.log.0.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

/// Runs a dockerd that refuses to start, to its end: what it says.
pub fn refusal<S: AsRef<str>>(host: &Host, words: &[S]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let done = finish(host.command("dockerd", &words).env("container", "kboot-test"));
    assert_eq!(done.code, 1, "{done:?}");
    done.stderr
}

impl Drop for Dockerd<'_> {
    /// By a signal, so that it ends its containerd too.
    fn drop(&mut self) {
        let end = format!("touch /run/stop; kill $(cat {PID_FILE})");
        let _ = finish(&mut self.host.command("sh", &["-c", &end]));
        if std::thread::panicking() {
            eprintln!("dockerd's log:\n{}", self.log());
            let _ = self.child.kill();
            let _ = self.child.wait();
        } else {
            until("dockerd ends", || self.child.try_wait().unwrap().is_some());
            self.host.sh("rm /run/stop");
        }
    }
}

//! A throw-away host on which a kubelet could run. What it is to be like is mounted, so that nothing of this
//! machine's own swap, limits or files shows, and each thing can be made otherwise for one look.

use std::fs;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::Value;

use super::host::Host;
use super::{Done, Process, Scratch, binary, finish, need, root_user, until};

/// What every look is given.
const WORDS: &str = "--subnet 10.20.7.1/24 --bridge pods0 --kubelet-version";

/// The cgroups of the machine itself stay at /run/machine.
const SET_UP: &str = "mount -t tmpfs tmpfs /etc && mount -t tmpfs tmpfs /var/lib && cd /run && \
    mkdir -p machine empty systemd containerd crio limits /etc/containerd /etc/crio /etc/cni/net.d \
        /etc/kubernetes/manifests /var/lib/kubelet /var/lib/containerd && \
    echo '{\"madeBy\": \"kboot cni-config\"}' >/etc/cni/net.d/10-pods.conflist && \
    touch kubelet && chmod +x kubelet && echo 'nameserver 192.0.2.53' >/etc/resolv.conf && \
    mount --rbind /sys/fs/cgroup machine && umount -R /sys/fs/cgroup && \
    mount -t cgroup2 none /sys/fs/cgroup && echo cpuset cpu io memory pids >controllers && \
    mount --bind controllers /sys/fs/cgroup/cgroup.controllers && \
    printf 'Filename\tType\tSize\tUsed\tPriority\n' >swaps && mount --bind swaps /proc/swaps && \
    mount -t tmpfs tmpfs /proc/sys/net/netfilter && echo 9000000 >/proc/sys/net/netfilter/nf_conntrack_max && \
    echo 5 >/proc/sys/net/netfilter/nf_conntrack_count && \
    echo 1 >/proc/sys/net/ipv4/ip_forward && echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables && \
    ip link add pods0 type bridge && ip addr add 10.20.7.1/24 dev pods0 && ip link set pods0 up";

/// A host where all is well, with a stand-in runtime: a socket that takes connections.
pub struct Fit {
    pub host: Host,
    pub scratch: Scratch,
    _runtime: Process,
}

impl Deref for Fit {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

impl Fit {
    pub fn new() -> Option<Self> {
        if !root_user() || need("ip", "tools").is_none() || need("socat", "tools").is_none() {
            return None;
        }
        let host = Host::new();
        host.sh(SET_UP);
        let runtime = socket(&host, "/run/containerd/containerd.sock");
        Some(Self { host, scratch: Scratch::new(), _runtime: runtime })
    }

    /// kboot kubelet-launch with these words, after a shell line whose mounts are gone afterwards.
    pub fn after(&self, how: &str, words: &str) -> Done {
        let line = format!("set -e\n{how}\nexec \"$@\"");
        let args = ["--mount", "--propagation", "private", "sh", "-c", &line, "sh"];
        let mut command = self.host.command("unshare", &args);
        command.arg(binary()).arg("kubelet-launch").args(words.split_whitespace().take_while(|w| *w != "--"));
        if !words.contains("--kubelet ") {
            command.args(["--kubelet", "/run/kubelet"]);
        }
        finish(command.args(words.split_whitespace().skip_while(|w| *w != "--")))
    }

    /// The table of --check: `LEVEL CHECK WHAT...`; --json has the same, and the exit status tells of blockers.
    pub fn table(&self, how: &str, words: &str) -> Vec<String> {
        let done = self.after(how, &format!("--check {words}"));
        let json = self.after(how, &format!("--check --json {words}")).json();
        let table: Vec<String> = done.stdout.lines().map(squeezed).collect();
        assert_eq!(table, lines(&json), "{done:?}");
        let blockers: Vec<&String> = table.iter().filter(|l| l.starts_with("blocker ")).collect();
        assert_eq!(done.code, if blockers.is_empty() { 0 } else { 3 }, "{done:?}");
        assert_eq!((&json["exit"], &json["changed"]), (&done.code.into(), &serde_json::json!([])));
        if let Some(first) = blockers.first() {
            let (check, text) = first["blocker ".len()..].split_once(' ').unwrap();
            let more = match blockers.len() {
                1 => String::new(),
                n => format!(" (and {} more: --check lists them)", n - 1),
            };
            let error = format!("{check}: {text}{more}");
            assert_eq!(json["error"], error.as_str());
            assert!(done.stderr.ends_with(&format!("kboot kubelet-launch: {error}\n")), "{done:?}");
        }
        table
    }

    /// The lines that are otherwise after a shell line and with more words than where all is well; no
    /// check has come or gone.
    pub fn differs(&self, version: &str, how: &str, more: &str) -> Vec<String> {
        let well = self.table("", &format!("{WORDS} {version}"));
        let now = self.table(how, &format!("{WORDS} {version} {more}"));
        let checks = |all: &[String]| all.iter().map(|l| check(l).to_owned()).collect::<Vec<_>>();
        assert_eq!(checks(&now), checks(&well), "{how} {more}");
        now.into_iter().filter(|line| !well.contains(line)).collect()
    }

    /// An executable stand-in kubelet, which tells that it was started in /run/started.
    pub fn stand_in(&self) -> String {
        let path = self.scratch.file("kubelet", "#!/bin/sh\necho \"$@\" >/run/started\n");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Whether it was; it is forgotten.
    pub fn was_started(&self) -> bool {
        fs::remove_file(self.file("/run/started")).is_ok()
    }
}

/// A stand-in that listens there by socat(1) and says nothing.
pub fn listen(host: &Host, address: &str) -> Process {
    run(host, &["socat", address, "/dev/null"])
}

/// A stand-in at a unix socket, from the time when it takes connections.
pub fn socket(host: &Host, path: &str) -> Process {
    let process = listen(host, &format!("UNIX-LISTEN:{path},fork"));
    let connect = format!("UNIX-CONNECT:{path}");
    let words = ["-u", "OPEN:/dev/null", &connect];
    until("the stand-in is there", || finish(&mut host.command("socat", &words)).code == 0);
    process
}

/// A program in a host, until the value goes.
pub fn run(host: &Host, words: &[&str]) -> Process {
    let mut command = host.command("setpriv", &[&["--pdeathsig", "KILL", "--"], words].concat());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Process(command.spawn().unwrap())
}

/// The findings of a report, as the table has them.
pub fn lines(json: &Value) -> Vec<String> {
    let findings = json["found"]["findings"].as_array().unwrap_or_else(|| panic!("{json}"));
    let line = |f: &Value| {
        let text = |key: &str| f[key].as_str().unwrap().to_owned();
        let parts = [text("what"), text("why"), text("do")].into_iter().filter(|p| !p.is_empty());
        assert!(f["fix"].as_array().unwrap().iter().all(Value::is_string), "{f}");
        format!("{} {} {}", text("level"), text("check"), parts.collect::<Vec<_>>().join(": "))
    };
    findings.iter().map(line).collect()
}

fn squeezed(line: &str) -> String {
    let (level, rest) = line.split_once(' ').unwrap();
    let (check, text) = rest.trim_start().split_once(' ').unwrap();
    format!("{level} {check} {}", text.trim_start())
}

/// The name of a line's check.
pub fn check(line: &str) -> &str {
    line.split(' ').nth(1).unwrap()
}

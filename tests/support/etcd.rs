//! A real etcd (Debian's etcd-server 3.4.23), both APIs on.

use std::net::TcpStream;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::host::Host;
use super::{Process, Scratch, finish, free_port, need, until};

pub struct Etcd {
    pub url: String,
    _process: Process,
    _data: Scratch,
}

impl Etcd {
    /// `None` when there is no etcd here.
    pub fn start(extra: &[&str]) -> Option<Self> {
        let program = need("etcd", "etcd")?;
        let data = Scratch::new();
        let scheme = if extra.iter().any(|e| e.starts_with("--cert-file")) { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{}", free_port());
        let peer = format!("http://127.0.0.1:{}", free_port());
        let process = Process::start(program, &data.0.join("log"), |command| {
            command
                .args(["--data-dir", &data.path("data"), "--listen-client-urls", &url])
                .args(["--advertise-client-urls", &url, "--listen-peer-urls", &peer])
                .args(["--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &format!("default={peer}")])
                .args(extra);
        });
        let etcd = Self { url, _process: process, _data: data };
        let address = etcd.url.split("://").nth(1).unwrap().to_owned();
        until("etcd listens", || TcpStream::connect(&address).is_ok());
        if scheme == "http" {
            until("etcd has a leader", || etcd.ctl(3, &["put", "/ready", "1"]).is_some());
        }
        Some(etcd)
    }

    /// etcdctl, the independent reader; `None` when it fails.
    pub fn ctl(&self, api: u8, args: &[&str]) -> Option<String> {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", api.to_string()).args(["--endpoints", &self.url]).args(args);
        let done = finish(&mut command);
        (done.code == 0).then_some(done.stdout)
    }

    /// A value by the v2 API.
    pub fn get2(&self, key: &str) -> Option<String> {
        self.ctl(2, &["get", key]).map(|v| v.trim_end_matches('\n').to_owned())
    }

    /// A value by the v3 API.
    pub fn get3(&self, key: &str) -> Option<String> {
        let value = self.ctl(3, &["get", "--print-value-only", key])?;
        Some(value.trim_end_matches('\n').to_owned()).filter(|v| !v.is_empty())
    }

    /// Starts one inside a throw-away host, at the default port there; it ends with the value.
    pub fn start_in(host: &Host) -> Option<Process> {
        need("etcd", "etcd")?;
        let mut command = host.command("setpriv", &["--pdeathsig", "KILL", "--", "etcd", "--enable-v2"]);
        command.args(["--data-dir", "/run/etcd"]).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process(command.spawn().unwrap());
        until("etcd has a leader", || {
            let mut ready = host.command("etcdctl", &["put", "/ready", "1"]);
            finish(ready.env("ETCDCTL_API", "3")).code == 0
        });
        Some(process)
    }
}

/// A key as etcdctl shows it in JSON, by the v2 API.
pub fn node2(url: &str, key: &str) -> Option<Value> {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "2").args(["--endpoints", url, "-o", "json", "get", "--quorum", key]);
    let done = finish(&mut command);
    (done.code == 0).then(|| done.json()["node"].clone())
}

/// The same by the v3 API; the value is decoded.
pub fn node3(url: &str, key: &str) -> Option<Value> {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").args(["--endpoints", url, "-w", "json", "get", key]);
    let done = finish(&mut command);
    assert_eq!(done.code, 0, "{done:?}");
    let mut kv = done.json()["kvs"].get(0)?.clone();
    let value = STANDARD.decode(kv["value"].as_str()?).unwrap();
    kv["value"] = String::from_utf8(value).unwrap().into();
    Some(kv)
}

/// Three real members of one cluster, both APIs on, with short elections.
pub struct Trio {
    pub urls: [String; 3],
    peers: [String; 3],
    processes: [Option<Process>; 3],
    data: Scratch,
}

impl Trio {
    /// `None` when there is no etcd here.
    pub fn start() -> Option<Self> {
        need("etcd", "etcd")?;
        let url = |_| format!("http://127.0.0.1:{}", free_port());
        let (urls, peers) = ([0, 1, 2].map(url), [0, 1, 2].map(url));
        let mut trio = Self { urls, peers, processes: [None, None, None], data: Scratch::new() };
        trio.restart(&[0, 1, 2]);
        Some(trio)
    }

    /// Starts members that are down, and waits until all three serve.
    pub fn restart(&mut self, members: &[usize]) {
        let cluster: Vec<String> = self.peers.iter().enumerate().map(|(i, p)| format!("m{i}={p}")).collect();
        for &i in members {
            let (url, peer, name) = (&self.urls[i], &self.peers[i], format!("m{i}"));
            // Reaped first.
            self.processes[i] = None;
            let process = Process::start("etcd", &self.data.0.join(format!("log{i}")), |command| {
                command
                    .args(["--enable-v2", "--name", &name, "--data-dir", &self.data.path(&name)])
                    .args(["--listen-client-urls", url, "--advertise-client-urls", url])
                    .args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer])
                    .args(["--initial-cluster", &cluster.join(",")])
                    .args(["--heartbeat-interval", "50", "--election-timeout", "500"]);
            });
            self.processes[i] = Some(process);
        }
        until("all members serve", || {
            self.urls.iter().all(|url| {
                // Else etcdctl waits for seconds before it tries again.
                if TcpStream::connect(url.trim_start_matches("http://")).is_err() {
                    return false;
                }
                let mut put = Command::new("etcdctl");
                put.env("ETCDCTL_API", "3").args(["--endpoints", url, "put", "/ready", "1"]);
                finish(&mut put).code == 0
            })
        });
    }

    /// Kills members, as a power cut does.
    pub fn kill(&mut self, members: &[usize]) {
        for &i in members {
            self.processes[i] = None;
        }
    }

    /// The same for another thread; it returns when the member does not listen any more.
    pub fn killer(&self, member: usize) -> impl Fn() + Send + Sync + 'static {
        let pid = Pid::from_raw(self.processes[member].as_ref().unwrap().0.id().try_into().unwrap());
        let address = self.urls[member].trim_start_matches("http://").to_owned();
        move || {
            kill(pid, Signal::SIGKILL).unwrap();
            until("the member is gone", || TcpStream::connect(&address).is_err());
        }
    }

    /// Which member leads.
    pub fn leader(&self) -> usize {
        let leads = |url: &String| {
            let mut status = Command::new("etcdctl");
            status.env("ETCDCTL_API", "3").args(["--endpoints", url, "-w", "json", "endpoint", "status"]);
            let done = finish(&mut status);
            let status = (done.code == 0).then(|| done.json()[0]["Status"].clone());
            status.is_some_and(|s| s["leader"] == s["header"]["member_id"])
        };
        let mut leader = None;
        until("a member leads", || {
            leader = self.urls.iter().position(leads);
            leader.is_some()
        });
        leader.unwrap()
    }
}

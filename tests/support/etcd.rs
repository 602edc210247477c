//! A real etcd (Debian's etcd-server 3.4.23), both APIs on.

use std::process::Command;

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
        until("etcd listens", || std::net::TcpStream::connect(&address).is_ok());
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
}

//! A throw-away host: network and mount namespaces with a /run of their own, forwarding off.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::{Done, binary, finish};

/// Held open by a sleeping process.
pub struct Host(Child);

const SET_UP: &str = "mount -t tmpfs tmpfs /run && ip link set lo up && \
    echo 0 > /proc/sys/net/ipv4/ip_forward && echo ready && exec sleep infinity";

impl Host {
    pub fn new() -> Self {
        let mut child = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private", "sh", "-c", SET_UP])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }

    /// Any program inside.
    pub fn command<S: AsRef<OsStr>>(&self, program: impl AsRef<OsStr>, args: &[S]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.0.id().to_string(), "--net", "--mount", "--root", "--wd", "--"])
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
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

//! A real containerd takes cni-config's file, at once when it comes and when it changes.

use std::fs;
use std::process::Child;

use crate::support::docker::prepare;
use crate::support::host::Host;
use crate::support::{Scratch, cni, finish, need, until};

const CONFIG: &str = r#"version = 2
root = "/run/containerd/root"
state = "/run/containerd/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
address = "/run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
"#;

/// The CRI's Status with verbose set, as gRPC frames it: no compression, two bytes, field 1 is true. The
/// answer holds its words and the config as they are.
const STATUS: &str = "printf '\\0\\0\\0\\0\\2\\10\\1' | curl -s --http2-prior-knowledge \
    --unix-socket /run/containerd.sock -H 'content-type: application/grpc' -H 'te: trailers' \
    --data-binary @- --output - http://containerd/runtime.v1.RuntimeService/Status";

struct Containerd<'h> {
    host: &'h Host,
    child: Child,
    log: Scratch,
}

impl<'h> Containerd<'h> {
    fn start(host: &'h Host) -> Self {
        let log = Scratch::new();
        let file = fs::File::create(log.0.join("log")).unwrap();
        host.sh(&format!("cat >/run/containerd.toml <<'END'\n{CONFIG}END"));
        let args = ["--pdeathsig", "KILL", "--", "containerd", "--config", "/run/containerd.toml"];
        let child =
            host.command("setpriv", &args).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let mut started = Self { host, child, log };
        until("containerd answers", || {
            assert!(started.child.try_wait().unwrap().is_none(), "{}", started.log());
            started.status().contains("RuntimeReady")
        });
        started
    }

    fn status(&self) -> String {
        finish(&mut self.host.command("sh", &["-c", STATUS])).stdout
    }

    fn is_ready(&self) -> bool {
        let status = self.status();
        status.contains("NetworkReady") && !status.contains("NetworkPluginNotReady")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.log.0.join("log")).unwrap_or_default()
    }
}

impl Drop for Containerd<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("containerd's log:\n{}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn its_network_is_ready_with_the_file() {
    if !cni::can_run() || need("containerd", "docker").is_none() || need("curl", "tools").is_none() {
        return;
    }
    let host = Host::with_own_pids();
    prepare(&host);
    host.sh("rm -rf /etc/cni");
    let containerd = Containerd::start(&host);
    assert!(!containerd.is_ready());
    host.kboot(&["bridge", "--no-masquerade", "--subnet", "10.7.3.1/24", "--mtu", "1400"]).ok();
    let config = |subnet: &str, more: &[&str]| {
        host.kboot(&[&["cni-config", "--subnet", subnet, "--mtu", "1400"], more].concat())
    };
    assert_eq!(config("10.7.3.1/24", &[]).code, 0);
    until("the network is ready", || containerd.is_ready());
    assert!(containerd.status().contains("10.7.3.0/24"));
    assert_eq!(config("10.7.9.1/24", &[]).code, 0);
    until("it has the new lease", || containerd.is_ready() && containerd.status().contains("10.7.9.0/24"));
    assert!(!containerd.status().contains("10.7.3.0/24"));

    // What kboot says of a file that comes before its own is what containerd does.
    let other = r#"{"cniVersion":"0.3.1","name":"other","plugins":[{"type":"ptp"}]}"#;
    host.sh(&format!("echo '{other}' >/etc/cni/net.d/10-a.conflist"));
    until("it takes the other one", || containerd.status().contains("\"ptp\""));
    assert!(!containerd.status().contains("10.7.9.0/24"));
    assert_eq!(
        config("10.7.9.1/24", &["--check"]).stdout,
        "10-a.conflist comes before 10-kboot.conflist: the runtime takes that one\n"
    );
}

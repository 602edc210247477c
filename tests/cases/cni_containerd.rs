//! A real containerd with cni-config's file: it takes it at once when it comes and when it changes, and
//! runs a pod with it. It is asked by curl: the CRI is gRPC, and few bytes of it are needed.

use std::fs;
use std::process::Child;

use crate::support::cgroup::Cgroup;
use crate::support::docker::prepare;
use crate::support::host::Host;
use crate::support::packets::{self, Seen};
use crate::support::{Scratch, cni, finish, need, until};

const CONFIG: &str = r#"version = 2
root = "/run/containerd/root"
state = "/run/containerd/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
address = "/run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/pause:1"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
"#;

/// An image that sleeps, in place of pause.
const IMAGE: &str = r#"mkdir -p /run/image/root && cd /run/image && cp /bin/busybox root/sleep &&
    tar -C root -cf layer.tar . && id=$(sha256sum layer.tar | cut -d ' ' -f 1) &&
    echo '{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/sleep","1000"]},
        "rootfs":{"type":"layers","diff_ids":["sha256:'$id'"]}}' >config.json &&
    echo '[{"Config":"config.json","RepoTags":["localhost/pause:1"],"Layers":["layer.tar"]}]' >manifest.json &&
    tar -cf image.tar config.json manifest.json layer.tar &&
    ctr --address /run/containerd.sock --namespace k8s.io images import --snapshotter native image.tar"#;

struct Containerd<'h> {
    host: &'h Host,
    child: Child,
    log: Scratch,
}

/// A field of a protobuf message: bytes, fewer than 128.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).ok().filter(|l| *l < 128).unwrap();
    [&[number << 3 | 2, length], bytes].concat()
}

impl<'h> Containerd<'h> {
    fn start(host: &'h Host) -> Self {
        let log = Scratch::new();
        let file = fs::File::create(log.0.join("log")).unwrap();
        fs::write(host.file("/run/containerd.toml"), CONFIG).unwrap();
        let args = ["--pdeathsig", "KILL", "--", "containerd", "--config", "/run/containerd.toml"];
        let mut command = host.command("setpriv", &args);
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let mut started = Self { host, child, log };
        until("containerd answers", || {
            assert!(started.child.try_wait().unwrap().is_none(), "{}", started.log());
            started.status().contains("RuntimeReady")
        });
        started
    }

    /// A call of the CRI; in the answer, texts are as they are.
    fn ask(&self, method: &str, message: &[u8]) -> String {
        let frame = [&[0, 0, 0, 0, u8::try_from(message.len()).unwrap()], message].concat();
        fs::write(self.host.file("/run/request"), frame).unwrap();
        let url = format!("http://containerd/runtime.v1.RuntimeService/{method}");
        let args = ["-s", "--http2-prior-knowledge", "--unix-socket", "/run/containerd.sock"];
        let mut curl = self.host.command("curl", &args);
        curl.args(["-H", "content-type: application/grpc", "-H", "te: trailers", "--output", "-"]);
        finish(curl.args(["--data-binary", "@/run/request", &url])).stdout
    }

    /// Verbose (its field 1 is true): with the config that it has read.
    fn status(&self) -> String {
        self.ask("Status", &[8, 1])
    }

    fn is_ready(&self) -> bool {
        let status = self.status();
        status.contains("NetworkReady") && !status.contains("NetworkPluginNotReady")
    }

    /// Runs a pod without containers: its id.
    fn run_pod(&self, cgroup: &Cgroup) -> String {
        let metadata = [field(1, b"pod"), field(2, b"uid"), field(3, b"namespace")].concat();
        let linux = field(1, cgroup.name.as_bytes());
        let answer = self.ask("RunPodSandbox", &field(1, &[field(1, &metadata), field(8, &linux)].concat()));
        let id = answer.chars().rev().take_while(char::is_ascii_hexdigit).collect::<Vec<_>>();
        assert_eq!(id.len(), 64, "{answer:?} {}", self.log());
        id.iter().rev().collect()
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
fn a_real_containerd() {
    let needed = [("containerd", "docker"), ("runc", "docker"), ("busybox", "docker"), ("curl", "tools")];
    if !cni::can_run() || needed.iter().any(|(program, peer)| need(program, peer).is_none()) {
        return;
    }
    let cgroup = Cgroup::new();
    let host = Host::with_own_pids();
    prepare(&host);
    host.sh("rm -rf /etc/cni");
    let containerd = Containerd::start(&host);
    assert!(!containerd.is_ready());
    let made = |applet: &str, subnet: &str| {
        let more: &[&str] = if applet == "bridge" { &["--no-masquerade"] } else { &[] };
        host.kboot(&[&[applet, "--subnet", subnet, "--mtu", "1400"], more].concat()).ok();
    };
    for applet in ["bridge", "cni-config"] {
        made(applet, "10.7.3.1/24");
    }
    until("the network is ready", || containerd.is_ready());
    assert!(containerd.status().contains("10.7.3.0/24"));
    for applet in ["bridge", "cni-config"] {
        made(applet, "10.7.9.1/24");
    }
    until("it has the new lease", || containerd.is_ready() && containerd.status().contains("10.7.9.0/24"));
    assert!(!containerd.status().contains("10.7.3.0/24"));

    host.sh(IMAGE);
    let id = containerd.run_pod(&cgroup);
    let pod = host.file(&format!("/run/netns/{}", host.sh("ls /run/netns").trim()));
    let [addr, gateway] = ["10.7.9.2", "10.7.9.1"].map(|a| a.parse().unwrap());
    assert_eq!(packets::seen(&host.netns(), &pod, addr), Seen::Answered(gateway));
    assert_eq!(packets::seen(&pod, &host.netns(), gateway), Seen::Answered(addr));
    assert_eq!(host.kboot(&["bridge", "--no-masquerade", "--subnet", "10.7.9.1/24", "--check"]).code, 0);
    containerd.ask("StopPodSandbox", &field(1, id.as_bytes()));
    assert_eq!(host.sh("ls /run/cni/networks/kboot"), "last_reserved_ip.0\nlock\n");

    // What kboot says of a file that comes before its own is what containerd does.
    let other = r#"{"cniVersion":"0.3.1","name":"other","plugins":[{"type":"ptp"}]}"#;
    host.sh(&format!("echo '{other}' >/etc/cni/net.d/10-a.conflist"));
    until("it takes the other one", || containerd.status().contains("\"ptp\""));
    assert!(!containerd.status().contains("10.7.9.0/24"));
    let check = host.kboot(&["cni-config", "--subnet", "10.7.9.1/24", "--mtu", "1400", "--check"]);
    assert_eq!(check.stdout, "10-a.conflist comes before 10-kboot.conflist: the runtime takes that one\n");
}

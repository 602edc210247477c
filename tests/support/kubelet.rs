//! The real kubelet 1.20.2, started by kboot on a throw-away host: processes, cgroups and file systems of
//! its own, the shared API server within reach. What it sets for the whole machine goes to files over
//! those of /proc/sys; the rest of the machine's files is read-only there.

use std::fs;
use std::path::PathBuf;
use std::process::Child;

use serde_json::Value;

use super::api::{self, Api};
use super::cgroup::Cgroup;
use super::host::Host;
use super::way::{self, Way};
use super::{Done, Scratch, binary, docker, finish, need, until};

/// The settings of the kernel that a kubelet of 1.20 makes, besides those of keys.
const SETTINGS: &str = "vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops";

/// eth0 is a link to nowhere, with a default route: a kubelet whose name is no address takes that link's.
const SET_UP: &str = "for key in $0; do \
        mkdir -p /run/sys/${key%/*} && printf 0 >/run/sys/$key && \
        mount --bind /run/sys/$key /proc/sys/$key || exit; \
    done && rm -rf /etc/cni /etc/containerd /etc/kubernetes && mkdir -p /etc/kubernetes/manifests && \
    mount -t tmpfs tmpfs /var/log && mount -o remount,bind,ro / && : >/etc/resolv.conf && \
    ip link add eth0 type veth peer name nowhere && ip link set nowhere up && ip link set eth0 up && \
    ip addr add $1/24 dev eth0 && ip route add default via 10.99.0.1 && \
    ip route add unreachable 169.254.0.0/16";

/// A static pod: it serves a file that says what its name is.
const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default}
spec:
  containers:
  - name: web
    image: kboot.test/busybox:1
    imagePullPolicy: Never
    command: [/bin/busybox, sh, -c, '/bin/busybox hostname >/name; exec /bin/busybox httpd -f -p 8080 -h /']
";

/// Those settings as they are here.
pub fn settings() -> Vec<String> {
    SETTINGS.split(' ').map(|key| fs::read_to_string(format!("/proc/sys/{key}")).unwrap()).collect()
}

/// A host that is to become that Node.
pub struct Site {
    pub node: &'static str,
    pub api: &'static Api,
    /// A kubeconfig with the node's own certificate.
    pub kubeconfig: String,
    kubelet: PathBuf,
    // Ended in this order.
    _way: Way,
    pub host: Host,
    cgroup: Cgroup,
}

impl Site {
    /// With, as flanneld leaves it, the lease of that subnet in that network. eth0 has the address.
    pub fn new(node: &'static str, address: &str, [network, subnet]: [&str; 2]) -> Option<Self> {
        let kubelet = need("kubelet", "kubelet").filter(|_| docker::can_run())?;
        need("busybox", "docker")?;
        let api = api::shared()?;
        let (certificate, key) = api.client_certificate(&format!("system:node:{node}"), "system:nodes");
        let user = format!("client-certificate: '{certificate}', client-key: '{key}'");
        let kubeconfig = api.scratch.file(&format!("{node}.conf"), way::kubeconfig(api, &user));
        let (cgroup, host) = (Cgroup::new(), Host::with_own_pids());
        cgroup.make();
        docker::prepare(&host);
        finish(&mut host.command("sh", &["-c", SET_UP, SETTINGS, address])).ok();
        fs::write(host.file("/etc/kubernetes/web.yaml"), POD).unwrap();
        host.sh(&format!(
            "mkdir /run/flannel && printf 'FLANNEL_NETWORK={network}\nFLANNEL_SUBNET={subnet}\nFLANNEL_MTU=1410\nFLANNEL_IPMASQ=false\n' >/run/flannel/subnet.env"
        ));
        let way = way::to(api, &host)?;
        Some(Self { node, api, kubeconfig, kubelet, _way: way, host, cgroup })
    }

    /// The Node as kubectl reads it.
    pub fn read(&self) -> Value {
        self.api.node(self.node).expect("the Node is there")
    }

    /// Waits until kubectl sees the Node Ready; the Node.
    pub fn ready(&self) -> Value {
        let node = format!("node/{}", self.node);
        let done = self.api.kubectl(&["wait", "--for=condition=Ready", "--timeout=50s", &node]);
        assert_eq!(done.code, 0, "{done:?}: {}", condition(&self.read(), "Ready"));
        self.read()
    }

    /// Brings the static pod, if it is not there yet, and waits until kubectl sees it ready; its address.
    /// Not earlier than the Node is ready: to a kubelet that reads a Node without any capacity before its
    /// own first report of it, there is room for no pod (`OutOfpods`), and that is its last word.
    pub fn pod(&self) -> String {
        self.host.sh("cd /etc/kubernetes && [ ! -e web.yaml ] || mv web.yaml manifests");
        let pod = format!("pod/web-{}", self.node);
        let there = || self.api.kubectl(&["get", &pod]).code == 0;
        until("the static pod is known", there);
        self.api.kubectl(&["wait", "--for=condition=Ready", "--timeout=50s", &pod]).ok();
        self.api.kubectl(&["get", &pod, "-o", "jsonpath={.status.podIP}"]).ok().to_owned()
    }

    /// kubelet-launch with these options, to its end.
    pub fn launch(&self, options: &[&str], more: &[&str]) -> Done {
        let line = self.line(options, more);
        finish(&mut self.host.command(&line[0], &line[1..]))
    }

    /// What follows `--` suits this place: its cgroup, a file system that can be written, swap or not, a
    /// machine short of memory, word of it every second.
    fn line(&self, options: &[&str], more: &[&str]) -> Vec<String> {
        let cgroup = format!("--cgroup-root=/{}", self.cgroup.name);
        let extra = [
            "--",
            &cgroup,
            "--volume-plugin-dir=/var/lib/kubelet/volume-plugins",
            "--fail-swap-on=false",
            "--eviction-hard=",
            "--node-status-update-frequency=1s",
        ];
        let first = [binary().to_str().unwrap(), "kubelet-launch", "--kubelet"].map(str::to_owned);
        let then =
            [&[self.kubelet.to_str().unwrap(), "--kubeconfig", &self.kubeconfig], options, &extra, more];
        first.into_iter().chain(then.concat().into_iter().map(str::to_owned)).collect()
    }
}

/// A condition of a Node.
pub fn condition(node: &Value, kind: &str) -> Value {
    let all = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|c| c["type"] == kind).unwrap_or_default()
}

pub struct Kubelet<'a> {
    site: &'a Site,
    child: Child,
    log: Scratch,
}

impl<'a> Kubelet<'a> {
    /// Starts it by `kboot kubelet-launch` with these options, and waits until it says that it is well.
    pub fn start(site: &'a Site, options: &[&str]) -> Self {
        let log = Scratch::new();
        let file = fs::File::create(log.0.join("log")).unwrap();
        let args = ["--pdeathsig", "KILL", "--"].map(str::to_owned).into_iter();
        let args: Vec<String> = args.chain(site.line(options, &[])).collect();
        let mut command = site.host.command("setpriv", &args);
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let mut started = Self { site, child, log };
        until("the kubelet is well", || {
            assert!(started.child.try_wait().unwrap().is_none(), "it ended: {}", started.log());
            started.is_well()
        });
        started
    }

    fn is_well(&self) -> bool {
        finish(&mut self.site.host.command("curl", &["-sf", "http://127.0.0.1:10248/healthz"])).stdout == "ok"
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log.0.join("log")).unwrap_or_default()
    }
}

impl Drop for Kubelet<'_> {
    /// As a power cut ends it; its pods stay.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            // Of a kernel without perf events it speaks at every container.
            let lines: Vec<&str> = log.lines().filter(|l| !l.contains("perf_event")).collect();
            eprintln!("the kubelet's log:\n{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        } else {
            until("the kubelet is gone", || !self.is_well());
        }
    }
}

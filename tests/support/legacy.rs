//! A throw-away host as before systemd: Debian's own init scripts start the real etcd and dockerd, by the
//! real `service`. flanneld and the kubelet are stand-ins (a lease file; a script that says how it was called), and
//! the init script kube-apiserver opens the way to the shared API server, by kubectl proxy over plain HTTP as in 2015.

use std::path::Path;

use super::api::{self, ADMIN, Api};
use super::docker::script;
use super::host::Host;
use super::{Done, Process, Scratch, binary, docker, finish, need, root, until};

/// /etc is a copy; what the machine's own packages have configured is not there. Debian's script for docker
/// raises limits, which a container may not; "container" keeps dockerd's AppArmor profile out of the kernel.
const SET_UP: &str = "mkdir /run/scripts && cp -L /etc/init.d/docker /etc/init.d/etcd /run/scripts";
const MORE: &str = "cp /run/scripts/* /etc/init.d/ && sed -i 's,^\\(\\t*\\)ulimit,\\1: ulimit,;s,^export ,&container=kboot-test ,' /etc/init.d/docker && \
    rm -f /etc/default/etcd && for d in /var/log /usr/local; do mount -t tmpfs tmpfs $d; done && \
    mkdir -p /etc/kubernetes/manifests /usr/local/bin /usr/local/lib/kboot/bin /usr/share/kboot /var/lib/etcd/default && \
    chown -R etcd /var/lib/etcd && ip addr add 10.99.0.1/24 dev lo";

const ETCD: &str = "ETCD_ENABLE_V2=true
ETCD_LISTEN_CLIENT_URLS=http://10.99.0.1:4001
ETCD_ADVERTISE_CLIENT_URLS=http://10.99.0.1:4001
";

const KUBELET: &str = "[ \"$1\" = --version ] && echo Kubernetes v1.1.8 && exit
echo \"$$ $*\" >>/run/kubelets
trap 'echo \"$$ TERM\" >>/run/kubelets; exit 0' TERM
while :; do sleep 0.02; done";

/// The host, and how its API server is reached.
pub struct Legacy {
    pub host: Host,
    pub api: &'static Api,
    /// The third number of its network, 10.N.0.0/16, and so of all that it has.
    net: u8,
    _proxy: Process,
    _scratch: Scratch,
}

impl Legacy {
    /// Its lease is 10.NET.48.1/24. `None`, after saying so: a component is missing.
    pub fn new(net: u8) -> Option<Self> {
        need("etcd", "etcd").filter(|_| docker::can_run())?;
        let (kubectl, _) =
            (need("kubectl", "kubectl")?, need("busybox", "tools").and(need("socat", "tools"))?);
        let api = api::shared()?;
        let (host, scratch) = (Host::with_own_pids(), Scratch::new());
        host.sh(SET_UP);
        docker::prepare(&host);
        host.sh(MORE);
        let socket = scratch.path("proxy");
        let proxy = Process::start(&kubectl, &scratch.0.join("log"), |c| {
            c.args(["--server", &api.url, "--token", ADMIN, "--certificate-authority", &api.cacert]);
            c.args(["proxy", "--accept-hosts", ".*", "--unix-socket", &socket]);
        });
        until("kubectl proxy listens", || Path::new(&socket).exists());
        let legacy = Self { host, api, net, _proxy: proxy, _scratch: scratch };
        legacy.stand_ins(&socket);
        legacy.write("/etc/default/etcd", ETCD);
        let config = format!(
            "{{ \"Network\": \"10.{net}.0.0/16\", \"SubnetLen\": 24, \"Backend\": {{ \"Type\": \"udp\" }} }}"
        );
        legacy.write("/etc/flannel.json", &config);
        legacy.links("/usr/local/lib/kboot/bin");
        legacy.defaults("");
        Some(legacy)
    }

    fn stand_ins(&self, socket: &str) {
        let lease = format!(
            "FLANNEL_NETWORK=10.{0}.0.0/16\\nFLANNEL_SUBNET=10.{0}.48.1/24\\nFLANNEL_MTU=1472\\nFLANNEL_IPMASQ=false\\n",
            self.net
        );
        let flanneld = format!(
            "echo \"flanneld $1\" >>/run/calls\n[ \"$1\" = start ] || exit 3\nmkdir -p /run/flannel\n\
             (sleep 0.2; printf '{lease}' >/run/flannel/new; mv /run/flannel/new /run/flannel/subnet.env) \
             </dev/null >/dev/null 2>&1 &"
        );
        script(&self.host, "/etc/init.d/flanneld", &flanneld);
        let forward = format!(
            "echo \"kube-apiserver $1\" >>/run/calls\n[ \"$1\" = start ] || exit 3\n[ -e /run/forward ] && exit\n\
             touch /run/forward\nsocat TCP-LISTEN:8080,bind=10.99.0.1,fork,reuseaddr UNIX-CONNECT:{socket} \
             </dev/null >/dev/null 2>&1 &"
        );
        script(&self.host, "/etc/init.d/kube-apiserver", &forward);
        script(&self.host, "/usr/local/bin/kubelet", KUBELET);
    }

    /// The applets' links, in that directory, which is made.
    pub fn links(&self, directory: &str) {
        self.host.sh(&format!("mkdir -p {directory} && {} --install -s {directory}", binary().display()));
    }

    pub fn write(&self, path: &str, text: &str) {
        std::fs::write(self.host.file(path), text).unwrap();
    }

    /// /etc/default/kboot, for a master and node with more lines.
    pub fn defaults(&self, more: &str) {
        let net = self.net;
        self.write(
            "/etc/default/kboot",
            &format!(
                "KBOOT_ROLE=both\nKBOOT_ENDPOINTS=http://10.99.0.1:4001\nKBOOT_ETCD_CONFIG_FILE=/etc/flannel.json\n\
                 KBOOT_SERVER=http://10.99.0.1:8080\nKBOOT_MASQUERADE=10.{net}.0.0/16\nKBOOT_TIMEOUT=20s\n\
                 MASTER_SERVICES=kube-apiserver\n{more}"
            ),
        );
    }

    /// A script of this repository's, run by that shell (`busybox sh`, `dash`), in an environment as bare as init's.
    pub fn run(&self, shell: &str, path: &str, args: &[&str]) -> Done {
        let path = root().join(path);
        // dockerd's AppArmor profile stays out of the machine's kernel.
        let words = ["env", "-i"].into_iter().chain(shell.split(' ')).chain([path.to_str().unwrap()]);
        let words: Vec<&str> = words.chain(args.iter().copied()).collect();
        finish(&mut self.host.command(words[0], &words[1..]))
    }

    /// The pids of etcd, dockerd and kubelet-launch, and those of all kubelets that were started.
    pub fn daemons(&self) -> String {
        self.host.sh("for name in etcd dockerd kubelet-launch; do echo $name $(pidof $name); done; \
             echo kubelet $(grep -v TERM /run/kubelets 2>/dev/null | cut -d' ' -f1)")
    }

    /// What docker's API says once it answers: the bridge of its default network.
    pub fn docker_bridge(&self) -> String {
        let ask = "curl -sf --unix-socket /var/run/docker.sock http://docker/networks/bridge || true";
        let mut text = String::new();
        until("dockerd answers (its log is on stdout)", || {
            text = self.host.sh(ask);
            !text.is_empty()
        });
        let network: serde_json::Value = serde_json::from_str(&text).unwrap();
        network["Options"]["com.docker.network.bridge.name"].as_str().unwrap().to_owned()
    }

    /// Reads by ip, iptables, etcdctl, docker's API and kubectl what the boot has made.
    pub fn is_a_node(&self, master: bool) {
        let (host, net) = (&self.host, self.net);
        assert!(host.sh("ip -br addr show cbr0").contains(&format!("10.{net}.48.1/24")));
        assert!(host.sh("iptables-save -t nat").contains(&format!("-A KBOOT-cbr0 -d 10.{net}.0.0/16")));
        let get = "ETCDCTL_API=2 etcdctl --endpoints http://10.99.0.1:4001 get /coreos.com/network/config";
        assert!(!master || host.sh(get).contains(&format!("10.{net}.0.0/16")));
        assert_eq!(self.docker_bridge(), "cbr0");
        let node = self.api.node(&format!("10.{net}.48.1")).unwrap();
        assert_eq!(node["spec"]["podCIDR"], format!("10.{net}.48.0/24"));
        until("the kubelet runs", || {
            host.sh("cat /run/kubelets 2>/dev/null || true")
                .contains(&format!("--hostname-override=10.{net}.48.1"))
        });
    }
}

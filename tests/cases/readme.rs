//! README's commands, run as written, in a throw-away host.

use std::fs;
use std::process::Command;

use crate::support::api::shared;
use crate::support::host::Host;
use crate::support::{binary, finish, need, root, root_user};

/// The code block that follows a heading or a line.
pub fn block(after: &str, kind: &str) -> String {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let rest = readme.split_once(after).unwrap_or_else(|| panic!("README has no {after:?}")).1;
    let rest = rest.split_once(&format!("```{kind}\n")).unwrap().1;
    rest.split_once("\n```").unwrap().0.to_owned()
}

#[test]
fn the_dry_run_that_it_shows() {
    if !root_user() {
        return;
    }
    let shown = block("in the words of the tools that you know", "console");
    let (command, output) = shown.split_once('\n').unwrap();
    let words: Vec<&str> = command.trim_start_matches("# kboot ").split(' ').collect();
    assert_eq!(Host::new().kboot(&words).ok().trim_end(), output);
}

/// On a bridge that `bridge` has made.
#[test]
fn the_bridges_commands() {
    if !root_user() {
        return;
    }
    let host = Host::new();
    host.sh("mkdir /run/bin /run/flannel && printf 'FLANNEL_NETWORK=10.20.0.0/16\nFLANNEL_SUBNET=10.20.9.1/24\nFLANNEL_MTU=1400\nFLANNEL_IPMASQ=false\n' >/run/flannel/subnet.env");
    host.sh(&format!("ln -s {} /run/bin/bridge && PATH=/run/bin:$PATH bridge", binary().display()));
    let lines = block("### The bridge", "sh");
    host.sh(&format!("set -e; PATH=/run/bin:$PATH\n{lines}"));
    assert_eq!(host.ip("link").as_array().unwrap().len(), 1, "only lo is left");
    assert!(!host.sh("nft list ruleset").to_lowercase().contains("kboot"));
    assert_eq!(host.sh("cat /proc/sys/net/ipv4/ip_forward"), "0\n");
}

#[test]
fn the_error_that_it_shows() {
    if !root_user() {
        return;
    }
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let shown = readme.split_once("An error is one line: `").unwrap().1.split_once('`').unwrap().0;
    let host = Host::new();
    // This kernel may have no dummy devices: a veth in its place.
    host.sh("ip link add cbr0 type veth peer name other");
    let done = host.kboot(&["bridge", "--subnet", "10.1.2.1/24"]);
    assert_eq!(done.stderr.trim_end(), shown.replace("dummy", "veth"));
}

/// Real etcd, real API server (plain HTTP through kubectl proxy); flanneld and the kubelet are
/// stand-ins: a lease file, and a script that shows how it was called.
#[test]
fn a_node_by_hand() {
    let Some(api) = shared().filter(|_| root_user()) else { return };
    let (Some(etcd), Some(kubectl)) = (need("etcd", "etcd"), need("kubectl", "kubectl")) else { return };
    let host = Host::new();
    // The API server listens on the machine's loopback: kubectl proxy comes in by a unix socket.
    let socket = format!("/tmp/kboot-readme-{}.sock", std::process::id());
    let _proxy =
        crate::support::Process::start(&kubectl, api.scratch.path("readme-proxy.log").as_ref(), |c| {
            c.args(["--server", &api.url, "--token", crate::support::api::ADMIN]);
            c.args([
                "--certificate-authority",
                &api.cacert,
                "proxy",
                "--accept-hosts",
                ".*",
                "--unix-socket",
                &socket,
            ]);
        });
    host.sh("ip addr add 10.99.0.1/24 dev lo && mount -t tmpfs tmpfs /usr/local/bin && mount -t tmpfs tmpfs /etc/default");
    host.sh("printf '#!/bin/sh\\n[ \"$1\" = --version ] && echo Kubernetes v1.1.8 && exit\\necho kubelet \"$@\"\\n' >/usr/local/bin/kubelet && chmod 755 /usr/local/bin/kubelet");
    let mut command = host.command(etcd, &["--enable-v2", "--data-dir", "/run/etcd"]);
    command.args([
        "--listen-client-urls",
        "http://10.99.0.1:4001",
        "--advertise-client-urls",
        "http://10.99.0.1:4001",
    ]);
    command.args([
        "--listen-peer-urls",
        "http://127.0.0.1:4002",
        "--initial-advertise-peer-urls",
        "http://127.0.0.1:4002",
    ]);
    let log = fs::File::create(api.scratch.path("readme-etcd.log")).unwrap();
    let mut etcd = command
        .args(["--initial-cluster", "default=http://127.0.0.1:4002"])
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut forward = host
        .command(
            "socat",
            &["TCP-LISTEN:8080,bind=10.99.0.1,fork,reuseaddr", &format!("UNIX-CONNECT:{socket}")],
        )
        .spawn()
        .unwrap();
    host.sh("mkdir /run/flannel && printf 'FLANNEL_SUBNET=10.10.48.1/24\\nFLANNEL_MTU=1472\\nFLANNEL_IPMASQ=false\\n' >/run/flannel/subnet.env");

    // All but the build, which these tests are given.
    let script = block("## A node by hand", "sh").replace("scripts/build ", ": ");
    let script = script.replace("target/kboot", binary().to_str().unwrap());
    let leases = block("### flannel's config", "sh");
    let dir = crate::support::Scratch::new();
    let file = dir.file("by-hand", format!("set -e\ncd {}\n{script}\n{leases}\n", dir.path("")));
    let mut sh = host.command("sh", &[&file]);
    // There is no docker to be waited for.
    sh.env("KBOOT_IGNORE", "runtime");
    let done = finish(sh.env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    let options = host.sh("cat /etc/default/docker");
    for child in [&mut etcd, &mut forward] {
        let _ = child.kill();
        let _ = child.wait();
    }
    let _ = finish(Command::new("rm").args(["-f", &socket]));
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.lines().any(|l| l == "10.20.48.0/24  10.99.0.7  -        reserved"), "{done:?}");
    assert_eq!(
        done.stdout.lines().find(|l| l.starts_with("kubelet")).unwrap(),
        "kubelet --config=/etc/kubernetes/manifests --configure-cbr0=false --register-node=false \
         --api-servers=10.99.0.1:8080 --address=0.0.0.0 --hostname-override=10.10.48.1 --read-only-port=0 \
         --cadvisor-port=0 --allow-privileged=true"
    );
    assert_eq!(options, "DOCKER_OPTS=\"--bridge=cbr0 --iptables=false --ip-masq=false --mtu=1472\"\n");
    assert_eq!(api.node("10.10.48.1").unwrap()["spec"]["podCIDR"], "10.10.48.0/24");
    assert!(host.sh("ip -br addr show cbr0").contains("10.10.48.1/24"));
}

//! bridge under containers: a real dockerd on each of two nodes, told by docker-flags to use kboot's bridge.
//! Containers reach each other with their own addresses, and the world with their node's.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::support::cgroup::{CGROUPFS, Cgroup};
use crate::support::docker::{self, Dockerd};
use crate::support::host::Host;
use crate::support::need;
use crate::support::net::Family::Four;
use crate::support::net::{self, Net, Node};
use crate::support::packets::{Seen, seen};

/// An image of busybox alone.
const IMAGE: &str = "mkdir -p /run/image/bin && cp $(command -v busybox) /run/image/bin/ && \
    tar -C /run/image -c . | docker import - busybox";

/// What flanneld would have leased.
fn lease(node: &Node) {
    let text = "FLANNEL_NETWORK=10.7.0.0/16\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\nFLANNEL_SUBNET";
    node.sh(&format!("mkdir /run/flannel && printf '{text}={}\n' >/run/flannel/subnet.env", node.four));
}

fn dockerd<'a>(node: &'a Node, cgroup: &Cgroup) -> Dockerd<'a> {
    lease(node);
    assert_eq!(node.kboot(&["bridge"]).code, 0);
    let printed = node.kboot(&["docker-flags", "--bridge", "cbr0"]);
    let more = format!("--cgroup-parent=/{} {CGROUPFS}", cgroup.name);
    let words: Vec<&str> = printed.ok().split_whitespace().chain(more.split(' ')).collect();
    let dockerd = Dockerd::start(node, &words);
    node.sh(IMAGE);
    dockerd
}

/// Starts a container that does nothing, and dies at once when told to; its address and the file of its
/// network namespace.
fn container(node: &Node, name: &str) -> (IpAddr, PathBuf) {
    node.sh(&format!(
        "docker run --detach --stop-signal KILL --name {name} busybox /bin/busybox sleep infinity"
    ));
    let shown =
        |field: &str| node.sh(&format!("docker inspect --format '{{{{.NetworkSettings.{field}}}}}' {name}"));
    let key = shown("SandboxKey");
    let netns = node.sh(&format!("readlink -f {key}"));
    (shown("IPAddress").trim().parse().unwrap(), node.file(netns.trim()))
}

fn net() -> Option<Net> {
    let programs = [("docker", "docker"), ("busybox", "docker")];
    let there =
        net::can_run() && docker::can_run() && programs.iter().all(|(p, peer)| need(p, peer).is_some());
    there.then(|| {
        Net::new(|| {
            let host = Host::with_own_pids();
            docker::prepare(&host);
            host
        })
    })
}

#[test]
fn containers_keep_their_address_in_the_cluster_and_have_the_nodes_outside() {
    let cgroup = Cgroup::new();
    let Some(net) = net() else { return };
    let [one, two] = &net.nodes;
    let _dockerds = [dockerd(one, &cgroup), dockerd(two, &cgroup)];
    let ((near, near_netns), (far, far_netns)) = (container(one, "near"), container(two, "far"));
    assert_eq!((near.to_string().as_str(), far.to_string().as_str()), ("10.7.3.2", "10.7.4.2"));
    let busybox = |line: &str| one.sh(&format!("docker exec near /bin/busybox {line}"));
    let ping = |to| busybox(&format!("ping -c 3 -i 0.01 -W 5 {to}"));
    for _ in 0..2 {
        assert!(ping(far).contains("3 packets received, 0% packet loss"), "{}", ping(far));
        assert_eq!(seen(&near_netns, &far_netns, far), Seen::Answered(near));
        assert_eq!(seen(&far_netns, &near_netns, near), Seen::Answered(far));
        let (outside, outside_netns) = (net.outside.address(Four), net.outside.netns());
        assert!(ping(outside).contains("0% packet loss"));
        assert_eq!(seen(&near_netns, &outside_netns, outside), Seen::Answered(one.address(Four)));
        assert_eq!(seen(&far_netns, &outside_netns, outside), Seen::Answered(two.address(Four)));
        assert_eq!(busybox("cat /sys/class/net/eth0/mtu"), "1450\n");
        // And all the same when kboot has been run again under them.
        assert!(one.kboot(&["bridge"]).stderr.contains("(0 changed, "));
    }
}

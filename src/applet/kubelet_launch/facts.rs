//! The facts behind each finding.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::preflight::Scene;
use super::runtime::{self, Seen};
use crate::applet::node_name;
use crate::error::Result;
use crate::plan::cni;
use crate::plan::kubelet::Runtime;
use crate::plan::preflight::{self as plan, Cgroups, Finding, Level, Listener, Room, Validity};
use crate::sys::http::certificate::Certificate;
use crate::sys::http::certificates;
use crate::sys::link::Links;
use crate::sys::{clock, disk, exec, file, process, sysctl};
use crate::types::{Cidr, IfName, NodeName};

/// Where CNI's configurations are (cri/config.md, kubelet's --cni-conf-dir).
const CNI: &str = "/etc/cni/net.d";

/// Which resolv.conf the kubelet is to give to pods, if not the default, and what is to be said of it.
pub fn resolver(scene: &Scene) -> Result<(Option<String>, Finding)> {
    let given = scene.args.resolv_conf.as_deref().and_then(Path::to_str);
    let asked = scene.flag("resolv-conf").or(given).map(|path| (path, Path::new(path).exists()));
    let beside = text(plan::RESOLVED)?;
    Ok(plan::resolver(text("/etc/resolv.conf")?.as_deref(), beside.as_deref(), asked))
}

/// A text file, if it is there.
fn text(path: &str) -> Result<Option<String>> {
    Ok(file::read_if_there(Path::new(path))?.map(|b| String::from_utf8_lossy(&b).into_owned()))
}

/// The bridge; for CRI runtimes CNI's configuration, and the bridge where that is kboot's.
pub fn pod_network(scene: &Scene) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if let Runtime::Endpoint(_) = &scene.runtime {
        let files = cni_files();
        findings.push(plan::cni(CNI, &files));
        let is_kboots = |name: &String| fs::read(Path::new(CNI).join(name)).is_ok_and(|t| cni::is_own(&t));
        if !files.first().is_some_and(is_kboots) {
            return Ok(findings);
        }
    }
    findings.push(plan::bridge(&scene.bridge, bridge(&scene.bridge)?.as_ref(), &scene.lease));
    Ok(findings)
}

/// In the order in which libcni takes them.
fn cni_files() -> Vec<String> {
    let entries = fs::read_dir(CNI).into_iter().flatten().flatten();
    let files = entries.filter(|e| !e.file_type().is_ok_and(|t| t.is_dir()));
    cni::in_order(files.filter_map(|e| e.file_name().into_string().ok()).collect())
}

fn bridge(name: &IfName) -> Result<Option<plan::Bridge>> {
    let links = Links::open()?;
    let Some(link) = links.get(name)? else { return Ok(None) };
    let all = links.addresses()?;
    let addresses = all.into_iter().filter(|(index, _)| *index == link.index).map(|(_, cidr)| cidr).collect();
    Ok(Some(plan::Bridge { kind: link.kind, up: link.up, addresses }))
}

/// Whether it is there.
pub fn runtime_answers(scene: &Scene, seen: &Seen) -> Finding {
    let shown = runtime::shown(scene);
    match &seen.silent {
        None if seen.without_cri => Finding::bad(
            "runtime",
            Level::Blocker,
            format!("{shown}: disabled_plugins in {} has cri", runtime::CONTAINERD),
            "the kubelet ends where the socket knows no CRI",
            "take it out and restart containerd (docker's packages put it there)",
        ),
        None => Finding::ok("runtime", format!("{shown} answers")),
        Some(why) => {
            let advice = if why.starts_with("Permission denied") {
                "run kboot as root, as the kubelet is"
            } else {
                "start it, or name another with --runtime"
            };
            let what = format!("{shown}: {why}");
            Finding::bad("runtime", Level::Blocker, what, "the kubelet ends without it", advice)
        }
    }
}

/// Their version, and who manages them.
pub fn control_groups(scene: &Scene, seen: &Seen) -> [Finding; 2] {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let there = Cgroups::read(&read("/proc/mounts"), &read("/sys/fs/cgroup/cgroup.controllers"));
    let asked = scene.flag("cgroup-driver").and_then(|d| d.parse().ok());
    let systemd = Path::new("/run/systemd/system").is_dir();
    let by_cri = scene.runtime != Runtime::Docker && scene.version.minor >= 31;
    [
        plan::cgroups(&there, scene.version, !scene.is_on("fail-cgroupv1", !scene.args.allow_cgroup_v1)),
        plan::driver(seen.driver, asked, systemd, by_cri),
    ]
}

/// The program itself.
pub fn kubelet(scene: &Scene) -> Finding {
    match exec::find(scene.args.kubelet()) {
        Ok(path) => Finding::ok("kubelet", path.display().to_string()),
        Err(error) => {
            let advice = "install it, or name it with --kubelet";
            Finding::bad("kubelet", Level::Blocker, error.to_string(), "there is nothing to start", advice)
        }
    }
}

/// Swap, settings, connections, its log.
pub fn kernel(scene: &Scene) -> Result<Vec<Finding>> {
    let allowed = !scene.is_on("fail-swap-on", !scene.args.allow_swap);
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    let setting = |check, name, why, module| -> Result<Finding> {
        Ok(plan::setting(check, name, sysctl::read(name)?.as_deref(), why, module))
    };
    let number = |name| -> Result<Option<u64>> { Ok(sysctl::read(name)?.and_then(|v| v.parse().ok())) };
    let processors = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let unseen = "services are not seen by pods on the same bridge";
    let br_netfilter = Some("br_netfilter");
    let mut findings = vec![plan::swap(&swaps, scene.version, allowed)];
    let ends = "pods' packets end here";
    if scene.lease.is_empty() || scene.lease.iter().any(Cidr::is_ipv4) {
        let bridged = setting("br_netfilter", "net.bridge.bridge-nf-call-iptables", unseen, br_netfilter)?;
        findings.extend([bridged, setting("ip_forward", "net.ipv4.ip_forward", ends, None)?]);
    }
    if scene.lease.iter().any(|c| !c.is_ipv4()) {
        let bridged = setting("br_netfilter", "net.bridge.bridge-nf-call-ip6tables", unseen, br_netfilter)?;
        // A host that forwards takes no router advertisements any more: kboot bridge sees to both.
        let forwarding = setting("ip_forward", "net.ipv6.conf.all.forwarding", ends, None)?;
        findings.extend([bridged, forwarding.left_to("kboot bridge sets it")]);
    }
    let (limit, used) = ("net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_count");
    findings.push(plan::conntrack(number(limit)?, number(used)?, processors));
    let mut tunables = Vec::new();
    for (name, wanted) in plan::TUNABLES {
        let is_other = sysctl::read(name)?.is_some_and(|value| value != wanted);
        tunables.extend((is_other && sysctl::is_read_only(name)).then_some((name, wanted)));
    }
    findings.push(plan::tunables(&tunables, scene.version));
    findings.push(plan::kmsg(Path::new("/dev/kmsg").exists(), scene.version));
    Ok(findings)
}

/// In the certificate, for the Node, of the host.
pub fn names(scene: &Scene, name: &NodeName) -> Result<Finding> {
    let of_node = node_name::of_certificate(&scene.server.tls)?;
    let hostname = nix::unistd::gethostname()?.to_string_lossy().into_owned();
    Ok(plan::name(name, of_node.as_deref(), hostname.trim()))
}

/// Against the certificates that TLS with the API server depends on.
pub fn clock(scene: &Scene) -> Result<Finding> {
    let now = clock::now();
    let tls = &scene.server.tls;
    let validity = |of: &str, der: &[u8], renewal| {
        let Certificate { not_before, not_after, .. } = Certificate::read(der)?;
        Some(Validity { of: of.into(), not_before, not_after, renewal })
    };
    let mut all = Vec::new();
    // With a bootstrap kubeconfig the kubelet asks for a new one by itself.
    if let Some(der) = tls.client_certificate()?.filter(|_| scene.flag("bootstrap-kubeconfig").is_none()) {
        let renewal = "make a new one (kubeadm kubeconfig user; register --bootstrap-token-file)";
        all.extend(validity("the client certificate", &der, renewal));
    }
    if let Some((name, pem)) = &tls.cacert {
        let renewal = "get the cluster's new CA";
        let bundle = certificates(name, pem)?;
        let bundle = bundle.iter().filter_map(|der| validity("the API server's CA", der, renewal));
        all.extend(plan::best(now, bundle));
    }
    let finding = plan::clock(now, &all);
    Ok(match clock::unset() {
        Some(why) if !all.is_empty() => {
            Finding::bad("clock", Level::Warning, why, finding.why, "set the clock")
        }
        _ => finding,
    })
}

/// For the kubelet's own directory and the runtime's.
pub fn room(scene: &Scene, seen: &Seen) -> Finding {
    let own = scene.flag("root-dir").unwrap_or("/var/lib/kubelet");
    let rooms = [own, &seen.root].into_iter().filter_map(|path| {
        let space = disk::space(Path::new(path))?;
        let disk::Space { bytes, for_root, inodes } = space;
        Some(Room { path: path.to_owned(), bytes, for_root, inodes })
    });
    plan::room(&rooms.collect::<Vec<_>>())
}

/// The ports of its API, of its health, and of the reading API where one is wanted.
pub fn ports(scene: &Scene) -> Vec<Finding> {
    let all: Vec<Listener> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .flat_map(|path| plan::listeners(&fs::read_to_string(path).unwrap_or_default()))
        .collect();
    let addr = |flag: &str, default: IpAddr| scene.flag(flag).and_then(|v| v.parse().ok()).unwrap_or(default);
    let number = |flag: &str, default: u16| scene.flag(flag).and_then(|v| v.parse().ok()).unwrap_or(default);
    let args = &scene.args;
    let listen = addr("address", args.listen());
    let health = addr("healthz-bind-address", IpAddr::V4(Ipv4Addr::LOCALHOST));
    let wanted = [
        ("API", listen, number("port", 10250)),
        (plan::HEALTH, health, number("healthz-port", args.healthz_port.unwrap_or(10248))),
        ("read-only API", listen, number("read-only-port", args.read_only_port)),
    ];
    let finding = |(what, addr, port): (&str, IpAddr, u16)| {
        let holder = plan::holder(&all, addr, port);
        let process = holder.and_then(|l| process::owner_of_socket(l.inode));
        plan::port(what, port, holder.is_some(), process.as_ref().map(|(pid, name)| (*pid, name.as_str())))
    };
    wanted.into_iter().filter(|(.., port)| *port != 0).map(finding).collect()
}

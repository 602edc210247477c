//! kubelet-launch --check, the kernel's side: what drifts is told in its line, by the kubelet's version, and
//! nothing else changes. The names of all lines and levels are told as a whole.

use std::thread::available_parallelism;

use crate::support::preflight::Fit;

/// A file over another one, with this text.
fn over(path: &str, text: &str) -> String {
    format!("printf '{text}' >/run/over && mount --bind /run/over {path}")
}

/// Each: version, how, more words, the line.
fn each(cases: &[(&str, &str, &str, &str)]) {
    let Some(fit) = Fit::new() else { return };
    for (version, how, more, line) in cases {
        assert_eq!(fit.differs(version, how, more), [*line], "{version} {how} {more}");
    }
}

#[test]
fn swap() {
    let how = over(
        "/proc/swaps",
        "Filename Type Size Used Priority\\n/dev/vdb2 partition 9 0 -2\\n/swap file 9 0 -3\\n",
    );
    let on = "swap is on (/dev/vdb2, /swap)";
    let old = format!(
        "warning swap {on}: pods are swapped out, and what they are promised does not hold: \
         swapoff -a, and out of /etc/fstab with it"
    );
    let new = |version: &str| {
        format!(
            "blocker swap {on}: kubelet {version} does not start with it (failSwapOn): swapoff -a, and out of \
             /etc/fstab with it; or give --allow-swap"
        )
    };
    let allowed = format!("ok swap {on}, and allowed");
    each(&[
        ("1.7", &how, "", &old),
        ("1.8", &how, "", &new("1.8")),
        ("1.30", &how, "", &new("1.30")),
        ("1.30", &how, "-- --fail-swap-on=true", &new("1.30")),
        ("1.30", &how, "--allow-swap", &allowed),
        ("1.7", &how, "--allow-swap", &allowed),
        ("1.30", &how, "-- --v=2 --fail-swap-on=false", &allowed),
        ("1.30", &how, "-- --fail-swap-on=0", &allowed),
    ]);
}

#[test]
fn settings_that_the_kubelet_cannot_make() {
    let how = over("/proc/sys/kernel/panic", "7\\n");
    let line = "blocker proc-sys kernel.panic is not 10, and /proc/sys is read-only: the kubelet sets it and ends \
        where it cannot: sysctl -w kernel.panic=10 on the host itself, or mount -o remount,rw /proc/sys";
    each(&[("1.20", &format!("{how}; mount -o remount,bind,ro /proc/sys/kernel/panic"), "", line)]);
}

#[test]
fn control_groups_version_2() {
    let there = "/sys/fs/cgroup/cgroup.controllers";
    let without = |rest: &str| over(there, &format!("{rest}\\n"));
    let elsewhere = "see /proc/cgroups: it is off (cgroup_disable=), or mounted as version 1";
    let none = "blocker cgroup no control groups are mounted: the kubelet and the runtime do not start without: \
        mount -t cgroup2 none /sys/fs/cgroup (version 1 for kubelets before 1.19)";
    let memory = "blocker cgroup control groups version 2 without memory: the kubelet does not start without that \
        controller: boot with cgroup_enable=memory (Raspberry Pi and older Debian leave it off)";
    let cpu = format!(
        "blocker cgroup control groups version 2 without cpu: the kubelet does not start without that controller: \
         {elsewhere}"
    );
    let cpuset = format!(
        "warning cgroup control groups version 2 without cpuset: no pod can have processors of its own \
         (cpuManagerPolicy static): {elsewhere}"
    );
    each(&[
        ("1.30", &without("cpuset cpu io"), "", memory),
        ("1.30", &without("cpuset memory"), "", &cpu),
        ("1.30", &without("cpu memory pids"), "", &cpuset),
        ("1.30", "umount -R /sys/fs/cgroup; umount -R -l /run/machine", "", none),
    ]);
    let Some(fit) = Fit::new() else { return };
    let line = |version: &str| {
        let table = fit.table("", &format!("--subnet 10.20.7.1/24 --kubelet-version {version}"));
        table.into_iter().find(|l| l.contains(" cgroup ")).unwrap()
    };
    let old = "blocker cgroup control groups version 2: kubelet 1.18 knows version 1 only (2 from 1.19 on): \
        boot with systemd.unified_cgroup_hierarchy=0";
    assert_eq!((line("1.18").as_str(), line("1.19").as_str()), (old, "ok cgroup version 2"));
    assert_eq!(line("1.35"), "ok cgroup version 2");
}

/// With those of this machine, if it has any.
#[test]
fn control_groups_version_1() {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    if !mounts.lines().any(|l| l.split(' ').nth(2) == Some("cgroup") && l.contains("memory")) {
        return println!("skipped: this machine has no control groups of version 1");
    }
    let how =
        "umount -R /sys/fs/cgroup; mount --rbind /run/machine /sys/fs/cgroup; umount -R -l /run/machine";
    let boot = "boot with systemd.unified_cgroup_hierarchy=1";
    let soon = |version: &str| {
        let why = format!("kubelet {version} still takes it, 1.35 refuses it");
        format!("warning cgroup control groups version 1: {why}: {boot}")
    };
    let refused = format!(
        "blocker cgroup control groups version 1: kubelet 1.35 refuses it (failCgroupV1): {boot}, or give \
         --allow-cgroup-v1"
    );
    let told = format!(
        "warning cgroup control groups version 1: kubelet 1.35 takes it only because it was told to: {boot}"
    );
    let cpuset = "blocker cgroup control groups version 1 without cpuset: the kubelet does not start without that \
        controller: mount it; its config option is in the kernel's CONFIG_CGROUPS menu";
    each(&[
        ("1.18", how, "", "ok cgroup version 1"),
        ("1.30", how, "", "ok cgroup version 1"),
        ("1.31", how, "", &soon("1.31")),
        ("1.34", how, "", &soon("1.34")),
        ("1.35", how, "", &refused),
        ("1.35", how, "--allow-cgroup-v1", &told),
        ("1.35", how, "-- --fail-cgroupv1=false", &told),
        ("1.20", &format!("{how}; umount /sys/fs/cgroup/cpuset"), "", cpuset),
        ("1.20", &format!("{how}; umount /sys/fs/cgroup/pids"), "", &cpuset.replace("cpuset", "pids")),
    ]);
}

#[test]
fn the_kernels_log() {
    let how = "mkdir -p /run/dev && for node in null zero urandom; do \
            touch /run/dev/$node; mount --bind /dev/$node /run/dev/$node; \
        done; mount --rbind /run/dev /dev";
    let line = |version: &str| {
        format!(
            "blocker kmsg there is no /dev/kmsg: kubelet {version} ends without it (its watch for OOM kills): \
             mknod /dev/kmsg c 1 11"
        )
    };
    each(&[
        ("1.14", how, "", "ok kmsg /dev/kmsg is not needed"),
        ("1.15", how, "", &line("1.15")),
        ("1.30", how, "", &line("1.30")),
    ]);
}

#[test]
fn settings() {
    let bridged = "services are not seen by pods on the same bridge: kboot bridge sets it, or --fix";
    let off = format!("warning br_netfilter net.bridge.bridge-nf-call-iptables is 0: {bridged}");
    let absent = format!("warning br_netfilter br_netfilter is not loaded: {bridged}");
    each(&[
        ("1.20", &over("/proc/sys/net/bridge/bridge-nf-call-iptables", "0\\n"), "", &off),
        ("1.20", "mount --bind /run/empty /proc/sys/net/bridge", "", &absent),
        (
            "1.20",
            &over("/proc/sys/net/ipv4/ip_forward", "0\\n"),
            "",
            "warning ip_forward net.ipv4.ip_forward is 0: pods' packets end here: kboot bridge sets it, or --fix",
        ),
    ]);
}

#[test]
fn tracked_connections() {
    let limits = "/proc/sys/net/netfilter";
    let processors = available_parallelism().unwrap().get();
    let wanted = (32_768 * processors).max(131_072);
    let why = "where that many connections are open, the kernel drops packets of new ones: sysctl -w \
        net.netfilter.nf_conntrack_max";
    let low = format!(
        "warning conntrack net.netfilter.nf_conntrack_max is 65536, less than {wanted}: {why}={wanted}, or --fix"
    );
    let full = format!(
        "warning conntrack 8999999 of 9000000 tracked connections are in use: {why}=18000000, or --fix"
    );
    each(&[
        ("1.20", &over(&format!("{limits}/nf_conntrack_max"), "65536\\n"), "", &low),
        ("1.20", &over(&format!("{limits}/nf_conntrack_count"), "8999999\\n"), "", &full),
        (
            "1.20",
            &format!("mount --bind /run/empty {limits}"),
            "",
            "ok conntrack no connections are tracked yet",
        ),
    ]);
}

#[test]
fn which_forwarding_by_the_leases_family() {
    let Some(fit) = Fit::new() else { return };
    fit.sh("echo 0 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv6/conf/all/forwarding");
    let told = |subnets: &str| {
        let table = fit.table("", &format!("{subnets} --name n7 --kubelet-version 1.30"));
        table.into_iter().filter(|l| l.contains(" ip_forward ")).collect::<Vec<_>>()
    };
    let (four, six) = (
        "warning ip_forward net.ipv4.ip_forward is 0: pods' packets end here: kboot bridge sets it, or --fix",
        // A router takes no advertisements: --fix leaves that to the applet that sees to it.
        "warning ip_forward net.ipv6.conf.all.forwarding is 0: pods' packets end here: kboot bridge sets it",
    );
    assert_eq!(told("--subnet 10.20.7.1/24"), [four]);
    assert_eq!(told("--subnet fd00:20:7::1/64"), [six]);
    assert_eq!(told("--subnet 10.20.7.1/24 --subnet fd00:20:7::1/64"), [four, six]);
    assert_eq!(told(""), [four], "no lease yet");
}

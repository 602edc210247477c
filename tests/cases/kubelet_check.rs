//! kubelet-launch --check as a whole: where all is well, what it leaves alone, with few rights; and --fix.

use crate::support::host::Host;
use crate::support::preflight::{Fit, check};
use crate::support::{Done, binary, finish, need};

const WORDS: &str = "--subnet 10.20.7.1/24 --bridge pods0 --kubelet-version 1.30";

#[test]
fn all_is_well() {
    let Some(fit) = Fit::new() else { return };
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let done = fit.after("", &format!("--check {WORDS}"));
    assert_eq!(
        done.ok(),
        format!(
            "ok       kubelet        /run/kubelet\n\
             ok       subnet         10.20.7.1/24\n\
             ok       cni            /etc/cni/net.d/10-pods.conflist\n\
             ok       bridge         pods0 10.20.7.1/24\n\
             ok       runtime        unix:///run/containerd/containerd.sock answers\n\
             ok       cgroup         version 2\n\
             ok       cgroup-driver  cgroupfs\n\
             ok       swap           none is on\n\
             ok       br_netfilter   net.bridge.bridge-nf-call-iptables is 1\n\
             ok       ip_forward     net.ipv4.ip_forward is 1\n\
             ok       conntrack      net.netfilter.nf_conntrack_max is 9000000\n\
             ok       proc-sys       the kubelet can set what it sets\n\
             ok       kmsg           /dev/kmsg is there\n\
             ok       resolv-conf    /etc/resolv.conf\n\
             ok       clock          no certificate depends on it\n\
             ok       manifests      /etc/kubernetes/manifests\n\
             ok       disk           /var/lib/kubelet: 100 % free, /var/lib/containerd: 100 % free\n\
             ok       ports          10250 (API) is free\n\
             ok       ports          10248 (health) is free\n\
             ok       name           10.20.7.1, on the host {host}\n\
             warning  node           http://127.0.0.1:8080: Connection refused: the kubelet starts, and tries again \
             and again: see to the API server, or --server\n"
        ),
        "no API server is there"
    );
    assert!(
        done.stderr
            .ends_with("kboot kubelet-launch: kubelet 1.30 can start here (0 changed, 20 already so)\n"),
        "{done:?}"
    );
    let json = fit.after("", &format!("--check --json {WORDS}")).json();
    assert_eq!(
        json["found"]["findings"][20],
        serde_json::json!({
            "check": "node", "level": "warning", "what": "http://127.0.0.1:8080: Connection refused",
            "why": "the kubelet starts, and tries again and again",
            "do": "see to the API server, or --server", "fix": [],
        })
    );
    assert_eq!((&json["exit"], &json["outcome"]), (&0.into(), &"unchanged".into()));
}

/// All that a look might change: files, settings, links, mounts.
fn state(host: &Host) -> String {
    host.sh(
        "find /run /etc /var/lib -xdev ! -path '*/timeline*' -printf '%p %m %s %T@\n' | sort; \
         cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/bridge/* /proc/sys/net/netfilter/*; ip addr; ip rule; \
         ip route; cat /proc/mounts",
    )
}

/// Every setting off, nothing there: everything that --fix mends.
fn worn(fit: &Fit) {
    fit.sh(
        "rmdir /etc/kubernetes/manifests /etc/kubernetes; echo 0 >/proc/sys/net/ipv4/ip_forward; \
         echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables; echo 7 >/proc/sys/net/netfilter/nf_conntrack_max",
    );
}

#[test]
fn a_look_changes_nothing_and_fix_mends() {
    let Some(fit) = Fit::new() else { return };
    let well = fit.table("", WORDS);
    worn(&fit);
    let before = state(&fit);
    let worn: Vec<String> = fit.table("", WORDS).into_iter().filter(|l| !well.contains(l)).collect();
    let told: Vec<&str> = worn.iter().map(|l| check(l)).collect();
    assert_eq!(told, ["br_netfilter", "ip_forward", "conntrack", "manifests"]);
    assert!(worn.iter().all(|l| l.starts_with("warning ") && l.ends_with(", or --fix")), "{worn:?}");
    let dry = fit.after("", &format!("--check --fix --dry-run {WORDS}"));
    let steps: Vec<&str> = dry.ok().lines().take(4).collect();
    assert_eq!(
        steps[..2],
        ["sysctl -w net.bridge.bridge-nf-call-iptables=1", "sysctl -w net.ipv4.ip_forward=1"],
        "{dry:?}"
    );
    assert!(steps[2].starts_with("sysctl -w net.netfilter.nf_conntrack_max="), "{dry:?}");
    assert_eq!(steps[3], "mkdir -p /etc/kubernetes/manifests");
    assert_eq!(state(&fit), before, "neither has changed anything");

    let fixed = fit.after("", &format!("--check --fix {WORDS}"));
    let lines = fixed.ok().lines().filter(|l| !l.starts_with("ok ")).count();
    assert!(lines == 1 && fixed.stderr.contains("(4 changed, 20 already so)"), "only the Node: {fixed:?}");
    let read =
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/bridge/bridge-nf-call-iptables; ls /etc/kubernetes";
    assert_eq!(fit.sh(read), "1\n1\nmanifests\n");
    let after = state(&fit);
    let again = fit.after("", &format!("--check --fix {WORDS}"));
    assert!(again.code == 0 && again.stderr.contains("(0 changed, 20 already so)"), "{again:?}");
    assert_eq!(state(&fit), after);
}

/// What cannot be mended is told, the rest is mended, and the look goes on.
#[test]
fn a_fix_that_fails_is_a_warning() {
    let Some(fit) = Fit::new() else { return };
    worn(&fit);
    let how = "mount -o bind,ro /proc/sys/net/netfilter /proc/sys/net/netfilter; \
        mount --bind /run/empty /proc/sys/net/bridge";
    let done = fit.after(how, &format!("--check --fix {WORDS}"));
    let told: Vec<&str> = done.stderr.lines().filter(|l| l.contains("--fix: ")).collect();
    assert_eq!(told.len(), 2, "{done:?}");
    assert!(told[0].starts_with("kboot kubelet-launch: warning: --fix: modprobe br_netfilter: "), "{done:?}");
    assert!(
        told[1].contains("sysctl -w net.netfilter.nf_conntrack_max=")
            && told[1].ends_with(": Read-only file system"),
        "{done:?}"
    );
    let left: Vec<&str> = done.ok().lines().filter(|l| l.starts_with("warning ")).collect();
    assert_eq!(left.len(), 3, "br_netfilter, conntrack, node: {done:?}");
    assert_eq!(fit.sh("cat /proc/sys/net/ipv4/ip_forward; ls /etc/kubernetes"), "1\nmanifests\n");
}

/// By way of setpriv, as nobody.
fn as_nobody(fit: &Fit, words: &str) -> Done {
    let nobody =
        ["--reuid", "65534", "--regid", "65534", "--clear-groups", "/run/bin/kboot", "kubelet-launch"];
    let args: Vec<&str> =
        nobody.into_iter().chain(["--kubelet", "/run/kubelet"]).chain(words.split_whitespace()).collect();
    finish(&mut fit.command("setpriv", &args))
}

#[test]
fn with_few_rights() {
    let Some(fit) = Fit::new() else { return };
    fit.sh(&format!("chmod 755 /run /etc; mkdir -m 755 /run/bin; cp {} /run/bin/kboot", binary().display()));
    fit.sh("echo 'imports = []' >/etc/containerd/config.toml; chmod 600 /etc/containerd/config.toml");
    let done = as_nobody(&fit, &format!("--check {WORDS}"));
    let all: Vec<&str> = done.stdout.lines().filter(|l| !l.starts_with("ok ")).collect();
    assert_eq!((done.code, all.len()), (3, 2), "{done:?}");
    assert_eq!(
        all[0],
        "blocker  runtime        unix:///run/containerd/containerd.sock: Permission denied: the kubelet ends without \
         it: run kboot as root, as the kubelet is"
    );
    assert!(done.stdout.contains("the runtime does not say: the kubelet's own default"), "{done:?}");
    fit.sh("rmdir /etc/kubernetes/manifests");
    let fix = as_nobody(&fit, &format!("--check --fix {WORDS}"));
    assert!(fix.code == 3 && fix.stdout.lines().count() == 21, "{fix:?}");
    assert!(fix.stderr.contains("--fix: mkdir -p /etc/kubernetes/manifests: Permission denied\n"), "{fix:?}");
}

/// In a container that has neither.
#[test]
fn without_proc_and_sys() {
    let Some(fit) = Fit::new() else { return };
    let how = "umount -R -l /sys; umount -R -l /proc";
    let done = fit.after(how, &format!("--check {WORDS}"));
    assert_eq!((done.code, done.stdout.lines().count()), (3, 21), "{done:?}");
    assert!(done.stderr.contains("kubelet-launch: cgroup: no control groups are mounted: "), "{done:?}");
}

/// The real kubelet tells its version, and ends at what was called a blocker.
#[test]
fn the_real_kubelet_agrees() {
    let (Some(kubelet), Some(fit)) = (need("kubelet", "kubelet"), Fit::new()) else { return };
    let words = format!("--subnet 10.20.7.1/24 --bridge pods0 --kubelet {}", kubelet.display());
    let json = fit.after("", &format!("--check --json {words}")).json();
    assert_eq!((&json["exit"], &json["found"]["kubeletVersion"]), (&0.into(), &"1.20".into()));
    let swap = "printf 'Filename\n/dev/vdb2 partition 9 0 -2\n' >/run/on; mount --bind /run/on /proc/swaps";
    let refused = fit.after(swap, &words);
    assert!(
        refused.code == 3 && refused.stderr.contains("swap: swap is on (/dev/vdb2): kubelet 1.20 "),
        "{refused:?}"
    );
    let ignored = fit.after(swap, &format!("--ignore swap {words}"));
    assert!(ignored.stderr.contains("running with swap on is not supported"), "{ignored:?}");
}

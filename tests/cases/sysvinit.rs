//! scripts/sysvinit: LSB's actions and exit statuses on a host with the real etcd, dockerd and API server, with dash and
//! Debian's LSB functions, and with busybox's sh without them; then the boot itself, by the real insserv and sysvinit.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::debian::{Debian, emulate};
use crate::support::docker::script;
use crate::support::legacy::Legacy;
use crate::support::{Done, binary, finish, need, root, tool, until};

const KBOOT: &str = "scripts/sysvinit/kboot";
const KUBELET: &str = "scripts/sysvinit/kboot-kubelet";

fn status_and_words((done, code, words): (Done, i32, &str)) {
    assert_eq!(done.code, code, "{words}: {done:?}");
    assert!(format!("{}{}", done.stdout, done.stderr).contains(words), "{words}: {done:?}");
}

fn kubelets(legacy: &Legacy) -> Vec<String> {
    legacy.host.sh("cat /run/kubelets").lines().map(str::to_owned).collect()
}

fn life(legacy: &Legacy, shell: &str) {
    let run = |script: &str, action: &str| legacy.run(shell, script, &[action]);
    legacy.host.sh("service etcd start; service flanneld start; service kube-apiserver start");
    status_and_words((run(KUBELET, "status"), 3, "kboot-kubelet: does not run"));
    status_and_words((run(KUBELET, "stop"), 0, "the kubelet has ended"));
    status_and_words((run(KBOOT, "start"), 0, "kboot: both: as it should be"));
    status_and_words((run(KBOOT, "status"), 0, "kboot: both: as it should be"));
    for again in ["start", "restart", "force-reload", "try-restart"] {
        let done = run(KBOOT, again);
        assert_eq!((done.code, done.stderr.matches("(0 changed, ").count()), (0, 3), "{again}: {done:?}");
    }
    legacy.host.sh("service docker start");
    legacy.docker_bridge();
    status_and_words((
        run(KUBELET, "start"),
        0,
        "the kubelet runs (/var/log/kboot-kubelet.log), and the Node is there",
    ));
    legacy.is_a_node(true);
    let pid = || legacy.host.sh("cat /run/kboot-kubelet.pid").trim().to_owned();
    let first = pid();
    status_and_words((run(KUBELET, "status"), 0, &format!("runs (pid {first})")));
    status_and_words((run(KUBELET, "start"), 0, "the kubelet runs"));
    assert_eq!((pid(), kubelets(legacy).len()), (first.clone(), 1));

    for (restart, runs) in [("restart", 2), ("try-restart", 3)] {
        status_and_words((run(KUBELET, restart), 0, "the kubelet has ended"));
        until("the next one runs", || kubelets(legacy).len() == 2 * runs - 1);
        let log = kubelets(legacy);
        assert!(log[2 * runs - 3].ends_with(" TERM"), "{log:?}");
    }
    assert_ne!(pid(), first);
    legacy.host.sh(&format!("kill -KILL {0}; while [ -e /proc/{0} ]; do sleep 0.02; done", pid()));
    let before = kubelets(legacy).len();
    status_and_words((run(KUBELET, "status"), 1, "dead, though there is /run/kboot-kubelet.pid"));
    status_and_words((run(KUBELET, "start"), 0, "the kubelet runs"));
    status_and_words((run(KUBELET, "status"), 0, "runs"));
    until("the next one runs", || kubelets(legacy).len() == before + 1);
    status_and_words((run(KUBELET, "stop"), 0, "its pods stay"));
    assert!(legacy.daemons().contains("\nkubelet-launch\n"), "{}", legacy.daemons());
    assert!(kubelets(legacy).last().unwrap().ends_with(" TERM"));
    status_and_words((run(KUBELET, "status"), 3, "does not run"));
    assert_eq!(run(KUBELET, "try-restart").code, 0);
    status_and_words((run(KUBELET, "status"), 3, "does not run"));
    status_and_words((run(KBOOT, "stop"), 0, "the bridge and its rules stay, since pods hang on them"));
    assert!(legacy.host.sh("ip -br addr show cbr0").contains(".48.1/24"));
    legacy.host.sh("ip link set cbr0 mtu 1400");
    status_and_words((run(KBOOT, "status"), 3, "not as it should be: service kboot start"));
}

#[test]
fn a_life_by_dash_with_debians_lsb_functions() {
    if let Some(legacy) = Legacy::new(67) {
        life(&legacy, "dash");
    }
}

#[test]
fn a_life_by_busybox_without_lsb_functions() {
    if let Some(legacy) = Legacy::new(68) {
        // Those of others need them.
        let without =
            "mount -t tmpfs tmpfs /usr/lib/lsb && [ ! -e /lib/lsb/init-functions ] && exec busybox sh \"$@\"";
        script(&legacy.host, "/run/without", without);
        life(&legacy, "unshare --mount --propagation private sh /run/without");
    }
}

#[test]
fn what_is_wrong_has_lsbs_number_and_a_line() {
    let Some(legacy) = Legacy::new(69) else { return };
    let run = |script: &str, action: &[&str]| legacy.run("dash", script, action);
    for script in [KBOOT, KUBELET] {
        for action in [&["reload"][..], &[], &["Start"]] {
            status_and_words((run(script, action), 2, "Usage: "));
        }
        legacy.defaults("KBOOT_ROLE=\n");
        status_and_words((
            run(script, &["start"]),
            6,
            "KBOOT_ROLE=: in /etc/default/kboot, say node, control-plane or both",
        ));
        legacy.defaults("");
        let path = root().join(script);
        let user = ["--reuid", "65534", "--clear-groups", "sh", "-s", "start"];
        let line = format!("setpriv {} <{}", user.join(" "), path.display());
        status_and_words((finish(&mut legacy.host.command("sh", &["-c", &line])), 4, "this takes root"));
    }
    status_and_words((run(KBOOT, &["status"]), 4, "cannot tell (exit "));
    legacy.defaults("KBOOT_ROLE=control-plane\n");
    status_and_words((run(KUBELET, &["start"]), 0, "KBOOT_ROLE=control-plane has no kubelet"));
    // Its settings, its time, its programs.
    legacy.defaults("KBOOT_ROLE=node\nKBOOT_BRIDGE_MTU=12\n");
    legacy.host.sh("service flanneld start");
    status_and_words((run(KBOOT, &["start"]), 6, "bridge: not configured; see /etc/default/kboot"));
    legacy.defaults("KBOOT_ROLE=node\nKBOOT_REGISTER_TIMEOUT=0\nKBOOT_KUBELET_LAUNCH_TIMEOUT=forever\n");
    assert_eq!(run(KBOOT, &["start"]).code, 0);
    let done = run(KUBELET, &["start"]);
    status_and_words((done, 1, "register failed (exit 75); again: service kboot-kubelet start"));
    status_and_words((run(KUBELET, &["status"]), 0, "runs"));
    assert_eq!(run(KUBELET, &["stop"]).code, 0);
    // A host that joins: the kubelet's credentials come first.
    legacy.defaults("KBOOT_BOOTSTRAP_TOKEN_FILE=/nowhere\n");
    status_and_words((run(KUBELET, &["start"]), 6, "register: not configured; see /etc/default/kboot"));
    status_and_words((run(KUBELET, &["status"]), 3, "does not run"));
    legacy.defaults("KBOOT_ROLE=node\nKBOOT_REGISTER_TIMEOUT=0\nKBOOT_KUBELET_LAUNCH_TIMEOUT=forever\n");
    legacy.host.sh("rm /usr/local/bin/kubelet");
    status_and_words((run(KUBELET, &["start"]), 5, "kubelet-launch: not installed"));
    legacy.host.sh("rm -r /usr/local/lib/kboot");
    for script in [KBOOT, KUBELET] {
        status_and_words((run(script, &["start"]), 5, "no links to kboot in PATH"));
    }
}

#[test]
fn a_fixed_subnet_needs_no_flanneld() {
    let Some(legacy) = Legacy::new(73) else { return };
    legacy.host.sh("rm /etc/init.d/flanneld");
    legacy.defaults("KBOOT_ROLE=node\nKBOOT_SUBNET=10.73.48.1/24\nKBOOT_MTU=1450\nKBOOT_TIMEOUT=5s\n");
    status_and_words((legacy.run("dash", KBOOT, &["start"]), 0, "kboot: node: as it should be"));
    status_and_words((legacy.run("dash", KBOOT, &["status"]), 0, "kboot: node: as it should be"));
    assert!(legacy.host.sh("ip -br addr show cbr0").contains("10.73.48.1/24"));
    assert!(legacy.host.sh("ip link show cbr0").contains("mtu 1450"));
}

/// Each says on the console what it finds when its turn comes.
const STAND_INS: [(&str, &str, &str); 3] = [
    (
        "flanneld",
        "$remote_fs",
        "mkdir -p /run/flannel; printf 'FLANNEL_SUBNET=10.70.48.1/24\\nFLANNEL_MTU=1472\\nFLANNEL_IPMASQ=false\\n' >/run/flannel/subnet.env",
    ),
    // The header of Debian's own.
    (
        "docker",
        "$syslog $remote_fs",
        "ip -o -4 addr show cbr0; . /etc/default/docker; echo \"@@docker $DOCKER_OPTS\"",
    ),
    ("sshd", "$remote_fs", "echo @@sshd"),
];

fn with_sysvinit() -> Option<Debian> {
    let tar = need("sysvinit.tar", "sysvinit")?;
    let debian = Debian::new()?;
    let (to, tar) = (debian.path("/"), tar.to_str().unwrap().to_owned());
    tool("tar", &["-C", to.to_str().unwrap(), "--keep-directory-symlink", "--numeric-owner", "-xf", &tar]);
    for script in [KBOOT, KUBELET] {
        let name = Path::new(script).file_name().unwrap().to_str().unwrap();
        let to = format!("/usr/share/kboot/sysvinit/{name}");
        debian.write(&to, 0o755, std::fs::read(root().join(script)).unwrap());
    }
    for (name, needs, lines) in STAND_INS {
        let header = format!(
            "### BEGIN INIT INFO\n# Provides: {name}\n# Required-Start: {needs}\n# Required-Stop: {needs}\n\
             # Default-Start: 2 3 4 5\n# Default-Stop: 0 1 6\n# Short-Description: stand-in\n### END INIT INFO\n"
        );
        let script = format!("#!/bin/sh\n{header}[ \"$1\" = start ] || exit 0\n{lines}\n");
        debian.write(&format!("/etc/init.d/{name}"), 0o755, script);
    }
    debian.write("/usr/local/bin/kboot", 0o755, std::fs::read(binary()).unwrap());
    let kubelet = "#!/bin/sh\n[ \"$1\" = --version ] && echo Kubernetes v1.1.8 && exit\necho \"@@kubelet $*\"\nexec sleep 1000\n";
    debian.write("/usr/local/bin/kubelet", 0o755, kubelet);
    debian.write(
        "/etc/default/kboot",
        0o644,
        "KBOOT_ROLE=node\nKBOOT_SERVER=http://127.0.0.1:8080\nKBOOT_NO_MASQUERADE=1\nKBOOT_FIREWALL=none\n\
         KBOOT_IGNORE=all\nKBOOT_REGISTER_TIMEOUT=0\n",
    );
    debian.write(
        "/etc/inittab",
        0o644,
        "id:2:initdefault:\nsi::sysinit:/etc/init.d/rcS\nl2:2:wait:/etc/init.d/rc 2\ntl:2:wait:/usr/local/sbin/tell\n",
    );
    debian.write(
        "/usr/local/sbin/tell",
        0o755,
        "#!/bin/sh\nexec >/dev/console 2>&1\necho @@told; cat /proc/1/comm; /etc/init.d/kboot status; /etc/init.d/kboot-kubelet status\n\
         until grep @@kubelet /var/log/kboot-kubelet.log; do sleep 0.1; done\n/etc/init.d/kboot-kubelet stop; /etc/init.d/kboot-kubelet status; ip -o -4 addr show cbr0\n\
         echo @@end; halt -f -p\n",
    );
    Some(debian)
}

/// The number that insserv gave it in that runlevel.
fn turn(debian: &Debian, runlevel: &str, kind: char, name: &str) -> Option<u32> {
    let entries = std::fs::read_dir(debian.path(&format!("/etc/rc{runlevel}.d"))).unwrap();
    let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut turns = names.filter_map(|e| e.strip_prefix(kind)?.strip_suffix(name)?.parse().ok());
    turns.next()
}

#[test]
fn insserv_puts_them_around_docker_and_sysvinit_boots_them_so() {
    let Some(debian) = with_sysvinit() else { return };
    let names = "kboot kboot-kubelet docker flanneld sshd";
    // As a host's packages do; insserv is what Debian's update-rc.d calls.
    let done = debian.sh(&format!(
        "/usr/local/bin/kboot --install -s /usr/local/bin && rm -f /etc/init.d/hwclock.sh /etc/init.d/kmod && \
         cd /etc/init.d && insserv $(ls | grep -vx -e README -e rc -e rcS -e docker -e flanneld -e sshd) && \
         cp /usr/share/kboot/sysvinit/* /etc/init.d/ && \
         for name in {names}; do update-rc.d $name defaults || exit; done"
    ));
    assert!(done.code == 0 && !format!("{}{}", done.stdout, done.stderr).contains("kboot"), "{done:?}");
    let start = |name: &str| turn(&debian, "2", 'S', name).unwrap_or_else(|| panic!("{name}: {done:?}"));
    assert!(start("flanneld") < start("kboot") && start("kboot") < start("docker"));
    assert!(start("docker") < start("kboot-kubelet"));
    let stop = |name: &str| turn(&debian, "0", 'K', name);
    assert_eq!(stop("kboot"), None, "the bridge stays");
    assert!(stop("kboot-kubelet").unwrap() < stop("docker").unwrap());

    let console = boot(&debian);
    let marks = [
        "kboot bridge: cbr0 10.70.48.1/24 up (",
        "@@docker --bridge=cbr0 --iptables=false",
        "@@told",
        "@@end",
    ];
    let places = marks.map(|m| console.find(m).unwrap_or_else(|| panic!("{m}:\n{console}")));
    assert!(places.is_sorted(), "{places:?}\n{console}");
    let (boot, told) = console.split_once("@@told").unwrap();
    assert!(
        boot.contains("kboot-kubelet: register failed (exit 75); again: service kboot-kubelet start"),
        "{boot}"
    );
    for line in [
        "init\n",
        "kboot: node: as it should be",
        "kboot-kubelet: runs (pid ",
        "@@kubelet ",
        "kboot-kubelet: does not run",
    ] {
        assert!(told.contains(line), "{line}:\n{told}");
    }
    assert!(
        told.rsplit_once("does not run").unwrap().1.contains("10.70.48.1/24"),
        "the bridge stays: {told}"
    );
}

/// Through an initramfs of kboot's own, which becomes that root's /sbin/init.
fn boot(debian: &Debian) -> String {
    let image = debian.path("/boot/kboot.img");
    let mut command = Command::new(binary());
    command.args(["mkinitramfs", "--kernel", &debian.release, "--output", image.to_str().unwrap()]);
    command.arg("--modules-dir").arg(debian.machine.join("lib/modules").join(&debian.release));
    for module in ["virtio_pci", "virtio_blk", "ext4", "bridge", "br_netfilter"] {
        command.args(["--module", module]);
    }
    finish(&mut command).ok();
    let drive = format!("file={},if=virtio,format=raw,snapshot=on", debian.disk());
    let append = "console=ttyS0 quiet panic=-1 root=/dev/vda rw";
    let more = ["-m", "512", "-drive", &drive];
    emulate(&debian.machine, Duration::from_mins(3), image.to_str().unwrap(), append, &more)
}

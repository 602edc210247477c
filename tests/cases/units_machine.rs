//! The units where they belong: under a Debian's systemd, in an emulated machine, against a real etcd and a real
//! API server on the host's side of its network. flanneld, docker, containerd and the kubelet are stand-ins.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::api::{Api, shared};
use crate::support::debian::{Debian, UP, emulate};
use crate::support::etcd::Etcd;
use crate::support::{Scratch, binary, finish, root};

/// What QEMU's user network calls the host.
const HOST: &str = "10.0.2.2";
const NODE: &str = "units-60";

/// In the order in which they have to become active.
const STEPS: [&str; 8] = [
    "kboot-etcd-config.service",
    "flanneld.service",
    "kboot-flannel-env.service",
    "kboot-bridge.service",
    "kboot-docker-flags.service",
    "docker.service",
    "kboot-kubelet-launch.service",
    "kboot-register.service",
];

/// A stand-in for flanneld 0.26 and later: ends without br_netfilter; waits for its config (here: until the scene
/// allows it), writes its lease, and is ready.
const FLANNELD: &str = "#!/bin/sh
[ -d /proc/sys/net/bridge ] || exit 1
until kboot etcd-config --show --endpoints \"$1\" --timeout 5s >/dev/null && [ -e /run/go ]; do sleep 0.2; done
mkdir -p /run/flannel
printf 'FLANNEL_NETWORK=10.77.0.0/16\\nFLANNEL_SUBNET=10.77.60.1/24\\nFLANNEL_MTU=1450\\nFLANNEL_IPMASQ=false\\n' \
    >/run/flannel/new && mv /run/flannel/new /run/flannel/subnet.env
systemd-notify --ready
exec sleep infinity
";

/// A stand-in for dockerd: notes what it found when it started.
const DOCKERD: &str = "#!/bin/sh
[ \"$1\" != --version ] || { echo 'Docker version 20.10.24, build 297e128'; exit; }
{ echo \"start: $(ip -br -4 addr show cbr0 2>&1 | tr -s ' ')\"; tr -d ' \\n' </etc/docker/daemon.json; echo; } >>/run/docker.log
systemd-notify --ready
exec sleep infinity
";

/// A stand-in for the kubelet.
const KUBELET: &str = "#!/bin/sh
[ \"$1\" != --version ] || { echo 'Kubernetes v1.28.4'; exit; }
systemd-notify --ready
exec sleep infinity
";

fn service(after: &str, exec: &str) -> String {
    format!(
        "[Unit]\nAfter={after}\n[Service]\nType=notify\nNotifyAccess=all\nExecStart={exec}\nRestart=on-failure\n\
         RestartSec=1\nTimeoutStartSec=0\n[Install]\nWantedBy=multi-user.target\n"
    )
}

/// On the first boot the bridge's step waits for longer than TimeoutStartSec, which it extends, is killed, and the
/// lease comes before it is tried again: what needs the bridge fails, and docker does not start.
const KILLS: &str = "#!/bin/sh
[ -e /etc/first ] || { touch /run/go; exit; }
until systemctl show -p StatusText kboot-bridge | grep -q waiting; do sleep 0.2; done
start=$(systemctl show -p ExecMainStartTimestampMonotonic --value kboot-bridge)
until [ $(cut -d. -f1 /proc/uptime) -gt $((start / 1000000 + 20)) ]; do sleep 0.5; done
systemctl kill -s KILL kboot-bridge
touch /run/go
until journalctl -b -o cat | grep -q 'Dependency failed for docker'; do sleep 0.2; done
echo \"killed; docker is $(systemctl is-active docker)\" >>/run/docker.log
";

/// What the console gets to see.
const TELL: &str = "
all='kboot-etcd-config flanneld kboot-flannel-env kboot-bridge kboot-docker-flags kboot-cni-config docker kboot-register kboot-kubelet-launch'
n=0
until systemctl is-active -q $all && ! systemctl is-active $all | grep -qv '^active'; do
    n=$((n + 1)); [ $n -lt 240 ] || break; sleep 0.5
done
echo '@@docker'; cat /run/docker.log
echo '@@units'
for unit in $all; do systemctl show -p Id,ActiveState,StatusText,NRestarts,ActiveEnterTimestampMonotonic $unit | tr '\\n' '|'; echo; done
rules() { nft list table ip kboot 2>&1 | grep -c masquerade; }
pid=$(systemctl show -p MainPID docker)
echo \"@@rules $(rules)\"
for verb in restart reload stop start; do
    systemctl $verb nftables
    n=0
    [ $verb = stop ] || until [ \"$(rules)\" = 1 ]; do n=$((n + 1)); [ $n -lt 100 ] || break; sleep 0.2; done
    echo \"@@$verb $(rules)\"
done
[ \"$pid\" = \"$(systemctl show -p MainPID docker)\" ] && echo '@@docker was left alone'
settle() { n=0; until [ \"$(systemctl list-jobs --no-legend | grep -vc tell)\" = 0 ]; do n=$((n + 1)); [ $n -lt 100 ] || break; sleep 0.2; done; }
systemctl restart kboot-docker-flags; settle
[ \"$pid\" = \"$(systemctl show -p MainPID docker)\" ] && echo '@@docker has its settings'
rm /etc/docker/daemon.json; systemctl restart kboot-docker-flags; settle
echo \"@@docker starts $(grep -c ^start: /run/docker.log)\"
xtables() {
    ln -sf xtables-$1-multi /usr/sbin/iptables; ln -sf xtables-$1-multi /usr/sbin/iptables-save
    echo KBOOT_FIREWALL=$2 >>/etc/default/kboot; systemctl reload kboot-bridge
    echo \"@@xtables $1 $(iptables -t nat -S KBOOT-cbr0 2>&1 | grep -c MASQUERADE) $(rules)\"
}
xtables legacy iptables; xtables legacy nft; xtables nft iptables; xtables nft nft
echo '@@address'; ip -j addr show cbr0
echo '@@failed'; systemctl --failed --plain --no-legend
echo '@@cycles'; journalctl -b -o cat | grep -i 'ordering cycle'
echo '@@journal'; journalctl -b -o short-monotonic --no-hostname | grep -v kernel: | tail -n 400
rm -f /etc/first; sync
echo '@@end'";

/// A Debian with kboot's units enabled, as `kboot units` writes them.
fn set_up(debian: &Debian, etcd: &Etcd, api: &Api) {
    let endpoint = etcd.url.replace("127.0.0.1", HOST);
    debian.write("/usr/sbin/kboot", 0o755, fs::read(binary()).unwrap());
    debian.write("/etc/kubernetes/boot.conf", 0o600, api.kubeconfig_at(HOST));
    debian.write(
        "/etc/default/kboot",
        0o644,
        format!(
            "KBOOT_ENDPOINTS={endpoint}\nKBOOT_NETWORK=10.77.0.0/16\nKBOOT_BACKEND=vxlan\nKBOOT_NAME={NODE}\n\
             KBOOT_KUBECONFIG=/etc/kubernetes/boot.conf\nKBOOT_IGNORE=all\nKBOOT_TIMEOUT=2m\n"
        ),
    );
    debian.write("/etc/first", 0o644, "");
    for (name, program) in
        [("dockerd", DOCKERD), ("flanneld", FLANNELD), ("kubelet", KUBELET), ("kills", KILLS)]
    {
        debian.write(&format!("/usr/bin/{name}"), 0o755, program);
    }
    // Its socket is all that is looked at.
    debian.write("/usr/bin/containerd", 0o755, "");
    let socket = "/usr/bin/systemd-socket-activate -l /run/containerd/containerd.sock -a --inetd /bin/cat";
    for (name, text) in [
        ("flanneld", service("network-online.target", &format!("/usr/bin/flanneld {endpoint}"))),
        ("docker", service("containerd.service", "/usr/bin/dockerd")),
        ("containerd", service("network.target", socket).replace("Type=notify", "Type=simple")),
        ("kills", service("basic.target", "/usr/bin/kills").replace("Type=notify", "Type=simple")),
        ("kboot-bridge.service.d/slow", "[Service]\nTimeoutStartSec=15\nRestartSec=30\n".to_owned()),
    ] {
        debian.write(
            &format!("/etc/systemd/system/{name}{}", if name.contains('/') { ".conf" } else { ".service" }),
            0o644,
            text,
        );
    }
    debian.tells(TELL);
    let done = debian.sh(
        "kboot units --role both --output /etc/systemd/system &&
         systemctl enable kboot-node.target kboot-control-plane.target nftables flanneld docker containerd kills",
    );
    done.ok();
    modules(debian);
    xtables(debian);
}

/// This host's iptables, legacy and nft, under no name yet.
fn xtables(debian: &Debian) {
    let copy = "for file in /usr/sbin/xtables-*-multi $(ldd /usr/sbin/xtables-*-multi | sed -n 's/.*=> \\([^ ]*\\).*/\\1/p' | sort -u); do
        [ -e \"$1$file\" ] || cp \"$file\" \"$1$file\"
    done; cp -r /usr/lib/*/xtables \"$1/usr/lib/$(basename $(dirname /usr/lib/*/xtables))\"";
    finish(Command::new("sh").args(["-ec", copy, "sh"]).arg(debian.path("").as_os_str())).ok();
}

/// The kernel's modules for networks, with the lists.
fn modules(debian: &Debian) {
    let from = debian.machine.join("lib/modules").join(&debian.release);
    let to = debian.path("/usr/lib/modules").join(&debian.release);
    let copy = "cp -r \"$1\"/modules.* \"$2\" && mkdir -p \"$2/kernel\" &&
        cp -r \"$1/kernel/net\" \"$1/kernel/lib\" \"$1/kernel/crypto\" \"$1/kernel/arch\" \"$2/kernel\"";
    finish(Command::new("sh").args(["-ec", copy, "sh"]).args([from, to])).ok();
}

/// kboot's own, for drivers, network and root.
fn initramfs(debian: &Debian, scratch: &Scratch) -> String {
    let image = scratch.path("image");
    let mut build = Command::new(root().join("initramfs/build"));
    build.env("KBOOT_BIN", binary()).args(["--compress", "none", "--output", &image, "--modules-dir"]);
    build.arg(debian.machine.join("lib/modules").join(&debian.release));
    for module in ["virtio_net", "virtio_blk", "ext4"] {
        build.args(["--module", module]);
    }
    finish(&mut build).ok();
    image
}

/// The lines between a mark and the next.
fn part<'c>(console: &'c str, mark: &str) -> &'c str {
    let rest =
        console.split_once(&format!("@@{mark}\n")).unwrap_or_else(|| panic!("no {mark}:\n{console}")).1;
    rest.split("@@").next().unwrap()
}

fn check(console: &str) {
    // Whether systemd has them in the order, each after the one before.
    let units = part(console, "units");
    let field = |unit: &str, name: &str| {
        let line =
            units.lines().find(|l| l.contains(&format!("Id={unit}|"))).unwrap_or_else(|| panic!("{console}"));
        line.split('|').find_map(|f| f.strip_prefix(&format!("{name}="))).unwrap().to_owned()
    };
    for unit in STEPS {
        assert_eq!(field(unit, "ActiveState"), "active", "{unit}: {console}");
    }
    let since = |unit: &str| field(unit, "ActiveEnterTimestampMonotonic").parse::<u64>().unwrap();
    for (first, then) in [
        ("kboot-etcd-config.service", "flanneld.service"),
        ("flanneld.service", "kboot-flannel-env.service"),
        ("kboot-bridge.service", "docker.service"),
        ("kboot-docker-flags.service", "docker.service"),
        ("kboot-kubelet-launch.service", "kboot-register.service"),
    ] {
        assert!(since(first) <= since(then), "{first} before {then}: {console}");
    }
    // br_netfilter was there before it.
    assert_eq!(field("flanneld.service", "NRestarts"), "0", "{console}");
    assert!(field("kboot-bridge.service", "StatusText").starts_with("cbr0 10.77.60.1/24 up ("), "{console}");
    assert_eq!(field("kboot-flannel-env.service", "StatusText"), "lease 10.77.60.1/24");
    // docker started once, on the bridge and with the settings for it.
    let docker = part(console, "docker");
    let starts: Vec<&str> = docker.lines().filter(|l| l.starts_with("start:")).collect();
    assert_eq!(starts, ["start: cbr0 DOWN 10.77.60.1/24 "], "{console}");
    assert!(docker.contains("\"bridge\":\"cbr0\""), "{console}");
    for told in [
        "rules 1",
        "restart 1",
        "reload 1",
        "stop 0",
        "start 1",
        "docker was left alone",
        "docker has its settings",
        "docker starts 2",
        "xtables legacy 1 0",
        "xtables legacy 0 1",
        "xtables nft 1 0",
        "xtables nft 0 1",
    ] {
        assert!(console.contains(&format!("@@{told}\n")), "{told}: {console}");
    }
    let shown: Value = serde_json::from_str(part(console, "address").trim()).unwrap();
    assert_eq!(shown[0]["addr_info"][0]["local"], "10.77.60.1");
    assert_eq!((part(console, "failed"), part(console, "cycles")), ("", ""), "{console}");
    assert!(!console.contains("operation timed out"), "{console}");
}

#[test]
fn each_step_comes_in_its_turn_whatever_is_killed_and_again_after_a_reboot() {
    let (Some(api), Some(etcd), Some(debian)) = (shared(), Etcd::start(&[]), Debian::new()) else { return };
    set_up(&debian, &etcd, api);
    let scratch = Scratch::new();
    let image = initramfs(&debian, &scratch);
    let drive = format!("file={},if=virtio,format=raw,cache=unsafe", debian.disk());
    let boot = || {
        let parameters = "console=ttyS0 quiet panic=-1 ip=dhcp root=/dev/vda rw";
        let more =
            ["-nic", "user,model=virtio-net-pci", "-cpu", "qemu64,+rdrand", "-m", "512", "-drive", &drive];
        let console = emulate(&debian.machine, Duration::from_mins(4), &image, parameters, &more);
        if let Some(keep) = std::env::var_os("KBOOT_KEEP_CONSOLE") {
            fs::write(keep, &console).unwrap();
        }
        let (_, after) = console.split_once(UP).unwrap_or_else(|| panic!("no multi-user.target:\n{console}"));
        after.to_owned()
    };
    let first = boot();
    check(&first);
    assert!(part(&first, "docker").contains("killed; docker is inactive\n"), "{first}");
    for step in ["kboot-bridge", "kboot-docker-flags"] {
        let line =
            part(&first, "units").lines().find(|l| l.contains(&format!("Id={step}.service|"))).unwrap();
        assert!(!line.contains("NRestarts=0|"), "{step}: {first}");
    }
    let node = api.node(NODE).unwrap();
    assert_eq!(node["spec"]["podCIDR"], "10.77.60.0/24");
    let second = boot();
    check(&second);
    assert_eq!(api.node(NODE).unwrap()["metadata"]["uid"], node["metadata"]["uid"]);
    api.kubectl(&["delete", "node", NODE]).ok();
}

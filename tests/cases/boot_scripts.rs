//! scripts/boot/{master,minion}, by dash and by busybox's sh, on a host with the real etcd, dockerd and API server.

use crate::support::Done;
use crate::support::legacy::Legacy;

/// Who spoke on stderr, in order, each once.
fn order(done: &Done) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for name in done.stderr.lines().filter_map(|l| l.split("kboot ").nth(1)?.split_once(": ")).map(|(n, _)| n)
    {
        if names.last() != Some(&name) {
            names.push(name);
        }
    }
    names
}

fn boots(net: u8, shell: &str, role: &str) {
    let Some(legacy) = Legacy::new(net) else { return };
    let script = format!("scripts/boot/{role}");
    let master = role == "master";
    if !master {
        // Its master's API server is elsewhere, and there already.
        legacy.host.sh("service kube-apiserver start; rm /run/calls");
    }
    let first = legacy.run(shell, &script, &[]);
    assert_eq!(first.code, 0, "{first:?}");
    let applets = ["etcd-config", "flannel-env", "bridge", "docker-flags", "kubelet-launch", "register"];
    assert_eq!(order(&first), applets[usize::from(!master)..], "{first:?}");
    let calls = ["flanneld status", "flanneld start", "kube-apiserver status", "kube-apiserver start"];
    let calls = &calls[..if master { 4 } else { 2 }];
    assert_eq!(legacy.host.sh("cat /run/calls").lines().collect::<Vec<_>>(), calls);
    legacy.is_a_node(master);

    let before = legacy.daemons();
    assert!(
        before.lines().skip(usize::from(!master)).all(|l| l.contains(' ') && !l.ends_with(' ')),
        "{before}"
    );
    let second = legacy.run(shell, &script, &[]);
    assert_eq!(second.code, 0, "{second:?}");
    let changes = second.stderr.matches("(0 changed, ").count();
    assert_eq!(changes, if master { 4 } else { 3 }, "{second:?}");
    assert_eq!(second.stderr.matches(" changed, ").count(), changes, "{second:?}");
    assert_eq!(legacy.daemons(), before);
}

#[test]
fn a_master_by_dash() {
    boots(61, "dash", "master");
}

#[test]
fn a_master_by_busybox() {
    boots(62, "busybox sh", "master");
}

#[test]
fn a_minion_by_dash() {
    boots(63, "dash", "minion");
}

#[test]
fn a_minion_by_busybox() {
    boots(64, "busybox sh", "minion");
}

/// Its line and its exit status are the script's; nothing behind it is done.
#[test]
fn a_step_that_fails_ends_the_boot() {
    let Some(legacy) = Legacy::new(65) else { return };
    legacy.defaults("KBOOT_BRIDGE_MTU=12\n");
    let done = legacy.run("dash", "scripts/boot/master", &[]);
    assert_eq!(done.code, 2, "{done:?}");
    let last = done.stderr.lines().last().unwrap();
    assert!(
        last.starts_with("kboot bridge: KBOOT_BRIDGE_MTU: ") || last.contains("KBOOT_BRIDGE_MTU"),
        "{last}"
    );
    assert_eq!(legacy.daemons().lines().filter(|l| l.contains(' ')).count(), 1, "{}", legacy.daemons());
    // What a service says counts as well.
    legacy.host.sh("printf '#!/bin/sh\\necho no >&2\\nexit 9\\n' >/etc/init.d/flanneld");
    let done = legacy.run("dash", "scripts/boot/minion", &[]);
    let last = "minion: service flanneld start: exit 9: flanneld has to be a service of this host, or in \
                /etc/default/kboot say KBOOT_SUBNET=, a fixed subnet\n";
    assert!(done.code == 9 && done.stderr.ends_with(&format!("no\n{last}")), "{done:?}");
    // One that asks for help does not want the boot.
    for script in ["master", "minion"] {
        let done = legacy.run("dash", &format!("scripts/boot/{script}"), &["--help"]);
        let usage = format!(
            "Usage: {script}: it takes no arguments and boots this host; its options are in /etc/default/kboot"
        );
        assert_eq!(done.error(), (2, usage.as_str()));
    }
}

#[test]
fn a_fixed_subnet_needs_no_flanneld() {
    let Some(legacy) = Legacy::new(74) else { return };
    legacy.host.sh("service kube-apiserver start; rm /etc/init.d/flanneld");
    let done = legacy.run("dash", "scripts/boot/minion", &[]);
    let lines: Vec<&str> = done.stderr.lines().collect();
    assert_ne!(done.code, 0, "{done:?}");
    assert!(lines[0].contains("flanneld") && lines[1].contains("KBOOT_SUBNET=, a fixed subnet"), "{done:?}");
    legacy.defaults("KBOOT_SUBNET=10.74.48.1/24\nKBOOT_MTU=1450\n");
    let done = legacy.run("dash", "scripts/boot/minion", &[]);
    assert_eq!(done.code, 0, "{done:?}");
    legacy.is_a_node(false);
}

/// docker came up by itself, as it does on Ubuntu 14.04 without the override.
#[test]
fn dockers_own_bridge_gives_way() {
    let Some(legacy) = Legacy::new(66) else { return };
    legacy.host.sh("service docker start; service kube-apiserver start");
    assert_eq!(legacy.docker_bridge(), "docker0");
    let done = legacy.run("dash", "scripts/boot/minion", &[]);
    assert_eq!(done.code, 0, "{done:?}");
    legacy.is_a_node(false);
    let stopped = done.stderr.find("kboot bridge: ip link del docker0").unwrap();
    assert!(stopped < done.stderr.find("kboot docker-flags: edit").unwrap(), "{done:?}");
    let before = legacy.daemons();
    assert_eq!(legacy.run("dash", "scripts/boot/minion", &[]).code, 0);
    assert_eq!(legacy.daemons(), before, "docker is not stopped again");
}

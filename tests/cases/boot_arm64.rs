//! The same boot on arm64: the binary that scripts/build makes for it, Debian's kernel for it, and a real etcd
//! and API server on the host's side. busybox and nft, which read the result, are Debian's for arm64.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::boot::{Cluster, alone};
use crate::support::machine::{Kind, Machine};
use crate::support::{arm64_binary, binary, finish, root};

const ARM64: Kind = Kind {
    peer: "arm64",
    directory: "machine-arm64",
    qemu: &["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57"],
    parameters: "console=ttyAMA0",
};

/// Prints what was made, and turns the machine off by init's own way.
const READER: &str = "exec >/dev/console 2>&1; export PATH=/bin; uname -m; ip addr show cbr0; nft -j list ruleset; kboot timeline; \
    cat /sys/class/net/eth0/device/uevent; kill -TERM 1; sleep 99";

#[test]
fn an_arm64_machine_boots_to_a_registered_node() {
    let _machine = alone();
    let (Some(cluster), Some(modules)) = (Cluster::new("qemu-arm64"), ARM64.modules()) else { return };
    let (list, files) = cluster.list("10.77.64.1/24");
    let list = format!(
        "{list}bridge --check --env-file /etc/kboot/subnet.env --allow-stale --out-interface eth0 --firewall nft\n"
    );
    let list = format!("{list}respawn /bin/busybox sh -c '{READER}'\n");
    let (image, list) = (cluster.scratch.path("image"), cluster.scratch.file("boot", list));
    // By this machine's kboot, for another.
    let mut build = Command::new(root().join("initramfs/build"));
    build.env("KBOOT_BIN", binary()).args(["--compress", "none", "--output", &image, "--boot", &list]);
    build.arg("--kboot").arg(arm64_binary()).arg("--modules-dir").arg(&modules);
    let modules = ["virtio_net", "br_netfilter", "nft_chain_nat", "nft_masq"];
    build.args(modules.iter().flat_map(|m| ["--module", m]));
    finish(build.args(files.iter().chain(&readers()).flat_map(|f| ["--file", f]))).ok();

    let Some(mut machine) = Machine::of_kind(ARM64, &image) else { return };
    machine.parameters = "quiet panic=-1 norandmaps ip=dhcp kboot.register.label=scene=arm64".to_owned();
    machine.devices = ["-nic", "user,model=virtio-net-pci"].map(str::to_owned).into();
    let console = machine.start().end();
    let node = cluster.node();
    assert_eq!(node["spec"]["podCIDR"], "10.77.64.0/24", "{console}");
    assert_eq!(node["metadata"]["labels"]["scene"], "arm64");
    assert_eq!(node["metadata"]["labels"]["kubernetes.io/arch"], "arm64");
    let config = cluster.etcd.get3("/coreos.com/network/config");
    assert!(config.is_some_and(|c| c.contains("10.77.0.0/16")), "{console}");
    for line in ["aarch64", "DRIVER=virtio_net", "    inet 10.77.64.1/24 brd 10.77.255.255 scope global cbr0"]
    {
        let line = line.replace("10.77.255", "10.77.64");
        assert!(console.lines().any(|l| l == line), "{line}:\n{console}");
    }
    let rules =
        console.lines().find(|l| l.starts_with("{\"nftables\"")).unwrap_or_else(|| panic!("{console}"));
    let rules: Value = serde_json::from_str(rules).unwrap();
    let rules = rules.to_string();
    assert!(rules.contains("masquerade") && rules.contains("10.77.64.0"), "{rules}");
    let drawn = |name: &str| console.lines().any(|l| l.starts_with(name) && l.contains('█'));
    assert!(["init ", "ipconfig ", "bridge ", "register "].into_iter().all(drawn), "{console}");
    for step in [
        "kboot: modules virtio_net br_netfilter nft_chain_nat nft_masq loaded (",
        "kboot: ipconfig eth0 10.0.2.15/24 via 10.0.2.2 (dhcp",
        "kboot: bridge cbr0 10.77.64.1/24 up (",
        "kboot: bridge cbr0 10.77.64.1/24 as wanted (",
        "kboot: register ",
    ] {
        assert_eq!(console.lines().filter(|l| l.starts_with(step)).count(), 1, "{step}:\n{console}");
    }
    assert!(console.contains("Power down"), "{console}");
}

/// As `--file` takes them.
fn readers() -> Vec<String> {
    let peer = root().join("target/peers/machine-arm64");
    let mut files: Vec<String> = fs::read_dir(peer.join("libraries"))
        .unwrap()
        .map(|f| f.unwrap().path())
        .map(|f| format!("{}:/lib/{}:0755", f.display(), f.file_name().unwrap().to_str().unwrap()))
        .collect();
    files.extend(["busybox", "nft"].map(|p| format!("{}:/bin/{p}:0755", peer.join(p).display())));
    files
}

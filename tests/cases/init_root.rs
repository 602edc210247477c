//! `init` switches the root, or refuses to: in a virtual machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::machine::{Machine, packed};
use crate::support::{Scratch, need, tool};

/// virtio's bus and disks; the order is no matter.
const DISK: [&str; 6] = [
    "kernel/drivers/virtio/virtio_ring.ko",
    "kernel/drivers/virtio/virtio.ko",
    "kernel/drivers/virtio/virtio_pci_modern_dev.ko",
    "kernel/drivers/virtio/virtio_pci_legacy_dev.ko",
    "kernel/drivers/virtio/virtio_pci.ko",
    "kernel/drivers/block/virtio_blk.ko",
];

/// The root's own init, which looks around.
const INIT: &str = "#!/bin/busybox sh
busybox echo words \"$@\"
busybox echo pid $$ notify ${NOTIFY_SOCKET-none}
busybox cat /run/kept
busybox mount
busybox ls -l /proc/1/fd/0 /proc/1/fd/2
busybox df / | busybox tail -n 1
busybox poweroff -f
";

/// A disk with that file system on it, whose root holds busybox and `init`.
fn disk(scratch: &Scratch, init: &str) -> String {
    let root = scratch.0.join("root");
    for directory in ["bin", "sbin", "proc", "sys", "dev", "run"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::copy(need("busybox", "tools").unwrap(), root.join("bin/busybox")).unwrap();
    fs::write(root.join("sbin/real"), INIT).unwrap();
    fs::set_permissions(root.join("sbin/real"), fs::Permissions::from_mode(0o755)).unwrap();
    if !init.is_empty() {
        std::os::unix::fs::symlink("/sbin/real", root.join(init)).unwrap();
    }
    let disk = scratch.path("disk");
    tool("mkfs.ext4", &["-q", "-d", root.to_str().unwrap(), &disk, "16M"]);
    disk
}

fn machine(disk: &str, parameters: &str) -> Option<Machine> {
    need("mkfs.ext4", "tools")?;
    let mut machine = Machine::with_init()?;
    machine.modules(&DISK, ".xz", |bytes| packed("xz --check=crc32", bytes));
    machine.executable("bin/busybox", &need("busybox", "tools").unwrap());
    machine.file("etc/kboot/boot", "/bin/busybox cp /etc/kboot/boot /run/kept\n");
    machine.parameters = format!("quiet panic=-1 {parameters}");
    machine.devices.extend(["-drive".into(), format!("file={disk},if=virtio,format=raw")]);
    Some(machine)
}

#[test]
fn the_root_is_switched_and_run_stays() {
    let scratch = Scratch::new();
    if need("mkfs.ext4", "tools").is_none() {
        return;
    }
    let disk = disk(&scratch, "sbin/init");
    let Some(machine) = machine(&disk, "root=/dev/vda ro single -- --a b") else { return };
    let console = machine.start().end();
    for line in [
        "kboot: switch_root /newroot /sbin/init",
        "words single --a b",
        "pid 1 notify none",
        "/bin/busybox cp /etc/kboot/boot /run/kept",
    ] {
        assert_eq!(console.lines().filter(|l| *l == line).count(), 1, "{line}: {console}");
    }
    for mounted in [
        "proc on /proc ",
        "sysfs on /sys ",
        "devtmpfs on /dev ",
        "tmpfs on /run ",
        "/dev/vda on / type ext4 (ro",
    ] {
        assert!(
            console.contains(&format!("\n{mounted}")) || console.contains(mounted),
            "{mounted}: {console}"
        );
    }
    assert_eq!(console.matches("/dev/console\n").count(), 2, "{console}");
    assert!(!console.contains("cgroup"), "left to the root's init: {console}");
}

#[test]
fn what_is_no_root_is_refused_and_said() {
    let scratch = Scratch::new();
    if need("mkfs.ext4", "tools").is_none() {
        return;
    }
    let without_init = disk(&scratch, "");
    let blank = scratch.file("blank", vec![0; 1 << 20]);
    for (disk, parameters, why) in [
        (
            &without_init,
            "root=/dev/vda",
            "switch_root /newroot: the new root has no init: looked for /sbin/init, ",
        ),
        (
            &without_init,
            "root=/dev/vda init=/sbin/own",
            "switch_root /newroot: /sbin/own is no executable file in the new root",
        ),
        (
            &blank,
            "root=/dev/vda",
            "root /dev/vda: its file system is none that is known here: name it by rootfstype=",
        ),
        (&blank, "root=/dev/vdz -- --timeout 2", "root /dev/vdz: no such device within 2s"),
        (&blank, "root=/dev/vda rootfstype=ext4", "root /dev/vda: mount -t ext4: Invalid argument"),
        (
            &blank,
            "root=UUID=7",
            "root=UUID=7: only a path is understood here, such as /dev/vda1: UUID=, LABEL= and their like need udev",
        ),
        (&blank, "kboot.root=/run", "switch_root /run: the new root has no init: looked for "),
        (
            &blank,
            "kboot.root=/etc",
            "switch_root /etc: /etc is no mount point of another file system: mount the new root there",
        ),
    ] {
        let Some(machine) = machine(disk, parameters) else { return };
        let console = machine.start().end();
        let line = format!("kboot: init: {why}");
        assert_eq!(console.matches(&line).count(), 1, "{line}: {console}");
        assert!(console.contains("kboot: stopping, then restarting the machine"), "{console}");
    }
}

#[test]
fn a_service_is_not_for_an_init_that_goes() {
    let scratch = Scratch::new();
    let blank = scratch.file("blank", "");
    let Some(machine) = machine(&blank, "root=/dev/vda kboot.boot=\"respawn /bin/busybox sleep 9\"") else {
        return;
    };
    let console = machine.start().end();
    assert!(
        console.contains("kboot: init: --boot (kboot.boot=) line 1: respawn needs an init that stays: another takes its place"),
        "{console}"
    );
}

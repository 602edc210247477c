//! The hooks for distributions' initramfs builders: built by the real update-initramfs and dracut in a
//! Debian, booted by its kernel, up to multi-user.target of its systemd.

use std::path::PathBuf;

use crate::readme::block;
use crate::support::debian::{Debian, UP};
use crate::support::{binary, finish, kboot, root, tool};

const BOOT: &str = "# once the links are there
bridge --name cbr7 --subnet 10.99.77.1/24 --mtu 1400 --firewall none --no-masquerade
";

/// What is put into the Debian: kboot, what its boot runs, and the hooks, by their own script.
fn debian() -> Option<Debian> {
    let debian = Debian::new()?;
    debian.write("/usr/local/bin/kboot", 0o755, std::fs::read(binary()).unwrap());
    debian.write("/etc/kboot/boot", 0o644, BOOT);
    debian.write("/etc/kboot/modules", 0o644, "br_netfilter # with bridge\nnft-masq\n");
    debian.write(
        "/etc/kboot/files",
        0o644,
        // Without the last line's end.
        "# more\n/etc/secret/token:/etc/kboot/token:0400\n/etc/debian_version",
    );
    debian.write("/etc/secret/token", 0o644, "s3cret\n");
    debian.tells("ip -o addr show cbr7; ls /run/kboot");
    let install = root().join("initramfs/install");
    let done = finish(std::process::Command::new(install).arg(debian.path("/")));
    assert!(
        done.code == 0 && done.stderr.contains("initramfs-tools: ") && done.stderr.contains("dracut: "),
        "{done:?}"
    );
    Some(debian)
}

/// What the image has to have, as `cpio -itv` lists it: modules with what they need, files, modes.
fn has_everything(listing: &str, release: &str) {
    let modules = format!("usr/lib/modules/{release}/kernel");
    for (mode, path) in [
        ("-rwxr-xr-x", "bin/kboot"),
        ("-rw-r--r--", "etc/kboot/boot"),
        ("-rw-r--r--", "etc/kboot/modules"),
        ("-r--------", "etc/kboot/token"),
        ("-rw-r--r--", "etc/debian_version"),
        ("-rw-r--r--", &format!("{modules}/net/bridge/br_netfilter.ko")),
        ("-rw-r--r--", &format!("{modules}/net/llc/llc.ko")),
        ("-rw-r--r--", &format!("{modules}/net/netfilter/nft_masq.ko")),
        ("-rw-r--r--", &format!("{modules}/lib/libcrc32c.ko")),
    ] {
        let is_there = |l: &&str| l.starts_with(mode) && l.ends_with(path);
        assert!(listing.lines().any(|l| is_there(&l)), "{mode} {path}:\n{listing}");
    }
}

fn mode(path: &std::path::Path) -> String {
    tool("stat", &["-c", "%a", path.to_str().unwrap()]).trim().to_owned()
}

/// By the real update-initramfs.
fn update_initramfs(debian: &Debian) -> PathBuf {
    let conf = "MODULES=list\nCOMPRESS=gzip\nCOMPRESSLEVEL=1\n";
    debian.write("/etc/initramfs-tools/conf.d/test", 0o644, conf);
    debian.write("/etc/initramfs-tools/modules", 0o644, "virtio_pci\nvirtio_blk\n");
    let done = debian.sh(&format!("update-initramfs -c -k {}", debian.release));
    assert!(done.code == 0 && !done.stderr.contains("kboot"), "{done:?}");
    debian.path(&format!("/boot/initrd.img-{}", debian.release))
}

#[test]
fn debians_initramfs_tools_boot_through_kboot_into_systemd() {
    let Some(debian) = debian() else { return };
    let image = update_initramfs(&debian);
    assert_eq!(mode(&image), "600");
    let listing = debian.sh(&format!("zcat /boot/initrd.img-{} | cpio -itv", debian.release));
    has_everything(listing.ok(), &debian.release);
    let console = debian.boot(&image, &debian.disk(), "");
    let (before, after) =
        console.split_once(UP).unwrap_or_else(|| panic!("no multi-user.target:\n{console}"));
    for line in ["kboot: modules br_netfilter nft-masq loaded (", "kboot: bridge cbr7 10.99.77.1/24 up ("] {
        assert!(before.contains(line), "{line}:\n{before}");
    }
    assert!(after.contains("10.99.77.1/24") && after.contains("timeline"), "{after}");
}

#[test]
fn a_boot_list_that_fails_is_one_line_and_stops_nothing_unless_it_is_required() {
    let Some(debian) = debian() else { return };
    debian.write(
        "/etc/kboot/boot",
        0o644,
        "KBOOT_MTU=12 bridge --name cbr7 --subnet 10.99.77.1/24 --firewall none\n",
    );
    let (image, disk) = (update_initramfs(&debian), debian.disk());
    // In systemd's place, to have it sooner.
    let console = debian.boot(&image, &disk, "init=/usr/local/sbin/tell");
    let (before, _) = console.split_once(UP).unwrap_or_else(|| panic!("no multi-user.target:\n{console}"));
    assert!(before.contains("kboot: failed (exit 1): the boot goes on without it\n"), "{before}");
    assert!(before.contains("KBOOT_MTU=12: "), "{before}");
    // panic=-1, which every machine here has: initramfs-tools reboots then, and QEMU ends.
    let console = debian.boot(&image, &disk, "kboot.required");
    assert!(!console.contains(UP), "{console}");
    assert!(console.contains("kboot: failed (exit 1), and kboot.required stops the boot\n"), "{console}");
}

#[test]
fn dracut_builds_its_module_in_and_boots_it() {
    let Some(debian) = debian() else { return };
    let dracut = "dracut --no-hostonly --no-hostonly-cmdline --gzip --add kboot \
        --drivers 'virtio_pci virtio_blk'";
    let done = debian.sh(&format!("{dracut} --kver {} --force /boot/dracut.img", debian.release));
    assert!(done.code == 0 && done.stderr.contains("Including module: kboot"), "{done:?}");
    let image = debian.path("/boot/dracut.img");
    assert_eq!(mode(&image), "600");
    let listing = debian.sh("lsinitrd /boot/dracut.img");
    has_everything(listing.ok(), &debian.release);
    assert!(listing.stdout.contains("usr/lib/dracut/hooks/pre-mount/50-kboot.sh"), "{}", listing.stdout);
    let console = debian.boot(&image, &debian.disk(), "");
    let (before, after) =
        console.split_once(UP).unwrap_or_else(|| panic!("no multi-user.target:\n{console}"));
    assert!(before.contains("kboot: bridge cbr7 10.99.77.1/24 up ("), "{before}");
    assert!(after.contains("10.99.77.1/24"), "{after}");
}

/// What an image lacks is found out now, not at boot.
#[test]
fn both_builders_tell_of_what_is_not_there() {
    let Some(debian) = debian() else { return };
    debian.write("/etc/kboot/modules", 0o644, "br_netfilter\next4 # built in\nbr_netfliter\n");
    debian.write("/etc/initramfs-tools/conf.d/test", 0o644, "MODULES=list\nCOMPRESS=gzip\n");
    let kver = &debian.release;
    let update = (format!("update-initramfs -c -k {kver}"), "W", "E", format!("/boot/initrd.img-{kver}"));
    let dracut = "dracut --no-hostonly --no-hostonly-cmdline --gzip --add kboot --quiet --force";
    let dracut =
        (format!("{dracut} --kver {kver} /boot/d.img"), "dracut", "dracut", "/boot/d.img".to_owned());
    for (line, warning, error, image) in [update, dracut] {
        let done = debian.sh(&line);
        let module = format!("{warning}: kboot: kernel {kver} has no module br_netfliter: ");
        assert!(done.code == 0 && done.stderr.contains(&module), "{done:?}");
        assert!(!done.stderr.contains("ext4") && !done.stderr.contains("br_netfilter"), "{done:?}");
        for (files, why) in [
            ("/etc/nothing:/etc/one", "/etc/nothing: no such file (it is named in /etc/kboot/files)"),
            ("/etc/fstab:etc/x\n", "/etc/fstab: the path in the image, etc/x, does not begin with /"),
        ] {
            std::fs::remove_file(debian.path(&image)).unwrap();
            debian.write("/etc/kboot/files", 0o644, files);
            let done = debian.sh(&line);
            assert!(done.code != 0 && done.stderr.contains(&format!("{error}: kboot: {why}")), "{done:?}");
            assert!(!debian.path(&image).exists(), "{files}");
            debian.write(&image, 0o600, "");
        }
        debian.write("/etc/kboot/files", 0o644, "");
        std::fs::remove_file(debian.path(&image)).unwrap();
        debian.write("/etc/kboot/boot", 0o644, "bridge --mtu 1O00\n");
        let done = debian.sh(&line);
        let why = "kboot init: /etc/kboot/boot line 1: bridge: --mtu 1O00: is no MTU: ";
        assert!(done.code != 0 && done.stderr.contains(why) && !debian.path(&image).exists(), "{done:?}");
        debian.write("/etc/kboot/boot", 0o644, BOOT);
    }
}

#[test]
fn a_debian_without_kboot_still_gets_its_initramfs() {
    let Some(debian) = debian() else { return };
    std::fs::remove_file(debian.path("/usr/local/bin/kboot")).unwrap();
    let done = debian.sh(&format!(
        "echo MODULES=list >/etc/initramfs-tools/conf.d/test; update-initramfs -c -k {}",
        debian.release
    ));
    let warning = "W: kboot: there is no such program in PATH: the image goes without it\n";
    assert!(done.code == 0 && done.stderr.contains(warning), "{done:?}");
}

/// A host may have kboot for other reasons: its images are what they were.
#[test]
fn without_a_boot_list_nothing_of_kboots_is_in_the_image_and_it_boots_in_silence() {
    let Some(debian) = debian() else { return };
    std::fs::remove_file(debian.path("/etc/kboot/boot")).unwrap();
    // Such a list could not be heeded either.
    debian.write("/etc/kboot/files", 0o644, "/etc/nothing\n");
    let image = update_initramfs(&debian);
    assert_eq!(mode(&image), "644");
    let listing = debian.sh(&format!("lsinitramfs /boot/initrd.img-{}", debian.release));
    let there: Vec<_> = listing.ok().lines().filter(|l| l.contains("kboot") || l.contains("nft")).collect();
    assert_eq!(there, ["conf/conf.d/kboot", "scripts/init-premount/kboot"]);
    let disk = debian.disk();
    let console = debian.boot(&image, &disk, "init=/usr/local/sbin/tell");
    let (before, _) = console.split_once(UP).unwrap_or_else(|| panic!("not booted:\n{console}"));
    assert!(!before.contains("kboot"), "{before}");
    let console = debian.boot(&image, &disk, "kboot.required");
    let why = "kboot: is not in this image (it was made without /etc/kboot/boot), and kboot.required stops";
    assert!(console.contains(why) && !console.contains(UP), "{console}");
}

/// No builder of a distribution: kboot's own image, whose init switches the root.
#[test]
fn an_image_of_mkinitramfs_boots_into_debian() {
    let Some(debian) = debian() else { return };
    let (boot, modules) =
        (debian.path("/etc/kboot/boot"), debian.machine.join("lib/modules").join(&debian.release));
    let image = debian.path("/boot/kboot.img");
    let mut command = kboot(&[
        "mkinitramfs",
        "--module",
        "br_netfilter",
        "--module",
        "virtio_pci",
        "--module",
        "virtio_blk",
    ]);
    command.arg("--boot").arg(boot).arg("--modules-dir").arg(modules).arg("--output").arg(&image);
    finish(&mut command).ok();
    let console = debian.boot(&image, &debian.disk(), "init=/usr/local/sbin/tell");
    let (before, after) = console.split_once(UP).unwrap_or_else(|| panic!("not booted:\n{console}"));
    assert!(before.contains("kboot: bridge cbr7 10.99.77.1/24 up ("), "{before}");
    assert!(after.contains("10.99.77.1/24"), "{after}");
}

/// In a tree that has what they name, as a clone after scripts/build has.
#[test]
fn readmes_commands_as_written() {
    let Some(debian) = Debian::new() else { return };
    debian.write("/src/target/kboot", 0o755, std::fs::read(binary()).unwrap());
    debian.write("/root/node.kubeconfig", 0o644, "secret\n");
    // update-initramfs -u takes the newest kernel in /boot; it does not read it.
    debian.write(&format!("/boot/vmlinuz-{}", debian.release), 0o644, "");
    for (folder, to) in [("initramfs", "/src"), ("scripts", "/src"), ("target/share", "/src/target")] {
        tool("cp", &["-a", root().join(folder).to_str().unwrap(), debian.path(to).to_str().unwrap()]);
    }
    let run = |line: &str| {
        let done = debian.sh(&format!("set -e; export RELEASE={}; cd /src; {line}", debian.release));
        done.ok().to_owned()
    };
    run(&block("### An initramfs of its own", "sh"));
    let listing = run("xz -dc target/initramfs.img | cpio -it");
    let module = format!("lib/modules/{}/kernel/net/netfilter/nft_masq.ko", debian.release);
    for path in ["init", "etc/kboot/boot", &module] {
        assert!(listing.lines().any(|l| l == path), "{path}:\n{listing}");
    }
    run("echo MODULES=list >/etc/initramfs-tools/conf.d/test; update-initramfs -c -k $RELEASE");
    run(&block("### Beside a distribution", "sh"));
    let listing = run("lsinitramfs -l /boot/initrd.img-$RELEASE");
    for (mode, path) in [
        ("-rw-------", "etc/kboot/kubeconfig"),
        ("-rw-r--r--", "etc/kboot/boot"),
        ("-rwxr-xr-x", "bin/kboot"),
        ("-rw-r--r--", "kernel/net/netfilter/nft_masq.ko"),
    ] {
        let is_there = |l: &str| l.starts_with(mode) && l.ends_with(path);
        assert!(listing.lines().any(is_there), "{mode} {path}:\n{listing}");
    }
}

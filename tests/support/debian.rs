//! A small Debian with systemd, and initramfs-tools and dracut (scripts/peers debian) or cloud-init
//! (scripts/peers cloud): to build an initramfs in, and to boot into.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Done, Scratch, finish_within, need, root, root_user, tool};

/// An initramfs of a distribution takes its time to be built and, emulated, to boot.
const LONGEST: Duration = Duration::from_mins(4);

/// Stands on the console once multi-user.target is reached.
pub const UP: &str = "@@multi-user";

/// A copy of its own.
pub struct Debian {
    scratch: Scratch,
    /// Debian's kernel, which is not installed in it.
    pub machine: PathBuf,
    /// That kernel's version, as uname gives it.
    pub release: String,
}

impl Debian {
    /// `None`, after saying so: a component is missing.
    pub fn new() -> Option<Self> {
        Self::unpack("debian")
    }

    /// The one with cloud-init.
    pub fn cloud() -> Option<Self> {
        Self::unpack("cloud")
    }

    fn unpack(component: &str) -> Option<Self> {
        if !root_user() {
            return None;
        }
        let tar = need(&format!("{component}.tar"), component)?;
        need("qemu-system-x86_64", "machine").and(need("machine/vmlinuz", "machine"))?;
        need("mke2fs", "debian")?;
        let machine = root().join("target/peers/machine");
        let release = fs::read_dir(machine.join("lib/modules")).unwrap().next().unwrap().unwrap();
        let release = release.file_name().into_string().unwrap();
        let debian = Self { scratch: Scratch::new(), machine, release };
        fs::create_dir(debian.path("/")).unwrap();
        let to = debian.path("/");
        tool("tar", &["-C", to.to_str().unwrap(), "--numeric-owner", "-xf", tar.to_str().unwrap()]);
        fs::create_dir_all(debian.path("/usr/lib/modules").join(&debian.release)).unwrap();
        // The kernel's package has the real one; mkinitramfs looks there for the kernel's decompressors.
        let config = format!("/boot/config-{}", debian.release);
        debian.write(&config, 0o644, "CONFIG_RD_GZIP=y\nCONFIG_RD_ZSTD=y\n");
        Some(debian)
    }

    /// Where a file of it is.
    pub fn path(&self, path: &str) -> PathBuf {
        self.scratch.0.join("root").join(path.trim_start_matches('/'))
    }

    /// Writes a file in it, with the directories above it.
    pub fn write(&self, path: &str, mode: u32, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Runs a shell line in it, in mount namespaces of its own, with /proc and the kernel's modules.
    pub fn sh(&self, line: &str) -> Done {
        let modules = self.machine.join("lib/modules").join(&self.release);
        let set_up = "mount --bind \"$1\" \"$0/usr/lib/modules/$2\" && mount -t proc proc \"$0/proc\" &&
            mount --bind /dev \"$0/dev\" && exec chroot \"$0\" sh -c \"$3\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", set_up]).arg(self.path("/"));
        command.arg(modules).args([&self.release, line]);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        finish_within(LONGEST, &mut command)
    }

    /// Has its systemd, once multi-user.target is reached, write `UP` and what these shell lines print to
    /// the console; then the machine goes off.
    pub fn tells(&self, lines: &str) {
        self.write(
            "/usr/local/sbin/tell",
            0o755,
            format!("#!/bin/sh\nexec >/dev/console 2>&1\necho '{UP}'\n{lines}\nsystemctl poweroff -ff\n"),
        );
        let unit =
            "[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\nExecStart=/usr/local/sbin/tell\n";
        self.write("/etc/systemd/system/tell.service", 0o644, unit);
        let wants = self.path("/etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants).unwrap();
        std::os::unix::fs::symlink("/etc/systemd/system/tell.service", wants.join("tell.service")).unwrap();
    }

    /// An ext4 image with all of it, made without mounting anything; its path.
    pub fn disk(&self) -> String {
        let disk = self.scratch.path("disk.img");
        let from = self.path("/");
        tool("mke2fs", &["-q", "-t", "ext4", "-d", from.to_str().unwrap(), &disk, "900M"]);
        disk
    }

    /// Boots it: an initramfs, kernel parameters besides the console's, and the disk as /dev/vda. What the
    /// console had.
    pub fn boot(&self, initrd: &Path, disk: &str, parameters: &str) -> String {
        self.boot_with(initrd, disk, parameters, &[])
    }

    /// The same with more of QEMU's devices.
    pub fn boot_with(&self, initrd: &Path, disk: &str, parameters: &str, devices: &[&str]) -> String {
        let drive = format!("file={disk},if=virtio,format=raw,snapshot=on");
        let append = format!("console=ttyS0 panic=-1 root=/dev/vda rw {parameters}");
        let more = [&["-m", "512", "-drive", &drive], devices].concat();
        emulate(&self.machine, LONGEST, initrd.to_str().unwrap(), &append, &more)
    }
}

/// Boots the kernel in `directory` with this initramfs, these parameters and more of QEMU's arguments,
/// and returns what the console had, until the machine is off or the time is over.
pub fn emulate(directory: &Path, longest: Duration, initrd: &str, append: &str, more: &[&str]) -> String {
    let mut qemu = Command::new("timeout");
    qemu.args(["--signal=KILL", &longest.as_secs().to_string(), "qemu-system-x86_64", "-accel", "tcg"]);
    qemu.args(["-m", "256", "-nic", "none", "-nographic", "-no-reboot"]);
    // On a busy host the emulated timer may be late for the kernel's test of it, which then panics.
    let append = format!("{append} no_timer_check");
    qemu.args(["-append", &append, "-initrd", initrd, "-kernel"]).arg(directory.join("vmlinuz")).args(more);
    let done = finish_within(longest + Duration::from_secs(5), &mut qemu);
    format!("{}{}", done.stdout.replace('\r', ""), done.stderr)
}

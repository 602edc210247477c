//! A virtual machine: Debian's kernel, and an initramfs made here that holds busybox, kboot and what the
//! test puts in. Its processor is emulated: that runs anywhere, and boots in two seconds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Scratch, binary, finish, need, root, tool};

/// Stands on the console where a step begins.
const MARK: &str = "@@step";

const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t devtmpfs dev /dev
dmesg -n 1
";

/// The machine before it boots.
pub struct Machine {
    /// Where scripts/peers put the kernel.
    pub directory: PathBuf,
    /// The kernel's version, as uname gives it.
    pub release: String,
    initramfs: Cpio,
    /// What its clock shows at first, as QEMU's -rtc takes it; else the time of day.
    pub clock: Option<&'static str>,
}

impl Machine {
    /// `None`, after saying so: a component is missing.
    pub fn new() -> Option<Self> {
        need("qemu-system-x86_64", "machine").and(need("machine/vmlinuz", "machine"))?;
        let busybox = need("busybox", "tools")?;
        let directory = root().join("target/peers/machine");
        let release = fs::read_dir(directory.join("lib/modules")).unwrap().next().unwrap().unwrap();
        let release = release.file_name().into_string().unwrap();
        let mut machine = Self { directory, release, initramfs: Cpio::default(), clock: None };
        for (path, program) in [("bin/busybox", busybox), ("bin/kboot", binary())] {
            machine.initramfs.file(path, 0o755, &fs::read(program).unwrap());
        }
        for path in ["dev", "proc", "sys", "run", "tmp"] {
            machine.initramfs.directory(Path::new(path));
        }
        // Without it the kernel gives init no descriptors 0 to 2.
        machine.initramfs.entry("dev/console", 0o020_600, (5, 1), &[]);
        Some(machine)
    }

    /// Puts a file in; the path has no `/` in front.
    pub fn file(&mut self, path: &str, content: impl AsRef<[u8]>) {
        self.initramfs.file(path, 0o644, content.as_ref());
    }

    /// Puts a program of this host in, with the libraries that it needs.
    pub fn program(&mut self, path: &Path) {
        let name = path.to_str().unwrap();
        self.initramfs.file(name.trim_start_matches('/'), 0o755, &fs::read(path).unwrap());
        for word in tool("ldd", &[name]).split_whitespace().filter(|w| w.starts_with('/')) {
            self.initramfs.file(&word[1..], 0o755, &fs::read(word).unwrap());
        }
    }

    /// Boots, runs each step (shell lines that know `functions`) and returns what it wrote to the
    /// console, stderr too.
    pub fn boot(mut self, functions: &str, steps: &[&str]) -> Vec<String> {
        let steps = steps.iter().map(|lines| format!("echo '{MARK}'\n(\n{lines}\n) 2>&1\n"));
        let steps = steps.collect::<Vec<_>>().concat();
        let init = format!("{INIT}{functions}\n{steps}echo '{MARK}end'\npoweroff -f\n");
        self.initramfs.file("init", 0o755, init.as_bytes());
        let scratch = Scratch::new();
        let initrd = scratch.file("initrd", self.initramfs.end());
        let console = self.run(&initrd);
        let mut written: Vec<String> =
            console.split(&format!("{MARK}\n")).skip(1).map(str::to_owned).collect();
        let last = written.pop().unwrap_or_default();
        let Some((last, _)) = last.split_once(&format!("{MARK}end\n")) else {
            panic!("the machine stopped early:\n{console}");
        };
        written.push(last.to_owned());
        written
    }

    fn run(&self, initrd: &str) -> String {
        let kernel = self.directory.join("vmlinuz");
        let mut qemu = Command::new("timeout");
        // Less than `finish` waits, so that what the console has is shown.
        qemu.args([
            "--signal=KILL",
            "55",
            "qemu-system-x86_64",
            "-accel",
            "tcg",
            "-m",
            "256",
            "-nic",
            "none",
        ]);
        qemu.args(["-nographic", "-no-reboot", "-append", "console=ttyS0 panic=-1 quiet", "-initrd", initrd]);
        qemu.args(self.clock.iter().flat_map(|base| ["-rtc", base]));
        let done = finish(qemu.arg("-kernel").arg(kernel));
        format!("{}{}", done.stdout.replace('\r', ""), done.stderr)
    }
}

/// An archive as the kernel takes it (initramfs buffer format: `newc` cpio).
#[derive(Default)]
struct Cpio {
    bytes: Vec<u8>,
    directories: BTreeSet<PathBuf>,
}

impl Cpio {
    fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.directory(Path::new(path).parent().unwrap());
        self.entry(path, 0o100_000 | mode, (0, 0), content);
    }

    /// With those above it: the kernel makes none by itself.
    fn directory(&mut self, path: &Path) {
        if path.as_os_str().is_empty() || !self.directories.insert(path.to_owned()) {
            return;
        }
        self.directory(path.parent().unwrap());
        self.entry(path.to_str().unwrap(), 0o040_755, (0, 0), &[]);
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        let (size, name) = (u32::try_from(content.len()).unwrap(), u32::try_from(path.len() + 1).unwrap());
        let fields = [0, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name, 0];
        let header = fields.map(|f| format!("{f:08X}")).concat();
        self.bytes.extend(format!("070701{header}{path}\0").bytes());
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn end(&mut self) -> &[u8] {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        &self.bytes
    }
}

//! A virtual machine: Debian's kernel, and an initramfs made here that holds kboot and what the test puts
//! in. Its init is busybox's shell, for steps (`new`, `boot`), or kboot itself (`with_init`, `start`). Its
//! processor is emulated: that runs anywhere, and boots in two seconds.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Scratch, binary, need, root, tool, until};

/// Stands on the console where a step begins.
const MARK: &str = "@@step";

const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t devtmpfs dev /dev
dmesg -n 1
";

/// What is emulated.
pub struct Kind {
    /// Which of scripts/peers brings it.
    pub peer: &'static str,
    /// Of target/peers, with the kernel.
    pub directory: &'static str,
    /// QEMU, and what it takes for a machine.
    pub qemu: &'static [&'static str],
    /// The kernel's parameters for it.
    pub parameters: &'static str,
}

// On a busy host the emulated timer may be late for the kernel's test of it, which then panics.
const X86_64: Kind = Kind {
    peer: "machine",
    directory: "machine",
    qemu: &["qemu-system-x86_64"],
    parameters: "console=ttyS0 no_timer_check",
};

impl Kind {
    /// Its kernel's modules; `None`, after saying so: a component is missing.
    pub fn modules(&self) -> Option<PathBuf> {
        let kernel =
            need(self.qemu[0], self.peer).and(need(&format!("{}/vmlinuz", self.directory), self.peer))?;
        let all = fs::read_dir(kernel.parent().unwrap().join("lib/modules"));
        Some(all.unwrap().next().unwrap().unwrap().path())
    }
}

/// The machine before it boots.
pub struct Machine {
    kind: Kind,
    /// Where scripts/peers put the kernel.
    pub directory: PathBuf,
    /// The kernel's version, as uname gives it.
    pub release: String,
    initramfs: Cpio,
    /// In its place.
    image: Option<String>,
    /// What its clock shows at first, as QEMU's -rtc takes it; else the time of day.
    pub clock: Option<&'static str>,
    /// The kernel's command line, behind its console.
    pub parameters: String,
    /// QEMU's options for its devices, such as `-drive`; at first it has no network.
    pub devices: Vec<String>,
    /// After so many seconds it is turned off.
    pub longest: u32,
}

impl Machine {
    /// One with busybox's shell. `None`, after saying so: a component is missing.
    pub fn new() -> Option<Self> {
        let busybox = need("busybox", "tools")?;
        let mut machine = Self::bare(X86_64)?;
        for (path, program) in [("bin/busybox", busybox), ("bin/kboot", binary())] {
            machine.executable(path, &program);
        }
        machine.initramfs.directory(Path::new("tmp"));
        for path in ["dev", "proc", "sys", "run"] {
            machine.initramfs.directory(Path::new(path));
        }
        Some(machine)
    }

    /// One that boots this image.
    pub fn with_image(image: &str) -> Option<Self> {
        Self::of_kind(X86_64, image)
    }

    /// The same for any.
    pub fn of_kind(kind: Kind, image: &str) -> Option<Self> {
        let machine = Self::bare(kind)?;
        Some(Self { image: Some(image.to_owned()), ..machine })
    }

    /// One whose init is kboot, with nothing else in it.
    pub fn with_init() -> Option<Self> {
        let mut machine = Self::bare(X86_64)?;
        machine.executable("init", &binary());
        Some(machine)
    }

    fn bare(kind: Kind) -> Option<Self> {
        let modules = kind.modules()?;
        let release = modules.file_name().unwrap().to_str().unwrap().to_owned();
        let directory = root().join("target/peers").join(kind.directory);
        let (clock, parameters) = (None, "panic=-1 quiet".to_owned());
        let devices = ["-nic", "none"].map(str::to_owned).into();
        // Less than `finish` waits, so that what the console has is shown.
        let longest = 55;
        let initramfs = Cpio::default();
        let mut machine =
            Self { kind, directory, release, initramfs, image: None, clock, parameters, devices, longest };
        // Without it the kernel gives init no descriptors 0 to 2.
        machine.initramfs.directory(Path::new("dev"));
        machine.initramfs.entry("dev/console", 0o020_600, (5, 1), &[]);
        Some(machine)
    }

    /// Puts a program of this host in as it is; the path has no `/` in front.
    pub fn executable(&mut self, path: &str, program: &Path) {
        self.initramfs.file(path, 0o755, &fs::read(program).unwrap());
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
    /// console, stderr too; through a pipe, since on a terminal a wait's seconds are drawn.
    pub fn boot(mut self, functions: &str, steps: &[&str]) -> Vec<String> {
        let steps = steps.iter().map(|lines| format!("echo '{MARK}'\n(\n{lines}\n) 2>&1 | cat\n"));
        let steps = steps.collect::<Vec<_>>().concat();
        let init = format!("{INIT}{functions}\n{steps}echo '{MARK}end'\npoweroff -f\n");
        self.initramfs.file("init", 0o755, init.as_bytes());
        let console = self.start().end();
        let mut written: Vec<String> =
            console.split(&format!("{MARK}\n")).skip(1).map(str::to_owned).collect();
        let last = written.pop().unwrap_or_default();
        let Some((last, _)) = last.split_once(&format!("{MARK}end\n")) else {
            panic!("the machine stopped early:\n{console}");
        };
        written.push(last.to_owned());
        written
    }

    /// Puts one of the kernel's modules in, as the image has it: under its own name, with the lists.
    pub fn modules(&mut self, files: &[&str], end: &str, pack: impl Fn(&[u8]) -> Vec<u8>) {
        let from = self.directory.join("lib/modules").join(&self.release);
        let to = format!("lib/modules/{}", self.release);
        for list in ["modules.dep", "modules.alias", "modules.builtin"] {
            let text = fs::read_to_string(from.join(list)).unwrap();
            let text = if list == "modules.dep" { text.replace(".ko", &format!(".ko{end}")) } else { text };
            self.file(&format!("{to}/{list}"), text);
        }
        for file in files {
            self.file(&format!("{to}/{file}{end}"), pack(&fs::read(from.join(file)).unwrap()));
        }
    }

    /// Turns it on. It is off when it restarts or turns itself off.
    pub fn start(mut self) -> Running {
        let scratch = Scratch::new();
        let initrd = self.image.take().unwrap_or_else(|| scratch.file("initrd", self.initramfs.end()));
        let parameters = format!("{} {}", self.kind.parameters, self.parameters);
        let socket = format!("unix:{},server,nowait", scratch.path("monitor"));
        let seconds = self.longest.to_string();
        let mut qemu = Command::new("setpriv");
        qemu.args(["--pdeathsig", "KILL", "--", "timeout", "--signal=KILL", &seconds]);
        qemu.args(self.kind.qemu).args(["-accel", "tcg", "-m", "256", "-display", "none", "-no-reboot"]);
        qemu.args(["-serial", "stdio", "-monitor", &socket, "-append", &parameters, "-initrd", &initrd]);
        qemu.args(self.clock.iter().flat_map(|base| ["-rtc", base])).args(&self.devices);
        qemu.arg("-kernel").arg(self.directory.join("vmlinuz"));
        let spawned = qemu.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|e| panic!("{qemu:?}: {e}"));
        let console = Arc::new(Mutex::new(Vec::new()));
        let readers = [
            reader(child.stdout.take().unwrap(), console.clone()),
            reader(child.stderr.take().unwrap(), console.clone()),
        ];
        let keyboard = child.stdin.take().unwrap();
        Running { child, console, readers: readers.into(), keyboard, scratch }
    }
}

fn reader(mut from: impl Read + Send + 'static, to: Arc<Mutex<Vec<u8>>>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            to.lock().unwrap().extend_from_slice(&chunk[..count]);
        }
    })
}

/// A machine that runs.
pub struct Running {
    child: Child,
    console: Arc<Mutex<Vec<u8>>>,
    readers: Vec<thread::JoinHandle<()>>,
    keyboard: ChildStdin,
    scratch: Scratch,
}

impl Running {
    /// What the console has shown so far.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&self.console.lock().unwrap()).replace('\r', "")
    }

    /// Waits until the console shows something.
    pub fn until(&self, text: &str) {
        // Shown where it fails: what the console had.
        let shown = || self.console().contains(text);
        let is_over = || self.readers.iter().all(thread::JoinHandle::is_finished);
        until(text, || shown() || is_over());
        assert!(shown(), "the console never showed {text:?}:\n{}", self.console());
    }

    /// Types on the serial console.
    pub fn enter(&mut self, line: &str) {
        writeln!(self.keyboard, "{line}").unwrap();
    }

    /// Says something to QEMU's monitor, such as `sendkey ctrl-alt-delete`.
    pub fn monitor(&self, command: &str) {
        let mut socket = UnixStream::connect(self.scratch.path("monitor")).unwrap();
        writeln!(socket, "{command}").unwrap();
        // Until it has been read and done, there is no prompt again.
        let mut heard = Vec::new();
        let mut chunk = [0; 256];
        while String::from_utf8_lossy(&heard).matches("(qemu)").count() < 2 {
            match socket.read(&mut chunk) {
                Ok(count @ 1..) => heard.extend_from_slice(&chunk[..count]),
                _ => break,
            }
        }
    }

    /// Waits until it is off; what its console has shown.
    pub fn end(mut self) -> String {
        let status = self.child.wait().unwrap();
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        let console = self.console();
        assert!(status.success(), "the machine did not end ({status}):\n{console}");
        console
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // timeout hands it on to QEMU.
            let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
            let _ = self.child.wait();
        }
    }
}

/// What a program with its arguments makes of the bytes: `xz -9`.
pub fn packed(command: &str, bytes: &[u8]) -> Vec<u8> {
    let mut words = command.split(' ');
    let mut child = Command::new(words.next().unwrap());
    let mut child = child.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, bytes) = (child.stdin.take().unwrap(), bytes.to_owned());
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{command}");
    output.stdout
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

//! What the black-box tests stand on.

pub mod api;
pub mod between;
pub mod cgroup;
pub mod cni;
pub mod debian;
pub mod dhcp;
pub mod docker;
pub mod etcd;
pub mod firewall;
pub mod host;
pub mod join;
pub mod kubelet;
pub mod legacy;
pub mod machine;
pub mod monitor;
pub mod net;
pub mod odd_server;
pub mod packets;
pub mod preflight;
pub mod ruleset;
pub mod runtime;
pub mod supervised;
pub mod tls_server;
pub mod tree;
pub mod way;

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// No call of kboot in these tests takes longer, unless something is broken.
const LONGEST: Duration = Duration::from_mins(1);

/// What a program left behind.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// The exit status and the one line on stderr, for comparing at once.
    pub fn error(&self) -> (i32, &str) {
        (self.code, self.stderr.trim_end())
    }

    /// stdout, after making sure that it went well.
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        &self.stdout
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// The shipped binary: `KBOOT_BIN`, else target/kboot, where scripts/build leaves it.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("KBOOT_BIN").map_or_else(|| root().join("target/kboot"), PathBuf::from);
    assert!(path.exists(), "{} is not there: run scripts/build", path.display());
    path
}

/// The binary for arm64: target/kboot-aarch64, where scripts/build leaves it.
pub fn arm64_binary() -> PathBuf {
    let path = root().join("target/kboot-aarch64");
    assert!(path.exists(), "{} is not there: run scripts/build aarch64", path.display());
    path
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// kboot with nothing of the tests' environment but a PATH.
pub fn kboot<S: AsRef<OsStr>>(args: &[S]) -> Command {
    let mut command = Command::new(binary());
    command.args(args).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// Runs kboot to its end.
pub fn run<S: AsRef<OsStr>>(args: &[S]) -> Done {
    finish(&mut kboot(args))
}

/// Runs a command to its end and takes what it printed.
pub fn finish(command: &mut Command) -> Done {
    finish_within(LONGEST, command)
}

/// The same for what may take long.
pub fn finish_within(longest: Duration, command: &mut Command) -> Done {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    collect_within(longest, child.unwrap_or_else(|e| panic!("{command:?}: {e}")))
}

/// Waits for a child, reading both of its streams.
pub fn collect(child: Child) -> Done {
    collect_within(LONGEST, child)
}

fn collect_within(longest: Duration, mut child: Child) -> Done {
    fn drain(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stream.map(|mut s| s.read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }
    let (out, err) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let end = Instant::now() + longest;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > end => {
                child.kill().unwrap();
                panic!("not ended within {longest:?}");
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    };
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Done { code, stdout: out.join().unwrap(), stderr: err.join().unwrap() }
}

/// Runs another program and expects it to succeed.
pub fn tool(program: &str, args: &[&str]) -> String {
    finish(Command::new(program).args(args)).ok().to_owned()
}

/// Waits until something holds; says what did not.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LONGEST;
    while !holds() {
        assert!(Instant::now() < end, "not within {LONGEST:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A directory for one test.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("kboot-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        // In target/: what a killed run leaves is swept away with it.
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file in it and returns its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A real component, from PATH or target/peers. Without it the test says so; with CI set it fails.
pub fn need(program: &str, peer: &str) -> Option<PathBuf> {
    let dirs =
        [root().join("target/peers"), "/usr/sbin".into(), "/usr/bin".into(), "/sbin".into(), "/bin".into()];
    let found = dirs.iter().map(|d| d.join(program)).find(|p| p.exists());
    if found.is_none() {
        skip(&format!("needs {program} (scripts/peers {peer})"));
    }
    found
}

/// Whether the test may go on: it needs root.
pub fn root_user() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        skip("needs root");
    }
    is_root
}

fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("skipped: {why}");
}

/// kboot with a /run of its own, which is that directory (or the host's, without root: nothing is
/// written there then).
pub fn kboot_with_run<S: AsRef<OsStr>>(run: &Path, args: &[S]) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return kboot(args);
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c"]);
    command.args(["mount --bind \"$0\" /run && exec \"$@\""]).arg(run).arg(binary()).args(args);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// A free TCP port of the loopback.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A process that ends with the value, and with the thread that started it.
pub struct Process(Child);

impl Process {
    pub fn start(program: impl AsRef<OsStr>, log: &Path, set_up: impl FnOnce(&mut Command)) -> Self {
        let file = fs::File::create(log).unwrap();
        let command = &mut Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        set_up(command);
        Self(command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }
}

impl Process {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

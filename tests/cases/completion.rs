//! `--completion`: bash, zsh and fish as somebody sits before them, on a terminal that script(1) makes.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::host::Host;
use crate::support::{Scratch, binary, finish, kboot, need, root_user, run};

const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// A shell on a terminal.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn new(host: &Host, home: &str, path: &str, shell: &str) -> Self {
        let mut command = host.command("script", &["-qefc", shell, "/dev/null"]);
        command.env("PATH", path).env("HOME", home).env("TERM", "dumb").env("SHELL", "/bin/sh");
        command.env("XDG_DATA_HOME", format!("{home}/data")).env("XDG_CONFIG_HOME", format!("{home}/config"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut piece) {
                all.lock().unwrap().extend(&piece[..length]);
            }
        });
        let mut terminal = Self { child, keys, seen };
        // Whoever types before the shell has the terminal sees it twice.
        terminal.types(&format!("cd {home}\recho rea''dy\r"), &["ready\r"]);
        terminal
    }

    /// Types, and waits until all of that has come to the screen.
    fn types(&mut self, keys: &str, wanted: &[&str]) {
        let before = self.seen.lock().unwrap().len();
        self.keys.write_all(keys.as_bytes()).unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let seen = String::from_utf8_lossy(&self.seen.lock().unwrap()[before..]).into_owned();
            if wanted.iter().all(|w| seen.contains(w)) {
                return;
            }
            assert!(Instant::now() < end, "{keys:?}: not {wanted:?} but {seen:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The words of a line once TAB has done its part.
    fn line(&mut self, keys: &str, words: &str) {
        self.types(&format!("{keys}\r"), &[&format!("words: {words} .")]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A host with two links of its own, a home, and a directory with kboot and its links; nothing without root or
/// the shells.
fn scene() -> Option<(Host, Scratch, String)> {
    let is_there = SHELLS.iter().all(|shell| need(shell, "shells").is_some());
    if !is_there || !root_user() || need("ip", "tools").is_none() {
        return None;
    }
    let host = Host::new();
    host.sh("ip link add kbt-east type veth peer name kbt-west");
    let home = Scratch::new();
    fs::create_dir_all(home.path("bin")).unwrap();
    fs::copy(binary(), home.path("bin/kboot")).unwrap();
    finish(std::process::Command::new(home.path("bin/kboot")).args(["--install", &home.path("bin")])).ok();
    symlink("kboot", home.path("bin/kboot-bridge")).unwrap();
    home.file("some-file", "");
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", home.path("bin"));
    Some((host, home, path))
}

/// Where the line is run a function stands in for kboot, and tells the words. Completion finds the real one.
const TELLING: [(&str, &str); 3] = [
    (
        "bash",
        "kboot() { echo words: \"$@\" .; }; bridge() { kboot \"$@\"; }; kboot-bridge() { kboot \"$@\"; }",
    ),
    (
        "zsh",
        "kboot() { echo words: \"$@\" .; }; bridge() { kboot \"$@\"; }; kboot-bridge() { kboot \"$@\"; }",
    ),
    (
        "fish",
        "function kboot; echo words: $argv .; end; function bridge; kboot $argv; end; function kboot-bridge; kboot $argv; end",
    ),
];

/// What is typed, and the words that come of it.
const LINES: [(&str, &str); 12] = [
    ("kboot ti\t--ver\t", "timeline --verbose"),
    ("kboot help ipc\t", "help ipconfig"),
    ("kboot bridge --firewall if\x08p\t", "bridge --firewall iptables"),
    ("kboot bridge --firewall=ip\t", "bridge --firewall=iptables"),
    ("kboot bridge --out-interface kbt-e\t", "bridge --out-interface kbt-east"),
    ("kboot bridge --out-interface=kbt-w\t--att\t", "bridge --out-interface=kbt-west --attach"),
    ("kboot bridge --name x --firewall nft --no-m\t", "bridge --name x --firewall nft --no-masquerade"),
    ("kboot register --taint a=b:NoE\t", "register --taint a=b:NoExecute"),
    (
        "kboot kubelet-launch --runtime=unix:///run/cr\t",
        "kubelet-launch --runtime=unix:///run/crio/crio.sock",
    ),
    ("kboot docker-flags --output=some\t", "docker-flags --output=some-file"),
    ("kboot docker-flags -o ./so\t", "docker-flags -o ./some-file"),
    ("kboot-bridge --replace\t", "--replace-docker0"),
];

/// Makes a shell know kboot: by its own line, or as a file where it looks for one.
fn introduce(shell: &str, home: &Scratch, is_file: bool) -> &'static str {
    let script = run(&["--completion", shell]).ok().to_owned();
    let (dir, name) = match shell {
        "bash" => ("data/bash-completion/completions", "kboot"),
        "zsh" => ("functions", "_kboot"),
        _ => ("config/fish/completions", "kboot.fish"),
    };
    if is_file {
        fs::create_dir_all(home.path(dir)).unwrap();
        home.file(&format!("{dir}/{name}"), &script);
        // As a package has them: each name has a file.
        for link in ["kboot-bridge", "bridge"].iter().filter(|_| shell != "zsh") {
            let link = home.path(&format!("{dir}/{}", name.replace("kboot", link)));
            symlink(home.path(&format!("{dir}/{name}")), link).unwrap();
        }
    }
    match (shell, is_file) {
        ("bash", false) => "source <(kboot --completion bash)",
        ("bash", true) => "source /usr/share/bash-completion/bash_completion",
        ("zsh", false) => "autoload -Uz compinit; compinit -u -D; source <(kboot --completion zsh)",
        ("zsh", true) => "fpath=(~/functions $fpath); autoload -Uz compinit; compinit -u -D",
        ("fish", false) => "kboot --completion fish | source",
        _ => "true",
    }
}

fn program(shell: &str) -> &'static str {
    match shell {
        "bash" => "bash --norc --noprofile -i",
        "zsh" => "zsh -f -i",
        _ => "fish --private -i",
    }
}

#[test]
fn tab_completes_applets_options_and_values_in_every_shell() {
    let Some((host, home, path)) = scene() else { return };
    let home_path = home.0.to_str().unwrap();
    for (shell, telling) in TELLING {
        for is_file in [false, true] {
            let introduction = introduce(shell, &home, is_file);
            let mut terminal = Terminal::new(&host, home_path, &path, program(shell));
            terminal.types(&format!("{introduction}\r{telling}\recho se''t\r"), &["set\r"]);
            for (keys, words) in LINES {
                terminal.line(keys, words);
            }
        }
    }
}

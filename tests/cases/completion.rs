//! `--completion`: bash, zsh and fish as somebody sits before them, on a terminal that script(1) makes.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::host::Host;
use crate::support::{Scratch, binary, finish, kboot, need, root_user, run, tool};

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
    host.sh("ip link add near-east type veth peer name far-west");
    let home = Scratch::new();
    fs::create_dir_all(home.path("bin")).unwrap();
    tool("cp", &[binary().to_str().unwrap(), &home.path("bin/kboot")]);
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
    ("kboot bridge --out-interface near-e\t", "bridge --out-interface near-east"),
    ("kboot bridge --out-interface=far-w\t--att\t", "bridge --out-interface=far-west --attach"),
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

/// Lists that TAB shows, and the line goes on.
#[test]
fn tab_shows_what_there_is() {
    let Some((host, home, path)) = scene() else { return };
    for (shell, telling) in &TELLING[..2] {
        let introduction = introduce(shell, &home, false);
        let mut terminal = Terminal::new(&host, home.0.to_str().unwrap(), &path, program(shell));
        let all = if *shell == "bash" { "bind 'set show-all-if-ambiguous on'" } else { "" };
        terminal.types(&format!("{introduction}\r{telling}\r{all}\recho se''t\r"), &["set\r"]);
        for (keys, wanted) in [
            ("kboot bridge --firewall \t", &["auto", "iptables", "nft", "none"][..]),
            ("kboot bridge --out-interface \t", &["near-east", "far-west"]),
            ("kboot register --taint a=b:\t", &["NoSchedule", "PreferNoSchedule", "NoExecute"]),
            ("kboot cni\t --o\t \t", &["some-file"]),
        ] {
            terminal.types(keys, wanted);
            terminal.types("\x15echo rea''dy\r", &["ready\r"]);
        }
    }
    // fish without a terminal says what it would show.
    let words = |line: &str| {
        let script = format!("kboot --completion fish | source; complete -C '{line}'");
        let mut command = host.command("fish", &["--no-config", "-c", &script]);
        command.env("PATH", &path).env("HOME", &home.0).current_dir(&home.0);
        finish(&mut command).ok().to_owned()
    };
    assert_eq!(words("kboot bridge --firewall "), "auto\niptables\nnft\nnone\n");
    assert!(words("kboot bridge --fire").starts_with("--firewall\twhose rules: "));
    assert_eq!(
        words("kboot bridge --attach="),
        "--attach=far-west\tveth, down\n--attach=near-east\tveth, down\n"
    );
    assert!(words("kboot flannel-env -- dpkg-que").starts_with("dpkg-query\t"));
}

/// iproute2's bridge keeps what its name had; where the name is kboot's link, it is kboot's.
#[test]
fn another_program_of_a_links_name_is_left_alone() {
    let Some((host, home, path)) = scene() else { return };
    let home_path = home.0.to_str().unwrap();
    fs::create_dir_all(home.path("other")).unwrap();
    tool("cp", &["/bin/true", &home.path("other/bridge")]);
    let others = format!("{}:{path}", home.path("other"));
    for (shell, telling) in TELLING {
        let introduction = introduce(shell, &home, false);
        for (path, words) in [(&path, "--firewall some-file"), (&others, "--fire some-file")] {
            let mut terminal = Terminal::new(&host, home_path, path, program(shell));
            terminal.types(&format!("{introduction}\r{telling}\recho se''t\r"), &["set\r"]);
            // A path is nothing that stands alone in kboot bridge: there the shell's own completion is at work.
            let keys = if words.starts_with("--firewall") {
                "bridge --firew\tsome-file"
            } else {
                "bridge --fire\t some-f\t"
            };
            terminal.line(keys, words);
        }
        // One that came before kboot's after the script was read.
        let mut terminal = Terminal::new(&host, home_path, &path, program(shell));
        let later = if shell == "fish" { "set -x PATH ~/other $PATH" } else { "PATH=~/other:$PATH" };
        terminal.types(&format!("{introduction}\r{telling}\r{later}\recho se''t\r"), &["set\r"]);
        terminal.line("bridge --fire\t some-f\t", "--fire some-file");
    }
}

/// What the scripts ask.
fn asked(words: &[&str]) -> String {
    let done = run(&[&["--complete"], words].concat());
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{words:?}");
    done.stdout.lines().map(|l| l.split('\t').next().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_was_given_is_not_offered_again() {
    let all = asked(&["bridge", ""]);
    assert!(all.contains("--mtu") && all.contains("--subnet") && !all.contains(" -- "), "{all}");
    let left =
        asked(&["x/kboot-bridge", "--mtu=5", "--subnet", "10.1.1.1/24", "-q", "--name", "--check", "--"]);
    assert!(!left.contains("--mtu") && !left.contains("--quiet") && !left.contains("--name"), "{left}");
    assert!(left.contains("--subnet") && left.contains("--check") && left.contains("--verbose"), "{left}");
    for (words, wanted) in [
        (&["kboot", "--completion", ""][..], "bash zsh fish"),
        (&["kboot", "bridge", "--", "--m"], ""),
        (&["kboot", "flannel-env", "--", ""], ":commands "),
        (&["kboot", "flannel-env", "--", "env", ""], ":files "),
        (&["kboot", "mkinitramfs", "--modules-dir=/"], ":directories --modules-dir="),
        (&["mkinitramfs", "-o/bo"], ":files -o"),
        (&["mk-docker-opts.sh", "-ik", "X", "--mk-compat", ""], "0.5 0.6"),
        (&["flannel-env", "--format", "x"], "sh export env systemd json"),
        (&["mkinitramfs", "--file", "/bin/sh:"], ""),
        (&["bridge", "--json="], ""),
        (&["kboot", "nonsense", ""], ""),
        (&["kboot", "--list", ""], ""),
    ] {
        assert_eq!(asked(words), wanted, "{words:?}");
    }
}

#[test]
fn nothing_asked_is_too_much() {
    for words in
        [&[][..], &["kboot"], &["", ""], &["kboot", "bridge", "--firewall", "--firewall"], &["-", "-"]]
    {
        asked(words);
    }
    let started = Instant::now();
    let many: Vec<&str> = ["kboot", "bridge"].into_iter().chain(vec!["--mtu=1"; 10_000]).collect();
    assert!(!asked(&many).contains("--mtu"));
    let odd = std::ffi::OsStr::from_bytes(b"--na\xffme=\xfe");
    for command in [&mut kboot(&["--complete", "kboot", "bridge"]), &mut kboot(&["--complete", "bridge"])] {
        let done = finish(command.arg(odd).arg(odd));
        assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    let done = run(&["--completion", "tcsh"]);
    assert_eq!(done.error(), (2, "kboot: --completion takes bash, zsh or fish"));
}

/// A link's name may hold what means something to a shell.
#[test]
fn no_name_on_this_host_gets_into_the_line_as_a_command() {
    let Some((host, ..)) = scene() else { return };
    host.sh("ip link add '$(id)' type veth peer name 'a;id'");
    let found = host.kboot(&["--complete", "bridge", "--attach", ""]);
    assert_eq!(found.ok(), "far-west\tveth, down\nnear-east\tveth, down\n");
}

#[test]
fn the_scripts_are_what_their_shells_and_shellcheck_take() {
    let Some((_, home, _)) = scene() else { return };
    for shell in SHELLS {
        let script = home.file(shell, run(&["--completion", shell]).ok());
        let done = finish(std::process::Command::new(shell).args(["-n", &script]));
        assert_eq!((done.ok(), done.stderr.as_str()), ("", ""), "{shell}");
    }
    if need("shellcheck", "shells").is_some() {
        finish(std::process::Command::new("shellcheck").arg(home.path("bash"))).ok();
    }
}

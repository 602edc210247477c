//! Surroundings in which other programs give up, one test each. Those of the list that stand elsewhere:
//! descriptors 0 to 2 closed and no /dev/null, PATH unset, NOTIFY_SOCKET (surroundings.rs), an empty argv
//! (front.rs), a clock at 1970 (auth_clock.rs), PID 1 with orphans (kubelet_supervise.rs).

use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::api::shared;
use crate::support::machine::Machine;
use crate::support::{Done, Scratch, binary, collect, finish, kboot, need, root_user, until};

const LEASE: &str =
    "FLANNEL_NETWORK=10.91.0.0/16\nFLANNEL_SUBNET=10.91.4.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n";

/// Runs lines in a mount namespace with an empty tmpfs, which holds the binary and a lease and nothing
/// else: `bare WORDS` is kboot with that as its root and with no variables. A network of its own, or the
/// host's.
fn bare(own_net: bool, lines: &str) -> Done {
    let dir = Scratch::new();
    let lease = dir.file("subnet.env", LEASE);
    let root = dir.path("root");
    std::fs::create_dir(&root).unwrap();
    let head =
        "mount -t tmpfs tmpfs \"$R\" && cp \"$K\" \"$R/kboot\" && cp \"$F\" \"$R/subnet.env\" || exit 99
        bare() { env -i /usr/sbin/chroot \"$R\" /kboot \"$@\"; }
        bare --version >/dev/null || { echo 'the binary is not static' >&2; exit 98; }";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).args(own_net.then_some("--net"));
    command.args(["sh", "-c", &format!("{head}\n{lines}")]);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    finish(command.env("K", binary()).env("F", lease).env("R", root))
}

#[test]
fn nothing_mounted_and_no_directory_at_all() {
    if !root_user() {
        return;
    }
    let lines = "bare flannel-env --env-file /subnet.env --get FLANNEL_MTU
        bare docker-flags --env-file /subnet.env --bridge cbr0
        bare bridge --env-file /subnet.env --firewall nft --dry-run | head -n 1
        bare cni-config --env-file /subnet.env --output - | head -n 1
        bare ipconfig --ip off && ip link show lo | grep -o LOOPBACK,UP";
    let done = bare(true, lines);
    let said: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(
        said,
        ["1450", "--bridge=cbr0 --iptables=false --ip-masq=false --mtu=1450", "{", "LOOPBACK,UP"],
        "{done:?}"
    );
    let bridge = "kboot bridge: sysctl net.ipv4.ip_forward: not there: is /proc mounted?";
    assert!(done.stderr.contains(bridge), "{done:?}");
}

#[test]
fn no_sys_no_dev_no_run_but_proc() {
    if !root_user() || need("nft", "nft").is_none() {
        return;
    }
    let lines = "mkdir \"$R/proc\" && mount -t proc proc \"$R/proc\" && echo 0 >/proc/sys/net/ipv4/ip_forward
        bare bridge --env-file /subnet.env --firewall nft || exit
        ip -br addr show cbr0; nft list table ip kboot | grep -c masquerade; cat /proc/sys/net/ipv4/ip_forward
        bare bridge --env-file /subnet.env --firewall nft";
    let done = bare(true, lines);
    let words: Vec<&str> = done.ok().split_whitespace().collect();
    assert!(words.contains(&"10.91.4.1/24") && words.ends_with(&["1", "1"]), "{done:?}");
    assert!(done.stderr.lines().last().unwrap().contains("(0 changed, "), "{done:?}");
}

#[test]
fn a_node_is_registered_from_nothing_but_a_network() {
    let Some(api) = shared() else { return };
    if !root_user() {
        return;
    }
    let done = bare(
        false,
        &format!("bare register --env-file /subnet.env --name hostile-bare --server {}", api.plain),
    );
    done.ok();
    assert_eq!(api.node("hostile-bare").unwrap()["spec"]["podCIDR"], "10.91.4.0/24");
}

#[test]
fn no_etc_neither_resolver_nor_roots() {
    if !root_user() {
        return;
    }
    for (words, code, text) in [
        (
            "--server http://api.invalid:8080 --timeout 0",
            75,
            "api.invalid: no answer from DNS (there is no /etc/resolv.conf)",
        ),
        ("--server https://127.0.0.1:1 --timeout 0", 2, "--cacert"),
        ("--timeout 0", 75, "http://127.0.0.1:8080"),
    ] {
        let done =
            bare(true, &format!("ip link set lo up; bare register --name n --env-file /subnet.env {words}"));
        let last = done.stderr.lines().last().unwrap_or_default();
        assert!(done.code == code && last.starts_with("kboot register: ") && last.contains(text), "{done:?}");
        assert!(!last.contains("os error"), "{last}");
    }
    // localhost is 127.0.0.1 all the same, without /etc/hosts.
    let Some(api) = shared() else { return };
    let server = api.plain.replace("127.0.0.1", "localhost");
    bare(false, &format!("bare register --subnet 10.91.5.1/24 --name hostile-localhost --server {server}"))
        .ok();
}

#[test]
fn no_home() {
    let dir = Scratch::new();
    let lease = dir.file("subnet.env", LEASE);
    let mut command = kboot(&["register", "--name", "n", "--env-file", &lease, "--timeout", "0"]);
    let done = finish(command.env_remove("HOME").env("KUBECONFIG", "/nowhere/config"));
    // Never a path that begins with nothing: /.kube/config is another's.
    assert!(!done.stderr.contains("/.kube"), "{done:?}");
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.stderr.contains("/nowhere/config"), "{done:?}");
}

#[test]
fn a_read_only_root() {
    if !root_user() || need("nft", "nft").is_none() {
        return;
    }
    let lines = "mkdir \"$R/proc\" \"$R/run\" \"$R/etc\" && mount -t proc proc \"$R/proc\" && mount -o remount,ro \"$R\"
        bare bridge --env-file /subnet.env --firewall nft || exit
        ip -br addr show cbr0
        bare ipconfig --ip 10.91.200.9:::24::cbr0:none:10.91.200.1 || exit
        bare docker-flags --env-file /subnet.env --bridge cbr0 --format daemon-json --output /etc/daemon.json";
    let done = bare(true, lines);
    assert!(done.stdout.contains("10.91.4.1/24"), "{done:?}");
    assert!(
        done.stderr.contains("warning: write /etc/resolv.conf: /etc/resolv.conf: Read-only file system"),
        "{done:?}"
    );
    let last = done.stderr.lines().last().unwrap();
    assert_eq!(
        (done.code, last),
        (
            1,
            "kboot docker-flags: edit /etc/daemon.json: bridge \"cbr0\", iptables false, ip-masq false, mtu 1450: /etc/daemon.json: Read-only file system"
        )
    );
}

#[test]
fn run_on_a_disk_read_only_or_a_file() {
    if !root_user() || need("nft", "nft").is_none() {
        return;
    }
    // Plain: it is the root's own tmpfs there, no mount of its own.
    for prepare in [
        "mkdir \"$R/run\"",
        "mkdir \"$R/run\" && mount -t tmpfs -o ro tmpfs \"$R/run\"",
        ">\"$R/run\"",
        "ln -s gone \"$R/run\"",
    ] {
        let lines = format!(
            "mkdir \"$R/proc\" && mount -t proc proc \"$R/proc\" && {prepare} || exit
            for again in 1 2; do bare bridge --env-file /subnet.env --firewall nft || exit; done; ip -br addr show cbr0
            bare bridge --down --firewall nft || exit; ip -br link"
        );
        let done = bare(true, &lines);
        assert!(done.ok().contains("10.91.4.1/24"), "{prepare}: {done:?}");
        assert!(done.stderr.contains("(0 changed, "), "{prepare}: {done:?}");
    }
}

#[test]
fn the_loopback_is_down() {
    if !root_user() {
        return;
    }
    let done =
        bare(true, "bare register --name n --env-file /subnet.env --server 127.0.0.1:9 --timeout 300ms");
    let last = done.stderr.lines().last().unwrap();
    assert_eq!(
        (done.code, last),
        (75, "kboot register: http://127.0.0.1:9: not within 300ms: Network unreachable: is lo up?")
    );
}

/// No console at all, no /dev: /init has no descriptors. It says by its exit status that it lived until its
/// deadline; Rust's own start-up would have ended it by SIGABRT or SIGSEGV (exitcode 6, 11).
#[test]
fn a_kernel_with_console_null() {
    let Some(mut machine) = Machine::with_init() else { return };
    // The last console is init's, the first still shows what the kernel says.
    machine.parameters =
        "console=null rdinit=/flannel-env panic=-1 -- --env-file /none --timeout 1".to_owned();
    machine.executable("flannel-env", &binary());
    let said = machine.start().end();
    assert!(said.contains("Attempted to kill init! exitcode=0x00004b00"), "{said}");
}

/// Nothing that may block is asked of the kernel before it has gathered entropy; and where it does not give
/// what would not block (before 3.17; std reads /dev/urandom then), there is another source.
#[test]
fn getrandom_is_never_waited_for() {
    let Some(strace) = need("strace", "tools") else { return };
    let Some(api) = shared() else { return };
    let dir = Scratch::new();
    let trace = dir.path("trace");
    let args = ["register", "--name", "hostile-random", "--subnet", "10.91.6.1/24", "--server", &api.plain];
    for fault in ["trace=getrandom", "inject=getrandom:error=ENOSYS"] {
        let mut command = Command::new(&strace);
        command.args(["-f", "-o", &trace, "-e", fault, "--"]);
        finish(command.arg(binary()).args(args)).ok();
        let calls = std::fs::read_to_string(&trace).unwrap();
        let calls: Vec<&str> = calls.lines().filter(|l| l.contains("getrandom(")).collect();
        let waits = |l: &&&str| !l.contains("GRND_INSECURE") && !l.contains("GRND_NONBLOCK");
        assert_eq!(calls.iter().find(waits), None);
        assert!(!calls.is_empty(), "it takes chance for its pauses");
    }
    assert!(api.node("hostile-random").is_some());
}

/// kboot as the first process of a pid namespace, as in a container.
fn as_pid_1(args: &[&str]) -> (Child, Pid) {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--", "unshare", "--pid", "--fork", "--kill-child", "--"])
        .arg(binary());
    let child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let mut pid = None;
    until("unshare has a child that is kboot", || {
        let text = std::fs::read_to_string(&children).unwrap_or_default();
        pid = text.split_whitespace().next().and_then(|p| p.parse().ok());
        pid.is_some_and(|p: i32| {
            let line = std::fs::read(format!("/proc/{p}/cmdline")).unwrap_or_default();
            line.starts_with(binary().to_str().unwrap().as_bytes())
        })
    });
    (child, Pid::from_raw(pid.unwrap()))
}

#[test]
fn pid_1_of_a_container_ends_by_ctrl_c_and_by_stop() {
    if !root_user() {
        return;
    }
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let (child, pid) = as_pid_1(&["flannel-env", "--env-file", "/no/such/lease", "--timeout", "40"]);
        let asleep = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
            let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
            !stat.is_empty() && fds > 3
        };
        until("it waits", asleep);
        kill(pid, signal).unwrap();
        assert_eq!(collect(child).code, code, "{signal}");
    }
}

#[test]
fn what_pid_1_becomes_has_default_signals() {
    if !root_user() {
        return;
    }
    let dir = Scratch::new();
    let lease = dir.file("subnet.env", LEASE);
    let args = [&["flannel-env", "--env-file", &lease, "--"][..], &["cat", "/proc/self/status"]].concat();
    let mut command = Command::new("unshare");
    let done = finish(command.args(["--pid", "--fork", "--mount-proc", "--"]).arg(binary()).args(args));
    // Not by grep: it catches one itself.
    for set in ["SigBlk", "SigIgn", "SigCgt"] {
        assert!(done.ok().contains(&format!("{set}:\t0000000000000000\n")), "{done:?}");
    }
}

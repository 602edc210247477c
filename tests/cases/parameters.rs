//! Options from the kernel's command line, which a file bound over /proc/cmdline stands in for.

use crate::support::host::Host;
use crate::support::{binary, finish, root_user};

/// A host that was booted with this command line.
fn booted_with(line: &str) -> Option<Host> {
    let host = root_user().then(Host::new)?;
    std::fs::write(host.file("/run/cmdline"), format!("BOOT_IMAGE=/vmlinuz ro quiet {line}\n")).unwrap();
    host.sh("mount --bind /run/cmdline /proc/cmdline");
    Some(host)
}

const BRIDGE: [&str; 2] = ["bridge", "--dry-run"];

#[test]
fn they_are_the_environments_equal() {
    let line = "kboot.bridge.name=br-krnl \"kboot.subnet=10.83.4.1/24,fd00:83:4::1/64\" kboot.mtu=1300 \
                kboot.bridge.mtu=1311 kboot.mtu=1333 kboot.bridge.no_masquerade kboot.firewall=";
    let Some(host) = booted_with(line) else { return };
    let plan = host.kboot(&BRIDGE);
    for step in [
        "ip link add br-krnl ",
        "set br-krnl mtu 1311",
        "addr add 10.83.4.1/24 ",
        "addr add fd00:83:4::1/64 ",
    ] {
        assert!(plan.ok().contains(step), "{step}: {plan:?}");
    }
    assert!(!plan.stdout.contains("masquerade"), "{plan:?}");
    // The environment comes before it, the command line before both.
    let of = |variables: &[&str], more: &[&str]| {
        finish(host.command("env", variables).arg(binary()).args(BRIDGE).args(more)).ok().to_owned()
    };
    assert!(of(&["KBOOT_MTU=1322"], &[]).contains("mtu 1322\n"));
    assert!(of(&["KBOOT_MTU=1322"], &["--mtu", "1344"]).contains("mtu 1344\n"));
    let masqueraded = of(&[], &["--masquerade", "10.83.0.0/16", "--firewall", "nft"]);
    assert!(masqueraded.contains("masquerade"), "{masqueraded}");
    let leased = of(&["KBOOT_SUBNET=10.84.4.1/24"], &[]);
    assert!(leased.contains("10.84.4.1/24") && !leased.contains("10.83.4.1"), "{leased}");
}

#[test]
fn errors_and_the_log_name_them() {
    let line = "kboot.bridge.mtu=huge kboot.register.server=http://127.0.0.1:1 kboot.timeout=0 kboot.bridge.replace-docker0=perhaps";
    let Some(host) = booted_with(line) else { return };
    let done = host.kboot(&["bridge", "--subnet", "10.83.5.1/24", "--replace-docker0"]);
    assert_eq!(
        done.error(),
        (2, "kboot bridge: kboot.bridge.mtu=huge: is no MTU: give a number from 68 to 65535")
    );
    let done = host.kboot(&["bridge", "--mtu", "1400"]);
    assert_eq!(done.error(), (2, "kboot bridge: kboot.bridge.replace-docker0=perhaps: takes 1 or 0"));
    let done = host.kboot(&["register", "--subnet", "10.83.5.1/24"]);
    assert!(done.stderr.contains("API server http://127.0.0.1:1 (from kboot.register.server)\n"), "{done:?}");
    assert_eq!(done.code, 75, "{done:?}");
}

#[test]
fn an_applet_with_a_dot_in_its_name_has_its_own() {
    let line = "kboot.mk-docker-opts.sh.key=DOCKER_NETWORK kboot.mk-docker-opts.sh.combined kboot.output=/run/not-this";
    let Some(host) = booted_with(line) else { return };
    host.sh("mkdir /run/flannel && printf 'FLANNEL_SUBNET=10.83.6.1/24\nFLANNEL_MTU=1450\n' >/run/flannel/subnet.env");
    host.kboot(&["mk-docker-opts.sh", "-d", "/run/opts", "-k", "OTHER"]).ok();
    assert!(host.sh("cat /run/opts").starts_with("OTHER="));
    host.kboot(&["mk-docker-opts.sh", "-d", "/run/opts"]).ok();
    assert!(host.sh("cat /run/opts").starts_with("DOCKER_NETWORK="));
    assert_eq!(host.sh("ls /run/not-this 2>&1; true").matches("No such file").count(), 1);
}

#[test]
fn a_typing_error_is_told_once_by_whom_it_was_meant_for() {
    let Some(host) = booted_with("kboot.regster.server=http://10.0.0.1 kboot.wallpaper=blue") else { return };
    let warned = |args: &[&str]| host.kboot(args).stderr.matches("warning: kernel parameter").count();
    let register = ["register", "--subnet", "10.83.7.1/24", "--server", "127.0.0.1:1", "--timeout", "0"];
    let done = host.kboot(&register);
    let wanted = "kboot register: warning: kernel parameter kboot.regster.server: nothing reads it: did you mean kboot.register.server?\n";
    assert!(done.stderr.starts_with(wanted), "{done:?}");
    assert_eq!(warned(&register), 1);
    assert_eq!(warned(&["bridge", "--subnet", "10.83.7.1/24", "--dry-run"]), 0);
    assert_eq!(warned(&["register", "--help"]), 0);
}

/// What nobody reads is told by init, and not what it reads itself or its hooks do.
#[test]
fn init_tells_of_all_that_nothing_reads() {
    let line = "kboot.wallpaper=blue kboot.required kboot.init.modules=llc kboot.init.ip=off kboot.rescue";
    let Some(host) = booted_with(line) else { return };
    let done = host.kboot(&["init", "--once", "--dry-run"]);
    assert!(done.ok().contains("modprobe llc\n"), "{done:?}");
    assert_eq!(done.stderr, "kboot init: warning: kernel parameter kboot.wallpaper: nothing reads it\n");
}

#[test]
fn the_logs_setting_has_one_too() {
    let Some(host) = booted_with("kboot.log=error") else { return };
    let args = ["register", "--subnet", "10.83.8.1/24", "--server", "127.0.0.1:1", "--timeout", "0"];
    let lines = |variables: &[&str]| {
        finish(host.command("env", variables).arg(binary()).args(args)).stderr.lines().count()
    };
    assert_eq!((lines(&[]), lines(&["KBOOT_LOG="])), (1, 1));
    assert!(lines(&["KBOOT_LOG=info"]) > 1);
    host.sh("echo kboot.log=loud >/run/cmdline");
    let done = host.kboot(&args);
    assert!(done.stderr.starts_with("kboot register: warning: kboot.log=loud: takes [LEVEL]"), "{done:?}");
}

/// Without /proc there is none to read, which is no error.
#[test]
fn a_host_without_proc_has_none() {
    let Some(host) = booted_with("kboot.bridge.mtu=huge") else { return };
    host.sh("mount -t tmpfs tmpfs /proc");
    let done = host.kboot(&["docker-flags", "--subnet", "10.83.9.1/24", "--bip", "--format", "flags"]);
    assert!(done.ok().contains("--bip=10.83.9.1/24"), "{done:?}");
}

//! The oldest kernel, Linux 3.16: its system calls, by tests/support/old_kernel.rs. scripts/test has cases of every
//! applet run so; here it is shown that they do.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::api::shared;
use crate::support::{Scratch, binary, finish, need, root_user};

/// kboot behind it. cargo builds examples with the tests.
fn old_kernel(dir: &Scratch) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let example = tests.parent().unwrap().parent().unwrap().join("examples/old-kernel");
    fs::copy(example, dir.path("kboot")).unwrap();
    symlink(binary(), dir.path("kboot.program")).unwrap();
    dir.path("kboot").into()
}

/// What a run that goes well asks of the kernel.
fn traced(program: &Path, args: &[&str]) -> Option<String> {
    let strace = need("strace", "tools")?;
    let dir = Scratch::new();
    let trace = dir.path("trace");
    finish(Command::new(strace).args(["-f", "-n", "-o", &trace, "--"]).arg(program).args(args)).ok();
    let calls = fs::read_to_string(trace).unwrap();
    // From kboot's own first on.
    Some(calls.split_once("kboot.program\"").unwrap().1.to_owned())
}

#[test]
fn calls_that_came_later_fail_and_the_work_is_done() {
    let Some(api) = shared().filter(|_| cfg!(target_arch = "x86_64")) else { return };
    let dir = Scratch::new();
    let old = old_kernel(&dir);
    let args = ["register", "--name", "old-kernel", "--subnet", "10.66.3.1/24", "--server", &api.url];
    let args = [&args[..], &["--cacert", &api.cacert, "--token-file", &api.token]].concat();
    let Some(trace) = traced(&old, &args) else { return };
    // PID [NUMBER] NAME(…) = …: all that it asks for beyond 316, renameat2.
    let number = |line: &&str| line.split(['[', ']']).nth(1).and_then(|n| n.trim().parse().ok());
    let newer: Vec<&str> = trace.lines().filter(|l| number(l).is_some_and(|n: u32| n > 316)).collect();
    let may_fail = |l: &&str| [" getrandom(", " close_range("].iter().any(|c| l.contains(c));
    assert!(newer.iter().all(|l| may_fail(l) && l.contains("ENOSYS")), "{newer:?}");
    assert!(newer.iter().any(|l| l.contains(" getrandom(")), "{newer:?}");
    assert!(trace.contains("/dev/urandom"), "{trace}");
    assert_eq!(api.node("old-kernel").unwrap()["spec"]["podCIDR"], "10.66.3.0/24");
}

/// br_netfilter's settings, on a kernel that calls itself 2.6 (personality(2)) and has a list of modules.
#[test]
fn before_3_18_they_are_the_bridge_modules() {
    if !root_user() {
        return;
    }
    let dir = Scratch::new();
    fs::create_dir(dir.path("proc")).unwrap();
    fs::copy(binary(), dir.path("kboot")).unwrap();
    let lines = "cd \"$0\" && mount -t proc proc proc && mount -t tmpfs none proc/sys/net/bridge || exit
        modules=lib/modules/$(setarch --uname-2.6 uname -r)
        mkdir -p $modules && echo kernel/net/bridge/bridge.ko: >$modules/modules.dep
        for kernel in --uname-2.6 --32bit; do
            setarch $kernel chroot . /kboot bridge --subnet 10.66.4.1/24 --no-masquerade --dry-run | head -n 1
        done";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--propagation", "private", "sh", "-c", lines, &dir.path("")]);
    let done = finish(&mut command);
    assert!(done.ok().starts_with("modprobe bridge\nip link add cbr0 "), "{done:?}");
    // Of one that calls itself what it is, there are no modules.
    assert_eq!(done.stderr.matches("module br_netfilter (").count(), 1, "{done:?}");
}

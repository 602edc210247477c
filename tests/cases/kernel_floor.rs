//! The oldest kernel, Linux 3.16: its system calls, by tests/support/old_kernel.rs. scripts/test has cases of every
//! applet run so; here it is shown that they do.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::api::shared;
use crate::support::{Scratch, binary, finish, need};

/// kboot behind it. cargo builds examples with the tests.
fn old_kernel(dir: &Scratch) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let example = tests.parent().unwrap().parent().unwrap().join("examples/old-kernel");
    fs::copy(example, dir.path("kboot")).unwrap();
    symlink(binary(), dir.path("kboot.program")).unwrap();
    dir.path("kboot").into()
}

fn traced(program: &Path, args: &[&str]) -> Option<String> {
    let strace = need("strace", "tools")?;
    let dir = Scratch::new();
    let trace = dir.path("trace");
    finish(Command::new(strace).args(["-f", "-o", &trace, "--"]).arg(program).args(args)).ok();
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
    let getrandom: Vec<&str> = trace.lines().filter(|l| l.contains(" getrandom(")).collect();
    assert!(!getrandom.is_empty() && getrandom.iter().all(|l| l.contains("ENOSYS")), "{getrandom:?}");
    assert!(trace.contains("/dev/urandom"), "{trace}");
    assert_eq!(api.node("old-kernel").unwrap()["spec"]["podCIDR"], "10.66.3.0/24");

    let lease =
        dir.file("subnet.env", "FLANNEL_SUBNET=10.66.3.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n");
    let become_true = ["flannel-env", "--env-file", &lease, "--allow-stale", "--", "/bin/true"];
    let trace = traced(&old, &become_true).unwrap();
    let close_range = trace.lines().find(|l| l.contains(" close_range("));
    assert!(close_range.is_none_or(|l| l.contains("ENOSYS")), "{close_range:?}");
}

//! kubelet-launch after its look: what keeps a kubelet, here a stand-in, from starting, and what does not.

use std::fs::{File, read_to_string};

use crate::support::preflight::{Fit, listen};
use crate::support::{binary, collect, until};

const SWAP: &str =
    "printf 'Filename\n/dev/vdb2 partition 9 0 -2\n' >/run/on; mount --bind /run/on /proc/swaps";
const ON: &str = "swap: swap is on (/dev/vdb2): kubelet 1.30 does not start with it (failSwapOn): swapoff -a, and \
    out of /etc/fstab with it; or give --allow-swap";

/// A host, and words that launch its stand-in kubelet.
fn fit() -> Option<(Fit, String)> {
    let fit = Fit::new()?;
    let kubelet = fit.stand_in();
    Some((
        fit,
        format!(
            "--subnet 10.20.7.1/24 --bridge pods0 --kubelet-version 1.30 --server http://127.0.0.1:9 \
             --kubelet {kubelet}"
        ),
    ))
}

#[test]
fn a_blocker_is_the_error_and_nothing_starts() {
    let Some((fit, words)) = fit() else { return };
    let files = fit.sh("find /run /etc ! -path '/run/kboot*'");
    let done = fit.after(SWAP, &words);
    assert_eq!((done.code, done.stdout.as_str()), (3, ""), "{done:?}");
    assert!(done.stderr.ends_with(&format!("kboot kubelet-launch: {ON}\n")), "{done:?}");
    assert_eq!(done.stderr.matches("swap is on").count(), 1, "told once: {done:?}");
    assert!(!fit.was_started());
    assert_eq!(fit.sh("rm /run/on; find /run /etc ! -path '/run/kboot*'"), files, "nothing is written");
    let two = fit.after(&format!("{SWAP}; umount -R /sys/fs/cgroup; umount -R -l /run/machine"), &words);
    assert!(two.stderr.ends_with(" (and 1 more: --check lists them)\n") && two.code == 3, "{two:?}");
    assert!(two.stderr.contains("warning: swap: swap is on") && !fit.was_started(), "{two:?}");
    let well = fit.after("", &words);
    assert!(well.code == 0 && fit.was_started(), "{well:?}");
}

#[test]
fn what_is_ignored_is_told_and_starts() {
    let Some((fit, words)) = fit() else { return };
    for ignore in ["--ignore swap", "--ignore all", "--ignore ports --ignore swap"] {
        let done = fit.after(SWAP, &format!("{ignore} {words}"));
        assert!(done.code == 0 && done.stderr.contains(&format!("warning: {ON}\n")), "{done:?}");
        assert!(fit.was_started(), "{ignore}");
    }
    let other = fit.after(SWAP, &format!("--ignore ports {words}"));
    assert!(other.code == 3 && !fit.was_started(), "{other:?}");
    let check = fit.after(SWAP, &format!("--check --ignore swap {words}"));
    assert!(check.code == 0 && check.stdout.contains("\nwarning  swap "), "{check:?}");
    assert_eq!(
        fit.after("", &format!("--ignore swp {words}")).error(),
        (2, "kboot kubelet-launch: --ignore swp: there is no such check: did you mean swap?")
    );
    assert_eq!(
        fit.after("", &format!("--ignore nonsense {words}")).error(),
        (2, "kboot kubelet-launch: --ignore nonsense: there is no such check")
    );
    assert!(!fit.was_started());
}

#[test]
fn the_runtime_is_waited_for() {
    let Some((fit, words)) = fit() else { return };
    let words = format!("{words} --runtime /run/containerd/late.sock");
    let late = fit.after("", &format!("--timeout 300ms {words}"));
    assert_eq!(late.code, 75, "{late:?}");
    let last = late.stderr.lines().last().unwrap();
    assert!(
        last.starts_with("kboot kubelet-launch: the container runtime does not answer: ")
            && last.contains("/run/containerd/late.sock")
            && last.contains("is not there"),
        "{late:?}"
    );
    assert!(!fit.was_started());
    // A dry run, a check and who ignores it do not wait.
    let dry = fit.after("", &format!("--dry-run {words}"));
    assert!(dry.ok().contains("--hostname-override=10.20.7.1") && !fit.was_started(), "{dry:?}");
    assert!(
        dry.stderr.contains("warning: runtime: unix:///run/containerd/late.sock: is not there"),
        "{dry:?}"
    );
    assert_eq!(fit.after("", &format!("--check {words}")).code, 3);
    assert_eq!(fit.after("", &format!("--ignore runtime {words}")).code, 0);
    assert!(fit.was_started());

    let log = fit.scratch.path("log");
    let mut command = fit.command(binary(), &["kubelet-launch"]);
    let waiting = command.args(words.split_whitespace()).stderr(File::create(&log).unwrap()).spawn().unwrap();
    until("it waits", || read_to_string(&log).unwrap().contains("late.sock"));
    let _late = listen(&fit, "UNIX-LISTEN:/run/containerd/late.sock,fork");
    let done = collect(waiting);
    assert!(done.code == 0 && fit.was_started(), "{done:?}");
}

#[test]
fn fix_in_a_launch() {
    let Some((fit, words)) = fit() else { return };
    fit.sh("rmdir /etc/kubernetes/manifests; echo 0 >/proc/sys/net/ipv4/ip_forward");
    let dry = fit.after("", &format!("--fix --dry-run {words}"));
    assert!(
        dry.ok().starts_with("sysctl -w net.ipv4.ip_forward=1\nmkdir -p /etc/kubernetes/manifests\n"),
        "{dry:?}"
    );
    assert_eq!(fit.sh("cat /proc/sys/net/ipv4/ip_forward; ls /etc/kubernetes"), "0\n", "as it was");
    let without = fit.after("", &words);
    assert!(without.code == 0 && without.stderr.contains("warning: ip_forward: "), "{without:?}");
    assert!(fit.was_started(), "a warning does not keep it");
    let done = fit.after("", &format!("--fix {words}"));
    assert!(done.code == 0 && fit.was_started() && !done.stderr.contains("warning: ip_forward"), "{done:?}");
    assert_eq!(fit.sh("cat /proc/sys/net/ipv4/ip_forward; ls /etc/kubernetes"), "1\nmanifests\n");
}

/// A dry run says what would stand against it, and goes on.
#[test]
fn a_dry_run_tells_blockers() {
    let Some((fit, words)) = fit() else { return };
    assert_eq!(
        fit.after("", &format!("--json {words}")).json()["error"],
        "--json goes with --check or --dry-run: kboot becomes the kubelet"
    );
    let json = fit.after(SWAP, &format!("--dry-run --json {words}")).json();
    assert_eq!((&json["exit"], &json["dryRun"]), (&0.into(), &true.into()));
    assert!(json["warnings"].as_array().unwrap().contains(&ON.into()), "{json}");
    assert!(json["found"]["findings"].is_array() && !fit.was_started());
}

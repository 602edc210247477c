//! flannel-env: waiting, formats, exec.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Scratch, collect, finish, kboot, run, until};

const LEASE: &str =
    "FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.17.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";

#[test]
fn it_waits_for_a_directory_then_a_rename() {
    let dir = Scratch::new();
    let path = dir.path("run/flannel/subnet.env");
    let mut child =
        kboot(&["flannel-env", "--env-file", &path, "--get", "FLANNEL_SUBNET_IP", "--timeout", "30s"]);
    let child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("it waits in poll", || {
        fs::read_to_string(format!("/proc/{}/wchan", child.id())).is_ok_and(|w| w.contains("poll"))
    });
    fs::create_dir_all(dir.path("run/flannel")).unwrap();
    // As flannel 0.1 wrote it: in place, byte by byte; only the whole file counts.
    fs::write(&path, "").unwrap();
    fs::write(&path, "FLANNEL_SUBNET=10.42.17.1/24\nFLANNEL_MTU=14").unwrap();
    let temporary = dir.file("run/flannel/.subnet.env", LEASE);
    fs::rename(temporary, &path).unwrap();
    let done = collect(child);
    assert_eq!(done.ok(), "10.42.17.1\n");
    assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    assert!(done.stderr.starts_with(&format!("kboot flannel-env: waiting for {path}: is not there yet")));
}

#[test]
fn while_it_waits_it_sleeps() {
    let dir = Scratch::new();
    let path = dir.path("subnet.env");
    let child = kboot(&["flannel-env", "--env-file", &path, "--timeout", "1s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let switches = || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:")).map(str::trim);
        line.and_then(|n| n.parse::<u32>().ok())
    };
    until("it waits", || switches().is_some_and(|n| n > 0));
    let started = Instant::now();
    let mut last = 0;
    while let Some(now) = switches() {
        last = now;
        std::thread::sleep(Duration::from_millis(20));
        if started.elapsed() > Duration::from_secs(5)
            || fs::read_to_string(format!("/proc/{}/stat", child.id())).is_ok_and(|s| s.contains(") Z"))
        {
            break;
        }
    }
    assert!(last < 20, "{last} wake-ups in a second of waiting");
    let done = collect(child);
    assert_eq!(done.code, 75);
    assert!(
        done.stderr.ends_with("subnet.env: not within 1s: is not there yet (flanneld writes it)\n"),
        "{done:?}"
    );
}

#[test]
fn every_form_is_read_back_by_its_own_reader() {
    let dir = Scratch::new();
    let path = dir.file("subnet.env", LEASE);
    let get = |form| run(&["flannel-env", "--env-file", &path, "--format", form]).ok().to_owned();
    for form in ["sh", "export", "env"] {
        let script = format!(
            "{}echo $FLANNEL_SUBNET $FLANNEL_SUBNET_NETWORK $FLANNEL_SUBNET_LEN $FLANNEL_MTU",
            get(form)
        );
        for shell in ["dash", "bash"] {
            let done = finish(std::process::Command::new(shell).args(["-c", &script]));
            assert_eq!(done.ok(), "10.42.17.1/24 10.42.17.0/24 24 1450\n", "{shell}");
        }
    }
    assert!(get("export").lines().all(|l| l.starts_with("export FLANNEL_")));
    let file = dir.file("lease.json", get("json"));
    assert_eq!(crate::support::tool("jq", &["-r", ".FLANNEL_SUBNET_LAST", &file]), "10.42.17.254\n");
    let json: serde_json::Value = serde_json::from_str(&get("json")).unwrap();
    assert_eq!((&json["FLANNEL_SUBNET_IP"], &json["FLANNEL_IPMASQ"]), (&"10.42.17.1".into(), &"true".into()));
    let report = run(&["flannel-env", "--env-file", &path, "--json"]).json();
    assert_eq!(report["found"]["lease"]["FLANNEL_MTU"], "1450");
    assert_eq!(run(&["flannel-env", "--env-file", &path]).ok(), get("sh"), "sh is the default");
}

#[test]
fn one_value_or_a_clear_no() {
    let dir = Scratch::new();
    let path = dir.file("subnet.env", LEASE);
    let get = |name| run(&["flannel-env", "--env-file", &path, "--get", name]);
    assert_eq!(get("FLANNEL_MTU").ok(), "1450\n");
    assert_eq!(
        get("FLANNEL_IPV6_SUBNET").error(),
        (1, format!("kboot flannel-env: {path}: has no FLANNEL_IPV6_SUBNET").as_str())
    );
    assert_eq!(get("FLANNEL_FOO").code, 2);
}

#[test]
fn the_lease_is_read_and_never_executed() {
    let dir = Scratch::new();
    let trace = dir.path("executed");
    let path = dir.file("subnet.env", format!("FLANNEL_SUBNET=10.1.2.1/24\nFLANNEL_MTU=$(touch {trace})\n"));
    assert_eq!(run(&["flannel-env", "--env-file", &path, "--timeout", "0"]).code, 1);
    assert!(fs::metadata(trace).is_err());
}

#[test]
fn it_becomes_the_command_with_the_variables_set() {
    let dir = Scratch::new();
    let path = dir.file("subnet.env", LEASE);
    let done = run(&[
        "flannel-env",
        "--env-file",
        &path,
        "--",
        "sh",
        "-c",
        "echo $0 $FLANNEL_SUBNET_IP; exit 7",
        "arg",
    ]);
    assert_eq!((done.code, done.stdout.as_str()), (7, "arg 10.42.17.1\n"));
    let missing = run(&["flannel-env", "--env-file", &path, "--", "no-such-program"]);
    assert_eq!(missing.error(), (127, "kboot flannel-env: no-such-program: no such program"));
    let plain = dir.file("plain", "#!/bin/sh\n");
    let blocked = run(&["flannel-env", "--env-file", &path, "--", &plain]);
    assert_eq!(
        blocked.error(),
        (126, format!("kboot flannel-env: {plain}: is not an executable file").as_str())
    );
    let dry = run(&["flannel-env", "--env-file", &path, "--dry-run", "--", "dockerd", "-D"]);
    assert!(
        dry.ok().starts_with("env FLANNEL_NETWORK=10.42.0.0/16 ") && dry.stdout.ends_with(" dockerd -D\n"),
        "{dry:?}"
    );
}

/// What the environment holds of an older lease does not mix with this one.
#[test]
fn the_command_sees_one_lease() {
    let dir = Scratch::new();
    let path = dir.file("subnet.env", "FLANNEL_SUBNET=10.42.17.1/24\nFLANNEL_MTU=1450\n");
    let mut command = kboot(&["flannel-env", "--env-file", &path, "--", "env"]);
    let done = finish(
        command.env("FLANNEL_IPV6_SUBNET", "fd00::1/64").env("FLANNEL_IPMASQ", "true").env("OTHER", "x"),
    );
    assert!(
        !done.ok().contains("FLANNEL_IPV6_SUBNET") && !done.stdout.contains("FLANNEL_IPMASQ"),
        "{done:?}"
    );
    assert!(done.stdout.contains("FLANNEL_SUBNET_IP=10.42.17.1\n") && done.stdout.contains("OTHER=x\n"));
}

/// A shell that once read a lease would keep it for good.
#[test]
fn an_older_lease_in_the_environment_is_warned_about() {
    if !crate::support::root_user() {
        return;
    }
    let host = crate::support::host::Host::new();
    host.sh("mkdir /run/flannel && printf 'FLANNEL_SUBNET=10.42.18.1/24\nFLANNEL_MTU=1450\n' >/run/flannel/subnet.env");
    let done = host.sh(&format!(
        "FLANNEL_SUBNET=10.42.17.1/24 {} docker-flags --bip 2>&1",
        crate::support::binary().display()
    ));
    assert!(done.contains("warning: /run/flannel/subnet.env has another lease, 10.42.18.1/24: unset FLANNEL_SUBNET to use it"), "{done}");
    assert!(done.contains("--bip=10.42.17.1/24"), "{done}");
}

/// An option says where the lease is, or what is in its place; FLANNEL_SUBNET, which a shell may have kept, does not.
#[test]
fn a_fixed_subnet_is_in_the_leases_place() {
    let dir = Scratch::new();
    let file = dir.file("subnet.env", LEASE);
    let get = |words: &[&str], subnet: &str| {
        let mut command = kboot(&["flannel-env", "--timeout", "0", "--get", "FLANNEL_SUBNET"]);
        finish(command.args(words).env("KBOOT_SUBNET", subnet).env("FLANNEL_SUBNET", "10.1.1.1/24"))
    };
    assert_eq!(get(&[], "10.10.48.1/24").ok(), "10.10.48.1/24\n");
    assert_eq!(get(&["--env-file", &file], "10.10.48.1/24").ok(), "10.42.17.1/24\n");
    assert_eq!(get(&["--subnet", "10.3.3.1/24"], "10.10.48.1/24").ok(), "10.3.3.1/24\n");
    for (words, subnet, code, why) in [
        (&["--subnet", "10.3.3.1/24", "--env-file", &file][..], "", 2, "a lease comes from one place"),
        (
            &["--subnet", "10.3.3.1/24", "--lease-of", "http://127.0.0.1:1"],
            "",
            2,
            "does not go with --subnet",
        ),
        (&[], "10.10.48.1/33", 2, "KBOOT_SUBNET=10.10.48.1/33"),
    ] {
        let done = get(words, subnet);
        assert!(done.code == code && done.stderr.contains(why), "{done:?}");
    }
    let mut command = kboot(&["flannel-env", "--subnet", "10.3.3.1/24", "--", "env"]);
    let done = finish(command.env("FLANNEL_MTU", "1400").env("FLANNEL_SUBNET", "10.1.1.1/24"));
    assert!(
        done.ok().contains("\nFLANNEL_SUBNET_LAST=10.3.3.254\n") && !done.stdout.contains("1400"),
        "{done:?}"
    );
    let mut command = kboot(&["flannel-env", "--get", "FLANNEL_MTU"]);
    let done = finish(command.env("KBOOT_SUBNET", "10.3.3.1/24"));
    assert_eq!(done.error(), (1, "kboot flannel-env: KBOOT_SUBNET: has no FLANNEL_MTU"));
}

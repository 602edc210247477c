//! docker-flags: forms, and files that stay somebody's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{Scratch, finish, kboot, need, root_user, run};

const LEASE: &str = "FLANNEL_SUBNET=10.9.33.1/24\nFLANNEL_MTU=1422\nFLANNEL_IPMASQ=true\n";

#[test]
fn flags_and_a_variable() {
    let dir = Scratch::new();
    let path = dir.file("subnet.env", LEASE);
    let get = |args: &[&str]| run(&[&["docker-flags", "--env-file", &path], args].concat()).ok().to_owned();
    assert_eq!(get(&["--bridge", "br7"]), "--bridge=br7 --iptables=false --ip-masq=false --mtu=1422\n");
    assert_eq!(get(&["--bip"]), "--bip=10.9.33.1/24 --ip-masq=false --mtu=1422\n");
    assert_eq!(get(&["--bip", "--mtu", "1300"]), "--bip=10.9.33.1/24 --ip-masq=false --mtu=1300\n");
    let env = get(&["--bridge=br7", "--format=env", "--key=DOCKER_NETWORK_OPTIONS"]);
    let done = finish(Command::new("sh").args(["-c", &format!("{env}echo $DOCKER_NETWORK_OPTIONS")]));
    assert_eq!(done.ok(), "--bridge=br7 --iptables=false --ip-masq=false --mtu=1422\n");
}

#[test]
fn the_lease_from_the_environment() {
    let mut command = kboot(&["docker-flags", "--bip"]);
    let done = finish(command.env("FLANNEL_SUBNET", "10.5.6.1/25").env("FLANNEL_MTU", "1400"));
    assert_eq!(done.ok(), "--bip=10.5.6.1/25 --mtu=1400\n");
}

#[test]
fn a_file_keeps_what_is_not_kboots() {
    let dir = Scratch::new();
    let lease = dir.file("subnet.env", LEASE);
    let path =
        dir.file("docker", "# mine\nDOCKER_OPTS=\"--dns 192.0.2.53 --bip=1.2.3.4/24\"\nexport TMPDIR=/x\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let args =
        ["docker-flags", "--env-file", &lease, "--bridge", "br7", "--format", "env", "--output", &path];
    let want = "# mine\nDOCKER_OPTS=\"--dns 192.0.2.53 --bridge=br7 --iptables=false --ip-masq=false --mtu=1422\"\nexport TMPDIR=/x\n";
    let dry = run(&[&args[..], &["--dry-run"]].concat());
    assert!(
        dry.ok().starts_with(&format!("edit {path}: DOCKER_OPTS=\"--dns"))
            && fs::read_to_string(&path).unwrap().contains("1.2.3.4"),
        "{dry:?}"
    );
    let done = run(&args);
    assert!(done.stderr.contains("(1 changed, 0 already so)"), "{done:?}");
    assert!(
        done.stderr.contains("warning: ")
            && done.stderr.contains("--bip=1.2.3.4/24 makes room for --bridge=br7"),
        "{done:?}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), want);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(run(&args).stderr.contains("(0 changed, 1 already so)"));
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 2, "no temporary file is left");
}

#[test]
fn a_file_of_something_else_is_not_overwritten() {
    let dir = Scratch::new();
    let lease = dir.file("subnet.env", LEASE);
    let path = dir.file("docker", "TMPDIR=/x\n");
    let done = run(&["docker-flags", "--env-file", &lease, "--bip", "--output", &path]);
    assert_eq!(done.error(), (3, format!("kboot docker-flags: {path}: holds something else than a line of flags: --format env, or another file").as_str()));
    let shell = dir.file("shell", "DOCKER_OPTS=\"$MORE\"\n");
    let done = run(&["docker-flags", "--env-file", &lease, "--bip", "--format", "env", "--output", &shell]);
    assert_eq!(done.code, 3);
    assert_eq!(fs::read_to_string(shell).unwrap(), "DOCKER_OPTS=\"$MORE\"\n");
    for missing in [dir.path("no/file"), dir.path("")] {
        assert_eq!(run(&["docker-flags", "--env-file", &lease, "--bip", "--output", &missing]).code, 2);
    }
}

/// dockerd itself reads the flags: it stops at the first that it does not know, before anything else.
#[test]
fn the_real_dockerd_takes_the_flags() {
    let Some(dockerd) = need("dockerd", "docker").filter(|_| root_user()) else { return };
    let dir = Scratch::new();
    let lease = dir.file("subnet.env", LEASE);
    for args in [&["--bridge", "br7"][..], &["--bip"]] {
        let flags = run(&[&["docker-flags", "--env-file", &lease], args].concat());
        let flags: Vec<&str> = flags.ok().split_whitespace().collect();
        // --version after them: all flags are parsed, then it ends.
        let done = finish(Command::new(&dockerd).args(&flags).arg("--version"));
        assert!(done.ok().starts_with("Docker version"), "{done:?}");
        assert_ne!(finish(Command::new(&dockerd).args(&flags).args(["--nonsense", "--version"])).code, 0);
    }
}

#[test]
fn links_and_what_killed_runs_left() {
    let dir = Scratch::new();
    let lease = dir.file("subnet.env", LEASE);
    let args = |path: &str| {
        run(&["docker-flags", "--env-file", &lease, "--bip", "--format", "env", "--output", path])
    };
    let real = dir.file("real", "X=1\n");
    let link = dir.path("link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    // A pid that no process has any more, as a killed run would have left it.
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let left = dir.file(&format!(".real.kboot-{}", gone.id()), "half");
    assert_eq!(args(&link).code, 0);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&real).unwrap().starts_with("X=1\nDOCKER_OPTS="));
    assert!(fs::metadata(left).is_err(), "swept away");
    let dangling = dir.path("dangling");
    std::os::unix::fs::symlink(dir.path("nothing"), &dangling).unwrap();
    assert_eq!(args(&dangling).error(), (1, format!("kboot docker-flags: edit {dangling}: DOCKER_OPTS=\"--bip=10.9.33.1/24 --ip-masq=false --mtu=1422\": {dangling}: is a symbolic link to nothing").as_str()));
    assert_eq!(args("-").ok(), "DOCKER_OPTS=\"--bip=10.9.33.1/24 --ip-masq=false --mtu=1422\"\n");
}

/// What kboot wrote for another bridge, lease or docker makes room for what it writes now, in every form.
#[test]
fn nothing_of_an_earlier_call_stays_behind() {
    let dir = Scratch::new();
    let dual = ["--subnet", "10.9.33.1/24", "--subnet", "fd00:9:33::1/64"];
    let single = ["--subnet", "10.9.33.1/24"];
    for (format, name) in [("env", "docker"), ("daemon-json", "daemon.json"), ("flags", "flags")] {
        let path = dir.path(name);
        let write = |version: &str, more: &[&str]| {
            let args = ["docker-flags", "--mtu", "1422", "--format", format, "--output", &path];
            let done = run(&[&args[..], &["--docker-version", version], more].concat());
            assert_eq!(done.code, 0, "{done:?}");
            fs::read_to_string(&path).unwrap()
        };
        let bridge = [&single[..], &["--bridge", "br7"]].concat();
        let plain = write("20.10.24", &bridge);
        for (version, before) in [
            ("28.2.1", [&dual[..], &["--bip"]].concat()),
            ("28.2.1", [&dual[..], &["--bridge", "br7"]].concat()),
            ("24.0.0", [&single[..], &["--bip"]].concat()),
            ("20.10.24", [&dual[..], &["--bip"]].concat()),
        ] {
            assert_ne!(write(version, &before), plain, "{format} {version} {before:?}");
            let now = write("20.10.24", &bridge);
            let keys = |text: &str| {
                let mut words: Vec<String> = text
                    .split([' ', '"', '\n', ','])
                    .map(|w| w.trim_start_matches("DOCKER_OPTS=").to_owned())
                    .filter(|w| !w.is_empty())
                    .collect();
                words.sort();
                words
            };
            assert_eq!(keys(&now), keys(&plain), "{format} {version} {before:?}");
        }
    }
}

//! Bad input for every applet: the exit status of DESIGN §3, one line, nothing else.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::support::{Done, Scratch, finish, kboot, run};

/// Each applet with arguments that are enough for it, as far as its input goes.
const CALLS: [(&str, &[&str]); 7] = [
    ("etcd-config", &["--network", "10.7.0.0/16", "--endpoints", "http://127.0.0.1:1"]),
    ("flannel-env", &[]),
    ("bridge", &["--no-masquerade"]),
    ("docker-flags", &["--bridge", "br-pods"]),
    ("cni-config", &["--output", "-"]),
    ("kubelet-launch", &["--kubelet-version", "1.1", "--server", "10.99.0.1:8080", "--dry-run"]),
    ("register", &["--server", "http://127.0.0.1:1"]),
];

fn one_line(applet: &str, done: &Done, code: i32) {
    assert_eq!(done.code, code, "{applet}: {done:?}");
    assert_eq!(done.stdout, "", "{applet}");
    assert_eq!(done.stderr.lines().count(), 1, "{applet}: {done:?}");
    assert!(done.stderr.starts_with(&format!("kboot {applet}: ")), "{done:?}");
    assert!(!done.stderr.contains("panic") && !done.stderr.contains("internal error"), "{done:?}");
}

fn call(applet: &str, enough: &[&str], more: &[&str]) -> Done {
    run(&[&[applet, "--timeout", "0"], enough, more].concat())
}

#[test]
fn usage_errors_of_every_applet() {
    for (applet, enough) in CALLS {
        for (more, says) in [
            (&["--nonsense"][..], "unknown option --nonsense"),
            (&["--timout", "1"], "unknown option --timout: did you mean --timeout?"),
            (&["--timeout", "5m"], "--timeout is given twice"),
            (&["word"], "stray word \"word\": options start with --"),
            (&["--json=1"], "--json takes no value"),
            (&["-z"], "unknown option -z"),
        ] {
            let done = call(applet, enough, more);
            one_line(applet, &done, 2);
            assert_eq!(done.stderr, format!("kboot {applet}: {says}\n"));
        }
        let done = run(&[&[applet, "--timeout=soon"], enough].concat());
        one_line(applet, &done, 2);
        assert!(done.stderr.contains("--timeout soon: is not a duration"), "{done:?}");
        let done = run(&[&[applet], enough, &["--timeout"]].concat());
        assert_eq!(done.stderr, format!("kboot {applet}: --timeout needs a value\n"));
        let mut command = kboot(&[applet]);
        command.args(enough).arg(OsStr::from_bytes(b"--prefix=\xff\xfe"));
        one_line(applet, &finish(&mut command), 2);
    }
}

/// A name, a subnet, a lease file: what the applets have in common.
#[test]
fn bad_values_of_every_applet_that_takes_them() {
    for (applet, enough) in CALLS {
        if !matches!(applet, "etcd-config" | "flannel-env") {
            for subnet in ["10.7.3.1/33", "10.7.3.1", "", "10.7.3/24", "fd00::1/129", "0.0.0.0/0", "junk"] {
                let done = call(applet, enough, &["--subnet", subnet]);
                one_line(applet, &done, 2);
                assert!(done.stderr.contains("--subnet"), "{done:?}");
            }
            let done = call(applet, enough, &["--subnet", "10.7.3.1/24", "--subnet", "10.8.3.1/24"]);
            one_line(applet, &done, 2);
            let done = call(applet, enough, &["--subnet", "10.7.3.1/24", "--env-file", "/x"]);
            one_line(applet, &done, 2);
        }
    }
    let long = "abcdefghijklmnop";
    for (applet, args) in [
        ("bridge", &["--name", long][..]),
        ("bridge", &["--out-interface", long]),
        ("docker-flags", &["--bridge", long]),
    ] {
        let done = run(&[&[applet], args].concat());
        one_line(applet, &done, 2);
        assert!(done.stderr.ends_with("an interface name has at most 15 bytes, this one 16\n"), "{done:?}");
    }
    for (applet, option) in
        [("etcd-config", "--network"), ("bridge", "--masquerade"), ("etcd-config", "--service-cidr")]
    {
        one_line(applet, &run(&[applet, option, "10.0.0.0/33"]), 2);
    }
}

#[test]
fn lease_files_that_are_none() {
    let dir = Scratch::new();
    let empty = dir.file("empty", "");
    let partial = dir.file("partial", "FLANNEL_SUBNET=10.7.3.1/24\nFLANNEL_MT");
    let junk = dir.file("junk", [0xff, 0x00, 0x7f, 0x45, 0x4c, 0x46]);
    let wrong = dir.file("wrong", "FLANNEL_SUBNET=10.7.3.1/33\nFLANNEL_MTU=1450\n");
    let cases = [
        (dir.path("missing"), 75, "is not there yet (flanneld writes it)"),
        (dir.path("no/such/dir"), 75, "is not there yet (flanneld writes it)"),
        (empty, 75, "is empty"),
        (partial, 75, "has no FLANNEL_MTU yet"),
        (dir.path(""), 1, "is a directory, not a file"),
        (junk, 1, "is not text"),
        (wrong, 1, "line 1: FLANNEL_SUBNET=10.7.3.1/33: the prefix length is not a number from 0 to 32"),
    ];
    for (applet, enough) in CALLS.iter().filter(|(a, _)| *a != "etcd-config") {
        for (path, code, says) in &cases {
            let done = call(applet, enough, &["--env-file", path]);
            // kubelet-launch and register say first which server they took.
            let last = done.stderr.lines().last().unwrap_or_default();
            assert_eq!(
                (done.code, last),
                (*code, format!("kboot {applet}: {path}: {says}").as_str()),
                "{done:?}"
            );
            assert_eq!(done.stdout, "");
        }
    }
}

#[test]
fn files_that_the_operator_names_and_that_are_none() {
    let dir = Scratch::new();
    let empty = dir.file("empty", "");
    let junk = dir.file("junk", [0x7f, 0x45, 0x00, 0xff]);
    let (missing, directory) = (dir.path("missing"), dir.path(""));
    let register =
        ["register", "--subnet", "10.7.3.1/24", "--server", "https://127.0.0.1:1", "--timeout", "0"];
    let etcd = ["etcd-config", "--endpoints", "https://127.0.0.1:1", "--timeout", "0"];
    let launch = ["kubelet-launch", "--kubelet-version", "1.20.2", "--subnet", "10.7.3.1/24", "--dry-run"];
    for path in [&empty, &junk, &missing, &directory] {
        for (call, options) in [
            (&register[..], &["--token-file"][..]),
            (&register, &["--cacert"]),
            (&register, &["--cert"]),
            (&register[..3], &["--kubeconfig"]),
            (&launch, &["--kubeconfig"]),
            (&etcd, &["--file"]),
            (&etcd, &["--network", "10.7.0.0/16", "--cacert"]),
            (&etcd, &["--network", "10.7.0.0/16", "--cert"]),
        ] {
            let done = run(&[call, options, &[path.as_str()]].concat());
            let last = done.stderr.lines().last().unwrap_or_default();
            assert_eq!(done.code, 2, "{call:?} {options:?}: {done:?}");
            assert!(last.contains(path.as_str()), "{options:?}: {done:?}");
            assert_eq!(done.stdout, "");
        }
    }
}

#[test]
fn an_empty_value_is_an_unset_variable() {
    for (applet, option) in [
        ("bridge", "--subnet"),
        ("etcd-config", "--endpoints"),
        ("register", "--server"),
        ("kubelet-launch", "--pause-image"),
        ("docker-flags", "--output"),
        ("flannel-env", "--get"),
    ] {
        let says = format!("kboot {applet}: {option} '': is empty (an unset variable?)");
        assert_eq!(run(&[applet, option, ""]).error(), (2, says.as_str()));
        assert_eq!(run(&[applet, &format!("{option}=")]).error(), (2, says.as_str()));
    }
}

#[test]
fn a_value_from_the_environment_is_named_by_its_variable() {
    for (name, value, says) in [
        ("KBOOT_BRIDGE_NAME", "a/b", "KBOOT_BRIDGE_NAME=a/b: an interface name has no '/'"),
        ("KBOOT_MTU", "12", "KBOOT_MTU=12: is no MTU: give a number from 68 to 65535"),
        ("KBOOT_DRY_RUN", "maybe", "KBOOT_DRY_RUN=maybe: takes 1 or 0"),
        (
            "FLANNEL_SUBNET",
            "10.7.3.1/99",
            "FLANNEL_SUBNET=10.7.3.1/99: the prefix length is not a number from 0 to 32",
        ),
    ] {
        let done = finish(kboot(&["bridge"]).env(name, value));
        assert_eq!(done.error(), (2, format!("kboot bridge: {says}").as_str()));
    }
}

#[test]
fn options_that_contradict_each_other() {
    for (args, says) in [
        (
            &["bridge", "--no-masquerade", "--masquerade", "10.7.0.0/16"][..],
            "--no-masquerade goes with neither --masquerade nor --out-interface",
        ),
        (&["docker-flags"], "give --bridge NAME (kboot's bridge) or --bip (docker0)"),
        (
            &["docker-flags", "--bip", "--bridge", "x"],
            "--bridge and --bip are both given: dockerd refuses the two together",
        ),
        (&["docker-flags", "--bip", "--key", "X"], "--key goes with --format env"),
        (
            &["flannel-env", "--get", "FLANNEL_SUBNET", "--format", "json"],
            "--get prints one bare value: it does not go with --format",
        ),
        (
            &["flannel-env", "--format", "sh", "--", "true"],
            "--format and --get print: they do not go with a command",
        ),
        (&["flannel-env", "--"], "a command follows --"),
        (&["bridge", "--", "x"], "nothing can follow --"),
        (&["etcd-config"], "give the config: --file PATH or --network CIDR"),
        (
            &["etcd-config", "--file", "x", "--network", "10.7.0.0/16"],
            "--file and --network are both given: one config comes from one place",
        ),
        (&["register", "--key", "x"], "--key goes with --cert"),
    ] {
        assert_eq!(run(args).error(), (2, format!("kboot {}: {says}", args[0]).as_str()));
    }
    // These print their object, which says the same.
    for args in [
        &["flannel-env", "--json", "--format", "sh"][..],
        &["kubelet-launch", "--json"],
        &["flannel-env", "--json", "--", "true"],
    ] {
        let done = run(args);
        assert_eq!(done.code, 2);
        assert_eq!((&done.json()["exit"], &done.json()["outcome"]), (&2.into(), &"usage".into()));
    }
}

//! kubelet-launch: limits, priorities, variables and descriptors of the kubelet, exec'd and supervised.

use std::fs;
use std::process::Command;

use crate::support::supervised::{ENOUGH, FOREVER, Supervised, stand_in};
use crate::support::{Scratch, binary, finish, kboot, root_user, run};

const UNASKED: [&str; 2] = ["--healthz-port", "0"];

/// The soft and hard limit of open files of a process, its oom_score_adj, and its nice value.
fn settings(pid: &str) -> (String, String, String) {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let files = limits.lines().find_map(|l| l.strip_prefix("Max open files")).unwrap();
    let files: Vec<&str> = files.split_whitespace().take(2).collect();
    let points = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Field 19, counted behind the name in brackets, which is the second.
    let nice = stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap();
    (files.join(" "), points.trim().to_owned(), nice.to_owned())
}

#[test]
fn limits_and_priorities_are_the_kubelets_alone() {
    let own = settings("self");
    let options = [&UNASKED[..], &["--nofile", "4321", "--oom-score-adj=321", "--nice", "7"]].concat();
    let kboot = Supervised::start(FOREVER, &options);
    let kubelet = kboot.kubelet(1).to_string();
    assert_eq!(settings(&kubelet), ("4321 4321".into(), "321".into(), "7".into()));
    assert_eq!(settings(&kboot.pid.to_string()), own);
    assert_eq!(kboot.stop().0, 143);
    // Without the options nothing is changed.
    let kboot = Supervised::start(FOREVER, &UNASKED);
    assert_eq!(settings(&kboot.kubelet(1).to_string()), own);

    let dir = Scratch::new();
    let show = "grep files /proc/self/limits; cat /proc/self/oom_score_adj; nice";
    let kubelet = stand_in(&dir, show);
    let done = run(&[
        &ENOUGH[..],
        &["--kubelet", &kubelet, "--nofile=3000", "--oom-score-adj", "77", "--nice", "3"],
    ]
    .concat());
    let words: Vec<&str> = done.ok().split_whitespace().collect();
    assert_eq!(words, ["Max", "open", "files", "3000", "3000", "files", "77", "3"]);
}

/// It sets both itself when it starts.
#[test]
fn the_kubelet_is_told_them_too() {
    let words =
        ["kubelet-launch", "--dry-run", "--server", "http://192.0.2.1:8080", "--subnet", "10.20.7.1/24"];
    let asked = ["--nofile", "4321", "--oom-score-adj=-321", "--kubelet-version"];
    for (version, says) in [
        ("1.9", &["--oom-score-adj=-321", "--max-open-files=4321"][..]),
        ("1.30", &["\"oomScoreAdj\":-321", "\"maxOpenFiles\":4321"]),
    ] {
        let done = run(&[&words[..], &asked, &[version]].concat());
        assert!(says.iter().all(|part| done.ok().contains(part)), "{version}: {done:?}");
        let unasked = run(&[&words[..], &["--kubelet-version", version]].concat());
        assert!(says.iter().all(|part| !unasked.ok().contains(part)), "{version}: {unasked:?}");
    }
}

#[test]
fn what_is_out_of_range_is_refused_before_anything() {
    for (options, says) in [
        (&["--nice", "20"][..], "--nice 20: takes a number from -20 to 19"),
        (&["--nice", "-21"], "--nice -21: takes a number from -20 to 19"),
        (&["--nice=low"], "--nice low: takes a number from -20 to 19"),
        (&["--oom-score-adj", "-1001"], "--oom-score-adj -1001: takes a number from -1000 to 1000"),
        (&["--oom-score-adj=1e3"], "--oom-score-adj 1e3: takes a number from -1000 to 1000"),
        (&["--nofile", "63"], "--nofile 63: takes a number from 64 to 2147483647"),
        (&["--nofile", "unlimited"], "--nofile unlimited: takes a number from 64 to 2147483647"),
        (&["--env", "=x"], "--env =…: takes NAME or NAME=VALUE"),
        (&["--stop-timeout", "9"], "--stop-timeout goes with --supervise"),
    ] {
        let dir = Scratch::new();
        let kubelet = stand_in(&dir, "exit 0");
        let done = run(&[&ENOUGH[..], &["--kubelet", &kubelet], options].concat());
        assert_eq!(done.error(), (2, format!("kboot kubelet-launch: {says}").as_str()));
        assert!(!dir.0.join("events").exists());
    }
}

/// Which of the flags behind `--` count is known with the kubelet's version.
#[test]
fn a_health_port_that_is_none_is_refused_before_the_kubelet_starts() {
    let dir = Scratch::new();
    let kubelet = stand_in(&dir, "exit 0");
    let options = ["--kubelet", &kubelet, "--supervise", "--", "--healthz-port=many"];
    let done = run(&[&ENOUGH[..], &options].concat());
    let why = "kboot kubelet-launch: --healthz-port=many: is not a number from 0 to 65535\n";
    assert!(done.code == 2 && done.stderr.ends_with(why), "{done:?}");
    assert!(!dir.0.join("events").exists());
}

#[test]
fn what_the_kernel_refuses_is_told_before_the_kubelet_starts() {
    if !root_user() {
        return;
    }
    let most = fs::read_to_string("/proc/sys/fs/nr_open").unwrap().trim().to_owned();
    let too_many = (most.parse::<u64>().unwrap() + 1).to_string();
    let by = ["setpriv", "--bounding-set", "-sys_resource,-sys_nice", "--", "prlimit", "--nofile=900:1000"];
    for (options, says) in [
        (
            ["--nofile", &too_many],
            format!(
                "nofile {too_many}: Operation not permitted: the kernel's own limit, fs.nr_open, is {most}"
            ),
        ),
        (
            ["--nofile", "1001"],
            "nofile 1001: Operation not permitted: it takes CAP_SYS_RESOURCE to go above 1000".into(),
        ),
        (
            ["--oom-score-adj", "-7"],
            "oom_score_adj -7: Permission denied: it takes CAP_SYS_RESOURCE to make it lower".into(),
        ),
        (["--nice", "-3"], "nice -3: Permission denied: it takes CAP_SYS_NICE to make it lower".into()),
    ] {
        for supervise in [&[][..], &["--supervise"]] {
            let dir = Scratch::new();
            let kubelet = stand_in(&dir, "exit 0");
            let mut command = Command::new(by[0]);
            command.args(&by[1..]).arg(binary()).args(ENOUGH).args(["--kubelet", &kubelet, "-q"]);
            let done = finish(command.args(options).args(supervise));
            let last = done.stderr.lines().last();
            let says = format!("kboot kubelet-launch: {says}");
            assert_eq!((done.code, last), (1, Some(says.as_str())), "{supervise:?}");
            assert!(!dir.0.join("events").exists());
        }
    }
}

/// What a boot script may have in its environment.
const SCRIPT: [(&str, &str); 11] = [
    ("HOME", "/root"),
    ("NO_PROXY", "10.0.0.0/8,.example"),
    ("KUBE_FEATURE_WatchListClient", "true"),
    ("INVOCATION_ID", "0af7"),
    ("LISTEN_FDNAMES", "x"),
    ("KBOOT_TOKEN", "s3cret-kboot"),
    ("ETCDCTL_PASSWORD", "s3cret-etcd"),
    ("AWS_SECRET_ACCESS_KEY", "s3cret-aws"),
    ("FLANNEL_NETWORK", "10.33.0.0/16"),
    ("LD_LIBRARY_PATH", "/opt"),
    ("SITE", "s3cret-site"),
];

#[test]
fn the_kubelet_gets_the_variables_that_are_listed() {
    let dir = Scratch::new();
    let kubelet = stand_in(&dir, "exec env");
    let call = |more: &[&str]| {
        let mut command = kboot(&ENOUGH);
        command.envs(SCRIPT).args(["--kubelet", &kubelet, "-v"]);
        finish(
            command
                .args(["--env", "SITE", "--env=RACK=r 7", "--env", "HOME=/kubelet", "--env", "ABSENT"])
                .args(more),
        )
    };
    let done = call(&[]);
    let mut got: Vec<&str> =
        done.ok().lines().filter(|l| !l.starts_with("PWD=") && !l.starts_with("OLDPWD=")).collect();
    got.sort_unstable();
    let listed = [
        "HOME=/kubelet",
        "INVOCATION_ID=0af7",
        "KUBE_FEATURE_WatchListClient=true",
        "LISTEN_FDNAMES=x",
        "NO_PROXY=10.0.0.0/8,.example",
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        "RACK=r 7",
        "SITE=s3cret-site",
    ];
    assert_eq!(got, listed);
    let kept = "variables that the kubelet does not get (--env NAME): AWS_SECRET_ACCESS_KEY ETCDCTL_PASSWORD FLANNEL_NETWORK KBOOT_TOKEN LD_LIBRARY_PATH\n";
    assert!(done.stderr.contains(kept), "{}", done.stderr);
    assert!(
        done.stderr.contains("warning: --env ABSENT: there is no such variable here\n"),
        "{}",
        done.stderr
    );
    assert!(!done.stderr.contains("s3cret"), "{}", done.stderr);

    let dry = call(&["--dry-run", "--json"]);
    let names: Vec<&str> = listed.iter().map(|l| l.split('=').next().unwrap()).collect();
    assert_eq!(dry.json()["found"]["environment"], serde_json::json!(names));
    assert!(!dry.stdout.contains("s3cret") && !dry.stderr.contains("s3cret"), "{dry:?}");
    let dry = call(&["--dry-run", "--json", "--supervise"]).json();
    assert!(!dry["found"]["environment"].as_array().unwrap().contains(&"LISTEN_FDNAMES".into()), "{dry}");
}

/// A unit of Type=notify is started once somebody says so, and those of 2015 do not know how.
#[test]
fn kboot_says_ready_for_a_kubelet_that_does_not() {
    let dir = Scratch::new();
    let kubelet = stand_in(&dir, "exec env");
    let socket = std::os::unix::net::UnixDatagram::bind(dir.path("notify")).unwrap();
    socket.set_nonblocking(true).unwrap();
    for (version, says) in [("1.3", true), ("1.12", false)] {
        let mut command = kboot(&ENOUGH.map(|word| if word == "1.3" { version } else { word }));
        let done = finish(command.env("NOTIFY_SOCKET", dir.path("notify")).args(["--kubelet", &kubelet]));
        let mut message = [0; 100];
        let heard = socket.recv(&mut message).map(|n| String::from_utf8_lossy(&message[..n]).into_owned());
        assert_eq!(heard.ok(), says.then(|| format!("READY=1\nSTATUS=the kubelet, {version}")));
        assert_eq!(done.ok().contains("NOTIFY_SOCKET="), !says, "{done:?}");
    }
}

#[test]
fn without_a_path_it_gets_one() {
    let dir = Scratch::new();
    let kubelet = stand_in(&dir, "exec env");
    let done = finish(kboot(&ENOUGH).env_remove("PATH").args(["--kubelet", &kubelet]));
    assert!(done.ok().lines().any(|l| l == "PATH=/sbin:/usr/sbin:/bin:/usr/bin"), "{done:?}");
}

/// Started with signals ignored and blocked, descriptors open, and sockets of its own.
#[test]
fn a_supervised_kubelet_gets_default_signals_and_three_descriptors() {
    let dir = Scratch::new();
    let set_up =
        "exec 3</dev/null 4</dev/null 8</dev/null; export LISTEN_PID=$$ LISTEN_FDS=2; exec \"$0\" \"$@\"";
    let by =
        ["sh", "-c", set_up, "env", "--ignore-signal=HUP,INT,TERM,CHLD,PIPE", "--block-signal=TERM,USR1"];
    let lines = format!(
        "ls /proc/self/fd >fds; grep -E '^Sig(Ign|Blk)' /proc/self/status >signals; env >env\necho set >>events\n{FOREVER}"
    );
    stand_in(&dir, &lines);
    let kboot = Supervised::in_directory(dir, &by, &UNASKED, |_| {});
    kboot.await_events("set", 1);
    let read = |name: &str| fs::read_to_string(kboot.dir.path(name)).unwrap();
    // 3 is ls's own, reading the directory.
    assert_eq!(read("fds"), "0\n1\n2\n3\n");
    assert_eq!(read("signals"), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    assert!(!read("env").contains("LISTEN_"), "{}", read("env"));
    // And kboot itself still hears, and learns how it ended.
    assert_eq!(kboot.stop().0, 143);
}

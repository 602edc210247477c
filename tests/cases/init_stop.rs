//! How `init` ends in a container, and what it leaves of itself.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::init::{SERVICE, contained, lines_last, pid_of_init};
use crate::support::{Scratch, binary, collect, finish, root_user, tool, until};

#[test]
fn in_a_container_a_step_that_fails_stops_what_runs_in_order() {
    if !root_user() {
        return;
    }
    let dir = Scratch::new();
    dir.file("service", SERVICE);
    let wait = dir.file("wait", "until [ \"$(wc -l <\"$1\")\" = 2 ]; do sleep 0.02; done; exit 4\n");
    let service = format!("respawn /bin/sh {}", dir.path("service"));
    let list = format!("{service} first; {service} second; /bin/sh {wait} {}", dir.path("events"));
    let done = finish(&mut contained(&["--boot", &list]));
    assert_eq!((done.code, &lines_last(&done)[..]), (1, "kboot: /bin/sh failed: exited with status 4"));
    let events = fs::read_to_string(dir.path("events")).unwrap();
    assert!(events.ends_with("end second\nend first\n"), "{events}");
}

#[test]
fn a_second_signal_leaves_nobody_the_time_to_ignore_it() {
    if !root_user() {
        return;
    }
    let dir = Scratch::new();
    let deaf = dir.file("deaf", "trap 'echo told >>\"$1\"' TERM\nwhile :; do sleep 0.02; done\n");
    let service = format!("respawn /bin/sh {deaf} {}; ", dir.path("events"));
    let list = format!("{service}{service}/bin/touch {}", dir.path("ready"));
    let mut command = contained(&["--boot", &list]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let init = Pid::from_raw(pid_of_init(&child));
    until("the list is done", || dir.0.join("ready").exists());
    let caught = || {
        tool("sh", &["-c", &format!("grep SigCgt $(pgrep -P {init} -f deaf | sed 's|.*|/proc/&/status|')")])
    };
    until("both have their trap", || {
        caught().matches("4000\n").count() == 2 || caught().matches("4002\n").count() == 2
    });
    kill(init, Signal::SIGTERM).unwrap();
    until("one was told", || dir.0.join("events").exists());
    let asked = Instant::now();
    kill(init, Signal::SIGTERM).unwrap();
    assert_eq!(collect(child).code, 0);
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
}

/// What init did itself is drawn as well; what it keeps running has nothing to say of its steps.
#[test]
fn it_leaves_a_record_when_it_stays() {
    if !root_user() {
        return;
    }
    let dir = Scratch::new();
    let lease = dir.file("subnet.env", "FLANNEL_SUBNET=10.84.5.1/24\nFLANNEL_MTU=1450\n");
    let say = dir.file("say", "echo \"socket [$NOTIFY_SOCKET]\" >\"$1\"; exec sleep 1000\n");
    let list = format!("respawn flannel-env --env-file {lease} -- /bin/sh {say} {}", dir.path("said"));
    let own_run = "mount -t tmpfs tmpfs /run && exec \"$@\"";
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "unshare", "--net", "--mount", "--propagation", "private"]);
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", own_run, "sh"]);
    command.arg(binary()).args(["init", "--boot", &list]).env_clear();
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let init = pid_of_init(&child);
    until("the service has started", || {
        fs::read_to_string(dir.path("said")).is_ok_and(|said| said.ends_with('\n'))
    });
    assert_eq!(fs::read_to_string(dir.path("said")).unwrap(), "socket []\n");
    let records = format!("/proc/{init}/root/run/kboot/timeline");
    let own = || {
        let mut names = fs::read_dir(&records).into_iter().flatten().flatten().map(|e| e.path());
        names.find(|p| p.to_str().unwrap().ends_with("-init.json"))
    };
    until("there is a record", || own().is_some());
    let record: serde_json::Value = serde_json::from_slice(&fs::read(own().unwrap()).unwrap()).unwrap();
    let phases = record["phases"].as_array().unwrap();
    let phases: Vec<&str> = phases.iter().map(|p| p["text"].as_str().unwrap()).collect();
    assert_eq!(phases, ["modules", "boot list"], "{record}");
    assert!(record["text"].as_str().unwrap().starts_with("the boot list is done: 1 step"), "{record}");
    kill(Pid::from_raw(init), Signal::SIGTERM).unwrap();
    assert_eq!(collect(child).code, 0);
}

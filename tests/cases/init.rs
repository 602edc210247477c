//! `init` as PID 1 of namespaces, as in a container, and its steps alone.

use std::fs;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Done, Scratch, binary, collect, finish, need, root_user, run, tool, until};

/// PID 1 of its own namespaces, with these options.
pub fn contained(args: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "unshare", "--net", "--mount", "--propagation", "private"]);
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).arg(binary()).arg("init").args(args);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// Its pid outside.
pub fn pid_of_init(unshare: &Child) -> i32 {
    let mut pid = None;
    until("unshare has a child", || {
        let found = Command::new("pgrep").args(["-P", &unshare.id().to_string()]).output().unwrap();
        pid = String::from_utf8(found.stdout).unwrap().trim().parse().ok();
        pid.is_some()
    });
    pid.unwrap()
}

/// The lines of stderr with times left out.
fn lines(done: &Done) -> Vec<String> {
    let without = |line: &str| {
        let Some((start, rest)) = line.split_once(" (") else { return line.to_owned() };
        let (time, end) = rest.split_once(')').unwrap();
        if time.ends_with('s') { format!("{start}{end}") } else { line.to_owned() }
    };
    done.stderr.lines().map(without).collect()
}

const TWO: &str = "\
respawn /bin/sh $DIR/service first
/bin/sh -c '(sleep 0.2; echo orphan >>$0) &' $DIR/events
respawn /bin/sh $DIR/service second # started after
";

/// Says when it starts and when it is told to end, which takes it a moment.
pub const SERVICE: &str = "cd \"${0%/*}\"; echo \"start $1\" >>events
trap 'sleep 0.1; echo \"end $1\" >>events; exit 0' TERM
while :; do sleep 0.02; done
";

#[test]
fn it_stays_reaps_restarts_and_stops_in_order() {
    if !root_user() {
        return;
    }
    let dir = Scratch::new();
    dir.file("service", SERVICE);
    let list = dir.file("boot", TWO.replace("$DIR", dir.0.to_str().unwrap()));
    let mut command = contained(&["--boot", &list]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let init = pid_of_init(&child);
    let events = || fs::read_to_string(dir.path("events")).unwrap_or_default();
    until("both run, and the orphan has ended", || {
        ["start first", "start second", "orphan"].iter().all(|e| events().contains(e))
    });
    let children = || tool("ps", &["-o", "stat=,args=", "--ppid", &init.to_string()]);
    until("orphans are reaped", || children().lines().count() == 2 && !children().contains('Z'));
    tool("pkill", &["-KILL", "-P", &init.to_string(), "-f", "service first"]);
    until("it is started again", || events().matches("start first").count() == 2);
    for nothing in [Signal::SIGHUP, Signal::SIGQUIT] {
        kill(Pid::from_raw(init), nothing).unwrap();
    }
    kill(Pid::from_raw(init), Signal::SIGTERM).unwrap();
    let done = collect(child);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(events().ends_with("end second\nend first\n"), "{}", events());
    let lines = lines(&done);
    assert_eq!(lines[..2], ["kboot: init 0.1.0", "kboot: /bin/sh started, and kept running"], "{done:?}");
    assert!(
        lines[5].starts_with("kboot: /bin/sh was killed by SIGKILL after ")
            && lines[5].contains(": it is started again in "),
        "{done:?}"
    );
    assert_eq!(lines[6..], ["kboot: stopping"], "{done:?}");
}

#[test]
fn what_is_said_of_steps_that_fail() {
    if !root_user() {
        return;
    }
    let dir = Scratch::new();
    for (list, code, expected) in [
        (
            "/bin/sh -c 'echo one; echo two >&2; exit 3'",
            1,
            "kboot: /bin/sh failed: exited with status 3: two",
        ),
        ("/bin/sh -c 'kill -9 $$'", 1, "kboot: /bin/sh failed: was killed by SIGKILL"),
        ("/no/such", 1, "kboot: /no/such failed: /no/such: no such program"),
        ("respawn /no/such", 1, "kboot: /no/such failed: /no/such: no such program"),
        (
            "KBOOT_MTU=7 bridge",
            1,
            "kboot: bridge failed: KBOOT_MTU=7: is no MTU: give a number from 68 to 65535",
        ),
        (
            "flannel-env --env-file /no/such --timeout 0",
            1,
            "kboot: flannel-env failed: /no/such: is not there yet (flanneld writes it)",
        ),
    ] {
        let list = dir.file("boot", format!("{list}\n/bin/touch {}\n", dir.path("next")));
        let done = finish(&mut contained(&["--boot", &list]));
        let lines = lines(&done);
        assert_eq!((done.code, lines.last().map(String::as_str)), (code, Some(expected)), "{done:?}");
        assert!(!dir.0.join("next").exists(), "{list}");
    }
}

#[test]
fn a_wrong_list_is_one_line_and_nothing_is_run() {
    if !root_user() {
        return;
    }
    let dir = Scratch::new();
    for (line, why) in [
        ("brige", "brige: applet not found: did you mean bridge? (a program needs its path)"),
        ("bridge --mtu 1O00", "bridge: --mtu 1O00: is no MTU: give a number from 68 to 65535"),
        ("- bridge --nmae x", "bridge: unknown option --nmae: did you mean --name?"),
        ("bridge --name 'a", "a ' is not closed"),
        ("bridge --name $N", "a shell would expand the $: write it plainly"),
        ("init", "init does not run itself"),
        ("respawn", "names no applet"),
    ] {
        let list = dir.file("boot", format!("/bin/touch {}\n\n{line}\n", dir.path("first")));
        let done = finish(&mut contained(&["--boot", &list]));
        assert_eq!(done.error(), (2, format!("kboot init: {list} line 3: {why}").as_str()));
        assert!(!dir.0.join("first").exists());
    }
}

#[test]
fn usage() {
    for (args, why) in [
        (
            &["init"][..],
            "is not PID 1: give it to the kernel as rdinit= or as the image's /init; --once takes the steps alone",
        ),
        (
            &["init", "--once", "--root", "/dev/vda"],
            "--root is not for --once: the other init switches the root",
        ),
        (&["init", "--once", "--boot", "/no/such"], "/no/such: No such file or directory"),
        (&["init", "--once", "--json"], "--json goes with --dry-run: the steps have their own"),
        (
            &["init", "--dry-run", "--root", "LABEL=x"],
            "root=LABEL=x: only a path is understood here, such as /dev/vda1: UUID=, LABEL= and their like need udev",
        ),
    ] {
        assert_eq!(run(args).error(), (2, format!("kboot init: {why}").as_str()));
    }
    let done = run(&[
        "init",
        "--dry-run",
        "--boot",
        "A='b c' bridge --mtu 1400; - register",
        "--module",
        "vxlan,br_netfilter",
        "--root",
        "/dev/vda",
    ]);
    assert_eq!(
        done.ok(),
        "modprobe vxlan\nmodprobe br_netfilter\nA=… bridge --mtu 1400\n- register\nswitch_root /dev/vda /sbin/init\n"
    );
}

/// As a hook of initramfs-tools or dracut calls it.
#[test]
fn the_steps_alone() {
    if !root_user() {
        return;
    }
    let host = crate::support::host::Host::new();
    let args = [
        "init",
        "--once",
        "--boot",
        "bridge --name br-once --subnet 10.84.3.1/24 --no-masquerade --firewall none; WORD='a b' /bin/sh -c 'echo \"[$WORD] $NOTIFY_SOCKET.\"'",
    ];
    let done = host.kboot(&args);
    assert_eq!(done.code, 0, "{done:?}");
    let lines = lines(&done);
    let at = |text: &str| lines.iter().position(|l| l == text).unwrap_or_else(|| panic!("{text}: {done:?}"));
    assert!(at("kboot: bridge br-once 10.84.3.1/24 up") < at("kboot /bin/sh: [a b] ."), "{done:?}");
    assert!(lines.last().unwrap().starts_with("kboot: the boot list is done: 2 steps"), "{done:?}");
    assert!(host.ip("addr show br-once")[0]["addr_info"][0]["local"] == "10.84.3.1");
    let done = host.kboot(&["init", "--once", "--boot", "/bin/false;"]);
    assert_eq!(
        (done.code, lines_last(&done)),
        (1, "kboot: /bin/false failed: exited with status 1".to_owned())
    );
}

pub fn lines_last(done: &Done) -> String {
    lines(done).pop().unwrap()
}

/// A root with nothing mounted in it; the host's /dev is kept out.
#[test]
fn what_is_missing_is_mounted_and_nothing_twice() {
    if !root_user() || need("busybox", "tools").is_none() {
        return;
    }
    let dir = Scratch::new();
    let root = dir.0.to_str().unwrap();
    let script = format!(
        "mount -t tmpfs tmpfs {root} && cd {root} && mkdir dev && mount -t tmpfs tmpfs dev && cp {} init && cp $(which busybox) . && \
         exec chroot . /init --boot '/busybox cat /proc/mounts; /busybox ls /etc'",
        binary().display()
    );
    let mut command = Command::new("unshare");
    command.args([
        "--net",
        "--mount",
        "--propagation",
        "private",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        &script,
    ]);
    let done = finish(command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"));
    for mounted in [
        "proc /proc proc ",
        "sysfs /sys sysfs ",
        "tmpfs /run tmpfs ",
        "devpts /dev/pts devpts ",
        "tmpfs /dev/shm tmpfs ",
        "tmpfs /dev tmpfs ",
    ] {
        assert_eq!(done.stderr.matches(&format!(": {mounted}")).count(), 1, "{mounted}: {done:?}");
    }
    assert!(
        lines_last(&done).starts_with("kboot: /busybox failed: exited with status 1: ls: /etc: No such"),
        "{done:?}"
    );
}

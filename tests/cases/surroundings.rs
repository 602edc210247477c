//! The surroundings of a boot: descriptors, signals, the log's ways out, the lock.
#![allow(unsafe_code)]

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};

use crate::support::host::Host;
use crate::support::{Scratch, binary, collect, finish, kboot, root_user, until};

const LEASE: &str = "FLANNEL_SUBNET=10.42.17.1/24\nFLANNEL_MTU=1450\n";

/// Runs a shell line with `$K` and `$F`: the binary, and a lease file.
fn shell(dir: &Scratch, line: &str) -> crate::support::Done {
    let lease = dir.file("subnet.env", LEASE);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", line]).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    finish(command.env("K", binary()).env("F", lease).env("D", &dir.0))
}

/// Becomes a program from surroundings with signals blocked and ignored and descriptors left open.
fn become_from_a_mess(program: &[&str]) -> crate::support::Done {
    let dir = Scratch::new();
    let lease = dir.file("subnet.env", LEASE);
    let mut command = kboot(&[&["flannel-env", "--env-file", &lease, "--"], program].concat());
    let set_up = || {
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
        for signal in [Signal::SIGPIPE, Signal::SIGHUP, Signal::SIGTERM, Signal::SIGCHLD] {
            // SAFETY: no handler is installed.
            unsafe { nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigIgn) }?;
        }
        for fd in [5, 9, 77] {
            // SAFETY: a plain descriptor call.
            unsafe { nix::libc::dup2(0, fd) };
        }
        Ok(())
    };
    // SAFETY: only async-signal-safe calls between fork and exec.
    finish(unsafe { command.pre_exec(set_up) })
}

#[test]
fn a_program_it_becomes_gets_default_signals_and_no_stray_descriptor() {
    let signals = become_from_a_mess(&["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"]);
    assert_eq!(signals.ok(), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    // 3 is ls's own, reading the directory.
    assert_eq!(become_from_a_mess(&["ls", "/proc/self/fd"]).ok(), "0\n1\n2\n3\n");
}

#[test]
fn sockets_of_systemds_activation_are_handed_on() {
    let dir = Scratch::new();
    let done = shell(
        &dir,
        "exec 3<$F 4<$F 5<$F; export LISTEN_PID=$$ LISTEN_FDS=2; exec $K flannel-env --env-file $F -- ls -l /proc/self/fd",
    );
    assert_eq!(done.ok().matches("subnet.env").count(), 2, "{done:?}");
}

#[test]
fn closed_descriptors_are_survived_with_dev_null_and_without() {
    let dir = Scratch::new();
    let lease = dir.file("subnet.env", LEASE);
    let out = dir.path("out");
    let kboot = binary();
    let kboot = kboot.to_str().unwrap();
    let close_in_and_err = format!(
        "{kboot} flannel-env --env-file {lease} --get FLANNEL_MTU <&- 2>&- >{out}; echo $? >{out}.code"
    );
    let close_all = format!("{kboot} flannel-env --env-file {lease} <&- >&- 2>&-; echo $? >{out}.code");
    let show = "readlink /proc/self/fd/0 /proc/self/fd/2 >$0";
    let exec_closed = format!(
        "{kboot} flannel-env --env-file {lease} -- sh -c '{show}' {out} <&- >&- 2>&-; echo $? >{out}.code"
    );
    let code = || fs::read_to_string(format!("{out}.code")).unwrap().trim().to_owned();
    for without_dev_null in [false, true] {
        let prefix = if without_dev_null { "mount -t tmpfs tmpfs /dev; " } else { "" };
        if without_dev_null && !root_user() {
            return;
        }
        let sh = |line: &str| {
            let script = format!("{prefix}{line}");
            if without_dev_null {
                Host::new().sh(&script)
            } else {
                finish(std::process::Command::new("sh").args(["-c", &script])).ok().to_owned()
            }
        };
        sh(&close_in_and_err);
        assert_eq!((code().as_str(), fs::read_to_string(&out).unwrap().as_str()), ("0", "1450\n"));
        // What was asked for did not get out: a failure, not silence, and no crash.
        sh(&close_all);
        assert_eq!(code(), "1");
        sh(&exec_closed);
        let fds = fs::read_to_string(&out).unwrap();
        let target = if without_dev_null { "/\n" } else { "/dev/null\n" };
        assert_eq!((code().as_str(), fds), ("0", target.repeat(2)));
    }
}

#[test]
fn with_no_stderr_errors_go_to_the_kernels_log() {
    if !root_user() || fs::metadata("/dev/kmsg").is_err() {
        return;
    }
    let marker = format!("no-such-{}", std::process::id());
    let dir = Scratch::new();
    for (line, want) in [
        (format!("exec $K bridge --{marker} 2>&-"), format!("kboot[bridge]: unknown option --{marker}")),
        (
            format!("KBOOT_LOG=kmsg exec $K flannel-env --env-file /{marker}/x --timeout 0"),
            format!("kboot[flannel-env]: /{marker}/x: is not there yet"),
        ),
    ] {
        let done = shell(&dir, &line);
        assert!(done.code != 0 && done.stderr.is_empty(), "{done:?}");
        let log = crate::support::tool("dmesg", &[]);
        assert!(log.contains(&want), "{want}");
    }
    // Longer than a record may be: cut, not lost.
    let long = format!("{marker}{}", "x".repeat(2000));
    shell(&dir, &format!("exec $K bridge --{long} 2>&-"));
    assert!(crate::support::tool("dmesg", &[]).contains(&format!("unknown option --{marker}xxx")));
}

#[test]
fn the_journal_gets_priorities() {
    let dir = Scratch::new();
    let line = "exec 2>$D/err; eval $(stat -L -c 'JOURNAL_STREAM=%d:%i' /proc/self/fd/2); export JOURNAL_STREAM; $K register --server https://u@x --subnet 10.1.2.1/24; $K flannel-env --env-file $D/none --timeout 20ms; true";
    assert_eq!(shell(&dir, line).code, 0);
    let text = fs::read_to_string(dir.path("err")).unwrap();
    assert!(text.lines().all(|l| l.starts_with("<3>kboot ") || l.starts_with("<6>kboot ")), "{text}");
    assert!(
        text.contains("<6>kboot flannel-env: waiting for") && text.contains("<3>kboot flannel-env: "),
        "{text}"
    );
}

#[test]
fn levels_and_a_typing_error_in_kboot_log() {
    let dir = Scratch::new();
    let count = |env: &str, args: &str| {
        shell(
            &dir,
            &format!("{env} $K register --server 127.0.0.1:1 --subnet 10.1.2.1/24 --timeout 0 {args}"),
        )
        .stderr
        .lines()
        .count()
    };
    assert_eq!(
        (count("", ""), count("", "-q"), count("KBOOT_LOG=error", ""), count("KBOOT_LOG=warn,stderr", "")),
        (2, 1, 1, 1)
    );
    assert!(count("", "-v") > 2 && count("KBOOT_LOG=debug", "") > 2);
    let done = shell(&dir, "KBOOT_LOG=loud $K flannel-env --env-file $F --get FLANNEL_MTU");
    assert!(
        done.ok() == "1450\n" && done.stderr.starts_with("kboot flannel-env: warning: KBOOT_LOG=loud: takes"),
        "{done:?}"
    );
}

#[test]
fn a_reader_that_went_away_ends_it_quietly_and_a_full_disk_does_not() {
    let dir = Scratch::new();
    let done = shell(
        &dir,
        "{ sleep 0.2; $K --help; echo $? >&2; } | true; { sleep 0.2; $K --list; echo $? >&2; } | :; sleep 0.5",
    );
    assert_eq!(done.stderr, "0\n0\n", "{done:?}");
    let done = shell(&dir, "$K flannel-env --env-file $F >/dev/full");
    assert_eq!(done.error(), (1, "kboot flannel-env: stdout: No space left on device"));
}

#[test]
fn the_service_manager_is_told_and_its_socket_is_the_execd_programs_alone() {
    let dir = Scratch::new();
    let socket = UnixDatagram::bind(dir.path("notify")).unwrap();
    let mut command = kboot(&[
        "flannel-env",
        "--env-file",
        &dir.path("subnet.env"),
        "--timeout",
        "20s",
        "--",
        "sh",
        "-c",
        "echo $NOTIFY_SOCKET",
    ]);
    let child = command
        .env("NOTIFY_SOCKET", dir.path("notify"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut buffer = [0; 4096];
    let n = socket.recv(&mut buffer).unwrap();
    let message = String::from_utf8_lossy(&buffer[..n]).into_owned();
    assert!(
        message.starts_with("STATUS=waiting for ") && message.contains("\nEXTEND_TIMEOUT_USEC=90000000"),
        "{message}"
    );
    dir.file("subnet.env", LEASE);
    assert_eq!(collect(child).ok(), format!("{}\n", dir.path("notify")));
}

#[test]
fn an_unset_path_is_where_boot_programs_live() {
    let dir = Scratch::new();
    let done = shell(&dir, "exec env -u PATH $K flannel-env --env-file $F -- sh -c 'echo $PATH'");
    assert_eq!(done.ok(), "/sbin:/usr/sbin:/bin:/usr/bin\n");
}

#[test]
fn nobody_else_can_hold_the_lock() {
    if !root_user() {
        return;
    }
    let host = Host::new();
    assert_eq!(host.kboot(&["bridge", "--subnet", "10.1.2.1/24", "--no-masquerade"]).code, 0);
    let mut command = host.command(
        "setpriv",
        &["--reuid", "65534", "--clear-groups", "flock", "-n", "/run/kboot/lock", "true"],
    );
    assert_ne!(finish(&mut command).code, 0);
}

/// Two that change the host wait for each other; the kernel ends the lock with its holder.
#[test]
fn one_changes_the_host_at_a_time() {
    if !root_user() {
        return;
    }
    let host = Host::new();
    host.sh("mkdir /run/kboot");
    let mut holder = host.command(
        "flock",
        &["/run/kboot/lock", "sh", "-c", "echo $$ >/run/kboot/lock; touch /run/held; exec sleep 60"],
    );
    let mut holder = holder.spawn().unwrap();
    until("the lock is held", || host.sh("ls /run").contains("held"));
    let args = ["bridge", "--subnet", "10.1.2.1/24", "--no-masquerade"];
    let done = host.kboot(&[&args[..], &["--timeout", "300ms"]].concat());
    let pid = host.sh("cat /run/kboot/lock");
    let last = done.stderr.lines().last().unwrap();
    assert_eq!((done.code, last), (75, format!("kboot bridge: the lock of another kboot: not within 300ms: /run/kboot/lock is held by pid {}", pid.trim()).as_str()));
    let mut waiting = host.command(binary(), &args);
    let waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // sh became sleep: end what holds the lock.
    crate::support::tool("kill", &[pid.trim()]);
    holder.wait().unwrap();
    assert_eq!(collect(waiting).code, 0);
    // Two at once end well.
    let both: Vec<_> = (0..2)
        .map(|_| host.command(binary(), &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    for child in both {
        assert_eq!(collect(child).code, 0);
    }
}

#[test]
fn a_run_directory_that_others_may_write_is_not_trusted() {
    if !root_user() {
        return;
    }
    let host = Host::new();
    host.sh(
        "mkdir -m 777 /run/kboot && echo '{\"addresses\":[\"192.0.2.9/24\"]}' >/run/kboot/bridge-cbr0.json",
    );
    // An address of kboot's kind needs no record to count as pinned.
    host.sh("ip link add cbr0 address 0a:6b:c0:00:02:09 type bridge && ip addr add 192.0.2.9/24 dev cbr0");
    let args = ["bridge", "--subnet", "10.1.2.1/24", "--no-masquerade"];
    assert_eq!(host.kboot(&args).code, 0);
    assert!(
        host.sh("ip -br addr show cbr0").contains("192.0.2.9/24"),
        "a forged record took an address away"
    );
    // Nor is a link followed, nor is /run needed at all.
    host.sh("rm -r /run/kboot && mkdir /run/elsewhere && ln -s elsewhere /run/kboot");
    assert_eq!(host.kboot(&args).code, 0);
    assert_eq!(host.sh("ls /run/elsewhere"), "");
    host.sh("mount -o remount,ro /run && rm -f /dev/null/x 2>/dev/null; true");
    assert!(host.kboot(&args).stderr.contains("0 changed"));
}

//! docker-flags --restart: a real dockerd that somebody starts again; systemctl and the init script are
//! stand-ins that write down their arguments, beside a real dockerd that answers.

use std::process::Command;

use crate::support::docker::{self, Dockerd, script};
use crate::support::host::Host;
use crate::support::{Done, binary, finish, until};

const DEFAULT: &str = "/etc/default/docker";
const DUE: &str = "/run/kboot/docker-restart";
/// A socket that is not docker's usual one.
const OTHER: &str = "unix:///run/other.sock";

/// docker-flags --bridge cbr0 with more options, stand-ins first in PATH, and DOCKER_HOST.
fn flags(host: &Host, docker_host: &str, more: &str) -> Done {
    let docker_host = format!("DOCKER_HOST={docker_host}");
    let path = "PATH=/run/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned();
    let mut command = host.command("env", &[docker_host, path]);
    finish(command.arg(binary()).args(["docker-flags", "--bridge", "cbr0"]).args(more.split_whitespace()))
}

fn host_with_bridge() -> Option<Host> {
    let host = docker::host(false)?;
    assert_eq!(host.kboot(&["bridge"]).code, 0);
    Some(host)
}

fn is_there(host: &Host, path: &str) -> bool {
    finish(&mut host.command("test", &["-e", path])).code == 0
}

#[test]
fn a_dockerd_that_is_started_again() {
    let Some(host) = host_with_bridge() else { return };
    let json = "--format daemon-json --output /etc/docker/daemon.json";
    assert_eq!(flags(&host, "", &format!("{json} --mtu 1500")).code, 0);
    let dockerd = Dockerd::by_shell(
        &host,
        &format!(
            "while [ ! -e /run/stop ]; do \
                setpriv --pdeathsig KILL -- dockerd -H unix:///var/run/docker.sock -H {OTHER}; done"
        ),
    );
    let first = dockerd.pid();
    assert_eq!(dockerd.network().1, "1500");

    let dry = flags(&host, OTHER, &format!("{json} --mtu 1300 --restart {first} --dry-run"));
    assert!(dry.ok().contains(&format!("\nkill {first}\n")), "{dry:?}");
    assert_eq!((dockerd.pid(), is_there(&host, DUE)), (first, false));

    let done = flags(&host, OTHER, &format!("{json} --mtu 1300 --restart {first}"));
    // It answers now, not later.
    assert!(done.code == 0 && dockerd.answers(), "{done:?}");
    assert!(done.stderr.ends_with("(2 changed, 0 already so)\n"), "{done:?}");
    let second = dockerd.pid();
    assert_ne!(second, first);
    assert!(!is_there(&host, &format!("/proc/{first}")));
    assert_eq!(dockerd.network().1, "1300");
    assert!(!is_there(&host, DUE));

    let again = flags(&host, OTHER, &format!("{json} --mtu 1300 --restart {second}"));
    assert!(again.code == 0 && again.stderr.ends_with("(0 changed, 1 already so)\n"), "{again:?}");
    assert_eq!(dockerd.pid(), second);
}

#[test]
fn a_dockerd_that_does_not_answer_in_time() {
    let Some(host) = host_with_bridge() else { return };
    let dockerd =
        Dockerd::by_shell(&host, "while [ ! -e /run/stop ]; do setpriv --pdeathsig KILL -- dockerd; done");
    let first = dockerd.pid();
    let write = format!("--format env --output {DEFAULT}");
    let done = flags(&host, "unix:///run/none.sock", &format!("{write} --restart {first} --timeout 4s"));
    assert!(done.code == 75 && done.stderr.contains("unix:///run/none.sock"), "{done:?}");
    assert!(is_there(&host, DUE), "it is not known whether docker came back");
    until("the next dockerd answers", || dockerd.answers() && dockerd.pid() != first);
    let second = dockerd.pid();
    let done = flags(&host, "", &format!("{write} --restart {second}"));
    assert_eq!(done.code, 0, "{done:?}");
    assert_ne!(dockerd.pid(), second);
    assert!(!is_there(&host, DUE));
}

/// The calls since the last time.
fn calls(host: &Host) -> String {
    host.sh("touch /run/calls && cat /run/calls && rm /run/calls")
}

#[test]
fn systemd_is_asked_only_when_something_changed() {
    let Some(host) = host_with_bridge() else { return };
    let write = format!("--format env --output {DEFAULT} --restart");
    let none = flags(&host, "", &format!("{write} systemd"));
    assert_eq!(none.error(), (2, "kboot docker-flags: --restart systemd: it does not run here"));
    assert!(!is_there(&host, DEFAULT));

    let _dockerd = Dockerd::start::<&str>(&host, &[]);
    let systemctl = "/run/bin/systemctl";
    // The file is there before systemd is called.
    let write_down = "echo \"$@\" $(grep -o 'mtu=[0-9]*' /etc/default/docker) >>/run/calls";
    script(&host, systemctl, write_down);
    host.sh("mkdir -p /run/systemd/system");
    let both = |mtu: &str| format!("daemon-reload mtu={mtu}\nrestart docker.service mtu={mtu}\n");
    for how in ["systemd", "auto"] {
        let mtu = if how == "auto" { "1300" } else { "1400" };
        let first = flags(&host, "", &format!("{write} {how} --mtu {mtu}"));
        assert!(first.code == 0 && first.stderr.ends_with("(3 changed, 0 already so)\n"), "{first:?}");
        assert_eq!(calls(&host), both(mtu));
        let again = flags(&host, "", &format!("{write} {how} --mtu {mtu}"));
        assert!(again.code == 0 && again.stderr.ends_with("(0 changed, 1 already so)\n"), "{again:?}");
        assert_eq!((calls(&host).as_str(), is_there(&host, DUE)), ("", false));
    }

    // kboot is killed between the file and the restart.
    script(&host, systemctl, "kill -9 $PPID");
    assert_eq!(flags(&host, "", &format!("{write} systemd --mtu 1200")).code, 128 + 9);
    assert!(host.sh(&format!("cat {DEFAULT}")).contains("mtu=1200") && is_there(&host, DUE));
    script(&host, systemctl, write_down);
    let next = flags(&host, "", &format!("{write} systemd --mtu 1200"));
    assert_eq!((next.code, calls(&host)), (0, both("1200")), "{next:?}");
    assert!(!is_there(&host, DUE));

    // Nor is a restart forgotten that failed.
    script(&host, systemctl, "exit 5");
    let failed = flags(&host, "", &format!("{write} systemd --mtu 1100"));
    assert!(failed.code == 1 && failed.stderr.contains("exit status 5"), "{failed:?}");
    script(&host, systemctl, write_down);
    assert_eq!(flags(&host, "", &format!("{write} systemd --mtu 1100")).code, 0);
    assert_eq!((calls(&host), is_there(&host, DUE)), (both("1100"), false));
}

#[test]
fn the_init_script_is_called_only_when_something_changed() {
    let Some(host) = host_with_bridge() else { return };
    let write = format!("--format env --output {DEFAULT} --restart");
    let script_is_missing = "kboot docker-flags: --restart sysv: there is no /etc/init.d/docker";
    assert_eq!(flags(&host, "", &format!("{write} sysv")).error(), (2, script_is_missing));
    assert_eq!(flags(&host, "", &format!("{write} auto")).code, 2);
    let _dockerd = Dockerd::start::<&str>(&host, &[]);
    script(&host, "/etc/init.d/docker", "echo \"$@\" >>/run/calls");
    for (how, mtu) in [("sysv", "1400"), ("auto", "1300")] {
        let first = flags(&host, "", &format!("{write} {how} --mtu {mtu}"));
        assert!(first.code == 0 && first.stderr.ends_with("(2 changed, 0 already so)\n"), "{first:?}");
        assert_eq!(calls(&host), "restart\n");
        let dry = flags(&host, "", &format!("{write} {how} --mtu 1280 --dry-run"));
        assert!(dry.ok().ends_with("/etc/init.d/docker restart\n"), "{dry:?}");
        assert_eq!(flags(&host, "", &format!("{write} {how} --mtu {mtu}")).code, 0);
        assert_eq!(calls(&host), "");
    }
    // As a run left it that was killed.
    host.sh(&format!("touch {DUE}"));
    let next = flags(&host, "", &format!("{write} sysv --mtu 1300"));
    assert!(next.code == 0 && next.stderr.ends_with("(1 changed, 1 already so)\n"), "{next:?}");
    assert_eq!((calls(&host).as_str(), is_there(&host, DUE)), ("restart\n", false));
    // Without --restart docker is left alone.
    assert_eq!(flags(&host, "", &format!("--format env --output {DEFAULT} --mtu 1290")).code, 0);
    assert_eq!(calls(&host), "");
}

#[test]
fn a_pid_of_something_else_is_left_alone() {
    let Some(host) = docker::host(false) else { return };
    let mut other =
        Command::new("setpriv").args(["--pdeathsig", "KILL", "sleep", "infinity"]).spawn().unwrap();
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    until("it sleeps", || name(other.id()) == "sleep");
    for (pid, why) in [
        (other.id().to_string(), "is sleep, not dockerd"),
        (gone.id().to_string(), "there is no such process"),
    ] {
        let done = flags(&host, "", &format!("--format env --output {DEFAULT} --restart {pid}"));
        assert_eq!(done.error(), (2, format!("kboot docker-flags: --restart {pid}: {why}").as_str()));
    }
    for bad in ["1", "0", "-1", "docker", "99999999999"] {
        let done = flags(&host, "", &format!("--format env --output {DEFAULT} --restart={bad}"));
        assert!(done.code == 2 && done.stderr.contains("--restart"), "{done:?}");
    }
    let printed = flags(&host, "", &format!("--restart {}", other.id()));
    let why = "kboot docker-flags: --restart goes with --output: nothing is changed without";
    assert_eq!(printed.error(), (2, why));
    assert!(!is_there(&host, DEFAULT) && !is_there(&host, DUE));
    assert_eq!(name(other.id()), "sleep");
    other.kill().unwrap();
    other.wait().unwrap();
}

fn name(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// In a unit that docker waits for: nothing is waited for.
#[test]
fn a_restart_is_left_to_systemd() {
    let Some(host) = host_with_bridge() else { return };
    let write = format!("--format env --output {DEFAULT} --restart queue");
    let none = flags(&host, "", &write);
    assert_eq!(none.error(), (2, "kboot docker-flags: --restart queue: systemd does not run here"));
    script(&host, "/run/bin/systemctl", "echo \"$@\" >>/run/calls");
    host.sh("mkdir -p /run/systemd/system");
    let done = flags(&host, "", &write);
    assert!(done.code == 0 && done.stderr.ends_with("(3 changed, 0 already so)\n"), "{done:?}");
    assert_eq!(calls(&host), "daemon-reload\n--no-block try-restart docker.service\n");
    assert_eq!((flags(&host, "", &write).code, calls(&host).as_str(), is_there(&host, DUE)), (0, "", false));
}

//! kubelet-launch --supervise: signals, ends, restarts, orphans, PID 1.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::host::Host;
use crate::support::supervised::{ENOUGH, FOREVER, Supervised, children, is_there, stand_in};
use crate::support::{Scratch, binary, finish, kboot, need, root_user, run, tool, until};

const UNASKED: [&str; 2] = ["--healthz-port", "0"];

/// The pauses that the log has announced, in seconds.
fn pauses(log: &str) -> Vec<f32> {
    let marks = log.lines().filter_map(|l| l.split_once("it is started again in ")?.1.strip_suffix(" s"));
    marks.map(|text| text.parse().unwrap()).collect()
}

#[test]
fn each_signal_is_handed_on_and_term_and_int_stop_it() {
    let traps = ["HUP", "QUIT", "USR1", "USR2"].map(|s| format!("trap 'echo {s} >>events' {s}\n")).concat();
    for (signal, name) in [(Signal::SIGTERM, "TERM"), (Signal::SIGINT, "INT")] {
        let lines =
            format!("{traps}trap 'echo {name} >>events; exit 0' {name}\necho set >>events\n{FOREVER}");
        let kboot = Supervised::start(&lines, &UNASKED);
        kboot.await_events("set", 1);
        let others = [Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];
        for (other, event) in others.into_iter().zip(["HUP", "QUIT", "USR1", "USR2"]) {
            kboot.signal(other);
            kboot.await_events(event, 1);
            kboot.await_log(&format!("SIG{event}: handed on to the kubelet (pid "));
        }
        kboot.signal(signal);
        kboot.await_events(name, 1);
        let events = kboot.events()[1..].join(" ");
        let (code, log) = kboot.end();
        assert_eq!((code, events), (0, format!("set HUP QUIT USR1 USR2 {name}")), "each once");
        let last = log.lines().last().unwrap();
        assert!(
            last.contains(") exited with status 0, ") && last.contains(&format!(" after SIG{name}")),
            "{log}"
        );
    }
}

/// What a console sends (Ctrl-C, say) goes to all of kboot's process group. The kubelet, which takes a
/// second SIGINT for impatience, gets it once, from kboot.
#[test]
fn the_kubelet_is_not_in_kboots_process_group() {
    // What has come together is written down together, whatever its order, before the end.
    let lines = "trap 'echo WINCH >>events' WINCH\ntrap 'echo INT >>events; end=1' INT\n\
                 echo set >>events\nwhile [ -z \"$end\" ]; do sleep 0.02; done";
    let kboot = Supervised::start_by(&["setsid"], lines, &UNASKED, |_| {});
    kboot.await_events("set", 1);
    for signal in [Signal::SIGWINCH, Signal::SIGINT] {
        kill(Pid::from_raw(-kboot.pid), signal).unwrap();
    }
    kboot.await_log(" exited with status 0, ");
    assert_eq!(kboot.events()[1..], ["set", "INT"]);
    assert_eq!(kboot.end().0, 0);
}

#[test]
fn a_kubelet_that_ignores_term_is_killed_after_the_stop_timeout() {
    let lines = format!("trap '' TERM INT\necho set >>events\n{FOREVER}");
    let begin = |timeout: &str| {
        let kboot = Supervised::start(&lines, &[&UNASKED[..], &["--stop-timeout", timeout]].concat());
        kboot.await_events("set", 1);
        (kboot.kubelet(1), kboot, Instant::now())
    };
    let (kubelet, kboot, started) = begin("700ms");
    let (code, log) = kboot.stop();
    assert_eq!(code, 137, "{log}");
    assert!(started.elapsed() >= Duration::from_millis(700) && !is_there(kubelet), "{log}");
    assert!(log.contains(") runs 0.7 s after SIGTERM: SIGKILL\n"), "{log}");
    assert!(log.contains(&format!("(pid {kubelet}) was killed by SIGKILL, 0.7 s after SIGTERM\n")), "{log}");
    assert_eq!(begin("0").1.stop().0, 137);
    // A second one is patience's end.
    let (_, kboot, _) = begin("forever");
    kboot.signal(Signal::SIGTERM);
    kboot.await_log("SIGTERM: stopping");
    kboot.signal(Signal::SIGINT);
    let (code, log) = kboot.end();
    assert!(code == 137 && log.contains(": SIGINT again\n"), "{log}");
}

#[test]
fn the_exit_status_is_the_kubelets() {
    for (at_term, code, words) in
        [("exit 7", 7, "exited with status 7"), ("kill -USR1 $$", 138, "was killed by SIGUSR1")]
    {
        let lines = format!("trap '{at_term}' TERM\necho set >>events\n{FOREVER}");
        let kboot = Supervised::start(&lines, &UNASKED);
        kboot.await_events("set", 1);
        let (got, log) = kboot.stop();
        assert_eq!(got, code, "{log}");
        let last = log.lines().last().unwrap();
        assert!(last.starts_with("kboot kubelet-launch: the kubelet (pid ") && last.contains(words), "{log}");
    }
    // One without a trap, as the kubelet of 1.0 was.
    let kboot = Supervised::start(FOREVER, &UNASKED);
    kboot.kubelet(1);
    assert_eq!(kboot.stop().0, 143);
}

#[test]
fn it_is_started_again_whatever_its_end_with_pauses_that_grow() {
    let lines = "case $(wc -l <events) in 1) exit 3 ;; 2) exit 0 ;; *) kill -SEGV $$ ;; esac";
    let kboot = Supervised::start(lines, &UNASKED);
    let started = Instant::now();
    kboot.kubelet(3);
    assert!(started.elapsed() >= Duration::from_millis(1400), "the pauses are kept");
    until("its third end", || pauses(&kboot.log()).len() == 3);
    let stopped = Instant::now();
    let (code, log) = kboot.stop();
    assert!(code == 139 && stopped.elapsed() < Duration::from_millis(1500), "the pause ends at once: {log}");
    let ends: Vec<&str> = log.lines().filter(|l| l.contains("it is started again")).collect();
    for (end, words) in
        ends.iter().zip(["exited with status 3", "exited with status 0", "was killed by SIGSEGV"])
    {
        let head = "kboot kubelet-launch: warning: the kubelet (pid ";
        assert!(
            end.starts_with(head) && end.contains(&format!(") {words}")) && end.contains(" after 0."),
            "{log}"
        );
    }
    for (pause, full) in pauses(&log).into_iter().zip([1.0, 2.0, 4.0]) {
        assert!((full / 2.0 - 0.1..=full + 0.1).contains(&pause), "{log}");
    }
    assert!(log.ends_with("SIGTERM: the kubelet is not started again\n"), "{log}");
}

/// It takes 35 s: a run is good when it was well for 30.
#[test]
fn a_good_run_makes_the_pauses_short_again() {
    let kboot = Supervised::start(
        &format!("[ $(wc -l <events) -ge 4 ] || exit 3\n{FOREVER}"),
        &[&UNASKED[..], &["--timeout", "1s"]].concat(),
    );
    let kubelet = kboot.kubelet(4);
    let started = Instant::now();
    until("31 s", || started.elapsed() > Duration::from_secs(31));
    kill(Pid::from_raw(kubelet), Signal::SIGKILL).unwrap();
    until("its fourth end", || pauses(&kboot.log()).len() == 4);
    let pauses = pauses(&kboot.log());
    assert!(pauses[2] >= 1.9 && pauses[3] <= 1.0, "{pauses:?}");
}

#[test]
fn one_that_is_missing_at_first_ends_it_and_one_that_is_being_replaced_does_not() {
    let missing = run(&[&ENOUGH[..], &["-q", "--supervise", "--kubelet", "/no/kubelet"]].concat());
    assert_eq!(missing.error(), (127, "kboot kubelet-launch: /no/kubelet: no such program"));
    let dir = Scratch::new();
    let plain = dir.file("plain", "");
    assert_eq!(run(&[&ENOUGH[..], &["--supervise", "--kubelet", &plain]].concat()).code, 126);

    let kboot = Supervised::start("mv kubelet gone; exit 4", &UNASKED);
    kboot.await_log("/kubelet: no such program: it is started again in ");
    stand_in(&kboot.dir, FOREVER);
    kboot.kubelet(2);
    assert_eq!(kboot.stop().0, 143);
}

#[test]
fn orphans_are_reaped() {
    let orphan = "(sh -c 'sleep 0.1; cut -d\" \" -f4 /proc/$$/stat >>parents' &)\n";
    let kboot =
        Supervised::start(&format!("{}{FOREVER}", orphan.repeat(5)), &[&UNASKED[..], &["-v"]].concat());
    let kubelet = kboot.kubelet(1);
    let parents = || fs::read_to_string(kboot.dir.path("parents")).unwrap_or_default();
    until("all have ended", || parents().lines().count() == 5);
    assert_eq!(parents(), format!("{}\n", kboot.pid).repeat(5), "kboot is their parent");
    until("none is left, as a zombie either", || children(kboot.pid) == [kubelet]);
    assert!(kboot.log().contains("debug: reaped an orphan (pid "), "{}", kboot.log());
    assert_eq!(kboot.stop().0, 143);
}

#[test]
fn it_works_as_pid_1() {
    if !root_user() {
        return;
    }
    let unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"];
    let lines = format!("trap 'exit 9' TERM\n(sleep 0.1 &)\n(sleep 0.1 &)\necho set >>events\n{FOREVER}");
    for from_inside in [true, false] {
        let kboot = Supervised::start_by(&unshare, &lines, &[&UNASKED[..], &["-v"]].concat(), |_| {});
        kboot.await_events("set", 1);
        let [first] = children(kboot.pid)[..] else { panic!("unshare has one child") };
        until("both are reaped", || kboot.log().matches("reaped an orphan").count() == 2);
        assert_eq!(children(first).len(), 1, "the kubelet");
        if from_inside {
            tool("nsenter", &["-t", &first.to_string(), "--pid", "--mount", "sh", "-c", "kill -TERM 1"]);
        } else {
            kill(Pid::from_raw(first), Signal::SIGTERM).unwrap();
        }
        let (code, log) = kboot.end();
        assert_eq!(code, 9, "{log}");
    }
}

/// Run again, kboot would otherwise start a second kubelet beside the first.
#[test]
fn a_killed_kboot_takes_its_kubelet_with_it() {
    let kboot = Supervised::start(&format!("trap '' TERM\n{FOREVER}"), &UNASKED);
    let kubelet = kboot.kubelet(1);
    kboot.signal(Signal::SIGKILL);
    until("the kubelet is gone", || !is_there(kubelet));
}

#[test]
fn the_real_kubelet_ends_for_lack_of_a_runtime_and_is_started_again() {
    let Some(kubelet) = need("kubelet", "kubelet").filter(|_| root_user()) else { return };
    let (host, dir) = (Host::new(), Scratch::new());
    host.sh("mount -t tmpfs tmpfs /var/lib");
    let config = dir.file("kubeconfig", "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: k, user: ''}}]\nclusters: [{name: k, cluster: {server: 'http://127.0.0.1:9'}}]\n");
    let (root, certificates) = (dir.path("root"), dir.path("pki"));
    let mut command = host.command("setpriv", &["--pdeathsig", "KILL", "--"]);
    command.arg(binary()).args(["kubelet-launch", "--supervise", "--subnet", "10.33.5.1/24"]);
    command.arg("--kubelet").arg(kubelet).args(["--kubeconfig", &config, "--manifests", &dir.path("pods")]);
    command.args(["--ignore", "all", "--runtime", "unix:///run/none.sock", "--", "--root-dir", &root]);
    command.args(["--cert-dir", &certificates, "--fail-swap-on=false"]).stdin(Stdio::null());
    let log = fs::File::create(dir.path("log")).unwrap();
    let mut kboot = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let text = || fs::read_to_string(dir.path("log")).unwrap();
    until("its second start", || text().matches(": the kubelet is started (pid ").count() == 2);
    kill(Pid::from_raw(kboot.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert!(kboot.wait().unwrap().code().is_some());
    let log = text();
    assert!(
        log.contains("failed to run Kubelet") && log.contains(") exited with status 255 after "),
        "{log}"
    );
    assert!(log.lines().last().unwrap().ends_with(" after SIGTERM"), "{log}");
}

#[test]
fn a_dry_run_prints_the_line_either_way() {
    let dir = Scratch::new();
    let kubelet = stand_in(&dir, "exit 1");
    let args = [&ENOUGH[..], &["--kubelet", &kubelet, "--dry-run"]].concat();
    let plain = run(&args);
    assert_eq!(run(&[&args[..], &["--supervise"]].concat()).ok(), plain.ok());
    let done = finish(kboot(&ENOUGH).args(["--supervise", "--json"]));
    assert!(done.code == 2 && done.stdout.contains("\"outcome\":\"usage\""), "{done:?}");
    assert!(!dir.0.join("events").exists());
}

//! scripts/upstart: there is no upstart to be had for these tests. Its jobs are read as strictly as init(5) of upstart 1.12
//! has it, and a stand-in for it runs their scripts, as it would (`sh -e -c`, each variable of `env` set), in the order that
//! their events give, on a host with the real etcd, dockerd and API server.

use std::collections::BTreeMap;
use std::fs;

use crate::support::docker::script;
use crate::support::legacy::Legacy;
use crate::support::{Done, finish, root, until};

/// What upstart itself emits, or Ubuntu 14.04's jobs of others.
const OTHERS: [&str; 2] = ["etcd", "docker"];

/// The stanzas of init(5) that these jobs may use, with what stands behind them.
fn is_stanza(words: &[&str]) -> bool {
    match words {
        ["description", ..] => words.len() > 1,
        ["start" | "stop", "on", event @ ..] => is_event(event),
        ["task" | "respawn" | "manual"] | ["respawn", "limit", "unlimited"] | ["console", "log"] => true,
        ["kill", "timeout", seconds] => seconds.parse::<u32>().is_ok(),
        ["env", assignment] => assignment.contains('='),
        ["pre-start" | "post-start" | "pre-stop" | "post-stop", "exec", command @ ..]
        | ["exec", command @ ..] => !command.is_empty(),
        _ => false,
    }
}

/// `runlevel [..]`, or a job that there is, with its result.
fn is_event(words: &[&str]) -> bool {
    match words {
        ["runlevel", "[2345]" | "[!2345]"] => true,
        ["started", job] | ["stopped", job, "RESULT=ok"] => {
            names().iter().any(|n| n == job) || OTHERS.contains(job)
        }
        _ => false,
    }
}

fn directory() -> Vec<String> {
    let files = fs::read_dir(root().join("scripts/upstart")).unwrap();
    files.map(|f| f.unwrap().file_name().into_string().unwrap()).collect()
}

fn names() -> Vec<String> {
    directory().iter().filter_map(|f| Some(f.strip_suffix(".conf")?.to_owned())).collect()
}

#[derive(Default)]
struct Job {
    /// By their whole line, such as `start on runlevel [2345]`.
    stanzas: Vec<String>,
    /// By the process: main, pre-start, ...
    scripts: BTreeMap<String, String>,
}

impl Job {
    fn read(file: &str) -> Self {
        let text = fs::read_to_string(root().join("scripts/upstart").join(file)).unwrap();
        let mut job = Self::default();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let process = match words[..] {
                [] => continue,
                [first, ..] if first.starts_with('#') => continue,
                ["script"] => "main",
                [process @ ("pre-start" | "post-start" | "pre-stop" | "post-stop"), "script"] => process,
                _ => {
                    assert!(is_stanza(&words), "{file}: {line}");
                    let stanza = words.join(" ");
                    assert!(!job.stanzas.contains(&stanza), "{file}: twice: {line}");
                    job.stanzas.push(stanza);
                    continue;
                }
            };
            let body: Vec<&str> = lines.by_ref().take_while(|l| l.trim() != "end script").collect();
            assert!(text.contains("\nend script\n") && !body.iter().any(|l| l.trim() == "script"), "{file}");
            assert!(
                job.scripts.insert(process.to_owned(), body.join("\n")).is_none(),
                "{file}: {process} twice"
            );
        }
        job
    }

    fn has(&self, stanza: &str) -> bool {
        self.stanzas.iter().any(|s| s == stanza)
    }

    /// What the events of its start come from.
    fn after(&self) -> &str {
        self.stanzas.iter().find_map(|s| s.strip_prefix("start on ")).unwrap()
    }
}

#[test]
fn every_stanza_is_init5s_and_every_script_a_shells() {
    assert_eq!(names().len(), 6);
    for name in names() {
        let job = Job::read(&format!("{name}.conf"));
        let text = fs::read_to_string(root().join(format!("scripts/upstart/{name}.conf"))).unwrap();
        assert_eq!(text.matches("end script\n").count(), job.scripts.len(), "{name}");
        // Where one fails at boot it is not given up: upstart's own limit is ten times in five seconds.
        for stanza in ["respawn", "respawn limit unlimited", "stop on runlevel [!2345]", "console log"] {
            assert!(job.has(stanza), "{name}: {stanza}");
        }
        // A service of respawn has a post-stop to wait, a task waits by itself.
        assert!(job.has("task") != job.has("post-stop exec sleep 2"), "{name}");
        for script in job.scripts.values() {
            for shell in ["dash", "busybox"] {
                let words: &[&str] = if shell == "busybox" { &["sh", "-n"] } else { &["-n"] };
                let done = finish(std::process::Command::new(shell).args(words).args(["-e", "-c", script]));
                assert_eq!(done.code, 0, "{name}: {done:?}");
            }
        }
    }
    let manual = fs::read_to_string(root().join("scripts/upstart/docker.override")).unwrap();
    assert_eq!(manual, "manual\n", "as `echo manual` writes it");
}

/// Runs a process of that job in upstart's place.
fn process(legacy: &Legacy, job: &Job, process: &str) -> Done {
    let env = job.stanzas.iter().filter_map(|s| s.strip_prefix("env "));
    let mut words: Vec<&str> = vec!["-i"];
    words.extend(env);
    words.extend(["sh", "-e", "-c", &job.scripts[process]]);
    finish(&mut legacy.host.command("env", &words))
}

/// docker's job is by its init script here; what it is told is written down.
const INITCTL: &str = "name=${0##*/}
echo $name \"$@\" >>/run/initctl
case $name in
start) service \"$1\" start >/dev/null ;;
status) service \"$1\" status >/dev/null && echo \"$1 start/running\" || echo \"$1 stop/waiting\" ;;
esac";

#[test]
fn the_jobs_bring_a_node_up_in_the_order_of_their_events() {
    let Some(legacy) = Legacy::new(71) else { return };
    for name in ["start", "stop", "status"] {
        script(&legacy.host, &format!("/usr/local/bin/{name}"), INITCTL);
    }
    let jobs: BTreeMap<String, Job> =
        names().into_iter().map(|n| (n.clone(), Job::read(&format!("{n}.conf")))).collect();
    legacy.host.sh("service etcd start; service kube-apiserver start; service flanneld start");
    let mut events = vec!["started etcd".to_owned(), "runlevel [2345]".to_owned()];
    let mut order = Vec::new();
    let mut at = 0;
    while let Some(event) = events.get(at).cloned() {
        at += 1;
        for (name, job) in jobs.iter().filter(|(_, job)| job.after() == event) {
            order.push(name.clone());
            if !job.has("task") {
                assert_eq!(process(&legacy, job, "pre-start").code, 0);
                kubelet(&legacy, job);
                events.push(format!("started {name}"));
                continue;
            }
            let done = process(&legacy, job, "main");
            assert_eq!(done.code, 0, "{name}: {done:?}");
            events.push(format!("stopped {name} RESULT=ok"));
            if name == "kboot-docker" {
                events.push("started docker".to_owned());
                // It runs: it is not started twice.
                assert_eq!(process(&legacy, job, "main").code, 0);
            }
        }
    }
    let all = ["etcd-config", "bridge", "docker-flags", "docker", "kubelet-launch", "register"];
    assert_eq!(order, all.map(|n| format!("kboot-{n}")));
    legacy.is_a_node(true);
    assert_eq!(legacy.host.sh("cat /run/initctl"), "status docker\nstart docker\nstatus docker\n");

    // A host of another role: its jobs do nothing, and the kubelet's is called off.
    legacy.defaults("KBOOT_ROLE=control-plane\n");
    legacy.host.sh("rm /run/initctl; kill $(cut -d' ' -f1 /run/kubelets); ip link del cbr0");
    for (name, job) in jobs.iter().filter(|(name, _)| *name != "kboot-kubelet-launch") {
        let done = process(&legacy, job, "main");
        assert_eq!((done.code, done.stderr.is_empty()), (0, name != "kboot-etcd-config"), "{name}: {done:?}");
    }
    assert_eq!(process(&legacy, &jobs["kboot-kubelet-launch"], "pre-start").code, 0);
    assert_eq!(legacy.host.sh("cat /run/initctl; ip -br link | grep -c cbr0 || true"), "stop\n0\n");
    // A host without a role, or of one that there is not: docker is held back, so each log says why.
    for role in ["", "nodes"] {
        legacy.defaults(&format!("KBOOT_ROLE={role}\n"));
        legacy.host.sh("rm /run/initctl");
        for (name, job) in &jobs {
            let is_task = job.has("task");
            let done = process(&legacy, job, if is_task { "main" } else { "pre-start" });
            let wanted = format!(
                "kboot: KBOOT_ROLE={role}: nothing is done; in /etc/default/kboot, say node, control-plane or both"
            );
            assert_eq!(done.error(), (0, wanted.as_str()), "{name}");
        }
        assert_eq!(legacy.host.sh("cat /run/initctl; ip -br link | grep -c cbr0 || true"), "stop\n0\n");
    }
}

/// upstart starts a task that fails again at once, and without end: whatever it is, the options' file too, each
/// waits before it ends.
#[test]
fn what_fails_at_once_is_not_tried_again_at_once() {
    let Some(legacy) = Legacy::new(72) else { return };
    legacy.host.sh("mkdir -p /usr/local/sbin");
    script(&legacy.host, "/usr/local/sbin/sleep", "echo \"$@\" >>/run/slept");
    let jobs: Vec<Job> = names().iter().map(|n| Job::read(&format!("{n}.conf"))).collect();
    for wrong in ["KBOOT_LABEL=a b\n", "KBOOT_LABEL=\"a\n"] {
        legacy.defaults(wrong);
        for job in jobs.iter().filter(|job| job.has("task")) {
            legacy.host.sh("rm -f /run/slept");
            let done = process(&legacy, job, "main");
            assert_ne!(done.code, 0, "{done:?}");
            assert_eq!(legacy.host.sh("cat /run/slept"), "10\n", "{done:?}");
        }
    }
}

/// Its main process stays: upstart is its parent.
fn kubelet(legacy: &Legacy, job: &Job) {
    legacy.docker_bridge();
    let text = &job.scripts["main"];
    legacy.write("/run/main", text);
    let env = job.stanzas.iter().find_map(|s| s.strip_prefix("env ")).unwrap();
    legacy.host.sh(&format!("env -i {env} sh -e /run/main </dev/null >/run/kubelet.log 2>&1 &"));
    until("it is the kubelet", || {
        legacy.host.sh("cat /run/kubelets 2>/dev/null || true").contains("--hostname-override=10.71.48.1")
    });
}

//! A join that is killed before any of its connections and changes to files goes on where it was: with
//! the same key and the same request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::api::shared;
use crate::support::join::Cluster;
use crate::support::{Scratch, binary, finish, need, run};

/// Approves and signs what is handed in for a node, until told to stop.
fn attend(cluster: &Cluster<'_>, name: &str, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        for request in cluster.requests(name).iter().filter(|r| r["status"]["certificate"].is_null()) {
            let request = request["metadata"]["name"].as_str().unwrap();
            cluster.api.kubectl(&["certificate", "approve", request]).ok();
            cluster.sign(request, "30");
        }
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn killed_at_any_step_it_goes_on_with_the_same_key() {
    let Some(api) = shared().filter(|_| need("strace", "tools").is_some()) else { return };
    let cluster = Cluster::on(api);
    for (at, call) in ["connect", "rename", "symlink", "unlink"].into_iter().enumerate() {
        for number in 1.. {
            let (dir, name) = (Scratch::new(), format!("killed-{call}-{number}"));
            let mut words = cluster.words(&format!("10.{}.{number}.1/24", 190 + at), &dir);
            words.extend(["--name".to_owned(), name.clone()]);
            let inject = format!("inject={call}:signal=KILL:when={number}");
            let mut strace = std::process::Command::new("strace");
            strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject]);
            let stop = AtomicBool::new(false);
            let (killed, again) = thread::scope(|scope| {
                scope.spawn(|| attend(&cluster, &name, &stop));
                let killed = finish(strace.arg(binary()).args(&words));
                let again = run(&words);
                stop.store(true, Ordering::Relaxed);
                (killed, again)
            });
            let what = format!("killed before {call} {number}");
            assert_eq!(again.code, 0, "{what}: {again:?}");
            assert_eq!(cluster.requests(&name).len(), 1, "{what}: one request is enough");
            let config = dir.path("etc/kubelet.conf");
            let node = api.kubectl(&["--kubeconfig", &config, "get", "node", &name, "-o", "name"]);
            assert_eq!(node.ok(), format!("node/{name}\n"), "{what}");
            let left = std::fs::read_dir(dir.path("pki")).unwrap().count();
            assert!(left <= 3, "{what}: {left} files");
            if killed.code != 128 + 9 {
                assert_eq!(killed.code, 0, "{what}: {killed:?}");
                break;
            }
        }
    }
}

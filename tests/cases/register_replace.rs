//! register --replace: a Node made anew loses nothing, wherever the run is killed. A real kube-apiserver 1.20.2.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::api::{Api, shared};
use crate::support::{Done, Scratch, between, collect, finish, kboot_with_run, odd_server, until};

/// A Node with everything that somebody may have given it.
fn full(api: &Api, name: &str, cidr: &str) {
    let node = json!({
        "metadata": {"labels": {"zone": "z1", "kubernetes.io/hostname": "by-hand"}, "annotations": {"note": "a, \"b\""}},
        "spec": {
            "podCIDR": cidr,
            "providerID": "cloud://i-1",
            "unschedulable": true,
            "taints": [{"key": "dedicated", "value": "gpu", "effect": "NoExecute"}],
        },
    });
    api.create(name, &node);
}

/// What must be there of it after all.
fn is_whole(api: &Api, name: &str, cidr: &str) {
    let node = api.node(name).unwrap();
    let (meta, spec) = (&node["metadata"], &node["spec"]);
    assert_eq!(spec["podCIDR"], cidr, "{node}");
    assert_eq!(
        (&meta["labels"]["zone"], &meta["labels"]["kubernetes.io/os"]),
        (&json!("z1"), &json!("linux")),
        "{node}"
    );
    assert_eq!(
        (&meta["annotations"]["note"], &spec["providerID"]),
        (&json!("a, \"b\""), &json!("cloud://i-1")),
        "{node}"
    );
    assert_eq!(spec["unschedulable"], true, "{node}");
    let dedicated = json!({"key": "dedicated", "value": "gpu", "effect": "NoExecute"});
    assert!(spec["taints"].as_array().unwrap().contains(&dedicated), "{node}");
}

fn args<'a>(server: &'a str, name: &'a str, subnet: &'a str) -> Vec<&'a str> {
    vec!["register", "--server", server, "--name", name, "--subnet", subnet, "--timeout", "30s", "--replace"]
}

fn replace(run: &Scratch, server: &str, name: &str, subnet: &str, more: &[&str]) -> Done {
    finish(&mut kboot_with_run(&run.0, &[&args(server, name, subnet)[..], more].concat()))
}

#[test]
fn it_keeps_what_the_node_had_and_says_what_it_did() {
    let Some(api) = shared() else { return };
    let run = Scratch::new();
    full(api, "replace-1", "10.64.1.0/24");
    let before = api.node("replace-1").unwrap();
    let dry = replace(&run, &api.plain, "replace-1", "10.64.2.1/24", &["--dry-run"]);
    assert!(dry.ok().starts_with("kubectl delete node replace-1\nkubectl create -f - <<< '{"), "{dry:?}");
    assert_eq!(api.node("replace-1").unwrap()["metadata"]["uid"], before["metadata"]["uid"]);
    let done = replace(&run, &api.plain, "replace-1", "10.64.2.1/24", &[]);
    assert!(done.stderr.contains("kboot register: kubectl delete node replace-1\n"), "{done:?}");
    assert!(
        done.stderr.contains("node replace-1 podCIDR 10.64.2.0/24")
            && done.stderr.contains("(2 changed, 0 already so)"),
        "{done:?}"
    );
    is_whole(api, "replace-1", "10.64.2.0/24");
    assert_ne!(api.node("replace-1").unwrap()["metadata"]["uid"], before["metadata"]["uid"]);
    assert!(!run.0.join("kboot/node-replace-1.json").exists());
}

#[test]
fn a_node_that_is_ready_is_left_unless_forced() {
    let Some(api) = shared() else { return };
    let run = Scratch::new();
    full(api, "replace-2", "10.64.3.0/24");
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    api.patch("replace-2/status", &ready);
    let done = replace(&run, &api.plain, "replace-2", "10.64.4.1/24", &[]);
    let says = "kboot register: node replace-2 has podCIDR 10.64.3.0/24, wanted is 10.64.4.0/24, and it is Ready: drain it and stop its kubelet first, or give --force";
    assert_eq!((done.code, done.stderr.lines().last().unwrap()), (3, says));
    is_whole_but_labels(api, "replace-2", "10.64.3.0/24");
    assert_eq!(replace(&run, &api.plain, "replace-2", "10.64.4.1/24", &["--force"]).code, 0);
    is_whole(api, "replace-2", "10.64.4.0/24");
}

fn is_whole_but_labels(api: &Api, name: &str, cidr: &str) {
    let node = api.node(name).unwrap();
    assert_eq!(
        (&node["spec"]["podCIDR"], &node["metadata"]["labels"]["kubernetes.io/os"]),
        (&json!(cidr), &Value::Null)
    );
}

/// Runs until a request of that method arrives, which is passed on first or not; then kills it there.
fn killed_at(api: &'static Api, run: &Scratch, name: &str, subnet: &str, method: &'static str, passed: bool) {
    let arrived = Arc::new(AtomicBool::new(false));
    let seen = arrived.clone();
    let between = between::start(&api.plain, move |request, pass| {
        if !request.starts_with(method) {
            return pass(request);
        }
        let answer = passed.then(|| pass(request));
        assert!(answer.is_none_or(|a| a.is_some()));
        seen.store(true, Ordering::SeqCst);
        // No answer as long as it lives.
        std::thread::sleep(std::time::Duration::from_secs(5));
        None
    });
    let mut command = kboot_with_run(&run.0, &args(&between, name, subnet));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the request arrives", || arrived.load(Ordering::SeqCst));
    child.kill().unwrap();
    assert_eq!(collect(child).code, 128 + 9);
}

#[test]
fn killed_anywhere_it_loses_nothing() {
    let Some(api) = shared() else { return };
    if !crate::support::root_user() {
        return;
    }
    for (at, (method, passed)) in
        [("DELETE", false), ("DELETE", true), ("POST", false), ("POST", true)].into_iter().enumerate()
    {
        let (run, name) = (Scratch::new(), format!("replace-kill-{at}"));
        let (before, after) = (format!("10.64.{}.0/24", 10 + at), format!("10.64.{}.1/24", 20 + at));
        full(api, &name, &before);
        killed_at(api, &run, &name, &after, method, passed);
        let is_there = (method, passed) != ("DELETE", true) && (method, passed) != ("POST", false);
        assert_eq!(api.node(&name).is_some(), is_there, "{method} {passed}");
        let done = replace(&run, &api.plain, &name, &after, &[]);
        assert_eq!(done.code, 0, "{method} {passed}: {done:?}");
        let says = format!("node {name} gets back what it had when a run deleted it at http://127.0.0.1:");
        assert_eq!(done.stderr.contains(&says), !is_there, "{done:?}");
        is_whole(api, &name, &format!("10.64.{}.0/24", 20 + at));
        assert!(!run.0.join(format!("kboot/node-{name}.json")).exists());
        assert!(replace(&run, &api.plain, &name, &after, &[]).stderr.contains("(0 changed, 1 already so)"));
    }
}

/// Killed after the delete; a kubelet with --register-node=true was faster than the second run.
#[test]
fn a_kubelet_that_was_faster_gets_the_rest() {
    let Some(api) = shared() else { return };
    if !crate::support::root_user() {
        return;
    }
    let run = Scratch::new();
    full(api, "replace-kubelet", "10.64.30.0/24");
    killed_at(api, &run, "replace-kubelet", "10.64.31.1/24", "DELETE", true);
    api.create("replace-kubelet", &json!({"metadata": {"labels": {"kubernetes.io/os": "linux"}}}));
    let kept = run.0.join("kboot/node-replace-kubelet.json");
    assert!(kept.exists());
    assert!(
        replace(&run, &api.plain, "replace-kubelet", "10.64.31.1/24", &[])
            .stderr
            .contains("(1 changed, 0 already so)")
    );
    is_whole(api, "replace-kubelet", "10.64.31.0/24");
    assert!(!kept.exists());
}

/// A Node with a finalizer is there until somebody has taken that away.
#[test]
fn a_node_that_is_being_deleted_is_waited_out() {
    let Some(api) = shared() else { return };
    let run = Scratch::new();
    full(api, "replace-going", "10.64.40.0/24");
    api.patch("replace-going", &json!({"metadata": {"finalizers": ["example.com/hold"]}}));
    let mut command = kboot_with_run(&run.0, &args(&api.plain, "replace-going", "10.64.41.1/24"));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("it is being deleted", || {
        api.node("replace-going").unwrap()["metadata"]["deletionTimestamp"].is_string()
    });
    let mut short = args(&api.plain, "replace-going", "10.64.41.1/24");
    short[8] = "300ms";
    let done = finish(&mut kboot_with_run(&Scratch::new().0, &short));
    let says = "kboot register: node replace-going: not within 300ms: it is being deleted, its finalizers are [\"example.com/hold\"]";
    assert_eq!((done.code, done.stderr.lines().last().unwrap()), (75, says));
    api.patch("replace-going", &json!({"metadata": {"finalizers": null}}));
    let done = collect(child);
    assert!(done.code == 0 && done.stderr.contains("waiting for node replace-going"), "{done:?}");
    is_whole(api, "replace-going", "10.64.41.0/24");
}

/// A record that is another server's, or of another hour, is told of and left where it is.
#[test]
fn what_a_run_left_is_taken_where_it_belongs() {
    if !crate::support::root_user() {
        return;
    }
    let up = std::fs::read_to_string("/proc/uptime").unwrap();
    let up: i64 = up.split('.').next().unwrap().parse().unwrap();
    let missing = odd_server::json("404 Not Found", "", r#"{"kind":"Status","reason":"NotFound"}"#);
    let list = odd_server::json("200 OK", "", r#"{"kind":"NodeList","items":[]}"#);
    let made = odd_server::json(
        "201 Created",
        "",
        r#"{"metadata":{"name":"n9"},"spec":{"podCIDR":"10.65.9.0/24"}}"#,
    );
    let elsewhere = "--replace takes it to this server";
    for (age, is_here, more, ignored) in [
        (0, false, &[][..], Some(elsewhere)),
        (0, true, &[], None),
        (0, false, &["--replace"], None),
        (4000, true, &["--replace"], Some("it is older than an hour")),
    ] {
        let (run, server) = (Scratch::new(), odd_server::serve(&[&missing, &list, &made]));
        let at = if is_here { server.url.as_str() } else { "http://10.0.0.9:8080" };
        std::fs::create_dir(run.0.join("kboot")).unwrap();
        let kept = json!({"metadata": {"uid": "u", "labels": {"zone": "z9"}}, "spec": {}});
        let record = json!({"server": at, "uptime": up - age, "node": kept});
        run.file("kboot/node-n9.json", record.to_string());
        let args = [
            "register",
            "--server",
            &server.url,
            "--name",
            "n9",
            "--subnet",
            "10.65.9.1/24",
            "--timeout",
            "20s",
        ];
        let done = finish(&mut kboot_with_run(&run.0, &[&args[..], more].concat()));
        assert_eq!(done.code, 0, "{done:?}");
        let body: Value = serde_json::from_str(&server.requests.lock().unwrap()[2].2).unwrap();
        assert_eq!(body["metadata"]["labels"]["zone"].is_null(), ignored.is_some(), "{done:?}");
        let says = ignored.map_or_else(
            || format!("node n9 gets back what it had when a run deleted it at {at}\n"),
            |why| format!("what node n9 had when a run deleted it at {at} is not given back, {why}: /run/kboot/node-n9.json has it\n"),
        );
        assert!(done.stderr.contains(&says), "{says}: {done:?}");
        assert_eq!(run.0.join("kboot/node-n9.json").exists(), ignored.is_some());
    }
}

/// What the run itself keeps goes with its end, also where something older lay there.
#[test]
fn an_old_record_does_not_make_a_new_one_stay() {
    if !crate::support::root_user() {
        return;
    }
    let old = r#"{"metadata":{"name":"n8","uid":"u8"},"spec":{"podCIDR":"10.65.7.0/24"}}"#;
    let made = r#"{"metadata":{"name":"n8","uid":"u9"},"spec":{"podCIDR":"10.65.8.0/24"}}"#;
    let there = odd_server::json("200 OK", "", old);
    let list = odd_server::json("200 OK", "", r#"{"kind":"NodeList","items":[]}"#);
    let server = odd_server::serve(&[&there, &list, &there, &odd_server::json("201 Created", "", made)]);
    let run = Scratch::new();
    std::fs::create_dir(run.0.join("kboot")).unwrap();
    run.file("kboot/node-n8.json", r#"{"server":"http://a","node":{"metadata":{"uid":"u7"}}}"#);
    let done = replace(&run, &server.url, "n8", "10.65.8.1/24", &[]);
    assert!(done.code == 0 && done.stderr.contains("is not given back, it is older"), "{done:?}");
    assert!(!run.0.join("kboot/node-n8.json").exists());
}

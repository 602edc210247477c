//! register --wait-ready: against a real kube-apiserver 1.20.2 whose Nodes' status a test writes, and against
//! stand-ins for what a server does at bad moments.

use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::api::{Api, shared};
use crate::support::odd_server::{self, serve};
use crate::support::{Done, between, collect, kboot, run, until};

fn status(api: &Api, name: &str, ready: &str, reason: &str, message: &str) {
    let conditions = json!([
        {"type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory"},
        {"type": "Ready", "status": ready, "reason": reason, "message": message},
    ]);
    api.patch(&format!("{name}/status"), &json!({"status": {"conditions": conditions}}));
}

const NO_CNI: &str = "runtime network not ready: cni config uninitialized";

fn start(url: &str, subnet: &str, more: &[&str]) -> Child {
    let args = ["register", "--subnet", subnet, "--server", url, "--wait-ready", "--timeout", "40s"];
    let mut command = kboot(&[&args[..], more].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn count(done: &Done, text: &str) -> usize {
    done.stderr.matches(text).count()
}

/// One watch sees it all; each change is told once.
#[test]
fn it_follows_the_node_until_it_is_ready() {
    let Some(api) = shared() else { return };
    let user = api.user(402);
    let user: Vec<&str> = user.iter().map(String::as_str).collect();
    let child = start(&api.url, "10.65.1.1/24", &user[2..]);
    let name = "10.65.1.1";
    until("it is created", || api.node(name).is_some());
    for (reason, message) in [("KubeletNotReady", NO_CNI), ("KubeletNotReady", NO_CNI), ("Other", "")] {
        status(api, name, "False", reason, message);
    }
    api.patch(name, &json!({"metadata": {"labels": {"x": "1"}}}));
    let ready = Instant::now();
    status(api, name, "True", "KubeletReady", "kubelet is posting ready status");
    let done = collect(child);
    assert!(ready.elapsed() < Duration::from_secs(3), "it is told, it does not ask");
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stderr.contains("node 10.65.1.1 is Ready ("), "{done:?}");
    assert!(count(&done, "node 10.65.1.1: Ready is not reported yet") <= 1, "{done:?}");
    assert!(
        count(&done, &format!("node 10.65.1.1: Ready is False: KubeletNotReady: {NO_CNI}")) <= 1,
        "{done:?}"
    );
    let asked = || api.asked_by("user-402");
    until("it is logged", || asked().len() >= 4);
    assert_eq!(asked(), ["get 404", "list 200", "create 201", "watch 200"]);
    // It is Ready already.
    let args = ["register", "--subnet", "10.65.1.1/24", "--wait-ready"];
    assert_eq!(run(&[&args[..], &user].concat()).code, 0);
    until("it is logged", || asked().len() >= 5);
    assert_eq!(asked()[4..], ["get 200"]);
}

#[test]
fn at_the_deadline_it_says_what_is_not_as_it_should_be() {
    let Some(api) = shared() else { return };
    for (subnet, condition, says) in [
        ("10.65.2.1/24", None, "Ready is not reported yet: no kubelet runs under this name".to_owned()),
        ("10.65.3.1/24", Some("False"), format!("Ready is False: KubeletNotReady: {NO_CNI}")),
        ("10.65.4.1/24", Some("Unknown"), format!("Ready is Unknown: KubeletNotReady: {NO_CNI}")),
    ] {
        let name = subnet.trim_end_matches("/24");
        let args = ["register", "--subnet", subnet, "--server", &api.plain];
        assert_eq!(run(&args).code, 0);
        if let Some(ready) = condition {
            status(api, name, ready, "KubeletNotReady", NO_CNI);
        }
        for (timeout, within) in [("1500ms", "not within 1500ms: "), ("0", "")] {
            let started = Instant::now();
            let done = run(&[&args[..], &["--wait-ready", "--timeout", timeout]].concat());
            let last = done.stderr.lines().last().unwrap();
            assert_eq!(
                (done.code, last),
                (75, format!("kboot register: node {name}: {within}{says}").as_str())
            );
            assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
        }
    }
}

#[test]
fn a_node_that_is_deleted_meanwhile_is_told() {
    let Some(api) = shared() else { return };
    let child = start(&api.plain, "10.65.5.1/24", &[]);
    until("it is created", || api.node("10.65.5.1").is_some());
    api.kubectl(&["delete", "node", "10.65.5.1"]).ok();
    let done = collect(child);
    let says = "kboot register: node 10.65.5.1 was deleted while it was waited for: run register again";
    assert_eq!((done.code, done.stderr.lines().last().unwrap()), (1, says));
}

/// The server goes away and comes back, answers that it is busy, has forgotten that version (410): it is
/// asked anew. The real server behind a stand-in for the bad moments.
#[test]
fn a_watch_that_ends_is_begun_again() {
    let Some(api) = shared() else { return };
    let watches = Arc::new(AtomicUsize::new(0));
    let seen = watches.clone();
    let between = between::start(&api.plain, move |request, pass| {
        if !request.contains("watch=true") {
            return pass(request);
        }
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let gone = r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}"#;
        match seen.fetch_add(1, Ordering::SeqCst) {
            0 => None,
            1 => Some(odd_server::json("410 Gone", "", r#"{"kind":"Status","code":410,"reason":"Expired"}"#)),
            2 => Some(format!("{head}{}0\r\n\r\n", chunk(gone))),
            3 => Some(odd_server::json("503 Service Unavailable", "", "")),
            // A bookmark, then cut off in the middle of an event.
            4 => Some(format!(
                "{head}{}{}",
                chunk("{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"1\"}}}\n"),
                chunk("{\"type\":\"MODI")
            )),
            // An end without an event.
            5 => Some(format!("{head}0\r\n\r\n")),
            _ => {
                status(api, "10.65.6.1", "True", "KubeletReady", "");
                Some(format!("{head}0\r\n\r\n"))
            }
        }
    });
    let done = collect(start(&between, "10.65.6.1/24", &[]));
    assert!(done.code == 0 && done.stderr.contains("node 10.65.6.1 is Ready"), "{done:?}");
    assert_eq!(watches.load(Ordering::SeqCst), 7);
    assert_eq!(
        count(&done, "Ready is not reported yet"),
        2,
        "once, and once as what is waited for: {done:?}"
    );
}

/// Who may get but not watch asks again and again.
#[test]
fn without_the_right_to_watch() {
    let Some(api) = shared() else { return };
    let between = between::start(&api.plain, |request, pass| {
        if request.contains("watch=true") {
            let no = r#"{"kind":"Status","reason":"Forbidden","code":403,"message":"nodes is forbidden: User \"x\" cannot watch resource \"nodes\""}"#;
            return Some(odd_server::json("403 Forbidden", "", no));
        }
        pass(request)
    });
    let child = start(&between, "10.65.7.1/24", &[]);
    until("it is created", || api.node("10.65.7.1").is_some());
    status(api, "10.65.7.1", "True", "KubeletReady", "");
    let done = collect(child);
    assert!(done.code == 0 && count(&done, "cannot be watched: nodes is forbidden") <= 1, "{done:?}");
}

/// A stand-in that says nothing at all on the watch: that is no failure before the deadline.
#[test]
fn a_server_that_is_silent_is_waited_for() {
    let name = "10.65.8.1";
    let made = json!({"metadata": {"name": name, "uid": "u", "resourceVersion": "7"}, "spec": {"podCIDR": "10.65.8.0/24"}});
    let missing =
        odd_server::json("404 Not Found", "", r#"{"kind":"Status","reason":"NotFound","code":404}"#);
    let server = serve(&[
        &missing,
        &odd_server::json("200 OK", "", r#"{"kind":"NodeList","items":[]}"#),
        &odd_server::json("201 Created", "", &made.to_string()),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n",
    ]);
    // The stand-in ends the connection after each answer: what it leaves open is the next one's business.
    let started = Instant::now();
    let args = ["register", "--subnet", "10.65.8.1/24", "--server", &server.url, "--wait-ready"];
    let done = run(&[&args[..], &["--timeout", "2s", "-q"]].concat());
    assert!(done.code == 75 && done.stderr.contains("Ready is not reported yet"), "{done:?}");
    assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
    let requests = server.requests.lock().unwrap();
    let watch = &requests[3].1;
    assert!(watch.starts_with("/api/v1/nodes?watch=true&fieldSelector=metadata.name%3D10.65.8.1&resourceVersion=7&timeoutSeconds="), "{watch}");
    let _: Value = serde_json::from_str(&requests[2].2).unwrap();
}

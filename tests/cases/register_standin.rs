//! register against stand-ins for servers that cannot be run here: Kubernetes 1.0, 1.36, and one with 5000 Nodes.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::odd_server::{json as answer, serve};
use crate::support::{Done, between, binary, finish, run};

fn register(url: &str, args: &[&str]) -> Done {
    run(&[&["register", "--server", url, "--timeout", "20s"], args].concat())
}

fn failure(code: u16, reason: &str, message: &str) -> String {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message,
        // 1.0 and 1.1 name the kind so; today it is "nodes".
        "details": {"name": "10.67.1.1", "kind": "node"},
    });
    answer(&format!("{code} {reason}"), "", &body.to_string())
}

/// The stand-in answers as 1.0 did (pkg/api/errors): other words, and of what it does not know it keeps nothing.
#[test]
fn a_stand_in_for_kubernetes_1_0() {
    let list = r#"{"kind":"NodeList","apiVersion":"v1","metadata":{"selfLink":"/api/v1/nodes","resourceVersion":"9"},"items":[{"metadata":{"name":"10.67.9.1"},"spec":{"externalID":"10.67.9.1"}}]}"#;
    let kept = json!({
        "kind": "Node", "apiVersion": "v1",
        "metadata": {"name": "10.67.1.1", "uid": "u", "resourceVersion": "10", "labels": {
            "kubernetes.io/hostname": "10.67.1.1", "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64",
        }, "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}},
        "spec": {"podCIDR": "10.67.1.0/24", "externalID": "10.67.1.1"},
    });
    let missing = failure(404, "NotFound", "node \"10.67.1.1\" not found");
    let twice = failure(409, "AlreadyExists", "node \"10.67.1.1\" already exists");
    let there = answer("200 OK", "", &kept.to_string());
    let server = serve(&[&missing, &answer("200 OK", "", list), &twice, &there]);
    let done = register(&server.url, &["--subnet", "10.67.1.1/24"]);
    assert!(done.code == 0 && done.stderr.contains("(0 changed, 1 already so)"), "{done:?}");
    assert!(!done.stderr.contains("kubectl create"), "it was somebody else's doing: {done:?}");
    let requests = server.requests.lock().unwrap();
    let body: Value = serde_json::from_str(&requests[2].2).unwrap();
    assert_eq!(body["spec"], json!({"podCIDR": "10.67.1.0/24"}), "nothing that 1.0 does not know");
}

/// A stand-in that keeps Nodes as 1.36 does: podCIDRs filled in, host bits refused on what is new, what is
/// stored already let be.
fn strict() -> String {
    let stored = std::sync::Mutex::new(json!({
        "10.67.4.1": {"metadata": {"name": "10.67.4.1", "resourceVersion": "3"}, "spec": {"podCIDR": "10.67.4.1/24", "podCIDRs": ["10.67.4.1/24"]}},
        "10.67.5.1": {"metadata": {"name": "10.67.5.1", "resourceVersion": "4"}, "spec": {}},
    }));
    let is_strict = |cidr: &str| {
        let cidr: ipnet::IpNet = cidr.parse().unwrap();
        cidr.addr() == cidr.network()
    };
    between::start("http://none", move |request, _| {
        let mut stored = stored.lock().unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let words: Vec<&str> = head.split(' ').collect();
        let name = words[1].trim_start_matches("/api/v1/nodes/").to_owned();
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let cidr = body["spec"]["podCIDR"].as_str();
        if cidr.is_some_and(|c| !is_strict(c)) {
            return Some(failure(
                422,
                "Invalid",
                "spec.podCIDRs[0]: Invalid value: must not have bits set beyond the prefix length",
            ));
        }
        let (status, now) = match words[0] {
            "GET" if words[1] == "/api/v1/nodes?resourceVersion=0" => {
                let items: Vec<&Value> = stored.as_object().unwrap().values().collect();
                ("200 OK", json!({"kind": "NodeList", "items": items}))
            }
            "GET" if stored[&name].is_null() => return Some(failure(404, "NotFound", "")),
            "GET" => ("200 OK", stored[&name].clone()),
            "POST" => ("201 Created", body),
            _ => {
                let mut node = stored[&name].clone();
                for part in ["metadata", "spec"] {
                    for (key, value) in body[part].as_object().into_iter().flatten() {
                        node[part][key] = value.clone();
                    }
                }
                ("200 OK", node)
            }
        };
        let mut now = now;
        if words[0] != "GET" {
            if now["spec"]["podCIDRs"].is_null() {
                now["spec"]["podCIDRs"] = json!([now["spec"]["podCIDR"]]);
            }
            let name = now["metadata"]["name"].as_str().unwrap().to_owned();
            stored[&name] = now.clone();
        }
        Some(answer(status, "", &now.to_string()))
    })
}

#[test]
fn a_stand_in_for_kubernetes_1_36() {
    let server = strict();
    for (args, changed) in [
        (&["--subnet", "10.67.2.1/24"][..], 1),
        // Dual stack is there: nothing is lost, nothing warned of.
        (&["--subnet", "10.67.3.1/24", "--subnet", "fd00:67:3::1/64"], 1),
        // An older Node, which came with host bits, gets labels only.
        (&["--subnet", "10.67.4.1/24"], 1),
        (&["--subnet", "10.67.5.1/24"], 1),
        (&["--subnet", "10.67.3.1/24", "--subnet", "fd00:67:3::1/64"], 0),
        (&["--subnet", "10.67.4.1/24"], 0),
        (&["--subnet", "10.67.5.1/24"], 0),
    ] {
        let done = register(&server, args);
        let already = 1 - changed;
        assert!(
            done.stderr.contains(&format!("({changed} changed, {already} already so)")),
            "{args:?} {done:?}"
        );
        assert!(!done.stderr.contains("warning"), "{done:?}");
    }
    let done = register(&server, &["--subnet", "10.67.3.1/24", "--subnet", "fd00:67:4::1/64"]);
    assert!(
        done.code == 3
            && done
                .stderr
                .contains("has podCIDR 10.67.3.0/24,fd00:67:3::/64, wanted is 10.67.3.0/24,fd00:67:4::/64"),
        "{done:?}"
    );
    let done = register(&server, &["--name", "other", "--subnet", "10.67.4.9/24"]);
    assert!(
        done.code == 3 && done.stderr.contains("podCIDR 10.67.4.0/24 is node 10.67.4.1's already"),
        "{done:?}"
    );
}

/// Nodes of 15 KB each, as a kubelet with 50 images reports them.
fn nodes(count: usize, last_cidr: &str) -> String {
    let image = json!({"names": [format!("registry.example.com/{}@sha256:{}", "n".repeat(60), "d".repeat(64))], "sizeBytes": 123_456_789});
    let status = json!({"images": vec![image; 50], "podCIDR": "10.67.6.0/24"}).to_string();
    let mut list =
        String::from(r#"{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":["#);
    for n in 0..count {
        let cidr = if n + 1 == count {
            last_cidr.to_owned()
        } else {
            format!("10.{}.{}.0/24", 100 + n / 250, n % 250)
        };
        let comma = if n == 0 { "" } else { "," };
        write!(list, r#"{comma}{{"metadata":{{"name":"n{n}"}},"spec":{{"podCIDR":"{cidr}","podCIDRs":["{cidr}"]}},"status":{status}}}"#).unwrap();
    }
    list + "]}"
}

/// The list of a large cluster goes by; it is not kept.
#[test]
fn a_list_of_any_length_takes_no_memory() {
    for (cidr, exit) in [("10.200.0.0/24", 0), ("10.67.6.77/24", 3)] {
        let list = answer("200 OK", "", &nodes(2000, cidr));
        assert!(list.len() > 15 << 20, "more than is read of any other answer: {}", list.len());
        let made = r#"{"metadata":{"name":"10.67.6.1"},"spec":{"podCIDR":"10.67.6.0/24"}}"#;
        let server = serve(&[&failure(404, "NotFound", ""), &list, &answer("201 Created", "", made)]);
        let mut command = Command::new("prlimit");
        command.args(["--data=8000000", "--"]).arg(binary());
        command.args([
            "register",
            "--subnet",
            "10.67.6.1/24",
            "--server",
            &server.url,
            "-q",
            "--timeout",
            "50s",
        ]);
        let done = finish(&mut command);
        assert_eq!(done.code, exit, "{done:?}");
        assert_eq!(
            done.stderr.contains("podCIDR 10.67.6.0/24 is node n1999's already"),
            exit == 3,
            "{done:?}"
        );
    }
}

/// Methods that a stand-in was asked with, which answered these one after the other.
fn asked(answers: &[&str], more: &[&str]) -> (Done, Vec<String>) {
    let server = serve(answers);
    let done = register(&server.url, &[&["--subnet", "10.67.7.1/24"], more].concat());
    let requests = server.requests.lock().unwrap();
    (done, requests.iter().map(|r| format!("{} {}", r.0, r.1)).collect())
}

const MADE: &str = r#"{"metadata":{"name":"10.67.7.1"},"spec":{"podCIDR":"10.67.7.0/24"}}"#;
const NO_NODES: &str = r#"{"kind":"NodeList","items":[]}"#;

/// Whether another Node has the subnet is good to know; a server that cannot tell keeps no Node back.
#[test]
fn a_list_that_never_ends_is_done_without() {
    let missing = failure(404, "NotFound", "");
    let broken = failure(500, "InternalError", "too large");
    let impatient = answer("429 Too Many Requests", "Retry-After: 400\r\n", "{}");
    let made = answer("201 Created", "", MADE);
    let cut =
        "HTTP/1.1 200 OK\r\nContent-Length: 900\r\nConnection: close\r\n\r\n{\"items\":[{\"metadata\":{";
    for (answers, lists) in
        [(&[&missing[..], &broken, cut, &made][..], 2), (&[&missing[..], &impatient, &made], 1)]
    {
        let (done, asked) = asked(answers, &[]);
        let warns = "warning: whether another Node has this podCIDR is not known: the list of Nodes: ";
        assert!(done.code == 0 && done.stderr.contains(warns), "{done:?}");
        assert_eq!(asked.len(), lists + 2, "{asked:?}");
    }
}

#[test]
fn a_node_that_goes_before_the_patch_is_looked_at_again() {
    let (missing, list) = (failure(404, "NotFound", ""), answer("200 OK", "", NO_NODES));
    let (there, made) = (answer("200 OK", "", MADE), answer("201 Created", "", MADE));
    let (done, asked) = asked(&[&there, &missing, &missing, &list, &made], &[]);
    assert!(done.code == 0 && done.stderr.contains("(1 changed, 0 already so)"), "{done:?}");
    let methods: Vec<&str> = asked.iter().filter_map(|a| a.split(' ').next()).collect();
    assert_eq!(methods, ["GET", "PATCH", "GET", "GET", "POST"]);
}

#[test]
fn another_pod_cidr_than_was_given_is_told_with_both() {
    let (missing, list) = (failure(404, "NotFound", ""), answer("200 OK", "", NO_NODES));
    let other = answer("201 Created", "", &MADE.replace("10.67.7.0", "10.67.8.0"));
    let server = serve(&[&missing, &list, &other]);
    let done = register(&server.url, &["--subnet", "10.67.7.1/24", "-q"]);
    let says = format!(
        "kboot register: {}: node 10.67.7.1: the server was given podCIDR 10.67.7.0/24, and has 10.67.8.0/24",
        server.url
    );
    assert_eq!(done.error(), (1, says.as_str()));
}

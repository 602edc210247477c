//! What a real kube-apiserver 1.20.2 answers about Nodes, asked by curl, and what kboot makes of it.

use serde_json::{Value, json};

use crate::support::api::{JSON, NOBODY, shared};
use crate::support::between::{self, Pass};
use crate::support::{Done, run};

const NODES: &str = "/api/v1/nodes";
const MERGE: &str = "application/merge-patch+json";

fn node(name: &str, cidr: &str) -> String {
    json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": name}, "spec": {"podCIDR": cidr}})
        .to_string()
}

fn path(name: &str) -> String {
    format!("{NODES}/{name}")
}

/// Its reason, and the reasons and fields of its causes.
fn why(answer: &Value) -> Vec<String> {
    let causes = answer["details"]["causes"].as_array().into_iter().flatten();
    let causes =
        causes.map(|c| format!("{} {}", c["reason"].as_str().unwrap(), c["field"].as_str().unwrap()));
    std::iter::once(answer["reason"].as_str().unwrap_or_default().to_owned()).chain(causes).collect()
}

fn register(url: &str, name: &str, subnet: &str) -> Done {
    run(&["register", "--name", name, "--subnet", subnet, "--server", url, "--timeout", "20s"])
}

/// The server keeps host bits; kboot writes none, and knows the Node of one who did.
#[test]
fn host_bits_are_kept_by_the_server() {
    let Some(api) = shared() else { return };
    let (status, made) = api.ask("POST", NODES, Some((JSON, &node("facts-bits", "10.60.74.1/24"))));
    assert_eq!((status, &made["spec"]["podCIDR"]), (201, &"10.60.74.1/24".into()));
    let done = register(&api.plain, "facts-bits", "10.60.74.1/24");
    let labels = "(1 changed, 0 already so)";
    assert!(done.stderr.contains(labels), "labels are added: {done:?}");
    assert!(register(&api.plain, "facts-bits", "10.60.74.9/24").stderr.contains("(0 changed, 1 already so)"));
    assert_eq!(api.node("facts-bits").unwrap()["spec"]["podCIDR"], "10.60.74.1/24");
    assert_eq!(register(&api.plain, "facts-bits-2", "10.60.75.1/24").code, 0);
    assert_eq!(api.node("facts-bits-2").unwrap()["spec"]["podCIDR"], "10.60.75.0/24");
}

/// Somebody is faster by a hair: 409 AlreadyExists, and equal is success.
#[test]
fn a_duplicate_is_409_already_exists() {
    let Some(api) = shared() else { return };
    let body = node("facts-twice", "10.60.76.0/24");
    let between = between::start(&api.plain, move |request, pass| {
        if request.starts_with("POST ") {
            assert_eq!(api.ask("POST", NODES, Some((JSON, &body))).0, 201);
            let (status, second) = api.ask("POST", NODES, Some((JSON, &body)));
            assert_eq!((status, why(&second)), (409, vec!["AlreadyExists".into()]));
            assert_eq!(second["details"], json!({"name": "facts-twice", "kind": "nodes"}));
        }
        pass(request)
    });
    let done = register(&between, "facts-twice", "10.60.76.1/24");
    // It was bare: kboot's labels are the one change.
    assert!(done.code == 0 && done.stderr.contains("(1 changed, 0 already so)"), "{done:?}");
    assert_eq!(api.node("facts-twice").unwrap()["metadata"]["labels"]["kubernetes.io/os"], "linux");
}

#[test]
fn a_set_pod_cidr_is_not_changed_and_an_empty_one_is_set() {
    let Some(api) = shared() else { return };
    api.create("facts-set", &json!({"spec": {}}));
    let patch = |cidr: &str| {
        let body = json!({"spec": {"podCIDR": cidr, "podCIDRs": [cidr]}}).to_string();
        api.ask("PATCH", &path("facts-set"), Some((MERGE, &body)))
    };
    let (status, now) = patch("10.60.77.0/24");
    assert_eq!((status, &now["spec"]["podCIDRs"]), (200, &json!(["10.60.77.0/24"])));
    let (status, refused) = patch("10.60.78.0/24");
    assert_eq!(status, 422);
    assert_eq!(why(&refused), ["Invalid", "FieldValueForbidden spec.podCIDRs", "FieldValueForbidden []"]);
    let done = register(&api.plain, "facts-set", "10.60.78.1/24");
    assert!(
        done.code == 3 && done.stderr.contains("has podCIDR 10.60.77.0/24, wanted is 10.60.78.0/24"),
        "{done:?}"
    );

    api.create("facts-empty", &json!({}));
    let done = register(&api.plain, "facts-empty", "10.60.79.1/24");
    assert!(done.stderr.contains("(1 changed, 0 already so)"), "{done:?}");
    assert_eq!(api.node("facts-empty").unwrap()["spec"]["podCIDRs"], json!(["10.60.79.0/24"]));
}

#[test]
fn a_bad_cidr_is_422_and_never_gets_there() {
    let Some(api) = shared() else { return };
    let (status, refused) = api.ask("POST", NODES, Some((JSON, &node("facts-bad", "10.60.80.0/33"))));
    assert_eq!(status, 422);
    assert_eq!(why(&refused), ["Invalid", "FieldValueInvalid spec.podCIDRs[0]"]);
    assert_eq!(register(&api.plain, "facts-bad", "10.60.80.0/33").code, 2);
}

/// A write from an old look is 409 Conflict: kboot looks again, and what the other wrote stays.
#[test]
fn a_stale_write_is_409_conflict() {
    let Some(api) = shared() else { return };
    let old = api.create("facts-stale", &json!({"spec": {"podCIDR": "10.60.81.0/24"}}));
    api.patch("facts-stale", &json!({"metadata": {"labels": {"other": "1"}}}));
    let (status, refused) = api.ask("PUT", &path("facts-stale"), Some((JSON, &old.to_string())));
    assert_eq!((status, why(&refused)), (409, vec!["Conflict".into()]));
    let version = &old["metadata"]["resourceVersion"];
    let stale = json!({"metadata": {"resourceVersion": version, "labels": {"mine": "1"}}}).to_string();
    let (status, refused) = api.ask("PATCH", &path("facts-stale"), Some((MERGE, &stale)));
    assert_eq!((status, why(&refused)), (409, vec!["Conflict".into()]));

    let times = std::sync::atomic::AtomicUsize::new(0);
    let between = between::start(&api.plain, move |request, pass: Pass<'_>| {
        if request.starts_with("PATCH ") {
            let n = times.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            if n < 2 {
                api.patch("facts-stale", &json!({"metadata": {"labels": {format!("other-{n}"): "1"}}}));
            }
        }
        pass(request)
    });
    let done = register(&between, "facts-stale", "10.60.81.1/24");
    assert!(done.code == 0 && done.stderr.contains("(1 changed, 0 already so)"), "{done:?}");
    let labels = &api.node("facts-stale").unwrap()["metadata"]["labels"];
    for label in ["other", "other-0", "other-1", "kubernetes.io/hostname"] {
        assert!(labels[label].is_string(), "{label}: {labels}");
    }
}

#[test]
fn who_is_refused_and_how() {
    let Some(api) = shared() else { return };
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    let get = |auth: &[&str]| {
        let (status, answer) = api.curl(auth, "GET", &path("facts-none"), None);
        (status, answer["reason"].as_str().unwrap_or_default().to_owned(), answer["message"].to_string())
    };
    let (status, missing) = api.ask("GET", &path("facts-none"), None);
    assert_eq!((status, why(&missing)), (404, vec!["NotFound".into()]));
    let anonymous = get(&[]);
    assert!((anonymous.0, &*anonymous.1) == (403, "Forbidden") && anonymous.2.contains("system:anonymous"));
    let nobody = get(&["-H", &bearer(NOBODY)]);
    assert!(
        (nobody.0, &*nobody.1) == (403, "Forbidden") && nobody.2.contains(r#"User \"nobody\" cannot get"#)
    );
    let bad = get(&["-H", &bearer("nonsense")]);
    assert_eq!((bad.0, &*bad.1), (401, "Unauthorized"));

    let done = run(&[
        "register",
        "--subnet",
        "10.60.82.1/24",
        "--server",
        &api.url,
        "--cacert",
        &api.cacert,
        "--timeout",
        "0",
        "-q",
    ]);
    assert!(
        done.code == 1
            && done.stderr.contains(
                r#"403 Forbidden: nodes "10.60.82.1" is forbidden: User "system:anonymous" cannot get"#
            ),
        "{done:?}"
    );
}

#[test]
fn patches_puts_and_dry_runs() {
    let Some(api) = shared() else { return };
    api.create("facts-patch", &json!({}));
    let (status, _) = api.ask("PATCH", &path("facts-patch"), Some((JSON, "{}")));
    assert_eq!(status, 415, "a wrong type of patch");
    let test = r#"[{"op": "test", "path": "/metadata/name", "value": "other"}]"#;
    let (status, _) = api.ask("PATCH", &path("facts-patch"), Some(("application/json-patch+json", test)));
    assert_eq!(status, 422, "a test that fails");
    let (status, missing) =
        api.ask("PUT", &path("facts-put"), Some((JSON, &node("facts-put", "10.60.83.0/24"))));
    assert_eq!((status, why(&missing)), (404, vec!["NotFound".into()]), "PUT never creates");
    let (status, tried) =
        api.ask("POST", &format!("{NODES}?dryRun=All"), Some((JSON, &node("facts-dry", "10.60.84.0/24"))));
    assert_eq!((status, &tried["spec"]["podCIDR"]), (201, &"10.60.84.0/24".into()));
    assert_eq!(api.node("facts-dry"), None);
}

/// Admission gives each new Node a taint. It is no difference, and stays when kboot adds one.
#[test]
fn the_taint_of_a_new_node() {
    let Some(api) = shared() else { return };
    let not_ready = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
    assert_eq!(register(&api.plain, "facts-taint", "10.60.85.1/24").code, 0);
    assert_eq!(api.node("facts-taint").unwrap()["spec"]["taints"], json!([not_ready]));
    assert!(
        register(&api.plain, "facts-taint", "10.60.85.1/24").stderr.contains("(0 changed, 1 already so)")
    );
    let args = ["register", "--name", "facts-taint", "--subnet", "10.60.85.1/24", "--server", &api.plain];
    let done = run(&[&args[..], &["--taint", "mine=1:NoExecute"]].concat());
    assert!(done.stderr.contains("(1 changed, 0 already so)"), "{done:?}");
    let mine = json!({"key": "mine", "value": "1", "effect": "NoExecute"});
    assert_eq!(api.node("facts-taint").unwrap()["spec"]["taints"], json!([not_ready, mine]));
}

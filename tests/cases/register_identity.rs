//! register with a node's own client certificate: what NodeRestriction lets it do, on a real kube-apiserver
//! 1.20.2, by curl and by kboot.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::api::{Api, JSON, shared};
use crate::support::{Done, run};

/// A node by its certificate.
struct Identity<'a> {
    api: &'a Api,
    crt: String,
    key: String,
}

impl<'a> Identity<'a> {
    fn new(api: &'a Api, name: &str) -> Self {
        let (crt, key) = api.client_certificate(&format!("system:node:{name}"), "system:nodes");
        Self { api, crt, key }
    }

    fn ask(&self, method: &str, path: &str, content: Option<(&str, &Value)>) -> (u64, String) {
        let content = content.map(|(kind, body)| (kind, body.to_string()));
        let content = content.as_ref().map(|(kind, body)| (*kind, body.as_str()));
        let (status, answer) =
            self.api.curl(&["--cert", &self.crt, "--key", &self.key], method, path, content);
        (status, answer["message"].as_str().unwrap_or_default().to_owned())
    }

    fn register(&self, args: &[&str]) -> Done {
        let server = ["register", "--server", &self.api.url, "--cacert", &self.api.cacert];
        run(&[&server[..], &["--cert", &self.crt, "--key", &self.key], args].concat())
    }
}

fn node(name: &str, labels: &Value) -> Value {
    json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": name, "labels": labels}})
}

/// Its last line and how long it took: a refusal for good is not tried again for 15 s.
fn refused(done: &Done, started: Instant) -> &str {
    assert!(done.code == 1 && started.elapsed() < Duration::from_secs(5), "{done:?}");
    done.stderr.lines().last().unwrap()
}

#[test]
fn it_creates_itself_with_pod_cidr_labels_and_taints() {
    let Some(api) = shared() else { return };
    let own = Identity::new(api, "identity-1");
    let args = [
        "--subnet",
        "10.61.1.1/24",
        "--label",
        "rack=r7",
        "--taint",
        "a=b:NoSchedule",
        "--cloud-provider=external",
    ];
    let done = own.register(&args);
    assert!(done.stderr.contains("(1 changed, 0 already so)"), "{done:?}");
    let made = api.node("identity-1").unwrap();
    assert_eq!(
        (&made["spec"]["podCIDR"], &made["metadata"]["labels"]["rack"]),
        (&json!("10.61.1.0/24"), &json!("r7"))
    );
    let taints: Vec<&Value> = made["spec"]["taints"].as_array().unwrap().iter().map(|t| &t["key"]).collect();
    assert_eq!(
        taints,
        ["a", "node.cloudprovider.kubernetes.io/uninitialized", "node.kubernetes.io/not-ready"]
    );
    assert!(own.register(&args).stderr.contains("(0 changed, 1 already so)"));
}

#[test]
fn it_creates_no_other() {
    let Some(api) = shared() else { return };
    let own = Identity::new(api, "identity-2");
    let (status, says) = own.ask("POST", "/api/v1/nodes", Some((JSON, &node("identity-other", &json!({})))));
    assert!(
        status == 403 && says.contains(r#"is not allowed to modify node "identity-other""#),
        "{status} {says}"
    );
    let started = Instant::now();
    let done = own.register(&["--subnet", "10.61.2.1/24", "--name", "identity-other"]);
    assert_eq!(
        refused(&done, started),
        format!(
            "kboot register: create node identity-other: {}: 403 Forbidden: nodes \"identity-other\" is forbidden: \
             node \"identity-2\" is not allowed to modify node \"identity-other\": a node's own credentials do not \
             suffice: leave it out, or use an administrator's",
            api.url
        )
    );
    assert_eq!(api.node("identity-other"), None);
}

#[test]
fn it_sets_no_restricted_label() {
    let Some(api) = shared() else { return };
    let own = Identity::new(api, "identity-3");
    let label = "node-restriction.kubernetes.io/zone";
    let (status, says) =
        own.ask("POST", "/api/v1/nodes", Some((JSON, &node("identity-3", &json!({label: "z"})))));
    assert!(status == 403 && says.contains("is not allowed to set the following labels"), "{status} {says}");
    let started = Instant::now();
    let done =
        own.register(&["--subnet", "10.61.3.1/24", "--label", "node-restriction.kubernetes.io/zone=z"]);
    let says = refused(&done, started);
    assert!(
        says.starts_with("kboot register: create node identity-3: ")
            && says.contains("is not allowed to set the following labels: node-restriction.kubernetes.io/zone: a node's own"),
        "{says}"
    );
    // Nor on its Node once it is there.
    assert_eq!(own.register(&["--subnet", "10.61.3.1/24"]).code, 0);
    let started = Instant::now();
    let done =
        own.register(&["--subnet", "10.61.3.1/24", "--label", "node-restriction.kubernetes.io/zone=z"]);
    let says = refused(&done, started);
    assert!(
        says.contains("patch node identity-3: ") && says.contains("is not allowed to modify labels: "),
        "{says}"
    );
    assert!(own.register(&["--subnet", "10.61.3.1/24", "--label", "free=1"]).stderr.contains("(1 changed"));
}

#[test]
fn it_changes_no_taints() {
    let Some(api) = shared() else { return };
    let own = Identity::new(api, "identity-4");
    assert_eq!(own.register(&["--subnet", "10.61.4.1/24"]).code, 0);
    let patch = json!({"spec": {"taints": []}});
    let (status, says) =
        own.ask("PATCH", "/api/v1/nodes/identity-4", Some(("application/merge-patch+json", &patch)));
    assert!(status == 403 && says.contains("is not allowed to modify taints"), "{status} {says}");
    let started = Instant::now();
    let done = own.register(&["--subnet", "10.61.4.1/24", "--taint", "late=1:NoSchedule"]);
    assert!(refused(&done, started).contains("patch node identity-4: "), "{done:?}");
    assert!(
        done.stderr.contains("is not allowed to modify taints: a node's own credentials do not suffice"),
        "{done:?}"
    );
}

/// It may give itself the podCIDR that its Node lacks; it may not delete itself, and nothing is lost then.
#[test]
fn it_completes_and_does_not_delete_itself() {
    let Some(api) = shared() else { return };
    let own = Identity::new(api, "identity-5");
    api.create("identity-5", &json!({"metadata": {"labels": {"own": "x"}}}));
    assert!(own.register(&["--subnet", "10.61.5.1/24"]).stderr.contains("(1 changed, 0 already so)"));
    assert_eq!(api.node("identity-5").unwrap()["spec"]["podCIDR"], "10.61.5.0/24");
    let (status, says) = own.ask("DELETE", "/api/v1/nodes/identity-5", None);
    assert!(status == 403 && says.contains("cannot delete resource \"nodes\""), "{status} {says}");
    let run = crate::support::Scratch::new();
    let args = ["register", "--subnet", "10.61.6.1/24", "--replace", "--timeout", "1s", "--server", &api.url];
    let args = [&args[..], &["--cacert", &api.cacert, "--cert", &own.crt, "--key", &own.key]].concat();
    let done = crate::support::finish(&mut crate::support::kboot_with_run(&run.0, &args));
    let last = done.stderr.lines().last().unwrap();
    assert!(
        done.code == 1
            && last.contains("delete node identity-5: ")
            && last.contains("cannot delete resource"),
        "{done:?}"
    );
    assert_eq!(api.node("identity-5").unwrap()["metadata"]["labels"]["own"], "x");
    assert!(!run.0.join("kboot/node-identity-5.json").exists(), "nothing is kept of a Node that is there");
}

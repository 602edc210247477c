//! Joins that must not succeed, and what they say: against the real API server, and against a stand-in
//! with TLS for what a real one does not do.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::api::shared;
use crate::support::join::{Cluster, ID, SECRET, hash_of, info, jws, shell};
use crate::support::odd_server::json as answer;
use crate::support::tls_server::{TlsServer, certificates, serve};
use crate::support::{Done, Scratch, collect, kboot, run, tool};

fn last(done: &Done) -> (i32, &str) {
    (done.code, done.stderr.lines().last().unwrap_or_default())
}

#[test]
fn who_does_not_know_the_secret_or_the_pin_is_not_trusted() {
    let Some(api) = shared() else { return };
    let (cluster, dir) = (Cluster::on(api), Scratch::new());
    let join = |token: &str, hash: &str, more: &[&str]| {
        let token = dir.file("token", token);
        let words =
            ["register", "--subnet", "10.177.1.1/24", "--server", &api.url, "--bootstrap-token-file", &token];
        let rest = ["--kubelet-kubeconfig", &dir.path("c"), "--cert-dir", &dir.path("p"), "--ca-hash", hash];
        run(&[&words[..], &rest, more].concat())
    };
    let url = &api.url;
    let right = format!("{ID}.{SECRET}");
    let other = format!("sha256:{}", "ab".repeat(32));
    let says = format!(
        "kboot register: {url}: the server's CA is not the pinned one: {} instead of {other}",
        cluster.hash
    );
    assert_eq!(last(&join(&right, &other, &[])), (1, says.as_str()));
    let says = format!(
        "kboot register: {url}: cluster-info's signature for the token {ID}: does not match: another secret, or another server"
    );
    assert_eq!(last(&join(&format!("{ID}.0123456789abcdef"), &cluster.hash, &[])), (1, says.as_str()));
    let says =
        format!("kboot register: {url}: it does not know the token aaaaaa: no signature in cluster-info");
    assert_eq!(
        last(&join(&format!("aaaaaa.{SECRET}"), &cluster.hash, &["--timeout", "0"])),
        (1, says.as_str())
    );
    assert!(!std::fs::exists(dir.path("p")).unwrap() && !std::fs::exists(dir.path("c")).unwrap());
}

#[test]
fn a_request_that_is_denied_is_final() {
    let Some(api) = shared() else { return };
    let (cluster, dir) = (Cluster::on(api), Scratch::new());
    let mut command = kboot(&cluster.words("10.177.2.1/24", &dir));
    let child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut found = Vec::new();
    crate::support::until("a request is handed in", || {
        found = cluster.requests("10.177.2.1");
        !found.is_empty()
    });
    let name = found[0]["metadata"]["name"].as_str().unwrap();
    api.kubectl(&["certificate", "deny", name]).ok();
    let done = collect(child);
    let says = format!(
        "kboot register: join: certificate signing request: was denied (KubectlDeny This CSR was denied by kubectl certificate deny.): kubectl delete csr {name}, and run this again"
    );
    assert!(done.code == 1 && done.stderr.contains(&says), "{done:?}");
    // As it says.
    api.kubectl(&["delete", "csr", name]).ok();
    assert_eq!(cluster.join_signed("10.177.2.1/24", "10.177.2.1", &dir, &[]).code, 0);
}

#[test]
fn another_clusters_kubeconfig_is_left_alone() {
    let Some(api) = shared() else { return };
    let (cluster, dir) = (Cluster::on(api), Scratch::new());
    std::fs::create_dir(dir.path("etc")).unwrap();
    for (content, says) in [
        (
            "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\nclusters: [{name: k, cluster: {server: 'https://192.0.2.7:6443'}}]\n",
            "is for the server https://192.0.2.7:6443",
        ),
        ("{}", "is no kubeconfig with a current-context"),
    ] {
        let file = dir.file("etc/kubelet.conf", content);
        let done = cluster.join("10.177.3.1/24", &dir, &["--timeout", "5"]);
        let says = format!("kboot register: {file}: {says}: --replace joins anew and writes another");
        assert_eq!(last(&done), (3, says.as_str()));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), content);
    }
    let done = cluster.join_signed("10.177.3.1/24", "10.177.3.1", &dir, &["--replace"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(std::fs::read_to_string(dir.path("etc/kubelet.conf")).unwrap().contains(&api.url));
    assert_eq!(std::fs::read_to_string(dir.path("etc/kubelet.conf.kboot-old")).unwrap(), "{}");
}

/// A join at a stand-in, whose CA the operator gives.
fn join_at(server: &TlsServer, ca: &[&str], dir: &Scratch) -> Done {
    let token = dir.file("token", format!("{ID}.{SECRET}"));
    let words =
        ["register", "--subnet", "10.177.4.1/24", "--name", "n4", "--server", &server.url, "--timeout", "0"];
    let rest = [
        "--bootstrap-token-file",
        &token,
        "--kubelet-kubeconfig",
        &dir.path("c"),
        "--cert-dir",
        &dir.path("p"),
    ];
    run(&[&words[..], &rest, ca].concat())
}

/// Discovery as an attacker in between would have it: the token is never sent before the server has
/// proved itself, and what is said without proof has to be said again with it.
#[test]
fn whoever_is_in_between_gets_no_token() {
    let dir = Scratch::new();
    let [ca, crt, key] = certificates(&dir, "real", "IP:127.0.0.1", "9");
    let [other_ca, other_crt, other_key] = certificates(&dir, "other", "IP:127.0.0.1", "9");
    let map = |kubeconfig: &str| {
        let data =
            json!({"kubeconfig": kubeconfig, format!("jws-kubeconfig-{ID}"): jws(ID, SECRET, kubeconfig)});
        answer("200 OK", "", &json!({"kind": "ConfigMap", "data": data}).to_string())
    };
    let (real, changed) = (info("https://real:6443", &ca), info("https://changed:6443", &ca));
    let hash = hash_of(&ca);
    let pins = ["--ca-hash", hash.as_str()];
    // The real cluster-info, passed on by a server of another CA.
    let (first, second) = (map(&real), map(&changed));
    let between = serve(&other_crt, &other_key, {
        let first = first.clone();
        move |_, _| first.clone()
    });
    let done = join_at(&between, &pins, &dir);
    assert!(
        done.code == 1
            && done.stderr.contains("the CA in cluster-info: ")
            && done.stderr.contains("signed by nobody we trust"),
        "{done:?}"
    );
    // Another cluster-info the second time.
    let unsteady = serve(&crt, &key, move |at, _| if at == 0 { first.clone() } else { second.clone() });
    let done = join_at(&unsteady, &pins, &dir);
    assert!(
        done.code == 1
            && done.stderr.contains("cluster-info is not the same over the TLS that it vouches for"),
        "{done:?}"
    );
    // Somebody who knows the token signs a bundle with a CA of his own beside the pinned one.
    let both = dir.file("both.pem", shell("cat $1 $2", &[&ca, &other_ca]));
    let bundle = map(&info("https://real:6443", &both));
    let insider = serve(&other_crt, &other_key, move |_, _| bundle.clone());
    let done = join_at(&insider, &pins, &dir);
    assert!(
        done.code == 1
            && done.stderr.contains("the CA in cluster-info: ")
            && done.stderr.contains("signed by nobody we trust"),
        "{done:?}"
    );
    for server in [between, unsteady, insider] {
        let requests = server.requests.lock().unwrap();
        assert!(
            !requests.is_empty() && requests.iter().all(|r| !r.to_lowercase().contains("authorization")),
            "{requests:?}"
        );
    }
    // Not public.
    let forbidden =
        r#"{"kind":"Status","reason":"Forbidden","message":"configmaps \"cluster-info\" is forbidden"}"#;
    let closed = serve(&crt, &key, move |_, _| answer("403 Forbidden", "", forbidden));
    let says = format!(
        "kboot register: {0}: 403 Forbidden: configmaps \"cluster-info\" is forbidden: it is not public there: give the CA with --cacert",
        closed.url
    );
    assert_eq!(last(&join_at(&closed, &pins, &dir)), (1, says.as_str()));
    assert!(!std::fs::exists(dir.path("c")).unwrap() && !std::fs::exists(dir.path("p")).unwrap());
}

#[test]
fn what_a_signer_gets_wrong_is_not_kept() {
    let dir = Scratch::new();
    let [ca, crt, key] = certificates(&dir, "api", "IP:127.0.0.1", "9");
    let not_found = answer("404 Not Found", "", r#"{"kind":"Status","reason":"NotFound"}"#);
    let none = serve(&crt, &key, {
        let not_found = not_found.clone();
        move |_, _| not_found.clone()
    });
    let says = "kboot register: join: the server has no API for certificates (Kubernetes 1.6 on): give --cert and --key";
    assert_eq!(last(&join_at(&none, &["--cacert", &ca], &dir)), (1, says));
    // A certificate for another key; no certificate at all; another's request under our name.
    let signed = |pem: &[u8]| {
        let body =
            json!({"status": {"conditions": [{"type": "Approved"}], "certificate": STANDARD.encode(pem)}});
        answer("200 OK", "", &body.to_string())
    };
    let foreign = std::fs::read(&crt).unwrap();
    for (body, says) in [
        (signed(&foreign), "what was signed is not for the key that was handed in"),
        (signed(b"x"), "what was signed: holds no certificate in PEM"),
        (
            answer("200 OK", "", r#"{"status":{"conditions":[{"type":"Failed","reason":"SignerFailed"}]}}"#),
            "failed at its signer (SignerFailed )",
        ),
        (answer("200 OK", "", "{}"), "not approved yet: kubectl certificate approve node-csr-"),
    ] {
        let server = serve(&crt, &key, move |_, request| {
            if request.starts_with("POST") { answer("201 Created", "", "{}") } else { body.clone() }
        });
        let done = join_at(&server, &["--cacert", &ca], &dir);
        let says = says.trim_end_matches(" )");
        assert!(
            matches!(done.code, 1 | 75) && done.stderr.lines().last().unwrap().contains(says),
            "{done:?}"
        );
        assert!(!std::fs::exists(dir.path("p/kubelet-client-current.pem")).unwrap());
    }
    let taken = serve(&crt, &key, |_, request| {
        if request.starts_with("POST") {
            answer("409 Conflict", "", r#"{"kind":"Status","reason":"AlreadyExists"}"#)
        } else {
            answer("200 OK", "", r#"{"spec":{"request":"eHh4"}}"#)
        }
    });
    let done = join_at(&taken, &["--cacert", &ca], &dir);
    assert!(
        done.code == 1
            && done.stderr.contains("is there and asks for something else: kubectl delete csr node-csr-"),
        "{done:?}"
    );
    // The same request all along: one key.
    let names: Vec<String> = taken
        .requests
        .lock()
        .unwrap()
        .iter()
        .filter(|r| r.starts_with("POST"))
        .map(|r| r.split("node-csr-").nth(1).unwrap()[..64].to_owned())
        .collect();
    let key = dir.path("p/kubelet-client.key.tmp");
    let spki = shell(
        "{ openssl pkey -in $1 -pubout -outform der; printf system:node:n4; } | sha256sum | cut -d' ' -f1",
        &[&key],
    );
    assert_eq!(names, [spki.trim()]);
}

#[test]
fn input_is_checked_first() {
    let dir = Scratch::new();
    let token = dir.file("token", format!("{ID}.{SECRET}"));
    let bad = dir.file("bad", "07401b-f395accd246ae52d");
    let hash = format!("sha256:{}", "00".repeat(32));
    let [ca, _, _] = certificates(&dir, "some", "IP:127.0.0.1", "9");
    let case = |words: &[&str], says: &str| {
        let done = run(&[&["register", "--subnet", "10.177.5.1/24", "-q"], words].concat());
        assert_eq!(last(&done), (2, format!("kboot register: {says}").as_str()));
    };
    let to = ["--server", "https://127.0.0.1:9"];
    let conf = ["--kubelet-kubeconfig", &dir.path("no")];
    case(
        &["--server", "127.0.0.1:9", "--bootstrap-token-file", &token],
        "http://127.0.0.1:9: certificates are given over https only: --server https://…",
    );
    case(
        &[&to[..], &["--bootstrap-token-file", &token, "--insecure-skip-tls-verify"]].concat(),
        "https://127.0.0.1:9: a bootstrap token is for a server that is checked: give --ca-hash or --cacert",
    );
    case(
        &[&to[..], &conf, &["--bootstrap-token-file", &bad, "--ca-hash", &hash]].concat(),
        &format!("{bad}: a bootstrap token is ID.SECRET: 6 and 16 of a-z and 0-9"),
    );
    case(
        &[&to[..], &["--bootstrap-token-file", &token, "--token-file", &token]].concat(),
        "--token-file and --bootstrap-token-file contradict each other",
    );
    case(
        &[&to[..], &["--bootstrap-token-file", &token, "--cert", &ca, "--key", &ca]].concat(),
        "--cert and --bootstrap-token-file contradict each other: the token is for getting a certificate",
    );
    case(
        &[&to[..], &["--ca-hash", &hash, "--cacert", &ca]].concat(),
        "--ca-hash stands in for --cacert and --insecure-skip-tls-verify: give one",
    );
    case(
        &["--server", "127.0.0.1:9", "--ca-hash", &hash],
        "--ca-hash: http://127.0.0.1:9 has no certificate: https://?",
    );
    case(
        &[&to[..], &["--ca-hash", "sha1:00"]].concat(),
        "--ca-hash sha1:00: is sha256: and 64 hex digits (kubeadm token create --print-join-command shows it)",
    );
    case(
        &[&to[..], &["--cert-dir", "/x", "--cacert", &ca]].concat(),
        "--cert-dir goes with --bootstrap-token-file",
    );
    case(&[&to[..], &["--user", "u", "--cacert", &ca]].concat(), "--user and --password-file go together");
    case(&["--server", "127.0.0.1:9", "--context", "x"], "--context x: the server is not from a kubeconfig");
    assert_eq!(tool("ls", &[&dir.path("")]).matches("no\n").count(), 0);
}

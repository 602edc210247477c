//! register against a real kube-apiserver 1.20.2; kubectl reads what was written.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::api::{NOBODY, shared};
use crate::support::{Process, finish, free_port, kboot, run, until};

#[test]
fn it_creates_then_confirms_then_refuses_another_pod_cidr() {
    let Some(api) = shared() else { return };
    let register = |subnet: &str, more: &[&str]| {
        run(&[&["register", "--subnet", subnet, "--name", "10.31.48.1"], &api.admin()[..], more].concat())
    };
    let first = register("10.31.48.1/24", &[]);
    assert_eq!(first.code, 0, "{first:?}");
    assert!(
        first.stderr.ends_with(&format!(
            "node 10.31.48.1 podCIDR 10.31.48.0/24 at {} (1 changed, 0 already so)\n",
            api.url
        )),
        "{first:?}"
    );
    let node = api.node("10.31.48.1").unwrap();
    assert_eq!(
        (&node["spec"]["podCIDR"], &node["spec"]["podCIDRs"]),
        (&"10.31.48.0/24".into(), &json!(["10.31.48.0/24"]))
    );
    assert_eq!(node["metadata"]["labels"]["kubernetes.io/hostname"], "10.31.48.1");

    assert!(register("10.31.48.1/24", &[]).stderr.contains("(0 changed, 1 already so)"));
    let other = register("10.31.49.1/24", &[]);
    let last = other.stderr.lines().last().unwrap();
    assert_eq!(
        (other.code, last),
        (
            3,
            "kboot register: node 10.31.48.1 has podCIDR 10.31.48.0/24, wanted is 10.31.49.0/24: --replace deletes and creates it again"
        )
    );
    let now = api.node("10.31.48.1").unwrap();
    assert_eq!(
        now["metadata"]["resourceVersion"], node["metadata"]["resourceVersion"],
        "nothing was changed"
    );

    let run = crate::support::Scratch::new();
    let args = ["register", "--subnet", "10.31.49.1/24", "--name", "10.31.48.1", "--replace", "--json"];
    let args = [&args[..], &api.admin()[..]].concat();
    let replaced = finish(&mut crate::support::kboot_with_run(&run.0, &args)).json();
    assert_eq!((&replaced["outcome"], replaced["changed"].as_array().unwrap().len()), (&"changed".into(), 2));
    assert_eq!(api.node("10.31.48.1").unwrap()["spec"]["podCIDR"], "10.31.49.0/24");
}

#[test]
fn the_name_is_the_subnets_address_and_a_dry_run_writes_nothing() {
    let Some(api) = shared() else { return };
    let args = [&["register", "--subnet", "10.32.5.0/25"], &api.admin()[..]].concat();
    let dry = run(&[&args[..], &["--dry-run"]].concat());
    assert!(dry.ok().starts_with("kubectl create -f - <<< '{\"kind\":\"Node\""), "{dry:?}");
    assert_eq!(api.node("10.32.5.1"), None);
    assert_eq!(run(&args).code, 0);
    assert_eq!(api.node("10.32.5.1").unwrap()["spec"]["podCIDR"], "10.32.5.0/25");
    assert_eq!(run(&[&args[..], &["--dry-run"]].concat()).ok(), "");
}

#[test]
fn an_existing_node_is_completed_and_never_stripped() {
    let Some(api) = shared() else { return };
    let file = api.scratch.file("node.json", r#"{"kind":"Node","apiVersion":"v1","metadata":{"name":"pre-made","labels":{"own":"x"}},"spec":{"taints":[{"key":"keep","effect":"NoSchedule"}]}}"#);
    api.kubectl(&["create", "-f", &file]).ok();
    let args = [
        "register",
        "--name",
        "pre-made",
        "--subnet",
        "10.33.1.1/24",
        "--label",
        "example.com/rack=r7",
        "--annotation",
        "note=a, b",
        "--taint",
        "new=1:NoExecute",
    ];
    let args = [&args[..], &api.admin()[..]].concat();
    let done = run(&args);
    assert!(done.stderr.contains("(1 changed, 0 already so)"), "{done:?}");
    let node = api.node("pre-made").unwrap();
    assert_eq!(node["spec"]["podCIDR"], "10.33.1.0/24");
    let labels = &node["metadata"]["labels"];
    assert_eq!((&labels["own"], &labels["example.com/rack"]), (&"x".into(), &"r7".into()));
    assert_eq!(node["metadata"]["annotations"]["note"], "a, b");
    let keys: Vec<&str> =
        node["spec"]["taints"].as_array().unwrap().iter().filter_map(|t| t["key"].as_str()).collect();
    assert!(keys.contains(&"keep") && keys.contains(&"new"), "{keys:?}");
    assert!(run(&args).stderr.contains("(0 changed, 1 already so)"));
    let other = [&args[..5], &["--label", "example.com/rack=r8"], &api.admin()[..]].concat();
    assert_eq!(run(&other).code, 3);
    assert_eq!(run(&[&other[..], &["--replace"]].concat()).code, 0);
    assert_eq!(api.node("pre-made").unwrap()["metadata"]["labels"]["example.com/rack"], "r8");
}

#[test]
fn a_server_without_dual_stack_keeps_the_first_and_a_second_run_agrees() {
    let Some(api) = shared() else { return };
    let args = ["register", "--subnet", "10.34.1.1/24", "--subnet", "fd00:34:0:1::1/64"];
    let args = [&args[..], &api.admin()[..]].concat();
    let done = run(&args);
    assert_eq!(done.code, 0, "{done:?}");
    let says = "warning: the server keeps the first podCIDR only: it has no dual stack (feature gate IPv6DualStack before 1.21)\n";
    assert!(done.stderr.contains(says), "{done:?}");
    assert_eq!(api.node("10.34.1.1").unwrap()["spec"]["podCIDR"], "10.34.1.0/24");
    let again = run(&args);
    assert!(again.stderr.contains("(0 changed, 1 already so)"));
    let says = "warning: node 10.34.1.1 has one podCIDR only; a second cannot be added: --replace deletes and creates it again\n";
    assert!(again.stderr.contains(says) && !again.stderr.contains("dual stack"), "{again:?}");
}

#[test]
fn a_wrong_token_is_1_and_one_clear_line() {
    let Some(api) = shared() else { return };
    let wrong = api.scratch.file("wrong-token", "wrong-0123456789\n");
    let nobody = api.scratch.file("nobody-token", NOBODY);
    let register = |token: &str, timeout| {
        run(&[
            "register",
            "--subnet",
            "10.35.1.1/24",
            "--server",
            &api.url,
            "--cacert",
            &api.cacert,
            "--token-file",
            token,
            "--timeout",
            timeout,
            "-q",
        ])
    };
    for timeout in ["0", "2s"] {
        let done = register(&wrong, timeout);
        let says = format!(
            "kboot register: {}: 401 Unauthorized: it does not know these credentials (token, certificate)",
            api.url
        );
        assert_eq!((done.error(), done.stdout.as_str()), ((1, says.as_str()), ""));
    }
    // However long the timeout: a refusal is believed after 15 s.
    let started = Instant::now();
    assert_eq!(register(&wrong, "5m").code, 1);
    let took = started.elapsed();
    assert!((Duration::from_secs(15)..Duration::from_secs(25)).contains(&took), "{took:?}");
    let done = register(&nobody, "0");
    assert!(
        done.code == 1
            && done.stderr.contains("403 Forbidden: nodes \"10.35.1.1\" is forbidden: User \"nobody\""),
        "{done:?}"
    );
    assert_eq!(api.node("10.35.1.1"), None);
}

#[test]
fn no_server_is_75_at_the_deadline() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let started = Instant::now();
    let done = run(&["register", "--subnet", "10.36.1.1/24", "--server", &url, "--timeout", "700ms"]);
    let took = started.elapsed();
    let last = done.stderr.lines().last().unwrap();
    assert_eq!(
        (done.code, last),
        (75, format!("kboot register: {url}: not within 700ms: Connection refused").as_str())
    );
    assert!((Duration::from_millis(700)..Duration::from_secs(3)).contains(&took), "{took:?}");
    let once = run(&["register", "--subnet", "10.36.1.1/24", "--server", &url, "--timeout", "0", "-q"]);
    assert_eq!(once.error(), (75, format!("kboot register: {url}: Connection refused").as_str()));
}

#[test]
fn trust_is_by_ca_by_the_certificate_itself_or_refused() {
    let Some(api) = shared() else { return };
    let register = |args: &[&str]| {
        run(&[
            &["register", "--subnet", "10.37.1.1/24", "--token-file", &api.token, "--timeout", "0", "-q"],
            args,
        ]
        .concat())
    };
    // The self-signed certificate that the server made, given as its own CA.
    assert_eq!(register(&["--server", &api.url, "--cacert", &api.cacert]).error(), (0, ""));
    // A CA that did not sign it.
    let other = api.scratch.path("ca.crt");
    let says = format!(
        "kboot register: {}: the server's certificate is signed by nobody we trust: {other} is of another CA, or of another cluster?",
        api.url
    );
    assert_eq!(register(&["--server", &api.url, "--cacert", &other]).error(), (1, says.as_str()));
    // A trusted certificate under a name that is not in it.
    let wrong_name = format!("https://localhost.localdomain:{}", api.port);
    let hosts = "127.0.0.1 localhost.localdomain\n";
    let done = if std::fs::read_to_string("/etc/hosts").is_ok_and(|h| h.contains("localhost.localdomain")) {
        register(&["--server", &wrong_name, "--cacert", &api.cacert])
    } else {
        if !crate::support::root_user() {
            return;
        }
        let hosts = api.scratch.file("hosts", hosts);
        let script = format!("mount --bind {hosts} /etc/hosts && exec \"$@\"");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"])
            .arg(crate::support::binary());
        command.args([
            "register",
            "--subnet",
            "10.37.1.1/24",
            "--token-file",
            &api.token,
            "--timeout",
            "0",
            "-q",
        ]);
        finish(command.args(["--server", &wrong_name, "--cacert", &api.cacert]))
    };
    let says =
        format!("kboot register: {wrong_name}: the server's certificate is not for localhost.localdomain");
    assert_eq!(done.error(), (1, says.as_str()));
    // No check at all: done, and said.
    let done = register(&["--server", &api.url, "--insecure-skip-tls-verify"]);
    assert!(
        done.code == 0
            && done.stderr.contains("warning: ")
            && done.stderr.contains("its certificate is not checked"),
        "{done:?}"
    );
    // Plain HTTP to a TLS port.
    let done = register(&["--server", &format!("http://127.0.0.1:{}", api.port)]);
    assert!(
        done.code == 1 && done.stderr.contains("Client sent an HTTP request to an HTTPS server"),
        "{done:?}"
    );
}

#[test]
fn a_nodes_own_certificate_names_the_node() {
    let Some(api) = shared() else { return };
    let (crt, key) = api.client_certificate("system:node:10.38.1.1", "system:nodes");
    let done = run(&[
        "register",
        "--subnet",
        "10.38.200.1/24",
        "--server",
        &api.url,
        "--cacert",
        &api.cacert,
        "--cert",
        &crt,
        "--key",
        &key,
    ]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stderr.contains("node name 10.38.1.1 from the client certificate"), "{done:?}");
    assert_eq!(api.node("10.38.1.1").unwrap()["spec"]["podCIDR"], "10.38.200.0/24");
    let (_, other_key) = api.client_certificate("system:node:10.38.1.2", "system:nodes");
    let done = run(&[
        "register",
        "--subnet",
        "10.38.200.1/24",
        "--server",
        &api.url,
        "--cacert",
        &api.cacert,
        "--cert",
        &crt,
        "--key",
        &other_key,
        "-q",
    ]);
    assert_eq!(
        done.error(),
        (2, format!("kboot register: {crt} and {other_key}: the key is not the certificate's").as_str())
    );
}

#[test]
fn a_kubeconfig_brings_it_all() {
    let Some(api) = shared() else { return };
    let (crt, key) = api.client_certificate("admin-by-certificate", "system:masters");
    let base64 = |path: &str| crate::support::tool("base64", &["-w0", path]);
    let kubeconfig = api.scratch.file("kubeconfig", format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\ncontexts:\n- context:\n    cluster: c\n    user: u\n  name: here\n\
         clusters:\n- name: c\n  cluster:\n    server: {}\n    certificate-authority-data: {}\n\
         users:\n- name: u\n  user:\n    client-certificate-data: {}\n    client-key: {key}\n",
        api.url, base64(&api.cacert), base64(&crt),
    ));
    let done = run(&["register", "--subnet", "10.39.1.1/24", "--kubeconfig", &kubeconfig]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(api.node("10.39.1.1").is_some());
    // The same file read by kubectl.
    assert_eq!(
        api.kubectl(&["--kubeconfig", &kubeconfig, "get", "node", "10.39.1.1", "-o", "name"]).ok(),
        "node/10.39.1.1\n"
    );
    let done = finish(kboot(&["register", "--subnet", "10.39.1.1/24"]).env("KUBECONFIG", &kubeconfig));
    assert!(
        done.stderr.contains("(0 changed, 1 already so)") && done.stderr.contains("(from KUBECONFIG "),
        "{done:?}"
    );
}

/// The plain HTTP of 2015, and a unix socket: `kubectl proxy` in front of the real server.
#[test]
fn plain_http_and_a_unix_socket() {
    let Some(api) = shared() else { return };
    let socket = format!("/tmp/kboot-test-{}.sock", std::process::id());
    let port = free_port().to_string();
    let kubectl = crate::support::need("kubectl", "kubectl").unwrap();
    let server =
        ["--server", &api.url, "--token", crate::support::api::ADMIN, "--certificate-authority", &api.cacert];
    let proxy = |more: &[&str], log: &str| {
        Process::start(&kubectl, api.scratch.path(log).as_ref(), |c| {
            c.args(server).arg("proxy").args(more);
        })
    };
    let _tcp = proxy(&["--port", &port], "proxy-tcp.log");
    let _unix = proxy(&["--unix-socket", &socket], "proxy-unix.log");
    for (at, url) in [format!("127.0.0.1:{port}"), format!("unix://{socket}")].iter().enumerate() {
        let done =
            run(&["register", "--subnet", &format!("10.40.{at}.1/24"), "--server", url, "--timeout", "20s"]);
        assert_eq!(done.code, 0, "{done:?}");
        assert_eq!(
            api.node(&format!("10.40.{at}.1")).unwrap()["spec"]["podCIDR"],
            format!("10.40.{at}.0/24")
        );
    }
    until("the socket is there", || std::fs::remove_file(&socket).is_ok());
}

#[test]
fn many_at_once_for_one_node_end_well() {
    let Some(api) = shared() else { return };
    let children: Vec<_> = (0..8)
        .map(|_| {
            let mut command = kboot(&[&["register", "--subnet", "10.41.1.1/24"], &api.admin()[..]].concat());
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut created = 0;
    for child in children {
        let done = crate::support::collect(child);
        assert_eq!(done.code, 0, "{done:?}");
        created += usize::from(done.stderr.contains("(1 changed, 0 already so)"));
    }
    assert_eq!(created, 1);
}

#[test]
fn a_taint_with_another_value_is_a_difference() {
    let Some(api) = shared() else { return };
    let with = |taint: &str, more: &[&str]| {
        run(&[&["register", "--subnet", "10.42.7.1/24", "--taint", taint], &api.admin()[..], more].concat())
    };
    assert_eq!(with("k=v1:NoSchedule", &[]).code, 0);
    let done = with("k=v2:NoSchedule", &[]);
    let last = done.stderr.lines().last().unwrap();
    assert_eq!(
        (done.code, last),
        (
            3,
            "kboot register: node 10.42.7.1 has taint k=v1:NoSchedule, asked is k=v2:NoSchedule: --replace changes it"
        )
    );
    assert_eq!(with("k=v2:NoSchedule", &["--replace"]).code, 0);
    let taints = api.node("10.42.7.1").unwrap()["spec"]["taints"].clone();
    assert!(
        taints.as_array().unwrap().contains(&json!({"key": "k", "value": "v2", "effect": "NoSchedule"})),
        "{taints}"
    );
    assert_eq!(with("k=v2:NoSchedule", &["--taint", "k=v3:NoSchedule"]).code, 2);
}

//! What a server does at bad moments (a stand-in server), and where the server's name comes from.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use crate::support::odd_server::{json, serve};
use crate::support::{Scratch, finish, kboot, run};

const NOT_FOUND: &str = r#"{"kind":"Status","reason":"NotFound","code":404}"#;
const CREATED: &str = r#"{"metadata":{"name":"10.50.1.1"},"spec":{"podCIDR":"10.50.1.0/24"}}"#;
const NO_NODES: &str =
    r#"{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[]}"#;
const EXISTS: &str = r#"{"kind":"Status","reason":"AlreadyExists","code":409}"#;

fn register(url: &str, more: &[&str]) -> crate::support::Done {
    run(&[&["register", "--subnet", "10.50.1.1/24", "--server", url, "--timeout", "20s"], more].concat())
}

#[test]
fn it_outlasts_a_server_that_is_not_ready() {
    let server = serve(&[
        &json("503 Service Unavailable", "", ""),
        &json("500 Internal Server Error", "", "not json"),
        &json("429 Too Many Requests", "Retry-After: 1\r\n", "{}"),
        // Cut off in the middle of its body.
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"kind\":",
        &json("401 Unauthorized", "", r#"{"kind":"Status","reason":"Unauthorized"}"#),
        "",
        &json("404 Not Found", "", NOT_FOUND),
        // Cut off in the middle of the list; a second time it would be done without.
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"kind\":\"NodeList\",\"items\":[{\"metadata\":{\"name\":\"a\"}},",
        &json("200 OK", "", NO_NODES),
        &json("429 Too Many Requests", "Retry-After: 1\r\n", "{}"),
        &json("201 Created", "", CREATED),
    ]);
    let started = Instant::now();
    let done = register(&server.url, &[]);
    assert!(done.stderr.contains("(1 changed, 0 already so)"), "{done:?}");
    assert!(started.elapsed() >= Duration::from_secs(2), "Retry-After was not honoured");
    let requests = server.requests.lock().unwrap();
    let asked: Vec<String> = requests.iter().map(|(m, path, _)| format!("{m} {path}")).collect();
    let (node, list) = ("GET /api/v1/nodes/10.50.1.1", "GET /api/v1/nodes?resourceVersion=0");
    let post = "POST /api/v1/nodes";
    assert_eq!(asked, [&[node; 7][..], &[list; 2], &[post; 2]].concat());
    assert_eq!(done.stderr.matches("waiting for").count(), 3, "said once for each: {done:?}");
}

/// The create arrived, its answer did not: the second attempt finds the Node, and that is success.
#[test]
fn an_answer_that_was_lost_is_no_conflict() {
    let server = serve(&[
        &json("404 Not Found", "", NOT_FOUND),
        &json("200 OK", "", NO_NODES),
        "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{",
        &json("409 Conflict", "", EXISTS),
        &json(
            "200 OK",
            "",
            r#"{"metadata":{"name":"10.50.1.1","labels":{"kubernetes.io/hostname":"10.50.1.1","kubernetes.io/os":"linux","kubernetes.io/arch":"amd64","beta.kubernetes.io/os":"linux","beta.kubernetes.io/arch":"amd64"},"annotations":{"volumes.kubernetes.io/controller-managed-attach-detach":"true"}},"spec":{"podCIDR":"10.50.1.0/24"}}"#,
        ),
    ]);
    let done = register(&server.url, &[]);
    assert!(done.code == 0 && done.stderr.contains("(0 changed, 1 already so)"), "{done:?}");
}

#[test]
fn answers_that_no_api_server_gives() {
    for (answer, says) in [
        (json("200 OK", "", "<html>"), "its answer is not JSON: no API server?"),
        (json("404 Not Found", "", "nginx"), "HTTP status 404: nginx (no API server?)"),
        (
            json("302 Found", "Location: http://192.0.2.1/\r\n", ""),
            "HTTP status 302: without a word (no API server?)",
        ),
        (json("400 Bad Request", "", "line\none\ttwo"), "HTTP status 400: line one two (no API server?)"),
    ] {
        let server = serve(&[&answer]);
        let done = register(&server.url, &["-q"]);
        assert_eq!(done.error(), (1, format!("kboot register: {}: {says}", server.url).as_str()));
        assert_eq!(server.requests.lock().unwrap().len(), 1);
    }
}

#[test]
fn a_server_that_hangs_and_one_that_sends_without_end() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let done = run(&["register", "--subnet", "10.50.1.1/24", "--server", &url, "--timeout", "500ms", "-q"]);
    assert_eq!(done.code, 75, "{done:?}");
    assert!(done.stderr.contains("no answer within"), "{done:?}");
    let body = "x".repeat(11 << 20);
    let server = serve(&[&json("200 OK", "", &body)]);
    let done = register(&server.url, &["-q"]);
    assert_eq!(
        done.error(),
        (1, format!("kboot register: {}: the answer is larger than 10 MiB", server.url).as_str())
    );
}

#[test]
fn more_patience_than_is_left_is_75_at_once() {
    let server = serve(&[&json("429 Too Many Requests", "Retry-After: 3600\r\n", "{}")]);
    let started = Instant::now();
    assert_eq!(register(&server.url, &[]).code, 75);
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(server.requests.lock().unwrap().len(), 1);
}

/// What a proxy in the environment would see, it must not: it gets nothing.
#[test]
fn a_proxy_in_the_environment_is_not_used() {
    let proxy = serve(&[&json("502 Bad Gateway", "", "proxy")]);
    let server = serve(&[
        &json("404 Not Found", "", NOT_FOUND),
        &json("200 OK", "", NO_NODES),
        &json("201 Created", "", CREATED),
    ]);
    let mut command = kboot(&["register", "--subnet", "10.50.1.1/24", "--server", &server.url]);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, &proxy.url);
    }
    assert_eq!(finish(&mut command).code, 0);
    assert!(proxy.requests.lock().unwrap().is_empty());
}

#[test]
fn the_token_goes_to_the_server_and_nowhere_else() {
    let dir = Scratch::new();
    let token = dir.file("token", "s3cret-token\n");
    let server = serve(&[&json("403 Forbidden", "", r#"{"kind":"Status","message":"no"}"#)]);
    let done = run(&[
        "register",
        "--subnet",
        "10.50.1.1/24",
        "--server",
        &server.url,
        "--token-file",
        &token,
        "-vv",
        "--json",
        "--timeout",
        "0",
    ]);
    assert_eq!(done.code, 1);
    assert!(!done.stderr.contains("s3cret") && !done.stdout.contains("s3cret"), "{done:?}");
    assert!(done.stderr.contains("in the clear"), "plain HTTP is warned about: {done:?}");
    let broken = dir.file("broken", "two words");
    let done =
        run(&["register", "--subnet", "10.50.1.1/24", "--server", &server.url, "--token-file", &broken]);
    assert!(done.code == 2 && !done.stderr.contains("two words"), "{done:?}");
}

#[test]
fn the_order_in_which_the_server_is_looked_for() {
    let dir = Scratch::new();
    let config = |name: &str, server: &str| {
        dir.file(name, format!("current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: ''}}}}]\nclusters: [{{name: k, cluster: {{server: '{server}'}}}}]\n"))
    };
    let option = config("option", "http://127.0.0.1:1");
    let variable = config("variable", "http://127.0.0.1:2");
    let line = |args: &[&str], env: &[(&str, &str)]| {
        let mut command =
            kboot(&[&["register", "--subnet", "10.50.1.1/24", "--timeout", "0"], args].concat());
        finish(command.envs(env.iter().copied())).stderr.lines().next().unwrap().to_owned()
    };
    let both = [("KUBECONFIG", variable.as_str()), ("KUBERNETES_MASTER", "127.0.0.1:3")];
    let says = |url: &str, source: &str| format!("kboot register: API server {url} (from {source})");
    assert_eq!(line(&["--server", "127.0.0.1:4"], &both), says("http://127.0.0.1:4", "--server"));
    assert_eq!(
        line(&["--server", "127.0.0.1:4", "--kubeconfig", &option], &both),
        says("http://127.0.0.1:4", "--server")
    );
    assert_eq!(
        line(&["--kubeconfig", &option], &both),
        says("http://127.0.0.1:1", &format!("--kubeconfig {option}"))
    );
    assert_eq!(line(&[], &both), says("http://127.0.0.1:2", &format!("KUBECONFIG {variable}")));
    assert_eq!(line(&[], &both[1..]), says("http://127.0.0.1:3", "KUBERNETES_MASTER"));
    assert_eq!(
        line(&[], &[("KBOOT_SERVER", "127.0.0.1:5"), both[0]]),
        says("http://127.0.0.1:5", "KBOOT_SERVER")
    );
    if !crate::support::root_user() {
        return;
    }
    // The well-known files, in a mount namespace of their own.
    let host = crate::support::host::Host::new();
    host.sh("mkdir -p /etc/kubernetes && mount -t tmpfs tmpfs /etc/kubernetes");
    let first = |host: &crate::support::host::Host| {
        host.kboot(&["register", "--subnet", "10.50.1.1/24", "--timeout", "0"])
            .stderr
            .lines()
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(first(&host), says("http://127.0.0.1:8080", "default"));
    for (name, port) in [("admin.conf", 6), ("kubelet.conf", 7)] {
        let file = config(name, &format!("http://127.0.0.1:{port}"));
        host.sh(&format!("cp {file} /etc/kubernetes/{name}"));
        assert_eq!(
            first(&host),
            says(&format!("http://127.0.0.1:{port}"), &format!("/etc/kubernetes/{name}"))
        );
    }
}

/// The last word before the deadline is the server's own.
#[test]
fn the_deadline_does_not_hide_what_the_server_says() {
    let slow = |answer: String| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut buffer = [0; 4096];
                let _ = std::io::Read::read(&mut stream, &mut buffer);
                std::thread::sleep(Duration::from_millis(40));
                let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
            }
        });
        url
    };
    let call = |url: &str| {
        run(&["register", "--subnet", "10.50.1.1/24", "--server", url, "--timeout", "700ms", "-q"])
    };
    let refused = call(&slow(json("401 Unauthorized", "", "{}")));
    assert!(refused.code == 1 && refused.stderr.contains("401 Unauthorized"), "{refused:?}");
    let busy = call(&slow(json("503 Service Unavailable", "", r#"{"kind":"Status","message":"starting"}"#)));
    assert!(
        busy.code == 75 && busy.stderr.ends_with("not within 700ms: HTTP status 503: starting\n"),
        "{busy:?}"
    );
}

#[test]
fn a_server_that_asks_for_ages_is_not_obeyed_to_the_letter() {
    let server = serve(&[&json("429 Too Many Requests", "Retry-After: 18446744073709551615\r\n", "{}")]);
    let mut command =
        kboot(&["register", "--subnet", "10.50.1.1/24", "--server", &server.url, "--timeout", "forever"]);
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(told.any(|line| line.unwrap().contains("HTTP status 429")), "it tells what it waits for");
    // After that it has nothing to do but to wait.
    let status = format!("/proc/{}/status", child.id());
    crate::support::until("it waits, and did not crash", || {
        std::fs::read_to_string(&status).unwrap().contains("State:\tS")
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The command line says where to go: what the environment says of another server must not get the
/// kubeconfig's token.
#[test]
fn a_kubeconfigs_token_goes_to_its_own_server() {
    let dir = Scratch::new();
    let own = serve(&[
        &json("404 Not Found", "", NOT_FOUND),
        &json("200 OK", "", NO_NODES),
        &json("201 Created", "", CREATED),
    ]);
    let other = serve(&[&json("404 Not Found", "", NOT_FOUND)]);
    let config = dir.file("config", format!("current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\nclusters: [{{name: k, cluster: {{server: '{}'}}}}]\nusers: [{{name: u, user: {{token: s3cret}}}}]\n", own.url));
    let mut command = kboot(&["register", "--subnet", "10.50.1.1/24", "--kubeconfig", &config]);
    assert_eq!(finish(command.env("KBOOT_SERVER", &other.url)).code, 0);
    assert!(other.requests.lock().unwrap().is_empty());
}

/// A Kubernetes 1.0 has no taints and drops what it does not know.
#[test]
fn what_an_old_server_drops_is_said() {
    let server = serve(&[
        &json("404 Not Found", "", NOT_FOUND),
        &json("200 OK", "", NO_NODES),
        &json("201 Created", "", CREATED),
    ]);
    let done = register(&server.url, &["--taint", "a=b:NoSchedule"]);
    assert!(done.code == 0 && done.stderr.contains("warning: the server did not keep all of it"), "{done:?}");
}

//! Many hosts at once, on a real kube-apiserver 1.20.2: all end right, with so many requests each, counted by
//! the server's audit log, and over one connection each.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::api::{Api, shared};
use crate::support::{Done, collect, kboot, run, until};

fn start(api: &Api, user: usize, subnet: &str) -> Child {
    let user = api.user(user);
    let user: Vec<&str> = user.iter().map(String::as_str).collect();
    let mut command = kboot(&[&["register", "--subnet", subnet], &user[..]].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What each of these users asked, and how it ended. Where the server itself could not answer at once (429,
/// 5xx, 10 s of silence) something was asked again, which the run's log tells.
fn run_all(api: &Api, hosts: &[(usize, String)]) -> Vec<(Done, Vec<String>)> {
    let children: Vec<Child> = hosts.iter().map(|(user, subnet)| start(api, *user, subnet)).collect();
    let done: Vec<Done> = children.into_iter().map(collect).collect();
    let mut asked = api.asked();
    let of = hosts.iter().map(|(user, _)| asked.remove(&format!("user-{user}")).unwrap_or_default());
    done.into_iter().zip(of).collect()
}

fn was_let_wait(done: &Done) -> bool {
    done.stderr.contains("waiting for ")
}

#[test]
fn three_hundred_hosts_at_once() {
    let Some(api) = shared() else { return };
    let subnet = |host: usize| format!("10.{}.{}.1/24", 70 + host / 250, host % 250);
    let hosts: Vec<(usize, String)> = (0..300).map(|host| (host, subnet(host))).collect();
    let runs = run_all(api, &hosts);
    let lines = "jsonpath={range .items[*]}{.metadata.name} {.spec.podCIDR}{\"\\n\"}{end}";
    let nodes = api.kubectl(&["get", "nodes", "-o", lines]);
    for ((_, subnet), (done, asked)) in hosts.iter().zip(&runs) {
        let (name, cidr) = (subnet.replace("/24", ""), subnet.replace(".1/24", ".0/24"));
        assert!(nodes.ok().lines().any(|l| l == format!("{name} {cidr}")), "{name}");
        assert_eq!(done.code, 0, "{done:?}");
        if !was_let_wait(done) {
            assert!(done.stderr.contains("(1 changed, 0 already so)"), "{done:?}");
            assert_eq!(*asked, ["get 404", "list 200", "create 201"], "{name}");
        }
    }
    let most = runs.iter().map(|(_, asked)| asked.len()).max();
    let waited = runs.iter().filter(|(done, _)| was_let_wait(done)).count();
    println!("300 hosts: {most:?} requests at most for one; {waited} had to wait for the server");
}

#[test]
fn fifty_times_the_same_node_at_once() {
    let Some(api) = shared() else { return };
    let hosts: Vec<(usize, String)> = (300..350).map(|user| (user, "10.73.5.1/24".to_owned())).collect();
    let runs = run_all(api, &hosts);
    for (done, asked) in &runs {
        assert_eq!(done.code, 0, "{done:?}");
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        let as_expected = matches!(
            asked[..],
            ["get 200"]
                | ["get 404", "list 200", "create 201"]
                | ["get 404", "list 200", "create 409", "get 200"]
        );
        assert!(as_expected || was_let_wait(done), "{asked:?}");
    }
    assert_eq!(api.node("10.73.5.1").unwrap()["spec"]["podCIDR"], "10.73.5.0/24");
    let created = runs.iter().filter(|(done, _)| done.stderr.contains("(1 changed, 0 already so)")).count();
    let waited = runs.iter().any(|(done, _)| was_let_wait(done));
    assert!(created == 1 || created == 0 && waited, "{created}");
}

/// Passes bytes on to the server, and counts connections.
fn counter(port: u16) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let connections = count.clone();
    thread::spawn(move || {
        for from in listener.incoming().flatten() {
            connections.fetch_add(1, Ordering::SeqCst);
            let to = TcpStream::connect(("127.0.0.1", port)).unwrap();
            for (mut a, mut b) in [(from.try_clone().unwrap(), to.try_clone().unwrap()), (to, from)] {
                thread::spawn(move || {
                    let mut bytes = [0; 4096];
                    while let Ok(n @ 1..) = a.read(&mut bytes) {
                        if b.write_all(&bytes[..n]).is_err() {
                            break;
                        }
                    }
                    let _ = b.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    (url, count)
}

/// A handshake costs more than all the rest.
#[test]
fn all_requests_of_a_run_share_one_connection() {
    let Some(api) = shared() else { return };
    let (url, connections) = counter(api.port);
    let server = ["--server", &url, "--cacert", &api.cacert, "--token-file", &api.token];
    let args = ["register", "--subnet", "10.73.6.1/24"];
    assert!(run(&[&args[..], &server].concat()).stderr.contains("(1 changed, 0 already so)"));
    assert_eq!(connections.load(Ordering::SeqCst), 1, "GET, LIST, POST");
    let child =
        kboot(&[&args[..], &server, &["--wait-ready"]].concat()).stderr(Stdio::piped()).spawn().unwrap();
    until("it watches", || connections.load(Ordering::SeqCst) == 2);
    api.patch(
        "10.73.6.1/status",
        &serde_json::json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
    );
    assert_eq!(collect(child).code, 0);
    assert_eq!(connections.load(Ordering::SeqCst), 2, "GET, WATCH");
}

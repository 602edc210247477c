//! A kubeconfig's proxy-url: the real API server behind a stand-in proxy.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::api::{ADMIN, shared};
use crate::support::{Scratch, finish, free_port, kboot};

/// Takes CONNECT and passes bytes on; answers with this line. Its requests' heads as they came.
fn proxy(answer: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let heads = seen.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
            heads.lock().unwrap().push(head);
            let _ = stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes());
            let Ok(server) = TcpStream::connect(target) else { continue };
            for (mut from, mut to) in
                [(stream.try_clone().unwrap(), server.try_clone().unwrap()), (server, stream)]
            {
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    (port, seen)
}

#[test]
fn the_server_is_reached_by_the_proxy_and_by_no_other() {
    let Some(api) = shared() else { return };
    let dir = Scratch::new();
    let register = |proxy: &str, name: &str, more: &[&str]| {
        let file = dir.file("kubeconfig", format!(
            "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
             clusters: [{{name: k, cluster: {{server: '{}', certificate-authority: '{}', proxy-url: '{proxy}'}}}}]\n\
             users: [{{name: u, user: {{token: {ADMIN}}}}}]\n", api.url, api.cacert));
        let mut command = kboot(&[
            "register",
            "--subnet",
            "10.164.1.1/24",
            "--name",
            name,
            "--kubeconfig",
            &file,
            "-v",
            "-v",
        ]);
        // A proxy of the environment's is never asked.
        for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
            command.env(variable, "http://127.0.0.1:9");
        }
        let done = finish(command.args(more));
        assert!(!format!("{done:?}").contains("s3cret") && !format!("{done:?}").contains(ADMIN), "{done:?}");
        done
    };
    let (port, seen) = proxy("200 Connection established");
    let done = register(&format!("http://me:s3cr%65t@127.0.0.1:{port}"), "by-proxy", &[]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(api.node("by-proxy").is_some());
    let head = seen.lock().unwrap()[0].clone();
    assert!(head.starts_with(&format!("CONNECT 127.0.0.1:{} HTTP/1.1\r\n", api.port)), "{head}");
    // printf me:s3cret | base64
    assert!(head.contains("Proxy-Authorization: Basic bWU6czNjcmV0\r\n"), "{head}");
    assert!(!head.contains(ADMIN));

    let (port, _) = proxy("407 Proxy Authentication Required");
    let done = register(&format!("http://127.0.0.1:{port}"), "never", &["-q"]);
    let says =
        format!("kboot register: {}: by the proxy 127.0.0.1:{port}: proxy server responded 407", api.url);
    assert!(done.code == 1 && done.stderr.lines().last().unwrap().starts_with(&says), "{done:?}");
    let port = free_port();
    let done = register(&format!("http://me:s3cret@127.0.0.1:{port}"), "never", &["--timeout", "0"]);
    let says = format!("kboot register: {}: by the proxy 127.0.0.1:{port}: Connection refused", api.url);
    assert_eq!((done.code, done.stderr.lines().last().unwrap()), (75, says.as_str()));
    let done = register("socks5://me:s3cret@127.0.0.1:1", "never", &[]);
    assert!(
        done.code == 2
            && done
                .stderr
                .ends_with("kubeconfig: proxy-url: kboot speaks to http:// proxies only, not socks5\n"),
        "{done:?}"
    );
    assert!(api.node("never").is_none());
}

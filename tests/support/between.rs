//! Stands between kboot and a real etcd, and meddles: what breaks on the way, and at which moment.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use super::odd_server::read_text;

/// Sends a request on to the real etcd; `None`: it did not answer.
pub type Pass<'p> = &'p (dyn Fn(&str) -> Option<String> + Sync);

/// Where it listens. Each request goes to `meddle`, whose answer goes back; `None`: the connection
/// ends without a word.
pub fn start(
    target: &str,
    meddle: impl Fn(&str, Pass<'_>) -> Option<String> + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (target, meddle) = (target.to_owned(), Arc::new(meddle));
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (target, meddle) = (target.clone(), meddle.clone());
            thread::spawn(move || {
                let Some(request) = read_text(&mut stream) else { return };
                let answer = meddle(&request, &|request| exchange(&target, request));
                let _ = answer.map(|a| stream.write_all(a.as_bytes()));
            });
        }
    });
    url
}

/// One request on a connection of its own, and the raw answer.
pub fn exchange(url: &str, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).ok()?;
    let (first, rest) = request.split_once("\r\n")?;
    stream.write_all(format!("{first}\r\nConnection: close\r\n{rest}").as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok().filter(|n| *n > 0)?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// A POST of JSON, raw.
pub fn post(path: &str, authorization: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: etcd\r\n{authorization}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// Whether a request writes: a PUT of the v2 API, a transaction of the v3 API.
pub fn is_write(request: &str, api: &str) -> bool {
    let first = request.lines().next().unwrap();
    if api == "v2" { first.starts_with("PUT /v2/keys/") } else { first.contains("/kv/txn ") }
}

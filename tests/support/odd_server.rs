//! A stand-in HTTP server that answers as it is told: for what a real one does only at bad moments.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

/// Requests as they came: method, path, body.
pub type Requests = Arc<Mutex<Vec<(String, String, String)>>>;

pub struct OddServer {
    pub url: String,
    pub requests: Requests,
}

/// Answers the requests one after the other: the raw bytes of each answer; the last one stays.
pub fn serve(answers: &[&str]) -> OddServer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests: Requests = Arc::default();
    let seen = requests.clone();
    let answers: Vec<String> = answers.iter().map(|a| (*a).to_owned()).collect();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Some(request) = read_request(&mut stream) else { continue };
            let mut seen = seen.lock().unwrap();
            let answer = &answers[seen.len().min(answers.len() - 1)];
            seen.push(request);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    OddServer { url, requests }
}

fn read_request(stream: &mut impl Read) -> Option<(String, String, String)> {
    let text = read_text(stream)?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut words = head.split(' ');
    Some((words.next()?.into(), words.next()?.into(), body.into()))
}

/// One request as it came, head and body.
pub fn read_text(stream: &mut impl Read) -> Option<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let n = stream.read(&mut chunk).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&chunk[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0usize) {
            return Some(text);
        }
    }
}

/// An answer with a JSON body; the connection ends after it.
pub fn json(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    )
}

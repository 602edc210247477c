//! A stand-in for the API server, for `scripts/demo` where the real one is not built: Nodes in
//! memory over plain HTTP, nothing else. `standin-api PORT`.
#![allow(clippy::expect_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

type Nodes = BTreeMap<String, Value>;

#[allow(clippy::print_stdout)]
fn main() {
    let port = std::env::args().nth(1).unwrap_or_else(|| "8080".into());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free");
    println!("listening");
    let mut nodes = Nodes::new();
    for stream in listener.incoming().flatten() {
        let _ = serve(&stream, &mut nodes);
    }
}

/// Requests of one connection; one each, for the sake of simplicity.
fn serve(stream: &TcpStream, nodes: &mut Nodes) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (status, answer) = answer(&method, &path, body, nodes);
    let text = answer.to_string();
    let mut out = stream;
    write!(
        out,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )
}

fn failure(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code})
}

fn answer(method: &str, path: &str, body: Value, nodes: &mut Nodes) -> (&'static str, Value) {
    let path = path.split('?').next().unwrap_or_default();
    let name = path.strip_prefix("/api/v1/nodes/").map(str::to_owned);
    match (method, name) {
        ("GET", None) if path == "/api/v1/nodes" => (
            "200 OK",
            json!({"kind": "NodeList", "apiVersion": "v1", "items": nodes.values().collect::<Vec<_>>()}),
        ),
        ("POST", None) if path == "/api/v1/nodes" => {
            let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            if nodes.contains_key(&name) {
                return ("409 Conflict", failure(409, "AlreadyExists"));
            }
            let mut node = body;
            node["metadata"]["resourceVersion"] = json!("1");
            nodes.insert(name, node.clone());
            ("201 Created", node)
        }
        (method, Some(name)) => match (method, nodes.get_mut(&name)) {
            (_, None) => ("404 Not Found", failure(404, "NotFound")),
            ("PATCH", Some(node)) => {
                merge(node, &body);
                ("200 OK", node.clone())
            }
            ("DELETE", Some(_)) => ("200 OK", nodes.remove(&name).unwrap_or_default()),
            (_, Some(node)) => ("200 OK", node.clone()),
        },
        _ => ("404 Not Found", failure(404, "NotFound")),
    }
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        merge(&mut target[key], value);
    }
}

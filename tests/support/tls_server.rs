//! A stand-in server that speaks TLS with a certificate made here, and answers as it is told.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::odd_server::read_text;
use super::{Scratch, tool};

/// A server; its requests as they came, head and body.
pub struct TlsServer {
    pub url: String,
    pub requests: Arc<Mutex<Vec<String>>>,
}

/// A CA of that name and a certificate by it for 127.0.0.1: (CA, certificate, key), files.
pub fn certificates(dir: &Scratch, name: &str, alternative: &str, days: &str) -> [String; 3] {
    let [ca, ca_key, csr, crt, key] =
        ["ca", "ca.key", "csr", "crt", "key"].map(|e| dir.path(&format!("{name}.{e}")));
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let subject = format!("/CN={name} CA");
    tool(
        "openssl",
        &[&["req", "-x509"], &curve[..], &["-keyout", &ca_key, "-subj", &subject, "-days", "9", "-out", &ca]]
            .concat(),
    );
    let subject = format!("/CN={name}");
    tool("openssl", &[&["req"], &curve[..], &["-keyout", &key, "-subj", &subject, "-out", &csr]].concat());
    let extensions = dir.file(&format!("{name}.ext"), format!("subjectAltName={alternative}"));
    let sign = ["x509", "-req", "-in", &csr, "-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial", "-days", days];
    tool("openssl", &[&sign[..], &["-extfile", &extensions, "-out", &crt]].concat());
    [ca, crt, key]
}

/// Serves with these files (the chain in the first, in its order); `answer` gets each request.
pub fn serve(
    crt: &str,
    key: &str,
    answer: impl Fn(usize, &str) -> String + Send + Sync + 'static,
) -> TlsServer {
    let chain = CertificateDer::pem_file_iter(crt).unwrap().map(Result::unwrap).collect();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let requests: Arc<Mutex<Vec<String>>> = Arc::default();
    let (seen, answer) = (requests.clone(), Arc::new(answer));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, seen, answer) = (config.clone(), seen.clone(), answer.clone());
            thread::spawn(move || one(stream, config, &seen, &*answer));
        }
    });
    TlsServer { url, requests }
}

fn one(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    seen: &Mutex<Vec<String>>,
    answer: &dyn Fn(usize, &str) -> String,
) {
    let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let Some(request) = read_text(&mut tls) else { return };
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    let _ = tls.write_all(answer(number, &request).as_bytes());
    tls.conn.send_close_notify();
    let _ = tls.flush();
}

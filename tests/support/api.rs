//! A real kube-apiserver 1.20.2 over TLS, one for all tests of a run; kubectl reads what was written.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use super::etcd::Etcd;
use super::{Done, Process, Scratch, finish, free_port, need, tool, until};

pub const ADMIN: &str = "admin-token-0123456789";
pub const NOBODY: &str = "nobody-token-0123456789";

pub struct Api {
    pub url: String,
    pub port: u16,
    /// The self-signed certificate that the server made, as `--cacert`.
    pub cacert: String,
    /// A file with the administrator's token.
    pub token: String,
    pub scratch: Scratch,
    kubectl: std::path::PathBuf,
    _server: Process,
    _etcd: Etcd,
}

/// The server; `None` when it is not built here. It is started by a thread that stays, for processes
/// end with the thread that started them: so with the test run.
pub fn shared() -> Option<&'static Api> {
    static API: OnceLock<Option<Api>> = OnceLock::new();
    let start = || {
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            send.send(Api::start()).unwrap();
            loop {
                std::thread::park();
            }
        });
        receive.recv().unwrap()
    };
    API.get_or_init(start).as_ref()
}

impl Api {
    fn start() -> Option<Self> {
        let program = need("kube-apiserver", "kube-apiserver")?;
        let kubectl = need("kubectl", "kubectl")?;
        let etcd = Etcd::start(&[])?;
        let scratch = Scratch::new();
        let port = free_port();
        scratch.file(
            "tokens.csv",
            format!("{ADMIN},admin,1,\"system:masters\"\n{NOBODY},nobody,2,\"nobodies\"\n"),
        );
        let token = scratch.file("token", format!("{ADMIN}\n"));
        tool("openssl", &["genrsa", "-out", &scratch.path("sa.key"), "2048"]);
        client_ca(&scratch);
        let server = Process::start(program, &scratch.0.join("log"), |command| {
            command
                .args(["--etcd-servers", &etcd.url, "--secure-port", &port.to_string()])
                .args(["--bind-address", "127.0.0.1", "--cert-dir", &scratch.path("certs")])
                .args(["--token-auth-file", &scratch.path("tokens.csv")])
                .args(["--client-ca-file", &scratch.path("ca.crt"), "--authorization-mode", "Node,RBAC"])
                .args(["--enable-admission-plugins", "NodeRestriction"])
                .args(["--service-account-issuer", "https://kubernetes.default.svc"])
                .args(["--service-account-key-file", &scratch.path("sa.key")])
                .args(["--service-account-signing-key-file", &scratch.path("sa.key")])
                .args(["--service-cluster-ip-range", "10.96.0.0/16"]);
        });
        let cacert = scratch.path("certs/apiserver.crt");
        let api = Self {
            url: format!("https://127.0.0.1:{port}"),
            port,
            cacert,
            token,
            scratch,
            kubectl,
            _server: server,
            _etcd: etcd,
        };
        until("kube-apiserver is ready", || {
            fs::metadata(&api.cacert).is_ok() && api.kubectl(&["get", "--raw", "/readyz"]).stdout == "ok"
        });
        Some(api)
    }

    pub fn kubectl(&self, args: &[&str]) -> Done {
        let mut command = Command::new(&self.kubectl);
        command.env("HOME", &self.scratch.0).env_remove("KUBECONFIG");
        command.args(["--server", &self.url, "--token", ADMIN, "--certificate-authority", &self.cacert]);
        finish(command.args(args))
    }

    /// A Node as kubectl reads it, `None` if there is none.
    pub fn node(&self, name: &str) -> Option<Value> {
        let done = self.kubectl(&["get", "node", name, "-o", "json"]);
        (done.code == 0).then(|| done.json())
    }

    /// The options that lead kboot here as the administrator.
    pub fn admin(&self) -> [&str; 6] {
        ["--server", &self.url, "--cacert", &self.cacert, "--token-file", &self.token]
    }

    /// A client certificate signed by the server's client CA: (certificate, key).
    pub fn client_certificate(&self, name: &str, organisation: &str) -> (String, String) {
        let file = name.replace([':', '.'], "-");
        let [key, csr, crt] = ["key", "csr", "crt"].map(|e| self.scratch.path(&format!("{file}.{e}")));
        let subject = format!("/O={organisation}/CN={name}");
        tool("openssl", &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key]);
        tool("openssl", &["req", "-new", "-key", &key, "-subj", &subject, "-out", &csr]);
        let (ca, ca_key) = (self.scratch.path("ca.crt"), self.scratch.path("ca.key"));
        tool(
            "openssl",
            &[
                "x509",
                "-req",
                "-in",
                &csr,
                "-CA",
                &ca,
                "-CAkey",
                &ca_key,
                "-CAcreateserial",
                "-days",
                "2",
                "-out",
                &crt,
            ],
        );
        (crt, key)
    }
}

fn client_ca(scratch: &Scratch) {
    let (crt, key) = (scratch.path("ca.crt"), scratch.path("ca.key"));
    tool(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            &key,
            "-subj",
            "/CN=clients",
            "-days",
            "2",
            "-out",
            &crt,
        ],
    );
}

//! A real kube-apiserver 1.20.2 over TLS, one for all tests of a run; kubectl and curl read what was
//! written, and its audit log tells who asked for what.

use std::collections::HashMap;
use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::etcd::Etcd;
use super::{Done, Process, Scratch, finish, free_port, need, tool, until};

pub const ADMIN: &str = "admin-token-0123456789";
pub const NOBODY: &str = "nobody-token-0123456789";

/// How many administrators there are beside, `user-0` and so on, each with a token of its own: for counting
/// requests in the audit log.
pub const USERS: usize = 420;

const AUDIT: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  resources: [{group: '', resources: [nodes, nodes/status]}]
- level: None
";

pub struct Api {
    pub url: String,
    pub port: u16,
    /// The self-signed certificate that the server made, as `--cacert`.
    pub cacert: String,
    /// A file with the administrator's token.
    pub token: String,
    /// The same API over plain HTTP, as the administrator: `kubectl proxy`.
    pub plain: String,
    pub scratch: Scratch,
    kubectl: std::path::PathBuf,
    _proxy: Process,
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
            send.send(Api::start(&[])).unwrap();
            loop {
                std::thread::park();
            }
        });
        receive.recv().unwrap()
    };
    API.get_or_init(start).as_ref()
}

impl Api {
    /// One more, with these options.
    pub fn start(more: &[&str]) -> Option<Self> {
        let program = need("kube-apiserver", "kube-apiserver")?;
        let kubectl = need("kubectl", "kubectl")?;
        let etcd = Etcd::start(&[])?;
        let scratch = Scratch::new();
        let port = free_port();
        tokens(&scratch);
        let policy = scratch.file("audit.yaml", AUDIT);
        let token = scratch.file("token", format!("{ADMIN}\n"));
        tool("openssl", &["genrsa", "-out", &scratch.path("sa.key"), "2048"]);
        client_ca(&scratch);
        let server = Process::start(program, &scratch.0.join("log"), |command| {
            command
                .args(["--etcd-servers", &etcd.url, "--secure-port", &port.to_string()])
                .args(["--bind-address", "127.0.0.1", "--cert-dir", &scratch.path("certs")])
                .args(["--token-auth-file", &scratch.path("tokens.csv")])
                .args(["--client-ca-file", &scratch.path("ca.crt"), "--authorization-mode", "Node,RBAC"])
                .args(["--enable-admission-plugins", "NodeRestriction", "--enable-bootstrap-token-auth"])
                .args(["--audit-policy-file", &policy, "--audit-log-path", &scratch.path("audit.log")])
                .args(more)
                .args(["--service-account-issuer", "https://kubernetes.default.svc"])
                .args(["--service-account-key-file", &scratch.path("sa.key")])
                .args(["--service-account-signing-key-file", &scratch.path("sa.key")])
                .args(["--service-cluster-ip-range", "10.96.0.0/16"]);
        });
        let cacert = scratch.path("certs/apiserver.crt");
        let url = format!("https://127.0.0.1:{port}");
        let ready = || {
            let call = |c: &mut Command| finish(c.args(["get", "--raw", "/readyz"])).stdout == "ok";
            fs::metadata(&cacert).is_ok()
                && call(command(&mut Command::new(&kubectl), &scratch, &url, &cacert))
        };
        until("kube-apiserver is ready", ready);
        let plain_port = free_port().to_string();
        let proxy = Process::start("env", &scratch.0.join("proxy.log"), |env| {
            env.arg(&kubectl);
            command(env, &scratch, &url, &cacert).args(["proxy", "--port", &plain_port]);
        });
        let plain = format!("http://127.0.0.1:{plain_port}");
        until("kubectl proxy listens", || TcpStream::connect(format!("127.0.0.1:{plain_port}")).is_ok());
        Some(Self {
            url,
            port,
            cacert,
            token,
            plain,
            scratch,
            kubectl,
            _proxy: proxy,
            _server: server,
            _etcd: etcd,
        })
    }

    pub fn kubectl(&self, args: &[&str]) -> Done {
        let mut kubectl = Command::new(&self.kubectl);
        finish(command(&mut kubectl, &self.scratch, &self.url, &self.cacert).args(args))
    }

    /// One request by curl: status and body. `auth` are curl's own options.
    pub fn curl(
        &self,
        auth: &[&str],
        method: &str,
        path: &str,
        content: Option<(&str, &str)>,
    ) -> (u64, Value) {
        let mut curl = Command::new("curl");
        curl.args(["-s", "--cacert", &self.cacert, "-X", method, "-w", "\n%{http_code}"]).args(auth);
        if let Some((media_type, body)) = content {
            curl.args(["-H", &format!("Content-Type: {media_type}"), "-d", body]);
        }
        let done = finish(curl.arg(format!("{}{path}", self.url)));
        let (body, status) = done.ok().rsplit_once('\n').unwrap();
        (status.parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::String(body.into())))
    }

    /// The same as the administrator.
    pub fn ask(&self, method: &str, path: &str, content: Option<(&str, &str)>) -> (u64, Value) {
        self.curl(&["-H", &format!("Authorization: Bearer {ADMIN}")], method, path, content)
    }

    /// Makes a Node as it is given.
    pub fn create(&self, name: &str, rest: &Value) -> Value {
        let mut node = rest.clone();
        node["kind"] = "Node".into();
        node["apiVersion"] = "v1".into();
        node["metadata"]["name"] = name.into();
        let (status, made) = self.ask("POST", "/api/v1/nodes", Some((JSON, &node.to_string())));
        assert_eq!(status, 201, "{made}");
        made
    }

    /// Merge-patches a Node, or with `/status` its status.
    pub fn patch(&self, name: &str, patch: &Value) -> Value {
        let content = ("application/merge-patch+json", patch.to_string());
        let (status, now) =
            self.ask("PATCH", &format!("/api/v1/nodes/{name}"), Some((content.0, &content.1)));
        assert_eq!(status, 200, "{now}");
        now
    }

    /// The options that lead kboot here as one of the counted administrators.
    pub fn user(&self, number: usize) -> [String; 6] {
        let token = self.scratch.file(&format!("token-{number}"), token(number));
        ["--server", &self.url, "--cacert", &self.cacert, "--token-file", &token].map(str::to_owned)
    }

    /// What each user has asked of Nodes, `get 404`, by the server's audit log.
    pub fn asked(&self) -> HashMap<String, Vec<String>> {
        let log = fs::read_to_string(self.scratch.path("audit.log")).unwrap_or_default();
        let mut asked = HashMap::<String, Vec<String>>::new();
        for event in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let what = format!("{} {}", event["verb"].as_str().unwrap(), event["responseStatus"]["code"]);
            asked.entry(event["user"]["username"].as_str().unwrap().to_owned()).or_default().push(what);
        }
        asked
    }

    /// The same of one user.
    pub fn asked_by(&self, user: &str) -> Vec<String> {
        self.asked().remove(user).unwrap_or_default()
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

    /// An administrator's kubeconfig for those who know the server by another address, of which its certificate
    /// has none.
    pub fn kubeconfig_at(&self, host: &str) -> String {
        let ca = fs::read(&self.cacert).unwrap();
        serde_json::json!({
            "current-context": "c",
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
            "users": [{ "name": "u", "user": { "token": ADMIN } }],
            "clusters": [{ "name": "c", "cluster": {
                "server": self.url.replace("127.0.0.1", host),
                "tls-server-name": "kubernetes.default.svc",
                "certificate-authority-data": STANDARD.encode(ca),
            }}],
        })
        .to_string()
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

pub const JSON: &str = "application/json";

/// kubectl, told where to go and as whom.
fn command<'c>(kubectl: &'c mut Command, scratch: &Scratch, url: &str, cacert: &str) -> &'c mut Command {
    kubectl.env("HOME", &scratch.0).env_remove("KUBECONFIG");
    kubectl.args(["--server", url, "--token", ADMIN, "--certificate-authority", cacert])
}

fn token(number: usize) -> String {
    format!("user-{number}-token-0123456789")
}

fn tokens(scratch: &Scratch) {
    let mut lines =
        vec![format!("{ADMIN},admin,1,\"system:masters\""), format!("{NOBODY},nobody,2,\"nobodies\"")];
    lines.extend((0..USERS).map(|n| format!("{},user-{n},user-{n},\"system:masters\"", token(n))));
    scratch.file("tokens.csv", lines.join("\n"));
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

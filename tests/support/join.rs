//! A cluster that hosts can join, as kubeadm leaves one: a bootstrap token, its rights, and cluster-info
//! with its signature. Approver and signer are stand-ins for a person and for kube-controller-manager.

use serde_json::{Value, json};

use super::api::Api;
use super::{Done, Scratch, finish, kboot, run, tool, until};

pub const ID: &str = "07401b";
pub const SECRET: &str = "f395accd246ae52d";

/// A cluster to join.
pub struct Cluster<'a> {
    pub api: &'a Api,
    /// The CA that signed the server's certificate, PEM.
    pub ca: String,
    /// Its public key's hash, as kubeadm prints it.
    pub hash: String,
    /// A file with the token.
    pub token: String,
}

/// One shell line, with the words as $1, $2...
pub fn shell(line: &str, words: &[&str]) -> String {
    tool("bash", &[&["-euo", "pipefail", "-c", line, "bash"], words].concat())
}

/// `sha256:HEX` of the last certificate in a file, by kubeadm's documented pipe of openssl commands.
pub fn hash_of(pem: &str) -> String {
    let line = "openssl x509 -pubkey -in $1 | openssl pkey -pubin -outform der | openssl dgst -sha256 -hex";
    format!("sha256:{}", shell(line, &[pem]).trim().rsplit(' ').next().unwrap())
}

/// Base64url of the HMAC, by openssl.
pub fn jws(id: &str, secret: &str, content: &str) -> String {
    let line = r#"b64() { openssl base64 -A | tr +/ -_ | tr -d =; }
        head=$(printf '{"alg":"HS256","kid":"%s"}' $1 | b64)
        printf %s..%s $head $(printf %s.%s $head $(printf %s "$3" | b64) | openssl dgst -sha256 -mac HMAC -macopt key:$2 -binary | b64)"#;
    shell(line, &[id, secret, content])
}

/// cluster-info's kubeconfig.
pub fn info(server: &str, ca: &str) -> String {
    let ca = shell("base64 -w0 $1", &[ca]);
    format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {ca}\n    server: {server}\n  name: \"\"\n\
         contexts: null\ncurrent-context: \"\"\nkind: Config\npreferences: {{}}\nusers: null\n"
    )
}

impl<'a> Cluster<'a> {
    /// Makes it one, once for each API server.
    pub fn on(api: &'a Api) -> Self {
        // The server's own file: its certificate, then the CA that it made for itself.
        let ca = api.scratch.path("server-ca.crt");
        shell("awk '/BEGIN/ {n++} n == 2' $1 > $2.$$ && mv $2.$$ $2", &[&api.cacert, &ca]);
        let kubeconfig = info(&api.url, &ca);
        let grant = |kind: &str, role: &str, name: &str, subject: Value| {
            let kind_of_role = kind.strip_suffix("Binding").unwrap();
            let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind_of_role, "name": role});
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name, "namespace": "kube-public"}, "roleRef": role, "subjects": [subject]})
        };
        let public =
            json!({"kind": "User", "name": "system:anonymous", "apiGroup": "rbac.authorization.k8s.io"});
        let joining =
            json!({"kind": "Group", "name": "system:bootstrappers", "apiGroup": "rbac.authorization.k8s.io"});
        let items = [
            json!({"apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
                "metadata": {"name": format!("bootstrap-token-{ID}"), "namespace": "kube-system"},
                "stringData": {"token-id": ID, "token-secret": SECRET, "usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true"}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cluster-info", "namespace": "kube-public"},
                "data": {"kubeconfig": kubeconfig, format!("jws-kubeconfig-{ID}"): jws(ID, SECRET, &kubeconfig)}}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "info", "namespace": "kube-public"},
                "rules": [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["cluster-info"], "verbs": ["get"]}]}),
            grant("RoleBinding", "info", "info", public),
            grant("ClusterRoleBinding", "system:node-bootstrapper", "joining", joining),
        ];
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        let file =
            api.scratch.file(&format!("cluster-{:?}.json", std::thread::current().id()), list.to_string());
        until("the cluster can be joined", || api.kubectl(&["apply", "-f", &file]).code == 0);
        let token = api.scratch.file("bootstrap-token", format!("{ID}.{SECRET}\n"));
        let hash = hash_of(&ca);
        Self { api, ca, hash, token }
    }

    /// The words of a join; what is written goes to the directory.
    pub fn words<'w>(&'w self, subnet: &'w str, dir: &'w Scratch) -> Vec<String> {
        let words = ["register", "--subnet", subnet, "--server", &self.api.url, "--ca-hash", &self.hash];
        let rest = ["--bootstrap-token-file", &self.token];
        let mut words: Vec<String> = words.iter().chain(&rest).map(|w| (*w).to_owned()).collect();
        words.extend(["--kubelet-kubeconfig".to_owned(), dir.path("etc/kubelet.conf")]);
        words.extend(["--cert-dir".to_owned(), dir.path("pki")]);
        words
    }

    pub fn join(&self, subnet: &str, dir: &Scratch, more: &[&str]) -> Done {
        let words = self.words(subnet, dir);
        run(&[&words.iter().map(String::as_str).collect::<Vec<_>>()[..], more].concat())
    }

    /// The same, approved and signed meanwhile.
    pub fn join_signed(&self, subnet: &str, name: &str, dir: &Scratch, more: &[&str]) -> Done {
        let mut command = kboot(&self.words(subnet, dir));
        std::thread::scope(|scope| {
            scope.spawn(|| self.sign(&self.approve(name), "365"));
            finish(command.args(more))
        })
    }

    /// The requests for a node's certificate, the newest last.
    pub fn requests(&self, name: &str) -> Vec<Value> {
        let list = self.api.kubectl(&["get", "csr", "--sort-by=.metadata.creationTimestamp", "-o", "json"]);
        let subject = format!("subject=O = system:nodes, CN = system:node:{name}\n");
        let items = list.json()["items"].as_array().unwrap().clone();
        let has_subject = |item: &Value| {
            let line = "printf %s $1 | base64 -d | openssl req -noout -subject";
            shell(line, &[item["spec"]["request"].as_str().unwrap()]) == subject
        };
        items.into_iter().filter(has_subject).collect()
    }

    /// Waits for one that is open and approves it; its name.
    pub fn approve(&self, name: &str) -> String {
        let mut found = None;
        until("a request is handed in", || {
            found = self.requests(name).into_iter().find(|r| r["status"]["conditions"].is_null());
            found.is_some()
        });
        let request = found.unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
        self.api.kubectl(&["certificate", "approve", &request]).ok();
        request
    }

    /// In the place of kube-controller-manager's signer, which is not built here.
    pub fn sign(&self, request: &str, days: &str) {
        let dir = Scratch::new();
        let mut object = self.api.kubectl(&["get", "csr", request, "-o", "json"]).json();
        let csr = dir.file("csr", "");
        shell("printf %s $1 | base64 -d > $2", &[object["spec"]["request"].as_str().unwrap(), &csr]);
        let (ca, key) = (self.api.scratch.path("ca.crt"), self.api.scratch.path("ca.key"));
        let line = "openssl x509 -req -in $1 -CA $2 -CAkey $3 -set_serial $RANDOM$RANDOM -days $4 2>/dev/null | base64 -w0";
        object["status"]["certificate"] = json!(shell(line, &[&csr, &ca, &key, days]));
        let version = object["apiVersion"].as_str().unwrap();
        let path = format!("/apis/{version}/certificatesigningrequests/{request}/status");
        let file = dir.file("signed.json", object.to_string());
        self.api.kubectl(&["replace", "--raw", &path, "-f", &file]).ok();
    }
}

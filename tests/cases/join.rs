//! From a bootstrap token to a Node, against a real kube-apiserver 1.20.2. kubectl approves; the signature
//! is a stand-in's, with the server's client CA, in the place of kube-controller-manager.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::support::api::{Api, shared};
use crate::support::join::{Cluster, ID, SECRET, shell};
use crate::support::{Scratch, collect, finish, kboot, need, until};

/// kubectl with nothing but the kubeconfig that was written.
fn kubectl_as_node(config: &str, args: &[&str]) -> crate::support::Done {
    let kubectl = need("kubectl", "kubectl").unwrap();
    finish(
        Command::new(kubectl).env_clear().env("HOME", "/nowhere").args(["--kubeconfig", config]).args(args),
    )
}

fn mode(path: &str) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_token_becomes_a_certificate_a_kubeconfig_and_a_node() {
    let Some(api) = shared() else { return };
    let (cluster, dir) = (Cluster::on(api), Scratch::new());
    let mut child = kboot(&cluster.words("10.171.3.1/24", &dir));
    let child = child.args(["-v", "-v"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let request = cluster.approve("10.171.3.1");
    // What others can see of it while it waits.
    let argv = fs::read_to_string(format!("/proc/{}/cmdline", child.id())).unwrap();
    let key = fs::read_to_string(dir.path("pki/kubelet-client.key.tmp")).unwrap();
    assert_eq!(mode(&dir.path("pki/kubelet-client.key.tmp")), 0o600);
    cluster.sign(&request, "365");
    let done = collect(child);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stderr.contains("not approved yet: kubectl certificate approve node-csr-"), "{done:?}");
    for secret in [SECRET, key.lines().nth(1).unwrap(), "PRIVATE KEY", "Bearer"] {
        assert!(!format!("{argv}{done:?}").contains(secret), "{secret}: {done:?}");
    }
    // The request is the one that approvers look for.
    let object = api.kubectl(&["get", "csr", &request, "-o", "json"]).json();
    let spec = &object["spec"];
    assert_eq!(
        (&spec["signerName"], &spec["username"]),
        (&"kubernetes.io/kube-apiserver-client-kubelet".into(), &format!("system:bootstrap:{ID}").into())
    );
    assert_eq!(spec["usages"], serde_json::json!(["digital signature", "key encipherment", "client auth"]));
    // The Node was made with the certificate, by the node's own right.
    assert_eq!(api.node("10.171.3.1").unwrap()["spec"]["podCIDR"], "10.171.3.0/24");
    let config = dir.path("etc/kubelet.conf");
    let node = kubectl_as_node(&config, &["get", "node", "10.171.3.1", "-o", "jsonpath={.spec.podCIDR}"]);
    assert_eq!(node.ok(), "10.171.3.0/24");
    let own = ["auth", "can-i", "patch", "node/10.171.3.1", "--subresource=status"];
    assert_eq!(kubectl_as_node(&config, &own).stdout, "yes\n");
    assert_eq!(
        kubectl_as_node(&config, &["auth", "can-i", "create", "deployments", "-n", "default"]).stdout,
        "no\n"
    );
    let pair = dir.path("pki/kubelet-client-current.pem");
    assert_eq!((mode(&config), mode(&pair)), (0o600, 0o600));
    assert!(fs::symlink_metadata(&pair).unwrap().is_symlink(), "the kubelet rotates nothing else");
    let kinds = shell("grep BEGIN $1", &[&pair]);
    assert_eq!(kinds, "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n");
    assert!(!fs::exists(dir.path("pki/kubelet-client.key.tmp")).unwrap());

    // Again: nothing is asked for, and the token is not needed any more.
    let words = cluster.words("10.171.3.1/24", &dir);
    let words: Vec<&str> =
        words.iter().map(|w| if *w == cluster.token { "/nowhere/token" } else { w }).collect();
    let again = crate::support::run(&words);
    assert!(again.code == 0 && again.stderr.contains("(0 changed, 2 already so)"), "{again:?}");
    assert_eq!(cluster.requests("10.171.3.1").len(), 1);
    // And the kubeconfig alone is enough.
    let alone = crate::support::run(&["register", "--subnet", "10.171.3.1/24", "--kubeconfig", &config]);
    assert!(alone.stderr.contains("(0 changed, 1 already so)"), "{alone:?}");
}

#[test]
fn a_dry_run_says_all_of_it_and_does_none() {
    let Some(api) = shared() else { return };
    let (cluster, dir) = (Cluster::on(api), Scratch::new());
    let done = cluster.join("10.172.4.1/24", &dir, &["--dry-run", "--name", "dry"]);
    let (pki, config) = (dir.path("pki"), dir.path("etc/kubelet.conf"));
    let head = format!(
        "openssl ecparam -name prime256v1 -genkey -noout -out {pki}/kubelet-client.key.tmp\n\
         kubectl create -f - # CertificateSigningRequest for system:node:dry\n\
         cat certificate key > {pki}/kubelet-client-current.pem\n\
         kubectl config --kubeconfig={config} set-cluster default-cluster --server={} # {pki}/kubelet-client-current.pem\n\
         kubectl create -f - <<< '{{\"kind\":\"Node\"",
        api.url
    );
    assert!(done.ok().starts_with(&head), "{done:?}");
    assert!(!fs::exists(pki).unwrap() && !fs::exists(config).unwrap());
    assert!(cluster.requests("dry").is_empty() && api.node("dry").is_none());
    assert!(!format!("{done:?}").contains(SECRET), "{done:?}");
}

/// A token in a kubeconfig, as kubeadm's bootstrap-kubelet.conf has it: its CA is trusted, no discovery.
#[test]
fn a_bootstrap_kubeconfig_does_it_too() {
    let Some(api) = shared() else { return };
    let (cluster, dir) = (Cluster::on(api), Scratch::new());
    let ca = shell("base64 -w0 $1", &[&cluster.ca]);
    let bootstrap = dir.file("bootstrap-kubelet.conf", format!(
        "current-context: b\ncontexts: [{{name: b, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: '{}', certificate-authority-data: {ca}, tls-server-name: kubernetes.default}}}}]\n\
         users: [{{name: u, user: {{token: {ID}.{SECRET}}}}}]\n", api.url));
    let (config, pki) = (dir.path("kubelet.conf"), dir.path("pki"));
    let mut command = kboot(&[
        "register",
        "--subnet",
        "10.173.5.1/24",
        "--name",
        "by-file.example",
        "--kubeconfig",
        &bootstrap,
    ]);
    command.args(["--kubelet-kubeconfig", &config, "--cert-dir", &pki, "--json"]);
    let done = std::thread::scope(|scope| {
        scope.spawn(|| cluster.sign(&cluster.approve("by-file.example"), "365"));
        finish(&mut command)
    });
    assert_eq!((done.code, done.json()["changed"].as_array().unwrap().len()), (0, 5), "{done:?}");
    assert!(!format!("{done:?}").contains(SECRET), "{done:?}");
    assert_eq!(
        kubectl_as_node(&config, &["get", "node", "by-file.example", "-o", "name"]).ok(),
        "node/by-file.example\n"
    );
    assert!(fs::read_to_string(&config).unwrap().contains("tls-server-name: \"kubernetes.default\""));
}

/// A server of before 1.19: the real one with that version of the API switched off.
#[test]
fn an_older_server_is_asked_by_v1beta1() {
    let Some(api) = Api::start(&["--runtime-config", "certificates.k8s.io/v1=false"]) else { return };
    let (cluster, dir) = (Cluster::on(&api), Scratch::new());
    let done = cluster.join_signed("10.174.6.1/24", "10.174.6.1", &dir, &["-v"]);
    assert!(done.code == 0 && done.stderr.contains("handed in (v1beta1)"), "{done:?}");
    assert!(api.node("10.174.6.1").is_some());
    drop(cluster);
}

#[test]
fn what_has_expired_or_is_for_another_name_is_made_anew() {
    let Some(api) = shared() else { return };
    let (cluster, dir) = (Cluster::on(api), Scratch::new());
    assert_eq!(cluster.join_signed("10.175.7.1/24", "10.175.7.1", &dir, &[]).code, 0);
    let config = fs::read_to_string(dir.path("etc/kubelet.conf")).unwrap();
    // Another name: the kubeconfig stays as it is, the certificate does not.
    let other = cluster.join_signed("10.175.8.1/24", "renamed", &dir, &["--name", "renamed"]);
    let says = "its certificate is for system:node:10.175.7.1, not for system:node:renamed: joining anew";
    assert!(other.code == 0 && other.stderr.contains(says), "{other:?}");
    assert_eq!(fs::read_to_string(dir.path("etc/kubelet.conf")).unwrap(), config);
    assert_eq!(
        kubectl_as_node(&dir.path("etc/kubelet.conf"), &["get", "node", "renamed", "-o", "name"]).ok(),
        "node/renamed\n"
    );
    // One that is over.
    let pair = dir.path("pki/kubelet-client-current.pem");
    let (ca, key) = (api.scratch.path("ca.crt"), api.scratch.path("ca.key"));
    let line = "openssl req -new -key $1 -subj /O=system:nodes/CN=system:node:renamed | \
        openssl x509 -req -CA $2 -CAkey $3 -set_serial 7 -days 0 -out $1.crt 2>/dev/null; openssl pkey -in $1 >> $1.crt; mv $1.crt $1";
    shell(line, &[&pair, &ca, &key]);
    let until_then = shell("openssl x509 -in $1 -noout -enddate", &[&pair]);
    until("it is over", || {
        crate::support::tool("date", &["+%s"]) > shell("date -d \"${1#*=}\" +%s", &[until_then.trim()])
    });
    let renewed = cluster.join_signed("10.175.8.1/24", "renamed", &dir, &[]);
    assert!(renewed.code == 0 && renewed.stderr.contains("its certificate has expired on 20"), "{renewed:?}");
    assert_eq!(cluster.requests("renamed").len(), 2, "a new key, a new request");
}

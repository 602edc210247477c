//! Every way to make oneself known, and every way to trust, at a real kube-apiserver 1.20.2; at a stand-in
//! what that one no longer has (basic authentication went in 1.19) or does not do.

use crate::support::api::{ADMIN, Api, shared};
use crate::support::join::{hash_of, shell};
use crate::support::odd_server::json;
use crate::support::tls_server::{certificates, serve};
use crate::support::{Done, Scratch, run, tool};

const CREATED: &str = r#"{"metadata":{"name":"10.160.1.1"},"spec":{"podCIDR":"10.160.1.0/24"}}"#;

/// A key of that kind and form, and a node's certificate for it by the server's client CA.
fn pair(api: &Api, dir: &Scratch, name: &str, generate: &str) -> (String, String) {
    let (key, crt) = (dir.path(&format!("{name}.key")), dir.path(&format!("{name}.crt")));
    shell(&generate.replace("KEY", &format!("\"{key}\"")), &[]);
    let (ca, ca_key) = (api.scratch.path("ca.crt"), api.scratch.path("ca.key"));
    let line = "openssl req -new -key $1 -subj /O=system:nodes/CN=system:node:$2 | \
        openssl x509 -req -CA $3 -CAkey $4 -set_serial $RANDOM -days 2 -out $5 2>/dev/null";
    shell(line, &[&key, name, &ca, &ca_key, &crt]);
    (crt, key)
}

#[test]
fn client_keys_of_each_kind_and_form() {
    let Some(api) = shared() else { return };
    let dir = Scratch::new();
    let to = ["--server", &api.url, "--cacert", &api.cacert];
    for (at, (name, generate, head)) in [
        ("rsa-pkcs1", "openssl genrsa -traditional -out KEY 2048", "RSA PRIVATE KEY"),
        ("rsa-pkcs8", "openssl genpkey -algorithm RSA -out KEY", "PRIVATE KEY"),
        ("p256-sec1", "openssl ecparam -name prime256v1 -genkey -noout -out KEY", "EC PRIVATE KEY"),
        ("p256-params", "openssl ecparam -name prime256v1 -genkey -out KEY", "EC PARAMETERS"),
        (
            "p256-pkcs8",
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out KEY",
            "PRIVATE KEY",
        ),
        ("p384-sec1", "openssl ecparam -name secp384r1 -genkey -noout -out KEY", "EC PRIVATE KEY"),
        (
            "p384-pkcs8",
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out KEY",
            "PRIVATE KEY",
        ),
        ("ed25519", "openssl genpkey -algorithm ed25519 -out KEY", "PRIVATE KEY"),
    ]
    .iter()
    .enumerate()
    {
        let (crt, key) = pair(api, &dir, name, generate);
        let text = std::fs::read_to_string(&key).unwrap();
        assert!(text.starts_with(&format!("-----BEGIN {head}-----")), "{name}: {text}");
        let subnet = format!("10.161.{at}.1/24");
        let words = ["register", "--subnet", &subnet, "--cert", &crt, "--key", &key];
        let done = run(&[&words[..], &to].concat());
        assert!(done.stderr.contains("(1 changed, 0 already so)"), "{name}: {done:?}");
        assert_eq!(api.node(name).unwrap()["spec"]["podCIDR"], format!("10.161.{at}.0/24"));
        // Both in one file, in either order.
        for (first, second) in [(&crt, &key), (&key, &crt)] {
            let both = dir
                .file("both.pem", [std::fs::read(first).unwrap(), std::fs::read(second).unwrap()].concat());
            let done = run(&[&["register", "--subnet", &subnet, "--cert", &both], &to[..]].concat());
            assert!(done.stderr.contains("(0 changed, 1 already so)"), "{name}: {done:?}");
        }
    }
    let (crt, key) = pair(api, &dir, "p521", "openssl ecparam -name secp521r1 -genkey -noout -out KEY");
    let done =
        run(&[&["register", "--subnet", "10.161.1.1/24", "-q", "--cert", &crt, "--key", &key], &to[..]]
            .concat());
    let says =
        format!("kboot register: {key}: its kind of key is not supported (RSA, P-256, P-384, Ed25519 are)");
    assert_eq!(done.error(), (2, says.as_str()));
}

/// A kubeconfig with these fields of cluster and user, as YAML or as JSON.
fn kubeconfig(dir: &Scratch, url: &str, cluster: &str, user: &str, is_json: bool) -> String {
    let yaml = format!(
        "{{\"apiVersion\": \"v1\", \"kind\": \"Config\", \"current-context\": \"here\",\n\
         \"contexts\": [{{\"name\": \"else\", \"context\": {{\"cluster\": \"far\", \"user\": \"u\"}}}}, {{\"name\": \"here\", \"context\": {{\"cluster\": \"c\", \"user\": \"u\"}}}}],\n\
         \"clusters\": [{{\"name\": \"far\", \"cluster\": {{\"server\": \"https://192.0.2.1\"}}}}, {{\"name\": \"c\", \"cluster\": {{\"server\": \"{url}\", {cluster}}}}}],\n\
         \"users\": [{{\"name\": \"u\", \"user\": {{{user}}}}}]}}\n"
    );
    if is_json {
        return dir.file("kubeconfig.json", yaml);
    }
    // kubectl itself makes YAML of it.
    let json = dir.file("kubeconfig.in", yaml);
    let kubectl = crate::support::need("kubectl", "kubectl").unwrap();
    let text = tool(kubectl.to_str().unwrap(), &["--kubeconfig", &json, "config", "view", "--raw"]);
    assert!(text.starts_with("apiVersion: v1\n"), "{text}");
    dir.file("kubeconfig.yaml", text)
}

#[test]
fn kubeconfigs_in_yaml_and_json() {
    let Some(api) = shared() else { return };
    let dir = Scratch::new();
    dir.file("relative-token", ADMIN);
    let (crt, key) = api.client_certificate("admin-of-kubeconfigs", "system:masters");
    let base64 = |path: &str| shell("base64 -w0 $1", &[path]);
    let (ca, crt64, key64) = (base64(&api.cacert), base64(&crt), base64(&key));
    let trust = format!("\"certificate-authority-data\": \"{ca}\"");
    let named = format!("{trust}, \"tls-server-name\": \"kubernetes\"");
    let token = format!("\"token\": \"{ADMIN}\"");
    for (at, (cluster, user)) in [
        (trust.clone(), token.clone()),
        (format!("\"certificate-authority\": \"{}\"", api.cacert), "\"tokenFile\": \"relative-token\"".to_owned()),
        (named, format!("\"client-certificate\": \"{crt}\", \"client-key\": \"{key}\"")),
        // The data wins over paths that lead nowhere.
        (
            format!("{trust}, \"certificate-authority\": \"/nowhere\""),
            format!("\"client-certificate\": \"/nowhere\", \"client-certificate-data\": \"{crt64}\", \"client-key-data\": \"{key64}\""),
        ),
        ("\"insecure-skip-tls-verify\": true".to_owned(), token.clone()),
    ]
    .iter()
    .enumerate()
    {
        for is_json in [false, true] {
            let file = kubeconfig(&dir, &api.url, cluster, user, is_json);
            let name = format!("kc-{at}-{is_json}");
            let subnet = format!("10.162.{}.1/24", 100 + 2 * at + usize::from(is_json));
            let done = run(&["register", "--subnet", &subnet, "--name", &name, "--kubeconfig", &file]);
            assert!(done.code == 0 && !format!("{done:?}").contains(ADMIN), "{cluster} {user}: {done:?}");
            assert!(api.node(&name).is_some());
        }
    }
    let refused = |cluster: &str, user: &str, says: &str| {
        let file = kubeconfig(&dir, &api.url, cluster, user, true);
        let done = run(&["register", "--subnet", "10.162.1.1/24", "-q", "--kubeconfig", &file]);
        assert_eq!(done.error(), (2, format!("kboot register: {file}: {says}").as_str()));
    };
    refused(
        &trust,
        "\"exec\": {\"command\": \"aws\"}",
        "its user gets credentials from a plugin (exec): kboot runs none; give --token-file",
    );
    refused(&trust, &format!("{token}, \"as\": \"x\""), "its user acts as another (as): kboot does not");
    refused(
        &format!("{trust}, \"insecure-skip-tls-verify\": true"),
        &token,
        "its cluster has a CA and insecure-skip-tls-verify: take one of them out",
    );
    let file =
        kubeconfig(&dir, &api.url, &format!("{trust}, \"tls-server-name\": \"wrong.example\""), &token, true);
    let done = run(&["register", "--subnet", "10.162.1.1/24", "-q", "--kubeconfig", &file]);
    assert_eq!(
        done.error(),
        (
            1,
            format!("kboot register: {}: the server's certificate is not for wrong.example", api.url)
                .as_str()
        )
    );
    let done = run(&[
        "register",
        "--subnet",
        "10.162.1.1/24",
        "--kubeconfig",
        &file,
        "--context",
        "else",
        "--timeout",
        "0",
    ]);
    assert!(done.stderr.contains("API server https://192.0.2.1:443"), "{done:?}");
}

/// Where a kubeconfig has both, kubectl and kboot go by the same one.
#[test]
fn a_token_and_a_token_file() {
    let Some(api) = shared() else { return };
    let dir = Scratch::new();
    let good = dir.file("good", ADMIN);
    let bad = dir.file("bad", "wrong-token-0123456789");
    let trust = format!("\"certificate-authority\": \"{}\"", api.cacert);
    let mut outcomes = Vec::new();
    for (token, file) in [(ADMIN, bad.as_str()), ("wrong", &good), (ADMIN, "/nowhere"), ("wrong", &bad)] {
        let user = format!("\"token\": \"{token}\", \"tokenFile\": \"{file}\"");
        let config = kubeconfig(&dir, &api.url, &trust, &user, true);
        let kubectl = crate::support::need("kubectl", "kubectl").unwrap();
        let mut command = std::process::Command::new(kubectl);
        command.env("HOME", "/nowhere").args(["--kubeconfig", &config, "get", "--raw", "/api/v1/nodes"]);
        let theirs = crate::support::finish(&mut command).code == 0;
        let ours = run(&["register", "--subnet", "10.163.1.1/24", "--kubeconfig", &config, "--timeout", "0"]);
        assert_eq!(ours.code == 0, theirs, "{user}: {ours:?}");
        outcomes.push(theirs);
    }
    assert!(outcomes.contains(&true) && outcomes.contains(&false), "{outcomes:?}");
}

fn pinned(url: &str, hashes: &[&str], more: &[&str]) -> Done {
    let mut words = vec!["register", "--subnet", "10.160.1.1/24", "--server", url, "--timeout", "0", "-q"];
    words.extend(hashes.iter().flat_map(|h| ["--ca-hash", h]));
    run(&[&words[..], more].concat())
}

#[test]
fn a_ca_by_its_hash_in_the_handshake() {
    let Some(api) = shared() else { return };
    let dir = Scratch::new();
    let (leaf, ca) = (dir.path("leaf"), dir.path("ca"));
    shell("awk '/BEGIN/ {n++} {print > (n == 1 ? A : B)}' A=$2 B=$3 $1", &[&api.cacert, &leaf, &ca]);
    let (leaf, ca, wrong) = (hash_of(&leaf), hash_of(&ca), format!("sha256:{}", "5a".repeat(32)));
    let token = ["--token-file", api.token.as_str()];
    for hashes in [&[ca.as_str()][..], &[&leaf], &[&wrong, &ca]] {
        assert_eq!(pinned(&api.url, hashes, &token).error(), (0, ""));
    }
    let says = format!(
        "kboot register: {}: the server's CA is not the pinned one: {ca} instead of {wrong}",
        api.url
    );
    assert_eq!(pinned(&api.url, &[&wrong], &token).error(), (1, says.as_str()));
}

#[test]
fn a_pinned_ca_has_to_have_signed_and_names_and_dates_count() {
    let dir = Scratch::new();
    let token = dir.file("token", ADMIN);
    let [ca, crt, key] = certificates(&dir, "good", "IP:127.0.0.1", "9");
    let [other_ca, named_crt, named_key] = certificates(&dir, "named", "DNS:elsewhere.example", "9");
    let [old_ca, old_crt, old_key] = certificates(&dir, "old", "IP:127.0.0.1", "0");
    let chain = |name: &str, leaf: &str, ca: &str| {
        dir.file(name, [std::fs::read(leaf).unwrap(), std::fs::read(ca).unwrap()].concat())
    };
    let tls = |crt: &str, key: &str| serve(crt, key, |_, _| json("200 OK", "", CREATED));
    let refused = |server: &crate::support::tls_server::TlsServer, ca: &str, says: &str| {
        let done = pinned(&server.url, &[&hash_of(ca)], &["--token-file", &token]);
        assert_eq!(done.error(), (1, format!("kboot register: {}: {says}", server.url).as_str()));
        assert!(server.requests.lock().unwrap().is_empty(), "nothing is sent");
    };
    refused(
        &tls(&crt, &key),
        &ca,
        &format!(
            "the server sends its own certificate without its CA, and its own is not the pinned one ({}): give the CA with --cacert, or a bootstrap token",
            hash_of(&ca)
        ),
    );
    // The pinned CA is shown, but another one signed.
    refused(
        &tls(&chain("mixed", &crt, &other_ca), &key),
        &other_ca,
        "the server's certificate is signed by nobody we trust: give its CA with --cacert",
    );
    refused(
        &tls(&chain("named.chain", &named_crt, &other_ca), &named_key),
        &other_ca,
        "the server's certificate is not for 127.0.0.1",
    );
    let end = shell("date -d \"$(openssl x509 -in $1 -noout -enddate | cut -d= -f2)\" +%s", &[&old_crt]);
    crate::support::until("it is over", || tool("date", &["+%s"]) > end);
    refused(
        &tls(&chain("old.chain", &old_crt, &old_ca), &old_key),
        &old_ca,
        "the server's certificate has expired, by this host's clock",
    );
    let good = tls(&chain("good.chain", &crt, &ca), &key);
    pinned(&good.url, &[&hash_of(&ca)], &["--token-file", &token]);
    let requests = good.requests.lock().unwrap();
    assert!(requests[0].contains(&format!("authorization: Bearer {ADMIN}\r\n")), "{requests:?}");
}

/// Gone from the real one in 1.19.
#[test]
fn basic_authentication_at_a_stand_in() {
    let dir = Scratch::new();
    let [ca, crt, key] = certificates(&dir, "basic", "IP:127.0.0.1", "9");
    let server = serve(&crt, &key, |_, _| json("200 OK", "", CREATED));
    let password = dir.file("password", "pa:ss wörd\n");
    let trust = format!("\"certificate-authority\": \"{ca}\"");
    let file =
        kubeconfig(&dir, &server.url, &trust, "\"username\": \"me\", \"password\": \"pa:ss wörd\"", true);
    let words = ["register", "--subnet", "10.160.1.1/24", "--dry-run", "-v", "-v"];
    for more in [
        &["--server", &server.url, "--cacert", &ca, "--user", "me", "--password-file", &password][..],
        &["--kubeconfig", &file],
    ] {
        for form in [&[][..], &["--json"]] {
            let done = run(&[&words[..], more, form].concat());
            assert_eq!(done.code, 0, "{done:?}");
            for secret in ["wörd", "bWU6", "Basic "] {
                assert!(!format!("{}{}", done.stdout, done.stderr).contains(secret), "{secret}: {done:?}");
            }
        }
    }
    let requests = server.requests.lock().unwrap();
    // printf 'me:pa:ss wörd' | base64
    let all = requests.iter().all(|r| r.contains("authorization: Basic bWU6cGE6c3Mgd8O2cmQ=\r\n"));
    assert!(requests.len() == 4 && all, "{requests:?}");
}

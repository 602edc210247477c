//! etcd-config by the v3 gateway of older etcds, as a user of the v3 API, past proxies.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::support::between::{self, is_write, post};
use crate::support::etcd::{Etcd, node2, node3};
use crate::support::{Done, Scratch, finish, kboot, run, tool, until};

const KEY: &str = "/coreos.com/network/config";
const CONFIG: &str = r#"{"Network":"10.6.0.0/16","Backend":{"Type":"vxlan"}}"#;

fn write(endpoint: &str, more: &[&str]) -> Done {
    let args = ["etcd-config", "--endpoints", endpoint, "--network", "10.6.0.0/16", "--backend", "vxlan"];
    run(&[&args[..], more].concat())
}

/// etcd 3.3 has its gateway at /v3beta, those before at /v3alpha; a real one is behind either here.
#[test]
fn the_gateway_is_found_where_older_etcds_have_it() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    let not_found = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 19\r\nConnection: close\r\n\r\n404 page not found\n";
    for only in ["/v3beta", "/v3alpha"] {
        let front = between::start(&etcd.url, move |request, pass| {
            let path = request.split(' ').nth(1).unwrap();
            match path.strip_prefix(only) {
                Some(rest) => pass(&request.replacen(path, &format!("/v3{rest}"), 1)),
                None if path.starts_with("/v3") => Some(not_found.to_owned()),
                None => pass(request),
            }
        });
        let done = write(&front, &["--prefix", only, "--reserve", "10.6.7.0/24=192.0.2.7"]);
        assert!(done.stderr.contains("in v2 and v3: ") && done.code == 0, "{only}: {done:?}");
        assert!(done.stderr.ends_with("(4 changed, 0 already so)\n"), "{only}: {done:?}");
        assert_eq!(node3(&etcd.url, &format!("{only}/config")).unwrap()["value"], CONFIG);
        assert_eq!(node2(&etcd.url, &format!("{only}/config")).unwrap()["value"], CONFIG);
        let shown = run(&["etcd-config", "--endpoints", &front, "--prefix", only, "--show", "--json"]);
        assert_eq!(shown.json()["found"]["v3"]["leases"][0]["subnet"], "10.6.7.0/24", "{only}");
    }
    // None at all: v2 alone is served then.
    let front = between::start(&etcd.url, move |request, pass| {
        if request.contains(" /v3") { Some(not_found.to_owned()) } else { pass(request) }
    });
    let done = write(&front, &["--prefix", "/v2-alone"]);
    assert!(done.stderr.contains("in v2: ") && done.code == 0, "{done:?}");
    assert_eq!(
        write(&front, &["--api", "v3"]).error(),
        (
            1,
            format!("kboot etcd-config: etcd at {front}: serves no v3 API by HTTP (--enable-grpc-gateway)")
                .as_str()
        )
    );
}

/// Switches the users of the v3 API on: root with the password s3cret.
fn with_users(ctl: impl Fn(&[&str])) {
    ctl(&["user", "add", "root:s3cret"]);
    ctl(&["user", "grant-role", "root", "root"]);
    ctl(&["auth", "enable"]);
}

#[test]
fn a_wrong_password_is_told_as_such_and_at_once() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    with_users(|args| {
        // Up to 3.4, the role root is there only once users are on.
        assert!(etcd.ctl(3, args).is_some() || args[1] == "grant-role", "{args:?}");
    });
    let dir = Scratch::new();
    let user = ["--user", "root", "--password-file", &dir.file("wrong", "nope\n"), "--api", "v3"];
    let started = std::time::Instant::now();
    assert_eq!(
        write(&etcd.url, &user).error(),
        (
            1,
            format!(
                "kboot etcd-config: etcd at {}: HTTP status 400: etcdserver: authentication failed, invalid user ID or password (--user, --password-file)",
                etcd.url
            )
            .as_str()
        )
    );
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
    let done = write(&etcd.url, &["--api", "v3"]);
    assert!(done.code == 1 && done.stderr.ends_with(": --user, --password-file?\n"), "{done:?}");
}

#[test]
fn a_token_that_ends_amid_a_run_is_had_anew_once() {
    let dir = Scratch::new();
    let key = dir.path("jwt.key");
    let public = dir.path("jwt.pub");
    tool("openssl", &["genrsa", "-out", &key, "2048"]);
    tool("openssl", &["rsa", "-in", &key, "-pubout", "-out", &public]);
    let jwt = format!("--auth-token=jwt,pub-key={public},priv-key={key},sign-method=RS256,ttl=2s");
    let Some(etcd) = Etcd::start(&[&jwt]) else { return };
    with_users(|args| assert!(etcd.ctl(3, args).is_some() || args[1] == "grant-role", "{args:?}"));
    let (logins, ended) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(None)));
    let (counted, seen) = (logins.clone(), ended.clone());
    let front = between::start(&etcd.url, move |request, pass| {
        if request.contains("/auth/authenticate ") {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        let mut seen = seen.lock().unwrap();
        if is_write(request, "v3") && seen.is_none() {
            // The write is held back until etcd takes its token no more.
            let header = request.lines().find(|l| l.to_lowercase().starts_with("authorization: ")).unwrap();
            let read = post("/v3/kv/range", &format!("{header}\r\n"), r#"{"key":"Lw=="}"#);
            until("the token has ended", || {
                let answer = pass(&read).unwrap();
                let status = answer.split(' ').nth(1).unwrap().to_owned();
                *seen = Some(status.clone());
                status != "200"
            });
        }
        drop(seen);
        pass(request)
    });
    let user = ["--user", "root", "--password-file", &dir.file("password", "s3cret"), "--api", "v3"];
    let done = write(&front, &user);
    assert!(done.stderr.ends_with("(1 changed, 0 already so)\n") && done.code == 0, "{done:?}");
    assert_eq!(ended.lock().unwrap().as_deref(), Some("401"), "{done:?}");
    assert_eq!(logins.load(Ordering::Relaxed), 2);
    let held = etcd.ctl(3, &["--user", "root:s3cret", "get", "--print-value-only", KEY]);
    assert_eq!(held, Some(format!("{CONFIG}\n")));
}

/// A certificate authority in a directory, and what it signs.
struct Ca(Scratch);

impl Ca {
    fn new() -> Self {
        let dir = Scratch::new();
        let (crt, key) = (dir.path("ca.crt"), dir.path("ca.key"));
        let new = "req -x509 -newkey rsa:2048 -nodes -subj /CN=ca -days 2 -keyout";
        let args: Vec<&str> = new.split(' ').chain([&*key, "-out", &crt]).collect();
        tool("openssl", &args);
        dir.file("ext", "subjectAltName=IP:127.0.0.1\n");
        Self(dir)
    }

    /// The paths of a certificate and its key.
    fn sign(&self, name: &str, subject: &str) -> [String; 2] {
        let path = |end: &str| self.0.path(&format!("{name}.{end}"));
        let (crt, key, csr) = (path("crt"), path("key"), path("csr"));
        let (ca, ca_key, ext) = (self.0.path("ca.crt"), self.0.path("ca.key"), self.0.path("ext"));
        tool(
            "openssl",
            &["req", "-newkey", "rsa:2048", "-nodes", "-subj", subject, "-keyout", &key, "-out", &csr],
        );
        let from = ["x509", "-req", "-in", &csr, "-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial"];
        tool("openssl", &[&from[..], &["-days", "2", "-extfile", &ext, "-out", &crt]].concat());
        [crt, key]
    }
}

#[test]
fn while_users_are_on_a_client_certificate_may_have_no_cn() {
    let ca = Ca::new();
    let authority = ca.0.path("ca.crt");
    // etcd's gateway is a client of its own etcd, with this certificate.
    let [crt, key] = ca.sign("server", "/O=etcd");
    let [named, named_key] = ca.sign("named", "/CN=root");
    let [nameless, nameless_key] = ca.sign("nameless", "/O=hosts");
    let tls = [("--cert-file", &crt), ("--key-file", &key), ("--trusted-ca-file", &authority)];
    let extra: Vec<String> = tls.iter().map(|(name, path)| format!("{name}={path}")).collect();
    let extra: Vec<&str> = extra.iter().map(String::as_str).chain(["--client-cert-auth"]).collect();
    let Some(etcd) = Etcd::start(&extra) else { return };
    let ctl = |args: &[&str]| {
        let tls = ["--cacert", &authority, "--cert", &nameless, "--key", &nameless_key];
        etcd.ctl(3, &[&tls[..], args].concat())
    };
    until("etcd has a leader", || ctl(&["put", "/ready", "1"]).is_some());
    with_users(|args| assert!(ctl(args).is_some() || args[1] == "grant-role", "{args:?}"));
    let dir = Scratch::new();
    let password = dir.file("password", "s3cret");
    let user = ["--user", "root", "--password-file", &password];
    let by_name = ["--cacert", &authority, "--cert", &named, "--key", &named_key];
    let by_none = ["--cacert", &authority, "--cert", &nameless, "--key", &nameless_key];
    for more in [&[][..], &user] {
        let done = write(&etcd.url, &[&by_name[..], more].concat());
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.stderr.contains("CommonName of client"), "{done:?}");
        assert!(
            done.stderr.contains("takes no client certificate with a CN: one without, and --user"),
            "{done:?}"
        );
    }
    let done = write(&etcd.url, &[&by_none[..], &user].concat());
    assert!(done.stderr.ends_with("(1 changed, 0 already so)\n") && done.code == 0, "{done:?}");
    let held = ctl(&["--user", "root:s3cret", "get", "--print-value-only", KEY]);
    assert_eq!(held, Some(format!("{CONFIG}\n")));
}

#[test]
fn no_proxy_of_the_environment_is_used() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let args = ["etcd-config", "--endpoints", &etcd.url, "--network", "10.6.0.0/16", "--backend", "vxlan"];
    let mut command = kboot(&[&args[..], &["--timeout", "20s"]].concat());
    for name in ["http", "https", "all"] {
        let name = format!("{name}_proxy");
        command.env(name.to_uppercase(), &url).env(name, &url);
    }
    let done = finish(&mut command);
    assert!(done.stderr.ends_with("(2 changed, 0 already so)\n") && done.code == 0, "{done:?}");
    assert_eq!(proxy.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(node3(&etcd.url, KEY).unwrap()["value"], json!(CONFIG));
}

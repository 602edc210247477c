//! etcd-config against a real etcd; etcdctl reads what was written.

use std::process::Command;

use crate::support::etcd::Etcd;
use crate::support::{Scratch, finish, free_port, kboot, run, tool, until};

const SEED: &str = r#"{
    "Network": "10.10.0.0/16", "SubnetLen": 24, "SubnetMin": "10.10.10.0", "SubnetMax": "10.10.255.0",
    "Backend": { "Type": "udp", "Port": 7890 }
}
"#;
const KEY: &str = "/coreos.com/network/config";

#[test]
fn both_apis_get_the_file_byte_by_byte_and_a_second_run_confirms() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    let dir = Scratch::new();
    let file = dir.file("flannel.json", SEED);
    let args = ["etcd-config", "--endpoints", &etcd.url, "--file", &file, "--service-cidr", "10.10.1.0/24"];
    let dry = run(&[&args[..], &["--dry-run"]].concat());
    assert_eq!(dry.ok().lines().count(), 2);
    assert_eq!((etcd.get2(KEY), etcd.get3(KEY)), (None, None));
    let done = run(&args);
    assert!(
        done.stderr.contains("in v2 and v3: subnets 10.10.10.0-10.10.255.0 by /24, for 246 hosts, udp (2 changed, 0 already so)"),
        "{done:?}"
    );
    assert_eq!(
        (etcd.get2(KEY).as_deref(), etcd.get3(KEY).as_deref()),
        (Some(SEED.trim_end()), Some(SEED.trim_end()))
    );
    assert!(run(&args).stderr.ends_with("(0 changed, 2 already so)\n"));
    // The same in other words, from options.
    let same = [
        "etcd-config",
        "--endpoints",
        &etcd.url,
        "--network",
        "10.10.0.0/16",
        "--subnet-len",
        "24",
        "--subnet-min",
        "10.10.10.0",
        "--subnet-max",
        "10.10.255.0",
        "--backend",
        "udp",
        "--backend-option",
        "Port=7890",
    ];
    assert!(run(&same).stderr.ends_with("(0 changed, 2 already so)\n"));
    let shown = run(&["etcd-config", "--endpoints", &etcd.url, "--show"]);
    assert!(
        shown.ok().contains("v2 /coreos.com/network/config {") && shown.stdout.contains("v3 /coreos.com"),
        "{shown:?}"
    );
}

#[test]
fn another_config_is_a_conflict_until_replace() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    let old = r#"{"Network":"10.4.0.0/16"}"#;
    etcd.ctl(3, &["put", "/own/net/config", old]).unwrap();
    let args = [
        "etcd-config",
        "--endpoints",
        &etcd.url,
        "--prefix",
        "//own//./net/",
        "--network",
        "10.5.0.0/16",
        "--backend",
        "vxlan",
    ];
    let done = run(&args);
    assert_eq!(
        done.error(),
        (
            3,
            "kboot etcd-config: /own/net/config (v3) holds another config: Network is 10.4.0.0/16, wanted is 10.5.0.0/16; SubnetMin is 10.4.1.0, wanted is 10.5.1.0; SubnetMax is 10.4.255.0, wanted is 10.5.255.0; Backend.Type is udp, wanted is vxlan: --replace replaces it"
        )
    );
    assert_eq!(
        (etcd.get2("/own/net/config"), etcd.get3("/own/net/config").as_deref()),
        (None, Some(old)),
        "nothing was touched"
    );
    let done = run(&[&args[..], &["--replace"]].concat());
    assert!(done.stderr.contains("(2 changed, 0 already so)"), "{done:?}");
    let new = r#"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}"#;
    assert_eq!(
        (etcd.get2("/own/net/config").as_deref(), etcd.get3("/own/net/config").as_deref()),
        (Some(new), Some(new))
    );
}

#[test]
fn one_api_alone_is_written_when_asked_or_when_there_is_no_other() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    let args = ["etcd-config", "--endpoints", &etcd.url, "--network", "10.6.0.0/16", "--backend", "udp"];
    let done = run(&[&args[..], &["--api", "v2"]].concat());
    assert_eq!(
        done.error(),
        (
            1,
            format!(
                "kboot etcd-config: etcd at {}: serves no v2 API: start it with --enable-v2 (etcd 3.4, 3.5)",
                etcd.url
            )
            .as_str()
        )
    );
    assert_eq!(etcd.get3(KEY), None);
    assert!(
        run(&args)
            .stderr
            .contains("in v3: subnets 10.6.1.0-10.6.255.0 by /24, for 255 hosts, udp (1 changed")
    );
    let Some(both) = Etcd::start(&["--enable-v2"]) else { return };
    let done = run(&[
        "etcd-config",
        "--endpoints",
        &both.url,
        "--network",
        "10.6.0.0/16",
        "--backend",
        "udp",
        "--api",
        "v2",
    ]);
    assert!(done.stderr.contains("in v2: "), "{done:?}");
    assert_eq!((both.get2(KEY).is_some(), both.get3(KEY)), (true, None));
}

#[test]
fn a_bad_config_is_2_and_etcd_is_untouched() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    let dir = Scratch::new();
    for (content, says) in [
        ("{\"Network\": \"10.10.0.0/16\",", "is not JSON: EOF while parsing a value at line 1 column 27"),
        ("", "is not JSON: EOF while parsing a value at line 1 column 0"),
        ("[1]", "is JSON, but no object with a Network in it"),
        (
            "{\"Network\": \"10.10.0.0/33\"}",
            "Network: \"10.10.0.0/33\" the prefix length is not a number from 0 to 32",
        ),
        (
            "{\"Network\": \"10.10.0.0/16\", \"SubnetMin\": \"10.11.0.0\"}",
            "SubnetMin: 10.11.0.0 is not in Network 10.10.0.0/16",
        ),
    ] {
        let file = dir.file("bad.json", content);
        let done = run(&["etcd-config", "--endpoints", &etcd.url, "--file", &file]);
        assert_eq!(done.error(), (2, format!("kboot etcd-config: {file}: {says}").as_str()));
    }
    let done = run(&[
        "etcd-config",
        "--endpoints",
        &etcd.url,
        "--network",
        "10.10.0.0/16",
        "--service-cidr",
        "10.10.7.0/24",
    ]);
    assert_eq!(
        done.error(),
        (
            2,
            "kboot etcd-config: --service-cidr 10.10.7.0/24: hosts would get subnets of it (10.10.1.0-10.10.255.0 by /24): another range for the services, or move SubnetMin or SubnetMax"
        )
    );
    assert_eq!((etcd.get2(KEY), etcd.get3(KEY)), (None, None));
}

#[test]
fn a_dead_endpoint_is_passed_over_and_none_at_all_is_75() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    let dead = format!("http://127.0.0.1:{}", free_port());
    let done = run(&[
        "etcd-config",
        "--endpoints",
        &format!("{dead},{}", etcd.url),
        "--network",
        "10.6.0.0/16",
        "--backend",
        "udp",
    ]);
    assert_eq!(done.code, 0, "{done:?}");
    let done = run(&[
        "etcd-config",
        "--endpoints",
        &dead,
        "--network",
        "10.6.0.0/16",
        "--backend",
        "udp",
        "--timeout",
        "200ms",
    ]);
    let last = done.stderr.lines().last().unwrap();
    assert_eq!(
        (done.code, last),
        (75, format!("kboot etcd-config: etcd at {dead}: not within 200ms: Connection refused").as_str())
    );
    let mut command = kboot(&["etcd-config", "--network", "10.6.0.0/16", "--backend", "udp"]);
    assert!(finish(command.env("ETCDCTL_ENDPOINTS", &etcd.url)).stderr.contains("(0 changed, 2 already so)"));
}

#[test]
fn it_waits_for_an_etcd_that_comes_later() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    // A socket that is bound later, in front of the real one: as late as kboot says that it waits.
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let dir = Scratch::new();
    let log = dir.path("log");
    let mut command = kboot(&[
        "etcd-config",
        "--endpoints",
        &url,
        "--network",
        "10.6.0.0/16",
        "--backend",
        "udp",
        "--timeout",
        "30s",
    ]);
    let mut child = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let said = || std::fs::read_to_string(&log).unwrap();
    until("kboot waits", || said().contains("waiting for etcd at"));
    let target = etcd.url.trim_start_matches("http://").to_owned();
    forward(port, target);
    assert!(child.wait().unwrap().success(), "{}", said());
    assert!(etcd.get3(KEY).is_some());
}

/// Forwards connections of a port, each in threads of its own.
fn forward(port: u16, target: String) {
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let peer = std::net::TcpStream::connect(&target).unwrap();
            for (mut from, mut to) in
                [(stream.try_clone().unwrap(), peer.try_clone().unwrap()), (peer, stream)]
            {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
}

#[test]
fn tls_with_ca_and_client_certificate() {
    let dir = Scratch::new();
    let [ca, ca_key, crt, key, csr] = ["ca.crt", "ca.key", "x.crt", "x.key", "x.csr"].map(|n| dir.path(n));
    tool(
        "openssl",
        &[
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", &ca_key, "-out", &ca, "-subj",
            "/CN=ca", "-days", "2",
        ],
    );
    tool(
        "openssl",
        &["req", "-newkey", "rsa:2048", "-nodes", "-keyout", &key, "-out", &csr, "-subj", "/O=x"],
    );
    let ext = dir.file("ext", "subjectAltName=IP:127.0.0.1\n");
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
            "-extfile",
            &ext,
            "-out",
            &crt,
        ],
    );
    let extra =
        [format!("--cert-file={crt}"), format!("--key-file={key}"), format!("--trusted-ca-file={ca}")];
    let mut extra: Vec<&str> = extra.iter().map(String::as_str).collect();
    extra.extend(["--enable-v2", "--client-cert-auth"]);
    let Some(etcd) = Etcd::start(&extra) else { return };
    let args = [
        "etcd-config",
        "--endpoints",
        &etcd.url,
        "--network",
        "10.6.0.0/16",
        "--backend",
        "udp",
        "--cacert",
        &ca,
    ];
    let done = run(&[&args[..], &["--timeout", "0"]].concat());
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.stderr.contains("client certificate"), "{done:?}");
    let done = run(&[&args[..], &["--cert", &crt, "--key", &key]].concat());
    assert!(done.stderr.contains("(2 changed, 0 already so)"), "{done:?}");
    let mut etcdctl = Command::new("etcdctl");
    etcdctl.env("ETCDCTL_API", "3").args([
        "--endpoints",
        &etcd.url,
        "--cacert",
        &ca,
        "--cert",
        &crt,
        "--key",
        &key,
    ]);
    assert!(finish(etcdctl.args(["get", KEY])).ok().contains("10.6.0.0/16"));
}

#[test]
fn users_of_both_apis() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    let dir = Scratch::new();
    let password = dir.file("password", "s3cret\n");
    let wrong = dir.file("wrong", "nope\n");
    etcd.ctl(3, &["user", "add", "root:s3cret"]).unwrap();
    etcd.ctl(3, &["user", "grant-role", "root", "root"]);
    etcd.ctl(3, &["auth", "enable"]).unwrap();
    let args = [
        "etcd-config",
        "--endpoints",
        &etcd.url,
        "--network",
        "10.6.0.0/16",
        "--backend",
        "udp",
        "--api",
        "v3",
    ];
    assert_eq!(run(&args).code, 1);
    let done = run(&[&args[..], &["--user", "root", "--password-file", &wrong]].concat());
    assert_eq!(done.code, 1, "{done:?}");
    assert!(!done.stderr.contains("nope"), "{done:?}");
    let done = run(&[&args[..], &["--user", "root", "--password-file", &password, "-vv"]].concat());
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!done.stderr.contains("s3cret"), "{done:?}");
    let stored = etcd.ctl(3, &["--user", "root:s3cret", "get", "--print-value-only", KEY]).unwrap();
    assert!(stored.contains("10.6.0.0/16"));
}

#[test]
fn a_secret_of_the_backend_is_nowhere_shown() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    let dir = Scratch::new();
    let psk = "s3cret".repeat(16);
    let config =
        |n: u8| format!(r#"{{"Network":"10.{n}.0.0/16","Backend":{{"Type":"ipsec","PSK":"{psk}"}}}}"#);
    let call = |n: u8, more: &[&str]| {
        let file = dir.file("ipsec.json", config(n));
        run(&[&["etcd-config", "--endpoints", &etcd.url, "--file", &file, "-vv"], more].concat())
    };
    for done in
        [call(6, &["--dry-run"]), call(6, &[]), call(7, &[]), call(7, &["--json"]), call(7, &["--replace"])]
    {
        assert!(!done.stderr.contains("s3cret") && !done.stdout.contains("s3cret"), "{done:?}");
    }
    assert_eq!(etcd.get3(KEY), Some(config(7)));
    let done = run(&[
        "etcd-config",
        "--network",
        "10.6.0.0/16",
        "--backend",
        "ipsec",
        "--backend-option",
        "PSK=s3cret",
    ]);
    assert_eq!(
        done.error(),
        (2, "kboot etcd-config: --backend-option PSK: a secret is no option's: give it with --file")
    );
}

/// One that accepts and is silent must leave the others their turn.
#[test]
fn a_hanging_endpoint_does_not_use_up_the_deadline() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let first = format!("http://{}", hanging.local_addr().unwrap());
    let done = run(&[
        "etcd-config",
        "--endpoints",
        &format!("{first},{}", etcd.url),
        "--network",
        "10.6.0.0/16",
        "--timeout",
        "10s",
    ]);
    assert!(done.stderr.contains("(2 changed, 0 already so)"), "{done:?}");
}

#[test]
fn a_user_of_the_v2_api_alone_is_no_trouble_to_v3() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    let dir = Scratch::new();
    let password = dir.file("password", "s3cret");
    etcd.ctl(2, &["user", "add", "root:s3cret"]).unwrap();
    etcd.ctl(2, &["auth", "enable"]).unwrap();
    let done = run(&[
        "etcd-config",
        "--endpoints",
        &etcd.url,
        "--network",
        "10.6.0.0/16",
        "--user",
        "root",
        "--password-file",
        &password,
    ]);
    assert!(
        done.stderr.contains("in v2 and v3: ") && done.stderr.contains("(2 changed, 0 already so)"),
        "{done:?}"
    );
}

#[test]
fn stdin_is_read_until_the_deadline() {
    let mut command = kboot(&["etcd-config", "--file", "-", "--timeout", "300ms"]);
    let child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    let held_open = child.stdin.take();
    let done = crate::support::collect(child);
    drop(held_open);
    assert_eq!(done.error(), (75, "kboot etcd-config: stdin: not at its end within 300ms"));
}

/// A config that would go away by itself is no config: flannel would have none a minute later.
#[test]
fn a_config_that_ends_is_kept_for_good() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    let text = r#"{"Network":"10.6.0.0/16","Backend":{"Type":"udp"}}"#;
    etcd.ctl(2, &["set", "--ttl", "600", KEY, text]).unwrap();
    let granted = etcd.ctl(3, &["lease", "grant", "600"]).unwrap();
    let lease = format!("--lease={}", granted.split(' ').nth(1).unwrap());
    etcd.ctl(3, &["put", &lease, KEY, text]).unwrap();
    let args = ["etcd-config", "--endpoints", &etcd.url, "--network", "10.6.0.0/16", "--backend", "udp"];
    assert!(run(&args).stderr.ends_with("(2 changed, 0 already so)\n"));
    assert!(run(&args).stderr.ends_with("(0 changed, 2 already so)\n"));
    let v3 = etcd.ctl(3, &["get", "-w", "json", KEY]).unwrap();
    assert!(!v3.contains("\"lease\""), "{v3}");
    let v2 = etcd.ctl(2, &["-o", "extended", "get", KEY]).unwrap();
    assert!(v2.contains("TTL: 0"), "{v2}");
}

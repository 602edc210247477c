//! kubelet-launch: the line for each era, and the real kubelet.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::host::Host;
use crate::support::{Scratch, binary, finish, kboot, need, root_user, run};

fn script(dir: &Scratch, text: &str) -> String {
    let path = dir.file("kubelet", format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn the_line_of_2015() {
    let args = [
        "kubelet-launch",
        "--server",
        "http://192.0.2.1:8080",
        "--subnet",
        "10.20.7.1/24",
        "--dry-run",
        "--kubelet-version",
    ];
    for version in ["1.0.3", "v1.1.8"] {
        assert_eq!(
            run(&[&args[..], &[version]].concat()).ok(),
            "kubelet --config=/etc/kubernetes/manifests --configure-cbr0=false --register-node=false \
             --api-servers=192.0.2.1:8080 --address=0.0.0.0 --hostname-override=10.20.7.1 --read-only-port=0 \
             --cadvisor-port=0 --allow-privileged=true\n"
        );
    }
}

#[test]
fn it_asks_the_kubelet_and_becomes_it() {
    // A stand-in kubelet that shows how it was called.
    let dir = Scratch::new();
    let kubelet = script(
        &dir,
        "[ \"$1\" = --version ] && { echo Kubernetes v1.3.10-beta.0; exit 0; }\necho \"$@\"; exit 5",
    );
    let args = [
        "kubelet-launch",
        "--kubelet",
        &kubelet,
        "--server",
        "192.0.2.1:8080",
        "--subnet",
        "10.20.7.0/24",
        "--ignore",
        "all",
    ];
    let done = run(&[&args[..], &["--", "--v=4", "--x y"]].concat());
    assert_eq!(done.code, 5, "{done:?}");
    assert!(
        done.stdout.starts_with("--config=")
            && done.stdout.ends_with(" --cadvisor-port=0 --allow-privileged=true --v=4 --x y\n"),
        "{done:?}"
    );
    let json = run(&[&args[..], &["--dry-run", "--json"]].concat()).json();
    assert_eq!(
        (&json["found"]["kubeletVersion"], &json["planned"][0]["kind"]),
        (&"1.3".into(), &"exec".into())
    );
}

#[test]
fn a_kubelet_that_cannot_be_asked() {
    let dir = Scratch::new();
    let args = |kubelet: &str| {
        run(&[
            "kubelet-launch",
            "--kubelet",
            kubelet,
            "--server",
            "192.0.2.1:8080",
            "--subnet",
            "10.20.7.1/24",
            "--timeout",
            "200ms",
        ])
    };
    let odd = script(&dir, "echo Kubernetes v0.0.0-master+faecb196815e2");
    assert!(
        args(&odd)
            .stderr
            .ends_with("says \"Kubernetes v0.0.0-master+faecb196815e2\": give --kubelet-version\n")
    );
    let slow = script(&dir, "exec sleep 100");
    let done = args(&slow);
    assert!(done.code == 75 && done.stderr.contains("--version: no answer within"), "{done:?}");
    let detached = script(&dir, "echo Kubernetes v1.1.0; exec >&-; exec sleep 100");
    assert_eq!(args(&detached).code, 75);
    assert_eq!(args("/no/kubelet").code, 127);
    assert_eq!(args(&dir.file("plain", "")).code, 126);
}

/// As distributions build it: the version is a placeholder, the help is the real one's, 70 KB of it.
#[test]
fn a_kubelet_without_a_version_is_known_by_its_help() {
    let Some(real) = need("kubelet", "kubelet").filter(|_| root_user()) else { return };
    let (host, dir) = (Host::new(), Scratch::new());
    let placeholder = "Kubernetes v0.0.0-master+faecb196815e2";
    let lines =
        format!("[ \"$1\" = --version ] && echo {placeholder} && exit\nexec {} \"$@\"", real.display());
    let kubelet = script(&dir, &lines);
    let args =
        ["kubelet-launch", "--kubelet", &kubelet, "--server", "127.0.0.1:9", "--subnet", "10.44.7.1/24"];
    let done = host.kboot(&[&args[..], &["--dry-run", "--json"]].concat());
    assert_eq!(done.json()["found"]["kubeletVersion"], "1.20", "{done:?}");
    let says = format!("says \"{placeholder}\": by the flags of its --help it is 1.20");
    assert!(done.stderr.contains(&says), "{done:?}");
    assert_eq!(host.sh("ls /run"), "", "a dry run leaves no record");
}

#[test]
fn a_server_alone_is_enough_for_plain_http_whatever_the_version() {
    if !root_user() {
        return;
    }
    let host = Host::new();
    let dir = Scratch::new();
    let kubelet = script(&dir, "echo \"$@\"");
    let args = [
        "kubelet-launch",
        "--kubelet",
        &kubelet,
        "--kubelet-version",
        "1.20.2",
        "--server",
        "http://192.0.2.1:8080",
        "--subnet",
        "10.20.7.1/24",
        "--ignore",
        "all",
    ];
    let done = host.kboot(&args);
    assert_eq!(
        done.ok(),
        "--config=/run/kboot/kubelet-config.json --register-node=false \
         --kubeconfig=/run/kboot/kubelet.kubeconfig --hostname-override=10.20.7.1\n"
    );
    assert!(host.sh("cat /run/kboot/kubelet.kubeconfig").contains("    server: http://192.0.2.1:8080\n"));
    let https = run(&[
        "kubelet-launch",
        "--kubelet-version",
        "1.20",
        "--server",
        "https://192.0.2.1",
        "--subnet",
        "10.20.7.1/24",
        "--dry-run",
    ]);
    assert!(https.code == 2 && https.stderr.contains("kubelet 1.20 needs --kubeconfig"), "{https:?}");
}

/// With one /etc/default/kboot for a join: before it nothing can start, after it its credentials are taken.
#[test]
fn over_https_the_credentials_of_a_join_are_taken() {
    if !root_user() {
        return;
    }
    let host = Host::new();
    host.sh("mkdir -p /etc/kubernetes && mount -t tmpfs tmpfs /etc/kubernetes");
    let launch = |version: &str, server: &str| {
        let mut command = host.command(
            binary(),
            &[
                "kubelet-launch",
                "--kubelet-version",
                version,
                "--subnet",
                "10.20.9.1/24",
                "--ignore",
                "all",
                "--dry-run",
            ],
        );
        finish(command.env("KBOOT_SERVER", server).env("KBOOT_BOOTSTRAP_TOKEN_FILE", "/nowhere"))
    };
    let server = "https://192.0.2.1:6443";
    let before = launch("1.20", server);
    assert!(
        before.code == 2 && before.stderr.contains("needs --kubeconfig with its credentials"),
        "{before:?}"
    );
    let path = "/etc/kubernetes/kubelet.conf";
    let config = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{server: '{server}'}}}}]\nusers: [{{name: u, user: {{token: t}}}}]\n"
    );
    fs::write(host.file(path), config).unwrap();
    let after = launch("1.20", server);
    assert!(after.ok().contains(&format!(" --kubeconfig={path} ")), "{after:?}");
    // Plain HTTP has none, and another server's are not good for this one.
    assert!(!launch("1.20", "http://192.0.2.1:8080").ok().contains(path));
    let other = launch("1.20", "https://192.0.2.9:6443");
    assert!(other.code == 2 && other.stderr.contains(&format!("the kubeconfig has {server}")), "{other:?}");
}

#[test]
fn the_real_kubelet_knows_every_flag() {
    let Some(kubelet) = need("kubelet", "kubelet").filter(|_| root_user()) else { return };
    let kubelet = kubelet.to_str().unwrap();
    let (host, dir) = (Host::new(), Scratch::new());
    host.sh("mount -t tmpfs tmpfs /var/lib");
    let config = dir.file("kubeconfig", "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: k, user: ''}}]\nclusters: [{name: k, cluster: {server: 'http://127.0.0.1:9'}}]\n");
    let options = [
        "--kubeconfig",
        &config,
        "--cluster-dns",
        "10.96.0.10",
        "--cluster-domain",
        "cluster.local",
        "--pause-image",
        "pause:1",
        "--runtime",
        "/run/x.sock",
        "--ignore",
        "all",
    ];
    let base = ["kubelet-launch", "--kubelet", kubelet, "--subnet", "10.20.7.1/24"];
    let dry = host.kboot(&[&base[..], &options, &["--dry-run", "--json"]].concat()).json();
    assert_eq!(dry["found"]["kubeletVersion"], "1.20", "asked the real one");
    // --help after the flags: cobra has parsed them all by then; an unknown one ends it before.
    let done = host.kboot(&[&base[..], &options, &["--", "--help"]].concat());
    assert!(done.code == 0 && done.stdout.contains("--pod-manifest-path"), "{}", done.stderr);
    let done = host.kboot(&[&base[..], &options, &["--", "--configure-cbr0=false", "--help"]].concat());
    let note = "--configure-cbr0 is left out for kubelet 1.20: ";
    assert!(done.code == 0 && done.stderr.contains(note), "{}", done.stderr);
    // And without --help, it starts with them: it gets as far as its own complaint about the socket.
    let root = dir.path("root");
    let mut command = host.command("timeout", &["20", crate::support::binary().to_str().unwrap()]);
    command.args(&base[..]).args(options).args(["--", "--root-dir", &root, "--fail-swap-on=false"]);
    let done = finish(&mut command);
    assert!(
        done.stderr.contains("Kubelet version: v1.20.2") || done.stderr.contains("failed to run Kubelet"),
        "{done:?}"
    );
    assert!(!done.stderr.contains("unknown flag"), "{}", done.stderr);
}

#[test]
fn the_name_comes_from_the_certificate_before_the_subnet() {
    let dir = Scratch::new();
    let (crt, key) = (dir.path("n.crt"), dir.path("n.key"));
    crate::support::tool(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            &key,
            "-out",
            &crt,
            "-subj",
            "/O=system:nodes/CN=system:node:worker-7.example",
            "-days",
            "2",
        ],
    );
    let config = dir.file("kubeconfig", "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\nclusters: [{name: k, cluster: {server: 'https://192.0.2.1:6443'}}]\nusers: [{name: u, user: {client-certificate: n.crt, client-key: n.key}}]\n");
    let line = |more: &[&str]| {
        run(&[&["kubelet-launch", "--kubelet-version", "1.20", "--kubeconfig", &config, "--dry-run"], more]
            .concat())
        .ok()
        .to_owned()
    };
    assert!(line(&[]).contains("--hostname-override=worker-7.example"), "no lease is needed then");
    assert!(line(&["--name", "other"]).contains("--hostname-override=other"));
    let done = finish(
        kboot(&["kubelet-launch", "--kubelet-version", "1.20", "--dry-run"]).env("KUBECONFIG", &config),
    );
    assert!(done.ok().contains(&format!("--kubeconfig={config}")), "{done:?}");
}

#[test]
fn a_server_that_the_kubelet_would_not_go_to_is_refused() {
    let dir = Scratch::new();
    let config = dir.file("kubeconfig", "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: ''}}]\nclusters: [{name: k, cluster: {server: 'https://192.0.2.9:6443'}}]\n");
    let args = [
        "kubelet-launch",
        "--subnet",
        "10.20.7.1/24",
        "--dry-run",
        "-q",
        "--kubeconfig",
        &config,
        "--server",
        "https://192.0.2.1:6443",
        "--kubelet-version",
    ];
    let done = run(&[&args[..], &["1.20"]].concat());
    assert_eq!(
        done.error(),
        (
            2,
            "kboot kubelet-launch: --server https://192.0.2.1:6443: the kubeconfig has https://192.0.2.9:6443, and kubelet 1.20 goes by that"
        )
    );
    assert!(
        run(&[&args[..], &["1.3"]].concat()).ok().contains("--api-servers=https://192.0.2.1:6443"),
        "there --api-servers wins"
    );
    let done = run(&[
        "kubelet-launch",
        "--subnet",
        "10.20.7.1/24",
        "--dry-run",
        "-q",
        "--server",
        "unix:///run/x.sock",
        "--kubelet-version",
        "1.1",
    ]);
    assert_eq!(done.code, 2);
    let newer = run(&[
        "kubelet-launch",
        "--subnet",
        "10.20.7.1/24",
        "--dry-run",
        "--server",
        "192.0.2.1:80",
        "--kubelet-version",
        "1.45",
    ]);
    assert!(
        newer.code == 0 && newer.stderr.contains("warning: kubelet 1.45 is newer than kboot knows"),
        "{newer:?}"
    );
}

/// Bad input leaves nothing behind, and neither does a kubelet that is not there.
#[test]
fn nothing_is_written_before_all_is_known_to_fit() {
    if !root_user() {
        return;
    }
    let host = Host::new();
    let base = [
        "kubelet-launch",
        "--server",
        "http://192.0.2.1:8080",
        "--subnet",
        "10.20.7.1/24",
        "--kubelet-version",
    ];
    let docker =
        host.kboot(&[&base[..], &["1.30", "--kubelet", "/bin/true", "--runtime", "docker"]].concat());
    let missing = host.kboot(&[&base[..], &["1.20", "--kubelet", "/no/kubelet"]].concat());
    assert_eq!((docker.code, missing.code), (2, 127));
    // But for the record that the second has failed.
    assert_eq!(host.sh("find /run -mindepth 1 ! -path '*/timeline*'"), "/run/kboot\n");
}

//! bridge --check beside a real dockerd and a real API server: what they take for this host's subnet.

use crate::support::docker::{self, Dockerd};
use crate::support::host::Host;
use crate::support::{Done, api, binary, way};

fn check(host: &Host, more: &[&str]) -> Done {
    host.kboot(&[&["bridge", "--check"], more].concat())
}

const OWN: &str = "none of the bridge's own";

#[test]
fn a_dockerd_on_another_bridge_with_another_mtu_or_of_an_earlier_lease() {
    let Some(host) = docker::host(false) else { return };
    assert_eq!(host.kboot(&["bridge"]).code, 0);
    let quiet = ["--iptables=false", "--ip-masq=false"];
    for (words, line) in [
        (
            &["--mtu=1422", "--bip=172.20.7.1/24"][..],
            "docker: its containers are on docker0, not on cbr0: see docker-flags\n",
        ),
        (
            &["--bridge=cbr0", "--mtu=1400"],
            "docker: its containers' MTU is 1400, wanted is 1422: see docker-flags\n",
        ),
        (&["--bridge=cbr0", "--mtu=1422"], ""),
    ] {
        let dockerd = Dockerd::start(&host, &[&quiet[..], words].concat());
        let done = check(&host, &[]);
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (if line.is_empty() { 0 } else { 3 }, line),
            "{done:?}"
        );
        assert!(line.is_empty() || done.stderr.contains(OWN), "{done:?}");
        drop(dockerd);
    }
    let dockerd = Dockerd::start(&host, &[&quiet[..], &["--bridge=cbr0", "--mtu=1422"]].concat());
    host.sh("sed -i s/10.4.9.1/10.4.8.1/ /run/flannel/subnet.env");
    assert_eq!(host.kboot(&["bridge"]).code, 0);
    let done = check(&host, &[]);
    let line = "docker: its subnet is 10.4.9.0/24, the lease's 10.4.8.0/24: see docker-flags, then restart dockerd\n";
    assert_eq!((done.code, done.stdout.as_str()), (3, line), "{done:?}");
    drop(dockerd);
    assert_eq!(check(&host, &[]).code, 0);
}

#[test]
fn a_node_with_another_pod_cidr() {
    let Some(api) = api::shared() else { return };
    let Some(host) = crate::support::ruleset::host() else { return };
    let Some(_way) = way::to(api, &host) else { return };
    let bridge = ["--subnet", "10.35.7.1/24", "--masquerade", "10.35.0.0/16", "--firewall", "nft"];
    assert_eq!(host.kboot(&[&["bridge"], &bridge[..]].concat()).code, 0);
    let config = api.scratch.file("check.conf", way::kubeconfig(api, &format!("tokenFile: '{}'", api.token)));
    let ask = |more: &[&str]| check(&host, &[&bridge[..], &["--kubeconfig", &config], more].concat());
    let told = |done: &Done, line: &str| {
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (if line.is_empty() { 0 } else { 3 }, line),
            "{done:?}"
        );
        assert!(line.is_empty() || done.stderr.contains(OWN), "{done:?}");
    };
    let node = ["--node", "check-me"];
    told(&ask(&node), "Node check-me: is not there: kboot register makes it\n");
    let file = api
        .scratch
        .file("bare.json", r#"{"kind":"Node","apiVersion":"v1","metadata":{"name":"check-bare"}}"#);
    api.kubectl(&["create", "-f", &file]).ok();
    told(&ask(&["--node", "check-bare"]), "Node check-bare: has no podCIDR\n");
    for (subnet, line) in [
        ("10.35.7.1/24", ""),
        ("10.35.8.1/24", "Node check-me: its podCIDR is 10.35.8.0/24, the lease's 10.35.7.0/24\n"),
        ("10.35.7.1/25", "Node check-me: its podCIDR is 10.35.7.0/25, the lease's 10.35.7.0/24\n"),
    ] {
        let register = ["register", "--name", "check-me", "--replace", "--subnet", subnet];
        assert_eq!(crate::support::run(&[&register[..], &api.admin()[..]].concat()).code, 0);
        told(&ask(&node), line);
    }
    // By the name that register gives it.
    let done = ask(&[]);
    told(&done, "Node 10.35.7.1: is not there: kboot register makes it\n");
}

#[test]
fn a_server_that_was_named_has_to_answer_and_another_need_not() {
    let Some(host) = crate::support::ruleset::host() else { return };
    let bridge = ["--subnet", "10.35.7.1/24", "--masquerade", "10.35.0.0/16", "--firewall", "nft"];
    assert_eq!(host.kboot(&[&["bridge"], &bridge[..]].concat()).code, 0);
    let started = std::time::Instant::now();
    let done = check(&host, &[&bridge[..], &["--server", "http://127.0.0.1:9", "--node", "n7"]].concat());
    let last = done.stderr.lines().last().unwrap();
    assert!(done.code == 75 && last.starts_with("kboot bridge: the Node cannot be compared: "), "{done:?}");
    assert!(started.elapsed() < std::time::Duration::from_secs(7));
    let master = host
        .command("env", &["KUBERNETES_MASTER=http://127.0.0.1:9"])
        .arg(binary())
        .arg("bridge")
        .arg("--check")
        .args(bridge)
        .output();
    let master = String::from_utf8(master.unwrap().stderr).unwrap();
    assert!(
        master.contains("warning: the Node is not compared: ") && master.contains("as wanted"),
        "{master}"
    );
    // Nobody named one: nothing is said of any.
    let done = check(&host, &bridge);
    assert!(done.code == 0 && !done.stderr.contains("API server"), "{done:?}");
}

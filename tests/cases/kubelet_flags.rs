//! The table of flags and what is composed from it, against the real kubelet, 1.20.2.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use kboot::plan::kubelet::table::{self, Standing};
use kboot::plan::kubelet::{
    self, Api, CgroupDriver, Composed, Runtime, Version, Wanted, bare_kubeconfig, versions_by_help,
};

use crate::support::host::Host;
use crate::support::{Done, Scratch, finish, need, root_user, tool};

const OF: Version = Version { minor: 20 };

fn real() -> Option<PathBuf> {
    let kubelet = need("kubelet", "kubelet")?;
    let version = finish(Command::new(&kubelet).arg("--version"));
    assert!(version.ok().starts_with("Kubernetes v1.20."), "{version:?}");
    Some(kubelet)
}

/// Name, and whether it takes a value: read from the help independently of kboot, by its columns.
fn listed(help: &str) -> BTreeSet<(String, bool)> {
    let mut found = BTreeSet::new();
    for line in help.lines().filter(|l| l.starts_with("      --") || l.starts_with("  -")) {
        let (_, flag) = line.split_once("--").unwrap();
        let mut flag = flag.split("  ").next().unwrap().split(' ');
        let name = flag.next().unwrap();
        let takes_value = flag.next().is_some_and(|kind| !kind.contains("[=true]"));
        found.insert((name.to_owned(), takes_value));
    }
    assert!(found.len() > 150, "{}", found.len());
    found
}

#[test]
fn the_column_of_1_20_is_what_the_real_kubelet_lists() {
    let Some(kubelet) = real() else { return };
    let help = finish(Command::new(kubelet).arg("--help"));
    let listed = listed(help.ok());
    let alive: BTreeSet<(String, bool)> =
        table::flags().filter(|f| f.lives(OF.column())).map(|f| (f.name.to_owned(), f.takes_value)).collect();
    let unknown: Vec<_> = listed.difference(&alive).collect();
    let surplus: Vec<_> = alive.difference(&listed).collect();
    assert!(unknown.is_empty() && surplus.is_empty(), "listed: {unknown:?}, table: {surplus:?}");
    // Deprecated in favour of the file is what the table has a field for.
    for line in help.ok().lines().filter(|l| l.contains("should be set via the config file")) {
        let Some(name) = line.trim_start().strip_prefix("--") else { continue };
        let name = name.split(' ').next().unwrap();
        let no_field = ["runonce", "iptables-drop-bit", "iptables-masquerade-bit"].contains(&name);
        let old_name = name == "experimental-kernel-memcg-notification";
        assert_eq!(table::field_of(name, OF.column()).is_some(), !no_field && !old_name, "{name}");
    }
    assert_eq!(versions_by_help(help.ok()), Some((OF, OF)));
}

#[test]
fn the_real_kubelet_refuses_what_the_table_says_it_does_not_know() {
    let Some(kubelet) = real() else { return };
    let knows = |flag: &str| {
        let done = finish(Command::new(&kubelet).args([flag, "--version"]));
        assert_eq!(
            done.code != 0,
            done.stderr.contains(&format!("unknown flag: {flag}")),
            "{flag}: {done:?}"
        );
        done.code == 0
    };
    let dead: BTreeSet<&str> = table::flags()
        .map(|f| f.name)
        .filter(|name| matches!(table::standing(name, OF.column()), Standing::Dead(_)))
        .collect();
    assert!(dead.len() > 40, "{dead:?}");
    for name in dead {
        assert!(!knows(&format!("--{name}")), "{name}");
    }
    assert!(knows("--fail-swap-on") && !knows("--no-such-flag"), "the probe itself");
}

fn wanted(dir: &Scratch) -> Wanted {
    Wanted {
        name: "worker-9.example".parse().unwrap(),
        server: "http://127.0.0.1:9".parse().unwrap(),
        kubeconfig: Some(dir.path("kubeconfig")),
        manifests: dir.path("manifests"),
        address: IpAddr::from([127, 0, 0, 1]),
        register_node: false,
        cluster_dns: vec![],
        cluster_domain: None,
        pause_image: None,
        runtime: Runtime::Docker,
        cgroup_driver: None,
        resolv_conf: None,
        resolv_conf_is_given: false,
        node_ip: vec![],
        allow_swap: true,
        allow_cgroup_v1: false,
        read_only_port: 0,
        healthz_port: None,
        api: Api::Open,
        rotate_certificates: false,
        oom_score_adj: None,
        max_open_files: None,
    }
}

fn everything(dir: &Scratch) -> Wanted {
    let (key, ca) = (dir.path("ca.key"), dir.path("ca.crt"));
    let subject = ["-keyout", &key, "-out", &ca, "-subj", "/CN=ca"];
    tool(
        "openssl",
        &[&["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"], &subject[..]].concat(),
    );
    Wanted {
        register_node: true,
        cluster_dns: vec![IpAddr::from([10, 77, 0, 10]), "fd00:77::a".parse().unwrap()],
        cluster_domain: Some("cluster.example".into()),
        pause_image: Some("registry.example/pause:3.2".into()),
        runtime: Runtime::Endpoint(format!("unix://{}", dir.path("no.sock"))),
        cgroup_driver: Some(CgroupDriver::Systemd),
        resolv_conf: Some("/etc/resolv.conf".into()),
        resolv_conf_is_given: true,
        node_ip: vec!["10.77.1.2".parse().unwrap(), "fd00:77:1::2".parse().unwrap()],
        allow_cgroup_v1: true,
        read_only_port: 10355,
        healthz_port: Some(10348),
        api: Api::Authenticated { client_ca: Some(ca) },
        oom_score_adj: Some(321),
        max_open_files: Some(4321),
        ..wanted(dir)
    }
}

/// Runs the real one as composed. There is no runtime to speak to: it reads its flags and its file, then ends.
fn run_composed(kubelet: &Path, dir: &Scratch, composed: &Composed) -> Done {
    let host = Host::new();
    host.sh("mount -t tmpfs tmpfs /var/lib");
    dir.file("kubelet.json", serde_json::to_string(composed.config.as_ref().unwrap()).unwrap());
    dir.file("kubeconfig", bare_kubeconfig(&"http://127.0.0.1:9".parse().unwrap()));
    let root = dir.path("root");
    let mut command = host.command("timeout", &["60", kubelet.to_str().unwrap()]);
    finish(command.args(&composed.flags).args(["--root-dir", &root, "--cert-dir", &root]))
}

const LENIENT: &str = "lenient decoding";

#[test]
fn the_real_kubelet_takes_what_is_composed_to_the_letter() {
    let Some(kubelet) = real().filter(|_| root_user()) else { return };
    let dir = Scratch::new();
    for wanted in [wanted(&dir), everything(&dir)] {
        let config = dir.path("kubelet.json");
        let extra = ["--api-servers=http://127.0.0.1:9", "--v=2", "--max_pods", "40"].map(str::to_owned);
        let extra = kubelet::Extra::read(&extra, OF).unwrap();
        let mut composed = kubelet::compose(&wanted, OF, &extra, &config).unwrap();
        let done = run_composed(&kubelet, &dir, &composed);
        let log = &done.stderr;
        assert!(log.contains("failed to run Kubelet") || log.contains("Failed to run kubelet"), "{done:?}");
        for complaint in ["unknown flag", "unknown field", LENIENT, "invalid configuration", "failed to load"]
        {
            assert!(!log.contains(complaint), "{complaint}: {log}");
        }
        assert!(log.contains(r#"FLAG: --max-pods="40""#), "{log}");
        // The probe itself: a field of a later version is noticed.
        composed.config.as_mut().unwrap()["registerNode"] = true.into();
        let done = run_composed(&kubelet, &dir, &composed);
        assert!(done.stderr.contains(LENIENT) && done.stderr.contains("registerNode"), "{done:?}");
    }
}

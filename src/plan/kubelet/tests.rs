use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::json;

use super::*;

#[path = "lives/tests.rs"]
mod lives;

/// That socket for a version that knows CRI.
fn cri_or_docker(minor: u32, socket: &str) -> Runtime {
    if minor >= 5 { Runtime::Endpoint(socket.into()) } else { Runtime::Docker }
}

/// What that version's users have.
fn standard(minor: u32) -> Runtime {
    if minor >= 24 { cri_or_docker(minor, "unix:///run/containerd/containerd.sock") } else { Runtime::Docker }
}

/// What `kubelet-launch --server URL` asks for.
fn plain(minor: u32) -> Wanted {
    Wanted {
        name: "10.10.48.1".parse().unwrap(),
        server: "http://192.168.56.101:8080".parse().unwrap(),
        kubeconfig: (minor >= 8).then(|| "/run/kboot/kubelet.kubeconfig".into()),
        manifests: "/etc/kubernetes/manifests".into(),
        address: "0.0.0.0".parse().unwrap(),
        register_node: false,
        cluster_dns: vec![],
        cluster_domain: None,
        pause_image: None,
        runtime: standard(minor),
        cgroup_driver: None,
        resolv_conf: None,
        resolv_conf_is_given: false,
        node_ip: vec![],
        allow_swap: false,
        allow_cgroup_v1: false,
        read_only_port: 0,
        healthz_port: None,
        api: Api::Open,
        rotate_certificates: false,
        oom_score_adj: None,
        max_open_files: None,
    }
}

/// Everything that can be asked for.
fn full(minor: u32) -> Wanted {
    Wanted {
        name: "worker-7.example".parse().unwrap(),
        server: "https://[fd00:7::1]:6443".parse().unwrap(),
        kubeconfig: Some("/etc/kubernetes/kubelet.conf".into()),
        address: "::".parse().unwrap(),
        register_node: true,
        cluster_dns: vec!["10.96.0.10".parse().unwrap(), "fd00:96::a".parse().unwrap()],
        cluster_domain: Some("cluster.local".into()),
        pause_image: Some("registry.example/pause:3.9".into()),
        runtime: cri_or_docker(minor, "unix:///run/crio/crio.sock"),
        cgroup_driver: Some(CgroupDriver::Systemd),
        resolv_conf: Some("/run/systemd/resolve/resolv.conf".into()),
        resolv_conf_is_given: true,
        node_ip: vec!["10.10.48.1".parse().unwrap(), "fd00:48::1".parse().unwrap()],
        allow_swap: true,
        allow_cgroup_v1: true,
        read_only_port: 10255,
        healthz_port: Some(10348),
        api: Api::Authenticated { client_ca: Some("/etc/kubernetes/pki/ca.crt".into()) },
        rotate_certificates: true,
        oom_score_adj: Some(-321),
        max_open_files: Some(54321),
        ..plain(minor)
    }
}

const CONFIG: &str = "/run/kboot/kubelet.json";

fn composed(wanted: &Wanted, minor: u32, extra: &str) -> Composed {
    let extra: Vec<String> = extra.split_whitespace().map(str::to_owned).collect();
    compose(wanted, Version { minor }, &Extra::read(&extra, Version { minor }).unwrap(), CONFIG).unwrap()
}

fn text(title: &str, composed: &Composed) -> String {
    let mut text = format!("## {title}\n");
    for flag in &composed.flags {
        writeln!(text, "{flag}").unwrap();
    }
    for note in &composed.notes {
        writeln!(text, "note: {note}").unwrap();
    }
    if let Some(config) = &composed.config {
        writeln!(text, "{}", serde_json::to_string_pretty(config).unwrap()).unwrap();
    }
    text
}

/// One file for each run of versions that are told the same. `KBOOT_UPDATE_GOLDEN=1` rewrites them.
#[test]
fn every_version_is_told_what_the_golden_files_say() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kubelet");
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut era: Vec<u32> = Vec::new();
    let both = |minor| {
        let texts = [
            text("plain", &composed(&plain(minor), minor, "")),
            text("full", &composed(&full(minor), minor, "")),
        ];
        texts.join("\n").replace(&format!("kubelet 1.{minor} "), "kubelet 1.N ")
    };
    for minor in 0..=NEWEST_KNOWN.minor {
        era.push(minor);
        if minor == NEWEST_KNOWN.minor || both(minor + 1) != both(minor) {
            let name = format!("1.{:02}-1.{minor:02}.txt", era[0]);
            let versions: Vec<String> = era.drain(..).map(|m| format!("1.{m}")).collect();
            files.insert(name, format!("# {}\n{}", versions.join(" "), both(minor)));
        }
    }
    if std::env::var_os("KBOOT_UPDATE_GOLDEN").is_some() {
        fs::remove_dir_all(&dir).unwrap_or_default();
        fs::create_dir_all(&dir).unwrap();
        for (name, text) in &files {
            fs::write(dir.join(name), text).unwrap();
        }
    }
    let found: BTreeMap<String, String> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
        })
        .collect();
    for (name, text) in &files {
        assert_eq!(found.get(name), Some(text), "{name}");
    }
    assert_eq!(found.len(), files.len(), "{:?}", found.keys());
}

#[test]
fn the_api_is_never_left_to_defaults() {
    let has = |c: &Composed, flag: &str| c.flags.iter().any(|f| f == flag);
    for minor in 0..=NEWEST_KNOWN.minor {
        let open = composed(&plain(minor), minor, "");
        let closed = composed(&full(minor), minor, "");
        assert!([&open, &closed].iter().all(|c| has(c, "--cadvisor-port=0") == (minor < 12)), "1.{minor}");
        if minor >= 10 {
            let of = |c: &Composed, path: &str| c.config.as_ref().unwrap().pointer(path).cloned();
            for (composed, anonymous, webhook, mode, port) in
                [(&open, true, false, "AlwaysAllow", 0), (&closed, false, true, "Webhook", 10255)]
            {
                assert_eq!(of(composed, "/authentication/anonymous/enabled"), Some(json!(anonymous)));
                assert_eq!(of(composed, "/authentication/webhook/enabled"), Some(json!(webhook)));
                assert_eq!(of(composed, "/authorization/mode"), Some(json!(mode)));
                assert_eq!(of(composed, "/readOnlyPort"), Some(json!(port)));
            }
            assert_eq!(
                of(&closed, "/authentication/x509/clientCAFile"),
                Some(json!("/etc/kubernetes/pki/ca.crt"))
            );
        } else {
            assert!(has(&open, "--read-only-port=0") && has(&closed, "--read-only-port=10255"));
            assert_eq!(has(&open, "--anonymous-auth=true"), minor >= 5);
            assert_eq!(has(&closed, "--anonymous-auth=false"), minor >= 5);
            assert_eq!(has(&closed, "--authorization-mode=Webhook"), minor >= 5);
            let warned = closed.notes.iter().any(|n| n.contains("open to whoever reaches port 10250"));
            assert_eq!(warned, minor < 5);
        }
    }
}

#[test]
fn the_operators_own_flags_win() {
    let flags = |minor, extra: &str| composed(&plain(minor), minor, extra);
    let early = flags(9, "--read_only_port=10255 --v=2");
    assert!(!early.flags.contains(&"--read-only-port=0".to_owned()), "{early:?}");
    assert!(early.flags.ends_with(&["--read_only_port=10255".into(), "--v=2".into()]), "{early:?}");
    assert_eq!(early.notes, ["--read-only-port: yours counts, kboot's own is left out"]);
    let late = flags(20, "--read-only-port 10255 --register-node --anonymous-auth=false");
    let config = late.config.unwrap();
    assert_eq!((config.get("readOnlyPort"), config.pointer("/authentication/anonymous")), (None, None));
    assert_eq!(config.pointer("/authorization/mode"), Some(&json!("AlwaysAllow")));
    assert!(!late.flags.contains(&"--register-node=false".to_owned()), "{:?}", late.flags);
    assert_eq!(late.notes.len(), 3);
    // Two names of one directory.
    let both = flags(5, "--config /m");
    assert!(!both.flags.iter().any(|f| f.starts_with("--pod-manifest-path")), "{both:?}");
    // What that version does not know does not count.
    let gone = flags(30, "--container-runtime=docker --v=2");
    assert_eq!(gone.flags.last().unwrap(), "--v=2");
    assert_eq!(gone.config.unwrap()["containerRuntimeEndpoint"], "unix:///run/containerd/containerd.sock");
    assert_eq!(
        gone.notes,
        ["--container-runtime is left out for kubelet 1.30: gone in 1.27; now: --container-runtime-endpoint"]
    );
}

#[test]
fn sockets_as_each_version_reads_them() {
    let runtime: Runtime = "/run/x.sock".parse().unwrap();
    for (minor, flag) in [
        (5, "--container-runtime-endpoint=/run/x.sock"),
        (6, "--container-runtime-endpoint=/run/x.sock"),
        (7, "--container-runtime-endpoint=unix:///run/x.sock"),
        (26, "--container-runtime-endpoint=unix:///run/x.sock"),
    ] {
        let flags = composed(&Wanted { runtime: runtime.clone(), ..plain(minor) }, minor, "").flags;
        assert!(flags.contains(&flag.to_owned()), "1.{minor}: {flags:?}");
    }
}

#[test]
fn the_kubelet_keeps_what_it_was_started_with() {
    for (minor, flags, fields) in [
        (0, vec!["--oom-score-adj=-321"], json!([null, null, null])),
        (7, vec!["--oom-score-adj=-321", "--max-open-files=54321"], json!([null, null, null])),
        (
            9,
            vec!["--rotate-certificates=true", "--oom-score-adj=-321", "--max-open-files=54321"],
            json!([null, null, null]),
        ),
        (10, vec!["--rotate-certificates=true"], json!([null, -321, 54321])),
        (11, vec![], json!([true, -321, 54321])),
        (38, vec![], json!([true, -321, 54321])),
    ] {
        let Composed { flags: said, config, .. } = composed(&full(minor), minor, "");
        let of_these = ["--rotate-certificates", "--oom-score-adj", "--max-open-files"];
        let said: Vec<&String> =
            said.iter().filter(|f| of_these.iter().any(|name| f.starts_with(name))).collect();
        assert_eq!(said, flags, "1.{minor}");
        let config = config.unwrap_or_default();
        let found = ["rotateCertificates", "oomScoreAdj", "maxOpenFiles"].map(|field| &config[field]);
        assert_eq!(json!(found), fields, "1.{minor}");
    }
}

#[test]
fn privileged_pods_are_the_api_servers_matter() {
    for minor in 0..=NEWEST_KNOWN.minor {
        let flags = composed(&plain(minor), minor, "").flags;
        assert_eq!(flags.contains(&"--allow-privileged=true".to_owned()), minor <= 14, "1.{minor}");
    }
}

#[test]
fn notes_name_options_that_were_given() {
    let found = |minor, driver| Wanted {
        cgroup_driver: Some(driver),
        resolv_conf: Some("/run/systemd/resolve/resolv.conf".into()),
        ..plain(minor)
    };
    let notes = |wanted: &Wanted, minor| composed(wanted, minor, "").notes;
    let systemd = ["the runtime uses systemd; kubelet 1.0 knows cgroupfs only"];
    assert_eq!(notes(&found(0, CgroupDriver::Systemd), 0), systemd);
    assert_eq!(notes(&found(0, CgroupDriver::Cgroupfs), 0), [""; 0]);
    assert_eq!(notes(&found(5, CgroupDriver::Systemd), 5), [""; 0]);
    let given = Wanted { resolv_conf_is_given: true, ..found(0, CgroupDriver::Cgroupfs) };
    assert_eq!(
        notes(&given, 0),
        ["--resolv-conf has no effect: kubelet 1.0 has no --resolv-conf: it came in 1.1"]
    );
}

#[test]
fn a_cri_runtime_has_its_own_pause_image() {
    for minor in [5, 23, 34, 35] {
        let image = || Some("registry.example/pause:3.9".into());
        let runtime = cri_or_docker(minor, "unix:///run/x.sock");
        let cri = composed(&Wanted { pause_image: image(), runtime, ..plain(minor) }, minor, "");
        assert_eq!(
            cri.notes,
            ["--pause-image has no effect on a CRI runtime: the runtime's own sandbox image counts \
              (containerd's sandbox_image, CRI-O's pause_image)"]
        );
        // The kubelet keeps it from being collected.
        let flag = "--pod-infra-container-image=registry.example/pause:3.9".to_owned();
        assert_eq!(cri.flags.contains(&flag), minor <= 34, "1.{minor}");
        let docker = Wanted { pause_image: image(), runtime: Runtime::Docker, ..plain(minor) };
        assert!(minor > 23 || composed(&docker, minor, "").notes.is_empty(), "1.{minor}");
    }
}

#[test]
fn a_newer_version_is_taken_for_the_newest_known() {
    let newest = composed(&full(38), 38, "");
    let newer = composed(&full(38), 45, "");
    assert_eq!((newer.flags, newer.config), (newest.flags, newest.config));
}

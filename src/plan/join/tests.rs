use super::*;

/// `seen` is whether there are a flaw, a key and a certificate.
fn kinds(config: Config, seen: [bool; 3], replace: bool) -> String {
    let [flaw, has_key, has_certificate] = seen;
    let flaw = flaw.then(|| "its server is another".to_owned());
    let seen = Seen { config, flaw, has_key, has_certificate };
    let paths = Paths { key: "/p/key".into(), pair: "/p/pair".into(), kubeconfig: "/k".into() };
    let server = "https://10.3.2.1:6443".parse().unwrap();
    let steps = plan(&seen, &paths, &"n7".parse().unwrap(), &server, replace);
    let kind = |step: &Step| match step {
        Step::Key(_) => "key",
        Step::Request(_) => "request",
        Step::Keep(_) => "keep",
        Step::Aside(_) => "aside",
        Step::Kubeconfig(..) => "kubeconfig",
    };
    steps.map_or_else(|why| why, |steps| steps.iter().map(kind).collect::<Vec<_>>().join(" "))
}

#[test]
fn every_state_has_its_way_on() {
    use Config::{Absent, Foreign, Ours, Outdated};
    assert_eq!(kinds(Absent, [true, false, false], false), "key request keep kubeconfig");
    assert_eq!(kinds(Absent, [true, true, false], false), "request keep kubeconfig");
    assert_eq!(kinds(Absent, [true, true, true], false), "kubeconfig");
    assert_eq!(kinds(Ours, [true, false, false], false), "key request keep");
    assert_eq!(kinds(Ours, [true, false, false], true), "key request keep kubeconfig");
    assert_eq!(kinds(Ours, [false, false, false], true), "");
    assert_eq!(kinds(Foreign, [false, true, true], true), "");
    assert_eq!(
        kinds(Foreign, [true, false, false], false),
        "/k: its server is another: --replace joins anew and writes another"
    );
    assert_eq!(kinds(Foreign, [true, false, false], true), "key request keep aside kubeconfig");
    // Kboot's own is written anew without a word.
    assert_eq!(kinds(Outdated, [true, false, false], false), "key request keep kubeconfig");
    assert_eq!(kinds(Outdated, [true, true, true], false), "kubeconfig");
}

#[test]
fn what_is_set_aside_is_for_its_owner_alone() {
    let step = Step::Aside("/etc/k u/kubelet.conf".into());
    assert_eq!(step.to_string(), "install -m 600 '/etc/k u/kubelet.conf' '/etc/k u/kubelet.conf.kboot-old'");
}

#[test]
fn the_kubeconfig_as_the_kubelet_reads_it() {
    let server = "https://[fd00::1]:6443".parse().unwrap();
    let cluster =
        Cluster { server: &server, ca: Some("QQ==".into()), tls_server_name: Some("k8s"), proxy: None };
    assert_eq!(
        kubeconfig(&cluster, "/var/lib/a \"b\".pem"),
        "apiVersion: v1\nkind: Config\nclusters:\n- name: default-cluster\n  cluster:\n    \
         server: \"https://[fd00::1]:6443\"\n    certificate-authority-data: \"QQ==\"\n    \
         tls-server-name: \"k8s\"\nusers:\n- name: default-auth\n  user:\n    \
         client-certificate: \"/var/lib/a \\\"b\\\".pem\"\n    client-key: \"/var/lib/a \\\"b\\\".pem\"\n\
         contexts:\n- name: default-context\n  context:\n    cluster: default-cluster\n    \
         namespace: default\n    user: default-auth\ncurrent-context: default-context\n"
    );
}

//! The real kubelet 1.20.2 brought to Ready by kboot's applets in the order of a boot: with a real dockerd
//! on cbr0, with a real containerd and CNI. And what it says to flags that are gone.

use serde_json::{Value, json};

use crate::support::kubelet::{Kubelet, Site, condition, settings};
use crate::support::runtime::{self, PAUSE};
use crate::support::until;

/// What `register` wrote and no kubelet has to change; its own status is not in it.
fn kept(node: &Value) -> Value {
    let meta = &node["metadata"];
    json!([meta["uid"], meta["labels"], meta["annotations"], node["spec"]])
}

/// The Node that `register` makes with the node's own certificate.
fn register(site: &Site, subnet: &str) -> Value {
    let done = site.host.kboot(&["register", "--kubeconfig", &site.kubeconfig, "--label", "rack=r7"]);
    assert_eq!(done.code, 0, "{done:?}");
    let node = site.read();
    let meta = &node["metadata"];
    assert_eq!(node["spec"]["podCIDR"], subnet);
    assert_eq!(
        meta["annotations"],
        json!({"volumes.kubernetes.io/controller-managed-attach-detach": "true"})
    );
    for (label, value) in
        [("kubernetes.io/hostname", site.node), ("kubernetes.io/os", "linux"), ("rack", "r7")]
    {
        assert_eq!(meta["labels"][label], value, "{node}");
    }
    assert_eq!(condition(&node, "Ready"), Value::Null);
    node
}

/// The static pod is in the lease's subnet, its cable in cbr0, and it answers.
fn pod_in(site: &Site, beginning: &str) -> String {
    let address = site.pod();
    assert!(address.starts_with(beginning), "{address}");
    let name = site.host.sh(&format!("curl -sf -m 5 http://{address}:8080/name"));
    assert_eq!(name, format!("web-{}\n", site.node));
    let ports = site.host.ip("link show master cbr0 up");
    assert_eq!(ports.as_array().map(Vec::len), Some(1), "{ports}");
    address
}

/// It took the Node that was there, and left it as it was.
fn took(site: &Site, kubelet: &Kubelet<'_>, registered: &Value) -> Value {
    let node = site.ready();
    assert_eq!(kept(&node), kept(registered), "{node}");
    assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], "v1.20.2");
    assert_eq!(condition(&node, "Ready")["reason"], "KubeletReady");
    assert!(!kubelet.log().contains("Attempting to register node"), "{}", kubelet.log());
    node
}

/// Started again, it is heard of again, the same Node and Ready.
fn again(site: &Site, options: &[&str], before: &Value) {
    let heard = |node: &Value| condition(node, "Ready")["lastHeartbeatTime"].as_str().unwrap().to_owned();
    let kubelet = Kubelet::start(site, options);
    until("the kubelet reports again", || heard(&site.read()) > heard(before));
    took(site, &kubelet, before);
}

#[test]
fn with_docker_on_the_bridge_it_is_ready_and_runs_a_pod_of_the_subnet() {
    let machine = settings();
    let lease = ["10.43.0.0/16", "10.43.7.1/24"];
    let Some(site) = Site::new("10.43.7.1", "10.99.0.11", lease) else { return };
    assert_eq!(site.host.kboot(&["bridge"]).code, 0);
    let dockerd = runtime::dockerd(&site.host);
    let registered = register(&site, "10.43.7.0/24");
    let options = ["--pause-image", PAUSE];
    let kubelet = Kubelet::start(&site, &options);
    let node = took(&site, &kubelet, &registered);
    let info = &node["status"]["nodeInfo"]["containerRuntimeVersion"];
    assert!(info.as_str().unwrap().starts_with("docker://20.10."), "{node}");
    assert_eq!(node["status"]["addresses"][0], json!({"type": "InternalIP", "address": "10.43.7.1"}));
    let address = pod_in(&site, "10.43.7.");
    drop(kubelet);
    // Everything once more, as at a restart of the service.
    for args in [&["bridge"][..], &["register", "--kubeconfig", &site.kubeconfig, "--label", "rack=r7"]] {
        assert!(site.host.kboot(args).stderr.contains("(0 changed, "), "{args:?}");
    }
    again(&site, &options, &node);
    assert_eq!(pod_in(&site, "10.43.7."), address);
    // The kubelet has set what it wants of the kernel, 1 and 10, and this machine knows nothing of it.
    assert_eq!(site.host.sh("cat /proc/sys/vm/overcommit_memory /proc/sys/kernel/panic"), "110");
    drop(dockerd);
    drop(site);
    assert_eq!(settings(), machine);
}

#[test]
fn with_containerd_and_cni_it_is_ready_and_runs_a_pod_of_the_subnet() {
    let lease = ["172.28.0.0/15", "172.29.64.1/22"];
    let Some(site) = Site::new("rack3-node8.kboot.example", "10.99.0.12", lease) else { return };
    assert_eq!(site.host.kboot(&["bridge"]).code, 0);
    let Some(_containerd) = runtime::containerd(&site.host) else { return };
    let registered = register(&site, "172.29.64.0/22");
    let options = ["--runtime", "unix:///run/containerd/containerd.sock"];
    let kubelet = Kubelet::start(&site, &options);
    // It says itself what is missing.
    until("the Node says what it lacks", || {
        let ready = condition(&site.read(), "Ready");
        let message = ready["message"].as_str().unwrap_or_default();
        ready["status"] == "False" && message.contains("cni plugin not initialized")
    });
    let done = site.host.kboot(&["cni-config"]);
    assert_eq!(done.code, 0, "{done:?}");
    let node = took(&site, &kubelet, &registered);
    let info = &node["status"]["nodeInfo"]["containerRuntimeVersion"];
    assert!(info.as_str().unwrap().starts_with("containerd://1.6."), "{node}");
    assert_eq!(node["status"]["addresses"][0], json!({"type": "InternalIP", "address": "10.99.0.12"}));
    let address = pod_in(&site, "172.29.64.");
    drop(kubelet);
    again(&site, &options, &node);
    assert_eq!(pod_in(&site, "172.29.64."), address);
}

/// Composed for a version that the kubelet is not (by hand: `kubelet_flags`).
#[test]
fn the_real_kubelet_refuses_flags_that_are_gone() {
    let lease = ["10.61.0.0/16", "10.61.200.1/25"];
    let Some(site) = Site::new("10.61.200.1", "10.99.0.13", lease) else { return };
    for (version, flag) in [("1.2", "--configure-cbr0"), ("1.7", "--require-kubeconfig")] {
        let done = site.launch(&["--kubelet-version", version, "--ignore", "all"], &[]);
        let line = format!("unknown flag: {flag}");
        assert!(done.code == 255 && done.stderr.contains(&line), "{done:?}");
    }
}

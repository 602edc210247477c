//! register where Nodes are there already: its own, and others with its subnet. A real kube-apiserver 1.20.2.

use serde_json::{Value, json};

use crate::support::api::shared;
use crate::support::{Done, finish, kboot, run};

const ADVICE: &str =
    "delete that Node if its host is gone, else look where the two hosts have their leases from";

fn register(url: &str, args: &[&str]) -> Done {
    run(&[&["register", "--server", url, "--timeout", "20s"], args].concat())
}

fn last(done: &Done) -> (i32, &str) {
    (done.code, done.stderr.lines().last().unwrap())
}

/// Two Nodes with one subnet lose each other's packets.
#[test]
fn a_subnet_that_another_node_has() {
    let Some(api) = shared() else { return };
    api.create("holder-1", &json!({"spec": {"podCIDR": "10.62.1.9/24"}}));
    api.create("holder-2", &json!({"spec": {"podCIDR": "10.62.64.0/18"}}));
    api.create("holder-empty", &json!({}));
    api.create("holder-other", &json!({"spec": {"podCIDR": "10.62.5.0/24"}}));
    for (name, subnet, says) in [
        ("new", "10.62.1.1/24", "podCIDR 10.62.1.0/24 is node holder-1's already".to_owned()),
        ("new", "10.62.70.1/24", "podCIDR 10.62.70.0/24 overlaps node holder-2's 10.62.64.0/18".into()),
        ("holder-empty", "10.62.1.1/25", "podCIDR 10.62.1.0/25 overlaps node holder-1's 10.62.1.0/24".into()),
        (
            "holder-other",
            "10.62.1.1/24",
            "node holder-other has podCIDR 10.62.5.0/24, wanted is 10.62.1.0/24, which is node holder-1's already"
                .into(),
        ),
    ] {
        for more in [&[][..], &["--dry-run"], &["--replace", "--force"]] {
            let done = register(&api.plain, &[&["--name", name, "--subnet", subnet], more].concat());
            assert_eq!(last(&done), (3, format!("kboot register: {says}: {ADVICE}").as_str()), "{more:?}");
            assert_eq!(done.stdout, "");
        }
    }
    assert_eq!(api.node("new"), None);
    assert_eq!(api.node("holder-empty").unwrap()["spec"]["podCIDR"], Value::Null);
    assert_eq!(api.node("holder-other").unwrap()["spec"]["podCIDR"], "10.62.5.0/24");
    // Its own is no other's.
    assert_eq!(register(&api.plain, &["--name", "holder-1", "--subnet", "10.62.1.1/24"]).code, 0);
}

/// Who may get, create and patch Nodes but not list them registers all the same: one line.
#[test]
fn credentials_that_may_not_list_nodes() {
    let Some(api) = shared() else { return };
    api.kubectl(&["create", "clusterrole", "registrar", "--verb=get,create,patch", "--resource=nodes"]).ok();
    api.kubectl(&[
        "create",
        "clusterrolebinding",
        "registrar",
        "--clusterrole=registrar",
        "--user=registrar",
    ])
    .ok();
    let (crt, key) = api.client_certificate("registrar", "hosts");
    let args = ["--subnet", "10.62.7.1/24", "--cacert", &api.cacert, "--cert", &crt, "--key", &key];
    let mut done = register(&api.url, &args);
    crate::support::until("the role is loaded", || {
        done = register(&api.url, &args);
        done.code == 0
    });
    assert_eq!(api.node("10.62.7.1").unwrap()["spec"]["podCIDR"], "10.62.7.0/24");
    api.kubectl(&["delete", "node", "10.62.7.1"]).ok();
    let done = register(&api.url, &args);
    let said = done
        .stderr
        .lines()
        .filter(|l| l.contains("whether another Node has this podCIDR is not known"))
        .count();
    assert!(done.code == 0 && said == 1, "{done:?}");
    assert!(done.stderr.contains("cannot list resource \"nodes\""), "{done:?}");
    let asked = api.asked_by("registrar");
    assert_eq!(
        asked.iter().filter(|a| a.starts_with("list")).count(),
        asked.iter().filter(|a| *a == "create 201").count()
    );
}

/// Twice, and `kubectl get node` shows the same; the second time is one request.
#[test]
fn again_is_one_request_and_changes_nothing() {
    let Some(api) = shared() else { return };
    let user = api.user(401);
    let user: Vec<&str> = user.iter().map(String::as_str).collect();
    let args = ["register", "--subnet", "10.62.8.1/24", "--label", "rack=r9", "--taint", "a=b:NoSchedule"];
    let args = [
        &args[..],
        &["--provider-id", "cloud://i-8", "--cloud-provider", "external", "--unschedulable"],
        &user,
    ]
    .concat();
    let show = || api.kubectl(&["get", "node", "10.62.8.1", "-o", "yaml"]).ok().to_owned();
    assert!(run(&args).stderr.contains("(1 changed, 0 already so)"));
    let first = show();
    for wanted in [
        "podCIDR: 10.62.8.0/24",
        "rack: r9",
        "providerID: cloud://i-8",
        "unschedulable: true",
        "uninitialized",
    ] {
        assert!(first.contains(wanted), "{wanted}: {first}");
    }
    assert!(run(&args).stderr.contains("(0 changed, 1 already so)"));
    assert_eq!(show(), first);
    let asked = || api.asked_by("user-401");
    crate::support::until("it is logged", || asked().len() >= 4);
    assert_eq!(asked(), ["get 404", "list 200", "create 201", "get 200"]);
    // The cloud's controller-manager has initialised it, an administrator uncordoned it.
    api.patch("10.62.8.1", &json!({"spec": {"unschedulable": null, "taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}]}}));
    let patched = show();
    assert!(run(&args).stderr.contains("(0 changed, 1 already so)"));
    assert_eq!(show(), patched);
    // The providerID is set for good.
    let other = [&args[..], &["--name", "10.62.8.1"]].concat();
    let other: Vec<&str> =
        other.into_iter().map(|a| if a == "cloud://i-8" { "cloud://i-9" } else { a }).collect();
    assert_eq!(
        last(&run(&other)),
        (
            3,
            "kboot register: node 10.62.8.1 has providerID cloud://i-8, asked is cloud://i-9: --replace deletes and creates it again"
        )
    );
}

#[test]
fn a_pod_cidr_outside_of_the_clusters_is_warned_about() {
    let Some(api) = shared() else { return };
    let args = ["--subnet", "10.62.9.1/24", "--cluster-cidr", "10.63.0.0/16", "--cluster-cidr", "fd00::/48"];
    let done = register(&api.plain, &[&args[..], &["--json"]].concat());
    let warning = "podCIDR 10.62.9.0/24 is outside of --cluster-cidr 10.63.0.0/16,fd00::/48: a kube-controller-manager with --allocate-node-cidrs does not start any more once a Node has it: flannel's Network is to lie inside";
    assert_eq!((done.code, &done.json()["warnings"]), (0, &json!([warning])));
    let inside = register(
        &api.plain,
        &["--subnet", "10.62.9.1/24", "--cluster-cidr", "10.62.0.0/16,fd00::/48", "--json"],
    );
    assert_eq!(inside.json()["warnings"], json!([]));
}

#[test]
fn options_that_contradict_each_other_touch_nothing() {
    let says = |args: &[&str]| {
        let done = register("http://127.0.0.1:1", &[&["--subnet", "10.62.10.1/24"], args].concat());
        (done.code, done.stderr.trim_end().to_owned())
    };
    let error = |text: &str| (2, format!("kboot register: {text}"));
    assert_eq!(says(&["--force"]), error("--force goes with --replace"));
    assert_eq!(
        says(&["--label", "a=1", "--label", "b=1", "--label", "a=2"]),
        error("--label a: given twice")
    );
    assert_eq!(says(&["--annotation", "a=1", "--annotation", "a=1"]), error("--annotation a: given twice"));
    assert_eq!(
        says(&["--taint", "a=1:NoSchedule", "--taint", "a=2:NoSchedule"]),
        error("--taint a:NoSchedule: given twice")
    );
    assert_eq!(says(&["--cloud-provider", "aws"]).0, 2);
}

/// On a host that is set up, the subnet alone will do; the log says where the server came from.
#[test]
fn the_subnet_alone_on_a_host_that_is_set_up() {
    let Some(api) = shared() else { return };
    if !crate::support::root_user() {
        return;
    }
    let dir = crate::support::Scratch::new();
    let (crt, key) = api.client_certificate("system:node:10.62.11.1", "system:nodes");
    let config = dir.file("kubelet.conf", format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{server: '{}', certificate-authority: {}}}}}]\n\
         users: [{{name: u, user: {{client-certificate: {crt}, client-key: {key}}}}}]\n",
        api.url, api.cacert,
    ));
    let host = |set_up: &str, env: &[(&str, &str)]| {
        let script = format!(
            "mount -t tmpfs tmpfs /etc && mkdir /etc/kubernetes && {set_up} && exec \"$0\" register --subnet \"$FLANNEL_SUBNET\""
        );
        let mut command = std::process::Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", &script])
            .arg(crate::support::binary());
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("FLANNEL_SUBNET", "10.62.11.1/24");
        finish(command.envs(env.iter().copied()))
    };
    let done = host(&format!("cp {config} /etc/kubernetes/kubelet.conf"), &[]);
    let from = |url: &str, source: &str| format!("kboot register: API server {url} (from {source})\n");
    assert!(
        done.code == 0 && done.stderr.starts_with(&from(&api.url, "/etc/kubernetes/kubelet.conf")),
        "{done:?}"
    );
    assert!(done.stderr.contains("node 10.62.11.1 podCIDR 10.62.11.0/24"), "{done:?}");
    assert!(api.node("10.62.11.1").is_some());
    let done = host("true", &[("KUBERNETES_MASTER", &api.plain)]);
    assert!(done.code == 0 && done.stderr.starts_with(&from(&api.plain, "KUBERNETES_MASTER")), "{done:?}");
    let done = host("true", &[("KUBECONFIG", &config)]);
    assert!(
        done.code == 0 && done.stderr.starts_with(&from(&api.url, &format!("KUBECONFIG {config}"))),
        "{done:?}"
    );
    assert!(done.stderr.contains("(0 changed, 1 already so)"), "{done:?}");
}

/// What is warned of while the lease is looked for is in the report too.
#[test]
fn a_lease_that_is_warned_about_is_in_the_report() {
    let Some(api) = shared() else { return };
    if !crate::support::root_user() {
        return;
    }
    let run = crate::support::Scratch::new();
    std::fs::create_dir(run.0.join("flannel")).unwrap();
    run.file("flannel/subnet.env", "FLANNEL_SUBNET=10.62.13.1/24\nFLANNEL_MTU=1450\n");
    let args = ["register", "--server", &api.plain, "--json"];
    let done = finish(crate::support::kboot_with_run(&run.0, &args).env("FLANNEL_SUBNET", "10.62.12.1/24"));
    let warning = "/run/flannel/subnet.env has another lease, 10.62.13.1/24: unset FLANNEL_SUBNET to use it";
    assert_eq!((done.code, &done.json()["warnings"]), (0, &json!([warning])), "{done:?}");
    assert_eq!(finish(kboot(&args).env("FLANNEL_SUBNET", "10.62.12.1/24")).json()["outcome"], "unchanged");
}

//! Nodes that are there, and what is planned for them.

use serde_json::json;

use super::*;

pub(super) fn wanted(cidrs: &[&str]) -> Wanted {
    Wanted {
        name: "10.10.48.1".parse().unwrap(),
        pod_cidrs: cidrs.iter().map(|c| c.parse::<Cidr>().unwrap().network()).collect(),
        labels: Vec::new(),
        annotations: Vec::new(),
        taints: Vec::new(),
        arch: "amd64",
        provider_id: None,
        external_cloud: false,
        unschedulable: false,
    }
}

pub(super) fn there(node: &Value) -> Found<'_> {
    Found { node: Some(node), ..Found::default() }
}

pub(super) const NOT: May = May { replace: false, force: false };
pub(super) const REPLACE: May = May { replace: true, force: false };
pub(super) const FORCE: May = May { replace: true, force: true };

pub(super) fn created(wanted: &Wanted) -> Value {
    match &plan(wanted, Found::default(), NOT).unwrap()[..] {
        [Step::Create(node)] => node.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_node_has_its_masked_pod_cidr_and_what_the_kubelet_would_have_set() {
    let node = created(&wanted(&["10.10.48.1/24"]));
    assert_eq!(node["spec"], json!({"podCIDR": "10.10.48.0/24"}));
    assert_eq!(node["metadata"]["labels"]["kubernetes.io/hostname"], "10.10.48.1");
    let dual = created(&wanted(&["10.42.3.1/24", "fd00:42:0:3::1/64"]));
    assert_eq!(dual["spec"]["podCIDR"], "10.42.3.0/24");
    assert_eq!(dual["spec"]["podCIDRs"], json!(["10.42.3.0/24", "fd00:42:0:3::/64"]));
}

#[test]
fn the_node_that_was_made_is_what_is_wanted() {
    let mut want = wanted(&["10.10.48.1/24"]);
    want.taints = vec!["a=b:NoSchedule".parse().unwrap()];
    want.labels = vec!["rack=r7".parse().unwrap()];
    assert!(plan(&want, there(&created(&want)), NOT).unwrap().is_empty());
    let mut unmasked = created(&want);
    unmasked["spec"]["podCIDR"] = json!("10.10.48.1/24");
    assert!(plan(&want, there(&unmasked), NOT).unwrap().is_empty(), "1.0 to 1.15 keep host bits");
    let two = wanted(&["10.42.3.1/24", "fd00:42:0:3::1/64"]);
    let mut truncated = created(&two);
    truncated["spec"] = json!({"podCIDR": "10.42.3.0/24", "podCIDRs": ["10.42.3.0/24"]});
    assert!(plan(&two, there(&truncated), NOT).unwrap().is_empty());
    let mut turned = created(&two);
    turned["spec"]["podCIDRs"] = json!(["fd00:42:0:3::/64", "10.42.3.0/24"]);
    assert!(plan(&two, there(&turned), REPLACE).unwrap().is_empty());
}

#[test]
fn another_pod_cidr_is_a_conflict_that_names_both() {
    let node = created(&wanted(&["10.10.48.1/24"]));
    let error = plan(&wanted(&["10.10.49.1/24"]), there(&node), NOT).unwrap_err();
    assert_eq!(
        error,
        "node 10.10.48.1 has podCIDR 10.10.48.0/24, wanted is 10.10.49.0/24: --replace deletes and creates it again"
    );
    let mut ready = node.clone();
    ready["status"] = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    assert!(plan(&wanted(&["10.10.49.1/24"]), there(&ready), REPLACE).unwrap_err().contains("is Ready"));
    let mut old = node;
    old["metadata"]["labels"]["zone"] = json!("z1");
    old["spec"]["taints"] = json!([{"key": "k", "effect": "NoSchedule"}]);
    let steps = plan(&wanted(&["10.10.49.1/24"]), there(&old), REPLACE).unwrap();
    let [Step::Delete(..), Step::Create(new)] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!(new["spec"]["podCIDR"], "10.10.49.0/24");
    assert_eq!(
        (&new["metadata"]["labels"]["zone"], &new["spec"]["taints"][0]["key"]),
        (&json!("z1"), &json!("k"))
    );
}

#[test]
fn what_is_missing_is_added_and_nothing_removed() {
    let want = Wanted { labels: vec!["rack=r7".parse().unwrap()], ..wanted(&["10.10.48.1/24"]) };
    let bare = json!({"metadata": {"name": "10.10.48.1", "resourceVersion": "7", "labels": {"own": "x"}}, "spec": {}});
    let steps = plan(&want, there(&bare), NOT).unwrap();
    let [Step::Patch(_, patch)] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!(patch["spec"]["podCIDR"], "10.10.48.0/24");
    assert_eq!(patch["metadata"]["resourceVersion"], "7");
    assert_eq!(patch["metadata"]["labels"]["rack"], "r7");
    assert!(patch["metadata"]["labels"]["own"].is_null());
    let mut other = created(&want);
    other["metadata"]["labels"]["rack"] = json!("r8");
    other["metadata"]["labels"]["kubernetes.io/hostname"] = json!("set-by-kubelet");
    let error = plan(&want, there(&other), NOT).unwrap_err();
    assert_eq!(error, "node 10.10.48.1 has label rack=r8, asked is rack=r7: --replace changes it");
    assert_eq!(plan(&want, there(&other), REPLACE).unwrap().len(), 1);
}

#[test]
fn what_old_servers_let_pass_is_understood() {
    let want = wanted(&["10.10.48.1/24"]);
    for (has, same) in
        [("10.10.48.77/24", true), ("010.10.048.00/24", true), ("10.10.48.0/25", false), ("some junk", false)]
    {
        let mut node = created(&want);
        node["spec"]["podCIDR"] = json!(has);
        let planned = plan(&want, there(&node), NOT);
        assert_eq!(planned.is_ok_and(|steps| steps.is_empty()), same, "{has}");
        assert_eq!(claims(&want, Some(&node), NOT), !same);
    }
    let mut empty = created(&want);
    empty["spec"] = json!({"podCIDR": ""});
    assert!(claims(&want, Some(&empty), NOT) && claims(&want, None, NOT));
    let two = wanted(&["10.10.48.1/24", "fd00:42:0:3::1/64"]);
    for other in [
        json!(["10.10.48.0/24", "10.10.48.0/24"]),
        json!(["10.10.48.0/24", "fd00:42:0:4::/64"]),
        json!(["fd00:42:0:3::/64"]),
    ] {
        let mut node = created(&two);
        node["spec"]["podCIDRs"] = other;
        assert!(plan(&two, there(&node), NOT).is_err());
    }
}

#[test]
fn a_pod_network_that_another_node_has_is_named_with_it() {
    let want = wanted(&["10.10.48.1/24", "fd00:42:0:3::1/64"]);
    let held = |has: &[&str]| {
        let has: Vec<String> = has.iter().map(ToString::to_string).collect();
        holder(&want.pod_cidrs, "n7", &has)
    };
    assert_eq!(held(&["10.10.49.0/24", "fd00:42:0:4::/64"]), None);
    assert_eq!(held(&["junk"]), None);
    let advice = "delete that Node if its host is gone, else look where the two hosts have their leases from";
    let mut node = created(&want);
    node["spec"] = json!({"podCIDR": "10.10.50.0/24"});
    for (has, says) in [
        ("10.10.48.9/24", "10.10.48.0/24 is node n7's already"),
        ("fd00:42:0:3::/64", "fd00:42:0:3::/64 is node n7's already"),
        ("10.10.0.0/16", "10.10.48.0/24 overlaps node n7's 10.10.0.0/16"),
        ("10.10.48.128/25", "10.10.48.0/24 overlaps node n7's 10.10.48.128/25"),
    ] {
        let holder = held(&[has]);
        let holder = holder.as_ref();
        let error = plan(&want, Found { holder, ..Found::default() }, FORCE).unwrap_err();
        assert_eq!(error, format!("podCIDR {says}: {advice}"));
        let error = plan(&want, Found { holder, ..there(&node) }, FORCE).unwrap_err();
        let words = says.split_once(' ').unwrap().1;
        assert_eq!(
            error,
            format!(
                "node 10.10.48.1 has podCIDR 10.10.50.0/24, wanted is 10.10.48.0/24,fd00:42:0:3::/64, which {words}: {advice}"
            )
        );
    }
}

#[test]
fn what_a_node_is_born_with_is_not_put_back() {
    let want = Wanted { external_cloud: true, unschedulable: true, ..wanted(&["10.10.48.1/24"]) };
    let uninitialized = json!({"key": "node.cloudprovider.kubernetes.io/uninitialized", "value": "true", "effect": "NoSchedule"});
    let mut node = created(&want);
    assert_eq!(node["spec"]["taints"], json!([uninitialized]));
    assert_eq!(node["spec"]["unschedulable"], true);
    // The cloud's controller-manager and an administrator have been there.
    node["spec"] = json!({"podCIDR": "10.10.48.0/24", "providerID": "cloud://i-7"});
    assert!(plan(&want, there(&node), REPLACE).unwrap().is_empty());
    let again = wanted(&["10.10.49.1/24"]);
    let again = Wanted { external_cloud: true, ..again };
    let steps = plan(&again, there(&node), REPLACE).unwrap();
    let [Step::Delete(..), Step::Create(new)] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!(
        new["spec"],
        json!({"podCIDR": "10.10.49.0/24", "taints": [uninitialized], "providerID": "cloud://i-7"})
    );
}

#[test]
fn a_provider_id_is_set_once() {
    let want = Wanted { provider_id: Some("cloud://i-7".into()), ..wanted(&["10.10.48.1/24"]) };
    let mut node = created(&want);
    assert_eq!(node["spec"]["providerID"], "cloud://i-7");
    node["spec"]["providerID"] = json!("");
    let steps = plan(&want, there(&node), NOT).unwrap();
    let [Step::Patch(_, patch)] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!(patch["spec"], json!({"providerID": "cloud://i-7"}));
    node["spec"]["providerID"] = json!("cloud://i-8");
    assert_eq!(
        plan(&want, there(&node), NOT).unwrap_err(),
        "node 10.10.48.1 has providerID cloud://i-8, asked is cloud://i-7: --replace deletes and creates it again"
    );
    let steps = plan(&want, there(&node), REPLACE).unwrap();
    let [Step::Delete(..), Step::Create(new)] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!(new["spec"]["providerID"], "cloud://i-7");
}

/// Killed between delete and create.
#[test]
fn a_node_that_was_deleted_comes_back_with_all_it_had() {
    let want = wanted(&["10.10.48.1/24"]);
    let mut old = created(&wanted(&["10.10.40.1/24"]));
    old["metadata"]["labels"]["zone"] = json!("z1");
    old["metadata"]["annotations"]["note"] = json!("n");
    old["spec"]["unschedulable"] = json!(true);
    old["spec"]["taints"] = json!([
        {"key": "dedicated", "value": "x", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"},
    ]);
    old["status"] = json!({"images": []});
    let kept = keepsake(&old, None);
    assert!(kept["status"].is_null());
    let found = Found { keepsake: Some(&kept), ..Found::default() };
    let steps = plan(&want, found, NOT).unwrap();
    let [Step::Create(new)] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!(new["spec"]["podCIDR"], "10.10.48.0/24");
    assert_eq!(
        (&new["metadata"]["labels"]["zone"], &new["spec"]["unschedulable"]),
        (&json!("z1"), &json!(true))
    );
    assert_eq!(new["spec"]["taints"].as_array().unwrap().len(), 2);
    // The kubelet was faster: what it did not know comes back, what controllers see to does not.
    let bare = json!({"metadata": {"uid": "new", "labels": {"zone": "z2"}}, "spec": {}});
    let steps = plan(&want, Found { node: Some(&bare), ..found }, NOT).unwrap();
    let [Step::Patch(_, patch)] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!(patch["metadata"]["annotations"]["note"], "n");
    assert!(patch["metadata"]["labels"]["zone"].is_null(), "{patch}");
    assert_eq!(patch["spec"]["unschedulable"], true);
    assert_eq!(patch["spec"]["taints"], json!([{"key": "dedicated", "value": "x", "effect": "NoSchedule"}]));
}

#[test]
fn a_node_that_is_ready_is_made_anew_by_force_only() {
    let mut ready = created(&wanted(&["10.10.48.1/24"]));
    ready["status"] = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    let want = wanted(&["10.10.49.1/24"]);
    assert_eq!(
        plan(&want, there(&ready), REPLACE).unwrap_err(),
        "node 10.10.48.1 has podCIDR 10.10.48.0/24, wanted is 10.10.49.0/24, and it is Ready: drain it and stop its kubelet first, or give --force"
    );
    assert_eq!(plan(&want, there(&ready), FORCE).unwrap().len(), 2);
}

#[test]
fn a_pod_network_outside_of_the_clusters() {
    let cidrs = |list: &[&str]| list.iter().map(|c| c.parse::<Cidr>().unwrap()).collect::<Vec<_>>();
    let pods = cidrs(&["10.10.48.0/24", "fd00:42:0:3::/64"]);
    assert_eq!(outside_of(&[], &pods), None);
    assert_eq!(outside_of(&cidrs(&["10.10.0.0/16", "fd00:42::/48"]), &pods), None);
    let says = outside_of(&cidrs(&["10.10.48.0/25", "fd00:42::/48"]), &pods).unwrap();
    assert!(
        says.starts_with("podCIDR 10.10.48.0/24 is outside of --cluster-cidr 10.10.48.0/25,fd00:42::/48: "),
        "{says}"
    );
    assert!(outside_of(&cidrs(&["10.10.0.0/16"]), &pods).unwrap().starts_with("podCIDR fd00:42:0:3::/64 is"));
    // Compared index by index there.
    let six_first = cidrs(&["fd00:42::/48", "10.10.0.0/16"]);
    assert_eq!(outside_of(&six_first, &cidrs(&["fd00:42:0:3::/64", "10.10.48.0/24"])), None);
    assert_eq!(
        outside_of(&six_first, &pods).unwrap(),
        "podCIDR 10.10.48.0/24 is outside of number 1 of --cluster-cidr fd00:42::/48,10.10.0.0/16: a kube-controller-manager with --allocate-node-cidrs does not start any more once a Node has it: the Node's podCIDRs are to be in its order"
    );
}

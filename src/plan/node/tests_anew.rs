//! Nodes that are made anew.

use serde_json::json;

use super::tests::{FORCE, NOT, REPLACE, created, there, wanted};
use super::*;

/// Deleted for another podCIDR; the kubelet made it anew, and the controller-manager gave it a podCIDR.
#[test]
fn a_node_that_came_back_with_another_pod_cidr_loses_nothing() {
    let want = Wanted { labels: vec!["rack=r7".parse().unwrap()], ..wanted(&["10.10.48.1/24"]) };
    let mut old = created(&wanted(&["10.10.40.1/24"]));
    old["metadata"]["uid"] = json!("old");
    old["metadata"]["labels"]["zone"] = json!("z1");
    old["spec"]["unschedulable"] = json!(true);
    old["spec"]["taints"] = json!([
        {"key": "dedicated", "value": "x", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"},
    ]);
    let kept = keepsake(&old, None);
    let bare = json!({
        "metadata": {"uid": "new", "labels": {"zone": "z2", "new": "n"}},
        "spec": {"podCIDR": "10.10.41.0/24", "podCIDRs": ["10.10.41.0/24"], "providerID": "cloud://i-7"},
    });
    let steps = plan(&want, Found { keepsake: Some(&kept), ..there(&bare) }, REPLACE).unwrap();
    let [Step::Delete(_, uid), Step::Create(new)] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!(uid, "new");
    let labels = &new["metadata"]["labels"];
    assert_eq!(
        [&labels["zone"], &labels["new"], &labels["rack"]],
        [&json!("z2"), &json!("n"), &json!("r7")],
        "what it has now is newer"
    );
    let taints = json!([{"key": "dedicated", "value": "x", "effect": "NoSchedule"}]);
    assert_eq!(
        new["spec"],
        json!({"podCIDR": "10.10.48.0/24", "providerID": "cloud://i-7", "unschedulable": true, "taints": taints})
    );
    // What is kept before the delete has it all, and is no record of the Node that is there.
    let merged = keepsake(&bare, Some(&kept));
    assert_eq!((&merged["metadata"]["uid"], &merged["spec"]["taints"]), (&json!("old"), &taints));
    assert_eq!(merged["metadata"]["labels"]["kubernetes.io/os"], "linux");
    assert_eq!(keepsake(&json!({"metadata": {"labels": []}}), Some(&json!({})))["spec"]["taints"], json!([]));
}

#[test]
fn a_node_with_one_pod_cidr_gets_no_second() {
    let want = wanted(&["10.42.3.1/24", "fd00:42:0:3::1/64"]);
    let mut node = created(&wanted(&["10.42.3.1/24"]));
    node["metadata"]["name"] = json!("10.10.48.1");
    let says = "node 10.10.48.1 has one podCIDR only; a second cannot be added: ";
    let tells = |node: &Value, may| left_with_one(&want, node, may);
    assert!(plan(&want, there(&node), NOT).unwrap().is_empty());
    assert_eq!(tells(&node, NOT), Some(format!("{says}--replace deletes and creates it again")));
    let steps = plan(&want, there(&node), REPLACE).unwrap();
    let [Step::Delete(..), Step::Create(new)] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!(new["spec"]["podCIDRs"], json!(["10.42.3.0/24", "fd00:42:0:3::/64"]));
    assert_eq!(tells(&node, REPLACE), None);
    assert!(claims(&want, Some(&node), REPLACE) && !claims(&want, Some(&node), NOT));
    node["status"] = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    assert!(plan(&want, there(&node), REPLACE).unwrap().is_empty(), "no reason to stop its pods");
    assert!(tells(&node, REPLACE).unwrap().contains("once it is drained"));
    assert_eq!(plan(&want, there(&node), FORCE).unwrap().len(), 2);
    assert_eq!(tells(&created(&want), NOT), None);
}

//! The object that is posted.

use serde_json::{Map, Value, json};

use super::Wanted;
use super::meta::{Annotation, Label, Taint, check_value};
use crate::types::Cidr;

/// The labels that the kubelet gives its own Node and, started with --register-node=false, leaves to
/// whoever made it (kubelet_node_status.go, `initialNode`); the beta names are what 1.0 to 1.13 read.
fn own_labels(wanted: &Wanted) -> Vec<(String, String)> {
    let pairs = [
        ("kubernetes.io/hostname", wanted.name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", wanted.arch),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", wanted.arch),
    ];
    pairs
        .into_iter()
        .filter(|(_, v)| check_value(v).is_ok())
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

/// The same for annotations (1.3 on): who attaches volumes.
const OWN_ANNOTATION: (&str, &str) = ("volumes.kubernetes.io/controller-managed-attach-detach", "true");

pub(super) fn labels(wanted: &Wanted) -> Vec<(String, String)> {
    let mut all = own_labels(wanted);
    for Label(key, value) in &wanted.labels {
        all.retain(|(k, _)| k != key);
        all.push((key.clone(), value.clone()));
    }
    all
}

pub(super) fn annotations(wanted: &Wanted) -> Vec<(String, String)> {
    let own = [(OWN_ANNOTATION.0.to_owned(), OWN_ANNOTATION.1.to_owned())];
    let asked = wanted.annotations.iter().map(|Annotation(k, v)| (k.clone(), v.clone()));
    own.into_iter().filter(|(k, _)| !wanted.annotations.iter().any(|a| a.0 == *k)).chain(asked).collect()
}

pub(super) fn taint_json(taint: &Taint) -> Value {
    let mut object = Map::new();
    object.insert("key".into(), json!(taint.key));
    if !taint.value.is_empty() {
        object.insert("value".into(), json!(taint.value));
    }
    object.insert("effect".into(), json!(taint.effect));
    Value::Object(object)
}

fn object(pairs: &[(String, String)]) -> Value {
    Value::Object(pairs.iter().map(|(k, v)| (k.clone(), json!(v))).collect())
}

/// The spec's pod networks: one is podCIDR alone, which every server since 1.0 takes.
pub(super) fn pod_spec(cidrs: &[Cidr]) -> Map<String, Value> {
    let mut spec = Map::new();
    let texts: Vec<String> = cidrs.iter().map(ToString::to_string).collect();
    if let Some(first) = texts.first() {
        spec.insert("podCIDR".into(), json!(first));
    }
    if texts.len() > 1 {
        spec.insert("podCIDRs".into(), json!(texts));
    }
    spec
}

/// The taints of a Node that is made: those asked for, and the one by which a cloud's
/// controller-manager knows what it has to initialise (it takes it away then, and looks at no Node without).
pub(super) fn birth_taints(wanted: &Wanted) -> Vec<Taint> {
    let uninitialized = Taint {
        key: "node.cloudprovider.kubernetes.io/uninitialized".into(),
        value: "true".into(),
        effect: "NoSchedule".into(),
    };
    let is_asked = wanted.taints.iter().any(|t| t.identity() == uninitialized.identity());
    let cloud = Some(uninitialized).filter(|_| wanted.external_cloud && !is_asked);
    wanted.taints.iter().cloned().chain(cloud).collect()
}

/// externalID, which 1.0 to 1.10 want, is left to the server: it takes the name.
pub(super) fn body(wanted: &Wanted) -> Value {
    let mut spec = pod_spec(&wanted.pod_cidrs);
    let taints = birth_taints(wanted);
    if !taints.is_empty() {
        spec.insert("taints".into(), taints.iter().map(taint_json).collect());
    }
    if let Some(id) = &wanted.provider_id {
        spec.insert("providerID".into(), json!(id));
    }
    if wanted.unschedulable {
        spec.insert("unschedulable".into(), json!(true));
    }
    json!({
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {
            "name": wanted.name.as_str(),
            "labels": object(&labels(wanted)),
            "annotations": object(&annotations(wanted)),
        },
        "spec": spec,
    })
}

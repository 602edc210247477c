//! The Node object: what is wanted against what the API server has.

mod body;
mod meta;

use std::fmt;

use serde_json::{Map, Value, json};

use super::shell::quote;
use crate::types::{Cidr, NodeName};
use body::{annotations, body, labels, pod_spec, taint_json};
pub use meta::{Annotation, Label, Taint};

/// What the Node is to be.
pub struct Wanted {
    /// Its name.
    pub name: NodeName,
    /// The pod networks, masked; one of each family at most.
    pub pod_cidrs: Vec<Cidr>,
    /// Labels that were asked for.
    pub labels: Vec<Label>,
    /// Annotations that were asked for.
    pub annotations: Vec<Annotation>,
    /// Taints that were asked for.
    pub taints: Vec<Taint>,
    /// The machine as Go names it: amd64, arm64.
    pub arch: &'static str,
}

/// A change to the Node.
#[derive(Debug)]
pub enum Step {
    /// POST.
    Create(Value),
    /// Merge-patch of the named Node.
    Patch(NodeName, Value),
    /// DELETE of the Node with that uid.
    Delete(NodeName, String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Create(node) => write!(f, "kubectl create -f - <<< {}", quote(&node.to_string())),
            Step::Patch(name, patch) => {
                write!(f, "kubectl patch node {name} --type=merge -p {}", quote(&patch.to_string()))
            }
            Step::Delete(name, _) => write!(f, "kubectl delete node {name}"),
        }
    }
}

/// The pod networks that a Node has, masked: podCIDRs (1.16 on), else podCIDR.
pub fn pod_cidrs(node: &Value) -> Vec<Cidr> {
    let list = node["spec"]["podCIDRs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    let texts = if texts.is_empty() { node["spec"]["podCIDR"].as_str().into_iter().collect() } else { texts };
    texts.iter().filter_map(|t| t.parse::<Cidr>().ok()).map(|c| c.network()).collect()
}

/// Plans from what the server has. The error says what differs and is not kboot's to change unasked.
pub fn plan(wanted: &Wanted, found: Option<&Value>, replace: bool) -> Result<Vec<Step>, String> {
    let Some(node) = found else {
        return Ok(vec![Step::Create(body(wanted))]);
    };
    let has = pod_cidrs(node);
    // A server without the dual-stack gate keeps the first of two (observed on 1.20).
    let same = has == wanted.pod_cidrs || (has.len() == 1 && has.first() == wanted.pod_cidrs.first());
    if !has.is_empty() && !same {
        return different_cidr(wanted, node, &has, replace);
    }
    let mut patch = Map::new();
    if has.is_empty() {
        patch.insert("spec".into(), Value::Object(pod_spec(&wanted.pod_cidrs)));
    }
    let metadata = missing_metadata(wanted, node, replace)?;
    if let Some(taints) = missing_taints(wanted, node, replace)? {
        let spec = patch.entry("spec").or_insert_with(|| json!({}));
        spec["taints"] = taints;
    }
    if metadata.is_empty() && patch.is_empty() {
        return Ok(Vec::new());
    }
    let mut metadata = metadata;
    metadata.insert("resourceVersion".into(), node["metadata"]["resourceVersion"].clone());
    patch.insert("metadata".into(), Value::Object(metadata));
    Ok(vec![Step::Patch(wanted.name.clone(), Value::Object(patch))])
}

fn different_cidr(wanted: &Wanted, node: &Value, has: &[Cidr], replace: bool) -> Result<Vec<Step>, String> {
    let list = |cidrs: &[Cidr]| cidrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let differs =
        format!("node {} has podCIDR {}, wanted is {}", wanted.name, list(has), list(&wanted.pod_cidrs));
    if !replace {
        return Err(format!("{differs}: --replace deletes and creates it again"));
    }
    let conditions = node["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True") {
        return Err(format!("{differs}, and it is Ready: drain it and stop its kubelet first"));
    }
    let uid = node["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    Ok(vec![Step::Delete(wanted.name.clone(), uid), Step::Create(kept(wanted, node)?)])
}

/// The new body with what the old Node had besides.
fn kept(wanted: &Wanted, node: &Value) -> Result<Value, String> {
    let mut new = body(wanted);
    for field in ["labels", "annotations"] {
        let old = node["metadata"][field].as_object().cloned().unwrap_or_default();
        for (key, value) in old {
            let place = &mut new["metadata"][field][&key];
            if place.is_null() {
                *place = value;
            }
        }
    }
    if let Some(taints) = missing_taints(wanted, node, true)? {
        new["spec"]["taints"] = taints;
    } else if !node["spec"]["taints"].is_null() {
        new["spec"]["taints"] = node["spec"]["taints"].clone();
    }
    for field in ["providerID", "unschedulable"] {
        if !node["spec"][field].is_null() {
            new["spec"][field] = node["spec"][field].clone();
        }
    }
    Ok(new)
}

/// Labels and annotations to add; one that was asked for and has another value is a difference.
fn missing_metadata(wanted: &Wanted, node: &Value, replace: bool) -> Result<Map<String, Value>, String> {
    let mut metadata = Map::new();
    let asked_labels: Vec<&str> = wanted.labels.iter().map(|l| l.0.as_str()).collect();
    let asked_annotations: Vec<&str> = wanted.annotations.iter().map(|a| a.0.as_str()).collect();
    let fields =
        [("labels", labels(wanted), asked_labels), ("annotations", annotations(wanted), asked_annotations)];
    for (field, pairs, asked) in fields {
        let mut add = Map::new();
        for (key, value) in pairs {
            match node["metadata"][field][&key].as_str() {
                Some(has) if has == value => {}
                // What the kubelet, the administrator or a cloud set stays.
                Some(_) if !asked.contains(&key.as_str()) => {}
                Some(has) if !replace => {
                    let one = field.trim_end_matches('s');
                    return Err(format!(
                        "node {} has {one} {key}={has}, asked is {key}={value}: --replace changes it",
                        wanted.name
                    ));
                }
                _ => drop(add.insert(key, json!(value))),
            }
        }
        if !add.is_empty() {
            metadata.insert(field.into(), Value::Object(add));
        }
    }
    Ok(metadata)
}

/// The whole list with the missing ones behind, since a merge-patch replaces lists. `None`: all there.
/// A taint is one by key and effect; with another value it is a difference.
fn missing_taints(wanted: &Wanted, node: &Value, replace: bool) -> Result<Option<Value>, String> {
    let mut list = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let mut changed = false;
    for taint in &wanted.taints {
        let there = list.iter_mut().find(|t| t["key"] == taint.key && t["effect"] == taint.effect);
        match there {
            Some(t) if t["value"].as_str().unwrap_or_default() == taint.value => continue,
            Some(t) if !replace => {
                let value = t["value"].as_str().unwrap_or_default();
                let (name, key, effect) = (&wanted.name, &taint.key, &taint.effect);
                return Err(format!(
                    "node {name} has taint {key}={value}:{effect}, asked is {key}={}:{effect}: --replace changes it",
                    taint.value
                ));
            }
            Some(t) => *t = taint_json(taint),
            None => list.push(taint_json(taint)),
        }
        changed = true;
    }
    Ok(changed.then_some(Value::Array(list)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(cidrs: &[&str]) -> Wanted {
        Wanted {
            name: "10.10.48.1".parse().unwrap(),
            pod_cidrs: cidrs.iter().map(|c| c.parse::<Cidr>().unwrap().network()).collect(),
            labels: Vec::new(),
            annotations: Vec::new(),
            taints: Vec::new(),
            arch: "amd64",
        }
    }

    fn created(wanted: &Wanted) -> Value {
        match &plan(wanted, None, false).unwrap()[..] {
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
        assert!(plan(&want, Some(&created(&want)), false).unwrap().is_empty());
        let mut unmasked = created(&want);
        unmasked["spec"]["podCIDR"] = json!("10.10.48.1/24");
        assert!(plan(&want, Some(&unmasked), false).unwrap().is_empty(), "1.0 to 1.15 keep host bits");
        let two = wanted(&["10.42.3.1/24", "fd00:42:0:3::1/64"]);
        let mut truncated = created(&two);
        truncated["spec"] = json!({"podCIDR": "10.42.3.0/24", "podCIDRs": ["10.42.3.0/24"]});
        assert!(plan(&two, Some(&truncated), false).unwrap().is_empty());
    }

    #[test]
    fn another_pod_cidr_is_a_conflict_that_names_both() {
        let node = created(&wanted(&["10.10.48.1/24"]));
        let error = plan(&wanted(&["10.10.49.1/24"]), Some(&node), false).unwrap_err();
        assert_eq!(
            error,
            "node 10.10.48.1 has podCIDR 10.10.48.0/24, wanted is 10.10.49.0/24: --replace deletes and creates it again"
        );
        let mut ready = node.clone();
        ready["status"] = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        assert!(plan(&wanted(&["10.10.49.1/24"]), Some(&ready), true).unwrap_err().contains("is Ready"));
        let mut old = node;
        old["metadata"]["labels"]["zone"] = json!("z1");
        old["spec"]["taints"] = json!([{"key": "k", "effect": "NoSchedule"}]);
        let steps = plan(&wanted(&["10.10.49.1/24"]), Some(&old), true).unwrap();
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
        let steps = plan(&want, Some(&bare), false).unwrap();
        let [Step::Patch(_, patch)] = &steps[..] else { panic!("{steps:?}") };
        assert_eq!(patch["spec"]["podCIDR"], "10.10.48.0/24");
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert_eq!(patch["metadata"]["labels"]["rack"], "r7");
        assert!(patch["metadata"]["labels"]["own"].is_null());
        let mut other = created(&want);
        other["metadata"]["labels"]["rack"] = json!("r8");
        other["metadata"]["labels"]["kubernetes.io/hostname"] = json!("set-by-kubelet");
        let error = plan(&want, Some(&other), false).unwrap_err();
        assert_eq!(error, "node 10.10.48.1 has label rack=r8, asked is rack=r7: --replace changes it");
        assert_eq!(plan(&want, Some(&other), true).unwrap().len(), 1);
    }
}

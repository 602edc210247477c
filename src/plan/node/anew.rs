//! A Node that can only be made anew: what the API server lets nobody change once it is set.

use serde_json::{Value, json};

use super::body::{birth_taints, body};
use super::complete::with_taints;
use super::pods::{Pods, compare};
use super::{Holder, May, Step, Wanted, is_ready};

/// Which of those fields differs, in words.
pub(super) fn difference(wanted: &Wanted, node: &Value) -> Option<String> {
    let name = &wanted.name;
    if let Pods::Other(has) = compare(&wanted.pod_cidrs, node) {
        let list: Vec<String> = wanted.pod_cidrs.iter().map(ToString::to_string).collect();
        return Some(format!("node {name} has podCIDR {has}, wanted is {}", list.join(",")));
    }
    let has = node["spec"]["providerID"].as_str().filter(|id| !id.is_empty())?;
    let asked = wanted.provider_id.as_ref().filter(|asked| *asked != has)?;
    Some(format!("node {name} has providerID {has}, asked is {asked}"))
}

/// Deletes and creates: with --replace, and a Node that is Ready with --force only.
pub(super) fn steps(
    wanted: &Wanted,
    node: &Value,
    differs: &str,
    holder: Option<&Holder>,
    may: May,
) -> Result<Vec<Step>, String> {
    if let Some(holder) = holder {
        return Err(holder.refusal_after(differs));
    }
    if !may.replace {
        return Err(format!("{differs}: --replace deletes and creates it again"));
    }
    if is_ready(node) && !may.force {
        return Err(format!(
            "{differs}, and it is Ready: drain it and stop its kubelet first, or give --force"
        ));
    }
    let uid = node["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    Ok(vec![Step::Delete(wanted.name.clone(), uid), Step::Create(with_what_was(wanted, node))])
}

/// The new body with what the old Node had besides: labels, annotations, taints, and of its spec all but
/// the pod networks.
pub(super) fn with_what_was(wanted: &Wanted, old: &Value) -> Value {
    let mut new = body(wanted);
    for (field, part) in [("metadata", "labels"), ("metadata", "annotations")] {
        let had = old[field][part].as_object().into_iter().flatten();
        let new = &mut new[field][part];
        for (key, value) in had.filter(|(key, _)| new[*key].is_null()).collect::<Vec<_>>() {
            new[key] = value.clone();
        }
    }
    let taints = with_taints(&old["spec"]["taints"], &birth_taints(wanted));
    for (key, value) in spec_of(old) {
        if new["spec"][key].is_null() {
            new["spec"][key] = value.clone();
        }
    }
    if !taints.is_empty() {
        new["spec"]["taints"] = Value::Array(taints);
    }
    new
}

/// What a Node's spec has beside pod networks and taints: providerID, externalID, unschedulable.
pub(super) fn spec_of(node: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let fields = node["spec"].as_object().into_iter().flatten();
    fields.filter(|(key, _)| !["podCIDR", "podCIDRs", "taints"].contains(&key.as_str()))
}

/// What to keep of a Node while it is deleted and not created again.
pub fn keepsake(node: &Value) -> Value {
    let meta = &node["metadata"];
    json!({
        "metadata": { "uid": meta["uid"], "labels": meta["labels"], "annotations": meta["annotations"] },
        "spec": node["spec"],
    })
}

//! A Node that can only be made anew: what the API server lets nobody change once it is set.

use serde_json::{Value, json};

use super::body::{birth_taints, body};
use super::complete::with_taints;
use super::meta::is_controllers;
use super::pods::{Pods, compare};
use super::{Found, May, Step, Wanted, is_ready};

/// Which of those fields differs, in words. One podCIDR of two is no difference to a Node that would have to
/// be Ready no more for it.
pub(super) fn difference(wanted: &Wanted, node: &Value, may: May) -> Option<String> {
    let name = &wanted.name;
    match compare(&wanted.pod_cidrs, node) {
        Pods::Other(has) => {
            let list: Vec<String> = wanted.pod_cidrs.iter().map(ToString::to_string).collect();
            return Some(format!("node {name} has podCIDR {has}, wanted is {}", list.join(",")));
        }
        Pods::First if may.replace && (may.force || !is_ready(node)) => return Some(lacks_second(wanted)),
        _ => {}
    }
    let has = node["spec"]["providerID"].as_str().filter(|id| !id.is_empty())?;
    let asked = wanted.provider_id.as_ref().filter(|asked| *asked != has)?;
    Some(format!("node {name} has providerID {has}, asked is {asked}"))
}

fn lacks_second(wanted: &Wanted) -> String {
    format!("node {} has one podCIDR only; a second cannot be added", wanted.name)
}

/// What the operator is told of a Node that is left with one podCIDR of two.
pub fn left_with_one(wanted: &Wanted, node: &Value, may: May) -> Option<String> {
    let is_left = compare(&wanted.pod_cidrs, node) == Pods::First && difference(wanted, node, may).is_none();
    let how = if is_ready(node) {
        "once it is drained and its kubelet stopped, --replace deletes and creates it again"
    } else {
        "--replace deletes and creates it again"
    };
    is_left.then(|| format!("{}: {how}", lacks_second(wanted)))
}

/// Deletes and creates: with --replace, and a Node that is Ready with --force only.
pub(super) fn steps(
    wanted: &Wanted,
    node: &Value,
    differs: &str,
    found: Found<'_>,
    may: May,
) -> Result<Vec<Step>, String> {
    if let Some(holder) = found.holder {
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
    let was = keepsake(node, found.keepsake);
    Ok(vec![Step::Delete(wanted.name.clone(), uid), Step::Create(with_what_was(wanted, &was))])
}

/// The new body with what the old Node had besides: labels, annotations, taints, and of its spec all but
/// the pod networks.
pub(super) fn with_what_was(wanted: &Wanted, old: &Value) -> Value {
    let mut new = body(wanted);
    fill(&mut new, old);
    let taints = with_taints(&old["spec"]["taints"], &birth_taints(wanted));
    if !taints.is_empty() {
        new["spec"]["taints"] = Value::Array(taints);
    }
    new
}

/// Gives a Node what an old one had and it has not, but for pod networks and taints.
fn fill(new: &mut Value, old: &Value) {
    let of = |part: &str| old["metadata"][part].as_object().into_iter().flatten();
    let add = |new: &mut Value, key: &str, value: &Value| {
        if new[key].is_null() {
            new[key] = value.clone();
        }
    };
    for part in ["labels", "annotations"] {
        of(part).for_each(|(key, value)| add(&mut new["metadata"][part], key, value));
    }
    spec_of(old).for_each(|(key, value)| add(&mut new["spec"], key, value));
}

/// A list of taints with those that were kept, but for what controllers see to.
pub(super) fn with_kept_taints(mut taints: Vec<Value>, keepsake: &Value) -> Vec<Value> {
    for kept in keepsake["spec"]["taints"].as_array().into_iter().flatten() {
        let is_there = taints.iter().any(|t| t["key"] == kept["key"] && t["effect"] == kept["effect"]);
        if !is_controllers(kept) && !is_there {
            taints.push(kept.clone());
        }
    }
    taints
}

/// What a Node's spec has beside pod networks and taints: providerID, externalID, unschedulable.
pub(super) fn spec_of(node: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let fields = node["spec"].as_object().into_iter().flatten();
    fields.filter(|(key, _)| !["podCIDR", "podCIDRs", "taints"].contains(&key.as_str()))
}

/// What to keep of a Node while it is deleted and not created again. With what was kept `before` of one
/// that had its name, which it may not have got back: its uid then, since that Node is there no more.
pub fn keepsake(node: &Value, before: Option<&Value>) -> Value {
    let object = |value: &Value| Value::Object(value.as_object().cloned().unwrap_or_default());
    let meta = &node["metadata"];
    let mut kept = json!({
        "metadata": {
            "uid": before.map_or(&meta["uid"], |b| &b["metadata"]["uid"]),
            "labels": object(&meta["labels"]),
            "annotations": object(&meta["annotations"]),
        },
        "spec": object(&node["spec"]),
    });
    if let Some(before) = before {
        fill(&mut kept, before);
        let taints = kept["spec"]["taints"].as_array().cloned().unwrap_or_default();
        kept["spec"]["taints"] = Value::Array(with_kept_taints(taints, before));
    }
    kept
}

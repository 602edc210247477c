//! What a Node that is there lacks. Nothing is taken away from it.

use serde_json::{Map, Value, json};

use super::anew::{spec_of, with_kept_taints};
use super::body::{annotations, labels, pod_spec, taint_json};
use super::pods::{Pods, compare};
use super::{Taint, Wanted};

/// Labels and annotations to add; one that was asked for and has another value is a difference.
pub(super) fn metadata(
    wanted: &Wanted,
    node: &Value,
    keepsake: Option<&Value>,
    replace: bool,
) -> Result<Map<String, Value>, String> {
    let mut metadata = Map::new();
    let asked_labels: Vec<&str> = wanted.labels.iter().map(|l| l.0.as_str()).collect();
    let asked_annotations: Vec<&str> = wanted.annotations.iter().map(|a| a.0.as_str()).collect();
    let fields =
        [("labels", labels(wanted), asked_labels), ("annotations", annotations(wanted), asked_annotations)];
    for (field, mut pairs, asked) in fields {
        let kept = keepsake.and_then(|k| k["metadata"][field].as_object()).into_iter().flatten();
        let kept = kept.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())));
        pairs.extend(kept.filter(|(k, _)| !pairs.iter().any(|p| p.0 == *k)).collect::<Vec<_>>());
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

/// The same for the spec. What a Node is only born with is not put back.
pub(super) fn spec(
    wanted: &Wanted,
    node: &Value,
    keepsake: Option<&Value>,
    replace: bool,
) -> Result<Map<String, Value>, String> {
    let mut spec = Map::new();
    if compare(&wanted.pod_cidrs, node) == Pods::Missing {
        spec = pod_spec(&wanted.pod_cidrs);
    }
    let asked = wanted.provider_id.as_ref().map(|id| ("providerID", json!(id)));
    let kept = keepsake.into_iter().flat_map(spec_of).map(|(k, v)| (k.as_str(), v.clone()));
    for (key, value) in asked.into_iter().chain(kept) {
        let has = &node["spec"][key];
        if (has.is_null() || has == "") && !spec.contains_key(key) {
            spec.insert(key.to_owned(), value);
        }
    }
    if let Some(taints) = missing_taints(wanted, node, keepsake, replace)? {
        spec.insert("taints".into(), taints);
    }
    Ok(spec)
}

/// The whole list, since a merge-patch replaces lists; `None`: all are there.
fn missing_taints(
    wanted: &Wanted,
    node: &Value,
    keepsake: Option<&Value>,
    replace: bool,
) -> Result<Option<Value>, String> {
    let differs = wanted.taints.iter().find_map(|t| differing_taint(wanted, node, t));
    if let Some(differs) = differs.filter(|_| !replace) {
        return Err(differs);
    }
    let has = &node["spec"]["taints"];
    let mut taints = with_taints(has, &wanted.taints);
    if let Some(kept) = keepsake {
        taints = with_kept_taints(taints, kept);
    }
    let is_same = has.as_array().map_or(taints.is_empty(), |has| *has == taints);
    Ok((!is_same).then_some(Value::Array(taints)))
}

/// A taint is one by key and effect; with another value it is a difference.
fn differing_taint(wanted: &Wanted, node: &Value, taint: &Taint) -> Option<String> {
    let mut list = node["spec"]["taints"].as_array()?.iter();
    let there = list.find(|t| t["key"] == taint.key && t["effect"] == taint.effect)?;
    let value = there["value"].as_str().unwrap_or_default();
    let (name, key, effect) = (&wanted.name, &taint.key, &taint.effect);
    (value != taint.value).then(|| {
        format!(
            "node {name} has taint {key}={value}:{effect}, asked is {key}={}:{effect}: --replace changes it",
            taint.value
        )
    })
}

/// A list of taints with these in it, the new ones behind.
pub(super) fn with_taints(has: &Value, taints: &[Taint]) -> Vec<Value> {
    let mut list = has.as_array().cloned().unwrap_or_default();
    for taint in taints {
        match list.iter_mut().find(|t| t["key"] == taint.key && t["effect"] == taint.effect) {
            Some(t) if t["value"].as_str().unwrap_or_default() == taint.value => {}
            Some(t) => *t = taint_json(taint),
            None => list.push(taint_json(taint)),
        }
    }
    list
}

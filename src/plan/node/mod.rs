//! The Node object: what is wanted against what the API server has.

mod anew;
mod body;
mod complete;
mod meta;
mod pods;
mod ready;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_anew;

use std::fmt;

use serde_json::{Map, Value};

use super::shell::quote;
use crate::types::{Cidr, NodeName};
pub use anew::{keepsake, left_with_one};
use body::body;
pub use meta::{Annotation, EFFECTS, Label, Taint};
pub use pods::{Holder, Pods, compare, holder, outside_of, pod_cidrs};
pub use ready::{complaints, is_ready};

/// What the Node is to be.
#[derive(Clone)]
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
    /// spec.providerID, which can be set once.
    pub provider_id: Option<String>,
    /// Whether a Node that is made waits for a cloud's controller-manager to complete it.
    pub external_cloud: bool,
    /// Whether a Node that is made takes no pods until somebody uncordons it.
    pub unschedulable: bool,
}

/// What there is.
#[derive(Clone, Copy, Default)]
pub struct Found<'a> {
    /// The Node.
    pub node: Option<&'a Value>,
    /// Another Node that has the wanted pod network; looked for where [`claims`] says so.
    pub holder: Option<&'a Holder>,
    /// The [`keepsake`] of a Node that was deleted and maybe not created again.
    pub keepsake: Option<&'a Value>,
}

/// What may be done to a Node that differs.
#[derive(Clone, Copy, Default)]
pub struct May {
    /// Change what was asked for and differs; make it anew where it cannot be changed.
    pub replace: bool,
    /// Even while it is Ready.
    pub force: bool,
}

/// A change to the Node.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// POST.
    Create(Value),
    /// Merge-patch of the named Node.
    Patch(NodeName, Value),
    /// DELETE of the Node with that uid.
    Delete(NodeName, String),
}

impl Step {
    /// The step without its JSON.
    pub fn short(&self) -> String {
        match self {
            Step::Create(node) => format!("create node {}", node["metadata"]["name"].as_str().unwrap_or("?")),
            Step::Patch(name, _) => format!("patch node {name}"),
            Step::Delete(name, _) => format!("delete node {name}"),
        }
    }
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

/// Whether the Node is to be given the wanted pod networks, which no other Node may have then.
pub fn claims(wanted: &Wanted, node: Option<&Value>, may: May) -> bool {
    node.is_none_or(|node| match compare(&wanted.pod_cidrs, node) {
        Pods::Same => false,
        Pods::First => may.replace,
        Pods::Missing | Pods::Other(_) => true,
    })
}

/// Plans from what there is. The error says what differs and is not kboot's to change unasked.
pub fn plan(wanted: &Wanted, found: Found<'_>, may: May) -> Result<Vec<Step>, String> {
    let differs = found.node.and_then(|node| Some((node, anew::difference(wanted, node, may)?)));
    if let Some((node, differs)) = differs {
        return anew::steps(wanted, node, &differs, found, may);
    }
    if let Some(holder) = found.holder {
        return Err(holder.refusal());
    }
    let Some(node) = found.node else {
        let kept = found.keepsake.map(|old| anew::with_what_was(wanted, old));
        return Ok(vec![Step::Create(kept.unwrap_or_else(|| body(wanted)))]);
    };
    let mut metadata = complete::metadata(wanted, node, found.keepsake, may.replace)?;
    let spec = complete::spec(wanted, node, found.keepsake, may.replace)?;
    let mut patch = Map::new();
    if metadata.is_empty() && spec.is_empty() {
        return Ok(Vec::new());
    }
    if !spec.is_empty() {
        patch.insert("spec".into(), Value::Object(spec));
    }
    metadata.insert("resourceVersion".into(), node["metadata"]["resourceVersion"].clone());
    patch.insert("metadata".into(), Value::Object(metadata));
    Ok(vec![Step::Patch(wanted.name.clone(), Value::Object(patch))])
}

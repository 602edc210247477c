//! A Node's pod networks: spec.podCIDRs (1.16 on), before that spec.podCIDR alone.

use serde_json::Value;

use crate::types::Cidr;

/// What to do about two Nodes with one subnet.
const ADVICE: &str =
    "delete that Node if its host is gone, else look where the two hosts have their leases from";

fn texts(node: &Value) -> Vec<&str> {
    let spec = &node["spec"];
    let list: Vec<&str> =
        spec["podCIDRs"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let first = spec["podCIDR"].as_str().filter(|t| !t.is_empty());
    if list.is_empty() { first.into_iter().collect() } else { list }
}

/// Reads what an API server has let pass: host bits until 1.36, leading zeros until Go 1.17 (1.23), and
/// before 1.9 anything.
fn read(text: &str) -> Option<Cidr> {
    let plain = |part: &str| match part.trim_start_matches('0') {
        "" => "0".to_owned(),
        rest => rest.to_owned(),
    };
    let without_zeros = || {
        let (addr, len) = text.split_once('/')?;
        format!("{}/{len}", addr.split('.').map(plain).collect::<Vec<_>>().join(".")).parse::<Cidr>().ok()
    };
    text.parse::<Cidr>().ok().or_else(without_zeros).map(|c| c.network())
}

/// The pod networks that a Node has, masked.
pub fn pod_cidrs(node: &Value) -> Vec<Cidr> {
    texts(node).into_iter().filter_map(read).collect()
}

/// What a Node's pod networks are to those wanted.
#[derive(Debug, PartialEq, Eq)]
pub enum Pods {
    /// It has none.
    Missing,
    /// The same, in whatever order.
    Same,
    /// The first of two alone. What a server without dual stack keeps (observed on 1.20); on one that has
    /// it a second cannot be added.
    First,
    /// Others, as the Node has them.
    Other(String),
}

/// Compares them.
pub fn compare(wanted: &[Cidr], node: &Value) -> Pods {
    let texts = texts(node);
    let has: Vec<Option<Cidr>> = texts.iter().map(|t| read(t)).collect();
    match has[..] {
        [] => Pods::Missing,
        _ if has.len() == wanted.len() && wanted.iter().all(|w| has.contains(&Some(*w))) => Pods::Same,
        [Some(one)] if wanted.first() == Some(&one) => Pods::First,
        _ => Pods::Other(texts.join(",")),
    }
}

/// Another Node that has a wanted pod network, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    node: String,
    has: Cidr,
    wanted: Cidr,
}

/// Looks at one Node's name and pod networks.
pub fn holder(wanted: &[Cidr], node: &str, has: &[String]) -> Option<Holder> {
    let has: Vec<Cidr> = has.iter().filter_map(|t| read(t)).collect();
    let pairs = wanted.iter().flat_map(|w| has.iter().map(move |h| (*w, *h)));
    let (wanted, has) = pairs.into_iter().find(|(w, h)| w.overlaps(h))?;
    Some(Holder { node: node.to_owned(), has, wanted })
}

impl Holder {
    /// Why a Node cannot be given that network.
    pub(super) fn refusal(&self) -> String {
        format!("podCIDR {} {}: {ADVICE}", self.wanted, self.words())
    }

    /// The same behind a Node's own difference.
    pub(super) fn refusal_after(&self, differs: &str) -> String {
        format!("{differs}, which {}: {ADVICE}", self.words())
    }

    fn words(&self) -> String {
        if self.has == self.wanted {
            format!("is node {}'s already", self.node)
        } else {
            format!("overlaps node {}'s {}", self.node, self.has)
        }
    }
}

/// What a podCIDR outside of the controller-manager's --cluster-cidr leads to: with
/// --allocate-node-cidrs it marks those of all Nodes as taken when it starts, and ends with status 255 over
/// one that is not inside the cluster's network of the same index (kubernetes#82773, #95948; seen on 1.20.2).
pub fn outside_of(cluster: &[Cidr], pods: &[Cidr]) -> Option<String> {
    let inside = |at: usize, pod: &Cidr| cluster.get(at).is_some_and(|c| c.covers(pod));
    let (at, pod) = pods.iter().enumerate().find(|(at, pod)| !cluster.is_empty() && !inside(*at, pod))?;
    let (which, advice) = if cluster.iter().any(|c| c.covers(pod)) {
        (format!("number {} of ", at + 1), "the Node's podCIDRs are to be in its order")
    } else {
        (String::new(), "flannel's Network is to lie inside")
    };
    let list = cluster.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    Some(format!(
        "podCIDR {pod} is outside of {which}--cluster-cidr {list}: a kube-controller-manager with \
         --allocate-node-cidrs does not start any more once a Node has it: {advice}"
    ))
}

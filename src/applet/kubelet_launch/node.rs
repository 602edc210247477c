//! What the API server says of this host's Node, asked once and shortly: the kubelet waits for it anyway.

use std::time::Duration;

use serde_json::Value;

use super::preflight::Scene;
use crate::error::Result;
use crate::plan::node::{self, Pods};
use crate::plan::preflight::{Finding, Level};
use crate::sys::http::Response;
use crate::types::{Cidr, NodeName};

/// Longer than any healthy server takes.
const LONGEST: Duration = Duration::from_secs(2);

/// The Node, as far as it can be seen from here. Certificates and keys that do not fit are exit 2.
pub fn look(scene: &Scene, name: &NodeName) -> Result<Finding> {
    let server = &scene.server;
    if let Some(why) = &server.lacks {
        // The kubelet runs plugins itself.
        return Ok(Finding::ok("node", format!("{}: not asked: {why}", server.url)));
    }
    let header = server.credentials.header();
    let path = format!("/api/v1/nodes/{name}");
    Ok(match server.client()?.send_as(header.as_deref(), "GET", &path, None, LONGEST) {
        Ok(answer) => found(scene, name, &answer),
        Err(failure) => warning(
            format!("{}: {}", server.url, failure.why),
            "the kubelet starts, and tries again and again",
            "see to the API server, or --server",
        ),
    })
}

fn warning(what: String, why: &str, advice: &str) -> Finding {
    Finding::bad("node", Level::Warning, what, why, advice)
}

fn found(scene: &Scene, name: &NodeName, answer: &Response) -> Finding {
    let url = &scene.server.url;
    match answer.status {
        200 => compare(&scene.lease, name, &serde_json::from_slice(&answer.body).unwrap_or_default()),
        404 if scene.is_on("register-node", scene.args.register_node) => {
            Finding::ok("node", format!("{name}: the kubelet makes it"))
        }
        404 => warning(
            format!("{url} has no Node {name}"),
            "the kubelet does not make it (--register-node=false)",
            "run kboot register",
        ),
        status => warning(
            format!("{url}: HTTP status {status} for Node {name}"),
            "the kubelet may not get further",
            "see to its credentials (--kubeconfig)",
        ),
    }
}

fn compare(lease: &[Cidr], name: &NodeName, node: &Value) -> Finding {
    let list = |cidrs: &[Cidr]| cidrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let wanted: Vec<Cidr> = lease.iter().map(Cidr::network).collect();
    match node::compare(&wanted, node) {
        Pods::Missing if !wanted.is_empty() => {
            let what = format!("Node {name} has no podCIDR");
            warning(what, "nobody routes to its pods", "run kboot register")
        }
        Pods::Other(has) if !wanted.is_empty() => {
            let what = format!("Node {name} has podCIDR {has}, the lease is {}", list(&wanted));
            warning(what, "its pods are looked for elsewhere", "run kboot register --replace")
        }
        _ => {
            let has = node::pod_cidrs(node);
            Finding::ok("node", format!("{name} is there, with podCIDR {}", list(&has)))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_families_count() {
        let lease = ["10.97.3.1/24", "fd00:97:3::1/64"].map(|c| c.parse().unwrap());
        let of = |cidrs: &[&str]| {
            let node = json!({"spec": {"podCIDR": cidrs.first(), "podCIDRs": cidrs}});
            compare(&lease, &"n7".parse().unwrap(), &node).to_string()
        };
        assert_eq!(
            of(&["10.97.3.0/24", "fd00:97:3::/64"]),
            "n7 is there, with podCIDR 10.97.3.0/24,fd00:97:3::/64"
        );
        assert_eq!(of(&["10.97.3.0/24"]), "n7 is there, with podCIDR 10.97.3.0/24", "no dual stack");
        assert_eq!(
            of(&["10.97.3.0/24", "fd00:97:4::/64"]),
            "Node n7 has podCIDR 10.97.3.0/24,fd00:97:4::/64, the lease is 10.97.3.0/24,fd00:97:3::/64: its pods \
             are looked for elsewhere: run kboot register --replace"
        );
        assert_eq!(of(&[]), "Node n7 has no podCIDR: nobody routes to its pods: run kboot register");
    }
}

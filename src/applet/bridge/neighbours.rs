//! What docker and the Node take for this host's subnet, where they can be asked.

use std::time::Duration;

use serde_json::{Value, json};

use super::Run;
use super::goal::Goal;
use crate::applet::{node_name, server};
use crate::client::kube::Kube;
use crate::error::{Context, Result};
use crate::plan::docker0::bridge_of;
use crate::plan::node;
use crate::plan::subnet_env::Lease;
use crate::sys::log;
use crate::sys::wait::Deadline;
use crate::types::{Cidr, Timeout};

/// The longest that the API server is asked.
const LONGEST: Duration = Duration::from_secs(5);

/// A line for each thing that they see otherwise.
pub fn differences(run: &mut Run<'_>, goal: &Goal, lease: &Lease) -> Result<Vec<String>> {
    let mut found = of_docker(run, goal)?;
    found.extend(of_node(run, goal, lease)?);
    Ok(found)
}

fn of_docker(run: &mut Run<'_>, goal: &Goal) -> Result<Vec<String>> {
    let Some(dockerd) = super::docker0::dockerd()? else { return Ok(Vec::new()) };
    let Some(network) = dockerd.network else {
        log::debug!("docker does not say what its network is");
        return Ok(Vec::new());
    };
    let bridge = bridge_of(&dockerd.argv, true, network.bridge).unwrap_or_default();
    let subnets: Vec<String> = network.subnets.iter().map(ToString::to_string).collect();
    run.report.found("docker", json!({"bridge": bridge, "subnets": subnets, "mtu": network.mtu}));
    let mut found = Vec::new();
    // As for a runtime that is not docker.
    if bridge == "none" {
        return Ok(found);
    }
    if bridge != run.name.as_str() {
        found.push(format!("docker: its containers are on {bridge}, not on {}: see docker-flags", run.name));
        return Ok(found);
    }
    let wanted: Vec<Cidr> = goal.subnets.iter().filter(|s| s.is_ipv4()).copied().collect();
    let has: Vec<Cidr> = network.subnets.iter().filter(|s| s.is_ipv4()).map(Cidr::network).collect();
    if has != wanted {
        found.push(format!(
            "docker: its subnet is {}, the lease's {}: see docker-flags, then restart dockerd",
            list(&has),
            list(&wanted)
        ));
    }
    if let (Some(has), Some(wanted)) = (network.mtu, goal.link.mtu)
        && has != wanted
    {
        found.push(format!("docker: its containers' MTU is {has}, wanted is {wanted}: see docker-flags"));
    }
    Ok(found)
}

/// Only where the words, the environment or a kubeconfig name a server; one that the words name has to
/// answer.
fn of_node(run: &mut Run<'_>, goal: &Goal, lease: &Lease) -> Result<Vec<String>> {
    let is_asked = ["--node", "--server", "--kubeconfig"].iter().any(|o| run.words.has(o));
    let options = run.args.server_options(run.words);
    let Some(server) = (if is_asked { Some(server::resolve(&options)?) } else { server::named(&options)? })
    else {
        return Ok(Vec::new());
    };
    let name = node_name::resolve(run.args.node.as_ref(), &server.tls, lease)?;
    let client = server.client()?;
    let deadline = Deadline::start(Timeout::After(run.deadline.attempt(LONGEST)));
    let node = match Kube::new(&client, &deadline).node(name.as_str()) {
        Ok(node) => node,
        Err(error) if is_asked => return Err(error).context("the Node cannot be compared"),
        Err(error) => {
            run.report.warn(format!("the Node is not compared: {error}"));
            return Ok(Vec::new());
        }
    };
    let has = node.as_ref().map(node::pod_cidrs);
    run.report.found(
        "podCIDRs",
        has.as_ref().map_or(Value::Null, |h| h.iter().map(|c| json!(c.to_string())).collect()),
    );
    Ok(match has {
        None => vec![format!("Node {name}: is not there: kboot register makes it")],
        Some(has) if has.is_empty() => vec![format!("Node {name}: has no podCIDR")],
        // Servers without dual stack keep the first alone.
        Some(has) if has.first().map(Cidr::network) != goal.subnets.first().copied() => {
            vec![format!("Node {name}: its podCIDR is {}, the lease's {}", list(&has), list(&goal.subnets))]
        }
        Some(_) => Vec::new(),
    })
}

fn list(cidrs: &[Cidr]) -> String {
    let texts: Vec<String> = cidrs.iter().map(ToString::to_string).collect();
    if texts.is_empty() { "none".into() } else { texts.join(",") }
}

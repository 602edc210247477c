//! The Node made what is wanted.

use serde_json::{Value, json};

use super::keepsake;
use crate::applet::report::{self, Report};
use crate::client::kube::{Created, Kube, Looked};
use crate::error::{Error, Exit, Result};
use crate::plan::node::{self, Found, Holder, May, Step, Wanted};
use crate::sys::log;
use crate::sys::wait::{Deadline, Retry, retry};
use crate::types::Url;

impl report::Step for Step {
    fn kind(&self) -> &'static str {
        "node"
    }

    /// The JSON would take the reason off the console.
    fn context(&self) -> String {
        self.short()
    }
}

/// A Node that changes while it is looked at is looked at again, so often.
const LOOKS: usize = 5;

/// One Node of one server.
pub struct Settler<'r> {
    /// The API.
    pub kube: &'r Kube<'r>,
    /// Its server.
    pub server: &'r Url,
    /// The run's.
    pub deadline: &'r Deadline,
    /// What the Node is to be.
    pub wanted: &'r Wanted,
    /// A dry run of a join has no credentials yet to ask with.
    pub is_stranger: bool,
    /// What may be done to it.
    pub may: May,
}

impl Settler<'_> {
    /// Makes the Node what is wanted; returns it as the server has it.
    pub fn settle(&self, report: &mut Report) -> Result<Value> {
        let wanted = self.wanted;
        for look in 1..=LOOKS {
            let found = if self.is_stranger { None } else { self.present()? };
            report.found("node", summary_of(found.as_ref()));
            let asks = !self.is_stranger && node::claims(wanted, found.as_ref());
            let holder = if asks { self.holder()? } else { None };
            let kept = keepsake::read(&wanted.name, found.as_ref());
            let there = Found { node: found.as_ref(), holder: holder.as_ref(), keepsake: kept.as_ref() };
            let steps = node::plan(wanted, there, self.may).map_err(Error::conflict)?;
            let mut now = None;
            if let (Some(node), [Step::Delete(..), ..], false) = (&found, &steps[..], report.dry_run) {
                self.keep(node, report);
            }
            let taken = report.carry_out(&steps, |step| {
                now = self.take(step)?;
                Ok(())
            });
            match taken {
                Err(error) if error.meanwhile => continue,
                other => other?,
            }
            if report.dry_run {
                report.already(usize::from(steps.is_empty()));
                return Ok(Value::Null);
            }
            if steps.is_empty() {
                report.already(1);
                now = found;
            }
            if let Some(node) = now {
                keepsake::remove(&wanted.name);
                return Ok(node);
            }
            report.forget_last();
            log::debug!("node {} changed meanwhile (look {look})", wanted.name);
        }
        Err(Error::failed(format!("node {} keeps changing: something else writes it", wanted.name)))
    }

    /// The Node, once it is not one that is about to go.
    fn present(&self) -> Result<Option<Value>> {
        let name = self.wanted.name.as_str();
        retry(self.deadline, &format!("node {name}"), || {
            let found = self.kube.node(name)?;
            let going = found.as_ref().filter(|n| n["metadata"]["deletionTimestamp"].is_string());
            let Some(node) = going else { return Ok(found) };
            let why = format!("it is being deleted, its finalizers are {}", node["metadata"]["finalizers"]);
            Err(Retry::Later { why, after: None })
        })
    }

    /// Another Node that has the wanted pod network.
    fn holder(&self) -> Result<Option<Holder>> {
        let (own, wanted) = (self.wanted.name.as_str(), &self.wanted.pod_cidrs);
        let mut holder = None;
        let looked = self.kube.look_through_nodes(&mut |name, cidrs| {
            holder = if name == own { None } else { node::holder(wanted, name, cidrs) };
            holder.is_some()
        })?;
        if let Looked::Refused(why) = looked {
            // A node's own credentials may not list Nodes from 1.32 on.
            log::info!("whether another Node has this podCIDR is not known: {why}");
        }
        Ok(holder)
    }

    fn keep(&self, node: &Value, report: &mut Report) {
        if let Err(error) = keepsake::write(self.server, &self.wanted.name, node) {
            report.warn(format!(
                "what node {} has (labels, taints) cannot be kept ({error}): do not interrupt this run",
                self.wanted.name
            ));
        }
    }

    /// Takes one step and returns the Node as the server then has it; `None` when it was not what it had
    /// been, or is gone.
    fn take(&self, step: &Step) -> Result<Option<Value>> {
        match step {
            Step::Delete(name, uid) => match self.kube.delete_node(name.as_str(), uid) {
                Ok(true) => Ok(None),
                Ok(false) => Err(Error::failed("it changed meanwhile").meanwhile()),
                Err(error) => {
                    // Refused, it has all that it had; after silence nobody knows.
                    if error.exit == Exit::Failed {
                        keepsake::remove(name);
                    }
                    Err(error)
                }
            },
            Step::Create(body) => Ok(match self.kube.create_node(body)? {
                Created::Now(node) => Some(node),
                Created::AlreadyExists => None,
            }),
            Step::Patch(name, patch) => self.kube.patch_node(name.as_str(), patch),
        }
    }

    /// Compares what the server has with what was wanted: old ones drop what they do not know.
    pub fn read_back(&self, node: &Value, report: &mut Report) -> Result<()> {
        let (wanted, has) = (self.wanted, node::pod_cidrs(node));
        if has.first() != wanted.pod_cidrs.first() {
            return Err(Error::failed("the server took it, but kept another podCIDR"));
        }
        if has.len() < wanted.pod_cidrs.len() {
            report.warn("the server keeps the first podCIDR only: it has no dual stack (feature gate IPv6DualStack before 1.21)");
        }
        let left = node::plan(
            wanted,
            Found { node: Some(node), ..Found::default() },
            May { replace: true, force: false },
        );
        if let Some(step) = left.iter().flatten().next() {
            let step = step.to_string();
            let hint =
                if step.contains("taints") { " (taints are known from Kubernetes 1.6 on)" } else { "" };
            report.warn(format!("the server did not keep all of it{hint}: {step}"));
        }
        Ok(())
    }
}

fn summary_of(node: Option<&Value>) -> Value {
    let Some(node) = node else { return Value::Null };
    let cidrs: Vec<String> = node::pod_cidrs(node).iter().map(ToString::to_string).collect();
    json!({ "name": node["metadata"]["name"], "podCIDRs": cidrs })
}

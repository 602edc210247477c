//! The Node made what is wanted.

use serde_json::{Value, json};

use super::keepsake::{self, Kept};
use crate::applet::report::{self, Report};
use crate::client::kube::{Created, Kube, Looked};
use crate::error::{Error, Exit, Result};
use crate::plan::node::{self, Found, Holder, May, Pods, Step, Wanted};
use crate::sys::log;
use crate::sys::wait::{Deadline, Retry, retry};
use crate::types::{Cidr, Url};

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
    /// Makes the Node what is wanted; returns it as the server has it, null in a dry run.
    pub fn settle(&self, report: &mut Report) -> Result<Value> {
        for look in 1..=LOOKS {
            match self.look(report) {
                Err(error) if error.meanwhile => log::debug!("look {look}: {error}"),
                settled => return settled,
            }
        }
        let name = &self.wanted.name;
        Err(Error::failed(format!("node {name} keeps changing: something else writes it")))
    }

    fn look(&self, report: &mut Report) -> Result<Value> {
        let (wanted, name) = (self.wanted, &self.wanted.name);
        let found = if self.is_stranger { None } else { self.present()? };
        report.found("node", summary_of(found.as_ref()));
        let asks = !self.is_stranger && node::claims(wanted, found.as_ref(), self.may);
        let holder = if asks { self.holder(report)? } else { None };
        let record = keepsake::read(self.server, name, found.as_ref(), self.may.replace);
        let kept = record.as_ref().filter(|r| r.ignored.is_none()).map(|r| &r.node);
        let there = Found { node: found.as_ref(), holder: holder.as_ref(), keepsake: kept };
        let steps = node::plan(wanted, there, self.may).map_err(Error::conflict)?;
        self.tell(there, record.as_ref(), &steps, report);
        let mut is_settled = record.as_ref().is_none_or(|r| r.ignored.is_none());
        if let (Some(node), [Step::Delete(..), ..], false) = (&found, &steps[..], report.dry_run) {
            is_settled = true;
            self.keep(&node::keepsake(node, kept), report);
        }
        let mut now = Value::Null;
        report.carry_out(&steps, |step| {
            now = self.take(step, kept.is_some())?;
            Ok(())
        })?;
        if report.dry_run {
            report.already(usize::from(steps.is_empty()));
            return Ok(Value::Null);
        }
        if steps.is_empty() {
            report.already(1);
            now = found.unwrap_or_default();
        } else {
            self.read_back(there, &now, report)?;
        }
        if is_settled {
            keepsake::remove(name);
        }
        Ok(now)
    }

    /// Tells what of the Node and its record the plan leaves, and that it uses the record.
    fn tell(&self, there: Found<'_>, record: Option<&Kept>, steps: &[Step], report: &mut Report) {
        let name = &self.wanted.name;
        if let Some(left) = there.node.and_then(|node| node::left_with_one(self.wanted, node, self.may)) {
            report.warn(left);
        }
        let Some(record) = record else { return };
        if let Some(why) = &record.ignored {
            return report.warn(keepsake::told(name, record, why));
        }
        let without = node::plan(self.wanted, Found { keepsake: None, ..there }, self.may);
        if !report.dry_run && without.is_ok_and(|without| without != steps) {
            let server = &record.server;
            log::info!("node {name} gets back what it had when a run deleted it at {server}");
        }
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
    fn holder(&self, report: &mut Report) -> Result<Option<Holder>> {
        let (own, wanted) = (self.wanted.name.as_str(), &self.wanted.pod_cidrs);
        let mut holder = None;
        let looked = self.kube.look_through_nodes(&mut |name, cidrs| {
            holder = if name == own { None } else { node::holder(wanted, name, cidrs) };
            holder.is_some()
        })?;
        let unknown = "whether another Node has this podCIDR is not known";
        match looked {
            // A node's own credentials may not list Nodes from 1.32 on.
            Looked::Refused(why) => log::info!("{unknown}: {why}"),
            Looked::Broken(why) => report.warn(format!("{unknown}: the list of Nodes: {why}")),
            Looked::Through | Looked::Stopped => {}
        }
        Ok(holder)
    }

    fn keep(&self, kept: &Value, report: &mut Report) {
        if let Err(error) = keepsake::write(self.server, &self.wanted.name, kept) {
            report.warn(format!(
                "what node {} has (labels, taints) cannot be kept ({error}): do not interrupt this run",
                self.wanted.name
            ));
        }
    }

    /// Takes one step and returns the Node as the server then has it, null if it is deleted. An error
    /// that is `meanwhile`: it was not what it had been. `is_heir`: it has not got back yet what was kept
    /// of one before it.
    fn take(&self, step: &Step, is_heir: bool) -> Result<Value> {
        let changed = || Error::failed("it changed meanwhile").meanwhile();
        match step {
            Step::Delete(name, uid) => match self.kube.delete_node(name.as_str(), uid) {
                Ok(true) => Ok(Value::Null),
                Ok(false) => Err(changed()),
                Err(error) => {
                    // Refused, it has all that it had; after silence nobody knows.
                    if error.exit == Exit::Failed && !is_heir {
                        keepsake::remove(name);
                    }
                    Err(error)
                }
            },
            Step::Create(body) => match self.kube.create_node(body)? {
                Created::Now(node) => Ok(node),
                Created::AlreadyExists => Err(changed()),
            },
            Step::Patch(name, patch) => self.kube.patch_node(name.as_str(), patch)?.ok_or_else(changed),
        }
    }

    /// Compares what the server answered with what was wanted: old ones drop what they do not know.
    fn read_back(&self, was: Found<'_>, node: &Value, report: &mut Report) -> Result<()> {
        let wanted = self.wanted;
        match node::compare(&wanted.pod_cidrs, node) {
            Pods::Same => {}
            // It was asked for no second one, which was told.
            Pods::First if was.node.is_some_and(|was| node::left_with_one(wanted, was, self.may).is_some()) => {}
            Pods::First => report.warn("the server keeps the first podCIDR only: it has no dual stack (feature gate IPv6DualStack before 1.21)"),
            Pods::Missing | Pods::Other(_) => {
                return Err(Error::failed(format!(
                    "{}: node {}: the server was given podCIDR {}, and has {}",
                    self.server,
                    wanted.name,
                    shown(&wanted.pod_cidrs),
                    shown(&node::pod_cidrs(node))
                )));
            }
        }
        let kept = Wanted { pod_cidrs: node::pod_cidrs(node), ..wanted.clone() };
        let left = node::plan(
            &kept,
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

fn shown(cidrs: &[Cidr]) -> String {
    let list: Vec<String> = cidrs.iter().map(ToString::to_string).collect();
    if list.is_empty() { "none".into() } else { list.join(",") }
}

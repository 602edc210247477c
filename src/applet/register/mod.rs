//! `register`: the Node object for this host.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::cli::Words;
use super::options::applet_args;
use super::report::{self, Report};
use super::server::Server;
use super::{Applet, info_of, lease, node_name, server, tls};
use crate::client::kube::{Created, Credentials, Kube};
use crate::error::{Error, Result};
use crate::plan::node::{self, Annotation, Label, Step, Taint, Wanted};
use crate::sys::file;
use crate::sys::http::Client;
use crate::sys::log;
use crate::sys::wait::Deadline;
use crate::types::{NodeName, Scheme};

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "register",
    summary: "create this host's Node with its podCIDR, or confirm it",
    examples: &[
        "register --subnet $FLANNEL_SUBNET",
        "register --server https://10.0.0.1:6443 --cacert ca.crt --token-file token",
        "register --kubeconfig /etc/kubernetes/admin.conf --label rack=r7",
    ],
    rest: None,
    info: info_of::<Args>,
    run,
};

applet_args! {
    /// creates the Node object for this host, podCIDR being its flannel subnet (masked to the network).
    /// A Node that is there is completed, never stripped; one with another podCIDR is exit 3.
    struct Args [lease server tls] {
        /// the Node's name (default: of the client certificate, else the subnet's address)
        #[argh(option, arg_name = "node")]
        name: Option<NodeName>,
        /// file with a bearer token
        #[argh(option, arg_name = "path")]
        token_file: Option<PathBuf>,
        /// take any server certificate: whoever answers gets the token
        #[argh(switch)]
        insecure_skip_tls_verify: bool,
        /// a label to set, KEY=VALUE; repeatable
        #[argh(option, arg_name = "k=v")]
        label: Vec<Label>,
        /// an annotation to set, KEY=VALUE; repeatable
        #[argh(option, arg_name = "k=v")]
        annotation: Vec<Annotation>,
        /// a taint to set, KEY=VALUE:EFFECT; repeatable
        #[argh(option, arg_name = "k=v:effect")]
        taint: Vec<Taint>,
        /// replace what differs; a Node with another podCIDR is made anew unless it is Ready
        #[argh(switch)]
        replace: bool,
    }
}

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let args: Args = words.parse()?;
    let common = args.common();
    let deadline = Deadline::start(common.timeout);
    for (at, taint) in args.taint.iter().enumerate() {
        if args.taint[..at].iter().any(|t| t.identity() == taint.identity()) {
            let (key, effect) = taint.identity();
            return Err(Error::usage(format!("--taint {key}:{effect}: given twice")));
        }
    }
    let known = lease::now(&args.lease_options())?;
    let server = connect_to(&args, words, report)?;
    let mut client = Client::new(&server.url, &server.tls)?;
    if let Some(header) = server.credentials.header() {
        client.authorize(header);
    }
    let lease = known.map_or_else(|| lease::resolve(&args.lease_options(), &deadline), Ok)?;
    let name = node_name::resolve(args.name.as_ref(), &server.tls, &lease)?;
    let wanted = Wanted {
        name,
        pod_cidrs: lease.subnets().map(|c| c.network()).collect(),
        labels: args.label.clone(),
        annotations: args.annotation.clone(),
        taints: args.taint.clone(),
        arch: arch(),
    };
    report.found("server", json!(server.url.to_string()));
    let node = settle(&Kube::new(&client, &deadline), &wanted, args.replace, report)?;
    let mut cidrs = wanted.pod_cidrs.clone();
    if !report.dry_run {
        read_back(&wanted, &node, report)?;
        cidrs = node::pod_cidrs(&node);
    }
    let cidrs: Vec<String> = cidrs.iter().map(ToString::to_string).collect();
    report.summary(format_args!("node {} podCIDR {} at {}", wanted.name, cidrs.join(","), server.url));
    Ok(())
}

/// The server with the credentials of the command line on top of its kubeconfig's.
fn connect_to(args: &Args, words: &Words, report: &mut Report) -> Result<Server> {
    let files = args.tls_files();
    let given = tls::read(&files, args.insecure_skip_tls_verify)?;
    let token = args.token_file.as_deref().map(token).transpose()?;
    let mut server = server::resolve(&args.server_options(words))?;
    if given.cacert.is_some() {
        server.tls.cacert = given.cacert;
        server.tls.skip_verify = false;
    }
    if given.identity.is_some() {
        server.tls.identity = given.identity;
    }
    server.tls.skip_verify |= given.skip_verify;
    if let Some(token) = token {
        server.credentials = token;
    }
    if server.url.scheme() == Scheme::Https && server.tls.skip_verify {
        report.warn(format!(
            "{}: its certificate is not checked: whoever answers there gets the credentials",
            server.url
        ));
    }
    if server.url.scheme() == Scheme::Http && server.credentials.header().is_some() {
        report.warn(format!("{}: the credentials go over the network in the clear", server.url));
    }
    Ok(server)
}

fn token(path: &Path) -> Result<Credentials> {
    Credentials::bearer(&file::read_named(path)?, &path.display().to_string())
}

/// As Go names them.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

impl report::Step for Step {
    fn kind(&self) -> &'static str {
        "node"
    }
}

/// A Node that changes while it is looked at is looked at again, so often.
const LOOKS: usize = 5;

/// Makes the Node what is wanted; returns it as the server has it.
fn settle(kube: &Kube<'_>, wanted: &Wanted, replace: bool, report: &mut Report) -> Result<Value> {
    for look in 1..=LOOKS {
        let found = kube.node(wanted.name.as_str())?;
        report.found("node", summary_of(found.as_ref()));
        let steps = node::plan(wanted, found.as_ref(), replace).map_err(Error::conflict)?;
        if let (Some(node), true) = (found, steps.is_empty()) {
            report.already(1);
            return Ok(node);
        }
        let mut now = None;
        if let ([Step::Delete(..), create], false) = (steps.as_slice(), report.dry_run) {
            // Were kboot killed in between, this line is what is left of labels, taints and cordon.
            log::info!("to be made anew: {create}");
        }
        report.carry_out(&steps, |step| {
            now = take(kube, step)?;
            Ok(())
        })?;
        if report.dry_run {
            return Ok(Value::Null);
        }
        if let Some(node) = now {
            return Ok(node);
        }
        report.forget_last();
        log::debug!("node {} changed meanwhile (look {look})", wanted.name);
    }
    Err(Error::failed(format!("node {} keeps changing: something else writes it", wanted.name)))
}

/// Takes one step and returns the Node as the server then has it; `None` when it was not what it had
/// been, or is gone.
fn take(kube: &Kube<'_>, step: &Step) -> Result<Option<Value>> {
    match step {
        Step::Delete(name, uid) => kube.delete_node(name.as_str(), uid).map(|()| None),
        Step::Create(body) => Ok(match kube.create_node(body)? {
            Created::Now(node) => Some(node),
            Created::AlreadyExists => None,
        }),
        Step::Patch(name, patch) => kube.patch_node(name.as_str(), patch),
    }
}

/// Compares what the server has with what was wanted: old ones drop what they do not know.
fn read_back(wanted: &Wanted, node: &Value, report: &mut Report) -> Result<()> {
    let has = node::pod_cidrs(node);
    if has.first() != wanted.pod_cidrs.first() {
        return Err(Error::failed("the server took it, but kept another podCIDR"));
    }
    if has.len() < wanted.pod_cidrs.len() {
        report.warn("the server keeps the first podCIDR only: it has no dual stack (feature gate IPv6DualStack before 1.21)");
    }
    if let Ok(left) = node::plan(wanted, Some(node), true)
        && let Some(step) = left.first()
    {
        let step = step.to_string();
        let hint = if step.contains("taints") { " (taints are known from Kubernetes 1.6 on)" } else { "" };
        report.warn(format!("the server did not keep all of it{hint}: {step}"));
    }
    Ok(())
}

fn summary_of(node: Option<&Value>) -> Value {
    let Some(node) = node else { return Value::Null };
    let cidrs: Vec<String> = node::pod_cidrs(node).iter().map(ToString::to_string).collect();
    json!({ "name": node["metadata"]["name"], "podCIDRs": cidrs })
}

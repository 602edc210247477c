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
    lease::at_hand(&args.lease_options())?;
    let server = connect_to(&args, report)?;
    let mut client = Client::new(&server.url, &server.tls)?;
    if let Some(header) = server.credentials.header() {
        client.authorize(header);
    }
    let lease = lease::resolve(&args.lease_options(), &deadline)?;
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
    settle(&Kube::new(&client, &deadline), &wanted, args.replace, report)?;
    let cidrs: Vec<String> = wanted.pod_cidrs.iter().map(ToString::to_string).collect();
    report.summary(format_args!("node {} podCIDR {} at {}", wanted.name, cidrs.join(","), server.url));
    Ok(())
}

/// The server with the credentials of the command line on top of its kubeconfig's.
fn connect_to(args: &Args, report: &mut Report) -> Result<Server> {
    let files = args.tls_files();
    let given = tls::read(&files, args.insecure_skip_tls_verify)?;
    let token = args.token_file.as_deref().map(token).transpose()?;
    let mut server = server::resolve(&args.server_options())?;
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

fn settle(kube: &Kube<'_>, wanted: &Wanted, replace: bool, report: &mut Report) -> Result<()> {
    for look in 1..=LOOKS {
        let found = kube.node(wanted.name.as_str())?;
        report.found("node", summary_of(found.as_ref()));
        let steps = node::plan(wanted, found.as_ref(), replace).map_err(Error::conflict)?;
        if steps.is_empty() {
            report.already(1);
            return Ok(());
        }
        let mut raced = false;
        report.carry_out(&steps, |step| {
            raced = !take(kube, wanted, step)?;
            Ok(())
        })?;
        if !raced {
            return Ok(());
        }
        report.forget_last();
        log::debug!("node {} changed meanwhile (look {look})", wanted.name);
    }
    Err(Error::failed(format!("node {} keeps changing: something else writes it", wanted.name)))
}

/// Takes one step; false when the Node was not what it had been.
fn take(kube: &Kube<'_>, wanted: &Wanted, step: &Step) -> Result<bool> {
    let node = match step {
        Step::Delete(name, uid) => {
            kube.delete_node(name.as_str(), uid)?;
            return Ok(true);
        }
        Step::Create(body) => match kube.create_node(body)? {
            Created::Now(node) => node,
            Created::AlreadyExists => return Ok(false),
        },
        Step::Patch(name, patch) => match kube.patch_node(name.as_str(), patch)? {
            Some(node) => node,
            None => return Ok(false),
        },
    };
    let has = node::pod_cidrs(&node);
    if has.first() != wanted.pod_cidrs.first() {
        return Err(Error::failed("the server took it, but kept another podCIDR"));
    }
    if has.len() < wanted.pod_cidrs.len() {
        log::warning!(
            "the server kept the first podCIDR only: it has no dual stack (feature gate IPv6DualStack before 1.21)"
        );
    }
    Ok(true)
}

fn summary_of(node: Option<&Value>) -> Value {
    let Some(node) = node else { return Value::Null };
    let cidrs: Vec<String> = node::pod_cidrs(node).iter().map(ToString::to_string).collect();
    json!({ "name": node["metadata"]["name"], "podCIDRs": cidrs })
}

//! `register`: the Node object for this host.

mod access;
mod join;
mod keepsake;
mod ready;
mod settle;

use std::path::PathBuf;

use serde_json::json;

use super::cli::Words;
use super::options::applet_args;
use super::report::Report;
use super::{Applet, info_of, judge_of, lease, node_name, options};
use crate::client::kube::Kube;
use crate::error::{Error, Result};
use crate::plan::node::{self, Annotation, Label, May, Taint, Wanted};
use crate::plan::subnet_env::Lease;
use crate::sys::wait::Deadline;
use crate::types::{CaHash, Cidr, NodeName};
use join::{Entered, Join};
use settle::Settler;

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "register",
    summary: "create this host's Node with its podCIDR, or confirm it",
    examples: &[
        "the lease's subnet, at the server of this host's kubeconfig: kboot register",
        "with a token: kboot register --server https://master:6443 --cacert ca.crt --token-file token",
        "with labels, as an administrator: kboot register --kubeconfig /etc/kubernetes/admin.conf --label rack=r7",
        "a certificate of its own first, by a bootstrap token: kboot register --server https://master:6443 --ca-hash $HASH \\\n    --bootstrap-token-file token",
    ],
    rest: None,
    groups: &[
        "Node: --name --label --annotation --taint --provider-id --cloud-provider --unschedulable --cluster-cidr",
        "A Node that is there: --replace --force --wait-ready",
        "API server: --server --kubeconfig --context --cacert --ca-hash --insecure-skip-tls-verify",
        "Credentials: --token-file --cert --key --user --password-file",
        "Joining: --bootstrap-token-file --kubelet-kubeconfig --cert-dir",
        options::LEASE,
    ],
    exits: &[
        "3: the Node, or another cluster's kubelet.conf, says otherwise (see --replace), or another Node has the subnet",
        options::LATE,
    ],
    variables: &[options::LEASE_VARIABLES, options::SERVER_VARIABLES],
    files: &[
        options::LEASE_FILE,
        options::KUBECONFIGS,
        "/var/lib/kubelet/pki: the kubelet's key and certificate",
    ],
    info: info_of::<Args>,
    judge: judge_of::<Args>,
    run,
};

applet_args! {
    /// creates the Node object for this host, podCIDR being its flannel subnet (masked to the network).
    /// A Node that is there is completed, never stripped; one with another podCIDR is exit 3.
    struct Args [lease server tls] {
        /// the Node's name (default: of the client certificate, else the subnet's address)
        #[argh(option, arg_name = "node")]
        name: Option<NodeName>,
        /// the kubeconfig's context to take (default: its current-context)
        #[argh(option, arg_name = "context")]
        context: Option<String>,
        /// file with a bearer token
        #[argh(option, arg_name = "path")]
        token_file: Option<PathBuf>,
        /// user name, for servers before 1.19
        #[argh(option, arg_name = "user")]
        user: Option<String>,
        /// file with the password of --user
        #[argh(option, arg_name = "path")]
        password_file: Option<PathBuf>,
        /// trust the CA with this public key: sha256:HEX, as kubeadm prints it; repeatable
        #[argh(option, arg_name = "hash")]
        ca_hash: Vec<CaHash>,
        /// file with a bootstrap token: first get the kubelet's own certificate by it
        #[argh(option, arg_name = "path")]
        bootstrap_token_file: Option<PathBuf>,
        /// the kubeconfig to write then (default: /etc/kubernetes/kubelet.conf)
        #[argh(option, arg_name = "path")]
        kubelet_kubeconfig: Option<PathBuf>,
        /// where the kubelet's key and certificate are kept (default: /var/lib/kubelet/pki)
        #[argh(option, arg_name = "dir")]
        cert_dir: Option<PathBuf>,
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
        /// what a cloud calls this host (spec.providerID)
        #[argh(option, arg_name = "id")]
        provider_id: Option<String>,
        /// the kubelet's: `external` gives a Node that is created the taint by which a cloud's
        /// controller-manager knows it
        #[argh(option, arg_name = "kind", from_str_fn(external))]
        cloud_provider: Option<()>,
        /// a Node that is created is cordoned
        #[argh(switch)]
        unschedulable: bool,
        /// the controller-manager's --cluster-cidr: a podCIDR outside is warned about; repeatable
        #[argh(option, arg_name = "cidr", from_str_fn(cidrs))]
        cluster_cidr: Vec<Vec<Cidr>>,
        /// replace what differs: a Node with another podCIDR is made anew unless it is Ready, another
        /// cluster's kubelet.conf is overwritten (a copy stays beside it, .kboot-old)
        #[argh(switch)]
        replace: bool,
        /// with --replace: even if the Node is Ready
        #[argh(switch)]
        force: bool,
        /// wait until the Node is Ready
        #[argh(switch)]
        wait_ready: bool,
    }
}

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let args: Args = words.parse()?;
    let common = args.common();
    let deadline = Deadline::start(common.timeout);
    check(&args)?;
    let known = lease::now(&args.lease_options())?;
    let server = access::server(&args, words, report)?;
    let join = Join::wanted(&args, words, &server)?;
    let lease = known.map_or_else(|| lease::resolve(&args.lease_options(), &deadline), Ok)?;
    let Entered { server, name, is_stranger } = if let Some(join) = join {
        join.enter(&args, server, &lease, &deadline, report)?
    } else {
        let name = node_name::resolve(args.name.as_ref(), &server.tls, &lease)?;
        Entered { server, name, is_stranger: false }
    };
    let client = server.client()?;
    let wanted = wanted(&args, name, &lease);
    if let Some(danger) = node::outside_of(&args.cluster_cidr.concat(), &wanted.pod_cidrs) {
        report.warn(danger);
    }
    report.found("server", json!(server.url.to_string()));
    let settler = Settler {
        kube: &Kube::new(&client, &deadline),
        server: &server.url,
        deadline: &deadline,
        wanted: &wanted,
        is_stranger,
        may: May { replace: args.replace, force: args.force },
    };
    let node = settler.settle(report)?;
    if args.wait_ready && !report.dry_run {
        ready::wait(settler.kube, &node, &deadline)?;
    }
    let cidrs = if report.dry_run { wanted.pod_cidrs.clone() } else { node::pod_cidrs(&node) };
    let cidrs: Vec<String> = cidrs.iter().map(ToString::to_string).collect();
    report.summary(format_args!("node {} podCIDR {} at {}", wanted.name, cidrs.join(","), server.url));
    Ok(())
}

/// What the options contradict among themselves.
fn check(args: &Args) -> Result<()> {
    let twice = |option: &str, mut names: Vec<String>| {
        names.sort();
        let pair = names.windows(2).find(|pair| pair[0] == pair[1]);
        pair.map_or(Ok(()), |pair| Err(Error::usage(format!("{option} {}: given twice", pair[0]))))
    };
    twice("--label", args.label.iter().map(|l| l.key().to_owned()).collect())?;
    twice("--annotation", args.annotation.iter().map(|a| a.key().to_owned()).collect())?;
    twice("--taint", args.taint.iter().map(|t| format!("{}:{}", t.identity().0, t.identity().1)).collect())?;
    if args.force && !args.replace {
        return Err(Error::usage("--force goes with --replace"));
    }
    Ok(())
}

fn wanted(args: &Args, name: NodeName, lease: &Lease) -> Wanted {
    Wanted {
        name,
        pod_cidrs: pod_cidrs(&args.lease_options().subnet, &args.cluster_cidr.concat(), lease),
        labels: args.label.clone(),
        annotations: args.annotation.clone(),
        taints: args.taint.clone(),
        arch: arch(),
        provider_id: args.provider_id.clone(),
        external_cloud: args.cloud_provider.is_some(),
        unschedulable: args.unschedulable,
    }
}

/// The pod networks in the order of --subnet, else of --cluster-cidr; flannel's lease has none.
fn pod_cidrs(given: &[Cidr], cluster: &[Cidr], lease: &Lease) -> Vec<Cidr> {
    let order = if given.is_empty() { cluster } else { given };
    let mut list: Vec<Cidr> = lease.subnets().map(|c| c.network()).collect();
    let place = |cidr: &Cidr| order.iter().position(|o| o.is_ipv4() == cidr.is_ipv4());
    list.sort_by_key(|cidr| place(cidr).unwrap_or(usize::MAX));
    list
}

fn cidrs(text: &str) -> Result<Vec<Cidr>, String> {
    text.split(',').map(|cidr| cidr.parse().map_err(|why| format!("{cidr}: {why}"))).collect()
}

fn external(text: &str) -> Result<(), String> {
    if text == "external" { Ok(()) } else { Err("is not external: register sees to that one only".into()) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_pod_networks_is_the_one_that_is_given() {
        let list = |texts: &[&str]| texts.iter().map(|t| t.parse::<Cidr>().unwrap()).collect::<Vec<_>>();
        let (four, six) = ("10.42.3.1/24", "fd00:42:0:3::1/64");
        let lease = Lease { subnet: list(&[four]).pop(), subnet6: list(&[six]).pop(), ..Lease::default() };
        for (given, cluster, is_six_first) in [
            (&[][..], &[][..], false),
            (&[six, four], &[], true),
            (&[four, six], &["fd00:42::/48", "10.42.0.0/16"], false),
            (&[], &["fd00:42::/48", "10.42.0.0/16"], true),
            (&[], &["10.42.0.0/16", "fd00:42::/48"], false),
            (&[], &["10.42.0.0/16"], false),
        ] {
            let mut wanted = list(&["10.42.3.0/24", "fd00:42:0:3::/64"]);
            if is_six_first {
                wanted.reverse();
            }
            assert_eq!(pod_cidrs(&list(given), &list(cluster), &lease), wanted, "{given:?} {cluster:?}");
        }
    }
}

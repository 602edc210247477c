//! `bridge`: the pod bridge, forwarding, and masquerading.

mod check;
mod docker0;
mod down;
mod firewall;
mod goal;
mod look;
mod neighbours;
mod programs;
mod record;
mod seen;
mod settings;
mod take;
mod up;

use argh::FromArgValue;

use super::cli::Words;
use super::options::applet_args;
use super::report::Report;
use super::{Applet, info_of, judge_of, options};
use crate::error::{Error, Result};
use crate::plan::subnet_env::parse_mtu;
use crate::sys::iptables::Iptables;
use crate::sys::link::Links;
use crate::sys::lock::{self, Lock};
use crate::sys::wait::Deadline;
use crate::types::{Cidr, Hairpin, IfName, NodeName};

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "bridge",
    summary: "make the pod bridge: address, MTU, forwarding, masquerading",
    examples: &[
        "cbr0 with the lease's subnet; pods leave by eth0 with this host's address: kboot bridge --masquerade 10.10.0.0/16 --out-interface eth0",
        "without flannel: kboot bridge --name br-pods --subnet 10.7.3.1/24 --mtu 1450 --no-masquerade",
        "what has changed since: kboot bridge --check",
        "all of it undone: kboot bridge --down --restore",
    ],
    rest: None,
    groups: &[
        "Bridge: --name --mtu --address --attach --hairpin-mode",
        "Masquerading and firewall: --masquerade --no-masquerade --out-interface --firewall",
        "docker0: --replace-docker0 --force",
        "Checking and undoing: --check --node --down --restore",
        options::LEASE,
        options::SERVER,
    ],
    exits: &[
        "3: something differs (--check), or is in the way, such as another link of that name",
        options::LATE,
    ],
    variables: &[options::LEASE_VARIABLES, options::SERVER_VARIABLES],
    files: &[options::LEASE_FILE, "/run/kboot: what of it is kboot's own, and how the kernel was set before"],
    info: info_of::<Args>,
    judge: judge_of::<Args>,
    run,
};

#[derive(FromArgValue, Clone, Copy, PartialEq, Eq)]
enum Firewall {
    Auto,
    Iptables,
    Nft,
    None,
}

applet_args! {
    /// makes the bridge that pods hang on, with this host's flannel subnet as its address, lets the
    /// kernel forward, and masquerades what pods send out of the cluster. Only differences are
    /// changed: run it as often as you like.
    struct Args [lease server] {
        /// the bridge (default: cbr0)
        #[argh(option, arg_name = "ifname")]
        name: Option<IfName>,
        /// its MTU (default: the lease's; with --subnet, as it is)
        #[argh(option, arg_name = "bytes", from_str_fn(parse_mtu))]
        mtu: Option<u32>,
        /// one more address for it, such as 169.254.20.10/32; repeatable
        #[argh(option, arg_name = "cidr")]
        address: Vec<Cidr>,
        /// a link to be one of its ports; it must not have addresses itself; repeatable
        #[argh(option, arg_name = "ifname")]
        attach: Vec<IfName>,
        /// how a pod reaches itself by a service: promiscuous-bridge, hairpin-veth (for the ports there
        /// are) or none, as the kubelet's option (default: left as it is)
        #[argh(option, arg_name = "mode")]
        hairpin_mode: Option<Hairpin>,
        /// the cluster's network: what pods send elsewhere gets this host's address; repeatable
        /// (default: FLANNEL_NETWORK, unless flanneld masquerades itself)
        #[argh(option, arg_name = "cidr")]
        masquerade: Vec<Cidr>,
        /// no masquerading; takes kboot's own rules away
        #[argh(switch)]
        no_masquerade: bool,
        /// masquerade only what leaves by this link (default: any)
        #[argh(option, arg_name = "ifname")]
        out_interface: Option<IfName>,
        /// whose rules: iptables, nft (needs no program), none (leave all rules alone), or auto: where
        /// kboot's rules are, else iptables if it works, else nft (default: auto)
        #[argh(option, arg_name = "backend", default = "Firewall::Auto")]
        firewall: Firewall,
        /// take docker0 away, with docker's rules for it
        #[argh(switch)]
        replace_docker0: bool,
        /// with --replace-docker0: even though dockerd runs on it (but not with containers on it)
        #[argh(switch)]
        force: bool,
        /// change nothing, wait for nothing (unless --timeout is given); print what differs from what these
        /// options ask for, a line each, and exit with 3 if anything does
        #[argh(switch)]
        check: bool,
        /// with --check: the Node whose podCIDR is compared, where an API server is named (default: as
        /// register names it)
        #[argh(option, arg_name = "node")]
        node: Option<NodeName>,
        /// take away what kboot made: rules, addresses, and its bridge if nothing else is on it
        #[argh(switch)]
        down: bool,
        /// with --down: set the kernel as it was before
        #[argh(switch)]
        restore: bool,
    }
}

/// One run: the words, and the rooms it needs.
struct Run<'r> {
    args: &'r Args,
    words: &'r Words,
    name: IfName,
    deadline: Deadline,
    links: Links,
    iptables: Iptables,
    report: &'r mut Report,
}

impl Run<'_> {
    fn is_look_only(&self) -> bool {
        self.report.dry_run || self.args.check
    }

    fn lock(&self) -> Result<Option<Lock>> {
        if self.is_look_only() { Ok(None) } else { lock::acquire(&self.deadline).map(Some) }
    }
}

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let args: Args = words.parse()?;
    check_args(&args)?;
    let name = args.name.clone().map_or_else(|| "cbr0".parse().map_err(Error::failed), Ok)?;
    let deadline = Deadline::start(args.common().timeout);
    let (links, iptables) = (Links::open()?, Iptables::new(deadline));
    let mut run = Run { args: &args, words, name, deadline, links, iptables, report };
    match (args.check, args.down) {
        (true, _) => check::check(&mut run),
        (_, true) => down::down(&mut run),
        _ => up::up(&mut run),
    }
}

/// Not the network's own, nor one that is everybody's.
fn is_usable(cidr: &Cidr) -> bool {
    let addr = cidr.addr();
    let is_network = cidr.host() != *cidr;
    let is_broadcast = cidr.is_ipv4() && cidr.prefix_len() < 31 && addr == cidr.broadcast();
    !is_network && !is_broadcast && !addr.is_multicast() && !addr.is_loopback() && !addr.is_unspecified()
}

fn check_args(args: &Args) -> Result<()> {
    let wrong = |text: &str| Err(Error::usage(text));
    if args.no_masquerade && (!args.masquerade.is_empty() || args.out_interface.is_some()) {
        return wrong("--no-masquerade goes with neither --masquerade nor --out-interface");
    }
    if args.masquerade.iter().any(|c| c.prefix_len() == 0) {
        return wrong("--masquerade: /0 is everything: nothing would be left to masquerade");
    }
    let is_bridge = |link: &IfName| args.name.as_ref().map_or(link.as_str() == "cbr0", |name| name == link);
    if args.out_interface.as_ref().is_some_and(|out| is_bridge(out) || args.attach.contains(out)) {
        return wrong("--out-interface is the bridge or one of its ports: give the link that leads out");
    }
    if args.attach.iter().any(is_bridge) {
        return wrong("--attach is the bridge itself: give the link that is to be its port");
    }
    if let Some(bad) = args.address.iter().find(|a| !is_usable(a)) {
        return Err(Error::usage(format!("--address {bad}: no link can have it")));
    }
    if args.check && args.down {
        return wrong("--check and --down: give one of them");
    }
    if args.restore && !args.down {
        return wrong("--restore goes with --down");
    }
    if args.node.is_some() && !args.check {
        return wrong("--node goes with --check");
    }
    if args.force && !args.replace_docker0 {
        return wrong("--force goes with --replace-docker0");
    }
    if args.replace_docker0 && (args.down || args.name.as_ref().is_some_and(|n| n.as_str() == "docker0")) {
        return wrong(
            "--replace-docker0 makes another bridge in docker0's place: give another --name, and not --down",
        );
    }
    Ok(())
}

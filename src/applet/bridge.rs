//! `bridge`: the pod bridge, forwarding, and masquerading.

use argh::FromArgValue;
use serde_json::{Value, json};

use super::cli::Words;
use super::options::applet_args;
use super::report::{self, Report};
use super::{Applet, info_of, lease};
use crate::error::{Context, Error, Result};
use crate::plan::bridge::{self, Facts, Masquerade, Step, Wanted};
use crate::plan::nat;
use crate::plan::subnet_env::{Lease, parse_mtu};
use crate::sys::iptables::Iptables;
use crate::sys::link::{Link, Links};
use crate::sys::wait::Deadline;
use crate::sys::{lock, log, run_dir, sysctl};
use crate::types::{Cidr, IfName};

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "bridge",
    summary: "make the pod bridge: address, MTU, forwarding, masquerading",
    examples: &[
        "bridge --masquerade 10.10.0.0/16 --out-interface eth0",
        "bridge --name br-pods --subnet 10.7.3.1/24 --mtu 1450 --no-masquerade",
        "bridge --dry-run",
    ],
    rest: None,
    info: info_of::<Args>,
    run,
};

#[derive(FromArgValue, Clone, Copy, PartialEq, Eq)]
enum Firewall {
    Auto,
    Iptables,
    None,
}

applet_args! {
    /// makes the bridge that pods hang on, with this host's flannel subnet as its address, lets the
    /// kernel forward, and masquerades what pods send out of the cluster. Only differences are
    /// changed: run it as often as you like.
    struct Args [lease] {
        /// the bridge (default: cbr0)
        #[argh(option, arg_name = "ifname")]
        name: Option<IfName>,
        /// its MTU (default: the lease's)
        #[argh(option, arg_name = "bytes", from_str_fn(parse_mtu))]
        mtu: Option<u32>,
        /// the cluster's network: what pods send elsewhere gets this host's address; repeatable
        /// (default: FLANNEL_NETWORK, unless flanneld masquerades itself)
        #[argh(option, arg_name = "cluster-cidr")]
        masquerade: Vec<Cidr>,
        /// no masquerading; takes kboot's own rules away
        #[argh(switch)]
        no_masquerade: bool,
        /// masquerade only what leaves by this link (default: any)
        #[argh(option, arg_name = "ifname")]
        out_interface: Option<IfName>,
        /// what masquerades: iptables, none (leave all rules alone), or auto (iptables)
        #[argh(option, arg_name = "backend", default = "Firewall::Auto")]
        firewall: Firewall,
    }
}

const FORWARD: &str = "net.ipv4.ip_forward";

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let args: Args = words.parse()?;
    let deadline = Deadline::start(args.common().timeout);
    check(&args)?;
    let name = args.name.clone().map_or_else(|| "cbr0".parse().map_err(Error::failed), Ok)?;
    lease::at_hand(&args.lease_options())?;
    let links = Links::open()?;
    probe(&links, &name)?;
    forwarding(report)?;
    let lease = lease::resolve(&args.lease_options(), &deadline)?;

    let masquerade = bridge::masquerade(&args.masquerade, args.no_masquerade, &lease.networks, lease.ipmasq);
    let masquerade = say(masquerade.map_err(Error::conflict)?, report);
    let wanted = Wanted {
        name: name.clone(),
        addrs: lease.subnets().map(|c| c.host()).collect(),
        mtu: args.mtu.or(lease.mtu),
        cluster: [args.masquerade.as_slice(), &lease.networks, &lease.networks6].concat(),
    };
    if lease.subnet6.is_some() {
        report.warn("IPv6: the bridge gets its address; forwarding and masquerading are not set up");
    }
    let _lock = if report.dry_run { None } else { Some(lock::acquire(&deadline)?) };
    let (mut steps, already) = plan_link(&links, &wanted, report)?;
    report.already(already);
    let iptables = Iptables::find(deadline);
    steps.extend(plan_nat(&args, &wanted, &lease, &masquerade, iptables.as_ref(), report)?);
    if !report.dry_run {
        remember(&wanted, &steps);
    }
    report.carry_out(&steps, |step| take(&links, iptables.as_ref(), step))?;
    let addrs: Vec<String> = wanted.addrs.iter().map(ToString::to_string).collect();
    report.summary(format_args!("{name} {} up", addrs.join(" ")));
    Ok(())
}

fn check(args: &Args) -> Result<()> {
    if args.no_masquerade && (!args.masquerade.is_empty() || args.out_interface.is_some()) {
        return Err(Error::usage("--no-masquerade goes with neither --masquerade nor --out-interface"));
    }
    if args.firewall == Firewall::None && !args.masquerade.is_empty() {
        return Err(Error::usage("--masquerade needs a firewall: --firewall none sets no rules"));
    }
    if let Some(six) = args.masquerade.iter().find(|c| !c.is_ipv4()) {
        return Err(Error::usage(format!("--masquerade {six}: IPv4 only")));
    }
    if args.name.is_some() && args.name == args.out_interface {
        return Err(Error::usage("--out-interface is the bridge itself: give the link that leads out"));
    }
    Ok(())
}

/// The link, if there is one; anything but a bridge of that name is a conflict, before any change.
fn probe(links: &Links, name: &IfName) -> Result<Option<Link>> {
    match links.get(name)? {
        Some(link) if link.kind != "bridge" => {
            let kind = &link.kind;
            Err(Error::conflict(format!("{name} is a {kind} device, not a bridge: remove it or give --name")))
        }
        other => Ok(other),
    }
}

/// Done before the lease is awaited: it depends on nothing, and docker, started later, then finds
/// forwarding on and leaves the FORWARD policy alone (since 1.13 it sets DROP when it turns it on).
fn forwarding(report: &mut Report) -> Result<()> {
    let now = sysctl::read(FORWARD)?;
    report.found(FORWARD, json!(now));
    match now.as_deref() {
        None => Err(Error::failed(format!("sysctl {FORWARD}: not there: is /proc mounted?"))),
        Some("1") => {
            report.already(1);
            Ok(())
        }
        Some(_) => report.carry_out(&[Step::Sysctl(FORWARD, "1")], |_| sysctl::write(FORWARD, "1")),
    }
}

fn say(masquerade: Masquerade, report: &mut Report) -> Vec<Cidr> {
    match masquerade {
        Masquerade::Outside(cluster) => return cluster,
        Masquerade::No(why) => log::info!("{why}"),
        Masquerade::Unknown(why) => report.warn(why),
    }
    Vec::new()
}

fn plan_link(links: &Links, wanted: &Wanted, report: &mut Report) -> Result<(Vec<Step>, usize)> {
    let link = probe(links, &wanted.name)?;
    report.found("link", link.as_ref().map_or(Value::Null, |l| {
        let addrs: Vec<String> = l.addrs.iter().map(ToString::to_string).collect();
        json!({"name": wanted.name.as_str(), "kind": l.kind, "mtu": l.mtu, "up": l.up, "addresses": addrs})
    }));
    let link = link.map(|l| bridge::Link { mtu: l.mtu, up: l.up, addrs: l.addrs });
    Ok(bridge::plan(wanted, &Facts { link, ours: recorded(&wanted.name) }))
}

/// The masquerading steps; `cluster` empty means none is wanted, and kboot's own rules go.
fn plan_nat(
    args: &Args,
    wanted: &Wanted,
    lease: &Lease,
    cluster: &[Cidr],
    iptables: Option<&Iptables>,
    report: &mut Report,
) -> Result<Vec<Step>> {
    if args.firewall == Firewall::None {
        return Ok(Vec::new());
    }
    let Some(iptables) = iptables else {
        if cluster.is_empty() {
            return Ok(Vec::new());
        }
        return Err(Error::failed(
            "masquerading: there is no iptables program: install iptables or give --no-masquerade",
        ));
    };
    let listed = iptables.list("nat").context("iptables -t nat -S")?;
    let (Some(subnet), false) = (lease.subnet, cluster.is_empty()) else {
        return Ok(nat::plan_none(&wanted.name, &listed).into_iter().map(Step::Iptables).collect());
    };
    let out_interface = args.out_interface.clone();
    let nat = nat::Wanted { bridge: wanted.name.clone(), subnet, cluster: cluster.to_vec(), out_interface };
    let plan = nat::plan(&nat, &listed);
    report.already(plan.already);
    Ok(plan.steps.into_iter().map(Step::Iptables).collect())
}

fn take(links: &Links, iptables: Option<&Iptables>, step: &Step) -> Result<()> {
    match step {
        Step::Sysctl(name, value) => sysctl::write(name, value),
        Step::AddBridge(name) => links.add_bridge(name),
        Step::SetMtu(name, mtu) => links.set_mtu(name, *mtu),
        Step::AddAddress(name, cidr) => links.add_address(name, *cidr),
        Step::DeleteAddress(name, cidr) => links.delete_address(name, *cidr),
        Step::SetUp(name) => links.set_up(name),
        Step::Iptables(args) => match iptables {
            Some(program) => program.run("nat", args).map(drop),
            None => Err(Error::failed("there is no iptables program")),
        },
    }
}

impl report::Step for Step {
    fn kind(&self) -> &'static str {
        match self {
            Step::Sysctl(..) => "sysctl",
            Step::AddBridge(_) | Step::SetMtu(..) | Step::SetUp(_) => "link",
            Step::AddAddress(..) | Step::DeleteAddress(..) => "address",
            Step::Iptables(_) => "rule",
        }
    }
}

fn record_name(name: &IfName) -> String {
    format!("bridge-{name}.json")
}

/// The addresses that kboot put on the bridge since the boot, if it kept a record.
fn recorded(name: &IfName) -> Option<Vec<Cidr>> {
    let record: Value = serde_json::from_str(&run_dir::read(&record_name(name))?).ok()?;
    let list = record["addresses"].as_array()?.iter();
    Some(list.filter_map(|a| a.as_str()?.parse().ok()).collect())
}

/// Written before the first change: killed in between, a rerun still knows whose the addresses are.
fn remember(wanted: &Wanted, steps: &[Step]) {
    let before = recorded(&wanted.name);
    let mut ours = wanted.addrs.clone();
    // An old address stays on record until a run finds nothing left to do.
    if !steps.is_empty() {
        let old = before.iter().flatten().filter(|c| !wanted.addrs.contains(c));
        ours.extend(old);
    }
    if before.as_ref() == Some(&ours) {
        return;
    }
    let addrs: Vec<String> = ours.iter().map(ToString::to_string).collect();
    let text = format!("{}\n", json!({ "addresses": addrs }));
    if let Err(error) = run_dir::write(&record_name(&wanted.name), &text) {
        log::debug!("no record is kept: {error}");
    }
}

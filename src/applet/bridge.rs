//! `bridge`: the pod bridge, forwarding, and masquerading.

use argh::FromArgValue;
use serde_json::{Value, json};

use super::bridge_record::{FORWARD, recorded, remember, remember_setting};
use super::cli::Words;
use super::options::applet_args;
use super::report::{self, Report};
use super::{Applet, info_of, lease};
use crate::error::{Context, Error, Exit, Result};
use crate::plan::bridge::{self, Facts, Masquerade, Step, Wanted};
use crate::plan::nat;
use crate::plan::subnet_env::{Lease, parse_mtu};
use crate::sys::iptables::Iptables;
use crate::sys::link::{Link, Links};
use crate::sys::lock::{self, Lock};
use crate::sys::wait::Deadline;
use crate::sys::{log, sysctl};
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

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let args: Args = words.parse()?;
    let deadline = Deadline::start(args.common().timeout);
    check(&args)?;
    let name = args.name.clone().map_or_else(|| "cbr0".parse().map_err(Error::failed), Ok)?;
    let known = lease::now(&args.lease_options())?;
    if let Some(lease) = &known {
        masquerade(&args, lease)?;
    }
    let links = Links::open()?;
    probe(&links, &name)?;
    // Let go again before the lease is awaited: that may take long.
    let early = lock(&deadline, report)?;
    forwarding(&name, report)?;
    drop(early);
    let lease = known.map_or_else(|| lease::resolve(&args.lease_options(), &deadline), Ok)?;
    let nat = say(&args, masquerade(&args, &lease)?, &lease, report);
    outward(&args, &links, report)?;
    let wanted = Wanted {
        name: name.clone(),
        addrs: lease.subnets().map(|c| c.host()).collect(),
        mtu: args.mtu.or(lease.mtu),
        cluster: [args.masquerade.as_slice(), &lease.networks, &lease.networks6].concat(),
    };
    let _lock = lock(&deadline, report)?;
    let (mut steps, already) = plan_link(&links, &wanted, report)?;
    report.already(already);
    let iptables = Iptables::find(deadline);
    steps.extend(plan_nat(&args, &wanted, &nat, iptables.as_ref(), report)?);
    if !report.dry_run {
        remember(&wanted, &steps);
    }
    report.carry_out(&steps, |step| take(&links, iptables.as_ref(), step))?;
    let addrs: Vec<String> = wanted.addrs.iter().map(ToString::to_string).collect();
    report.summary(format_args!("{name} {} up", addrs.join(" ")));
    Ok(())
}

fn lock(deadline: &Deadline, report: &Report) -> Result<Option<Lock>> {
    if report.dry_run { Ok(None) } else { lock::acquire(deadline).map(Some) }
}

/// What the rules are to be.
enum Nat {
    /// Masquerade what leaves this subnet for elsewhere than these networks.
    Masquerade(Cidr, Vec<Cidr>),
    /// Take kboot's own rules away.
    Remove,
    /// Touch nothing.
    Leave,
}

fn masquerade(args: &Args, lease: &Lease) -> Result<Masquerade> {
    bridge::masquerade(&args.masquerade, args.no_masquerade, &lease.networks, lease.ipmasq)
        .map_err(Error::conflict)
}

fn say(args: &Args, masquerade: Masquerade, lease: &Lease, report: &mut Report) -> Nat {
    if lease.subnet6.is_some() {
        report.warn("IPv6: the bridge gets its address; forwarding and masquerading are not set up");
    }
    match (masquerade, lease.subnet) {
        _ if args.firewall == Firewall::None => return Nat::Leave,
        (Masquerade::Outside(cluster), Some(subnet)) => return Nat::Masquerade(subnet, cluster),
        (Masquerade::Outside(_), None) => report.warn("no masquerading: the lease has no IPv4 subnet"),
        (Masquerade::No(why), _) => {
            log::info!("{why}");
            return Nat::Remove;
        }
        (Masquerade::Unknown(why), _) => report.warn(why),
    }
    Nat::Leave
}

/// A link that is not there yet may come; a typing error would go unnoticed for ever.
fn outward(args: &Args, links: &Links, report: &mut Report) -> Result<()> {
    if let Some(name) = &args.out_interface
        && links.get(name)?.is_none()
    {
        report.warn(format!(
            "--out-interface {name}: there is no such link now: nothing is masqueraded until it comes"
        ));
    }
    Ok(())
}

fn check(args: &Args) -> Result<()> {
    if args.no_masquerade && (!args.masquerade.is_empty() || args.out_interface.is_some()) {
        return Err(Error::usage("--no-masquerade goes with neither --masquerade nor --out-interface"));
    }
    if args.masquerade.iter().any(|c| c.prefix_len() == 0) {
        return Err(Error::usage("--masquerade: /0 is everything: nothing would be left to masquerade"));
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
fn forwarding(name: &IfName, report: &mut Report) -> Result<()> {
    let now = sysctl::read(FORWARD)?;
    report.found(FORWARD, json!(now));
    match now.as_deref() {
        None => Err(Error::failed(format!("sysctl {FORWARD}: not there: is /proc mounted?"))),
        Some("1") => {
            report.already(1);
            Ok(())
        }
        Some(before) => report.carry_out(&[Step::Sysctl(FORWARD, "1")], |_| {
            remember_setting(name, before);
            sysctl::write(FORWARD, "1")
        }),
    }
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

/// The masquerading steps.
fn plan_nat(
    args: &Args,
    wanted: &Wanted,
    nat: &Nat,
    iptables: Option<&Iptables>,
    report: &mut Report,
) -> Result<Vec<Step>> {
    let steps = match (nat, iptables) {
        (Nat::Leave, _) | (Nat::Remove, None) => Vec::new(),
        (Nat::Masquerade(..), None) => {
            return Err(Error::failed(
                "masquerading: there is no iptables program: install iptables or give --no-masquerade",
            ));
        }
        (Nat::Remove, Some(iptables)) => match iptables.list("nat") {
            Ok(listed) => nat::plan_none(&wanted.name, &listed),
            Err(error) if error.exit == Exit::Deadline => return Err(error).context("iptables -t nat -S"),
            Err(error) => {
                // No table, no rules of ours in it.
                log::debug!("iptables -t nat -S: {error}");
                Vec::new()
            }
        },
        (Nat::Masquerade(subnet, cluster), Some(iptables)) => {
            let listed = iptables.list("nat").context("iptables -t nat -S")?;
            let out_interface = args.out_interface.clone();
            let (bridge, subnet, cluster) = (wanted.name.clone(), *subnet, cluster.clone());
            let plan = nat::plan(&nat::Wanted { bridge, subnet, cluster, out_interface }, &listed);
            report.already(plan.already);
            plan.steps
        }
    };
    Ok(steps.into_iter().map(Step::Iptables).collect())
}

fn take(links: &Links, iptables: Option<&Iptables>, step: &Step) -> Result<()> {
    match step {
        Step::Sysctl(name, value) => sysctl::write(name, value),
        Step::PromoteSecondaries(name) => sysctl::write(&bridge::promote_secondaries(name), "1"),
        Step::AddBridge(name) => links.add_bridge(name),
        Step::SetMtu(name, mtu) => {
            if !links.set_mtu(name, *mtu)? {
                // Before 4.17 a bridge takes no MTU above its ports' (1500 without any).
                log::warning!("the kernel does not take {step} yet: {name} gets it from its first port");
            }
            Ok(())
        }
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
            Step::Sysctl(..) | Step::PromoteSecondaries(_) => "sysctl",
            Step::AddBridge(_) | Step::SetMtu(..) | Step::SetUp(_) => "link",
            Step::AddAddress(..) | Step::DeleteAddress(..) => "address",
            Step::Iptables(_) => "rule",
        }
    }
}

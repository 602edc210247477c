//! `ipconfig`: the network of an initramfs, as klibc's program of that name and the kernel's own `ip=`.

mod choose;
mod keep;
mod obtain;
mod resolver;
mod source;
mod take;

use std::path::{Path, PathBuf};

use super::cli::Words;
use super::options::applet_args;
use super::report::Report;
use super::{Applet, info_of, judge_of};
use crate::error::{Error, Result};
use crate::plan::bridge;
use crate::plan::ip_param::{Device, Method, Param};
use crate::plan::ipconfig::{Goal, Step};
use crate::sys::link::Links;
use crate::sys::wait::Deadline;
use crate::types::{IfName, Route};
use resolver::Known;

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "ipconfig",
    summary: "configure the network as ip= says: DHCP or static",
    examples: &[
        "what the kernel parameter ip= says, else DHCP: kboot ipconfig",
        "DHCP on one link; stay and renew the lease: kboot ipconfig --device eth0 --keep",
        "static, with a host name and a name server: kboot ipconfig --ip 10.0.2.15::10.0.2.2:255.255.255.0:node1:eth0:none:10.0.2.3",
        "both families on one link: kboot ipconfig --ip eth0:dhcp --ip '[fd00:5::9]::[fd00:5::1]:64::eth0:none'",
    ],
    rest: None,
    groups: &["Network: --ip --device --keep --resolv-conf"],
    exits: &["75: no link, or no answer by DHCP, within --timeout; run it again"],
    variables: &["ip=, nameserver=, BOOTIF=: kernel parameters that say what options do not"],
    files: &["/etc/resolv.conf: gets the name servers"],
    info: info_of::<Args>,
    judge: judge_of::<Args>,
    run,
};

const RESOLV_CONF: &str = "/etc/resolv.conf";

applet_args! {
    /// configures the network as the kernel parameter ip= says, which a kernel without IP_PNP leaves to
    /// the initramfs: addresses, routes, MTU, name servers, this host's name; by DHCP where nothing
    /// else is said. Brings lo up.
    struct Args [] {
        /// as the kernel's ip=, or dracut's; repeatable, one for each link (default: the kernel parameters
        /// kboot.ip=, else ip=, else dhcp)
        #[argh(option, arg_name = "spec")]
        ip: Vec<Param>,
        /// the link, by its name or its Ethernet address, where ip= names none (default: BOOTIF=, else the
        /// first with a carrier that is no bridge, veth or the like)
        #[argh(option, arg_name = "ifname")]
        device: Option<Device>,
        /// stay in the foreground and keep the lease: renew it, take the address away when it ends
        #[argh(switch)]
        keep: bool,
        /// where the name servers are written (default: /etc/resolv.conf)
        #[argh(option, arg_name = "path")]
        resolv_conf: Option<PathBuf>,
    }
}

/// One run.
struct Run<'r> {
    args: &'r Args,
    deadline: Deadline,
    links: Links,
    report: &'r mut Report,
    known: Known,
    /// Links that are configured, and how, for the line at the end.
    done: Vec<(u32, String)>,
    /// Which families have a default route already: the first one given counts.
    has_default: [Option<IfName>; 2],
}

impl Run<'_> {
    fn resolv_conf(&self) -> &Path {
        self.args.resolv_conf.as_deref().unwrap_or(Path::new(RESOLV_CONF))
    }

    /// The routes without a default one of a family in which another link has it.
    fn routes(&mut self, name: &IfName, routes: Vec<Route>) -> Vec<Route> {
        let mut kept = Vec::new();
        for route in routes {
            let holder = &mut self.has_default[usize::from(route.to.is_ipv4())];
            match holder {
                Some(other) if route.is_default() && other != name => {
                    self.report.warn(format!("{name}: no {route}: {other} has the default route"));
                    continue;
                }
                None if route.is_default() => *holder = Some(name.clone()),
                _ => {}
            }
            kept.push(route);
        }
        kept
    }
}

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let args: Args = words.parse()?;
    let common = args.common();
    if args.keep && common.json && !common.dry_run {
        return Err(Error::usage("--keep goes on: --json would have no end"));
    }
    let params = source::params(&args, report)?;
    let deadline = Deadline::start(common.timeout);
    let links = Links::open()?;
    let (known, done) = (Known::default(), Vec::new());
    let mut run = Run { args: &args, deadline, links, report, known, done, has_default: [None, None] };
    loopback(&mut run)?;
    let mut leases = Vec::new();
    for param in &params {
        leases.extend(one(&mut run, param)?);
    }
    resolver::settle(&mut run)?;
    let shown: Vec<&str> = run.done.iter().map(|(_, text)| text.as_str()).collect();
    let shown = if shown.is_empty() { "lo up".to_owned() } else { shown.join(", ") };
    run.report.found("links", shown.clone().into());
    run.report.summary(shown);
    if args.keep && !common.dry_run { keep::keep(&mut run, leases) } else { Ok(()) }
}

/// Without it 127.0.0.1 does not answer.
fn loopback(run: &mut Run<'_>) -> Result<()> {
    let name: IfName = "lo".parse().map_err(Error::failed)?;
    match run.links.get(&name)? {
        Some(link) if !link.up => take::carry_out(run, &[Step::Link(bridge::Step::SetUp(name))]),
        Some(_) => {
            run.report.already(1);
            Ok(())
        }
        None => Ok(()),
    }
}

/// One `ip=`. What is to be kept, if it was leased.
fn one(run: &mut Run<'_>, param: &Param) -> Result<Option<keep::Kept>> {
    let mut search = Vec::new();
    if let Some((name, domain)) = &param.hostname {
        run.known.hostname = Some((name.clone(), true));
        search.extend(domain.clone());
    }
    run.known.say(resolver::OPERATOR, param.dns.clone(), search);
    if param.method == Method::Off {
        return Ok(None);
    }
    let (name, link) = choose::link(run, param.device.as_ref())?;
    match &param.method {
        Method::Static(address, gateway) => {
            let routes = run.routes(&name, gateway.map(Route::default_by).into_iter().collect());
            let goal = Goal { name, address: *address, stale: None, routes, mtu: param.mtu };
            take::settle(run, &goal, "static")?;
            run.done.push((link.index, take::shown(&goal, "static")));
            Ok(None)
        }
        _ => obtain::configure(run, param, &name, &link),
    }
}

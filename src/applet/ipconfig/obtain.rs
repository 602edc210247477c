//! A lease: from DHCPDISCOVER to DHCPACK (RFC 2131, 4.4.1).

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use super::keep::Kept;
use super::{Run, choose, take};
use crate::applet::kernel_module;
use crate::error::{Context, Error, Result};
use crate::plan::bridge;
use crate::plan::dhcp::{Answer, Ask, CLIENT_PORT, Client, Lease, decode, frame, unframe};
use crate::plan::ip_param::Param;
use crate::plan::ipconfig::{Goal, Step};
use crate::sys::link::Link;
use crate::sys::packet::Raw;
use crate::sys::wait::{self, Deadline, Retry};
use crate::sys::{clock, log, run_dir};
use crate::types::{Cidr, IfName, Mac};

/// The first wait for an answer, doubled each time up to the last, each a quarter more or less by chance
/// (RFC 2131, 4.1, which begins with 4 s; the first packet on a link that has just come up is often lost).
const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_secs(64);
/// How often an offer is asked for before another is looked for.
const ROUNDS: u32 = 4;

/// A link that asks.
pub struct Asker {
    pub name: IfName,
    pub index: u32,
    pub mac: Mac,
}

/// Makes a link ask, and gives it what it gets.
pub fn configure(run: &mut Run<'_>, param: &Param, name: &IfName, link: &Link) -> Result<Option<Kept>> {
    let mut steps = Vec::new();
    if let Some(mtu) = param.mtu.filter(|mtu| *mtu != link.mtu) {
        steps.push(Step::Link(bridge::Step::SetMtu(name.clone(), mtu)));
    }
    if !link.up {
        steps.push(Step::Link(bridge::Step::SetUp(name.clone())));
    }
    take::carry_out(run, &steps)?;
    if run.report.dry_run {
        run.report.plan(&Step::Dhcp(name.clone(), link.mac))?;
        run.done.push((link.index, format!("{name} by dhcp")));
        return Ok(None);
    }
    let Some(mac) = link.mac.filter(|_| link.is_ethernet) else {
        return Err(Error::failed(format!("{name}: DHCP needs an Ethernet link")));
    };
    choose::carrier(run, name)?;
    let asker = Asker { name: name.clone(), index: link.index, mac };
    let mut kept = Kept { asker, mtu: param.mtu, lease: None, since: Duration::ZERO, next: Duration::ZERO };
    let wish = before(name).map(|cidr| cidr.addr());
    kept.take_lease(run, obtain(&kept.asker, wish, &run.deadline)?)?;
    run.done.push((link.index, kept.shown()));
    Ok(Some(kept))
}

fn record(name: &IfName) -> String {
    format!("ipconfig-{name}")
}

/// The address that an earlier lease of this boot gave.
pub fn before(name: &IfName) -> Option<Cidr> {
    run_dir::read(&record(name))?.trim().parse().ok()
}

/// Gives the link what the lease says.
pub fn apply(run: &mut Run<'_>, asker: &Asker, mtu: Option<u32>, lease: &Lease) -> Result<Goal> {
    let name = &asker.name;
    let routes = run.routes(name, lease.routes.clone());
    let (address, stale) = (lease.address, before(name));
    let goal = Goal { name: name.clone(), address, stale, routes, mtu: mtu.or(lease.mtu) };
    // Noted before it is there: a run that is killed in between is known to have meant it.
    if let Err(error) = run_dir::write(&record(name), &format!("{address}\n")) {
        log::debug!("{error}: an address of another lease would stay");
    }
    take::settle(run, &goal, "dhcp")?;
    let dns = lease.dns.iter().map(|a| IpAddr::from(*a)).collect();
    run.known.say(asker.index, dns, lease.search.clone());
    if let (None, Some(name)) = (&run.known.hostname, &lease.hostname) {
        run.known.hostname = Some((name.clone(), false));
    }
    Ok(goal)
}

/// Asks until a server gives an address. The time is when it was asked for.
pub fn obtain(asker: &Asker, wish: Option<IpAddr>, deadline: &Deadline) -> Result<(Lease, Duration)> {
    let raw = open(asker)?;
    let started = Instant::now();
    let (mut span, mut count) = (FIRST, 0_u32);
    let wish = wish.and_then(|addr| match addr {
        IpAddr::V4(addr) => Some(addr),
        IpAddr::V6(_) => None,
    });
    let what = format!("a DHCP lease for {}", asker.name);
    wait::retry_every(deadline, &what, Duration::from_millis(50), || {
        count += 1;
        let secs = u16::try_from(started.elapsed().as_secs()).unwrap_or(u16::MAX);
        let xid = u32::try_from(clock::chance() & 0xffff_ffff).unwrap_or_default();
        let exchange = Exchange { raw: &raw, client: Client { mac: asker.mac, xid, secs }, deadline };
        let result = exchange.run(wish, span, count);
        span = (span * 2).min(LAST);
        result
    })
}

fn open(asker: &Asker) -> Result<Raw> {
    let mut raw = Raw::open(asker.index, CLIENT_PORT);
    // Debian's and others' kernels have packet sockets as a module.
    if raw.as_ref().err() == Some(&nix::Error::EAFNOSUPPORT) && kernel_module::bring(&["af_packet"]) {
        raw = Raw::open(asker.index, CLIENT_PORT);
    }
    raw.map_err(|errno| match errno {
        nix::Error::EPERM => Error::failed("needs root (CAP_NET_RAW)"),
        nix::Error::EAFNOSUPPORT => {
            Error::failed("this kernel has no packet sockets (CONFIG_PACKET, module af_packet)")
        }
        other => other.into(),
    })
    .context(format_args!("dhcp {}", asker.name))
}

struct Exchange<'e> {
    raw: &'e Raw,
    client: Client,
    deadline: &'e Deadline,
}

/// A quarter more or less.
fn spread(span: Duration) -> Duration {
    span * 3 / 4 + clock::jitter(span / 2)
}

impl Exchange<'_> {
    fn say(&self, ask: Ask) -> Result<()> {
        let packet = self.client.message(ask).and_then(|m| frame(&m));
        let packet = packet.ok_or_else(|| Error::failed("DHCP: a message that does not fit"))?;
        match self.raw.send(&packet) {
            // The link may come up again, its queue empty itself.
            Ok(()) | Err(nix::Error::ENETDOWN | nix::Error::ENOBUFS) => Ok(()),
            Err(errno) => Err(errno).context("DHCP"),
        }
    }

    fn hear(&self, span: Duration, is_it: impl Fn(&Answer) -> bool) -> Option<Answer> {
        let until = Instant::now() + self.deadline.attempt(spread(span));
        loop {
            let packet = self.raw.receive(until)?;
            let answer = unframe(&packet).and_then(|message| decode(&self.client, message));
            if let Some(answer) = answer.filter(&is_it) {
                return Some(answer);
            }
        }
    }

    /// The first offer is taken.
    fn run(&self, wish: Option<Ipv4Addr>, span: Duration, asked: u32) -> Result<(Lease, Duration), Retry> {
        let later = |why: String| Err(Retry::Later { why, after: None });
        self.say(Ask::Discover(wish))?;
        let Some(Answer::Offer(offer)) = self.hear(span, |a| matches!(a, Answer::Offer(_))) else {
            return later(format!("no server answered (asked {asked} times, from {})", self.client.mac));
        };
        let IpAddr::V4(wanted) = offer.address.addr() else { return later("an offer of no address".into()) };
        log::debug!("{} offers {}", offer.server, offer.address);
        for round in 0..ROUNDS {
            let since = clock::uptime().unwrap_or_default();
            self.say(Ask::Select(wanted, offer.server))?;
            let is_end = |a: &Answer| match a {
                Answer::Ack(lease) => lease.address.addr() == offer.address.addr(),
                Answer::Nak(_) => true,
                Answer::Offer(_) => false,
            };
            match self.hear(FIRST * 2_u32.pow(round), is_end) {
                Some(Answer::Ack(lease)) => return Ok((lease, since)),
                Some(Answer::Nak(text)) => {
                    // Not at once again: it may say so each time.
                    self.hear(span, |_| false);
                    return later(format!("{} refuses {wanted}: {text}", offer.server));
                }
                _ if self.deadline.passed() => break,
                _ => {}
            }
        }
        later(format!("{} offered {wanted} and did not give it", offer.server))
    }
}

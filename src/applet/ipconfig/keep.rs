//! Keeping leases (RFC 2131, 4.4.5): their servers are asked for more time, then any, and an address whose
//! time is over goes.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use super::obtain::{self, Asker};
use super::{Run, resolver, take};
use crate::error::{Context, Error, Result};
use crate::plan::bridge;
use crate::plan::dhcp::{Answer, Ask, CLIENT_PORT, Client, Due, Lease, SERVER_PORT, decode};
use crate::plan::ipconfig::{Goal, Step};
use crate::sys::packet::Port;
use crate::sys::wait::Deadline;
use crate::sys::{clock, log, notify};
use crate::types::{Cidr, Timeout};

/// How long an answer is waited for.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a new lease is asked for before another link has its turn.
const TURN: Duration = Duration::from_secs(30);
/// The clock of uptime goes on while a machine sleeps, ours may not.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// A link and its lease. Times are uptimes.
pub struct Kept {
    pub asker: Asker,
    /// What `ip=` says of it.
    pub mtu: Option<u32>,
    /// `None`: it was lost.
    pub lease: Option<(Lease, Goal)>,
    /// When it was asked for.
    pub since: Duration,
    /// When something is due.
    pub next: Duration,
}

fn now() -> Duration {
    clock::uptime().unwrap_or_default()
}

/// For ever.
pub fn keep(run: &mut Run<'_>, mut all: Vec<Kept>) -> Result<()> {
    if all.is_empty() {
        log::info!("nothing is leased: nothing to keep");
        return Ok(());
    }
    notify::send("READY=1");
    run.deadline = Deadline::start(Timeout::Forever);
    loop {
        let Some(kept) = all.iter_mut().min_by_key(|k| k.next) else { return Ok(()) };
        match kept.next.saturating_sub(now()) {
            left if left.is_zero() => {
                kept.is_there(run)?;
                if let Err(error) = kept.turn(run) {
                    log::warning!("{}: {error}", kept.asker.name);
                    kept.next = kept.next.max(now() + ANSWER);
                }
            }
            left => std::thread::sleep(left.min(LONGEST_SLEEP)),
        }
    }
}

impl Kept {
    /// Takes what a server gave.
    pub fn take_lease(&mut self, run: &mut Run<'_>, (lease, since): (Lease, Duration)) -> Result<()> {
        let goal = obtain::apply(run, &self.asker, self.mtu, &lease)?;
        self.since = since;
        self.next = since + Duration::from_secs(lease.renew.into());
        self.lease = Some((lease, goal));
        Ok(())
    }

    /// `eth0 10.0.2.15/24 via 10.0.2.2 (dhcp, lease 24h)`.
    pub fn shown(&self) -> String {
        let text =
            self.lease.as_ref().map(|(l, goal)| take::shown(goal, &format!("dhcp, lease {}", l.length())));
        text.unwrap_or_default()
    }

    /// A link that has gone, or come anew under its name, is for another run.
    fn is_there(&self, run: &Run<'_>) -> Result<()> {
        let name = &self.asker.name;
        let link = run.links.get(name)?.filter(|l| l.index == self.asker.index);
        link.map(drop).ok_or_else(|| Error::failed(format!("{name} is gone")))
    }

    /// What is due.
    fn turn(&mut self, run: &mut Run<'_>) -> Result<()> {
        let Some((lease, _)) = &self.lease else { return self.anew(run) };
        let age = u32::try_from(now().saturating_sub(self.since).as_secs()).unwrap_or(u32::MAX);
        let (server, again) = match lease.due(age) {
            Due::Nothing(seconds) => {
                self.next = now() + Duration::from_secs(seconds.into());
                return Ok(());
            }
            Due::Renew(again) => (lease.server, again),
            Due::Rebind(again) => (Ipv4Addr::BROADCAST, again),
            Due::Expired => return self.lose(run, "the lease has expired"),
        };
        self.next = now() + Duration::from_secs(again.into());
        let address = lease.address;
        match self.more(address, server, age)? {
            Some((Answer::Ack(lease), since)) => {
                log::info!("{} {} renewed for {}", self.asker.name, lease.address, lease.length());
                self.take_lease(run, (lease, since))?;
                resolver::settle(run)
            }
            Some((Answer::Nak(text), _)) => self.lose(run, &format!("{server} takes it back: {text}")),
            _ => {
                log::info!(
                    "{} {address}: {server} does not renew the lease: asking again in {again} s",
                    self.asker.name
                );
                Ok(())
            }
        }
    }

    /// Asks once.
    fn more(&self, address: Cidr, server: Ipv4Addr, age: u32) -> Result<Option<(Answer, Duration)>> {
        let IpAddr::V4(own) = address.addr() else { return Ok(None) };
        let xid = u32::try_from(clock::chance() & 0xffff_ffff).unwrap_or_default();
        let client = Client { mac: self.asker.mac, xid, secs: u16::try_from(age).unwrap_or(u16::MAX) };
        let message = client.message(Ask::More(own)).unwrap_or_default();
        let port = Port::open(&self.asker.name, CLIENT_PORT).map_err(|errno| match errno {
            nix::Error::EADDRINUSE => Error::failed("UDP port 68 is taken: does another DHCP client run?"),
            other => other.into(),
        })?;
        let since = now();
        port.send(SocketAddrV4::new(server, SERVER_PORT), &message)
            .context(format_args!("DHCP server {server}"))?;
        let until = Instant::now() + ANSWER;
        while let Some(bytes) = port.receive(until) {
            match decode(&client, &bytes) {
                Some(Answer::Ack(lease)) if lease.address.addr() != address.addr() => {}
                Some(answer @ (Answer::Ack(_) | Answer::Nak(_))) => return Ok(Some((answer, since))),
                _ => {}
            }
        }
        Ok(None)
    }

    /// The address is not ours any more.
    fn lose(&mut self, run: &mut Run<'_>, why: &str) -> Result<()> {
        let Some((lease, _)) = self.lease.take() else { return Ok(()) };
        log::warning!("{} {}: {why}", self.asker.name, lease.address);
        self.next = now();
        let step = bridge::Step::DeleteAddress(self.asker.name.clone(), lease.address);
        run.has_default.iter_mut().filter(|h| h.as_ref() == Some(&self.asker.name)).for_each(|h| *h = None);
        take::carry_out(run, &[Step::Link(step)])
    }

    fn anew(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.next = now();
        let lease = obtain::obtain(&self.asker, None, &Deadline::start(Timeout::After(TURN)))?;
        self.take_lease(run, lease)?;
        log::info!("{}", self.shown());
        resolver::settle(run)
    }
}

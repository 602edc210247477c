//! `--reserve`: subnets that are kept for their hosts: leases without an end, as flannel has them.

use super::settle::{Apis, Keys};
use super::{Args, FIRST_V3};
use crate::applet::report::Report;
use crate::client::etcd::{Entry, Lasts, Stored};
use crate::error::{Error, Result};
use crate::plan::etcd::{Held, Write};
use crate::plan::host_lease::{self, HostLease};
use crate::plan::network::{self, NetworkConfig};
use crate::plan::reservation::Reservation;
use crate::sys::log;
use crate::types::Version;

/// Whether the reservations can all be had: one subnet for one host. The same one twice is fine.
pub fn check(reservations: &[Reservation]) -> Result<()> {
    for (at, reservation) in reservations.iter().enumerate() {
        let before: Vec<HostLease> = reservations[..at].iter().map(Reservation::lease).collect();
        reservation.fits(&before).map_err(|why| Error::usage(format!("--reserve: {why}")))?;
    }
    Ok(())
}

/// The writes that reserve what is asked for, in each API, by the config that will be there.
pub fn plan(
    args: &Args,
    apis: &Apis<'_>,
    held: &[Held],
    keys: &Keys,
    wanted: Option<&NetworkConfig>,
    report: &mut Report,
) -> Result<Vec<Write>> {
    if args.reserve.is_empty() {
        return Ok(Vec::new());
    }
    let mut writes: Vec<Write> = Vec::new();
    let version = args.rules();
    if wanted.is_none() && held.iter().all(|(_, stored)| stored.is_none()) {
        return Err(Error::failed(format!("{}: etcd holds no config: give it too", keys.config)));
    }
    for (api, (name, stored)) in apis.iter().zip(held) {
        let config = match stored {
            Some(s) if wanted.is_none() => Some(held_config(&keys.config, name, &s.value, version)?),
            _ => None,
        };
        // An API without a config has no flannel that would read a reservation.
        let Some(config) = wanted.or(config.as_ref()) else {
            log::info!("{} ({name}): no config, so no reservation", keys.config);
            continue;
        };
        args.reserve.iter().try_for_each(|reservation| lies_within(reservation, config, name))?;
        let entries = api.list(&keys.subnets)?;
        let before = writes.len();
        for reservation in &args.reserve {
            writes.extend(plan_one(reservation, &entries, name, keys)?.filter(|w| !writes.contains(w)));
        }
        report.already(args.reserve.len() - (writes.len() - before));
        if *name == "v3" && version >= FIRST_V3 && writes.len() > before {
            report.warn("flannel from 0.18 on makes a lease of 24 hours of a v3 reservation, or drops it");
        }
    }
    Ok(writes)
}

fn held_config(key: &str, api: &str, value: &[u8], version: Version) -> Result<NetworkConfig> {
    let text =
        std::str::from_utf8(value).map_err(|_| Error::failed(format!("{key} ({api}): is not text")))?;
    network::parse(text, version).map_err(|why| Error::failed(format!("{key} ({api}): {why}")))
}

/// flanneld takes away what it would not have leased itself.
fn lies_within(reservation: &Reservation, config: &NetworkConfig, api: &str) -> Result<()> {
    let subnets = [(Some(reservation.subnet), &config.ipv4), (reservation.subnet6, &config.ipv6)];
    for (subnet, leases) in subnets {
        match (subnet, leases) {
            (None, None) => {}
            (Some(subnet), Some(leases)) if leases.would_lease(&subnet) => {}
            (Some(subnet), Some(leases)) => {
                return Err(Error::usage(format!(
                    "--reserve {subnet}: is none of the subnets {} ({api})",
                    leases.shown()
                )));
            }
            (Some(subnet), None) => {
                return Err(Error::usage(format!(
                    "--reserve {subnet}: the config has no IPv6: flannel would drop it"
                )));
            }
            (None, Some(_)) => {
                return Err(Error::usage(format!(
                    "--reserve {}: the config has IPv6 too, and flannel would drop it: CIDR+CIDR6=IP",
                    reservation.subnet
                )));
            }
        }
    }
    Ok(())
}

fn plan_one(
    reservation: &Reservation,
    entries: &[Entry],
    api: &'static str,
    keys: &Keys,
) -> Result<Option<Write>> {
    let key = format!("{}/{}", keys.subnets, reservation.key_name());
    let parsed: Vec<(&Entry, HostLease)> =
        entries.iter().filter_map(|e| Some((e, host_lease::parse(&e.key, &e.stored.value)?))).collect();
    let leases: Vec<HostLease> = parsed.iter().map(|(_, lease)| lease.clone()).collect();
    let same = reservation
        .fits(&leases)
        .map_err(|why| Error::conflict(format!("{} ({api}): {why}", keys.subnets)))?;
    let entry = same.and_then(|lease| parsed.iter().find(|(_, l)| l == lease)).map(|(entry, _)| *entry);
    if entry.is_none() && entries.iter().any(|e| e.key == key) {
        return Err(Error::conflict(format!("{key} ({api}): holds what is no lease: take it away first")));
    }
    Ok(match entry {
        Some(entry) if entry.stored.lasts == Lasts::ForGood => None,
        // What a running host wrote there stays; only its end is taken off.
        Some(Entry { key, stored: Stored { value, revision, .. }, .. }) => Some(Write {
            api,
            key: key.clone(),
            value: String::from_utf8_lossy(value).into_owned(),
            replaces: Some(*revision),
        }),
        None => Some(Write { api, key, value: reservation.value(), replaces: None }),
    })
}

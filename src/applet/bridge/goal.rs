//! What is wanted in all, once the lease is known.

use super::{Args, Firewall, Run};
use crate::error::{Error, Result};
use crate::plan::bridge::Wanted;
use crate::plan::bridge::masquerade::{Masquerade, masquerade};
use crate::plan::nat;
use crate::plan::subnet_env::{self, Lease};
use crate::sys::{log, modules};
use crate::types::{Cidr, Hairpin, IfName};

/// The rules that one address family is to have.
pub enum Rules {
    /// Masquerade.
    Masquerade(nat::Wanted),
    /// Take kboot's own away.
    Remove,
    /// Touch nothing.
    Leave,
}

/// What is wanted.
pub struct Goal {
    /// The link.
    pub link: Wanted,
    /// The pods' networks.
    pub subnets: Vec<Cidr>,
    /// IPv4's rules.
    pub rules4: Rules,
    /// IPv6's.
    pub rules6: Rules,
}

impl Goal {
    /// Whether pods have addresses of that family.
    pub fn has(&self, ipv4: bool) -> bool {
        self.subnets.iter().any(|s| s.is_ipv4() == ipv4)
    }
}

/// What both families' masquerading comes to; the error is a conflict, before anything is touched.
pub fn decide(args: &Args, lease: &Lease) -> Result<[Masquerade; 2]> {
    let family = |ipv4: bool| -> Result<Masquerade> {
        let asked: Vec<Cidr> = args.masquerade.iter().filter(|c| c.is_ipv4() == ipv4).copied().collect();
        let networks = if ipv4 { &lease.networks } else { &lease.networks6 };
        masquerade(&asked, args.no_masquerade, networks, lease.ipmasq).map_err(Error::conflict)
    };
    Ok([family(true)?, family(false)?])
}

/// Makes it of the words and the lease, and says what is not as one might expect.
pub fn of(run: &mut Run<'_>, lease: &Lease) -> Result<Goal> {
    let [four, six] = decide(run.args, lease)?;
    let link = link(run.args, &run.name, lease)?;
    let subnets = lease.subnets().map(|c| c.network()).collect();
    if let (Masquerade::No(why), _) | (_, Masquerade::No(why)) = (&four, &six)
        && run.args.firewall != Firewall::None
    {
        log::info!("{why}");
    }
    let rules4 = rules(run, four, lease.subnet, true);
    let rules6 = rules(run, six, lease.subnet6, false);
    outward(run)?;
    Ok(Goal { link, subnets, rules4, rules6 })
}

fn link(args: &Args, name: &IfName, lease: &Lease) -> Result<Wanted> {
    let (promiscuous, hairpin) = match args.hairpin_mode {
        // Both at once would double every frame that a pod sends to itself.
        Some(Hairpin::Promiscuous) => (Some(true), Some(false)),
        Some(Hairpin::Veth) => (Some(false), Some(true)),
        Some(Hairpin::None) => (Some(false), Some(false)),
        None => (None, None),
    };
    let mut addrs: Vec<Cidr> = Vec::new();
    for addr in lease.subnets().map(|c| c.host()).chain(args.address.iter().copied()) {
        if !addrs.contains(&addr) {
            addrs.push(addr);
        }
    }
    let mtu = args.mtu.or(lease.mtu);
    subnet_env::check_mtu(mtu, &addrs).map_err(Error::usage)?;
    let cluster = [args.masquerade.as_slice(), &lease.networks, &lease.networks6].concat();
    Ok(Wanted { name: name.clone(), addrs, mtu, cluster, promiscuous, hairpin })
}

fn rules(run: &mut Run<'_>, decided: Masquerade, subnet: Option<Cidr>, ipv4: bool) -> Rules {
    if run.args.firewall == Firewall::None {
        return Rules::Leave;
    }
    let family = if ipv4 { "IPv4" } else { "IPv6" };
    match (decided, subnet) {
        (Masquerade::Outside(cluster), Some(subnet)) => {
            if !cluster.iter().any(|c| c.contains(subnet.addr())) {
                let list: Vec<String> = cluster.iter().map(ToString::to_string).collect();
                run.report.warn(format!(
                    "the pod subnet {} is not in the cluster's network {}: other nodes' pods will see this node's address",
                    subnet.network(),
                    list.join(",")
                ));
            }
            Rules::Masquerade(nat::Wanted {
                bridge: run.name.clone(),
                subnet: subnet.network(),
                cluster,
                out_interface: run.args.out_interface.clone(),
                random_fully: true,
                needs_prerouting: modules::kernel_version() < (4, 18, 0),
            })
        }
        (_, None) => {
            if run.args.masquerade.iter().any(|c| c.is_ipv4() == ipv4) {
                run.report.warn(format!("no masquerading of {family}: the lease has no {family} subnet"));
            }
            Rules::Remove
        }
        (Masquerade::No(_), _) => Rules::Remove,
        (Masquerade::Unknown(why), _) => {
            run.report.warn(if ipv4 { why.to_owned() } else { format!("IPv6: {why}") });
            Rules::Leave
        }
    }
}

/// A link that is not there yet may come; a typing error would go unnoticed for ever.
fn outward(run: &mut Run<'_>) -> Result<()> {
    if let Some(name) = &run.args.out_interface
        && run.args.firewall != Firewall::None
        && run.links.get(name)?.is_none()
    {
        run.report.warn(format!(
            "--out-interface {name}: there is no such link now: nothing is masqueraded until it comes"
        ));
    }
    Ok(())
}

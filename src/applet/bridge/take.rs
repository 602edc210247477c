//! Taking the steps.

use super::record::remember_setting;
use super::seen::Engine;
use crate::applet::{kernel_module, report};
use crate::error::{Error, Result};
use crate::plan::bridge::Step;
use crate::sys::iptables::Iptables;
use crate::sys::link::Links;
use crate::sys::{log, sysctl};
use crate::types::IfName;
use crate::types::nft::Command;

/// What steps are taken with.
pub struct Hands<'h> {
    pub name: &'h IfName,
    pub links: &'h Links,
    pub iptables: &'h Iptables,
    pub engine: Option<&'h Engine>,
}

impl Hands<'_> {
    /// Takes steps that belong together; the error says at which.
    pub fn take(&self, steps: &[Step]) -> Result<(), (usize, Error)> {
        let commands: Vec<Command> = steps
            .iter()
            .filter_map(|s| match s {
                Step::Nft(command) => Some(command.clone()),
                _ => None,
            })
            .collect();
        match (self.engine, commands.is_empty()) {
            (Some(engine), false) => engine.apply(&commands),
            _ => steps.iter().enumerate().try_for_each(|(at, step)| self.one(step).map_err(|e| (at, e))),
        }
    }

    fn one(&self, step: &Step) -> Result<()> {
        let links = self.links;
        match step {
            Step::LoadModule(name) => kernel_module::load(name),
            Step::Sysctl(name, value) => self.set(name, value),
            Step::AddBridge(name, mtu, mac) => links.add_bridge(name, *mtu, *mac).or_else(|error| {
                let brought = kernel_module::bring(&["bridge"]);
                if brought { links.add_bridge(name, *mtu, *mac) } else { Err(error) }
            }),
            Step::SetMtu(name, mtu) => {
                if !links.set_mtu(name, *mtu)? {
                    // Before 4.17 a bridge takes no MTU above its ports' (1500 without any).
                    log::warning!(
                        "the kernel does not take {step} yet: the bridge gets it from its first port"
                    );
                }
                Ok(())
            }
            Step::SetMac(name, mac) => links.set_mac(name, *mac),
            Step::StpOff(name) => links.stp_off(name),
            Step::NoForwardDelay(name) => links.no_forward_delay(name),
            Step::Promiscuous(name, on) => links.set_promiscuous(name, *on),
            Step::Hairpin(port, on) => links.set_hairpin(port, *on),
            Step::Forward(port) => links.set_forwarding(port),
            Step::Attach(port, bridge) => links.attach(port, bridge),
            Step::Detach(port) => links.detach(port),
            Step::AddAddress(name, cidr) => links.add_address(name, *cidr),
            Step::DeleteAddress(name, cidr) => links.delete_address(name, *cidr),
            Step::SetUp(name) => links.set_up(name),
            Step::DeleteLink(name) => links.delete(name),
            Step::Iptables(call) => {
                if let Some(engine) = self.engine {
                    engine.is_stale();
                }
                self.iptables.run(call.program, call.table, &call.args).map(drop)
            }
            Step::Nft(_) => Err(Error::failed("nf_tables is not there")),
        }
    }

    /// Notes how it was first, but for what goes with the bridge.
    fn set(&self, name: &str, value: &str) -> Result<()> {
        let is_bridges = name.contains(&format!("/conf/{}/", self.name));
        if !is_bridges && let Some(before) = sysctl::read(name)? {
            remember_setting(self.name, name, &before);
        }
        sysctl::write(name, value)
    }
}

impl report::Step for Step {
    fn kind(&self) -> &'static str {
        match self {
            Step::LoadModule(_) => "module",
            Step::Sysctl(..) => "sysctl",
            Step::AddAddress(..) | Step::DeleteAddress(..) => "address",
            Step::Iptables(_) | Step::Nft(_) => "rule",
            _ => "link",
        }
    }

    /// Changes of tables of one name are one transaction (kboot's are of both families).
    fn joins(&self, next: &Self) -> bool {
        match (self, next) {
            (Step::Nft(a), Step::Nft(b)) => a.table() == b.table(),
            _ => false,
        }
    }
}

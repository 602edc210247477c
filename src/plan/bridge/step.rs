use std::fmt;

use crate::types::nft::Command;
use crate::types::{Cidr, IfName, Mac};

/// One change, its text the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `modprobe NAME`.
    LoadModule(&'static str),
    /// A kernel setting. A name with a link's in it is written with slashes: that may have dots.
    Sysctl(String, String),
    /// A bridge without STP and with a pinned address.
    AddBridge(IfName, Option<u32>, Mac),
    /// `ip link set NAME mtu MTU`.
    SetMtu(IfName, u32),
    /// `ip link set NAME address MAC`.
    SetMac(IfName, Mac),
    /// `ip link set NAME type bridge stp_state 0`.
    StpOff(IfName),
    /// `ip link set NAME type bridge forward_delay 0`.
    NoForwardDelay(IfName),
    /// `ip link set NAME promisc on|off`.
    Promiscuous(IfName, bool),
    /// `bridge link set dev PORT hairpin on|off`.
    Hairpin(IfName, bool),
    /// `bridge link set dev PORT state 3`.
    Forward(IfName),
    /// `ip link set PORT up master BRIDGE`.
    Attach(IfName, IfName),
    /// `ip link set PORT nomaster`.
    Detach(IfName),
    /// `ip addr add CIDR brd + dev NAME`.
    AddAddress(IfName, Cidr),
    /// `ip addr del CIDR dev NAME`.
    DeleteAddress(IfName, Cidr),
    /// `ip link set NAME up`.
    SetUp(IfName),
    /// `ip link del NAME`.
    DeleteLink(IfName),
    /// `iptables -t TABLE ...`.
    Iptables(Call),
    /// `nft ...`; those that follow each other are one transaction.
    Nft(Command),
}

impl Step {
    /// Whether it takes a rule away that masquerades.
    pub fn is_last(&self) -> bool {
        match self {
            Step::Iptables(call) => call.args.starts_with("-D POSTROUTING "),
            Step::Nft(command) => matches!(command, Command::DeleteRule(..)),
            _ => false,
        }
    }
}

/// A call of an iptables program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `iptables`, `ip6tables-legacy` and their like.
    pub program: &'static str,
    /// `nat`.
    pub table: &'static str,
    /// Its words, joined by blanks.
    pub args: String,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -t {} {}", self.program, self.table, self.args)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let switch = |on: bool| if on { "on" } else { "off" };
        match self {
            Step::LoadModule(name) => write!(f, "modprobe {name}"),
            Step::Sysctl(name, value) => write!(f, "sysctl -w {name}={value}"),
            Step::AddBridge(name, mtu, mac) => {
                let mtu = mtu.map(|mtu| format!(" mtu {mtu}")).unwrap_or_default();
                write!(f, "ip link add {name}{mtu} address {mac} type bridge stp_state 0 forward_delay 0")
            }
            Step::SetMtu(name, mtu) => write!(f, "ip link set {name} mtu {mtu}"),
            Step::SetMac(name, mac) => write!(f, "ip link set {name} address {mac}"),
            Step::StpOff(name) => write!(f, "ip link set {name} type bridge stp_state 0"),
            Step::NoForwardDelay(name) => write!(f, "ip link set {name} type bridge forward_delay 0"),
            Step::Promiscuous(name, on) => write!(f, "ip link set {name} promisc {}", switch(*on)),
            Step::Hairpin(port, on) => write!(f, "bridge link set dev {port} hairpin {}", switch(*on)),
            Step::Forward(port) => write!(f, "bridge link set dev {port} state 3"),
            Step::Attach(port, bridge) => write!(f, "ip link set {port} up master {bridge}"),
            Step::Detach(port) => write!(f, "ip link set {port} nomaster"),
            Step::AddAddress(name, cidr) if cidr.is_ipv4() => {
                write!(f, "ip addr add {cidr} brd + dev {name}")
            }
            Step::AddAddress(name, cidr) => write!(f, "ip addr add {cidr} dev {name} nodad"),
            Step::DeleteAddress(name, cidr) => write!(f, "ip addr del {cidr} dev {name}"),
            Step::SetUp(name) => write!(f, "ip link set {name} up"),
            Step::DeleteLink(name) => write!(f, "ip link del {name}"),
            Step::Iptables(call) => call.fmt(f),
            Step::Nft(command) => command.fmt(f),
        }
    }
}

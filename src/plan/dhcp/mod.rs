//! A DHCP client's part of RFC 2131, without its sockets and its clock: messages, leases, and when a
//! lease is to be renewed. The formats are smoltcp's.

mod message;
mod options;
mod packet;
#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;

pub use message::{Answer, Ask, Client, decode};
pub use packet::{CLIENT_PORT, SERVER_PORT, frame, unframe};

use crate::types::{Cidr, Route};

/// What a server gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// This host's address.
    pub address: Cidr,
    /// Who gave it.
    pub server: Ipv4Addr,
    /// Routes, the default one among them.
    pub routes: Vec<Route>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// Domains to search names in.
    pub search: Vec<String>,
    /// This host's name.
    pub hostname: Option<String>,
    /// In bytes.
    pub mtu: Option<u32>,
    /// How long it is good, in seconds; `u32::MAX` is for ever.
    pub seconds: u32,
    /// T1: when its server is asked for more, in seconds.
    pub renew: u32,
    /// T2: when any server is.
    pub rebind: u32,
}

/// What a lease's age asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing, for so many seconds.
    Nothing(u32),
    /// To ask the server that gave it; and again after so many seconds.
    Renew(u32),
    /// To ask any server; and again after so many seconds.
    Rebind(u32),
    /// It is over.
    Expired,
}

/// The least time between two requests for more (RFC 2131, 4.4.5).
const LEAST: u32 = 60;

impl Lease {
    /// What is due so many seconds after it was asked for.
    pub fn due(&self, age: u32) -> Due {
        // Half of what is left, and not beyond the next stage.
        let again = |until: u32| ((until - age) / 2).max(LEAST).min(until - age);
        match age {
            _ if self.seconds == u32::MAX => Due::Nothing(u32::MAX),
            age if age < self.renew => Due::Nothing(self.renew - age),
            age if age < self.rebind => Due::Renew(again(self.rebind)),
            age if age < self.seconds => Due::Rebind(again(self.seconds)),
            _ => Due::Expired,
        }
    }

    /// Its length for people: `24h`, `90s`, `forever`.
    pub fn length(&self) -> String {
        match self.seconds {
            u32::MAX => "forever".into(),
            s if s % 3600 == 0 => format!("{}h", s / 3600),
            s if s % 60 == 0 => format!("{}m", s / 60),
            s => format!("{s}s"),
        }
    }
}

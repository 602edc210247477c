//! Effects, one room per facility of the system.

pub mod clock;
pub mod exec;
pub mod file;
pub mod http;
pub mod iptables;
pub mod link;
mod link_ranges;
pub mod lock;
pub mod log;
pub mod notify;
pub mod nss;
pub mod run_dir;
pub mod stdio;
pub mod sysctl;
pub mod wait;

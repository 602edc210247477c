//! Effects, one room per facility of the system.

pub mod arena;
pub mod child;
pub mod clock;
pub mod cmdline;
mod decompress;
pub mod disk;
pub mod exec;
pub mod file;
pub mod http;
pub mod iptables;
pub mod link;
pub mod lock;
pub mod log;
pub mod modules;
pub mod netlink;
pub mod nft;
pub mod notify;
pub mod nss;
pub mod process;
pub mod run_dir;
pub mod socket;
pub mod stdio;
pub mod supervise;
pub mod sysctl;
pub mod wait;
pub mod xtables;

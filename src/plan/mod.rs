//! Pure planners: facts in, steps or text out. No file system, environment, process, socket or clock.

pub mod boot_list;
pub mod bridge;
pub mod cmdline;
pub mod cni;
pub mod dhcp;
pub mod docker;
pub mod docker0;
pub mod etcd;
pub mod flannel;
pub mod host_lease;
pub mod init;
pub mod initramfs;
pub mod ip_param;
pub mod ipconfig;
pub mod join;
pub mod kubelet;
pub mod modules;
pub mod nat;
pub mod nearest;
pub mod network;
pub mod node;
pub mod preflight;
pub mod reservation;
pub mod shell;
pub mod subnet_env;
pub mod timeline;

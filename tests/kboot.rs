//! Black box: the shipped static binary, as users call it, against the kernel and real components.
//! `scripts/test` builds it and brings the components.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

mod support;

#[path = "cases/binary.rs"]
mod binary;
#[path = "cases/bridge.rs"]
mod bridge;
#[path = "cases/docker_flags.rs"]
mod docker_flags;
#[path = "cases/etcd_config.rs"]
mod etcd_config;
#[path = "cases/flannel_env.rs"]
mod flannel_env;
#[path = "cases/flannel_lease.rs"]
mod flannel_lease;
#[path = "cases/front.rs"]
mod front;
#[path = "cases/input.rs"]
mod input;
#[path = "cases/kubelet_launch.rs"]
mod kubelet_launch;
#[path = "cases/readme.rs"]
mod readme;
#[path = "cases/register.rs"]
mod register;
#[path = "cases/server.rs"]
mod server;
#[path = "cases/surroundings.rs"]
mod surroundings;

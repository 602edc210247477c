//! Black box: the shipped static binary, as users call it, against the kernel and real components.
//! `scripts/test` builds it and brings the components.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

mod support;

#[path = "cases/arm64.rs"]
mod arm64;
#[path = "cases/auth.rs"]
mod auth;
#[path = "cases/auth_clock.rs"]
mod auth_clock;
#[path = "cases/auth_plugin.rs"]
mod auth_plugin;
#[path = "cases/auth_proxy.rs"]
mod auth_proxy;
#[path = "cases/binary.rs"]
mod binary;
#[path = "cases/boot_scripts.rs"]
mod boot_scripts;
#[path = "cases/bridge.rs"]
mod bridge;
#[path = "cases/bridge_check.rs"]
mod bridge_check;
#[path = "cases/bridge_choice.rs"]
mod bridge_choice;
#[path = "cases/bridge_docker.rs"]
mod bridge_docker;
#[path = "cases/bridge_docker0.rs"]
mod bridge_docker0;
#[path = "cases/bridge_down.rs"]
mod bridge_down;
#[path = "cases/bridge_forward.rs"]
mod bridge_forward;
#[path = "cases/bridge_kills.rs"]
mod bridge_kills;
#[path = "cases/bridge_lease.rs"]
mod bridge_lease;
#[path = "cases/bridge_neighbours.rs"]
mod bridge_neighbours;
#[path = "cases/bridge_packets.rs"]
mod bridge_packets;
#[path = "cases/bridge_races.rs"]
mod bridge_races;
#[path = "cases/bridge_reverse_path.rs"]
mod bridge_reverse_path;
#[path = "cases/bridge_rights.rs"]
mod bridge_rights;
#[path = "cases/bridge_rules.rs"]
mod bridge_rules;
#[path = "cases/bridge_settings.rs"]
mod bridge_settings;
#[path = "cases/bridge_state.rs"]
mod bridge_state;
#[path = "cases/bridge_stream.rs"]
mod bridge_stream;
#[path = "cases/cloud_init.rs"]
mod cloud_init;
#[path = "cases/cloud_init_host.rs"]
mod cloud_init_host;
#[path = "cases/cni_config.rs"]
mod cni_config;
#[path = "cases/cni_config_file.rs"]
mod cni_config_file;
#[path = "cases/cni_containerd.rs"]
mod cni_containerd;
#[path = "cases/completion.rs"]
mod completion;
#[path = "cases/console.rs"]
mod console;
#[path = "cases/docker_daemon.rs"]
mod docker_daemon;
#[path = "cases/docker_flags.rs"]
mod docker_flags;
#[path = "cases/docker_restart.rs"]
mod docker_restart;
#[path = "cases/docker_units.rs"]
mod docker_units;
#[path = "cases/docker_version.rs"]
mod docker_version;
#[path = "cases/etcd_any_config.rs"]
mod etcd_any_config;
#[path = "cases/etcd_config.rs"]
mod etcd_config;
#[path = "cases/etcd_field.rs"]
mod etcd_field;
#[path = "cases/etcd_gateway.rs"]
mod etcd_gateway;
#[path = "cases/etcd_leases.rs"]
mod etcd_leases;
#[path = "cases/etcd_overlap.rs"]
mod etcd_overlap;
#[path = "cases/etcd_reserve.rs"]
mod etcd_reserve;
#[path = "cases/flannel_env.rs"]
mod flannel_env;
#[path = "cases/flannel_lease.rs"]
mod flannel_lease;
#[path = "cases/front.rs"]
mod front;
#[path = "cases/hostile.rs"]
mod hostile;
#[path = "cases/init.rs"]
mod init;
#[path = "cases/init_machine.rs"]
mod init_machine;
#[path = "cases/init_root.rs"]
mod init_root;
#[path = "cases/init_stop.rs"]
mod init_stop;
#[path = "cases/initramfs_tools.rs"]
mod initramfs_tools;
#[path = "cases/input.rs"]
mod input;
#[path = "cases/install.rs"]
mod install;
#[path = "cases/ipconfig.rs"]
mod ipconfig;
#[path = "cases/ipconfig_dhcp.rs"]
mod ipconfig_dhcp;
#[path = "cases/join.rs"]
mod join;
#[path = "cases/join_again.rs"]
mod join_again;
#[path = "cases/join_errors.rs"]
mod join_errors;
#[path = "cases/join_kills.rs"]
mod join_kills;
#[path = "cases/kernel_floor.rs"]
mod kernel_floor;
#[path = "cases/kubelet_check.rs"]
mod kubelet_check;
#[path = "cases/kubelet_check_input.rs"]
mod kubelet_check_input;
#[path = "cases/kubelet_check_kernel.rs"]
mod kubelet_check_kernel;
#[path = "cases/kubelet_check_launch.rs"]
mod kubelet_check_launch;
#[path = "cases/kubelet_check_network.rs"]
mod kubelet_check_network;
#[path = "cases/kubelet_check_node.rs"]
mod kubelet_check_node;
#[path = "cases/kubelet_check_runtime.rs"]
mod kubelet_check_runtime;
#[path = "cases/kubelet_flags.rs"]
mod kubelet_flags;
#[path = "cases/kubelet_health.rs"]
mod kubelet_health;
#[path = "cases/kubelet_launch.rs"]
mod kubelet_launch;
#[path = "cases/kubelet_process.rs"]
mod kubelet_process;
#[path = "cases/kubelet_ready.rs"]
mod kubelet_ready;
#[path = "cases/kubelet_supervise.rs"]
mod kubelet_supervise;
#[path = "cases/manual.rs"]
mod manual;
#[path = "cases/mk_docker_opts.rs"]
mod mk_docker_opts;
#[path = "cases/mkinitramfs.rs"]
mod mkinitramfs;
#[path = "cases/modules.rs"]
mod modules;
#[path = "cases/package.rs"]
mod package;
#[path = "cases/parameters.rs"]
mod parameters;
#[path = "cases/readme.rs"]
mod readme;
#[path = "cases/register.rs"]
mod register;
#[path = "cases/register_crowd.rs"]
mod register_crowd;
#[path = "cases/register_existing.rs"]
mod register_existing;
#[path = "cases/register_facts.rs"]
mod register_facts;
#[path = "cases/register_identity.rs"]
mod register_identity;
#[path = "cases/register_ready.rs"]
mod register_ready;
#[path = "cases/register_replace.rs"]
mod register_replace;
#[path = "cases/register_standin.rs"]
mod register_standin;
#[path = "cases/server.rs"]
mod server;
#[path = "cases/surroundings.rs"]
mod surroundings;
#[path = "cases/sysvinit.rs"]
mod sysvinit;
#[path = "cases/timeline.rs"]
mod timeline;
#[path = "cases/units.rs"]
mod units;
#[path = "cases/units_machine.rs"]
mod units_machine;
#[path = "cases/upstart.rs"]
mod upstart;

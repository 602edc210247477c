//! Protocols over HTTP.

pub mod cluster_info;
pub mod csr;
pub mod docker;
pub mod etcd;
pub mod kube;
pub mod kubeconfig;
mod yaml;

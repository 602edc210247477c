//! Protocols over HTTP.

pub mod docker;
pub mod etcd;
pub mod kube;
pub mod kubeconfig;
mod yaml;

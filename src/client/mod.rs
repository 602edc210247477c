//! Protocols over HTTP.

pub mod etcd;
pub mod kube;
pub mod kubeconfig;
mod yaml;

//! kboot: from "the kernel is up" to "this node is in the cluster". The list of rooms; arrows go down
//! only: main -> applet -> {plan, client, sys} -> types, error; client -> `sys::http` too.

pub mod applet;
pub mod client;
pub mod error;
pub mod plan;
pub mod sys;
pub mod types;

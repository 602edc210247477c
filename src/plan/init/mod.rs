//! What `init` knows without looking: its lines, file systems, when a root may be switched.

pub mod filesystem;
pub mod network;
pub mod switch_root;
pub mod text;

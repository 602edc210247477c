//! Boots, with the machine to themselves: what they take is measured. The rest is tests/kboot.rs's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

// Most of it is for the other tests.
#[allow(dead_code)]
mod support;

#[path = "cases/boot.rs"]
mod boot;
#[path = "cases/boot_arm64.rs"]
mod boot_arm64;

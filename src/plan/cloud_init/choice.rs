//! What the options of `cloud-init` may be.

use crate::plan::units::Role;

/// The word for it.
pub fn name(role: Role) -> &'static str {
    match role {
        Role::ControlPlane => "control-plane",
        Role::Node => "node",
        Role::Both => "both",
    }
}

/// Its targets, in the order of a boot.
pub fn targets(role: Role) -> &'static str {
    match role {
        Role::ControlPlane => "kboot-control-plane.target",
        Role::Node => "kboot-node.target",
        Role::Both => "kboot-control-plane.target kboot-node.target",
    }
}

/// A program's path as a shell, systemd and YAML take it without quotes.
pub fn program(path: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./+".contains(c);
    let is_path = path.strip_prefix('/').is_some_and(|p| p.split('/').all(|n| !matches!(n, "" | "." | "..")));
    if is_path && path.chars().all(plain) {
        Ok(path.to_owned())
    } else {
        Err("is no plain absolute path of a program (letters, digits, - _ . + and /)".into())
    }
}

/// A SHA-256 as sha256sum prints it: 64 hex digits; with `sha256:` in front too.
pub fn sha256(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    if digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(digits.to_ascii_lowercase())
    } else {
        Err("is not the 64 hex digits that sha256sum prints".into())
    }
}

//! This host's name.

use crate::error::{Context, Result};

/// As the kernel has it; `(none)` where nobody has set it.
pub fn get() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// `hostname NAME`.
pub fn set(name: &str) -> Result<()> {
    nix::unistd::sethostname(name).context("sethostname")
}

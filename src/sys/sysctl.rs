//! Kernel settings under /proc/sys.

use std::fs;
use std::io::{ErrorKind, Write};

use nix::unistd::{AccessFlags, access};

use crate::error::{Context, Error, Result};

/// `net.ipv4.ip_forward` or `net/ipv4/conf/br.7/mtu` -> its file, as sysctl(8) reads names.
fn path(name: &str) -> String {
    if name.contains('/') {
        format!("/proc/sys/{name}")
    } else {
        format!("/proc/sys/{}", name.replace('.', "/"))
    }
}

/// The value without its line break; `None` where this kernel, as it is, has no such setting.
pub fn read(name: &str) -> Result<Option<String>> {
    match fs::read_to_string(path(name)) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).context(format!("sysctl {name}")),
    }
}

/// Whether it lies in a file system that is mounted read-only, as in containers without privileges.
pub fn is_read_only(name: &str) -> bool {
    access(path(name).as_str(), AccessFlags::W_OK) == Err(nix::Error::EROFS)
}

/// Writes the value and reads it back: some settings take a write and keep what they had. Errors do not
/// name the setting: whoever writes has a line that does.
pub fn write(name: &str, value: &str) -> Result<()> {
    fs::OpenOptions::new().write(true).open(path(name))?.write_all(value.as_bytes())?;
    match read(name)? {
        Some(now) if now == value => Ok(()),
        now => {
            let now = now.unwrap_or_default();
            Err(Error::failed(format!("wrote {value}, the kernel has {now}")))
        }
    }
}

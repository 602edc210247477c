//! /run/kboot, where kboot keeps what it must remember until the next boot. Losing it is safe.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::sys::file;

/// The directory's path.
pub const RUN_DIR: &str = "/run/kboot";

/// Makes sure of the directory: ours or root's, a real directory, and writable by its owner only.
/// Whoever could write there could make kboot take addresses away.
pub fn ensure() -> Result<PathBuf> {
    let path = Path::new(RUN_DIR);
    let made = fs::DirBuilder::new().mode(0o755).create(path);
    let meta = match (made, fs::symlink_metadata(path)) {
        (_, Ok(meta)) => meta,
        (Err(e), Err(_)) | (Ok(()), Err(e)) => {
            return Err(Error::failed(format!("{RUN_DIR}: {}", crate::error::io_text(&e))));
        }
    };
    if !meta.is_dir() {
        return Err(Error::failed(format!("{RUN_DIR}: is not a directory")));
    }
    let owner_is_fine = meta.uid() == 0 || meta.uid() == nix::unistd::geteuid().as_raw();
    if !owner_is_fine || meta.mode() & 0o022 != 0 {
        return Err(Error::failed(format!("{RUN_DIR}: others may write there: remove it")));
    }
    Ok(path.to_owned())
}

/// A record's text, if there is one and the directory is to be trusted.
pub fn read(name: &str) -> Option<String> {
    if !Path::new(RUN_DIR).is_dir() {
        return None;
    }
    let bytes = file::read_if_there(&ensure().ok()?.join(name)).ok()??;
    String::from_utf8(bytes).ok()
}

/// Writes a record.
pub fn write(name: &str, text: &str) -> Result<()> {
    file::replace(&ensure()?.join(name), text.as_bytes(), 0o644)
}

/// Takes a record away, if it is there.
pub fn remove(name: &str) -> Result<()> {
    match fs::remove_file(Path::new(RUN_DIR).join(name)) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
        _ => Ok(()),
    }
}

/// The names of all records.
pub fn names() -> Vec<String> {
    if !Path::new(RUN_DIR).is_dir() {
        return Vec::new();
    }
    let entries = ensure().ok().and_then(|dir| fs::read_dir(dir).ok());
    entries.into_iter().flatten().filter_map(|e| e.ok()?.file_name().into_string().ok()).collect()
}

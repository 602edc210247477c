//! Files: reading what an operator named, and writing so that no reader ever sees half.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::libc::O_NONBLOCK;

use crate::error::{Context, Error, Result};

/// No configuration file of this field is larger; a device or a log given by mistake ends here.
const LARGEST: u64 = 10 << 20;

/// Reads a file of at most 10 MiB. Errors name the path; a directory or a device is refused.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    read_if_there(path)?
        .ok_or_else(|| Error::failed(format!("{}: No such file or directory", path.display())))
}

/// The same, `None` when the file or a directory above it does not exist.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    let shown = path.display();
    // O_NONBLOCK: opening a FIFO without a writer must not hang.
    let mut file = match OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path) {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(e).context(shown),
    };
    let kind = file.metadata().context(&shown)?;
    if kind.is_dir() {
        return Err(Error::failed(format!("{shown}: is a directory, not a file")));
    }
    if !kind.is_file() {
        return Err(Error::failed(format!("{shown}: is not a regular file")));
    }
    let mut bytes = Vec::new();
    (&mut file).take(LARGEST + 1).read_to_end(&mut bytes).context(&shown)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::failed(format!("{shown}: is larger than 10 MiB")));
    }
    Ok(Some(bytes))
}

/// Reads a text file that the operator named: anything wrong with it is exit 2.
pub fn read_named(path: &Path) -> Result<String> {
    let bytes = read(path).map_err(|e| Error::usage(e.to_string()))?;
    text(bytes).usage(path.display())
}

/// Reads all of stdin, up to 10 MiB.
pub fn read_stdin() -> Result<String> {
    let mut bytes = Vec::new();
    std::io::stdin().take(LARGEST + 1).read_to_end(&mut bytes).usage("stdin")?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::usage("stdin: is larger than 10 MiB"));
    }
    text(bytes).usage("stdin")
}

fn text(bytes: Vec<u8>) -> Result<String> {
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(Error::failed("is not text")),
    }
}

/// Replaces a file's content: a temporary file in the same directory, fsync, rename, fsync of the
/// directory. Mode and owner of an existing file are kept, else `mode` is given; a symbolic link is
/// followed to the file it names.
pub fn write_atomic(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let shown = path.display();
    let old = fs::metadata(&target).ok();
    if old.as_ref().is_some_and(|m| !m.is_file()) {
        return Err(Error::failed(format!("{shown}: is not a regular file")));
    }
    let temporary = temporary_beside(&target)?;
    let result = fill(&temporary, content, mode, old.as_ref())
        .and_then(|()| fs::rename(&temporary, &target).map_err(Error::from))
        .map(|()| sync_directory(&target));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result.context(shown)
}

fn temporary_beside(target: &Path) -> Result<PathBuf> {
    let name =
        target.file_name().ok_or_else(|| Error::failed(format!("{}: names no file", target.display())))?;
    Ok(target.with_file_name(format!(".{}.kboot-{}", name.to_string_lossy(), std::process::id())))
}

fn fill(temporary: &Path, content: &[u8], mode: u32, old: Option<&fs::Metadata>) -> Result<()> {
    // One that a killed run with the same pid left; create_new then refuses whatever else is there.
    let _ = fs::remove_file(temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    file.write_all(content)?;
    file.set_permissions(Permissions::from_mode(old.map_or(mode, |m| m.mode() & 0o7777)))?;
    if let Some(m) = old {
        std::os::unix::fs::fchown(&file, Some(m.uid()), Some(m.gid()))?;
    }
    file.sync_all()?;
    Ok(())
}

fn sync_directory(file: &Path) {
    let directory = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Some file systems (FUSE, 9p) cannot sync a directory; the rename itself has happened.
    let _ = File::open(directory).and_then(|d| d.sync_all());
}

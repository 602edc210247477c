//! Writing the image.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::applet::report::{Report, Step};
use crate::error::{Context, Error, Result};
use crate::plan::initramfs::{Image, Line, What, newc};
use crate::sys::{file, stdio};

/// Where it goes.
pub enum Output {
    /// `-`.
    Stdout,
    /// A file.
    File(PathBuf),
}

impl Output {
    /// What was named, if it can be written to.
    pub fn check(path: &Path, dry_run: bool) -> Result<Self> {
        if path.as_os_str() == "-" {
            if io::stdout().is_terminal() && !dry_run {
                return Err(Error::usage("--output -: stdout is a terminal: redirect it, or name a file"));
            }
            return Ok(Self::Stdout);
        }
        let refuse = |why: &str| Err(Error::usage(format!("--output {}: {why}", path.display())));
        let path = std::path::absolute(path)?;
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => refuse("is a directory, not a file"),
            Ok(found) if !found.is_file() => refuse("is not a regular file: use --output - and redirect it"),
            Err(_) if fs::symlink_metadata(&path).is_ok() => refuse("is a symbolic link to nothing"),
            Err(_) if !path.parent().is_some_and(Path::is_dir) => refuse("there is no such directory"),
            _ => Ok(Self::File(path)),
        }
    }

    /// Refuses to put the image in the place of a file that goes into it.
    pub fn is_no_source_of(&self, image: &Image) -> Result<()> {
        let number = |path: &Path| fs::metadata(path).map(|m| (m.dev(), m.ino())).ok();
        let Self::File(path) = self else { return Ok(()) };
        let own = number(path);
        let is_own =
            |what: &What| matches!(what, What::Copy(from, _) if own.is_some() && number(from) == own);
        if image.entries().any(|(_, entry)| is_own(&entry.what)) {
            return Err(Error::usage(format!("--output {}: is a file that goes into it", path.display())));
        }
        Ok(())
    }
}

/// Lists the entries, or writes them, unless the file has them already.
pub fn write(image: &Image, output: Option<&Output>, mtime: u32, report: &mut Report) -> Result<()> {
    if report.dry_run {
        return image.entries().try_for_each(|(path, entry)| report.plan(&Line(path, entry)));
    }
    let Some(Output::File(path)) = output else { return to_stdout(image, mtime) };
    let mode = if image.secret().is_some() { 0o600 } else { 0o644 };
    let count = image.entries().count();
    if is_written(image, path, mtime, mode) {
        report.already(1);
    } else {
        report.carry_out(&[WriteImage { path, count }], |_| {
            file::write_by(path, mode, &mut |out| emit(image, out, mtime))
        })?;
    }
    let size = fs::metadata(path).map_or(0, |m| m.len());
    report.found("bytes", size.into());
    report.summary(format_args!("{}: {count} entries, {size} bytes", path.display()));
    Ok(())
}

fn to_stdout(image: &Image, mtime: u32) -> Result<()> {
    if stdio::was_closed(1) {
        return Err(Error::failed("stdout: it is closed"));
    }
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    emit(image, &mut out, mtime).context("stdout")
}

/// Whether the file is what would be written, and no more open than it should be.
fn is_written(image: &Image, path: &Path, mtime: u32, mode: u32) -> bool {
    let is_closed = fs::metadata(path).is_ok_and(|m| m.mode() & 0o777 & !mode == 0);
    is_closed
        && file::Comparison::with(path)
            .is_ok_and(|mut there| emit(image, &mut there, mtime).is_ok() && there.ends())
}

/// The archive. A source that fails is named.
fn emit(image: &Image, out: &mut dyn Write, mtime: u32) -> io::Result<()> {
    for ((path, entry), number) in image.entries().zip(1..) {
        out.write_all(&newc::header(path, entry, number, mtime))?;
        let size = match &entry.what {
            What::Directory | What::Device(..) => 0,
            What::Text(text) => put(out, text)?,
            What::Link(to) => put(out, to)?,
            What::Copy(from, size) => {
                let named = |e: io::Error| io::Error::other(format!("{}: {e}", from.display()));
                file::copy_out(from, u64::from(*size), out).map_err(named)?;
                *size as usize
            }
        };
        out.write_all(newc::padding(size))?;
    }
    out.write_all(&newc::trailer())
}

fn put(out: &mut dyn Write, text: &str) -> io::Result<usize> {
    out.write_all(text.as_bytes())?;
    Ok(text.len())
}

impl Step for Line<'_> {
    fn kind(&self) -> &'static str {
        "file"
    }
}

/// Writing the file.
struct WriteImage<'a> {
    path: &'a Path,
    count: usize,
}

impl fmt::Display for WriteImage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {}: {} entries", self.path.display(), self.count)
    }
}

impl Step for WriteImage<'_> {
    fn kind(&self) -> &'static str {
        "file"
    }
}

//! Files: reading what an operator named, and writing so that no reader ever sees half.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::libc::O_NONBLOCK;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Context, Error, Result};
use crate::sys::wait::Deadline;
use crate::sys::{clock, mount};

/// No configuration file of this field is larger; a device or a log given by mistake ends here.
const LARGEST: u64 = 10 << 20;

/// Reads a file of at most 10 MiB. Errors name the path; a directory or a device is refused.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    read_if_there(path)?
        .ok_or_else(|| Error::failed(format!("{}: No such file or directory", path.display())))
}

/// A clock that was set shows no time before 1980.
const CLOCK_NOT_SET: Duration = Duration::from_hours(10 * 365 * 24);

/// Whether a file was left by an earlier boot: last written before this one began, by more than the
/// second that clocks may be off, and not on a file system that no reboot survives (its times are no
/// guide where a boot begins in 1970 and the clock is set later).
pub fn is_from_earlier_boot(path: &Path) -> bool {
    let survives = !mount::is_in_memory(path);
    let written = fs::metadata(path).and_then(|m| m.modified()).ok();
    // Written before the clock was set, where it begins in 1970: of which boot, nobody can say.
    let written =
        written.filter(|w| w.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|d| d > CLOCK_NOT_SET));
    let is_older = written.zip(clock::boot_time()).is_some_and(|(w, b)| w + Duration::from_secs(1) < b);
    survives && is_older
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

/// Reads all of stdin, up to 10 MiB, until the deadline (exit 75).
pub fn read_stdin(deadline: &Deadline) -> Result<String> {
    let mut bytes = Vec::new();
    let mut stdin = std::io::stdin().lock();
    loop {
        let left = deadline.attempt(Duration::from_secs(30)).as_millis();
        let left = u16::try_from(left).unwrap_or(u16::MAX);
        let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(left)) == Ok(0) {
            if deadline.passed() {
                return Err(Error::deadline(format!("stdin: not at its end within {}", deadline.timeout())));
            }
            continue;
        }
        let mut chunk = [0; 4096];
        match stdin.read(&mut chunk).usage("stdin")? {
            0 => return text(bytes).usage("stdin"),
            n => bytes.extend_from_slice(&chunk[..n]),
        }
        if bytes.len() as u64 > LARGEST {
            return Err(Error::usage("stdin: is larger than 10 MiB"));
        }
    }
}

fn text(bytes: Vec<u8>) -> Result<String> {
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(Error::failed("is not text")),
    }
}

/// Replaces a file's content, following a symbolic link to the file it names.
pub fn write_atomic(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    match fs::canonicalize(path) {
        Ok(target) => replace(&target, content, mode),
        Err(_) if fs::symlink_metadata(path).is_ok() => {
            Err(Error::failed(format!("{}: is a symbolic link to nothing", path.display())))
        }
        Err(_) => replace(path, content, mode),
    }
}

/// Replaces a file's content: a temporary file in the same directory, fsync, rename, fsync of the
/// directory. Mode and owner of an existing file are kept, else `mode` is given. A symbolic link is
/// replaced, not followed.
pub fn replace(target: &Path, content: &[u8], mode: u32) -> Result<()> {
    let shown = target.display();
    let old = fs::symlink_metadata(target).ok();
    if old.as_ref().is_some_and(|m| !m.is_file() && !m.is_symlink()) {
        return Err(Error::failed(format!("{shown}: is not a regular file")));
    }
    let temporary = temporary_beside(target)?;
    let result =
        fill(&temporary, &mut |file| file.write_all(content), mode, old.as_ref().filter(|m| m.is_file()))
            .and_then(|()| fs::rename(&temporary, target).map_err(Error::from))
            .map(|()| sync_directory(target));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result.context(shown)
}

/// Puts a file of that name into a directory, seen by readers as a whole or not at all. No fsync: what is put
/// this way need not outlive a crash of the host.
pub fn put(directory: &Path, name: &str, content: &[u8]) -> Result<()> {
    // One name for all: what killed runs left is found by it, and taken away.
    let temporary = temporary_beside(&directory.join("new"))?;
    let _ = fs::remove_file(&temporary);
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&temporary);
    let result = opened
        .and_then(|mut file| file.write_all(content))
        .and_then(|()| fs::rename(&temporary, directory.join(name)));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result.context(directory.display())
}

/// Writes a file that only its owner may read, whatever was there and however it was protected; makes
/// the directories above it.
pub fn write_secret(path: &Path, content: &[u8]) -> Result<()> {
    let shown = path.display();
    make_directory_of(path).context(&shown)?;
    let temporary = temporary_beside(path)?;
    let result = fill(&temporary, &mut |file| file.write_all(content), 0o600, None)
        .and_then(|()| Ok(fs::rename(&temporary, path)?));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    sync_directory(path);
    result.context(shown)
}

/// Replaces a file of any length by what `write` writes; a symbolic link is followed. Who could not read
/// the old one cannot read the new one.
pub fn write_by(
    path: &Path,
    mode: u32,
    write: &mut dyn FnMut(&mut File) -> std::io::Result<()>,
) -> Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = fs::metadata(&target).map_or(0o777, |m| m.mode());
    let temporary = temporary_beside(&target)?;
    let result =
        fill(&temporary, write, mode & old, None).and_then(|()| Ok(fs::rename(&temporary, &target)?));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    sync_directory(&target);
    result
}

/// Copies a file of which the length is known already.
pub fn copy_out(path: &Path, length: u64, out: &mut dyn Write) -> std::io::Result<()> {
    let mut file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)?;
    let copied = std::io::copy(&mut (&mut file).take(length), out)?;
    if copied == length && file.read(&mut [0])? == 0 {
        return Ok(());
    }
    Err(std::io::Error::other("its length changed while it was read"))
}

/// Compares what is written to it with a file.
pub struct Comparison {
    file: File,
    /// All so far is so.
    pub is_same: bool,
}

impl Comparison {
    /// With that file, from its start.
    pub fn with(path: &Path) -> std::io::Result<Self> {
        Ok(Self { file: File::open(path)?, is_same: true })
    }

    /// Whether the file ends here too.
    pub fn ends(mut self) -> bool {
        self.is_same && self.file.read(&mut [0]).is_ok_and(|n| n == 0)
    }
}

impl Write for Comparison {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut there = vec![0; bytes.len()];
        self.is_same = self.is_same && self.file.read_exact(&mut there).is_ok() && there == bytes;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Makes `path` a symbolic link to `target` in one step, in place of whatever file or link was there.
pub fn link(path: &Path, target: &Path) -> Result<()> {
    let temporary = temporary_beside(path)?;
    let _ = fs::remove_file(&temporary);
    std::os::unix::fs::symlink(target, &temporary).context(path.display())?;
    let result = fs::rename(&temporary, path);
    sync_directory(path);
    result.context(path.display())
}

/// Takes a file away, if it is there.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e).context(path.display()),
        _ => Ok(()),
    }
}

/// Makes the directory of a file, and those above it.
pub fn make_directory_of(path: &Path) -> Result<()> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?)
}

/// A name of this process's own, after taking away what killed ones left.
fn temporary_beside(target: &Path) -> Result<PathBuf> {
    let name =
        target.file_name().ok_or_else(|| Error::failed(format!("{}: names no file", target.display())))?;
    let start = format!(".{}.kboot-", name.to_string_lossy());
    let directory = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let proc_is_there = Path::new("/proc/self").exists();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten().filter(|_| proc_is_there) {
        let left_by = entry.file_name().to_str().and_then(|n| n.strip_prefix(&start)?.parse::<u32>().ok());
        if left_by.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(target.with_file_name(format!("{start}{}", std::process::id())))
}

fn fill(
    temporary: &Path,
    write: &mut dyn FnMut(&mut File) -> std::io::Result<()>,
    mode: u32,
    old: Option<&fs::Metadata>,
) -> Result<()> {
    // One that a killed run with the same pid left; create_new then refuses whatever else is there.
    let _ = fs::remove_file(temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    write(&mut file)?;
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

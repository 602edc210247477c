//! One lock for all applets that change the host. The kernel lets it go when its holder ends, and
//! before an exec (close-on-exec).

use std::fs::{File, OpenOptions, Permissions};
use std::io::{Read, Seek, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use crate::error::{Context, Result};
use crate::sys::log;
use crate::sys::run_dir;
use crate::sys::wait::{Deadline, Retry, retry_every};

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The held lock.
pub enum Lock {
    /// /run/kboot/lock.
    File(Flock<File>),
    /// An abstract socket of the network namespace, where /run cannot be used.
    Socket(UnixDatagram),
}

/// Takes the lock, waiting for its holder until the deadline.
pub fn acquire(deadline: &Deadline) -> Result<Lock> {
    match open_file() {
        Ok(file) => {
            let mut file = Some(file);
            retry_every(deadline, "the lock of another kboot", LOOK_EVERY, || {
                match file.take().map(|f| Flock::lock(f, FlockArg::LockExclusiveNonblock)) {
                    Some(Ok(locked)) => Ok(Lock::File(note_owner(locked))),
                    Some(Err((mut f, nix::Error::EWOULDBLOCK))) => {
                        let why = format!("{} is held by pid {}", path(), owner(&mut f));
                        file = Some(f);
                        Err(Retry::Later { why, after: None })
                    }
                    Some(Err((_, e))) => {
                        Err(Retry::Never(crate::error::Error::failed(format!("{}: {}", path(), e.desc()))))
                    }
                    None => Err(Retry::Never(crate::error::Error::failed("the lock file was lost"))),
                }
            })
        }
        Err(e) => {
            log::debug!("no lock file ({e}): locking by an abstract socket");
            let address = SocketAddr::from_abstract_name("kboot-lock").context("lock")?;
            retry_every(deadline, "the lock of another kboot", LOOK_EVERY, || {
                UnixDatagram::bind_addr(&address)
                    .map(Lock::Socket)
                    .map_err(|_| Retry::Later { why: "the socket @kboot-lock is bound".into(), after: None })
            })
        }
    }
}

/// Takes the lock of a directory that is there: for what may take long and concerns nothing else. `None`
/// where its file system has no such locks (NFS has none of what is opened to be read).
pub fn of_directory(directory: &Path, deadline: &Deadline) -> Result<Option<Flock<File>>> {
    let shown = directory.display().to_string();
    let mut file = Some(File::open(directory).context(&shown)?);
    retry_every(deadline, &shown, LOOK_EVERY, || match file.take() {
        None => Ok(None),
        Some(opened) => match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => Ok(Some(locked)),
            Err((opened, nix::Error::EWOULDBLOCK)) => {
                file = Some(opened);
                Err(Retry::Later { why: "another kboot is at work there".into(), after: None })
            }
            Err((_, e)) => {
                log::debug!("{shown}: no lock: {}", e.desc());
                Ok(None)
            }
        },
    })
}

fn path() -> String {
    format!("{}/lock", run_dir::RUN_DIR)
}

fn open_file() -> Result<File> {
    let path = run_dir::ensure()?.join("lock");
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(nix::libc::O_NOFOLLOW);
    let file = options.open(&path).context(path.display())?;
    // Whoever may read it may lock it, and so hold up a boot.
    file.set_permissions(Permissions::from_mode(0o600)).context(path.display())?;
    Ok(file)
}

fn note_owner(mut lock: Flock<File>) -> Flock<File> {
    let _ = lock.set_len(0).and_then(|()| lock.rewind());
    let _ = writeln!(lock, "{}", std::process::id());
    lock
}

fn owner(file: &mut File) -> String {
    let mut text = String::new();
    let _ = file.rewind().and_then(|()| file.read_to_string(&mut text));
    let pid = text.trim();
    if pid.is_empty() { "?".to_owned() } else { pid.to_owned() }
}

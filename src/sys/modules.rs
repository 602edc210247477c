//! Kernel modules: the lists in /lib/modules, what is loaded, and loading a file (init_module(2)).
//! What the lists say is `plan::modules`' business. No modprobe is run.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module, init_module};
use nix::sys::utsname::uname;
use nix::unistd::geteuid;

use crate::error::{Context, Error, Result};
use crate::sys::decompress::{self, Format};
use crate::sys::file;
use crate::sys::wait::{Deadline, Retry, retry};
use crate::types::{Timeout, Version, parse_version};

/// MODULE_INIT_COMPRESSED_FILE (linux/module.h, 5.17 on), which nix does not name.
const COMPRESSED_FILE: ModuleInitFlags = ModuleInitFlags::from_bits_retain(4);

/// How long to wait for another's hand on a module. Not longer: a driver may say EBUSY of its device.
const LONGEST_BUSY: Duration = Duration::from_secs(2);

/// The running kernel's version; the newest there can be where it does not say.
pub fn kernel_version() -> Version {
    let release = uname().ok().map(|u| u.release().to_string_lossy().into_owned());
    let version = release.and_then(|r| parse_version(&r).ok());
    version.unwrap_or((u16::MAX, 0, 0))
}

/// What the running kernel has loaded: /proc/modules, empty where there is none.
pub fn loaded() -> Result<String> {
    Ok(text(&file::read_if_there(Path::new("/proc/modules"))?.unwrap_or_default()))
}

/// The aliases of the devices that are there, each once (/sys/bus/BUS/devices/DEVICE/modalias: every device
/// that a driver can be bound to is on a bus).
pub fn devices() -> Vec<String> {
    let entries = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path());
    let mut found = Vec::new();
    for device in entries("/sys/bus".into()).flat_map(|bus| entries(bus.join("devices"))) {
        let alias = std::fs::read(device.join("modalias")).unwrap_or_default();
        let alias = text(&alias).trim().to_owned();
        if !alias.is_empty() && !found.contains(&alias) {
            found.push(alias);
        }
    }
    found
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The directory of a kernel's modules.
pub struct Tree {
    directory: PathBuf,
    release: String,
}

impl Tree {
    /// Those of the running kernel.
    pub fn find() -> Result<Self> {
        Self::of(uname()?.release().to_string_lossy().into_owned())
    }

    /// /lib/modules/VERSION; where /lib is not /usr/lib, the one below /usr will do.
    pub fn of(release: String) -> Result<Self> {
        let directories = ["/lib/modules", "/usr/lib/modules"].map(|d| Path::new(d).join(&release));
        match directories.iter().find(|d| d.is_dir()) {
            Some(directory) => Ok(Self { directory: directory.clone(), release }),
            None => Err(Error::failed(format!(
                "{}: there are no modules for this kernel",
                directories[0].display()
            ))),
        }
    }

    /// Those of a kernel, in this directory.
    pub fn at(directory: PathBuf, release: String) -> Self {
        Self { directory, release }
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The kernel's version, as uname gives it.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// One of depmod's lists: `modules.dep`, `modules.builtin`.
    pub fn list(&self, name: &str) -> Result<String> {
        file::read(&self.directory.join(name)).map(|bytes| text(&bytes))
    }

    /// Whether a file of modules.dep lies there.
    pub fn has(&self, file: &str) -> bool {
        self.directory.join(file).exists()
    }

    /// Loads one file; `false` when the module is there already, by another's hand. While another loads
    /// it the kernel waits; when that fails, or while it is being unloaded, the kernel says EBUSY, and it
    /// is tried again for 2 s.
    pub fn insert(&self, file: &str) -> Result<bool> {
        let path = self.directory.join(file);
        let deadline = Deadline::start(Timeout::After(LONGEST_BUSY));
        retry(&deadline, file, || match attempt(&path)? {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(Errno::EBUSY) => Err(Retry::Later { why: Errno::EBUSY.desc().into(), after: None }),
            Err(errno) => Err(Retry::Never(self.refusal(&path, errno))),
        })
    }

    fn refusal(&self, path: &Path, errno: Errno) -> Error {
        let text = errno.desc();
        Error::failed(match errno {
            Errno::EPERM if geteuid().is_root() => {
                format!("{text}: needs CAP_SYS_MODULE and a kernel that is not locked down (see dmesg)")
            }
            Errno::EPERM => format!("{text}: needs root (CAP_SYS_MODULE)"),
            Errno::ENOEXEC => format!("{} is not for this kernel ({})", path.display(), self.release),
            Errno::EKEYREJECTED | Errno::ENOKEY | Errno::EBADMSG => {
                format!("the kernel refused it: {text} (signature: secure boot or lockdown)")
            }
            Errno::ENOENT => "needs a symbol that this kernel does not have (see dmesg)".to_owned(),
            _ => format!("{text} (see dmesg)"),
        })
    }
}

/// The kernel's answer; the outer error is that of the file. A compressed file goes to the kernel as it
/// is. One without CONFIG_MODULE_DECOMPRESS says EOPNOTSUPP; one before 5.17, or that knows another
/// compression only (xz with CRC64 or a large dictionary among them), EINVAL: then it is unpacked here.
fn attempt(path: &Path) -> Result<nix::Result<()>> {
    let file = File::open(path).context(path.display())?;
    let Some(format) = Format::of(path) else {
        return Ok(finit_module(&file, c"", ModuleInitFlags::empty()));
    };
    match finit_module(&file, c"", COMPRESSED_FILE) {
        Err(Errno::EOPNOTSUPP | Errno::EINVAL) => {}
        answer => return Ok(answer),
    }
    let image = decompress::read(file, format).context(path.display())?;
    Ok(init_module(&image, c""))
}

//! Mounting, and looking at what is mounted.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, umount2};
use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};

use crate::error::Result;

/// RAMFS_MAGIC (linux/magic.h), which nix does not name.
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// No programs that give rights, no devices: for what holds no programs at all.
pub const PLAIN: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

/// Whether something is mounted there: it lies on another device than the directory above it.
pub fn is_mount_point(path: &Path) -> bool {
    let above = path.parent().unwrap_or(path);
    match (fs::metadata(path), fs::metadata(above)) {
        (Ok(own), Ok(above)) => own.dev() != above.dev() || own.ino() == above.ino(),
        _ => false,
    }
}

/// Whether a path lies in memory alone, as an initramfs does.
pub fn is_in_memory(path: &Path) -> bool {
    statfs(path).is_ok_and(|s| matches!(s.filesystem_type(), TMPFS_MAGIC | RAMFS_MAGIC))
}

/// The device that a path lies on.
pub fn device_of(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|m| m.dev())
}

/// Whether it is a block device.
pub fn is_block_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.file_type().is_block_device())
}

/// The first bytes of a device.
pub fn head(device: &Path, length: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(device)?.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// `mount -t KIND -o DATA SOURCE TARGET`; makes the directory.
pub fn mount(source: &str, target: &Path, kind: &str, flags: MsFlags, data: &str) -> Result<()> {
    let _ = fs::create_dir_all(target);
    let data = (!data.is_empty()).then_some(data);
    Ok(nix::mount::mount(Some(source), target, Some(kind), flags, data)?)
}

/// `mount --move FROM TO`.
pub fn shift(from: &Path, to: &Path) -> Result<()> {
    Ok(nix::mount::mount(Some(from), to, None::<&str>, MsFlags::MS_MOVE, None::<&str>)?)
}

/// `umount -l`.
pub fn detach(path: &Path) {
    let _ = umount2(path, MntFlags::MNT_DETACH);
}

/// Unmounts what can be, last mounted first, and makes the rest read-only: what is on disks is whole then.
pub fn unmount_all() {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for line in mounts.lines().rev() {
        let mut words = line.split(' ');
        // A blank in a path is written as \040 (getmntent(3)).
        let (source, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if !source.starts_with('/') {
            continue;
        }
        let target = target.replace("\\040", " ");
        if umount2(target.as_str(), MntFlags::empty()).is_err() {
            let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            let _ = nix::mount::mount(None::<&str>, target.as_str(), None::<&str>, flags, None::<&str>);
        }
    }
}

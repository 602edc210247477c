//! Room in file systems.

use std::path::Path;

use nix::sys::statvfs::statvfs;

/// What is left to whoever is not root, and what there is in all.
pub struct Space {
    /// Bytes.
    pub bytes: (u64, u64),
    /// The bytes that are left to root.
    pub for_root: u64,
    /// Inodes; none in all where the file system does not count them.
    pub inodes: (u64, u64),
}

/// Of the file system that a path is in, or would be made in.
pub fn space(path: &Path) -> Option<Space> {
    let existing = path.ancestors().find(|p| p.exists())?;
    let stat = statvfs(existing).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.fragment_size());
    Some(Space {
        bytes: (bytes(stat.blocks_available()), bytes(stat.blocks())),
        for_root: bytes(stat.blocks_free()),
        inodes: (stat.files_available(), stat.files()),
    })
}

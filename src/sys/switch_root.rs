//! switch_root(8): another file system becomes the root, and the old one, in memory, is emptied. Whether
//! that may be is `plan::init::switch_root`'s business.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use nix::unistd::{chdir, chroot};

use crate::error::{Context, Result};
use crate::sys::{mount, stdio};

/// As many symbolic links as the kernel follows in one path.
const MOST_LINKS: u32 = 40;

/// Whether a path, as it will be seen from inside the new root, is a file that can be run.
pub fn is_executable(root: &Path, path: &str) -> bool {
    let found = inside(root, Path::new(path)).and_then(|p| fs::metadata(p).ok());
    found.is_some_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// The path from here; links are followed as a program in the new root would follow them.
fn inside(root: &Path, path: &Path) -> Option<PathBuf> {
    let reversed = |p: &Path| p.components().rev().map(|c| c.as_os_str().to_owned()).collect::<Vec<_>>();
    let (mut left, mut at, mut links) = (reversed(path), PathBuf::new(), 0);
    while let Some(part) = left.pop() {
        match Path::new(&part).components().next()? {
            Component::RootDir => at = PathBuf::new(),
            Component::ParentDir => {
                at.pop();
            }
            Component::Normal(name) => match fs::read_link(root.join(&at).join(name)) {
                Ok(target) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return None;
                    }
                    left.extend(reversed(&target));
                }
                Err(_) => at.push(name),
            },
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Some(root.join(at))
}

/// Makes it the root of this process, and empties the old one. Descriptors 0 to 2 are the console's anew.
/// The directories `moved` go over as they are mounted.
pub fn switch(new_root: &Path, moved: &[&str]) -> Result<()> {
    let old = mount::device_of(Path::new("/"));
    for path in moved {
        let (from, to) = (Path::new(path), new_root.join(path.trim_start_matches('/')));
        if !mount::is_mount_point(from) {
            continue;
        }
        let _ = fs::create_dir(&to);
        if mount::is_mount_point(&to) || mount::shift(from, &to).is_err() {
            mount::detach(from);
        }
    }
    chdir(new_root).context(new_root.display())?;
    if let Some(device) = old {
        empty(Path::new("/"), device);
    }
    mount::shift(Path::new("."), Path::new("/")).context("mount --move . /")?;
    chroot(".").context("chroot")?;
    chdir("/").context("/")?;
    stdio::take_console(true);
    Ok(())
}

/// Deletes what lies on this device, and never looks behind a mount.
fn empty(directory: &Path, device: u64) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.dev() != device => {}
            Ok(meta) if meta.is_dir() => {
                empty(&path, device);
                let _ = fs::remove_dir(&path);
            }
            _ => {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn an_init_is_looked_for_with_the_new_roots_eyes() {
        let root = std::env::temp_dir().join(format!("kboot-root-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("usr/lib/systemd")).unwrap();
        fs::create_dir(root.join("sbin")).unwrap();
        fs::write(root.join("usr/lib/systemd/systemd"), "").unwrap();
        fs::set_permissions(root.join("usr/lib/systemd/systemd"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(root.join("plain"), "").unwrap();
        symlink("/usr/lib", root.join("lib")).unwrap();
        symlink("../lib/systemd/systemd", root.join("sbin/init")).unwrap();
        symlink("/../../../sbin/init", root.join("out")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("/bin/sh", root.join("foreign")).unwrap();
        for (path, expected) in [
            ("/sbin/init", true),
            ("/out", true),
            ("/lib/systemd/systemd", true),
            ("/plain", false),
            ("/usr/lib", false),
            ("/loop", false),
            ("/foreign", false),
            ("/none", false),
        ] {
            assert_eq!(is_executable(&root, path), expected, "{path}");
        }
        fs::remove_dir_all(&root).unwrap();
    }
}

//! `kboot --install [-s] DIR`: a link for each applet.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};

use super::APPLETS;

/// Applets that get no link, since hosts have these programs: `init 6` is meant for theirs, and
/// update-initramfs looks for initramfs-tools' mkinitramfs in PATH: one before it would break every upgrade
/// of a kernel; GNU units converts units of measurement; cloud-init's own units say `cloud-init`.
const WITHOUT_LINK: [&str; 4] = ["init", "mkinitramfs", "units", "cloud-init"];

/// Makes hard links, with `-s` symbolic ones. A link that is already right is fine; anything else of
/// that name is an error and stays; all names are looked at before the first link is made.
pub fn run(args: &[OsString]) -> Result<()> {
    let (symbolic, dir) = match args {
        [flag, dir] if flag == "-s" => (true, dir),
        [dir] if !dir.as_encoded_bytes().starts_with(b"-") => (false, dir),
        _ => return Err(Error::usage("--install takes [-s] DIR")),
    };
    let dir = Path::new(dir);
    if !dir.is_dir() {
        return Err(Error::usage(format!("--install {}: is not a directory", dir.display())));
    }
    let program = own_path().context("--install")?;
    let own = fs::metadata(&program).context(program.display())?;
    let mut missing = Vec::new();
    for applet in APPLETS.iter().filter(|a| !WITHOUT_LINK.contains(&a.name)) {
        let link = dir.join(applet.name);
        match (fs::symlink_metadata(&link), fs::metadata(&link)) {
            (Err(_), _) => missing.push(link),
            (Ok(_), Ok(m)) if (m.dev(), m.ino()) == (own.dev(), own.ino()) => {}
            _ => {
                let what = link.display();
                return Err(Error::failed(format!(
                    "--install: {what} is there and is no link to this kboot: remove it"
                )));
            }
        }
    }
    for link in &missing {
        let made = if symbolic { symlink(&program, link) } else { fs::hard_link(&program, link) };
        let hint = if symbolic { "" } else { " (-s makes symbolic links)" };
        made.context(format!("--install: {}{hint}", link.display()))?;
    }
    Ok(())
}

/// Whether an applet gets a link of its bare name.
pub fn has_link(applet: &str) -> bool {
    !WITHOUT_LINK.contains(&applet)
}

/// This program's file: /proc may not be mounted, then an absolute argv[0] has to do.
pub fn own_path() -> Result<PathBuf> {
    fs::read_link("/proc/self/exe")
        .ok()
        .or_else(|| crate::sys::stdio::argv0().map(PathBuf::from).filter(|p| p.is_absolute()))
        .ok_or_else(|| Error::failed("/proc is not mounted: call kboot by its absolute path"))
}

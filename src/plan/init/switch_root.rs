//! When the root may be switched: the rules of busybox's and util-linux's switch_root, which delete what
//! the old root holds.

/// The inits that are looked for where none is named: the kernel's own list, and systemd.
pub const INITS: [&str; 5] =
    ["/sbin/init", "/lib/systemd/systemd", "/usr/lib/systemd/systemd", "/etc/init", "/bin/init"];

/// What moves over as it is mounted; /run has what was done so far.
pub const MOVED: [&str; 4] = ["/dev", "/proc", "/sys", "/run"];

/// What is found.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)] // each is a fact of its own
pub struct Facts<'a> {
    /// This is PID 1.
    pub is_first: bool,
    /// The old root is a ramfs or tmpfs, as an initramfs is.
    pub old_is_ram: bool,
    /// `/init` is a regular file: this is an initramfs, not a host in memory.
    pub has_init_file: bool,
    /// The new root's directory.
    pub new_root: &'a str,
    /// It lies on another file system than the old root.
    pub is_other: bool,
    /// It is a mount point.
    pub is_mount_point: bool,
    /// The new root's init, if there is one that can be run.
    pub init: Option<&'a str>,
    /// The init that was asked for.
    pub asked: Option<&'a str>,
}

/// Why not; `None`: it may be done.
pub fn refusal(facts: &Facts<'_>) -> Option<String> {
    let new = facts.new_root;
    if !facts.is_first {
        return Some("only PID 1 switches the root".into());
    }
    if !facts.is_other || !facts.is_mount_point {
        return Some(format!("{new} is no mount point of another file system: mount the new root there"));
    }
    if !facts.has_init_file {
        return Some("/init is not a regular file: this is no initramfs, and what it holds is kept".into());
    }
    if !facts.old_is_ram {
        return Some("the root is neither ramfs nor tmpfs: what it holds is kept".into());
    }
    let moved = MOVED.iter().find(|dir| std::path::Path::new(new).starts_with(dir));
    match (facts.init, facts.asked) {
        (Some(_), _) => moved.map(|dir| {
            format!("{new}: {dir} moves into the new root, which cannot lie in it: mount it elsewhere")
        }),
        (None, Some(asked)) => Some(format!("{asked} is no executable file in the new root")),
        (None, None) => {
            Some(format!("the new root has no init: looked for {}: name one by init=", INITS.join(", ")))
        }
    }
}

/// What the kernel's `root=` names; `Ok(None)`: nothing that is a device or a directory here.
pub fn device(root: &str) -> Result<Option<&str>, String> {
    match root {
        "" | "none" => Ok(None),
        "/dev/nfs" => Err(format!("{root}: a root by NFS is mounted by a step: name its directory here")),
        path if path.starts_with('/') => Ok(Some(path)),
        other => Err(format!(
            "{other}: only a path is understood here, such as /dev/vda1: UUID=, LABEL= and their like need udev"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals() {
        let fine = Facts {
            is_first: true,
            old_is_ram: true,
            has_init_file: true,
            new_root: "/newroot",
            is_other: true,
            is_mount_point: true,
            init: Some("/sbin/init"),
            asked: None,
        };
        let table = [
            (fine.clone(), ""),
            (Facts { is_first: false, ..fine.clone() }, "only PID 1 switches the root"),
            (
                Facts { is_other: false, ..fine.clone() },
                "/newroot is no mount point of another file system: mount the new root there",
            ),
            (
                Facts { is_mount_point: false, ..fine.clone() },
                "/newroot is no mount point of another file system: mount the new root there",
            ),
            (
                Facts { new_root: "/run/root", ..fine.clone() },
                "/run/root: /run moves into the new root, which cannot lie in it: mount it elsewhere",
            ),
            (Facts { new_root: "/running", ..fine.clone() }, ""),
            (
                Facts { has_init_file: false, ..fine.clone() },
                "/init is not a regular file: this is no initramfs, and what it holds is kept",
            ),
            (
                Facts { old_is_ram: false, ..fine.clone() },
                "the root is neither ramfs nor tmpfs: what it holds is kept",
            ),
            (
                Facts { init: None, asked: Some("/bin/x"), ..fine.clone() },
                "/bin/x is no executable file in the new root",
            ),
            (
                Facts { init: None, ..fine },
                "the new root has no init: looked for /sbin/init, /lib/systemd/systemd, \
                 /usr/lib/systemd/systemd, /etc/init, /bin/init: name one by init=",
            ),
        ];
        for (facts, why) in table {
            assert_eq!(refusal(&facts).unwrap_or_default(), why, "{facts:?}");
        }
    }

    #[test]
    fn roots() {
        for (root, expected) in [("", None), ("none", None), ("/dev/vda", Some("/dev/vda"))] {
            assert_eq!(device(root), Ok(expected));
        }
        assert!(device("/dev/nfs").is_err());
        for root in ["UUID=1234", "LABEL=x", "PARTUUID=1-02", "vda1", "ZFS=tank"] {
            assert!(device(root).unwrap_err().starts_with(&format!("{root}: only a path")));
        }
    }
}

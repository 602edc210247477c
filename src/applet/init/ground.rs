use std::path::Path;

use nix::mount::MsFlags;

use crate::plan::init::filesystem;
use crate::sys::mount::{self, PLAIN};
use crate::sys::stdio;

/// Where, what, and its options, as systemd mounts them (mount-setup.c). /run comes first among those in
/// memory: what is done later leaves its records there.
const MOUNTS: [(&str, &str, MsFlags, &str); 6] = [
    ("/proc", "proc", PLAIN, ""),
    ("/sys", "sysfs", PLAIN, ""),
    ("/dev", "devtmpfs", MsFlags::MS_NOSUID, "mode=0755"),
    ("/run", "tmpfs", MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV), "mode=0755"),
    ("/dev/pts", "devpts", MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC), "mode=0620,gid=5"),
    ("/dev/shm", "tmpfs", MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV), "mode=1777"),
];

const CGROUP: &str = "/sys/fs/cgroup";

/// Mounts what PID 1 stands on and is not mounted, and takes the console where the kernel gave none. What
/// cannot be mounted is said later, by whoever needs it: a container may have its reasons.
pub fn lay() {
    for (path, kind, flags, data) in MOUNTS {
        let path = Path::new(path);
        if !mount::is_mount_point(path) {
            let _ = mount::mount(kind, path, kind, flags, data);
        }
    }
    if (0..=2).any(stdio::was_closed) {
        stdio::take_console(false);
    }
}

/// Those that are not there all the same.
pub fn missing() -> impl Iterator<Item = &'static str> {
    MOUNTS.iter().map(|m| m.0).filter(|path| !mount::is_mount_point(Path::new(path)))
}

/// The control groups: one hierarchy where the kernel has it (4.5), else one for each controller.
pub fn control_groups(old: bool) {
    let root = Path::new(CGROUP);
    if mount::is_mount_point(root) {
        return;
    }
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !old && filesystem::is_known(&known, "cgroup2") {
        let _ = mount::mount("cgroup2", root, "cgroup2", PLAIN, "");
        return;
    }
    if mount::mount("tmpfs", root, "tmpfs", PLAIN, "mode=0755").is_err() {
        return;
    }
    // /proc/cgroups: NAME HIERARCHY COUNT ENABLED.
    for line in std::fs::read_to_string("/proc/cgroups").unwrap_or_default().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [name, _, _, "1"] = words[..] {
            let _ = mount::mount("cgroup", &root.join(name), "cgroup", PLAIN, name);
        }
    }
}

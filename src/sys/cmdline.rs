//! The kernel's command line (proc(5)).

/// /proc/cmdline; empty where /proc is not mounted. Bytes that are not UTF-8 are replaced.
pub fn read() -> String {
    let bytes = std::fs::read("/proc/cmdline").unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

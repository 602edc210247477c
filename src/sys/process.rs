//! Other processes, by /proc.

use std::fs;
use std::path::PathBuf;

/// The words that a process was started with; none of one that has ended, or of a kernel thread.
pub fn command_line(pid: i32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = bytes.split(|b| *b == 0).filter(|w| !w.is_empty());
    words.map(|w| String::from_utf8_lossy(w).into_owned()).collect()
}

/// All processes, the oldest number first.
fn pids() -> Option<Vec<i32>> {
    let entries = fs::read_dir("/proc").ok()?;
    let mut pids: Vec<i32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    Some(pids)
}

/// The first process of this network namespace with such a command line, and that. A file with a pid would
/// say less: it may be anywhere, be old, or lie on a host whose pids are not these.
pub fn find_in_this_network(is_it: impl Fn(&[String]) -> bool) -> Option<(i32, Vec<String>)> {
    let own = network("self");
    pids()?.into_iter().find_map(|pid| {
        let words = command_line(pid);
        (is_it(&words) && network(&pid.to_string()) == own).then_some((pid, words))
    })
}

/// Who has the socket of that number open: its pid and its name (15 bytes at most, /proc/PID/comm).
pub fn owner_of_socket(inode: u64) -> Option<(i32, String)> {
    let link = PathBuf::from(format!("socket:[{inode}]"));
    let has_it = |pid: &i32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.into_iter().any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == link))
    };
    let pid = pids()?.into_iter().find(has_it)?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some((pid, name.trim().to_owned()))
}

/// The number of this process's network namespace; 0 without /proc.
pub fn network_namespace() -> String {
    let link = network("self").unwrap_or_default();
    let digits: String = link.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    if digits.is_empty() { "0".to_owned() } else { digits }
}

/// The network namespace, such as `net:[4026531840]`; before Linux 3.8 no link, and so the same for all.
fn network(pid: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/net")).ok()
}

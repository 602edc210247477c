//! The host: its names, its clock, its disk.

use super::{Finding, Fix, Level};
use crate::types::NodeName;

/// One name in the certificate, in the kubelet's flag and in the registration: the API server lets a node
/// write the Node only of its own name (NodeRestriction). `certificate`: the name in its CN, if it is a
/// node's; `node`: the name that kboot gives.
pub fn name(node: &NodeName, certificate: Option<&str>, hostname: &str) -> Finding {
    let check = "name";
    match certificate {
        Some(other) if other != node.as_str() => Finding::bad(
            check,
            Level::Blocker,
            format!("the Node is {node}, the client certificate is system:node:{other}'s"),
            "the API server refuses what the kubelet writes (NodeRestriction)",
            format!("--name {other}, or a certificate for {node}"),
        ),
        _ if node.as_str() == hostname => Finding::ok(check, format!("{node}, as the host")),
        _ => Finding::ok(check, format!("{node}, on the host {hostname}")),
    }
}

/// The time in which a certificate is valid, in seconds since 1970.
pub struct Validity {
    /// Whose it is: `the client certificate`.
    pub of: String,
    /// Its first second.
    pub not_before: u64,
    /// Its last.
    pub not_after: u64,
}

/// The clock against the certificates. `now`: seconds since 1970.
pub fn clock(now: u64, certificates: &[Validity]) -> Finding {
    let check = "clock";
    for certificate in certificates {
        let of = &certificate.of;
        if now < certificate.not_before {
            let by = span(certificate.not_before - now);
            return Finding::bad(
                check,
                Level::Blocker,
                format!("{of} is valid in {by} only, by this host's clock"),
                "no TLS connection comes about",
                "set the clock",
            );
        }
        if now > certificate.not_after {
            let by = span(now - certificate.not_after);
            return Finding::bad(
                check,
                Level::Blocker,
                format!("{of} expired {by} ago, by this host's clock"),
                "the API server knows the kubelet no more",
                "set the clock, or renew it (kubeadm certs renew; register --bootstrap-token-file)",
            );
        }
    }
    let soon = certificates.iter().min_by_key(|c| c.not_after).map(|c| (&c.of, c.not_after - now));
    match soon {
        Some((of, left)) if left < WEEK => Finding::bad(
            check,
            Level::Warning,
            format!("{of} expires in {}", span(left)),
            "from then on the API server knows the kubelet no more",
            "renew it, or have the kubelet do it (--rotate-certificates)",
        ),
        Some((of, left)) => Finding::ok(check, format!("{of} is valid for {}", span(left))),
        None => Finding::ok(check, "no certificate depends on it"),
    }
}

const WEEK: u64 = 7 * 86_400;

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The directory of static pods; the kubelet looks into it every 20 s, and complains where there is none.
pub fn manifests(path: &str, is_there: bool) -> Finding {
    if is_there {
        return Finding::ok("manifests", path);
    }
    let why = "the kubelet complains of it again and again";
    Finding::bad(
        "manifests",
        Level::Warning,
        format!("{path} is not there"),
        why,
        format!("mkdir -p {path}, or --fix"),
    )
    .fixed_by([Fix::Directory(path.to_owned())])
}

/// Room in the file system of a directory.
pub struct Room {
    /// The directory.
    pub path: String,
    /// Free bytes, and those in all.
    pub bytes: (u64, u64),
    /// Free inodes, and those in all: 0 where the file system counts none (btrfs).
    pub inodes: (u64, u64),
}

/// Below that the kubelet cannot even write its own state.
const LEAST: u64 = 64 << 20;

/// Against the kubelet's own limits for eviction (evictionHard's defaults: nodefs.available 10 %,
/// nodefs.inodesFree 5 %, imagefs.available 15 %).
pub fn room(rooms: &[Room]) -> Finding {
    let check = "disk";
    let percent = |(free, all): (u64, u64)| free.saturating_mul(100).checked_div(all).unwrap_or(100);
    let why = "the kubelet reports DiskPressure, evicts pods and takes no new ones";
    for (at, room) in rooms.iter().enumerate() {
        let path = &room.path;
        let (bytes, inodes) = (percent(room.bytes), percent(room.inodes));
        let of = if at == 0 { 10 } else { 15 };
        if room.bytes.1 > 0 && room.bytes.0 < LEAST {
            let what = format!("{path}: {} MiB are free", room.bytes.0 >> 20);
            return Finding::bad(
                check,
                Level::Blocker,
                what,
                "the kubelet cannot write its state",
                "make room",
            );
        }
        if bytes < of {
            let what = format!("{path}: {bytes} % are free, less than {of} %");
            return Finding::bad(
                check,
                Level::Warning,
                what,
                why,
                "make room (docker system prune, crictl rmi --prune)",
            );
        }
        if inodes < 5 {
            let what = format!("{path}: {inodes} % of the inodes are free, less than 5 %");
            return Finding::bad(check, Level::Warning, what, why, "remove files");
        }
    }
    let shown: Vec<String> =
        rooms.iter().map(|r| format!("{}: {} % free", r.path, percent(r.bytes))).collect();
    Finding::ok(check, shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_everywhere() {
        let node: NodeName = "10.20.7.1".parse().unwrap();
        assert_eq!(name(&node, None, "web3").what, "10.20.7.1, on the host web3");
        assert_eq!(name(&node, Some("10.20.7.1"), "10.20.7.1").what, "10.20.7.1, as the host");
        let other = name(&node, Some("web3"), "web3");
        assert_eq!(
            (other.level, other.advice.as_str()),
            (Level::Blocker, "--name web3, or a certificate for 10.20.7.1")
        );
    }

    #[test]
    fn the_clock_against_certificates() {
        let cert =
            |from, to| [Validity { of: "the client certificate".into(), not_before: from, not_after: to }];
        let year = 365 * 86_400;
        assert_eq!(clock(year, &cert(0, 2 * year)).what, "the client certificate is valid for 365 days");
        assert_eq!(
            clock(0, &cert(60, year)).what,
            "the client certificate is valid in 60 s only, by this host's clock"
        );
        assert_eq!(
            clock(year + 7_200, &cert(0, year)).what,
            "the client certificate expired 2 hours ago, by this host's clock"
        );
        assert_eq!(clock(year - 86_400, &cert(0, year)).level, Level::Warning);
        assert_eq!(clock(0, &[]).level, Level::Ok);
    }

    #[test]
    fn room_as_the_kubelet_wants_it() {
        let gib = 1 << 30;
        let room_of = |bytes, inodes| room(&[Room { path: "/v".into(), bytes, inodes }]);
        assert_eq!(room_of((50 * gib, 100 * gib), (0, 0)).what, "/v: 50 % free");
        assert_eq!(room_of((9 * gib, 100 * gib), (1, 1)).what, "/v: 9 % are free, less than 10 %");
        assert_eq!(
            room_of((50 * gib, 100 * gib), (4, 100)).what,
            "/v: 4 % of the inodes are free, less than 5 %"
        );
        assert_eq!(room_of((1 << 20, 100 * gib), (9, 9)).level, Level::Blocker);
        let both = [(20 * gib, 100 * gib), (12 * gib, 100 * gib)].map(|bytes| Room {
            path: "/x".into(),
            bytes,
            inodes: (1, 1),
        });
        assert_eq!(room(&both).what, "/x: 12 % are free, less than 15 %");
    }
}

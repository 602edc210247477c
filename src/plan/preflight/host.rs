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
    /// How to get another one.
    pub renewal: &'static str,
}

/// Of several CAs one is enough: while they are changed, the old one is there beside the new one.
pub fn best(now: u64, bundle: impl IntoIterator<Item = Validity>) -> Option<Validity> {
    let is_valid = |c: &Validity| c.not_before <= now && now <= c.not_after;
    bundle.into_iter().max_by_key(|c| (is_valid(c), c.not_after))
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
                Level::Warning,
                format!("{of} becomes valid in {by}, by this host's clock"),
                NO_TLS,
                "set the clock",
            );
        }
        if now > certificate.not_after {
            let by = span(now - certificate.not_after);
            return Finding::bad(
                check,
                Level::Warning,
                format!("{of} expired {by} ago, by this host's clock"),
                NO_TLS,
                format!("set the clock, or {}", certificate.renewal),
            );
        }
    }
    let Some(first) = certificates.iter().min_by_key(|c| c.not_after) else {
        return Finding::ok(check, "no certificate depends on it");
    };
    let (of, left) = (&first.of, first.not_after - now);
    // Who renews certificates by itself does so before nine tenths of their time are over.
    if left < WEEK.min((first.not_after - first.not_before) / 10) {
        let what = format!("{of} expires in {}", span(left));
        return Finding::bad(check, Level::Warning, what, format!("from then on {NO_TLS}"), first.renewal);
    }
    Finding::ok(check, format!("{of} is valid for {}", span(left)))
}

const NO_TLS: &str = "no TLS connection to the API server comes about";
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
    if path.is_empty() {
        return Finding::ok("manifests", "none, as given");
    }
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
    /// Free bytes, and those kept for root, which the kubelet is.
    pub for_root: u64,
    /// Free inodes, and those in all: 0 where the file system counts none (btrfs).
    pub inodes: (u64, u64),
}

/// Below that the kubelet cannot even write its own state.
const LEAST: u64 = 64 << 20;

/// Against the kubelet's own limits for eviction (evictionHard's defaults: nodefs.available 10 %,
/// nodefs.inodesFree 5 %, imagefs.available 15 %). The first is the kubelet's own; in the others, those of
/// images, it makes room itself.
pub fn room(rooms: &[Room]) -> Finding {
    let check = "disk";
    let percent = |(free, all): (u64, u64)| free.saturating_mul(100).checked_div(all).unwrap_or(100);
    let why = "the kubelet reports DiskPressure, evicts pods and takes no new ones";
    for (at, room) in rooms.iter().enumerate() {
        let path = &room.path;
        let (bytes, inodes) = (percent(room.bytes), percent(room.inodes));
        let of = if at == 0 { 10 } else { 15 };
        if at == 0 && room.bytes.1 > 0 && room.for_root < LEAST {
            let what = format!("{path}: {} MiB are free", room.for_root >> 20);
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
        let one = |not_before, not_after| Validity {
            of: "the client certificate".into(),
            not_before,
            not_after,
            renewal: "make a new one",
        };
        let cert = |from, to| [one(from, to)];
        let year = 365 * 86_400;
        assert_eq!(clock(year, &cert(0, 2 * year)).what, "the client certificate is valid for 365 days");
        assert_eq!(
            clock(0, &cert(60, year)).what,
            "the client certificate becomes valid in 60 s, by this host's clock"
        );
        assert_eq!(
            clock(year + 7_200, &cert(0, year)).what,
            "the client certificate expired 2 hours ago, by this host's clock"
        );
        assert_eq!(clock(year - 86_400, &cert(0, year)).level, Level::Warning);
        assert_eq!(clock(3_600, &cert(0, 86_400)).level, Level::Ok, "one that lives for a day");
        assert_eq!(clock(0, &[]).level, Level::Ok);
        let of = |bundle: Vec<Validity>| best(100, bundle).map(|c| (c.not_before, c.not_after));
        assert_eq!(of(vec![one(0, 50), one(90, 500), one(200, 900)]), Some((90, 500)));
        assert_eq!((of(vec![one(0, 50), one(0, 60)]), of(vec![])), (Some((0, 60)), None));
    }

    #[test]
    fn room_as_the_kubelet_wants_it() {
        let gib = 1 << 30;
        let of = |bytes: (u64, u64), inodes| Room { path: "/v".into(), bytes, for_root: bytes.0, inodes };
        let room_of = |bytes, inodes| room(&[of(bytes, inodes)]);
        assert_eq!(room_of((50 * gib, 100 * gib), (0, 0)).what, "/v: 50 % free");
        assert_eq!(room_of((9 * gib, 100 * gib), (1, 1)).what, "/v: 9 % are free, less than 10 %");
        assert_eq!(
            room_of((50 * gib, 100 * gib), (4, 100)).what,
            "/v: 4 % of the inodes are free, less than 5 %"
        );
        assert_eq!(room_of((1 << 20, 100 * gib), (9, 9)).level, Level::Blocker);
        let both = |images| [of((20 * gib, 100 * gib), (1, 1)), of((images, 100 * gib), (1, 1))];
        assert_eq!(room(&both(12 * gib)).what, "/v: 12 % are free, less than 15 %");
        assert_eq!(room(&both(0)).level, Level::Warning, "images are not the kubelet's state");
        let kept = Room { for_root: 5 * gib, ..of((0, 100 * gib), (1, 1)) };
        assert_eq!(room(&[kept]).what, "/v: 0 % are free, less than 10 %");
    }
}

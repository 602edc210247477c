//! The kernel: swap, settings, conntrack, its log.

use super::{Finding, Fix, Level};
use crate::plan::kubelet::Version;

/// Swap, by the text of /proc/swaps. The kubelet refuses to start with it from 1.8 on (failSwapOn, release
/// notes of 1.8); before, what pods are promised does not hold.
pub fn swap(proc_swaps: &str, version: Version, allowed: bool) -> Finding {
    let on: Vec<&str> = proc_swaps.lines().skip(1).filter_map(|l| l.split_whitespace().next()).collect();
    let what = format!("swap is on ({})", on.join(", "));
    if on.is_empty() {
        return Finding::ok("swap", "none is on");
    }
    if allowed {
        return Finding::ok("swap", format!("{what}, and allowed"));
    }
    let minor = version.minor;
    if minor < 8 {
        let why = "pods are swapped out, and what they are promised does not hold";
        return Finding::bad("swap", Level::Warning, what, why, "swapoff -a, and out of /etc/fstab with it");
    }
    let why = format!("kubelet 1.{minor} does not start with it (failSwapOn)");
    let advice = "swapoff -a, and out of /etc/fstab with it; or give --allow-swap";
    Finding::bad("swap", Level::Blocker, what, why, advice)
}

/// A setting that has to be 1, with what comes of 0. `has`: its value, `None` when it is not there,
/// which loading `module` mends.
pub fn setting(
    check: &'static str,
    name: &'static str,
    has: Option<&str>,
    why: &str,
    module: Option<&'static str>,
) -> Finding {
    if has == Some("1") {
        return Finding::ok(check, format!("{name} is 1"));
    }
    let fix = Fix::Setting(name, "1".into());
    let what = match (has, module) {
        (Some(value), _) => format!("{name} is {value}"),
        (None, Some(module)) => format!("{module} is not loaded"),
        (None, None) => format!("this kernel has no {name}"),
    };
    let fixes: Vec<Fix> = match (has, module) {
        (Some(_), _) => vec![fix],
        (None, Some(module)) => vec![Fix::Module(module), fix],
        (None, None) => Vec::new(),
    };
    let advice = if fixes.is_empty() { "another kernel" } else { "kboot bridge sets it, or --fix" };
    Finding::bad(check, Level::Warning, what, why, advice).fixed_by(fixes)
}

/// How many connections are tracked at most: kube-proxy wants 32768 for each processor, and 131072 at the
/// least (its --conntrack-max-per-core and --conntrack-min), but cannot set it everywhere. `limit` and
/// `used`: nf_conntrack_max and nf_conntrack_count; `None` while the kernel does not track.
pub fn conntrack(limit: Option<u64>, used: Option<u64>, processors: u64) -> Finding {
    let check = "conntrack";
    let Some(limit) = limit else { return Finding::ok(check, "no connections are tracked yet") };
    let name = "net.netfilter.nf_conntrack_max";
    let wanted = (32_768 * processors).max(131_072);
    if limit >= wanted && used.unwrap_or(0) * 10 < limit * 9 {
        return Finding::ok(check, format!("{name} is {limit}"));
    }
    let (what, wanted) = if limit < wanted {
        (format!("{name} is {limit}, less than {wanted}"), wanted)
    } else {
        (format!("{} of {limit} tracked connections are in use", used.unwrap_or(0)), limit * 2)
    };
    let why = "where that many connections are open, the kernel drops packets of new ones";
    Finding::bad(check, Level::Warning, what, why, format!("sysctl -w {name}={wanted}, or --fix"))
        .fixed_by([Fix::Setting(name, wanted.to_string())])
}

/// What the kubelet sets by itself (cm/container_manager_linux.go, `setupKernelTunables`; from 1.2 on).
pub const TUNABLES: [(&str, &str); 4] = [
    ("vm.overcommit_memory", "1"),
    ("vm.panic_on_oom", "0"),
    ("kernel.panic", "10"),
    ("kernel.panic_on_oops", "1"),
];

/// Those that have another value and cannot be written.
pub fn tunables(stuck: &[(&str, &str)], version: Version) -> Finding {
    let check = "proc-sys";
    match stuck.first() {
        Some((name, value)) if version.minor >= 2 => Finding::bad(
            check,
            Level::Blocker,
            format!("{name} is not {value}, and /proc/sys is read-only"),
            "the kubelet sets it and ends where it cannot",
            format!("sysctl -w {name}={value} on the host itself, or mount -o remount,rw /proc/sys"),
        ),
        _ => Finding::ok(check, "the kubelet can set what it sets"),
    }
}

/// The kernel's log: the kubelet ends when it cannot watch it for OOM kills (oom_watcher_linux.go of 1.20;
/// until 1.14 it left that to cAdvisor, which goes on without).
pub fn kmsg(there: bool, version: Version) -> Finding {
    if there || version.minor < 15 {
        return Finding::ok("kmsg", if there { "/dev/kmsg is there" } else { "/dev/kmsg is not needed" });
    }
    let why = format!("kubelet 1.{} ends without it (its watch for OOM kills)", version.minor);
    Finding::bad("kmsg", Level::Blocker, "there is no /dev/kmsg", why, "mknod /dev/kmsg c 1 11")
}

#[cfg(test)]
mod tests {
    use super::*;

    const V: fn(u32) -> Version = |minor| Version { minor };

    #[test]
    fn swap_by_version() {
        let none = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        let on = format!("{none}/dev/sda2 partition 1 0 -2\n/swap file 1 0 -3\n");
        assert_eq!(swap(none, V(20), false).level, Level::Ok);
        assert_eq!(swap("", V(20), false).level, Level::Ok);
        assert_eq!(swap(&on, V(7), false).level, Level::Warning);
        assert_eq!(swap(&on, V(20), true).to_string(), "swap is on (/dev/sda2, /swap), and allowed");
        assert_eq!(
            swap(&on, V(20), false).to_string(),
            "swap is on (/dev/sda2, /swap): kubelet 1.20 does not start with it (failSwapOn): \
             swapoff -a, and out of /etc/fstab with it; or give --allow-swap"
        );
    }

    #[test]
    fn a_setting_that_is_off_or_not_there() {
        let look = |has, module| setting("x", "net.a", has, "nothing works", module);
        assert_eq!(look(Some("1"), None).level, Level::Ok);
        let off = look(Some("0"), Some("m"));
        assert_eq!((off.level, off.fixes), (Level::Warning, vec![Fix::Setting("net.a", "1".into())]));
        let absent = look(None, Some("m"));
        assert_eq!(absent.what, "m is not loaded");
        assert_eq!(absent.fixes.first(), Some(&Fix::Module("m")));
        assert!(look(None, None).fixes.is_empty());
    }

    #[test]
    fn settings_that_the_kubelet_cannot_make() {
        let stuck = [("kernel.panic", "10")];
        assert_eq!(tunables(&[], V(20)).level, Level::Ok);
        assert_eq!(tunables(&stuck, V(1)).level, Level::Ok);
        assert_eq!(
            tunables(&stuck, V(20)).to_string(),
            "kernel.panic is not 10, and /proc/sys is read-only: the kubelet sets it and ends where it cannot: \
             sysctl -w kernel.panic=10 on the host itself, or mount -o remount,rw /proc/sys"
        );
    }

    #[test]
    fn conntrack_as_kube_proxy_wants_it() {
        assert_eq!(conntrack(None, None, 2).level, Level::Ok);
        assert_eq!(conntrack(Some(131_072), Some(10), 2).level, Level::Ok);
        assert_eq!(
            conntrack(Some(131_072), Some(10), 8).fixes[0].to_string(),
            "sysctl -w net.netfilter.nf_conntrack_max=262144"
        );
        let full = conntrack(Some(262_144), Some(262_000), 2);
        assert_eq!(full.what, "262000 of 262144 tracked connections are in use");
        assert_eq!(full.fixes[0].to_string(), "sysctl -w net.netfilter.nf_conntrack_max=524288");
    }
}

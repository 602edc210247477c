//! Control groups: their version, their controllers, and who manages them.

use super::{Finding, Level};
use crate::plan::kubelet::{CgroupDriver, Version};

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cgroups {
    /// Nothing.
    None,
    /// Version 1, or both side by side (systemd's hybrid form): these controllers, each mounted.
    V1(Vec<String>),
    /// Version 2 alone: these controllers (/sys/fs/cgroup/cgroup.controllers).
    V2(Vec<String>),
}

impl Cgroups {
    /// By the texts of /proc/mounts and, where version 2 is mounted, cgroup.controllers.
    pub fn read(proc_mounts: &str, controllers: &str) -> Self {
        let mounts = proc_mounts.lines().map(|l| l.split(' ').collect::<Vec<_>>()).filter(|m| m.len() > 3);
        let mut v1: Vec<String> = Vec::new();
        let mut v2 = false;
        for mount in mounts {
            if mount[1] == "/sys/fs/cgroup" {
                v2 = mount[2] == "cgroup2";
            }
            if mount[2] == "cgroup" {
                v1.extend(mount[3].split(',').map(str::to_owned));
            }
        }
        match (v2, v1.is_empty()) {
            // Beside it there may be version 1 for other purposes (name=systemd, net_cls): the kubelet
            // goes by what is at that place (IsCgroup2UnifiedMode).
            (true, _) => Cgroups::V2(controllers.split_whitespace().map(str::to_owned).collect()),
            (false, false) => Cgroups::V1(v1),
            (false, true) => Cgroups::None,
        }
    }
}

/// What the kubelet's container manager requires of version 1 (cm/container_manager_linux.go,
/// `validateSystemRequirements`).
const REQUIRED: [&str; 4] = ["cpu", "cpuacct", "cpuset", "memory"];
/// The same from 1.20 on, where limits of pids are always on (cm/cgroup_manager_linux.go,
/// `getSupportedSubsystems`): 1.20.2 ends over "failed to find subsystem mount for required subsystem: pids".
const REQUIRED_LATER: [&str; 5] = ["cpu", "cpuacct", "cpuset", "memory", "pids"];
/// What it writes to in version 2, for the pods' own cgroup; there it asks for nothing before.
const WRITTEN: [&str; 2] = ["cpu", "memory"];

/// Whether that kubelet runs with them. Version 2: from 1.19 on (KEP-2254). Version 1: until 1.34, later
/// only with failCgroupV1 false (KEP-4569; it warns from 1.31 on).
pub fn cgroups(there: &Cgroups, version: Version, allow_v1: bool) -> Finding {
    let (number, required, controllers) = match there {
        Cgroups::None => {
            let why = "the kubelet and the runtime do not start without";
            let advice = "mount -t cgroup2 none /sys/fs/cgroup (version 1 for kubelets before 1.19)";
            return blocker("no control groups are mounted", why, advice);
        }
        Cgroups::V1(list) if version.minor < 20 => (1, &REQUIRED[..], list),
        Cgroups::V1(list) => (1, &REQUIRED_LATER[..], list),
        Cgroups::V2(list) => (2, &WRITTEN[..], list),
    };
    let lacks = |c: &&&str| !controllers.iter().any(|has| has == *c);
    match (number, required.iter().find(lacks)) {
        (_, Some(lacking)) => without(number, lacking),
        (1, None) => version_1(version.minor, allow_v1),
        (_, None) => version_2(version.minor, !lacks(&&"cpuset")),
    }
}

fn version_1(minor: u32, allowed: bool) -> Finding {
    let what = "control groups version 1";
    let boot = "boot with systemd.unified_cgroup_hierarchy=1";
    let why = match minor {
        ..31 => return Finding::ok(CHECK, "version 1"),
        31..35 => format!("kubelet 1.{minor} still takes it, 1.35 refuses it"),
        _ if allowed => format!("kubelet 1.{minor} takes it only because it was told to"),
        _ => {
            let why = format!("kubelet 1.{minor} refuses it (failCgroupV1)");
            return blocker(what, why, &format!("{boot}, or give --allow-cgroup-v1"));
        }
    };
    Finding::bad(CHECK, Level::Warning, what, why, boot)
}

fn version_2(minor: u32, has_cpuset: bool) -> Finding {
    if minor < 19 {
        let why = format!("kubelet 1.{minor} knows version 1 only (2 from 1.19 on)");
        return blocker("control groups version 2", why, "boot with systemd.unified_cgroup_hierarchy=0");
    }
    if !has_cpuset {
        let why = "no pod can have processors of its own (cpuManagerPolicy static)";
        let what = "control groups version 2 without cpuset";
        return Finding::bad(CHECK, Level::Warning, what, why, ELSEWHERE);
    }
    Finding::ok(CHECK, "version 2")
}

const CHECK: &str = "cgroup";

fn blocker(what: &str, why: impl Into<String>, advice: &str) -> Finding {
    Finding::bad(CHECK, Level::Blocker, what, why, advice)
}

/// Why a controller is not in version 2.
const ELSEWHERE: &str = "see /proc/cgroups: it is off (cgroup_disable=), or mounted as version 1";

fn without(number: u8, controller: &str) -> Finding {
    let advice = match (number, controller) {
        (_, "memory") => "boot with cgroup_enable=memory (Raspberry Pi and older Debian leave it off)",
        (1, _) => "mount it; its config option is in the kernel's CONFIG_CGROUPS menu",
        _ => ELSEWHERE,
    };
    let what = format!("control groups version {number} without {controller}");
    blocker(&what, "the kubelet does not start without that controller", advice)
}

/// Who manages them: the runtime and the kubelet have to agree (the kubelet is told what the runtime says,
/// unless `asked` in its own flags), and beside systemd as init it had better be systemd. `by_cri`: a kubelet
/// that asks a CRI runtime (1.31 on, KEP-4033) goes by its own flag only where that does not know the question.
pub fn driver(
    runtime: Option<CgroupDriver>,
    asked: Option<CgroupDriver>,
    systemd: bool,
    by_cri: bool,
) -> Finding {
    let check = "cgroup-driver";
    match (runtime, asked) {
        (None, _) => Finding::ok(check, "the runtime does not say: the kubelet's own default"),
        (Some(has), Some(asked)) if has != asked => Finding::bad(
            check,
            if by_cri { Level::Warning } else { Level::Blocker },
            format!("the runtime uses {has}, the kubelet is told {asked}"),
            if by_cri {
                "no pod starts where the runtime does not tell (containerd before 2.0, CRI-O before 1.28)"
            } else {
                "no pod starts, or docker's are killed"
            },
            "leave --cgroup-driver out: kboot gives the runtime's",
        ),
        (Some(CgroupDriver::Cgroupfs), _) if systemd => Finding::bad(
            check,
            Level::Warning,
            "cgroupfs, beside systemd as init",
            "two managers of one tree: under pressure the node becomes unstable",
            "docker: native.cgroupdriver=systemd; containerd: SystemdCgroup = true",
        ),
        (Some(has), _) => Finding::ok(check, has.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v1() -> Cgroups {
        Cgroups::V1(
            ["rw", "relatime", "cpu", "cpuacct", "cpuset", "memory", "pids"].map(str::to_owned).into(),
        )
    }

    fn v2() -> Cgroups {
        Cgroups::V2(["cpu", "cpuset", "memory", "io"].map(str::to_owned).into())
    }

    #[test]
    fn what_is_mounted() {
        let hybrid = "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(Cgroups::read(hybrid, ""), Cgroups::V1(vec!["rw".into(), "memory".into()]));
        let unified = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        assert_eq!(Cgroups::read(unified, "cpu memory\n"), Cgroups::V2(vec!["cpu".into(), "memory".into()]));
        assert_eq!(Cgroups::read("proc /proc proc rw 0 0\n", ""), Cgroups::None);
        let beside = "cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n";
        assert_eq!(Cgroups::read(&format!("{unified}{beside}"), "cpu\n"), Cgroups::V2(vec!["cpu".into()]));
        let covered = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n";
        assert_eq!(Cgroups::read(&format!("{unified}{covered}"), ""), Cgroups::None);
    }

    #[test]
    fn which_version_takes_which() {
        let level = |there: &Cgroups, minor, allow| cgroups(there, Version { minor }, allow).level;
        for (there, minor, allow, expected) in [
            (v1(), 0, false, Level::Ok),
            (v1(), 30, false, Level::Ok),
            (v1(), 31, false, Level::Warning),
            (v1(), 35, false, Level::Blocker),
            (v1(), 35, true, Level::Warning),
            (v2(), 18, false, Level::Blocker),
            (v2(), 19, false, Level::Ok),
            (v2(), 38, false, Level::Ok),
            (Cgroups::None, 20, false, Level::Blocker),
            (Cgroups::V2(vec!["cpu".into(), "cpuset".into()]), 30, false, Level::Blocker),
            (Cgroups::V2(vec!["cpu".into(), "memory".into()]), 30, false, Level::Warning),
        ] {
            assert_eq!(level(&there, minor, allow), expected, "{there:?} 1.{minor} {allow}");
        }
        let lacking = cgroups(
            &Cgroups::V1(vec!["cpu".into(), "cpuacct".into(), "cpuset".into()]),
            Version { minor: 20 },
            false,
        );
        assert!(lacking.advice.contains("cgroup_enable=memory"), "{lacking}");
        let without_pids = Cgroups::V1(["cpu", "cpuacct", "cpuset", "memory"].map(str::to_owned).into());
        assert_eq!([19, 20].map(|minor| level(&without_pids, minor, false)), [Level::Ok, Level::Blocker]);
    }

    #[test]
    fn two_managers() {
        use CgroupDriver::{Cgroupfs, Systemd};
        assert_eq!(driver(None, None, true, false).level, Level::Ok);
        assert_eq!(driver(Some(Cgroupfs), None, true, false).level, Level::Warning);
        assert_eq!(driver(Some(Cgroupfs), None, false, false).level, Level::Ok);
        assert_eq!(driver(Some(Systemd), None, true, false).what, "systemd");
        assert_eq!(driver(Some(Systemd), Some(Cgroupfs), true, false).level, Level::Blocker);
        assert_eq!(driver(Some(Systemd), Some(Cgroupfs), true, true).level, Level::Warning);
    }
}

//! Where the containers of a test go, so that nothing of them is left.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::tool;

/// For dockerd: nobody asks systemd for cgroups where there is none.
pub const CGROUPFS: &str = "--exec-opt=native.cgroupdriver=cgroupfs";

/// The cgroup that containers go to. A shell takes it away at the end, even if the tests were killed.
pub struct Cgroup {
    pub name: String,
    sweeper: Child,
}

const SWEEP: &str = "cat; for i in $(seq 1000); do \
        find /sys/fs/cgroup -depth -type d -path \"*/$0*\" -exec rmdir {} + 2>/dev/null; \
        [ -n \"$(find /sys/fs/cgroup -type d -name $0)\" ] || exit 0; sleep 0.01; \
    done; exit 1";

impl Cgroup {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("kboot-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        // A session of its own: Ctrl-C is not for it.
        let mut command = Command::new("setsid");
        command.args(["sh", "-c", SWEEP, &name]).stdin(Stdio::piped());
        Self { sweeper: command.spawn().unwrap(), name }
    }

    /// Makes it now, in every hierarchy, for those who want to find it.
    pub fn make(&self) {
        let line = "for top in /sys/fs/cgroup /sys/fs/cgroup/*; do \
            [ ! -e $top/cgroup.procs ] || mkdir $top/$0 || exit; [ ! -e /sys/fs/cgroup/cgroup.procs ] || exit 0; done";
        tool("sh", &["-c", line, &self.name]);
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        let swept = self.sweeper.wait().is_ok_and(|status| status.success());
        assert!(swept || std::thread::panicking(), "/sys/fs/cgroup/*/{} is left", self.name);
    }
}

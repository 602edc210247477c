//! systemd's units for a boot's steps, as text (systemd.unit(5), systemd.service(5), systemd.exec(5)). What only
//! newer ones know is a warning to older ones; the oldest aimed at is Debian 8's 215.
//!
//! Steps only want each other (`Wants=`) and come one after the other, and each waits for what it needs by itself.
//! With `Requires=` one that fails at first would fail the start of all behind it, which nothing starts again once
//! it has succeeded; and a restart of the bridge's step would restart docker. docker alone has a gate.

use std::str::FromStr;

/// What a host is to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// etcd and the API server run there.
    ControlPlane,
    /// Pods run there.
    Node,
    /// Both.
    Both,
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "control-plane" => Ok(Self::ControlPlane),
            "node" => Ok(Self::Node),
            "both" => Ok(Self::Both),
            _ => Err("is none of control-plane, node and both".into()),
        }
    }
}

/// The first line of each file begins so.
const MARK: &str = "# Made by kboot units";
const HEAD: &str = "# Made by kboot units. Options: /etc/default/kboot. Changes: systemctl edit.\n";

macro_rules! units {
    ($($name:literal $role:ident)*) => { [$(($name, Role::$role, include_str!($name))),*] };
}

/// In the order of a boot.
const UNITS: [(&str, Role, &str); 10] = units![
    "kboot-control-plane.target" ControlPlane
    "kboot-etcd-config.service" ControlPlane
    "kboot-node.target" Node
    "kboot-flannel-env.service" Node
    "kboot-bridge.service" Node
    "kboot-docker-flags.service" Node
    "kboot-docker-gate.service" Node
    "kboot-cni-config.service" Node
    "kboot-register.service" Node
    "kboot-kubelet-launch.service" Node
];

/// What several have in common. Later ones stand in earlier ones.
const PARTS: [(&str, &str); 6] = [
    ("@step@\n", include_str!("step.txt")),
    ("@sandbox@\n", include_str!("sandbox.txt")),
    ("@network@\n", include_str!("network.txt")),
    ("@etc@\n", include_str!("etc.txt")),
    ("@docker-is-there@\n", include_str!("docker-is-there.txt")),
    ("@docker@\n", include_str!("docker.txt")),
];

/// One file.
pub struct File {
    /// Its name in systemd's directory.
    pub name: &'static str,
    /// All of it.
    pub text: String,
}

/// The units of a role, which run this program.
pub fn files(role: Role, program: &str) -> Vec<File> {
    let wanted = UNITS.iter().filter(|(_, of, _)| role == Role::Both || role == *of);
    wanted.map(|(name, _, text)| File { name, text: fill(name, text, program) }).collect()
}

fn fill(name: &str, text: &str, program: &str) -> String {
    let text = PARTS.iter().fold(format!("{HEAD}{text}"), |text, (place, part)| text.replace(place, part));
    // A kubelet that ends is missed, whatever its exit status.
    let restart = if name == "kboot-kubelet-launch.service" { "always" } else { "on-failure" };
    text.replace("@restart@", restart).replace("@kboot@", program)
}

/// The names of all files that kboot makes, of whatever role.
pub fn names() -> impl Iterator<Item = &'static str> {
    UNITS.iter().map(|(name, _, _)| *name)
}

/// Whether a file is kboot's own.
pub fn is_own(text: &[u8]) -> bool {
    text.starts_with(MARK.as_bytes())
}

/// Whether a path can stand in a unit as it is: systemd would neither split nor expand anything in it.
pub fn is_plain(path: &str) -> bool {
    path.starts_with('/') && path.chars().all(|c| c.is_ascii_alphanumeric() || "/-_.+@:".contains(c))
}

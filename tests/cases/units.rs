//! `units`: systemd's units as text and as files, judged by systemd-analyze.

use std::fs;
use std::process::Command;

use crate::support::host::Host;
use crate::support::{Done, Scratch, binary, finish, kboot, need, root_user, run};

const NODE: [&str; 8] = [
    "kboot-node.target",
    "kboot-flannel-env.service",
    "kboot-bridge.service",
    "kboot-docker-flags.service",
    "kboot-docker-gate.service",
    "kboot-cni-config.service",
    "kboot-register.service",
    "kboot-kubelet-launch.service",
];
const CONTROL_PLANE: [&str; 2] = ["kboot-control-plane.target", "kboot-etcd-config.service"];

fn write(dir: &Scratch, more: &[&str]) -> Done {
    let dir = dir.path("");
    run(&[&["units", "--output", &dir, "--program", "/bin/true"], more].concat())
}

fn names(dir: &Scratch) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(&dir.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

fn sorted(of: &[&[&str]]) -> Vec<String> {
    let mut names: Vec<String> = of.concat().into_iter().map(str::to_owned).collect();
    names.sort_unstable();
    names
}

#[test]
fn they_are_written_once_and_those_of_another_role_go() {
    let dir = Scratch::new();
    let dry = write(&dir, &["--dry-run"]);
    assert_eq!((dry.ok().lines().count(), names(&dir).len()), (10, 0));
    assert!(write(&dir, &[]).stderr.ends_with(" (10 changed, 0 already so)\n"));
    assert_eq!(names(&dir), sorted(&[&NODE, &CONTROL_PLANE]));
    assert!(write(&dir, &[]).stderr.ends_with(" (0 changed, 10 already so)\n"));
    dir.file("mine.service", "# mine\n");
    fs::write(dir.path("kboot-bridge.service"), "# Made by kboot units, long ago\n").unwrap();
    let done = finish(
        kboot(&["units", "--program", "/bin/true"])
            .env("KBOOT_ROLE", "node")
            .args(["--output", &dir.path("")]),
    );
    assert!(done.stderr.ends_with(" (3 changed, 7 already so)\n"), "{done:?}");
    assert_eq!(names(&dir), sorted(&[&NODE, &["mine.service"]]));
    assert!(write(&dir, &["--remove"]).stderr.ends_with(" (8 changed, 0 already so)\n"));
    assert_eq!(names(&dir), ["mine.service"]);
}

#[test]
fn what_is_not_kboots_stays() {
    let dir = Scratch::new();
    let path = dir.file("kboot-node.target", "[Unit]\nDescription=mine\n");
    let done = write(&dir, &[]);
    let text = format!("kboot units: {path}: is not kboot's: remove it, or --replace");
    assert_eq!(done.error(), (3, text.as_str()));
    assert_eq!(names(&dir), ["kboot-node.target"]);
    write(&dir, &["--remove"]).ok();
    assert!(fs::read_to_string(&path).unwrap().contains("mine"));
    write(&dir, &["--replace"]).ok();
    assert!(!fs::read_to_string(&path).unwrap().contains("mine"));
}

/// A docker that requires what is not there would not start.
#[test]
fn those_that_go_are_disabled_first() {
    let Some(systemctl) = need("systemctl", "docker") else { return };
    let (dir, units) = (Scratch::new(), "etc/systemd/system");
    fs::create_dir_all(dir.path(units)).unwrap();
    let call = |more: &[&str]| {
        run(&[&["units", "--program", "/bin/true", "--output", &dir.path(units)], more].concat())
            .ok()
            .to_owned()
    };
    call(&["--role", "both"]);
    let root = format!("--root={}", dir.path(""));
    let enable = [&root, "enable", "kboot-node.target", "kboot-control-plane.target"];
    assert_eq!(finish(Command::new(systemctl).args(enable)).code, 0);
    let links = || {
        let found = crate::support::tool("find", &[&dir.path(units), "-type", "l", "-printf", "%P\n"]);
        let mut found: Vec<String> = found.lines().map(str::to_owned).collect();
        found.sort_unstable();
        found
    };
    assert!(
        links().contains(&"docker.service.requires/kboot-docker-gate.service".to_owned()),
        "{:?}",
        links()
    );
    call(&["--role", "control-plane"]);
    assert_eq!(links(), ["multi-user.target.wants/kboot-control-plane.target"]);
    call(&["--remove"]);
    assert_eq!(links(), [""; 0]);
}

/// What systemd hears of a step, and of one that a service's script runs: that is not ready by it.
#[test]
fn a_step_says_how_it_ended() {
    let dir = Scratch::new();
    let socket = std::os::unix::net::UnixDatagram::bind(dir.path("notify")).unwrap();
    socket.set_nonblocking(true).unwrap();
    let lease = dir.file(
        "subnet.env",
        "FLANNEL_NETWORK=10.9.0.0/16\nFLANNEL_SUBNET=10.9.7.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n",
    );
    let hear = |script: &str, file: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(crate::support::binary()).args([
            "flannel-env",
            "--env-file",
            file,
        ]);
        finish(
            command
                .args(["--timeout", "0"])
                .env("NOTIFY_SOCKET", dir.path("notify"))
                .env_remove("SYSTEMD_EXEC_PID"),
        );
        let mut message = [0; 500];
        socket.recv(&mut message).ok().map(|n| String::from_utf8_lossy(&message[..n]).into_owned())
    };
    let started = "SYSTEMD_EXEC_PID=$$ exec \"$@\"";
    assert_eq!(hear(started, &lease).as_deref(), Some("READY=1\nSTATUS=lease 10.9.7.1/24"));
    let missing = dir.path("missing");
    let why = format!("STATUS={missing}: is not there yet (flanneld writes it)");
    assert_eq!(hear(started, &missing), Some(why));
    for script in ["\"$@\"; true", "export SYSTEMD_EXEC_PID=$$; \"$@\"; true"] {
        assert_eq!(hear(script, &lease), None, "{script}");
    }
}

/// `systemctl mask` makes a link to /dev/null.
#[test]
fn what_is_masked_stays_masked() {
    let dir = Scratch::new();
    let masked = dir.path("kboot-cni-config.service");
    std::os::unix::fs::symlink("/dev/null", &masked).unwrap();
    for _ in 0..2 {
        write(&dir, &["--replace"]).ok();
        assert_eq!(fs::read_link(&masked).unwrap().to_str(), Some("/dev/null"));
    }
}

#[test]
fn they_are_printed_as_systemctl_cat_does() {
    let done = run(&["units", "--role", "node", "--program", "/opt/kboot"]);
    let heads: Vec<&str> =
        done.ok().lines().filter_map(|l| l.strip_prefix("# /etc/systemd/system/")).collect();
    assert_eq!(heads, NODE);
    assert!(
        done.stdout.contains("\nExecStart=/opt/kboot bridge\n")
            && !done.stdout.lines().any(|l| l.starts_with('@')),
        "{done:?}"
    );
    let own = run(&["units"]);
    assert!(own.ok().contains(&format!("\nExecStart={} register\n", crate::support::binary().display())));
    for (program, why) in
        [("kboot", "a name"), ("/a b", "two words"), ("/%n", "a specifier"), ("/$X", "a variable")]
    {
        assert_eq!(run(&["units", "--program", program]).code, 2, "{why}");
    }
}

/// They may be meant for another host.
#[test]
fn a_program_that_they_could_not_run_is_a_warning() {
    let hidden = "PrivateTmp= hides it from the steps: keep it elsewhere";
    for (program, why) in [
        ("/nosuch/kboot", "is not on this host"),
        ("/tmp/kboot", hidden),
        ("/var/tmp/kboot", hidden),
        ("/etc", "is no program"),
        ("/etc/passwd", "is no program"),
    ] {
        let done = run(&["units", "--role", "node", "--program", program]);
        let warning = format!("kboot units: warning: --program {program}: {why}");
        assert_eq!(done.error(), (0, warning.as_str()));
        assert!(done.stdout.contains(&format!("\nExecStart={program} register\n")));
    }
    assert_eq!(run(&["units", "--program", "/bin/true"]).error(), (0, ""));
    let dir = Scratch::new();
    let remove = ["units", "--output", &dir.path(""), "--remove", "--program", "/nosuch/kboot"];
    assert!(!run(&remove).stderr.contains("warning"));
}

/// Other packages' units as far as they matter here: their order.
const OTHERS: [(&str, &str, &str); 8] = [
    (
        "docker",
        "Wants=network-online.target containerd.service",
        "After=network-online.target containerd.service firewalld.service",
    ),
    ("containerd", "Wants=local-fs.target", "After=network.target local-fs.target"),
    (
        "flanneld",
        "Wants=network-online.target",
        "After=network-online.target network.target etcd.service\nBefore=docker.service",
    ),
    ("nftables", "DefaultDependencies=no", "Wants=network-pre.target\nBefore=network-pre.target"),
    ("netfilter-persistent", "DefaultDependencies=no", "Wants=network-pre.target\nBefore=network-pre.target"),
    ("iptables", "Wants=network-pre.target", "Before=network-pre.target"),
    ("firewalld", "Wants=network-pre.target", "Before=network-pre.target"),
    ("ufw", "DefaultDependencies=no", "Before=network-pre.target"),
];

/// Without a warning: those of other packages being absent, and enabled among them. A cycle would be seen.
#[test]
fn systemd_takes_them() {
    let Some(analyze) = need("systemd-analyze", "docker") else { return };
    let dir = Scratch::new();
    write(&dir, &[]).ok();
    let mut files: Vec<String> = sorted(&[&NODE, &CONTROL_PLANE]).into_iter().map(|n| dir.path(&n)).collect();
    let verify = |files: &[String]| {
        let done = finish(Command::new(&analyze).arg("verify").args(files));
        (done.code, done.stdout + &done.stderr)
    };
    assert_eq!(verify(&files), (0, String::new()));
    for (name, wants, order) in OTHERS {
        let text = format!("[Unit]\n{wants}\n{order}\n[Service]\nExecStart=/bin/true\n");
        files.push(dir.file(&format!("{name}.service"), text));
    }
    for link in [
        "docker.service.requires/kboot-docker-gate",
        "docker.service.requires/flanneld",
        "nftables.service.wants/kboot-bridge",
    ] {
        let (path, name) = (dir.path(&format!("{link}.service")), link.split('/').nth(1).unwrap());
        fs::create_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(format!("../{name}.service"), path).unwrap();
    }
    assert_eq!(verify(&files), (0, String::new()));
    fs::create_dir(dir.path("flanneld.service.d")).unwrap();
    dir.file("flanneld.service.d/after.conf", "[Unit]\nAfter=docker.service\n");
    let (code, said) = verify(&files);
    assert!(code != 0 && said.contains("ordering cycle"), "{said}");
}

/// systemd's own measure of what a service could do if it were taken over, from 0 to 10.
#[test]
fn each_step_can_do_little_else() {
    let Some(analyze) = need("systemd-analyze", "docker") else { return };
    let dir = Scratch::new();
    write(&dir, &[]).ok();
    for name in NODE.iter().chain(&CONTROL_PLANE).filter(|n| n.ends_with(".service")) {
        let most = match *name {
            // It becomes the kubelet, which does anything.
            "kboot-kubelet-launch.service" => continue,
            "kboot-bridge.service" => 38,
            "kboot-docker-flags.service"
            | "kboot-docker-gate.service"
            | "kboot-cni-config.service"
            | "kboot-register.service" => 30,
            _ => 28,
        };
        let mut command = Command::new(&analyze);
        command.args(["security", "--offline=yes", "--no-pager", &format!("--threshold={most}")]);
        let done = finish(command.arg(dir.path(name)));
        let overall = done.stdout.lines().last().unwrap_or_default();
        eprintln!("{}", overall.trim_start_matches("→ "));
        assert_eq!(done.code, 0, "{overall}");
    }
}

/// All values of a directive in a unit, as systemd puts them together.
fn values(name: &str, directive: &str) -> Vec<String> {
    let done = run(&["units", "--program", "/bin/true"]);
    let text = done
        .ok()
        .split("# /etc/systemd/system/")
        .find(|t| t.starts_with(name))
        .unwrap_or_else(|| panic!("{name}"));
    let lines = text.lines().filter_map(|l| l.strip_prefix(directive)?.strip_prefix('='));
    lines.flat_map(|l| l.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// An API server that is a pod of this host's comes up by the kubelet.
#[test]
fn the_kubelet_does_not_wait_for_the_node() {
    let after = |name: &str| values(&format!("kboot-{name}.service"), "After");
    assert!(after("register").contains(&"kboot-kubelet-launch.service".to_owned()));
    assert!(after("kubelet-launch").contains(&"kboot-bridge.service".to_owned()));
    assert!(!after("kubelet-launch").contains(&"kboot-register.service".to_owned()));
}

/// KBOOT_SUBNET in /etc/default/kboot is in a lease's place for all that come after it in order, too.
#[test]
fn the_leases_step_takes_a_fixed_subnet() {
    let words = values("kboot-flannel-env.service", "ExecStart");
    let host = Host::new();
    let words: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    let mut command = host.command(binary(), &words);
    command.envs([("KBOOT_SUBNET", "10.10.48.1/24"), ("KBOOT_MTU", "1450"), ("KBOOT_TIMEOUT", "0")]);
    assert!(finish(&mut command).ok().starts_with("FLANNEL_SUBNET=10.10.48.1/24\n"));
    assert_eq!(finish(command.env("KBOOT_SUBNET", "")).code, 75);
}

/// With the rights that its unit leaves to root, the gate edits a daemon.json of a group's, and leaves it to that:
/// else docker would not start any more.
#[test]
fn docker_is_not_held_back_by_whose_its_file_is() {
    let Some(setpriv) = need("setpriv", "tools").filter(|_| root_user()) else { return };
    let host = Host::new();
    host.sh("mkdir /run/docker && echo '{}' >/run/docker/daemon.json && \
             chown 65534:42 /run/docker /run/docker/daemon.json && chmod 664 /run/docker/daemon.json && chmod 755 /run/docker && \
             ip link add br7 type bridge && ip addr add 10.71.7.1/24 dev br7 && ip link set br7 up");
    let capabilities = values("kboot-docker-gate.service", "CapabilityBoundingSet");
    let keep: Vec<String> =
        capabilities.iter().map(|c| format!("+{}", c.strip_prefix("CAP_").unwrap().to_lowercase())).collect();
    let bounds = format!("--bounding-set=-all,{}", keep.join(","));
    let mut command = host.command(setpriv, &[bounds.as_str(), "--inh-caps=-all", "--"]);
    command.arg(binary()).args([
        "docker-flags",
        "--subnet",
        "10.71.7.1/24",
        "--mtu",
        "1450",
        "--no-conflict-check",
    ]);
    for (name, value) in [("BRIDGE", "br7"), ("DOCKER_FLAGS_FORMAT", "daemon-json")] {
        command.env(format!("KBOOT_{name}"), value);
    }
    let done = finish(command.args(["--output", "/run/docker/daemon.json", "--docker-version", "20.10.24"]));
    assert_eq!(done.code, 0, "{done:?}");
    assert!(host.sh("cat /run/docker/daemon.json").contains("\"br7\""));
    assert_eq!(host.sh("stat -c '%u:%g %a' /run/docker/daemon.json"), "65534:42 664\n");
}

//! kubelet-launch --check, the runtime: whether it answers, how it is set up, and the room it has.

use crate::support::cgroup::CGROUPFS;
use crate::support::docker::{self, Dockerd};
use crate::support::preflight::{Fit, check, lines, socket};

const V2: &str = "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]";
const V3: &str = "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]";

/// A shell line that puts files into a directory.
fn files(directory: &str, files: &[(&str, &str)]) -> String {
    let each = files
        .iter()
        .map(|(name, text)| format!("mkdir -p $(dirname {name})\ncat >{name} <<'END'\n{text}\nEND\n"));
    format!("mount -t tmpfs tmpfs {directory}\ncd {directory}\n{}", each.collect::<String>())
}

fn driver(name: &str) -> String {
    format!("ok cgroup-driver {name}")
}

#[test]
fn containerds_driver_by_its_files() {
    let Some(fit) = Fit::new() else { return };
    let on = |table: &str| format!("{table}\n  SystemdCgroup = true # systemd's");
    let imports = |list: &str| format!("version = 2\nimports = {list}\n");
    let nothing = String::new;
    for (main, more, want) in [
        (on(V2), ("x", nothing()), driver("systemd")),
        (format!("version = 3\n{}", on(V3)), ("x", nothing()), driver("systemd")),
        ("[plugins.cri]\nsystemd_cgroup = true".into(), ("x", nothing()), driver("systemd")),
        (imports("[\"/etc/containerd/conf.d/*.toml\"]"), ("conf.d/a.toml", on(V2)), driver("systemd")),
        (imports("['conf.d/a.toml']"), ("conf.d/a.toml", on(V2)), driver("systemd")),
        (imports("[\n  '/no/such', # none\n  '/etc/containerd/*.conf'\n]"), ("a.conf", on(V2)), driver("systemd")),
        // Nothing else than where all is well: cgroupfs.
        (imports("['*.toml']"), ("a.conf", on(V2)), nothing()),
        (format!("{}{}", imports("['a']"), on(V2)), ("a", format!("{V2}\nSystemdCgroup = false")), nothing()),
        (on(&V2.replace("runc", "kata")), ("x", nothing()), nothing()),
        (on(&V2.replace("runc", "runc-fast")), ("x", nothing()), nothing()),
        (format!("#{}", on(V2)), ("x", nothing()), nothing()),
        ("disabled_plugins = []".into(), ("x", nothing()), nothing()),
        (
            "disabled_plugins = [\"cri\"]".into(),
            ("x", nothing()),
            "blocker runtime unix:///run/containerd/containerd.sock: disabled_plugins in \
             /etc/containerd/config.toml has cri: the kubelet ends where the socket knows no CRI: take it out and \
             restart containerd (docker's packages put it there)"
                .into(),
        ),
    ] {
        let how = files("/etc/containerd", &[("config.toml", &main), (more.0, &more.1)]);
        let want: Vec<String> = [want].into_iter().filter(|w| !w.is_empty()).collect();
        assert_eq!(fit.differs("1.30", &how, ""), want, "{main} {more:?}");
    }
    let both = files("/etc/containerd", &[("config.toml", &on(V2))]);
    assert_eq!(
        fit.differs("1.31", &both, "-- --cgroup-driver=cgroupfs"),
        [
            "warning cgroup-driver the runtime uses systemd, the kubelet is told cgroupfs: no pod starts where the \
             runtime does not tell (containerd before 2.0, CRI-O before 1.28): leave --cgroup-driver out: kboot \
             gives the runtime's"
        ]
    );
    assert_eq!(
        fit.differs("1.30", &both, "-- --cgroup-driver=cgroupfs"),
        [
            "blocker cgroup-driver the runtime uses systemd, the kubelet is told cgroupfs: no pod starts, or docker's \
          are killed: leave --cgroup-driver out: kboot gives the runtime's"
        ]
    );
    assert_eq!(
        fit.differs("1.30", "mount -t tmpfs tmpfs /run/systemd; mkdir /run/systemd/system", ""),
        [
            "warning cgroup-driver cgroupfs, beside systemd as init: two managers of one tree: under pressure the node \
          becomes unstable: docker: native.cgroupdriver=systemd; containerd: SystemdCgroup = true"
        ]
    );
}

/// docker's own containerd, and cri-dockerd in front of docker.
#[test]
fn a_containerd_without_cri_is_passed_over() {
    let Some(fit) = Fit::new() else { return };
    let _cri_dockerd = socket(&fit, "/run/cri-dockerd.sock");
    let off = files("/etc/containerd", &[("config.toml", "disabled_plugins = ['cri']")]);
    let words = "--subnet 10.20.7.1/24 --kubelet-version 1.30";
    for (how, url) in [("", "/run/containerd/containerd.sock"), (&*off, "/run/cri-dockerd.sock")] {
        let table = fit.table(how, words);
        assert!(table.contains(&format!("ok runtime unix://{url} answers")), "{table:?}");
    }
}

#[test]
fn crios_driver_by_its_files() {
    let Some(fit) = Fit::new() else { return };
    let _crio = socket(&fit, "/run/crio/crio.sock");
    let words = "--subnet 10.20.7.1/24 --kubelet-version 1.30 --runtime /run/crio/crio.sock";
    let manager = |quoted: &str| format!("[crio.runtime]\ncgroup_manager = {quoted}");
    let (cgroupfs, systemd) = (manager("\"cgroupfs\""), manager("\"systemd\""));
    for (list, want) in [
        (&[][..], "systemd"),
        (&[("crio.conf", &*cgroupfs)], "cgroupfs"),
        (&[("crio.conf", &manager("'cgroupfs'"))], "cgroupfs"),
        (&[("crio.conf", &cgroupfs), ("crio.conf.d/10-a.conf", &systemd)], "systemd"),
        (&[("crio.conf.d/10-a.conf", &systemd), ("crio.conf.d/20-b.conf", &cgroupfs)], "cgroupfs"),
    ] {
        let table = fit.table(&files("/etc/crio", list), words);
        assert!(table.contains(&driver(want)), "{list:?} {table:?}");
        assert!(table.contains(&"ok runtime unix:///run/crio/crio.sock answers".into()), "{table:?}");
    }
    let other = fit.table("", &words.replace("crio/crio", "containerd/other"));
    assert!(other.contains(&driver("the runtime does not say: the kubelet's own default")), "{other:?}");
}

#[test]
fn a_runtime_that_does_not_answer() {
    let Some(fit) = Fit::new() else { return };
    let advice = "the kubelet ends without it: start it, or name another with --runtime";
    let url = "unix:///run/containerd/containerd.sock";
    for (how, why) in [
        ("mount -t tmpfs tmpfs /run/containerd", "is not there"),
        (
            "mount -t tmpfs tmpfs /run/containerd; timeout 1 socat UNIX-LISTEN:/run/containerd/containerd.sock,unlink-close=0 /dev/null & wait $! || :",
            "nobody listens there",
        ),
    ] {
        let words = &format!("--runtime {url}");
        assert_eq!(fit.differs("1.30", how, words), [format!("blocker runtime {url}: {why}: {advice}")]);
    }
    let docker = fit.table("", "--subnet 10.20.7.1/24 --kubelet-version 1.20 --runtime docker");
    let gone =
        format!("blocker runtime docker at unix:///var/run/docker.sock: No such file or directory: {advice}");
    assert!(docker.contains(&gone), "{docker:?}");
}

/// Neither a look nor a launch waits for what that kubelet cannot use.
#[test]
fn a_runtime_that_the_version_does_not_know() {
    let Some(fit) = Fit::new() else { return };
    for (version, runtime, why) in [
        (
            "1.24",
            "docker",
            "--runtime docker: kubelet 1.24 has no docker client (gone in 1.24): give a CRI socket",
        ),
        ("1.4", "/run/x.sock", "--runtime: kubelet 1.4 knows docker only (CRI came in 1.5)"),
    ] {
        for more in ["--check", "--dry-run", "--kubelet /bin/true"] {
            let words =
                format!("{more} --subnet 10.20.7.1/24 --kubelet-version {version} --runtime {runtime}");
            let done = fit.after("", &words);
            assert!(done.code == 2 && done.stdout.is_empty(), "{done:?}");
            assert!(done.stderr.ends_with(&format!("kboot kubelet-launch: {why}\n")), "{done:?}");
        }
    }
}

#[test]
fn room() {
    let Some(fit) = Fit::new() else { return };
    let mount = |at: &str, options: &str, fill: &str| {
        format!("mount -t tmpfs -o {options} tmpfs /var/lib/{at}; cd /var/lib/{at}; {fill}")
    };
    let why = "the kubelet reports DiskPressure, evicts pods and takes no new ones";
    let files = "for i in $(seq 96); do touch $i; done";
    for (how, want) in [
        (
            mount("kubelet", "size=32m", ":"),
            "blocker disk /var/lib/kubelet: 32 MiB are free: the kubelet cannot write its state: make room"
                .into(),
        ),
        (
            mount("kubelet", "size=100m,nr_inodes=100", files),
            format!(
                "warning disk /var/lib/kubelet: 3 % of the inodes are free, less than 5 %: {why}: remove files"
            ),
        ),
        (
            // Where images are the kubelet makes room itself, however little there is.
            mount("containerd", "size=10m", "fallocate -l 9m images"),
            format!(
                "warning disk /var/lib/containerd: 10 % are free, less than 15 %: {why}: make room (docker system \
                 prune, crictl rmi --prune)"
            ),
        ),
        (
            mount("containerd", "size=100m", "fallocate -l 40m images"),
            "ok disk /var/lib/kubelet: 100 % free, /var/lib/containerd: 60 % free".into(),
        ),
    ] {
        assert_eq!(fit.differs("1.30", &how, ""), [want], "{how}");
    }
    let elsewhere = mount("kubelet", "size=32m", "mkdir -p /var/lib/own");
    assert_eq!(
        fit.differs("1.30", &elsewhere, "-- --root-dir /var/lib/own/not/yet"),
        ["ok disk /var/lib/own/not/yet: 100 % free, /var/lib/containerd: 100 % free"]
    );
}

/// The real dockerd says itself what it uses, and where it keeps things.
#[test]
fn docker_is_asked() {
    let Some(host) = docker::host(false) else { return };
    host.sh("mkdir /var/lib/images");
    let dockerd = Dockerd::start(
        &host,
        &[CGROUPFS, "--bridge=none", "--iptables=false", "--data-root=/var/lib/images"],
    );
    let told = dockerd.get("/info")["CgroupDriver"].as_str().unwrap().to_owned();
    let done = host.kboot(&["kubelet-launch", "--check", "--json", "--kubelet-version", "1.20"]);
    let all = lines(&done.json());
    assert!(all.contains(&driver(&told)), "{all:?}");
    assert!(all.contains(&"ok runtime docker at unix:///var/run/docker.sock answers".into()), "{all:?}");
    assert!(all.iter().any(|l| check(l) == "disk" && l.contains("/var/lib/images")), "{all:?}");
    let other = if told == "systemd" { "cgroupfs" } else { "systemd" };
    let flag = format!("--cgroup-driver={other}");
    let done = host.kboot(&["kubelet-launch", "--check", "--kubelet-version", "1.20", "--", &flag]);
    let line = format!("the runtime uses {told}, the kubelet is told {other}: ");
    assert!(done.code == 3 && done.stdout.contains(&line), "{done:?}");
}

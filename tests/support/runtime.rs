//! What a kubelet runs its pods with on a throw-away host: a real dockerd on kboot's bridge, or a real
//! containerd with its CRI; two images that are busybox alone.

use std::path::Path;
use std::process::Stdio;

use super::cgroup::CGROUPFS;
use super::docker::{self, Dockerd};
use super::host::Host;
use super::{Process, finish, need, skip, until};

/// What holds a pod's namespaces.
pub const PAUSE: &str = "kboot.test/pause:1";

/// As `docker save` writes them. They stop at once.
const IMAGES: &str = r#"mkdir -p /run/images/bin && cd /run/images && cp $(command -v busybox) bin/ && \
    tar -c bin >layer.tar && sum=$(sha256sum layer.tar) && \
    printf '{"architecture":"amd64","os":"linux","config":{"Cmd":["/bin/busybox","sleep","infinity"],
        "StopSignal":"SIGKILL"},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' ${sum%% *} >config.json && \
    printf '[{"Config":"config.json","RepoTags":["kboot.test/pause:1","kboot.test/busybox:1"],
        "Layers":["layer.tar"]}]' >manifest.json && \
    tar -c manifest.json config.json layer.tar >images.tar"#;

/// A stand-in for runc, which goes on as the real one: a machine that gives no CAP_SYS_RESOURCE lets
/// nobody be less likely to be killed than their parent, and the kubelet asks for that.
const RUNC: &str = "for word; do
    [ \"$last\" != --bundle ] || sed -i 's/\"oomScoreAdj\":-[0-9]*/\"oomScoreAdj\":0/' \"$word/config.json\"
    last=$word
done
exec runc \"$@\"";

/// dockerd as docker-flags has it.
pub fn dockerd(host: &Host) -> Dockerd<'_> {
    docker::script(host, "/run/runc", RUNC);
    let printed = host.kboot(&["docker-flags", "--bridge", "cbr0"]);
    let more = ["--add-runtime=any=/run/runc", "--default-runtime=any", CGROUPFS];
    let words: Vec<&str> = printed.ok().split_whitespace().chain(more).collect();
    let dockerd = Dockerd::start(host, &words);
    host.sh(&format!("{IMAGES} && docker load -i images.tar"));
    dockerd
}

/// containerd's CRI with the settings that it cannot do without here; the last of them is as [`RUNC`].
const CONTAINERD: &str = r#"
version = 2
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "kboot.test/pause:1"
restrict_oom_score_adj = true
cni.bin_dir = "/usr/lib/cni"
"#;

/// containerd at its default socket; its shims end with the host. `None` when it or the plugins of CNI are
/// not here.
pub fn containerd(host: &Host) -> Option<Process> {
    need("containerd", "docker")?;
    if !Path::new("/usr/lib/cni/bridge").exists() {
        skip("needs /usr/lib/cni/bridge (scripts/peers cni)");
        return None;
    }
    host.sh(&format!("mkdir /etc/containerd && cat >/etc/containerd/config.toml <<'END'{CONTAINERD}END"));
    let mut command = host.command("setpriv", &["--pdeathsig", "KILL", "--", "containerd"]);
    let process = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until("containerd answers", || finish(&mut host.command("ctr", &["version"])).code == 0);
    host.sh(&format!("{IMAGES} && ctr -n k8s.io images import images.tar"));
    Some(process)
}

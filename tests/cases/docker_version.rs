//! docker-flags: docker's version, given, or asked of the dockerd in PATH.

use serde_json::{Value, json};

use crate::support::docker::{self, script};

const FLAGS: &str = "--bridge=cbr0 --iptables=false --ip-masq=false --mtu=1422";

#[test]
fn the_version_decides() {
    let Some(host) = docker::host(false) else { return };
    let get = |args: &str| host.kboot(&args.split(' ').collect::<Vec<_>>());
    let old = get("docker-flags --bridge cbr0 --docker-version 1.2.0");
    assert_eq!(old.ok(), "--bridge=cbr0 --iptables=false --mtu=1422\n");
    let json = get("docker-flags --bridge cbr0 --docker-version 1.9.1 --format daemon-json");
    let why = "kboot docker-flags: --format daemon-json: docker reads a daemon.json since 1.10 only";
    assert_eq!(json.error(), (2, why));
    let option = "--default-network-opt=bridge=com.docker.network.driver.mtu=1422";
    let new = get("docker-flags --bridge cbr0 --docker-version 28.2.1");
    assert_eq!(new.ok(), format!("{FLAGS} {option}\n"));
    let bip =
        "--bip=10.4.9.1/24 --ip-masq=true --ip-forward-no-drop=true --allow-direct-routing=true --mtu=1422";
    let new = get("docker-flags --bip --docker-version 28.2.1");
    assert_eq!(new.ok(), format!("{bip} {option}\n"));
    assert!(new.stderr.contains("moby#49792"), "{new:?}");
    let new: Value = get("docker-flags --bridge cbr0 --docker-version 28.2.1 --format daemon-json").json();
    assert_eq!(new["default-network-opts"], json!({"bridge": {"com.docker.network.driver.mtu": "1422"}}));
}

/// A stand-in for dockerd that writes a line for each call, and says what the real one says.
#[test]
fn the_version_is_asked_once() {
    let Some(host) = docker::host(false) else { return };
    script(&host, "/run/bin/dockerd", "echo \"$@\" >>/run/calls; exec /usr/sbin/dockerd \"$@\"");
    let path = "/run/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let get = || host.kboot_with_path(path, &["docker-flags", "--bridge", "cbr0"]);
    for _ in 0..2 {
        assert_eq!(get().ok(), format!("{FLAGS}\n"));
        assert_eq!(host.sh("cat /run/calls"), "--version\n");
    }
    let record: Value = serde_json::from_str(&host.sh("cat /run/kboot/dockerd-version.json")).unwrap();
    assert_eq!(record["said"], host.sh("dockerd --version").trim_end());
    // Another file is another dockerd.
    script(&host, "/run/bin/dockerd", "echo \"$@\" >>/run/calls; echo Docker version 28.2.1, build 1");
    assert!(get().ok().contains("--default-network-opt="), "{:?}", get());
    assert_eq!(host.sh("cat /run/calls"), "--version\n--version\n");
    // It is not needed where the version is given, and one that breaks does not stop kboot.
    script(&host, "/run/bin/dockerd", "echo \"$@\" >>/run/calls; exit 1");
    let given =
        host.kboot_with_path(path, &["docker-flags", "--bridge", "cbr0", "--docker-version", "20.10.24"]);
    assert_eq!(given.ok(), format!("{FLAGS}\n"));
    assert_eq!(host.sh("wc -l </run/calls"), "2\n");
    let broken = get();
    assert_eq!(broken.ok(), format!("{FLAGS}\n"));
    assert!(broken.stderr.contains("docker's version is not known"), "{broken:?}");
}

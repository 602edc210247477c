//! docker-flags on hosts with units of many kinds: what systemd would start is what is judged.

use crate::support::host::Host;
use crate::support::{Done, need, root_user};

const DROP_INS: &str = "/etc/systemd/system/docker.service.d";

/// A host with a docker.service of its own; nothing of the machine's /etc is touched.
fn host(exec_start: &str) -> Option<Host> {
    need("dockerd", "docker")?;
    if !root_user() {
        return None;
    }
    let host = Host::new();
    for dir in ["/etc/systemd", "/etc/default", "/etc/docker"] {
        host.sh(&format!("mkdir -p {dir}; mount -t tmpfs tmpfs {dir}"));
    }
    host.sh(&format!("mkdir -p {DROP_INS}"));
    write(&host, "/etc/systemd/system/docker.service", &format!("[Service]\n{exec_start}\n"));
    host.sh("mkdir /run/flannel");
    write(
        &host,
        "/run/flannel/subnet.env",
        "FLANNEL_SUBNET=10.4.9.1/24\nFLANNEL_MTU=1422\nFLANNEL_IPMASQ=true\n",
    );
    Some(host)
}

fn write(host: &Host, path: &str, text: &str) {
    host.sh(&format!("printf '%s' '{}' >{path}", text.replace('\'', "'\\''")));
}

fn flags(host: &Host, args: &str) -> Done {
    let args: Vec<&str> = args.split_whitespace().collect();
    host.kboot(&[&["docker-flags"], &args[..]].concat())
}

fn last(done: &Done) -> &str {
    done.stderr.lines().last().unwrap_or_default().trim_start_matches("kboot docker-flags: ")
}

const DOCKER_CE: &str = "ExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock";

#[test]
fn a_drop_in_that_another_overrules_is_refused() {
    let Some(host) = host(DOCKER_CE) else { return };
    write(
        &host,
        &format!("{DROP_INS}/override.conf"),
        "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd://\n",
    );
    let done = flags(&host, &format!("--bip --format systemd --output {DROP_INS}/90-kboot.conf"));
    let says = format!(
        "{DROP_INS}/override.conf overrules the drop-in: give kboot's a name that sorts after all others (zz-kboot.conf)"
    );
    assert_eq!((done.code, last(&done)), (3, says.as_str()));
    assert_eq!(host.sh(&format!("ls {DROP_INS}")), "override.conf\n");
    // The same from within the directory, by a relative path; then one that sorts last.
    let relative = host.sh(&format!(
        "cd {DROP_INS} && {} docker-flags --bip --format systemd -o 90-kboot.conf 2>&1; echo $?",
        crate::support::binary().display()
    ));
    assert!(relative.ends_with("(zz-kboot.conf)\n3\n"), "{relative}");
    let done = flags(&host, &format!("--bip --format systemd --output {DROP_INS}/zz-kboot.conf"));
    assert_eq!(done.code, 0, "{done:?}");
    let text = host.sh(&format!("cat {DROP_INS}/zz-kboot.conf"));
    assert!(
        text.ends_with(
            "ExecStart=\nExecStart=/usr/bin/dockerd -H fd:// --bip=10.4.9.1/24 --ip-masq=false --mtu=1422\n"
        ),
        "{text}"
    );
}

#[test]
fn what_gives_way_is_told_in_every_form() {
    let Some(host) = host("ExecStart=/usr/bin/dockerd --bridge=foo --mtu=9000 --label=a=b") else { return };
    let done = flags(&host, &format!("--bip --format systemd --output {DROP_INS}/zz-kboot.conf"));
    assert!(
        done.code == 0 && done.stderr.contains("warning: --bridge=foo makes room for --bip=10.4.9.1/24"),
        "{done:?}"
    );
    assert!(
        host.sh(&format!("cat {DROP_INS}/zz-kboot.conf"))
            .contains("ExecStart=/usr/bin/dockerd --label=a=b --bip=")
    );
    host.sh(&format!(
        "rm {DROP_INS}/*; echo '[Service]\nExecStart=/usr/bin/dockerd' >/etc/systemd/system/docker.service"
    ));
    write(&host, "/etc/docker/daemon.json", r#"{"iptables":false,"mtu":9000,"debug":true}"#);
    let done =
        flags(&host, "--bip --subnet 10.4.9.1/24 --format daemon-json --output /etc/docker/daemon.json");
    assert!(done.code == 0 && done.stderr.contains("warning: iptables false makes room"), "{done:?}");
    let text = host.sh("cat /etc/docker/daemon.json");
    assert!(
        text.contains("\"mtu\": 9000") && text.contains("\"debug\": true"),
        "an unknown MTU is no reason: {text}"
    );
}

#[test]
fn units_that_cannot_be_seen_through() {
    let Some(host) = host("ExecStart=/bin/sh -c \"exec dockerd -b br0 $DOCKER_OPTS\"") else { return };
    let drop_in = format!("--bip --format systemd --output {DROP_INS}/zz-kboot.conf");
    let done = flags(&host, &drop_in);
    assert_eq!(done.code, 3, "{done:?}");
    assert!(last(&done).ends_with("does not start dockerd itself"), "{done:?}");
    host.sh("rm /etc/systemd/system/docker.service; ln -s /dev/null /etc/systemd/system/docker.service");
    let done = flags(&host, &drop_in);
    assert_eq!((done.code, last(&done)), (3, "docker.service is masked: systemctl unmask docker"));
    host.sh("rm /etc/systemd/system/docker.service");
    write(
        &host,
        "/etc/systemd/system/docker.service",
        "[Service]\nEnvironmentFile=-/etc/default/dock*\nExecStart=/usr/bin/dockerd $DOCKER_OPTS\n",
    );
    let done = flags(&host, &drop_in);
    assert_eq!(last(&done), "docker.service: EnvironmentFile=/etc/default/dock*: write the path out");
    write(
        &host,
        "/etc/systemd/system/docker.service",
        "[Service]\nEnvironmentFile=-/etc/default/%p\nExecStart=/usr/bin/dockerd $DOCKER_OPTS\n",
    );
    write(&host, "/etc/default/docker", "DOCKER_OPTS=\"--debug\n --label=a=b\"\n");
    let done = flags(&host, &drop_in);
    assert_eq!(
        last(&done),
        "/etc/default/docker: line 1: write the value on one line, in one pair of quotes"
    );
    write(&host, "/etc/default/docker", "DOCKER_OPTS=\"--debug\"\n");
    // A masked drop-in counts as none; one for all services counts.
    host.sh(&format!("ln -s /dev/null {DROP_INS}/masked.conf; mkdir /etc/systemd/system/service.d"));
    write(&host, "/etc/systemd/system/service.d/all.conf", "[Service]\nEnvironment=DOCKER_OPTS=--raw-logs\n");
    assert_eq!(flags(&host, &drop_in).code, 0);
    assert!(host.sh(&format!("cat {DROP_INS}/zz-kboot.env")).contains("DOCKER_OPTS=\"--debug --bip="));
}

#[test]
fn settings_that_would_keep_docker_down() {
    let Some(host) = host(DOCKER_CE) else { return };
    let json = "--format daemon-json --output /etc/docker/daemon.json";
    for (text, says) in [
        (
            r#"{"default-gateway":"10.1.1.1"}"#,
            "/etc/docker/daemon.json: default-gateway 10.1.1.1 is not in the lease 10.4.9.0/24: take it out",
        ),
        (
            r#"{"fixed-cidr":"10.1.1.0/24"}"#,
            "/etc/docker/daemon.json: fixed-cidr 10.1.1.0/24 is not in the lease 10.4.9.0/24: take it out",
        ),
    ] {
        write(&host, "/etc/docker/daemon.json", text);
        let done = flags(&host, &format!("--bip {json}"));
        assert_eq!((done.code, last(&done)), (3, says));
        assert_eq!(host.sh("cat /etc/docker/daemon.json"), text);
    }
    host.sh(": >/etc/docker/daemon.json");
    let done = flags(&host, "--bip");
    assert_eq!(
        (done.code, last(&done)),
        (3, "/etc/docker/daemon.json: is empty: docker 20.10.24 does not start with it")
    );
    for (args, says) in [
        (
            "--bip --format env --output /etc/docker/daemon.json",
            "--output /etc/docker/daemon.json: holds JSON: --format daemon-json",
        ),
        (
            "--bip --format daemon-json --output /etc/default/docker",
            "--output /etc/default/docker: holds no JSON: /etc/docker/daemon.json does",
        ),
        ("--bip --output /etc/default/docker", "--output /etc/default/docker: holds variables: --format env"),
        (
            "--bip --registry-mirror https://m.example/v2",
            "--registry-mirror https://m.example/v2: is no https://HOST[:PORT]",
        ),
        (
            "--bip --registry-mirror http://m/$(reboot)",
            "--registry-mirror http://m/$(reboot): is no https://HOST[:PORT]",
        ),
    ] {
        let done = flags(&host, args);
        assert_eq!((done.code, last(&done)), (2, says), "{args}");
    }
    // The bridge that is named: warned of, and no reason to take a docker down that runs.
    let done = flags(&host, &format!("--bridge cbr0 {json}"));
    assert!(
        done.stderr
            .contains("warning: cbr0 is not there: dockerd does not start without it: kboot bridge makes it"),
        "{done:?}"
    );
    host.sh("mkdir -p /run/systemd/system");
    let done = flags(&host, &format!("--bridge cbr0 {json} --restart systemd"));
    assert_eq!(
        (done.code, last(&done)),
        (3, "cbr0 is not there: dockerd does not start without it: kboot bridge makes it")
    );
    let done = flags(&host, "--bip --format env --output /etc/default/docker --restart systemd");
    assert_eq!(
        (done.code, last(&done)),
        (
            3,
            "docker.service does not read /etc/default/docker: --format systemd does it: a restart would change nothing"
        )
    );
}

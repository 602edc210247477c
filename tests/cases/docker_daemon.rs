//! docker-flags and a real dockerd: the four forms, IPv6, mirrors, what it refuses; read back by its API.

use serde_json::json;

use crate::support::docker::{self, Dockerd, lease, refusal};
use crate::support::host::Host;
use crate::support::{Done, need};

const FLAGS: &str = "--bridge=cbr0 --iptables=false --ip-masq=false --mtu=1422";
const DROP_IN: &str = "/etc/systemd/system/docker.service.d/90-kboot.conf";

/// A host with a lease and kboot's bridge.
fn host_with_bridge() -> Option<Host> {
    let host = docker::host(false)?;
    assert_eq!(host.kboot(&["bridge"]).code, 0);
    Some(host)
}

/// docker-flags --bridge cbr0 with more options.
fn flags(host: &Host, more: &str) -> Done {
    let args: Vec<&str> = "docker-flags --bridge cbr0".split(' ').chain(more.split_whitespace()).collect();
    host.kboot(&args)
}

/// The default network is on kboot's bridge, and docker has added nothing to the nat table.
fn is_on_kboots_bridge(host: &Host, dockerd: &Dockerd<'_>) {
    let shown = ("cbr0".into(), "1422".into(), "false".into(), vec!["10.4.9.0/24".into()]);
    assert_eq!(dockerd.network(), shown);
    let rules = host.sh("iptables -t nat -S");
    let others: Vec<&str> =
        rules.lines().filter(|l| !l.starts_with("-P ") && !l.contains("KBOOT-cbr0")).collect();
    assert_eq!(others, Vec::<&str>::new());
    assert!(host.ip("link show cbr0")[0]["flags"].as_array().unwrap().contains(&"UP".into()));
    assert_eq!(host.sh("ip -br link | grep -c docker0 || true"), "0\n");
}

#[test]
fn flags_on_the_command_line() {
    let Some(host) = host_with_bridge() else { return };
    let printed = flags(&host, "");
    let words: Vec<&str> = printed.ok().split_whitespace().collect();
    assert_eq!(words.join(" "), FLAGS);
    is_on_kboots_bridge(&host, &Dockerd::start(&host, &words));
}

/// dash reads the file, as Debian's init script does.
#[test]
fn a_variable_in_the_default_file() {
    let Some(host) = host_with_bridge() else { return };
    host.sh("printf '# Debian\nDOCKER_OPTS=\"--label=a=b --bip=10.9.9.1/24\"\nX=1\n' >/etc/default/docker");
    let done = flags(&host, "--format env --output /etc/default/docker");
    assert!(done.stderr.contains("--bip=10.9.9.1/24 makes room for --bridge=cbr0"), "{done:?}");
    assert_eq!(
        host.sh("cat /etc/default/docker"),
        format!("# Debian\nDOCKER_OPTS=\"--label=a=b {FLAGS}\"\nX=1\n")
    );
    let dockerd = Dockerd::by_shell(&host, ". /etc/default/docker && exec dockerd $DOCKER_OPTS");
    is_on_kboots_bridge(&host, &dockerd);
    assert_eq!(dockerd.get("/info")["Labels"], json!(["a=b"]));
}

#[test]
fn keys_of_daemon_json_beside_others() {
    let Some(host) = host_with_bridge() else { return };
    let old = "{\n  \"log-level\": \"warn\",\n  \"mtu\": 1500,\n  \"labels\": [\"a=b\",\n    \"c=d\"],\n  \
               \"bip\": \"10.1.1.1/24\",\n  \"dns\": [\"192.0.2.53\"]\n}\n";
    host.sh(&format!("printf '%s' '{old}' >/etc/docker/daemon.json"));
    let args = "--format daemon-json --output /etc/docker/daemon.json";
    assert_eq!(flags(&host, args).code, 0);
    let new = "{\n  \"log-level\": \"warn\",\n  \"mtu\": 1422,\n  \"labels\": [\"a=b\",\n    \"c=d\"],\n  \
               \"dns\": [\"192.0.2.53\"],\n  \"bridge\": \"cbr0\",\n  \"iptables\": false,\n  \
               \"ip-masq\": false\n}\n";
    assert_eq!(host.sh("cat /etc/docker/daemon.json"), new);
    assert!(flags(&host, args).stderr.ends_with("(0 changed, 1 already so)\n"));
    let dockerd = Dockerd::start::<&str>(&host, &[]);
    is_on_kboots_bridge(&host, &dockerd);
    // dockerd shows them in any order.
    let labels = dockerd.get("/info")["Labels"].as_array().unwrap().clone();
    assert!(labels.len() == 2 && labels.contains(&json!("a=b")) && labels.contains(&json!("c=d")));
}

/// What systemd itself (`--test`, which starts nothing) makes of docker.service: the files of variables,
/// and the command line with its variables not put in yet. It does not want to be root for that.
fn as_systemd_reads_it(host: &Host) -> (Vec<String>, String) {
    let line = "mkdir -p -m 1777 /run/systemd && exec setpriv --reuid 65534 --regid 65534 --clear-groups \
        env SYSTEMD_LOG_TARGET=console /lib/systemd/systemd --test --system --unit=docker.service";
    let dump = host.sh(line);
    let unit = dump.split("-> Unit ").find(|u| u.starts_with("docker.service:")).unwrap();
    let values = |name: &str| {
        let name = format!("{name}: ");
        let lines = unit.lines().filter_map(|l| l.trim().strip_prefix(name.as_str()).map(str::to_owned));
        lines.collect::<Vec<_>>()
    };
    assert_eq!(values("DropIn Path"), [DROP_IN]);
    let command = values("Command Line").into_iter().find(|c| c.contains("dockerd")).unwrap();
    (values("EnvironmentFile"), command.replace("\"\\$DOCKER_OPTS\"", "$DOCKER_OPTS"))
}

/// A stand-in for systemd's starting of the service: dash reads the files of variables and cuts
/// $DOCKER_OPTS into words. The socket that systemd would hand over (fd://) is dockerd's own instead, and
/// so is the containerd.
fn started_in_systemds_place(host: &Host) -> Dockerd<'_> {
    let (files, command) = as_systemd_reads_it(host);
    let read = files.iter().map(|file| match file.strip_prefix('-') {
        Some(path) => format!("[ ! -e {path} ] || . {path}; "),
        None => format!(". {file} && "),
    });
    let command = command
        .replace(" -H fd://", " -H unix:///var/run/docker.sock")
        .replace(" --containerd=/run/containerd/containerd.sock", "");
    Dockerd::by_shell(host, &format!("{}exec {command}", read.collect::<String>()))
}

#[test]
fn a_drop_in_of_debians_unit() {
    let Some(host) = host_with_bridge() else { return };
    if need("systemd", "docker").is_none() {
        return;
    }
    // With and without an administrator's variable in the file that the unit reads.
    for (before, kept) in [("", ""), ("DOCKER_OPTS=\"--label=a=b --mtu 9000\"\n", "--label=a=b ")] {
        host.sh(&format!("printf '{before}' >/etc/default/docker"));
        let done = flags(&host, &format!("--format systemd --output {DROP_IN}"));
        assert_eq!(done.code, 0, "{done:?}");
        assert_eq!(host.sh("cat /etc/default/docker"), before, "is not kboot's");
        let env = host.sh(&format!("cat {}", DROP_IN.replace(".conf", ".env")));
        assert_eq!(env.lines().last().unwrap(), format!("DOCKER_OPTS=\"{kept}{FLAGS}\""));
        let dockerd = started_in_systemds_place(&host);
        is_on_kboots_bridge(&host, &dockerd);
        assert_eq!(dockerd.get("/info")["Labels"].as_array().unwrap().len(), usize::from(!kept.is_empty()));
    }
    let again = flags(&host, &format!("--format systemd --output {DROP_IN}"));
    assert!(again.stderr.ends_with("(0 changed, 2 already so)\n"), "{again:?}");
}

/// docker-ce's unit reads no variable: the command line is written anew.
#[test]
fn a_drop_in_of_a_unit_without_variables() {
    let Some(host) = host_with_bridge() else { return };
    if need("systemd", "docker").is_none() {
        return;
    }
    let unit = "[Service]\nType=notify\nExecStart=/usr/sbin/dockerd -H fd:// --label \"a=b\" --mtu 1500\n";
    host.sh(&format!("printf '%s' '{unit}' >/etc/systemd/system/docker.service"));
    assert_eq!(
        flags(&host, "--format systemd -o /etc/systemd/system/docker.service.d/90-kboot.conf").code,
        0
    );
    let (files, command) = as_systemd_reads_it(&host);
    assert_eq!((files.len(), command), (0, format!("/usr/sbin/dockerd -H fd:// --label a=b {FLAGS}")));
    is_on_kboots_bridge(&host, &started_in_systemds_place(&host));
}

#[test]
fn docker0_with_the_leases_address() {
    for (flannel_masquerades, docker_does) in [(true, "false"), (false, "true")] {
        let Some(host) = docker::host(flannel_masquerades) else { return };
        let printed = host.kboot(&["docker-flags", "--bip"]);
        assert_eq!(printed.ok(), format!("--bip=10.4.9.1/24 --ip-masq={docker_does} --mtu=1422\n"));
        let dockerd = Dockerd::start(&host, &printed.ok().split_whitespace().collect::<Vec<_>>());
        let shown = ("docker0".into(), "1422".into(), docker_does.into(), vec!["10.4.9.0/24".into()]);
        assert_eq!(dockerd.network(), shown);
        assert_eq!(host.ip("-4 addr show docker0")[0]["addr_info"][0]["local"], "10.4.9.1");
        let rules = host.sh("iptables -t nat -S");
        let masquerade = "-A POSTROUTING -s 10.4.9.0/24 ! -o docker0 -j MASQUERADE";
        assert_eq!(rules.contains(masquerade), docker_does == "true", "{rules}");
        assert_eq!(rules.contains("MASQUERADE"), docker_does == "true", "{rules}");
    }
}

/// Whoever changes from one to the other finds nothing left of the first, in either file.
#[test]
fn from_docker0_to_kboots_bridge_and_back() {
    let Some(host) = host_with_bridge() else { return };
    for form in
        ["--format env --output /etc/default/docker", "--format daemon-json --output /etc/docker/daemon.json"]
    {
        host.sh("rm -f /etc/default/docker && echo '{\"labels\": [\"a=b\"]}' >/etc/docker/daemon.json");
        for mode in ["--bip", "--bridge=cbr0", "--bip"] {
            let args: Vec<&str> = ["docker-flags", mode].into_iter().chain(form.split(' ')).collect();
            let done = host.kboot(&args);
            assert_eq!(done.code, 0, "{done:?}");
            let line = "[ ! -e /etc/default/docker ] || . /etc/default/docker; exec dockerd $DOCKER_OPTS";
            let dockerd = Dockerd::by_shell(&host, line);
            let (name, mtu, masquerades, subnets) = dockerd.network();
            let own = mode == "--bip";
            assert_eq!((name.as_str(), masquerades), (if own { "docker0" } else { "cbr0" }, own.to_string()));
            assert_eq!((mtu.as_str(), subnets.join(" ").as_str()), ("1422", "10.4.9.0/24"));
            assert_eq!(dockerd.get("/info")["Labels"], json!(["a=b"]));
            drop(dockerd);
            host.sh("ip link del docker0 2>/dev/null || true");
        }
    }
}

#[test]
fn both_families() {
    let Some(host) = docker::host(false) else { return };
    if host.sh("ls -d /proc/sys/net/ipv6 2>&1 || true").contains("No such") {
        eprintln!("skipped: this kernel has no IPv6");
        return;
    }
    let six = "FLANNEL_IPV6_NETWORK=fd00:4::/48\nFLANNEL_IPV6_SUBNET=fd00:4:9::1/64\n";
    lease(&host, &format!("{six}FLANNEL_MTU=1422\nFLANNEL_IPMASQ=false\n"));
    assert_eq!(host.kboot(&["bridge"]).code, 0);
    for (mode, name) in [("--bridge=cbr0", "cbr0"), ("--bip", "docker0")] {
        let printed = host.kboot(&["docker-flags", mode]);
        let dockerd = Dockerd::start(&host, &printed.ok().split_whitespace().collect::<Vec<_>>());
        let (shown, _, _, subnets) = dockerd.network();
        assert_eq!((shown.as_str(), subnets.join(" ")), (name, "10.4.9.0/24 fd00:4:9::/64".into()));
        assert_eq!(dockerd.get("/networks/bridge")["EnableIPv6"], true);
        // Otherwise docker0 would have to share the lease with the bridge.
        drop(dockerd);
        host.sh("ip link del cbr0 2>/dev/null || true");
    }
    assert_eq!(host.sh("ip6tables -t nat -S | grep MASQUERADE | grep -vc kboot || true"), "0\n");
}

#[test]
fn mirrors() {
    let Some(host) = host_with_bridge() else { return };
    let mirrors = "--registry-mirror http://192.0.2.7:5000 --registry-mirror https://mirror.example/";
    let printed = flags(&host, mirrors);
    let dockerd = Dockerd::start(&host, &printed.ok().split_whitespace().collect::<Vec<_>>());
    let config = |dockerd: &Dockerd<'_>| dockerd.get("/info")["RegistryConfig"]["Mirrors"].clone();
    let all = json!(["http://192.0.2.7:5000/", "https://mirror.example/"]);
    assert_eq!(config(&dockerd), all);
    drop(dockerd);
    host.sh("echo '{\"registry-mirrors\": [\"http://192.0.2.7:5000/\"]}' >/etc/docker/daemon.json");
    let done = flags(&host, &format!("{mirrors} --format daemon-json --output /etc/docker/daemon.json"));
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(config(&Dockerd::start::<&str>(&host, &[])), all, "none twice");
}

#[test]
fn what_dockerd_refuses_is_a_conflict() {
    let Some(host) = host_with_bridge() else { return };
    let write = "--format env --output /etc/default/docker";
    let both = "dockerd refuses both together";
    let file = "/etc/default/docker";
    let unit = "/usr/lib/systemd/system/docker.service";
    // Debian's unit has -H fd://; whoever starts dockerd by hand gives it another.
    for (json, first, more, by_hand) in [
        (
            "{\"mtu\":1500,\"bip\":\"10.1.1.1/24\"}",
            format!(
                "/etc/docker/daemon.json: \"mtu\" and {file}: --mtu: {both}, even if equal: take one out"
            ),
            format!(
                " (and 1 more: {file}: --bridge=cbr0 and /etc/docker/daemon.json: \"bip\": \"10.1.1.1/24\": {both}: take one out)"
            ),
            "",
        ),
        (
            "{\"hosts\":[\"unix:///var/run/docker.sock\"]}",
            format!(
                "/etc/docker/daemon.json: \"hosts\" and {unit}: -H fd://: {both}: set ExecStart= without -H in a drop-in, or take \"hosts\" out of the file"
            ),
            String::new(),
            "-H unix:///var/run/docker.sock",
        ),
    ] {
        host.sh(&format!("rm -f /etc/default/docker; echo '{json}' >/etc/docker/daemon.json"));
        let done = flags(&host, write);
        assert_eq!(done.error(), (3, format!("kboot docker-flags: {first}{more}").as_str()));
        assert_eq!(host.sh("ls /etc/default | grep -x docker || true"), "", "nothing is written");
        assert_eq!(host.sh("cat /etc/docker/daemon.json"), format!("{json}\n"));
        assert_eq!(flags(&host, &format!("{write} --no-conflict-check")).code, 0);
        let opts = host.sh(". /etc/default/docker && echo $DOCKER_OPTS");
        let said =
            refusal(&host, &by_hand.split_whitespace().chain(opts.split_whitespace()).collect::<Vec<_>>());
        assert!(said.contains("unable to configure the Docker daemon"), "{said}");
        assert!(
            said.contains("directives are specified both as a flag and in the configuration file"),
            "{said}"
        );
    }
}

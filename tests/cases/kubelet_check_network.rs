//! kubelet-launch --check, what pods reach the network by: lease, bridge, CNI, resolv.conf, ports.

use crate::support::preflight::{Fit, check, listen, run};
use crate::support::until;

const WORDS: &str = "--subnet 10.20.7.1/24 --bridge pods0 --kubelet-version 1.30";

/// A check's only line.
fn line(fit: &Fit, of: &str, words: &str) -> String {
    let mut lines = fit.table("", words).into_iter().filter(|l| check(l) == of);
    let line = lines.next().unwrap_or_else(|| panic!("no {of}: {words}"));
    assert!(lines.next().is_none(), "{of}: {words}");
    line
}

#[test]
fn the_lease() {
    let Some(fit) = Fit::new() else { return };
    let of = |words: &str| line(&fit, "subnet", &format!("--bridge pods0 --kubelet-version 1.30 {words}"));
    let none = "there is no lease yet";
    let advice = "start flanneld, or give --subnet";
    // The check does not wait for it.
    assert_eq!(of(""), format!("blocker subnet {none}: the Node's name comes from it: {advice}"));
    assert_eq!(of("--name n7"), format!("warning subnet {none}: pods get no addresses of it: {advice}"));
    fit.sh("mkdir /run/flannel; printf 'FLANNEL_NETWORK=10.20.0.0/16\nFLANNEL_SUB' >/run/flannel/subnet.env");
    assert_eq!(of("--name n7"), format!("warning subnet {none}: pods get no addresses of it: {advice}"));
    fit.sh("printf 'FLANNEL_NETWORK=10.20.0.0/16\nFLANNEL_SUBNET=10.20.7.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n' >/run/flannel/subnet.env");
    assert_eq!(of(""), "ok subnet 10.20.7.1/24");
    assert_eq!(of("--subnet 10.20.9.0/26 --subnet fd00:9::/64"), "ok subnet 10.20.9.0/26,fd00:9::/64");
    fit.sh("echo junk >/run/flannel/subnet.env");
    let done = fit.after("", "--check --kubelet-version 1.30");
    assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{done:?}");
}

#[test]
fn the_bridge() {
    let Some(fit) = Fit::new() else { return };
    assert_eq!(line(&fit, "bridge", WORDS), "ok bridge pods0 10.20.7.1/24");
    for (how, what, advice) in [
        (
            "ip addr add 10.20.8.1/24 dev pods0; ip addr del 10.20.7.1/24 dev pods0",
            "pods0 has 10.20.8.1/24, the lease is 10.20.7.1/24",
            "run kboot bridge",
        ),
        ("ip addr flush dev pods0", "pods0 has no address, the lease is 10.20.7.1/24", "run kboot bridge"),
        ("ip link set pods0 down", "pods0 is down", "run kboot bridge"),
        ("ip link del pods0", "there is no pods0", "run kboot bridge"),
        (
            "ip link add pods0 type veth peer name other0",
            "pods0 is a veth device, not a bridge",
            "remove it, then run kboot bridge",
        ),
    ] {
        fit.sh(how);
        let told = line(&fit, "bridge", WORDS);
        assert_eq!(told, format!("warning bridge {what}: pods get no network: {advice}"), "{how}");
    }
    fit.sh("ip link del pods0");
    let made = fit.kboot(&["bridge", "--name", "pods0", "--subnet", "10.20.7.1/24"]);
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(line(&fit, "bridge", WORDS), "ok bridge pods0 10.20.7.1/24");
    assert_eq!(
        line(&fit, "bridge", &WORDS.replace("pods0", "other1")),
        "warning bridge there is no other1: pods get no network: run kboot bridge"
    );
}

/// Another plugin's configuration comes first in the alphabet, and with it another bridge, or none.
#[test]
fn cni() {
    let Some(fit) = Fit::new() else { return };
    let checks = |how: &str| -> Vec<String> {
        let mut all = fit.table(how, WORDS);
        all.retain(|l| ["cni", "bridge"].contains(&check(l)));
        all
    };
    let kboots = "ok cni /etc/cni/net.d/10-pods.conflist";
    let none = "warning cni /etc/cni/net.d has no configuration: the Node stays NotReady \
        (NetworkPluginNotReady): run kboot cni-config; with flannel's own DaemonSet wait for it";
    let bridge = "ok bridge pods0 10.20.7.1/24";
    assert_eq!(checks(""), [kboots, bridge]);
    let directory = "mount -t tmpfs tmpfs /etc/cni/net.d; cd /etc/cni/net.d";
    assert_eq!(checks(directory), [none]);
    assert_eq!(checks(&format!("{directory}; touch 10-x.conf~ README")), [none]);
    assert_eq!(
        checks(&format!("{directory}; touch 10-flannel.conflist 10-kboot.conflist")),
        ["ok cni /etc/cni/net.d/10-flannel.conflist"]
    );
    assert_eq!(checks("mount -t tmpfs tmpfs /etc/cni"), [none], "the directory is not there");
    let docker = fit.table("", &WORDS.replace("1.30", "1.20 --runtime docker"));
    assert!(docker.iter().all(|l| check(l) != "cni") && docker.contains(&bridge.to_owned()), "{docker:?}");
}

/// One of the cases of resolv.conf: the text beside it is systemd-resolved's.
fn resolv(own: &str, beside: &str) -> String {
    let own = format!("printf '{own}' >/run/own; mount --bind /run/own /etc/resolv.conf");
    let systemd = "mount -t tmpfs tmpfs /run/systemd; mkdir /run/systemd/resolve";
    format!("{own}; {systemd}; [ -z '{beside}' ] || printf '{beside}' >/run/systemd/resolve/resolv.conf")
}

#[test]
fn resolv_conf() {
    let Some(fit) = Fit::new() else { return };
    let real = "nameserver 198.51.100.53\n";
    let stub = "# stub\noptions edns0 trust-ad\nnameserver 127.0.0.53\n";
    let dns = "pods with the node's DNS (dnsPolicy Default, the cluster's DNS itself) do not start";
    let looped = |ip: &str| {
        format!(
            "warning resolv-conf /etc/resolv.conf names {ip}, which is each pod's own: the cluster's DNS asks \
             itself, and pods find nothing: give --resolv-conf a file with the servers behind it"
        )
    };
    let gone = "rm -rf /run/etc; cp -a /etc /run/etc; rm /run/etc/resolv.conf; mount --bind /run/etc /etc";
    for (how, more, want) in [
        (resolv(real, real), "", String::new()),
        (
            resolv(stub, real),
            "",
            "ok resolv-conf /run/systemd/resolve/resolv.conf, since /etc/resolv.conf names 127.0.0.53".into(),
        ),
        (resolv(stub, ""), "", looped("127.0.0.53")),
        (resolv(stub, stub), "", looped("127.0.0.53")),
        (resolv("nameserver ::1\n", ""), "", looped("::1")),
        (resolv("nameserver 192.0.2.1\nnameserver 127.0.0.1\n", ""), "", looped("127.0.0.1")),
        (resolv(stub, ""), "--resolv-conf /run/own", "ok resolv-conf /run/own, as given".into()),
        (String::new(), "-- --resolv-conf=", "ok resolv-conf none, as given".into()),
        (
            String::new(),
            "--resolv-conf /no/such",
            format!("warning resolv-conf there is no /no/such: {dns}: make it, or give another"),
        ),
        (
            gone.into(),
            "",
            format!(
                "warning resolv-conf there is no /etc/resolv.conf: {dns}: make one, or give --resolv-conf"
            ),
        ),
    ] {
        let want: Vec<String> = [want].into_iter().filter(|w| !w.is_empty()).collect();
        assert_eq!(fit.differs("1.30", &how, more), want, "{how} {more}");
    }
}

/// Until somebody listens at a port of the host.
fn listens(fit: &Fit, port: u16) {
    let is_there = || {
        let state = fit.sh("cat /proc/net/tcp /proc/net/tcp6");
        state.lines().any(|l| l.contains(&format!(":{port:04X} ")) && l.contains(" 0A "))
    };
    until("it listens", is_there);
}

#[test]
fn ports() {
    let Some(fit) = Fit::new() else { return };
    let ports = |more: &str| {
        let mut all = fit.table("", &format!("{WORDS} {more}"));
        all.retain(|l| check(l) == "ports");
        all
    };
    let free = |port: u16, of: &str| format!("ok ports {port} ({of}) is free");
    let (api, health) = (free(10250, "API"), free(10248, "health"));
    assert_eq!(ports(""), [&*api, &*health]);
    assert_eq!(
        ports("--read-only-port 10255 -- --port=10350"),
        [free(10350, "API"), health.clone(), free(10255, "read-only API")]
    );
    let taken = |level: &str, port: u16, pid: u32, why: &str| {
        format!("{level} ports port {port} is taken by pid {pid} (socat): {why}: stop socat, or move it")
    };
    let api_why = "the kubelet's API listens there";
    {
        let six = listen(&fit, "TCP6-LISTEN:10250,bind=[::1],fork");
        listens(&fit, 10250);
        assert_eq!(ports("")[0], taken("blocker", 10250, six.pid(), api_why), "Go listens for both families");
        assert_eq!(ports("--address 10.20.7.1"), [&*api, &*health]);
        assert_eq!(ports("-- --address=10.20.7.1"), [&*api, &*health]);
    }
    let other = listen(&fit, "TCP4-LISTEN:10248,fork");
    listens(&fit, 10248);
    let why = "who asks there is told of another's health, not the kubelet's";
    assert_eq!(ports(""), [api.clone(), taken("warning", 10248, other.pid(), why)]);
    assert_eq!(ports("--healthz-port 0"), [&*api]);
    assert_eq!(ports("--healthz-port 10348"), [api, free(10348, "health")]);
    // A stand-in with the kubelet's name.
    fit.sh("cp $(command -v socat) /run/kubelet");
    let kubelet = run(&fit, &["/run/kubelet", "TCP4-LISTEN:10250,fork", "/dev/null"]);
    listens(&fit, 10250);
    assert_eq!(
        ports("")[0],
        format!(
            "blocker ports port 10250 is taken by pid {} (kubelet): {api_why}: a kubelet runs already: stop it \
             first (its service manager starts it again otherwise)",
            kubelet.pid()
        )
    );
}

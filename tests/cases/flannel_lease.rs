//! flannel-env: whose lease it is, and of which boot; shell forms; the values made of it.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::etcd::Etcd;
use crate::support::host::Host;
use crate::support::{Scratch, collect, finish, kboot, need, root_user, run, tool, until};

const LEASE: &str = "FLANNEL_SUBNET=10.44.7.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";

/// Scratch directories are on a disk: what was written in 2001 is older than this boot.
#[test]
fn a_file_of_an_earlier_boot_is_waited_out() {
    let dir = Scratch::new();
    let path = dir.file("subnet.env", LEASE);
    tool("touch", &["-d", "2001-01-01", &path]);
    let get =
        |more: &[&str]| run(&[&["flannel-env", "--env-file", &path, "--get", "FLANNEL_MTU"], more].concat());
    let says = format!("kboot flannel-env: {path}: is from an earlier boot (--allow-stale takes it)");
    assert_eq!(get(&["--timeout", "0"]).error(), (75, says.as_str()));
    assert_eq!(get(&["--timeout", "0", "--allow-stale"]).ok(), "1450\n");
    // The others that need a lease take no older one either.
    let bip = ["docker-flags", "--bip", "--env-file", &path, "--timeout", "0"];
    assert_eq!(run(&bip).code, 75);
    assert!(run(&[&bip[..], &["--allow-stale"]].concat()).ok().starts_with("--bip=10.44.7.1/24"));
    // flanneld of this boot writes it anew.
    let mut waiting =
        kboot(&["flannel-env", "--env-file", &path, "--get", "FLANNEL_MTU", "--timeout", "30s"]);
    let waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("it waits in poll", || {
        fs::read_to_string(format!("/proc/{}/wchan", waiting.id())).is_ok_and(|w| w.contains("poll"))
    });
    let new = dir.file(".subnet.env", LEASE.replace("1450", "1400"));
    fs::rename(new, &path).unwrap();
    assert_eq!(collect(waiting).ok(), "1400\n");
}

#[test]
fn what_no_reboot_survives_and_what_lies_in_etc_is_never_of_an_earlier_boot() {
    if !root_user() {
        return;
    }
    let host = Host::new();
    host.sh(&format!("mkdir /run/flannel && printf '{LEASE}' >/run/flannel/subnet.env"));
    host.sh("touch -d 2001-01-01 /run/flannel/subnet.env");
    assert_eq!(host.kboot(&["flannel-env", "--get", "FLANNEL_MTU", "--timeout", "0"]).ok(), "1450\n");
    let dir = Scratch::new();
    let path = dir.file("static.env", LEASE);
    tool("touch", &["-d", "2001-01-01", &path]);
    host.sh(&format!("mount --bind {} /etc/apt", dir.0.display()));
    let done = host.kboot(&[
        "flannel-env",
        "--env-file",
        "/etc/apt/static.env",
        "--get",
        "FLANNEL_MTU",
        "--timeout",
        "0",
    ]);
    assert_eq!(done.ok(), "1450\n");
}

#[test]
fn a_lease_is_this_hosts_when_etcd_says_so() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    let dir = Scratch::new();
    let path = dir.file("subnet.env", LEASE);
    let get = |more: &[&str]| {
        let args = ["flannel-env", "--env-file", &path, "--get", "FLANNEL_SUBNET", "--lease-of", &etcd.url];
        run(&[&args[..], &["--public-ip", "192.0.2.7", "--timeout", "0"], more].concat())
    };
    let refused = |why: &str| (75, format!("kboot flannel-env: {path}: {why}"));
    let found = |more: &[&str]| {
        let done = get(more);
        (done.code, done.stderr.trim_end().to_owned())
    };
    assert_eq!(
        found(&[]),
        refused("etcd holds no lease of 10.44.7.0/24 now (/coreos.com/network/subnets/10.44.7.0-24)")
    );
    let key = "/coreos.com/network/subnets/10.44.7.0-24";
    etcd.ctl(3, &["put", key, r#"{"PublicIP":"192.0.2.9","BackendType":"vxlan"}"#]).unwrap();
    assert_eq!(
        found(&[]),
        refused("10.44.7.0/24 is leased to 192.0.2.9 now, which is not this host (--public-ip?)")
    );
    // A flannel before 0.18 has it in v2.
    etcd.ctl(2, &["set", key, r#"{"PublicIP":"192.0.2.7","BackendType":"udp"}"#]).unwrap();
    assert_eq!(get(&[]).code, 75, "what flannel before 0.18 left in v2 may be old");
    etcd.ctl(3, &["del", key]).unwrap();
    assert_eq!(get(&[]).ok(), "10.44.7.1/24\n");
    etcd.ctl(2, &["rm", key]).unwrap();
    etcd.ctl(3, &["put", "/own/subnets/10.44.7.0-24", r#"{"PublicIP":"192.0.2.7"}"#]).unwrap();
    assert_eq!(get(&["--prefix", "/own"]).ok(), "10.44.7.1/24\n");
    let alone = run(&["flannel-env", "--env-file", &path, "--public-ip", "192.0.2.7"]);
    assert_eq!(alone.error(), (2, "kboot flannel-env: --public-ip goes with --lease-of"));
}

/// What changes in etcd shows in no file: it is asked again soon.
#[test]
fn a_lease_that_comes_to_etcd_later_is_seen() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    let dir = Scratch::new();
    let path = dir.file("subnet.env", LEASE);
    let args = ["flannel-env", "--env-file", &path, "--get", "FLANNEL_SUBNET", "--lease-of", &etcd.url];
    let log = dir.path("log");
    let mut command = kboot(&[&args[..], &["--public-ip", "192.0.2.7", "--timeout", "25s"]].concat());
    let child = command.stdout(Stdio::piped()).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    until("it waits", || fs::read_to_string(&log).unwrap().contains("etcd holds no lease"));
    etcd.ctl(3, &["put", "/coreos.com/network/subnets/10.44.7.0-24", r#"{"PublicIP":"192.0.2.7"}"#]).unwrap();
    assert_eq!(collect(child).ok(), "10.44.7.1/24\n");
}

/// Variables may be meant for another applet; a URL's path would turn a question into a write.
#[test]
fn what_is_not_meant_for_it_does_no_harm() {
    let dir = Scratch::new();
    let path = dir.file("subnet.env", LEASE);
    let mut command = kboot(&["flannel-env", "--env-file", &path, "--get", "FLANNEL_MTU"]);
    let done = finish(command.env("KBOOT_PREFIX", "/x").env("KBOOT_CACERT", "/none").env("KBOOT_USER", "u"));
    assert_eq!(done.ok(), "1450\n");
    let done = run(&["flannel-env", "--lease-of", "http://127.0.0.1:1/v2/keys"]);
    assert_eq!(
        done.error(),
        (2, "kboot flannel-env: --lease-of http://127.0.0.1:1/v2/keys: leave /v2/keys away")
    );
}

/// Without --public-ip, every address of the host is its own.
#[test]
fn a_lease_is_this_hosts_by_any_of_its_addresses() {
    if !root_user() {
        return;
    }
    let host = Host::new();
    host.sh("ip link add eth0 type veth peer name far && ip addr add 10.99.0.7/24 dev eth0 && ip link set eth0 up");
    host.sh(&format!("mkdir /run/flannel && printf '{LEASE}' >/run/flannel/subnet.env"));
    let Some(etcd) = need("etcd", "etcd") else { return };
    let data = Scratch::new();
    let args = ["--pdeathsig", "KILL", "--", etcd.to_str().unwrap(), "--data-dir", &data.path("data")];
    let log = fs::File::create(data.path("log")).unwrap();
    let mut server = host.command("setpriv", &args).stderr(log).spawn().unwrap();
    let put = |ip: &str| {
        let line = "ETCDCTL_API=3 etcdctl put /coreos.com/network/subnets/10.44.7.0-24";
        finish(&mut host.command("sh", &["-c", &format!("{line} '{{\"PublicIP\":\"{ip}\"}}'")])).code == 0
    };
    until("etcd takes the lease", || put("10.99.0.7"));
    let args = [
        "flannel-env",
        "--get",
        "FLANNEL_SUBNET_IP",
        "--lease-of",
        "http://127.0.0.1:2379",
        "--timeout",
        "0",
    ];
    let own = host.kboot(&args);
    assert!(put("10.99.0.8"));
    let other = host.kboot(&args);
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(own.ok(), "10.44.7.1\n");
    assert_eq!(other.code, 75, "{other:?}");
    assert!(other.stderr.contains("10.44.7.0/24 is leased to 10.99.0.8 now"), "{other:?}");
}

/// Shells read the same out of a file in a shell's own spelling.
#[test]
fn what_a_shell_would_read_is_read() {
    let dir = Scratch::new();
    let text = "# lease\nexport FLANNEL_SUBNET=10.44.7.1/24 FLANNEL_MTU=1\"4\"'5'0 # both\n\n  FLANNEL_IPMASQ=\"tr\"ue\t#\n";
    let path = dir.file("subnet.env", text);
    let ours = run(&["flannel-env", "--env-file", &path, "--json"]).json();
    for shell in ["dash", "bash"] {
        let line = format!(". {path}; echo $FLANNEL_SUBNET $FLANNEL_MTU $FLANNEL_IPMASQ");
        let theirs = finish(Command::new(shell).args(["-c", &line])).ok().to_owned();
        let lease = &ours["found"]["lease"];
        let ours: Vec<&str> =
            ["SUBNET", "MTU", "IPMASQ"].map(|k| lease[format!("FLANNEL_{k}")].as_str().unwrap()).into();
        assert_eq!(theirs.trim_end(), ours.join(" "), "{shell}");
    }
}

#[test]
fn the_values_made_of_a_dual_stack_lease() {
    let dir = Scratch::new();
    let path = dir.file(
        "subnet.env",
        "FLANNEL_NETWORK=10.44.0.0/16,10.45.0.0/16\nFLANNEL_SUBNET=10.44.7.1/25\nFLANNEL_IPV6_NETWORK=fd00:44::/48\n\
         FLANNEL_IPV6_SUBNET=fd00:44:0:7::1/64\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=false\n",
    );
    // An EnvironmentFile= of systemd's: every value in double quotes, which dash reads alike.
    let text = run(&["flannel-env", "--env-file", &path, "--format", "systemd"]).ok().to_owned();
    assert!(text.lines().all(|l| l.split_once("=\"").is_some_and(|(_, v)| v.ends_with('"'))), "{text}");
    let file = dir.file("out", &text);
    for (name, value) in [
        ("FLANNEL_NETWORK", "10.44.0.0/16,10.45.0.0/16"),
        ("FLANNEL_SUBNET_IP", "10.44.7.1"),
        ("FLANNEL_SUBNET_NETWORK", "10.44.7.0/25"),
        ("FLANNEL_SUBNET_LEN", "25"),
        ("FLANNEL_SUBNET_GATEWAY", "10.44.7.1"),
        ("FLANNEL_SUBNET_FIRST", "10.44.7.2"),
        ("FLANNEL_SUBNET_LAST", "10.44.7.126"),
        ("FLANNEL_IPV6_SUBNET_GATEWAY", "fd00:44:0:7::1"),
        ("FLANNEL_IPV6_SUBNET_FIRST", "fd00:44:0:7::2"),
        ("FLANNEL_IPV6_SUBNET_LAST", "fd00:44:0:7:ffff:ffff:ffff:ffff"),
    ] {
        assert_eq!(tool("dash", &["-c", &format!(". {file}; echo ${name}")]), format!("{value}\n"));
        assert_eq!(run(&["flannel-env", "--env-file", &path, "--get", name]).ok(), format!("{value}\n"));
    }
}

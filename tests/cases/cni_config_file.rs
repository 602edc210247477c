//! cni-config's file: whose it is, what comes before it, what it is compared with.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::cni;
use crate::support::docker::{lease, prepare};
use crate::support::host::Host;
use crate::support::{Done, Scratch, finish, kboot, root_user, run};

const FILE: &str = "/etc/cni/net.d/10-kboot.conflist";
const FLANNEL: &str = r#"{"name":"cbr0","cniVersion":"0.3.1","plugins":[{"type":"flannel","delegate":{}}]}"#;

fn config(path: &str, more: &[&str]) -> Done {
    run(&[&["cni-config", "--subnet", "10.7.3.1/24", "--mtu", "1400", "--output", path], more].concat())
}

fn read(path: &str) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The lines of `--check` and of its JSON, which are the same.
fn differences(path: &str, more: &[&str]) -> (i32, Vec<String>) {
    let plain = config(path, &[&["--check"], more].concat());
    let json = config(path, &[&["--check", "--json"], more].concat()).json();
    let told = json["found"]["differences"].as_array().unwrap().iter();
    let lines: Vec<String> = plain.stdout.lines().map(str::to_owned).collect();
    assert_eq!(told.map(|d| d["what"].as_str().unwrap()).collect::<Vec<_>>(), lines);
    assert_eq!(json["exit"], plain.code);
    (plain.code, lines)
}

#[test]
fn from_nothing_to_a_new_lease() {
    if !root_user() {
        return;
    }
    let host = Host::new();
    prepare(&host);
    host.sh("rm -rf /etc/cni");
    lease(&host, "FLANNEL_MTU=1422\nFLANNEL_IPMASQ=false\n");
    let call = |more: &[&str]| host.kboot(&[&["cni-config"], more].concat());
    let dry = call(&["--dry-run"]);
    assert!(dry.ok().starts_with(&format!("write {FILE}: {{\"cniVersion\":\"0.3.1\",")), "{dry:?}");
    let absent = call(&["--check"]);
    assert_eq!((absent.code, absent.stdout), (3, format!("{FILE} is not there\n")));
    assert_eq!(host.sh("ls /etc/cni 2>&1 || true").lines().count(), 1, "nothing is made yet");
    assert!(call(&[]).stderr.contains("kboot on cbr0, 10.4.9.0/24 (1 changed, 0 already so)"));
    assert_eq!(
        host.sh(&format!("stat -c '%a %U' /etc/cni /etc/cni/net.d {FILE}")),
        "755 root\n755 root\n644 root\n"
    );
    let again = call(&[]);
    assert!(again.code == 0 && again.stderr.contains("(0 changed, 1 already so)"), "{again:?}");
    assert_eq!(call(&["--check"]).ok(), "");

    host.sh("sed -i s/10.4.9.1/10.4.77.1/ /run/flannel/subnet.env");
    let (subnet, gateway) = ("plugins[0].ipam.ranges[0][0].subnet", "plugins[0].ipam.ranges[0][0].gateway");
    let lines = [
        format!("{subnet} is 10.4.9.0/24, wanted is 10.4.77.0/24"),
        format!("{gateway} is 10.4.9.1, wanted is 10.4.77.1"),
    ];
    let drift = call(&["--check"]);
    assert_eq!((drift.code, drift.stdout), (3, format!("{}\n", lines.join("\n"))));
    assert!(
        drift.stderr.ends_with("2 differences: run it without --check to mend that\n"),
        "{}",
        drift.stderr
    );
    let done = call(&[]);
    assert!(done.stderr.contains(&format!("write {FILE}: {}", lines.join("; "))), "{done:?}");
    assert_eq!(call(&["--check"]).code, 0);
    assert_eq!(host.sh("ls -A /etc/cni/net.d"), "10-kboot.conflist\n", "no temporary file is left");

    // Running pods' addresses are noted by the network's name.
    let renamed = call(&["--network", "other"]);
    assert!(renamed.code == 0 && renamed.stderr.contains("drain the node first"), "{renamed:?}");
}

#[test]
fn a_file_of_somebody_elses() {
    let dir = Scratch::new();
    let path = dir.file("10-flannel.conflist", FLANNEL);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let what = ["name is cbr0, wanted is kboot", "plugins[0].type is flannel, wanted is bridge"];
    let portmap = r#"plugins[1] is none, wanted is {"type":"portmap","capabilities":{"portMappings":true}}"#;
    let lines: Vec<String> = [what[0], what[1], portmap].map(str::to_owned).to_vec();
    assert_eq!(differences(&path, &[]), (3, lines.clone()));
    assert!(
        config(&path, &["--check"])
            .stderr
            .ends_with(&format!("3 differences: {path} is not kboot's: --replace, or another --output\n"))
    );
    for more in [&[][..], &["--dry-run"]] {
        let error = config(&path, more);
        let says = format!("{path}: is not kboot's: {}: --replace, or another --output\n", lines.join("; "));
        assert_eq!(
            (error.code, error.stderr.lines().last()),
            (3, says.lines().next().map(|s| format!("kboot cni-config: {s}")).as_deref())
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), FLANNEL);
    }
    let link = dir.path("10-link.conflist");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let done = config(&link, &["--replace", "--no-conflict-check"]);
    assert!(done.stderr.contains("(1 changed, 0 already so)"), "{done:?}");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(read(&path)["name"], "kboot");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(differences(&path, &[]), (0, vec![]));

    // Whoever wrote it: what means the same is left as it is.
    let mut copy = read(&path);
    copy.as_object_mut().unwrap().remove("madeBy");
    let other = dir.file("09-copy.conflist", copy.to_string());
    assert!(config(&other, &[]).stderr.contains("(0 changed, 1 already so)"));
    assert_eq!(read(&other), copy);

    for (text, why) in
        [("# no JSON", "is no JSON: expected value at line 1 column 1"), ("[]", "is no list of CNI plugins")]
    {
        let file = dir.file("00.conflist", text);
        assert_eq!(differences(&file, &[]), (3, vec![why.to_owned()]));
        assert_eq!(config(&file, &[]).code, 3);
        fs::remove_file(file).unwrap();
    }
    let empty = dir.file("00.conflist", "\n");
    assert_eq!(differences(&empty, &[]), (3, vec![format!("{empty} is empty")]));
    assert_eq!((config(&empty, &[]).code, &read(&empty)["name"]), (0, &json!("kboot")));
}

#[test]
fn what_a_runtime_would_take_instead() {
    let dir = Scratch::new();
    let path = dir.path("10-kboot.conflist");
    for other in ["10-flannel.conflist", "05-a.conf", "1.json", ".b.conflist"] {
        let file = dir.file(other, FLANNEL);
        let done = config(&path, &[]);
        let says = format!(
            "kboot cni-config: {other} comes before 10-kboot.conflist: the runtime takes that one: remove it, \
             give another --output, or --no-conflict-check"
        );
        assert_eq!((done.code, done.stderr.lines().last()), (3, Some(says.as_str())));
        assert!(fs::metadata(&path).is_err(), "nothing is written");
        fs::remove_file(file).unwrap();
    }
    for other in ["20-b.conflist", "100-crio.conflist", "05-a.conf.off", "README"] {
        dir.file(other, FLANNEL);
    }
    fs::create_dir(dir.path("00-directory.conf")).unwrap();
    assert_eq!(config(&path, &[]).code, 0);
    assert_eq!(differences(&path, &[]), (0, vec![]));
    dir.file("00-multus.conf", FLANNEL);
    let line = "00-multus.conf comes before 10-kboot.conflist: the runtime takes that one".to_owned();
    assert_eq!(differences(&path, &[]), (3, vec![line]));
    assert_eq!(differences(&path, &["--no-conflict-check"]), (0, vec![]));
    assert_eq!(config(&path, &["--no-conflict-check"]).code, 0);
}

#[test]
fn stdout_json_and_the_environment() {
    let printed = config("-", &["--cni-version", "1.0.0"]);
    let list: Value = serde_json::from_str(printed.ok()).unwrap();
    assert_eq!(
        (&list["name"], &list["cniVersion"], &list["plugins"][0]["mtu"]),
        (&json!("kboot"), &json!("1.0.0"), &json!(1400))
    );
    let object = config("-", &["--json", "--cni-version", "1.0.0"]).json();
    assert_eq!((&object["found"]["config"], &object["outcome"]), (&list, &json!("unchanged")));
    let mut command = kboot(&["cni-config", "--output", "-"]);
    command
        .env("FLANNEL_SUBNET", "10.5.6.1/25")
        .env("FLANNEL_MTU", "1400")
        .env("KBOOT_CNI_CONFIG_NAME", "br7");
    // flannel's network and a Node's name.
    command.env("KBOOT_NETWORK", "10.0.0.0/8").env("KBOOT_NAME", "node-1");
    let list = finish(&mut command).json();
    assert_eq!((&list["name"], &list["plugins"][0]["bridge"]), (&json!("kboot"), &json!("br7")));
    assert_eq!(
        list["plugins"][0]["ipam"]["ranges"],
        json!([[{"subnet": "10.5.6.0/25", "gateway": "10.5.6.1"}]])
    );
}

#[test]
fn what_is_refused() {
    let dir = Scratch::new();
    for (args, says) in [
        (
            &["--output", "/x/10-kboot.conf"][..],
            "--output /x/10-kboot.conf: a runtime takes a list of plugins from NAME.conflist only",
        ),
        (&["--output", "/"], "--output /: is a directory, not a file"),
        (&["--output", "-", "--check"], "--check compares a file: it does not go with --output -"),
        (&["--output", "-", "--replace"], "--replace goes with a file, not with --output -"),
        (
            &["--cni-version", "0.2.0"],
            "--cni-version 0.2.0: is no version of CNI with lists of plugins: 0.3.0 0.3.1 0.4.0 1.0.0 1.1.0",
        ),
        (
            &["--network", "../x"],
            "--network ../x: a network's name is letters, digits, _ . - and begins with a letter or a digit",
        ),
        (&["--hairpin-mode", "on"], "--hairpin-mode on: is promiscuous-bridge, hairpin-veth or none"),
        (&["--subnet", "10.7.3.0/31"], "--subnet 10.7.3.0/31: a pod subnet is between /1 and /30"),
        (
            &["--subnet", "fd00::1/64", "--mtu", "1200"],
            "the MTU 1200 is too small for IPv6, which needs 1280 (RFC 8200)",
        ),
    ] {
        let done = run(&[&["cni-config"], args].concat());
        assert_eq!(done.error(), (2, format!("kboot cni-config: {says}").as_str()));
    }
    let missing = dir.path("subnet.env");
    let done = run(&["cni-config", "--env-file", &missing, "--check"]);
    assert_eq!(done.code, 75, "--check waits for nothing: {done:?}");
    // A file in a directory's place.
    let file = dir.file("file", "");
    let done = config(&format!("{file}/10.conflist"), &[]);
    assert_eq!(done.code, 1, "{done:?}");
}

#[test]
fn what_pods_would_miss_is_said() {
    if !cni::can_run() {
        return;
    }
    let host = Host::new();
    let warnings = |more: &[&str]| {
        let args =
            ["cni-config", "--output", "/run/x.conflist", "--subnet", "10.7.3.1/24", "--json", "--dry-run"];
        let object = host.kboot(&[&args[..], more].concat()).json();
        object["warnings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|w| w.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mtu = ["--mtu", "1400"];
    assert_eq!(
        warnings(&[]),
        [
            "the lease says no MTU: pods get the kernel's 1500, too much for an overlay: --mtu",
            "cbr0 is not there: pods have no gateway before kboot bridge makes it",
        ]
    );
    host.sh("ip link add cbr0 type veth peer name other");
    assert_eq!(warnings(&mtu), ["cbr0 is a veth device, not a bridge"]);
    host.sh("ip link del cbr0 && ip link add cbr0 type bridge && ip addr add 10.7.3.9/24 dev cbr0");
    assert_eq!(warnings(&mtu), ["cbr0 does not have the pods' gateway 10.7.3.1: kboot bridge gives it"]);
    host.sh("ip addr add 10.7.3.1/24 dev cbr0");
    assert_eq!(warnings(&mtu), [""; 0]);
    host.sh("ip link set cbr0 promisc on");
    let says = "cbr0 is promiscuous: give --hairpin-mode promiscuous-bridge, or pods get twice what they send to themselves";
    assert_eq!(warnings(&mtu), [says]);
    assert_eq!(warnings(&["--mtu", "1400", "--hairpin-mode", "promiscuous-bridge"]), [""; 0]);
    host.sh(&format!(
        "ip link set cbr0 promisc off && mount -t tmpfs tmpfs {0} && : >{0}/bridge",
        cni::PLUGINS
    ));
    let dirs = "/opt/cni/bin /usr/lib/cni /usr/libexec/cni";
    assert_eq!(
        warnings(&mtu),
        [format!("no CNI plugin host-local, portmap in {dirs}: no pod starts without")]
    );
    assert_eq!(
        warnings(&["--mtu", "1400", "--no-portmap", "--bandwidth"]),
        [format!("no CNI plugin host-local, bandwidth in {dirs}: no pod starts without")]
    );
}

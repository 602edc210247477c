//! bridge, the link: its attributes, ports, modes and addresses; read back with `ip -j` and `ip monitor`.

use serde_json::{Value, json};

use crate::support::host::Host;
use crate::support::monitor::Monitor;
use crate::support::{Done, need, root_user, until};

fn host() -> Option<Host> {
    (root_user() && need("ip", "tools").is_some()).then(Host::new)
}

/// kboot on br-pods, 172.20.7.1/24, no rules.
fn bridge(host: &Host, more: &[&str]) -> Done {
    let args = ["bridge", "--name", "br-pods", "--subnet", "172.20.7.1/24", "--no-masquerade"];
    host.kboot(&[&args[..], more].concat())
}

fn unchanged(done: &Done) -> bool {
    done.code == 0 && done.stderr.contains("up (0 changed, ")
}

fn link(host: &Host, name: &str) -> Value {
    host.ip(&format!("-d link show {name}"))[0].clone()
}

/// A bridge's settings, without its timers and what follows from its address.
fn settings(host: &Host, name: &str) -> Value {
    let mut data = link(host, name)["linkinfo"]["info_data"].clone();
    data.as_object_mut().unwrap().retain(|key, _| !key.ends_with("_timer") && !key.ends_with("_id"));
    data
}

fn is_up(link: &Value) -> bool {
    link["flags"].as_array().unwrap().contains(&"UP".into())
}

fn addrs(host: &Host, name: &str) -> Vec<String> {
    let found = host.ip(&format!("addr show {name}"));
    let infos = found[0]["addr_info"].as_array().unwrap().iter();
    let shown = infos.map(|a| format!("{}/{}", a["local"].as_str().unwrap(), a["prefixlen"]));
    shown.filter(|a| !a.starts_with("fe80")).collect()
}

/// All that a refused run could have touched.
fn everything(host: &Host) -> String {
    host.sh("ip -br link; ip -br addr; bridge link; sysctl net.ipv4.ip_forward; ls /run/kboot/*.json 2>&1 || true")
}

#[test]
fn a_new_bridge_differs_from_the_kernels_own_in_what_is_wanted_only() {
    let Some(host) = host() else { return };
    host.sh("ip link add plain type bridge forward_delay 0");
    assert_eq!(bridge(&host, &["--mtu", "1412"]).code, 0);
    assert_eq!(settings(&host, "br-pods"), settings(&host, "plain"));
    let link = link(&host, "br-pods");
    assert!(is_up(&link), "{link}");
    assert_eq!((&link["mtu"], &link["address"]), (&json!(1412), &json!("0a:6b:ac:14:07:01")));
    let data = &link["linkinfo"]["info_data"];
    assert_eq!((&data["stp_state"], &data["forward_delay"]), (&json!(0), &json!(0)));
    assert_eq!(link["promiscuity"], 0);
    let addr = &host.ip("-4 addr show br-pods")[0]["addr_info"][0];
    assert_eq!((&addr["broadcast"], &addr["scope"]), (&json!("172.20.7.255"), &json!("global")));
    assert_eq!(host.ip("-4 route show dev br-pods")[0]["dst"], "172.20.7.0/24");
}

#[test]
fn no_port_changes_the_address_that_was_pinned() {
    let Some(host) = host() else { return };
    host.sh("ip link add br-old type bridge && ip link add v0 type veth peer name v1 && ip link set v0 master br-old");
    host.sh("ip link add w0 address 00:00:00:00:07:01 type veth peer name w1 && ip link add x0 address 00:00:00:00:07:02 type veth peer name x1");
    let old = link(&host, "br-old")["address"].clone();
    let done = host.kboot(&["bridge", "--name", "br-old", "--subnet", "10.99.0.1/28", "--firewall", "none"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(bridge(&host, &[]).code, 0);
    let new = link(&host, "br-pods")["address"].clone();
    host.sh("ip link set w0 master br-old && ip link set x0 master br-pods && ip link set v0 nomaster");
    assert_eq!((&link(&host, "br-old")["address"], &link(&host, "br-pods")["address"]), (&old, &new));
    assert!(unchanged(&bridge(&host, &[])));
}

#[test]
fn no_port_changes_the_mtu_that_was_asked_for() {
    let Some(host) = host() else { return };
    for (at, (mtu, port)) in [(1450, 1500), (1500, 9000), (8951, 1400)].into_iter().enumerate() {
        let (name, mtu, subnet) = (format!("br{at}"), mtu.to_string(), format!("10.7.{at}.1/24"));
        let args = ["bridge", "--name", &name, "--subnet", &subnet, "--mtu", &mtu, "--no-masquerade"];
        assert_eq!(host.kboot(&args).code, 0);
        host.sh(&format!(
            "ip link add v{at} mtu {port} type veth peer name w{at} && ip link set v{at} master {name}"
        ));
        assert_eq!(link(&host, &name)["mtu"].to_string(), mtu, "after a port with {port}");
        assert!(unchanged(&host.kboot(&args)));
    }
}

/// With settings of an administrator's; those of VLANs where the kernel has them.
const OLD: &str = "ip link add br-pods type bridge stp_state 1 forward_delay 3000 ageing_time 7700 \
    group_fwd_mask 16 mcast_snooping 0 priority 4096 && \
    ip link add v0 type veth peer name v1 && ip link set v0 master br-pods up && ip link set v1 up && \
    bridge link set dev v0 cost 7 && bridge fdb add 02:00:00:00:00:77 dev v0 master static && \
    if ip link set br-pods type bridge vlan_filtering 1 2>/dev/null; then \
        bridge vlan add dev v0 vid 30 pvid untagged; fi";

#[test]
fn of_an_old_bridge_stp_and_delay_are_changed_and_no_other_setting() {
    let Some(host) = host() else { return };
    host.sh(OLD);
    let mut wanted = settings(&host, "br-pods");
    wanted["stp_state"] = json!(0);
    wanted["forward_delay"] = json!(0);
    let others = |host: &Host| {
        host.sh("bridge -j vlan; bridge fdb show br br-pods | grep 02:00:00:00:00:77; bridge link | grep -o 'master br-pods\\|cost.*'")
    };
    let before = others(&host);
    let done = bridge(&host, &[]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(settings(&host, "br-pods"), wanted);
    assert_eq!(others(&host), before);
    let at = |word: &str| done.stderr.find(word).unwrap_or_else(|| panic!("{word}: {done:?}"));
    assert!(at("stp_state 0") < at("forward_delay 0"), "the kernel takes no 0 while STP is on: {done:?}");
    assert!(unchanged(&bridge(&host, &[])));
}

/// With STP's delay, they would only forward after 30 s.
#[test]
fn the_ports_of_an_stp_bridge_forward_when_kboot_says_up() {
    let Some(host) = host() else { return };
    host.sh(&format!("{OLD} && ip link set br-pods up"));
    assert_eq!(host.sh("bridge link show dev v0 | grep -c listening"), "1\n");
    assert_eq!(bridge(&host, &[]).code, 0);
    let ports = host.sh("bridge link show dev v0");
    assert!(ports.contains("state forwarding"), "{ports}");
}

#[test]
fn links_are_attached_once_and_set_up() {
    let Some(host) = host() else { return };
    host.sh("for i in 0 1; do ip link add v$i type veth peer name w$i; done");
    let attach = ["--attach", "v0", "--attach", "v1"];
    let done = bridge(&host, &attach);
    assert_eq!(done.code, 0, "{done:?}");
    for port in ["v0", "v1"] {
        let link = link(&host, port);
        assert!(link["master"] == "br-pods" && is_up(&link), "{link}");
    }
    let again = bridge(&host, &attach);
    assert!(unchanged(&again), "{again:?}");
    assert!(unchanged(&bridge(&host, &[])), "not asked for, a port stays");
    assert_eq!(link(&host, "v0")["master"], "br-pods");
}

/// And nothing is done, not even forwarding set.
#[test]
fn what_cannot_be_a_port_is_refused() {
    let Some(host) = host() else { return };
    host.sh("for i in 0 1; do ip link add v$i type veth peer name w$i; done; ip link add br-other type bridge; ip link set v0 master br-other; ip addr add 192.0.2.1/28 dev v1");
    let before = everything(&host);
    let refused = [
        ("v0", 3, "is a port of br-other already: ip link set v0 nomaster first"),
        ("v1", 3, "has the address 192.0.2.1/28, which a port cannot use: the host would lose it"),
        ("br-other", 3, "is a bridge itself: a bridge cannot be another's port"),
        ("eth7", 1, "there is no such link"),
    ];
    let mut wrong = Vec::new();
    for (port, code, why) in refused {
        let done = bridge(&host, &["--attach", port]);
        let last = done.stderr.lines().last().unwrap_or_default();
        if (done.code, last) != (code, &format!("kboot bridge: --attach {port}: {why}")) {
            wrong.push(format!("{port}: {done:?}"));
        }
        if everything(&host) != before {
            wrong.push(format!("{port}: touched: {}", everything(&host)));
            host.sh("sysctl -w net.ipv4.ip_forward=0; rm -rf /run/kboot");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_bridge_is_no_port_of_its_own() {
    let Some(host) = host() else { return };
    let done = bridge(&host, &["--attach", "br-pods"]);
    assert_eq!((done.code, host.ip("link").as_array().unwrap().len()), (2, 1), "{done:?}");
}

/// The hairpin modes of two veths and an ifb, and whether the bridge is promiscuous.
fn modes(host: &Host) -> (bool, [bool; 3]) {
    let hairpin = |port: &str| link(host, port)["linkinfo"]["info_slave_data"]["hairpin"] == json!(true);
    let flags = link(host, "br-pods")["flags"].clone();
    (flags.as_array().unwrap().contains(&"PROMISC".into()), ["v0", "v1", "ifb7"].map(hairpin))
}

#[test]
fn each_hairpin_mode_follows_any_other() {
    let Some(host) = host() else { return };
    assert_eq!(bridge(&host, &[]).code, 0);
    host.sh("for i in 0 1; do ip link add v$i type veth peer name w$i; ip link set v$i master br-pods; done; ip link add ifb7 type ifb; ip link set ifb7 master br-pods; bridge link set dev ifb7 hairpin on");
    let wanted =
        |mode: &str| (mode == "promiscuous-bridge", [mode == "hairpin-veth", mode == "hairpin-veth", true]);
    let all = ["promiscuous-bridge", "hairpin-veth", "none"];
    for (first, second) in all.iter().flat_map(|a| all.iter().map(move |b| (a, b))) {
        for mode in [first, second] {
            let done = bridge(&host, &["--hairpin-mode", mode]);
            assert_eq!((done.code, modes(&host)), (0, wanted(mode)), "{done:?}");
        }
        assert!(unchanged(&bridge(&host, &["--hairpin-mode", second])));
        assert!(unchanged(&bridge(&host, &[])), "not asked for, it stays");
        assert_eq!(modes(&host), wanted(second));
    }
    let wrong = bridge(&host, &["--hairpin-mode", "veth"]);
    assert_eq!(
        wrong.error(),
        (2, "kboot bridge: --hairpin-mode veth: is promiscuous-bridge, hairpin-veth or none")
    );
}

#[test]
fn a_port_that_is_attached_now_hairpins_now() {
    let Some(host) = host() else { return };
    host.sh("ip link add v0 type veth peer name v1");
    let args = ["--attach", "v0", "--hairpin-mode", "hairpin-veth"];
    assert_eq!(bridge(&host, &args).code, 0);
    assert_eq!(link(&host, "v0")["linkinfo"]["info_slave_data"]["hairpin"], json!(true));
    assert!(unchanged(&bridge(&host, &args)));
}

#[test]
fn more_addresses_come_and_go_as_asked() {
    let Some(host) = host() else { return };
    let more =
        ["--address", "169.254.20.10/32", "--address", "fd00:7:5::5/128", "--address", "172.20.7.8/24"];
    assert_eq!(bridge(&host, &more).code, 0);
    assert_eq!(
        addrs(&host, "br-pods"),
        ["172.20.7.1/24", "169.254.20.10/32", "172.20.7.8/24", "fd00:7:5::5/128"]
    );
    assert!(unchanged(&bridge(&host, &more)));
    host.sh("ip addr add 192.0.2.4/28 dev br-pods");
    assert_eq!(bridge(&host, &more[..2]).code, 0);
    assert_eq!(addrs(&host, "br-pods"), ["172.20.7.1/24", "169.254.20.10/32", "192.0.2.4/28"]);
    assert_eq!(bridge(&host, &[]).code, 0);
    assert_eq!(addrs(&host, "br-pods"), ["172.20.7.1/24", "192.0.2.4/28"]);
    let twice = bridge(&host, &[&more[..2], &more[..2], &["--address", "172.20.7.1/24"]].concat());
    assert!(twice.stderr.contains("172.20.7.1/24 169.254.20.10/32 up (1 changed"), "{twice:?}");
}

#[test]
fn the_kernel_is_told_of_what_differs_and_of_nothing_else() {
    let Some(host) = host() else { return };
    // Nothing that the kernel would tell of by itself.
    host.sh("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
    host.sh("ip link add v0 type veth peer name v1; ip link add v2 type veth peer name v3; ip link set v0 up; ip link set v1 up");
    let args = [
        "--mtu",
        "1450",
        "--address",
        "169.254.20.10/32",
        "--attach",
        "v0",
        "--hairpin-mode",
        "hairpin-veth",
    ];
    for _ in 0..2 {
        assert_eq!(bridge(&host, &args).code, 0);
    }
    until("the port forwards", || host.sh("bridge link show dev v0").contains("forwarding"));
    let monitor = Monitor::start(&host);
    assert!(unchanged(&bridge(&host, &args)));
    assert_eq!(monitor.end(), Vec::<String>::new());

    host.sh("ip link set br-pods mtu 1400; ip addr del 169.254.20.10/32 dev br-pods");
    let monitor = Monitor::start(&host);
    assert_eq!(bridge(&host, &args).code, 0);
    let told = monitor.end();
    assert!(told[0].contains("br-pods") && told[0].contains("mtu 1450"), "{told:#?}");
    assert!(told[1].contains("169.254.20.10/32"), "{told:#?}");
    assert!(told[2..].iter().all(|l| l.contains("local 169.254.20.10 ")), "{told:#?}");
}

//! ipconfig without a DHCP server: static addresses, bad words, links that are not there.

use std::fs;

use crate::support::dhcp::Net;
use crate::support::host::Host;
use crate::support::{Scratch, finish, root_user, run, until};

/// A host with two links that lead nowhere; up ones have a carrier.
fn host() -> Option<(Host, Host)> {
    root_user().then(|| {
        let (here, there) = (Host::new(), Host::new());
        here.join("wan", &there, "far1");
        here.join("lan", &there, "far2");
        here.sh("ip link set wan down && ip link set lan down && ip link set lo down");
        (here, there)
    })
}

#[test]
fn a_static_address_with_all_that_belongs_to_it_and_again() {
    let Some((host, _there)) = host() else { return };
    let dir = Scratch::new();
    let resolv = dir.path("etc/resolv.conf");
    let spec = "10.71.2.15::10.71.2.2:255.255.255.0::wan:none:10.71.2.3:9.9.9.9";
    let args = ["ipconfig", "--ip", spec, "--resolv-conf", &resolv];
    let first = host.kboot(&args);
    first.ok();
    assert!(
        first.stderr.contains("wan 10.71.2.15/24 via 10.71.2.2 (static) (5 changed, 0 already so)"),
        "{first:?}"
    );
    let address = &host.ip("-4 addr show dev wan")[0];
    assert_eq!(address["addr_info"][0]["local"], "10.71.2.15");
    assert_eq!(
        (&address["addr_info"][0]["prefixlen"], &address["addr_info"][0]["broadcast"]),
        (&24.into(), &"10.71.2.255".into())
    );
    let route = &host.ip("route show default")[0];
    assert_eq!((&route["gateway"], &route["dev"]), (&"10.71.2.2".into(), &"wan".into()));
    assert_eq!(fs::read_to_string(&resolv).unwrap(), "nameserver 10.71.2.3\nnameserver 9.9.9.9\n");
    assert!(host.sh("ip link show lo").contains("LOOPBACK,UP"));
    let again = host.kboot(&args);
    assert!(again.stderr.contains("(0 changed, 5 already so)"), "{again:?}");
}

#[test]
fn the_dry_run_says_it_in_ips_words_and_does_nothing() {
    let Some((host, _there)) = host() else { return };
    let dir = Scratch::new();
    let resolv = dir.path("resolv.conf");
    let mac = host.ip("link show lan")[0]["address"].as_str().unwrap().to_owned();
    let specs = [
        "ipconfig",
        "--dry-run",
        "--ip",
        "10.72.0.9/22::10.72.0.1::::none:10.72.0.1",
        "--device",
        &mac,
        "--resolv-conf",
        &resolv,
    ];
    let done = host.kboot(&specs);
    assert_eq!(
        done.ok(),
        format!(
            "ip link set lo up\nip link set lan up\nip addr add 10.72.0.9/22 brd + dev lan\n\
             ip route replace default via 10.72.0.1 dev lan\nwrite {resolv}: nameserver 10.72.0.1\n"
        )
    );
    let done = host.kboot(&["ipconfig", "--dry-run", "--ip", "lan:dhcp:1400", "--json"]);
    let texts: Vec<&str> = done.json()["planned"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["text"].as_str().unwrap().to_owned().leak() as &str)
        .collect();
    assert_eq!(
        texts,
        [
            "ip link set lo up",
            "ip link set lan mtu 1400",
            "ip link set lan up",
            &format!("dhcp lan (ask for a lease, from {mac})")
        ]
    );
    assert!(!host.ip("-4 addr show dev lan").to_string().contains("local"));
    assert!(host.sh("ip link show lan").contains("state DOWN") && !fs::exists(&resolv).unwrap());
}

#[test]
fn both_families_on_one_link_and_another_beside_it() {
    let Some((host, _there)) = host() else { return };
    let dir = Scratch::new();
    let done = host.kboot(&[
        "ipconfig",
        "--resolv-conf",
        &dir.path("r"),
        "--ip",
        "10.73.5.9::10.73.5.1:24::wan:none",
        "--ip",
        "[fd73:5::9]::[fd73:5::1]:64::wan:none:[fd73:5::53]",
        "--ip",
        "192.168.73.4::192.168.73.1:24::lan:none:1400",
    ]);
    done.ok();
    assert!(done.stderr.contains("lan: no default via 192.168.73.1: wan has the default route"), "{done:?}");
    let six = host.ip("-6 addr show dev wan");
    let six = six[0]["addr_info"].as_array().unwrap();
    assert!(
        six.iter().any(|a| a["local"] == "fd73:5::9" && a["prefixlen"] == 64 && a["tentative"].is_null()),
        "{six:?}"
    );
    assert_eq!(host.ip("-6 route show default")[0]["gateway"], "fd73:5::1");
    assert_eq!(host.ip("route show default").as_array().unwrap().len(), 1);
    assert_eq!(host.ip("link show lan")[0]["mtu"], 1400);
    assert_eq!(fs::read_to_string(dir.path("r")).unwrap(), "nameserver fd73:5::53\n");
}

#[test]
fn a_gateway_outside_a_host_prefix() {
    let Some((host, _there)) = host() else { return };
    host.kboot(&["ipconfig", "--ip", "100.64.7.9::10.74.0.1:32::wan:none"]).ok();
    let route = &host.ip("route show default")[0];
    assert_eq!((&route["gateway"], &route["flags"]), (&"10.74.0.1".into(), &serde_json::json!(["onlink"])));
}

#[test]
fn links_that_do_not_come() {
    let Some((host, _there)) = host() else { return };
    for (args, error) in [
        (
            &["--ip", "eth7:dhcp", "--timeout", "300ms"][..],
            "link eth7: not within 300ms: there is none of that name: lo, lan, wan",
        ),
        // Both are veth, which software makes: nobody said that it may be one of them.
        (&["--timeout", "0"], "a network link: there is no Ethernet card (a driver?) among lo, lan, wan"),
    ] {
        let done = host.kboot(&[&["ipconfig"], args].concat());
        let last = done.stderr.lines().last().unwrap();
        let sorted = |text: &str| {
            let mut w: Vec<_> = text.split([' ', ',']).map(str::to_owned).collect();
            w.sort();
            w
        };
        assert_eq!((done.code, sorted(last)), (75, sorted(&format!("kboot ipconfig: {error}"))), "{done:?}");
    }
    host.sh("ip link add dangling type veth peer name end");
    let done = host.kboot(&["ipconfig", "--ip", "dangling:dhcp", "--timeout", "300ms"]);
    let last = done.stderr.lines().last().unwrap();
    assert_eq!(
        (done.code, last),
        (75, "kboot ipconfig: link dangling: not within 300ms: has no carrier: is its cable in?")
    );
}

#[test]
fn a_link_that_comes_late_is_awaited() {
    let Some(net) = Net::new("10.75.1") else { return };
    let running = net.spawn(&["--ip", "10.75.1.9::10.75.1.1:24::late0:none", "--timeout", "30"]);
    until("it waits", || net.kboot_log().contains("waiting for link late0: there is none"));
    net.client.sh("ip link add late0 type veth peer name late1");
    assert_eq!(running.end().code, 0, "{}", net.kboot_log());
    assert!(net.client.sh("ip addr show late0").contains("10.75.1.9/24"));
}

#[test]
fn what_is_wrong_touches_nothing() {
    for (args, error) in [
        (
            &["--ip", "eth0:dhcp6"][..],
            "--ip eth0:dhcp6: dhcp6: kboot sets IPv6 addresses as written only; routers' advertisements are the kernel's: leave it away",
        ),
        (
            &["--ip", "10.0.0.5:::255.0.255.0"],
            "--ip 10.0.0.5:::255.0.255.0: netmask \"255.0.255.0\": is none, nor the length of a prefix",
        ),
        (&["--ip", "dhcp", "--ip", "off"], "--ip: two of them name no device"),
        (&["--ip", "eth0:dhcp", "--device", "eth1"], "--ip speaks of other links than --device eth1"),
        (&["--device", "a/b"], "--device a/b: an interface name has no '/'"),
        (&["--keep", "--json"], "--keep goes on: --json would have no end"),
    ] {
        let done = run(&[&["ipconfig"], args].concat());
        assert_eq!((done.code, done.stderr.trim_end()), (2, format!("kboot ipconfig: {error}").as_str()));
    }
}

/// The kernel's line is a file mounted over the real one.
#[test]
fn the_kernels_command_line() {
    let Some((host, _there)) = host() else { return };
    let dir = Scratch::new();
    let resolv = dir.path("r");
    for (line, code, text) in [
        (
            "ro ip=10.76.0.9:::24::wan:none nameserver=10.76.0.3 nameserver=[fd76::3]",
            0,
            "ip addr add 10.76.0.9/24 brd + dev wan",
        ),
        ("ip=dhcp kboot.ip=10.76.1.9:::24::lan:none", 0, "ip addr add 10.76.1.9/24 brd + dev lan"),
        ("ip=wan:dhcp ip=10.76.2.9:::24::lan:none", 0, "dhcp wan (ask"),
        ("ip=off", 0, "ip link set lo up"),
        (
            "ip=10.76.0.9:::24::wan:nono",
            2,
            "kernel parameter ip=10.76.0.9:::24::wan:nono: autoconf \"nono\": is none of dhcp, on, off, none",
        ),
        ("nameserver=x ip=wan:dhcp", 2, "kernel parameter nameserver=x: is no address of a name server"),
    ] {
        let file = dir.file("cmdline", format!("{line}\n"));
        let binary = crate::support::binary();
        let inner = "mount --bind \"$0\" /proc/cmdline && exec \"$@\"";
        let words = [
            "--mount",
            "sh",
            "-c",
            inner,
            &file,
            binary.to_str().unwrap(),
            "ipconfig",
            "--dry-run",
            "--resolv-conf",
            &resolv,
        ];
        let done = finish(&mut host.command("unshare", &words));
        assert_eq!(done.code, code, "{line}: {done:?}");
        let said = format!("{}{}", done.stdout, done.stderr);
        assert!(said.contains(text), "{line}: {said}");
        let servers = said.contains("nameserver 10.76.0.3, nameserver fd76::3");
        assert_eq!(servers, line.contains("nameserver=1"), "{said}");
    }
}

#[test]
fn the_resolvers_file_is_followed_replaced_or_left() {
    let Some((host, _there)) = host() else { return };
    let dir = Scratch::new();
    let (link, target) = (dir.path("resolv.conf"), dir.file("target", "nameserver 1.2.3.4\n"));
    let spec = "10.77.2.15:::24::wan:none:10.77.2.3";
    let call = |spec: &str| host.kboot(&["ipconfig", "--ip", spec, "--resolv-conf", &link]);
    std::os::unix::fs::symlink(&target, &link).unwrap();
    call("10.77.2.15:::24::wan:none").ok();
    assert_eq!(fs::read_to_string(&target).unwrap(), "nameserver 1.2.3.4\n", "no server is known: it stays");
    call(spec).ok();
    assert_eq!(fs::read_to_string(&target).unwrap(), "nameserver 10.77.2.3\n");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    fs::remove_file(&target).unwrap();
    call(spec).ok();
    assert!(fs::symlink_metadata(&link).unwrap().is_file(), "a link to nothing");
    assert_eq!(fs::read_to_string(&link).unwrap(), "nameserver 10.77.2.3\n");
}

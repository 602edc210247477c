//! ipconfig against real DHCP servers, over a cable between two network namespaces.

use std::fs;

use crate::support::dhcp::Net;
use crate::support::machine::Machine;
use crate::support::until;

/// T1 and T2 of a few seconds: dnsmasq gives no lease shorter than two minutes.
const SOON: [&str; 2] = ["--dhcp-option-force=58,2", "--dhcp-option-force=59,4"];

#[test]
fn a_lease_with_all_that_comes_with_it_and_again() {
    let Some(net) = Net::new("10.81.1") else { return };
    let _server = net.dnsmasq(
        50,
        &[
            "--dhcp-option=option:dns-server,10.81.1.1,9.9.9.9",
            "--dhcp-option=option:mtu,1400",
            "--dhcp-option-force=12,node-from-dhcp",
            "--domain=nodes.example",
        ],
    );
    let done = net.run(&["--ip", "uplink:dhcp", "--timeout", "20"]);
    done.ok();
    let addresses = net.addresses();
    assert!(addresses.len() == 1 && addresses[0].starts_with("10.81.1."), "{addresses:?}");
    let line = format!("uplink {} via 10.81.1.1 (dhcp, lease 2m)", addresses[0]);
    assert!(done.stderr.contains(&line), "{done:?}");
    assert!(net.routes().contains(&"default via 10.81.1.1".to_owned()), "{:?}", net.routes());
    assert_eq!(
        fs::read_to_string(net.resolv()).unwrap(),
        "search nodes.example\nnameserver 10.81.1.1\nnameserver 9.9.9.9\n"
    );
    assert_eq!(net.hostname(), "node-from-dhcp");
    assert_eq!(net.client.ip("link show uplink")[0]["mtu"], 1400);
    net.client.sh("ping -c 1 -W 5 10.81.1.1 || busybox ping -c 1 -W 5 10.81.1.1");
    let again = net.run(&["--ip", "uplink:dhcp", "--timeout", "20"]);
    again.ok();
    assert_eq!(net.addresses(), addresses, "the same address is asked for");
    // The hostname is another namespace's again.
    assert!(again.stderr.contains("(1 changed, "), "{again:?}");
}

#[test]
fn a_name_that_is_there_stays_and_one_in_ip_wins() {
    let Some(net) = Net::new("10.81.2") else { return };
    let _server = net.dnsmasq(50, &["--dhcp-option-force=12,other"]);
    for (start, spec, name) in [
        ("mine", "uplink:dhcp", "mine"),
        ("localhost", "uplink:dhcp", "other"),
        ("mine", "::::given:uplink:dhcp", "given"),
    ] {
        let mut command = net.command(&["--ip", spec, "--timeout", "20"]);
        crate::support::finish(command.env("START", start)).ok();
        assert_eq!(net.hostname(), name, "{start} {spec}");
    }
}

#[test]
fn another_server_another_dialect() {
    let Some(net) = Net::new("10.81.3") else { return };
    // No router, a prefix of 32 bits, routes in its place; ten minutes.
    let more = "option lease 600\noption dns 10.81.3.1\noption subnet 255.255.255.255\noption staticroutes 10.81.3.1/32 0.0.0.0, 0.0.0.0/0 10.81.3.1, 172.30.8.0/21 10.81.3.1";
    let _server = net.udhcpd(77, more);
    let done = net.run(&["--ip", "uplink:dhcp", "--timeout", "20"]);
    done.ok();
    assert_eq!(net.addresses(), ["10.81.3.77/32"]);
    assert!(done.stderr.contains("uplink 10.81.3.77/32 via 10.81.3.1 (dhcp, lease 10m)"), "{done:?}");
    let routes = net.routes();
    for route in ["default via 10.81.3.1", "10.81.3.1 scope link", "172.30.8.0/21 via 10.81.3.1"] {
        assert!(routes.iter().any(|r| r == route), "{route}: {routes:?}");
    }
}

#[test]
fn of_two_servers_one_is_taken() {
    let Some(net) = Net::new("10.81.4") else { return };
    let one = net.dnsmasq(50, &[]);
    let _other = net.udhcpd(200, "");
    net.run(&["--ip", "uplink:dhcp", "--timeout", "20"]).ok();
    let addresses = net.addresses();
    assert_eq!(addresses.len(), 1, "{addresses:?}");
    // What it has is wished for again, and the other server does not know of it.
    one.stop();
    net.run(&["--ip", "uplink:dhcp", "--timeout", "20"]).ok();
    assert_eq!(net.addresses(), ["10.81.4.200/24"], "the old one is gone");
}

#[test]
fn without_a_server_it_says_what_it_tried() {
    let Some(net) = Net::new("10.81.5") else { return };
    let done = net.run(&["--ip", "uplink:dhcp", "--timeout", "2500ms"]);
    let mac = net.client.ip("link show uplink")[0]["address"].as_str().unwrap().to_owned();
    let last = done.stderr.lines().last().unwrap();
    let text = format!(
        "kboot ipconfig: a DHCP lease for uplink: not within 2500ms: no server answered (asked 2 times, from {mac})"
    );
    assert_eq!((done.code, last), (75, text.as_str()));
    assert!(net.addresses().is_empty());
}

#[test]
fn a_server_that_starts_later_is_awaited() {
    let Some(net) = Net::new("10.81.6") else { return };
    net.server.sh("ip link set west down");
    let running = net.spawn(&["--ip", "uplink:dhcp", "--timeout", "50"]);
    until("it waits for a carrier", || net.kboot_log().contains("link uplink: has no carrier"));
    net.server.sh("ip link set west up");
    until("it asks", || net.kboot_log().contains("no server answered (asked 1 times"));
    let _server = net.dnsmasq(50, &[]);
    assert_eq!(running.end().code, 0, "{}", net.kboot_log());
    assert_eq!(net.addresses().len(), 1);
}

#[test]
fn a_lease_is_renewed_and_a_killed_keeper_finds_it_again() {
    let Some(net) = Net::new("10.81.7") else { return };
    let _server = net.dnsmasq(50, &SOON);
    let keeper = net.spawn(&["--ip", "uplink:dhcp", "--keep"]);
    until("it is renewed twice", || net.kboot_log().matches("renewed for 2m").count() == 2);
    let addresses = net.addresses();
    // By the server's own address: nothing is broadcast.
    assert!(net.log().matches("DHCPREQUEST(west)").count() >= 3, "{}", net.log());
    keeper.kill();
    assert_eq!(net.addresses(), addresses);
    let _keeper = net.spawn(&["--ip", "uplink:dhcp", "--keep"]);
    until("the next keeper renews it", || net.kboot_log().contains("renewed for 2m"));
    assert_eq!(net.addresses(), addresses);
}

#[test]
fn any_server_is_asked_when_the_first_is_gone() {
    let Some(net) = Net::new("10.81.8") else { return };
    let server = net.dnsmasq(50, &SOON);
    let _keeper = net.spawn(&["--ip", "uplink:dhcp", "--keep"]);
    until("it has one", || !net.addresses().is_empty());
    let addresses = net.addresses();
    server.stop();
    net.server.sh("ip addr flush dev west && ip addr add 10.81.8.3/24 brd + dev west");
    // With the same leases at another address.
    let _other = net.dnsmasq(50, &SOON);
    until("it is renewed", || net.kboot_log().contains("renewed for 2m"));
    assert_eq!(net.addresses(), addresses);
}

#[test]
fn an_address_that_is_taken_back_goes_and_another_comes() {
    let Some(net) = Net::new("10.81.9") else { return };
    let server = net.dnsmasq(50, &SOON);
    let _keeper = net.spawn(&["--ip", "uplink:dhcp", "--keep"]);
    until("it has one", || !net.addresses().is_empty());
    let old = net.addresses();
    server.stop();
    fs::remove_file(net.dir.path("leases")).unwrap();
    // Authoritative, and it has other addresses now: NAK.
    let _other = net.dnsmasq(150, &SOON);
    until("it is told off", || net.kboot_log().contains("takes it back"));
    until("it has another", || net.addresses().len() == 1 && net.addresses() != old);
    assert!(net.routes().contains(&"default via 10.81.9.1".to_owned()), "{:?}", net.routes());
}

/// What the card's driver needs, in this order.
const CARD: [&str; 8] = [
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci",
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
];

/// In a virtual machine, whose card leaves checksums to others, from QEMU's own DHCP server: nobody says
/// which link. The card comes while it is awaited.
#[test]
fn the_first_card_of_a_machine_is_found_and_configured() {
    let Some(mut machine) = Machine::new() else { return };
    let card = "user,model=virtio-net-pci,net=10.81.77.0/24,hostname=from-qemu";
    machine.devices = ["-nic", card].map(str::to_owned).into();
    let tree = machine.directory.join("lib/modules").join(&machine.release).join("kernel");
    for (at, name) in CARD.iter().enumerate() {
        machine.file(&format!("m/{at}.ko"), fs::read(tree.join(format!("{name}.ko"))).unwrap());
    }
    let insert = "for at in 0 1 2 3 4 5 6 7; do insmod /m/$at.ko; done";
    let written = machine.boot(
        "",
        &[
            &format!("{{ sleep 2; {insert}; }} & kboot ipconfig --timeout 40; echo exit $?"),
            "ip -4 -o addr show; ip route; cat /etc/resolv.conf; hostname",
            "kboot ipconfig --timeout 40",
        ],
    );
    let log = &written[0];
    assert!(
        log.contains("waiting for a network link: there is no Ethernet card (a driver?) among lo"),
        "{log}"
    );
    assert!(
        log.contains("eth0 10.81.77.15/24 via 10.81.77.2 (dhcp, lease 24h)") && log.ends_with("exit 0\n"),
        "{log}"
    );
    for line in
        ["inet 10.81.77.15/24", "default via 10.81.77.2 dev eth0", "nameserver 10.81.77.3\n", "from-qemu\n"]
    {
        assert!(written[1].contains(line), "{line}: {}", written[1]);
    }
    assert!(written[2].contains("(0 changed, "), "{}", written[2]);
}

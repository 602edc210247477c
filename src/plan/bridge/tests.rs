//! The bridge and its end, by tables of facts.

use super::link::{plan, rival, stale};
use super::masquerade::{Masquerade, masquerade};
use super::*;
use crate::types::{Cidr, IfName};

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn wanted(addrs: &[&str]) -> Wanted {
    Wanted {
        name: name("br-pods"),
        addrs: addrs.iter().map(|a| cidr(a)).collect(),
        mtu: Some(1450),
        cluster: vec![cidr("10.7.0.0/16")],
        promiscuous: None,
        hairpin: None,
    }
}

fn link(addrs: &[&str]) -> Link {
    Link {
        index: 7,
        mtu: 1450,
        up: true,
        promiscuous: false,
        mac: "0a:6b:0a:07:03:01".parse().ok(),
        stp: Some(false),
        forward_delay: Some(0),
        addrs: addrs.iter().map(|a| cidr(a)).collect(),
    }
}

fn facts(link: Link) -> Facts {
    Facts { link: Some(link), ..Facts::default() }
}

fn record(addrs: &[&str]) -> Record {
    Record { addrs: addrs.iter().map(|a| cidr(a)).collect(), made: true, index: Some(7), ..Record::default() }
}

fn texts(changes: &[Change]) -> Vec<String> {
    changes.iter().map(|c| c.step.to_string()).collect()
}

#[test]
fn from_nothing() {
    let plan = plan(&wanted(&["10.7.3.1/24", "fd00:7:3::1/64"]), &Facts::default());
    assert_eq!(plan.already, 0);
    assert_eq!(
        texts(&plan.changes),
        [
            "ip link add br-pods address 0a:6b:0a:07:03:01 type bridge stp_state 0 forward_delay 0",
            "ip link set br-pods mtu 1450",
            "ip addr add 10.7.3.1/24 brd + dev br-pods",
            "ip addr add fd00:7:3::1/64 dev br-pods nodad",
            "ip link set br-pods up",
        ]
    );
}

#[test]
fn as_wanted_nothing_is_done_and_an_administrators_address_stays() {
    let there = facts(link(&["192.0.2.7/24", "10.7.3.1/24"]));
    assert_eq!(plan(&wanted(&["10.7.3.1/24"]), &there), Plan { changes: vec![], already: 3 });
    assert!(stale(&wanted(&["10.7.3.1/24"]), &there).is_empty());
}

#[test]
fn each_difference_is_one_step_and_one_line() {
    let other = Link {
        mtu: 1500,
        up: false,
        mac: "aa:93:fd:54:d5:5e".parse().ok(),
        stp: Some(true),
        forward_delay: Some(1500),
        ..link(&["10.7.3.1/24"])
    };
    let changes = plan(&wanted(&["10.7.3.1/24"]), &facts(other)).changes;
    let shown: Vec<(String, &str)> = changes.iter().map(|c| (c.step.to_string(), c.why.as_str())).collect();
    let want = [
        ("ip link set br-pods mtu 1450", "br-pods: the MTU is 1500, wanted is 1450"),
        (
            "ip link set br-pods address aa:93:fd:54:d5:5e",
            "br-pods: its address aa:93:fd:54:d5:5e may change with its ports",
        ),
        // An STP bridge takes no delay below 2 s: off first.
        ("ip link set br-pods type bridge stp_state 0", "br-pods: speaks STP: new pods wait for it"),
        (
            "ip link set br-pods type bridge forward_delay 0",
            "br-pods: the forward delay is 15.00 s, wanted is 0",
        ),
        ("ip link set br-pods up", "br-pods: is down"),
    ];
    assert_eq!(shown.iter().map(|(s, w)| (s.as_str(), *w)).collect::<Vec<_>>(), want);
}

#[test]
fn what_the_kernel_does_not_say_and_what_is_recorded_is_left_alone() {
    let mac = "aa:93:fd:54:d5:5e".parse().ok();
    let old = Link { mac, stp: None, forward_delay: None, ..link(&["10.7.3.1/24"]) };
    let record = Some(Record { mac, ..Record::default() });
    let plan = plan(&wanted(&["10.7.3.1/24"]), &Facts { record, ..facts(old) });
    assert_eq!(plan.changes, []);
}

#[test]
fn modes_and_ports() {
    let port = |n: &str, is_veth, hairpin| Port { name: name(n), is_veth, hairpin, waits: false };
    let mut goal = wanted(&["10.7.3.1/24"]);
    (goal.promiscuous, goal.hairpin) = (Some(true), Some(false));
    let mut there = facts(link(&["10.7.3.1/24"]));
    there.ports = vec![port("veth1", true, true), port("veth2", true, false), port("eth1", false, true)];
    there.attach = vec![
        Candidate { name: name("eth1"), is_port: true, is_attached: true, is_veth: false },
        Candidate { name: name("veth9"), is_port: false, is_attached: false, is_veth: true },
    ];
    assert_eq!(
        texts(&plan(&goal, &there).changes),
        [
            "ip link set veth9 up master br-pods",
            "ip link set br-pods mtu 1450",
            "ip link set br-pods promisc on",
            "bridge link set dev veth1 hairpin off",
        ]
    );
}

#[test]
fn the_new_lease_comes_before_the_old_goes() {
    let there = |record| Facts { record, ..facts(link(&["10.7.2.1/24", "10.9.9.1/24"])) };
    let goal = wanted(&["10.7.3.1/24"]);
    assert_eq!(texts(&plan(&goal, &there(None)).changes), ["ip addr add 10.7.3.1/24 brd + dev br-pods"]);
    let gone = ["ip addr del 10.7.2.1/24 dev br-pods"];
    assert_eq!(texts(&stale(&goal, &there(None))), gone);
    assert_eq!(texts(&stale(&goal, &there(Some(record(&["10.7.2.1/24"]))))), gone);
    assert!(stale(&goal, &there(Some(record(&[])))).is_empty(), "the record says: not ours");
    // The kernel would take the younger ones of its network along.
    let near =
        Facts { record: Some(record(&["10.7.3.9/24"])), ..facts(link(&["10.7.3.9/24", "10.7.3.1/24"])) };
    assert_eq!(
        texts(&stale(&goal, &near)),
        ["sysctl -w net/ipv4/conf/br-pods/promote_secondaries=1", "ip addr del 10.7.3.9/24 dev br-pods"]
    );
}

#[test]
fn a_bridge_that_lost_its_last_port_gets_an_address() {
    let empty = Link { mac: "00:00:00:00:00:00".parse().ok(), ..link(&["10.7.3.1/24"]) };
    let record = Some(Record { mac: empty.mac, ..Record::default() });
    let changes = plan(&wanted(&["10.7.3.1/24"]), &Facts { record, ..facts(empty) }).changes;
    assert_eq!(texts(&changes), ["ip link set br-pods address 0a:6b:0a:07:03:01"]);
}

#[test]
fn the_mtu_that_a_link_has_anyway_is_pinned_too() {
    let goal = Wanted { mtu: Some(1500), ..wanted(&["10.7.3.1/24"]) };
    let steps = texts(&plan(&goal, &Facts::default()).changes);
    assert!(steps[0].starts_with("ip link add br-pods mtu 1499 address "), "{steps:?}");
    assert_eq!(steps[1], "ip link set br-pods mtu 1500");
}

#[test]
fn an_ipv6_address_is_there_with_one_prefix_only() {
    let goal = wanted(&["fd00:7:3::1/64"]);
    let there = |record| Facts { record, ..facts(link(&["fd00:7:3::1/80"])) };
    let ours = there(Some(record(&["fd00:7:3::1/80"])));
    assert_eq!(
        texts(&plan(&goal, &ours).changes),
        ["ip addr del fd00:7:3::1/80 dev br-pods", "ip addr add fd00:7:3::1/64 dev br-pods nodad"]
    );
    assert!(stale(&goal, &ours).is_empty() && super::link::misfit(&goal, &ours).is_none());
    let text = super::link::misfit(&goal, &there(Some(record(&[])))).unwrap();
    assert!(text.ends_with("remove it (ip addr del fd00:7:3::1/80 dev br-pods)"), "{text}");
}

#[test]
fn ports_that_wait_for_stp_are_told_to_forward() {
    let waiting = |delay| {
        let link = Link { stp: Some(delay > 0), forward_delay: Some(delay), ..link(&["10.7.3.1/24"]) };
        let port = Port { name: name("veth1"), is_veth: true, hairpin: false, waits: true };
        texts(&plan(&wanted(&["10.7.3.1/24"]), &Facts { ports: vec![port], ..facts(link) }).changes)
    };
    assert_eq!(waiting(1500).last().unwrap(), "bridge link set dev veth1 state 3");
    assert!(waiting(0).is_empty());
}

#[test]
fn two_links_with_one_subnet() {
    let of =
        |link: &'static str, text: &str| rival(&[cidr("10.7.3.0/24")], std::iter::once((link, cidr(text))));
    assert!(of("docker0", "10.7.3.1/24").unwrap().contains("give --replace-docker0, or remove it"));
    assert!(of("cni0", "10.7.3.65/26").is_some());
    for (link, text) in [("flannel.1", "10.7.3.0/32"), ("flannel0", "10.7.3.0/16"), ("eth0", "192.0.2.7/24")]
    {
        assert_eq!(of(link, text), None, "{link}");
    }
}

#[test]
fn at_the_end_only_what_is_kboots_own_goes() {
    let end = |link: Link, ports: &[&str], record| {
        let ports = ports
            .iter()
            .map(|p| Port { name: name(p), is_veth: true, hairpin: false, waits: false })
            .collect();
        let facts = Facts { link: Some(link), ports, record, ..Facts::default() };
        let down = down::plan(&name("br-pods"), &facts, &[cidr("10.7.0.0/16")]);
        (texts(&down.changes), down.stays)
    };
    let gone = || vec!["ip link del br-pods".to_owned()];
    assert_eq!(end(link(&["10.7.3.1/24"]), &[], Some(record(&["10.7.3.1/24"]))), (gone(), None));
    assert_eq!(end(link(&["10.7.3.1/24"]), &[], None), (gone(), None), "told by its address 0a:6b");
    let address = || vec!["ip addr del 10.7.3.1/24 dev br-pods".to_owned()];
    let stays = |why: &str| (address(), Some(why.to_owned()));
    let ours = || Some(record(&["10.7.3.1/24"]));
    assert_eq!(end(link(&["10.7.3.1/24"]), &["veth1", "veth2"], ours()), stays("veth1, veth2 are on it"));
    let by_hand = Link { mac: "aa:93:fd:54:d5:5e".parse().ok(), ..link(&["10.7.3.1/24"]) };
    assert_eq!(end(by_hand, &[], None), stays("kboot did not make it"));
    let (steps, why) = end(link(&["10.7.3.1/24", "192.0.2.7/24"]), &[], ours());
    assert_eq!((steps.len(), why.as_deref()), (2, Some("192.0.2.7/24 is on it")));
    assert!(steps[0].ends_with("promote_secondaries=1"), "{steps:?}");
    let attached = Some(Record { ports: vec![name("eth1")], ..record(&["10.7.3.1/24"]) });
    assert_eq!(
        end(link(&["10.7.3.1/24"]), &["eth1"], attached).0,
        ["ip link set eth1 nomaster", "ip link del br-pods"]
    );
}

#[test]
fn who_masquerades() {
    let net = [cidr("10.7.0.0/16")];
    let outside = || Ok(Masquerade::Outside(net.to_vec()));
    assert_eq!(masquerade(&[cidr("10.7.1.2/16")], false, &[], None), outside());
    assert_eq!(masquerade(&[], false, &net, Some(false)), outside());
    assert!(matches!(masquerade(&[], false, &net, Some(true)), Ok(Masquerade::No(_))));
    assert!(matches!(masquerade(&[], false, &[], Some(false)), Ok(Masquerade::Unknown(_))));
    assert_eq!(
        masquerade(&[], false, &net, None),
        outside(),
        "flannel 0.2.0 masqueraded nothing and said nothing"
    );
    assert!(matches!(masquerade(&[], true, &net, Some(true)), Ok(Masquerade::No(_))));
    assert!(masquerade(&net, false, &[], Some(true)).is_err());
}

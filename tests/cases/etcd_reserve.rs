//! etcd-config --reserve against a real etcd; etcdctl reads what was written.

use serde_json::{Value, json};

use crate::support::between::exchange;
use crate::support::etcd::{Etcd, node2, node3};
use crate::support::{Done, run};

const DIR: &str = "/coreos.com/network/subnets";
const CONFIG: &str = r#"{"Network":"10.6.0.0/16","Backend":{"Type":"vxlan"}}"#;
const DUAL: &str =
    r#"{"Network":"10.6.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:6::/48","Backend":{"Type":"vxlan"}}"#;

/// An etcd with this config in both APIs.
fn etcd_with(config: &str) -> Option<Etcd> {
    let etcd = Etcd::start(&["--enable-v2"])?;
    etcd.ctl(2, &["set", "/coreos.com/network/config", config]).unwrap();
    etcd.ctl(3, &["put", "/coreos.com/network/config", config]).unwrap();
    Some(etcd)
}

fn call(etcd: &Etcd, more: &[&str]) -> Done {
    run(&[&["etcd-config", "--endpoints", &etcd.url], more].concat())
}

fn reserve(etcd: &Etcd, what: &[&str]) -> Done {
    call(etcd, &what.iter().flat_map(|r| ["--reserve", r]).collect::<Vec<_>>())
}

/// Puts a lease of a day into one API.
fn lease(etcd: &Etcd, api: u8, name: &str, value: &str) {
    let key = format!("{DIR}/{name}");
    if api == 2 {
        etcd.ctl(2, &["set", "--ttl", "86400", &key, value]).unwrap();
    } else {
        let granted = etcd.ctl(3, &["lease", "grant", "86400"]).unwrap();
        let lease = format!("--lease={}", granted.split(' ').nth(1).unwrap());
        etcd.ctl(3, &["put", &lease, &key, value]).unwrap();
    }
}

/// The value in both APIs, after making sure that it has no end in either.
fn reserved(etcd: &Etcd, name: &str) -> Value {
    let key = format!("{DIR}/{name}");
    let (two, three) = (node2(&etcd.url, &key).unwrap(), node3(&etcd.url, &key).unwrap());
    assert_eq!(
        (&two["ttl"], &two["expiration"], &three["lease"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!(two["value"], three["value"]);
    three["value"].clone()
}

/// All that is below flannel's prefix, in the words of each API, with every revision.
fn everything(etcd: &Etcd) -> (String, String) {
    let get = "GET /v2/keys/coreos.com/network?recursive=true&sorted=true HTTP/1.1\r\nHost: etcd\r\n\r\n";
    let two = exchange(&etcd.url, get).unwrap();
    let three = etcd.ctl(3, &["get", "--prefix", "-w", "fields", "/coreos.com/network/"]).unwrap();
    // Without their heads, which have the revision of the whole etcd.
    let body = |text: &str, from: &str| text.split_once(from).unwrap().1.to_owned();
    (body(&two, "\r\n\r\n"), body(&three, "\"Key\""))
}

#[test]
fn a_reservation_has_no_end_and_a_second_run_confirms_it() {
    let Some(etcd) = etcd_with(CONFIG) else { return };
    let done = reserve(&etcd, &["10.6.5.0/24=192.0.2.7", "10.6.48.0/24=192.0.2.8"]);
    assert!(
        done.stderr.ends_with(&format!("{DIR} in v2 and v3: 2 reserved (4 changed, 0 already so)\n")),
        "{done:?}"
    );
    assert!(done.stderr.contains("warning: flannel from 0.18 on makes a lease of 24 hours"), "{done:?}");
    assert_eq!(reserved(&etcd, "10.6.5.0-24"), json!(r#"{"PublicIP":"192.0.2.7"}"#));
    assert_eq!(reserved(&etcd, "10.6.48.0-24"), json!(r#"{"PublicIP":"192.0.2.8"}"#));
    let before = everything(&etcd);
    let done = reserve(&etcd, &["10.6.5.0/24=192.0.2.7", "10.6.48.0/24=192.0.2.8"]);
    assert!(done.stderr.ends_with("2 reserved (0 changed, 4 already so)\n") && done.code == 0, "{done:?}");
    assert_eq!(everything(&etcd), before);
}

#[test]
fn a_hosts_own_lease_becomes_its_reservation_as_it_is() {
    let Some(etcd) = etcd_with(CONFIG) else { return };
    let value =
        r#"{"PublicIP":"192.0.2.7","BackendType":"vxlan","BackendData":{"VtepMAC":"12:34:56:78:9a:bc"}}"#;
    lease(&etcd, 2, "10.6.5.0-24", value);
    lease(&etcd, 3, "10.6.5.0-24", value);
    let done = reserve(&etcd, &["10.6.5.0/24=192.0.2.7"]);
    assert!(done.stderr.ends_with("1 reserved (2 changed, 0 already so)\n") && done.code == 0, "{done:?}");
    assert_eq!(reserved(&etcd, "10.6.5.0-24"), json!(value));
    // The lease that it hung on takes nothing along when it ends.
    let leases = etcd.ctl(3, &["lease", "list"]).unwrap();
    etcd.ctl(3, &["lease", "revoke", leases.lines().nth(1).unwrap()]).unwrap();
    assert_eq!(reserved(&etcd, "10.6.5.0-24"), json!(value));
    assert!(reserve(&etcd, &["10.6.5.0/24=192.0.2.7"]).stderr.ends_with("(0 changed, 2 already so)\n"));
}

#[test]
fn what_another_host_has_is_a_conflict_and_nothing_is_touched() {
    let Some(etcd) = etcd_with(CONFIG) else { return };
    // In one API only, and the other comes first.
    lease(&etcd, 3, "10.6.5.0-24", r#"{"PublicIP":"192.0.2.9","BackendType":"vxlan"}"#);
    let before = everything(&etcd);
    for (what, says) in [
        ("10.6.5.0/24=192.0.2.7", "10.6.5.0/24 is leased to 192.0.2.9, wanted is 192.0.2.7"),
        ("10.6.6.0/24=192.0.2.9", "192.0.2.9 has 10.6.5.0/24 already: one host has one subnet"),
    ] {
        let done = reserve(&etcd, &["10.6.4.0/24=192.0.2.4", what]);
        let said = done.stderr.lines().last().unwrap();
        assert_eq!((done.code, said), (3, format!("kboot etcd-config: {DIR} (v3): {says}").as_str()));
    }
    assert_eq!(everything(&etcd), before);
}

#[test]
fn a_subnet_that_flannel_would_not_lease_is_2() {
    let Some(etcd) = etcd_with(CONFIG) else { return };
    let before = everything(&etcd);
    for subnet in ["10.8.5.0/24", "10.6.0.0/24", "10.6.5.0/25", "10.6.4.0/23"] {
        let says = format!("--reserve {subnet}: is none of the subnets 10.6.1.0-10.6.255.0 by /24 (v2)");
        let done = reserve(&etcd, &[&format!("{subnet}=192.0.2.7")]);
        assert_eq!(done.error(), (2, format!("kboot etcd-config: {says}").as_str()));
    }
    assert_eq!(everything(&etcd), before);
}

#[test]
fn without_a_config_there_is_nothing_to_reserve_but_both_go_in_one_call() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    assert_eq!(
        reserve(&etcd, &["10.6.5.0/24=192.0.2.7"]).error(),
        (1, "kboot etcd-config: /coreos.com/network/config: etcd holds no config: give it too")
    );
    let network = ["--network", "10.6.0.0/16", "--backend", "vxlan", "--reserve"];
    let done = call(&etcd, &[&network[..], &["10.7.5.0/24=192.0.2.7"]].concat());
    assert_eq!(done.code, 2, "{done:?}");
    assert_eq!(
        (etcd.get2("/coreos.com/network/config"), etcd.get3("/coreos.com/network/config")),
        (None, None)
    );
    let done = call(&etcd, &[&network[..], &["10.6.5.0/24=192.0.2.7"]].concat());
    assert!(done.stderr.ends_with("(4 changed, 0 already so)\n") && done.code == 0, "{done:?}");
    assert_eq!(etcd.get2("/coreos.com/network/config").as_deref(), Some(CONFIG));
    assert_eq!(etcd.get3("/coreos.com/network/config").as_deref(), Some(CONFIG));
    assert_eq!(reserved(&etcd, "10.6.5.0-24"), json!(r#"{"PublicIP":"192.0.2.7"}"#));
}

#[test]
fn in_dual_stack_both_subnets_are_reserved() {
    let Some(etcd) = etcd_with(DUAL) else { return };
    assert_eq!(
        reserve(&etcd, &["10.6.5.0/24=192.0.2.7"]).error(),
        (
            2,
            "kboot etcd-config: --reserve 10.6.5.0/24: the config has IPv6 too, and flannel would drop it: CIDR+CIDR6=IP"
        )
    );
    let done = reserve(&etcd, &["10.6.5.0/24+fd00:6:0:5::/64=192.0.2.7+2001:db8::7"]);
    assert!(done.stderr.ends_with("(2 changed, 0 already so)\n") && done.code == 0, "{done:?}");
    let value = r#"{"PublicIP":"192.0.2.7","PublicIPv6":"2001:db8::7"}"#;
    assert_eq!(reserved(&etcd, "10.6.5.0-24&fd00:6:0:5::-64"), json!(value));
    // Its IPv6 subnet is taken, though the IPv4 one is not.
    let before = everything(&etcd);
    let done = reserve(&etcd, &["10.6.6.0/24+fd00:6:0:5::/64=192.0.2.8+2001:db8::8"]);
    assert!(done.code == 3 && done.stderr.contains(" is leased to 192.0.2.7"), "{done:?}");
    assert_eq!(everything(&etcd), before);
    let Some(four) = etcd_with(CONFIG) else { return };
    assert_eq!(
        reserve(&four, &["10.6.5.0/24+fd00:6:0:5::/64=192.0.2.7"]).error(),
        (2, "kboot etcd-config: --reserve fd00:6:0:5::/64: the config has no IPv6: flannel would drop it")
    );
}

#[test]
fn reservations_that_contradict_each_other_are_refused_before_anything_is_written() {
    let Some(etcd) = etcd_with(CONFIG) else { return };
    let before = everything(&etcd);
    for what in [
        ["10.6.5.0/24=192.0.2.7", "10.6.5.0/24=192.0.2.8"],
        ["10.6.5.0/24=192.0.2.7", "10.6.6.0/24=192.0.2.7"],
    ] {
        let done = reserve(&etcd, &what);
        assert_eq!(done.code, 2, "{what:?}: {done:?}");
        assert_eq!(everything(&etcd), before, "{what:?}");
    }
    // Once more the same is no contradiction.
    let done = reserve(&etcd, &["10.6.5.0/24=192.0.2.7", "10.6.5.0/24=192.0.2.7"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(node3(&etcd.url, &format!("{DIR}/10.6.5.0-24")).unwrap()["version"], 1);
}

#[test]
fn what_is_no_lease_at_that_very_key_is_a_conflict_and_nothing_is_touched() {
    let Some(etcd) = etcd_with(CONFIG) else { return };
    etcd.ctl(3, &["put", &format!("{DIR}/10.6.5.0-24"), "junk"]).unwrap();
    let before = everything(&etcd);
    let done = reserve(&etcd, &["10.6.5.0/24=192.0.2.7"]);
    assert!(done.code == 3 && done.stderr.contains(&format!("{DIR}/10.6.5.0-24")), "{done:?}");
    assert_eq!(everything(&etcd), before);
}

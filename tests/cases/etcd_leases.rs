//! etcd-config --show: the leases of both APIs, few and ten thousand, from a real etcd.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::between::{self, exchange, post};
use crate::support::etcd::Etcd;
use crate::support::run;

const CONFIG: &str = r#"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}"#;
const DIR: &str = "/coreos.com/network/subnets";

/// What flannel writes.
fn attrs(ip: &str) -> String {
    format!(r#"{{"PublicIP":"{ip}","PublicIPv6":null,"BackendType":"vxlan","BackendData":{{"VNI":1}}}}"#)
}

/// A lease of the v3 API that lasts a day.
fn grant(etcd: &Etcd) -> String {
    let granted = etcd.ctl(3, &["lease", "grant", "86400"]).unwrap();
    granted.split(' ').nth(1).unwrap().to_owned()
}

/// The table's last column is a day less what the test took: a minute at most.
fn whole_days(text: &str) -> String {
    text.replace("23h59m", "24h00m")
}

#[test]
fn show_has_the_leases_of_each_api_with_their_time_to_live() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    etcd.ctl(2, &["set", "/coreos.com/network/config", CONFIG]).unwrap();
    etcd.ctl(3, &["put", "/coreos.com/network/config", CONFIG]).unwrap();
    let key = |name: &str| format!("{DIR}/{name}");
    etcd.ctl(2, &["set", "--ttl", "86400", &key("10.5.52.0-24"), &attrs("192.0.2.8")]).unwrap();
    etcd.ctl(2, &["set", &key("10.5.7.0-24"), r#"{"PublicIP":"192.0.2.9"}"#]).unwrap();
    etcd.ctl(2, &["set", &key("strange"), "{}"]).unwrap();
    etcd.ctl(2, &["mkdir", &key("10.5.9.0-24")]).unwrap();
    let dual = r#"{"PublicIP":"192.0.2.7","PublicIPv6":"2001:db8::7","BackendType":"vxlan"}"#;
    let lease = format!("--lease={}", grant(&etcd));
    etcd.ctl(3, &["put", &lease, &key("10.5.1.0-24&fd00:12:13::-56"), dual]).unwrap();
    etcd.ctl(3, &["put", &key("10.5.102.0-24"), r#"{"PublicIP":"192.0.2.9"}"#]).unwrap();
    etcd.ctl(3, &["put", &key("10.5.52.0-24"), "junk"]).unwrap();
    // Beside the directory, not in it.
    etcd.ctl(3, &["put", "/coreos.com/network/subnets2/10.5.3.0-24", &attrs("192.0.2.3")]).unwrap();
    let done = run(&["etcd-config", "--endpoints", &etcd.url, "--show"]);
    let want = format!(
        "v2 /coreos.com/network/config {CONFIG}
v2 {DIR} 2 leases
SUBNET        PUBLIC IP  BACKEND  TIME TO LIVE
10.5.7.0/24   192.0.2.9  -        reserved
10.5.52.0/24  192.0.2.8  vxlan    24h00m
v3 /coreos.com/network/config {CONFIG}
v3 {DIR} 2 leases
SUBNET                       PUBLIC IP              BACKEND  TIME TO LIVE
10.5.1.0/24,fd00:12:13::/56  192.0.2.7,2001:db8::7  vxlan    24h00m
10.5.102.0/24                192.0.2.9              -        reserved
"
    );
    assert_eq!(whole_days(done.ok()), want);
    let warning = |key: &str, api: &str| {
        format!("kboot etcd-config: warning: {DIR}/{key} ({api}): is no lease: flannel passes over it\n")
    };
    assert_eq!(done.stderr, warning("strange", "v2") + &warning("10.5.52.0-24", "v3"));
    in_json(&etcd);
}

fn in_json(etcd: &Etcd) {
    let shown = run(&["etcd-config", "--endpoints", &etcd.url, "--show", "--json"]).json();
    assert_eq!((&shown["exit"], shown["warnings"].as_array().unwrap().len()), (&json!(0), 2));
    let mut v3 = shown["found"]["v3"].clone();
    let effective = v3.as_object_mut().unwrap().remove("effective").unwrap();
    assert_eq!((&effective["SubnetMin"], &effective["Backend.VNI"]), (&json!("10.5.1.0"), &json!(1)));
    let left = v3["leases"][0]["ttl"].take();
    assert!((86_300..=86_400).contains(&left.as_u64().unwrap()), "{left}");
    assert_eq!(
        v3,
        json!({ "key": "/coreos.com/network/config", "config": CONFIG, "leases": [
            { "subnet": "10.5.1.0/24", "ipv6Subnet": "fd00:12:13::/56", "publicIP": "192.0.2.7",
              "publicIPv6": "2001:db8::7", "backendType": "vxlan", "ttl": null },
            { "subnet": "10.5.102.0/24", "ipv6Subnet": null, "publicIP": "192.0.2.9",
              "publicIPv6": null, "backendType": "", "ttl": null },
        ]})
    );
    let v2 = &shown["found"]["v2"]["leases"];
    assert_eq!((&v2[0]["subnet"], &v2[0]["ttl"]), (&json!("10.5.7.0/24"), &Value::Null));
    let left = v2[1]["ttl"].as_u64().unwrap();
    assert!(v2[1]["subnet"] == "10.5.52.0/24" && (86_300..=86_400).contains(&left), "{v2}");
}

/// Keys of the v3 API are bytes.
#[test]
fn a_key_that_is_no_text_hides_no_other() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    etcd.ctl(3, &["put", "/coreos.com/network/config", CONFIG]).unwrap();
    etcd.ctl(3, &["put", &format!("{DIR}/10.5.7.0-24"), &attrs("192.0.2.9")]).unwrap();
    let key = STANDARD.encode([DIR.as_bytes(), b"/\xff"].concat());
    let put = post("/v3/kv/put", "", &json!({"key": key, "value": STANDARD.encode("{}")}).to_string());
    assert!(exchange(&etcd.url, &put).unwrap().starts_with("HTTP/1.1 200"));
    let done = run(&["etcd-config", "--endpoints", &etcd.url, "--api", "v3", "--show"]);
    assert!(done.ok().contains("10.5.7.0/24  192.0.2.9  vxlan    reserved\n"), "{done:?}");
    assert!(done.stderr.contains("(v3): is no lease: flannel passes over it"), "{done:?}");
}

/// The subnet of the nth host: the key's last part, and the host's address.
fn host(n: u32) -> (String, String) {
    (format!("10.{}.{}.0-24", n / 250 + 1, n % 250), format!("172.16.{}.{}", n / 250, n % 250))
}

/// Puts many leases by the gateway, a hundred in one transaction, `each` on one lease of the v3 API.
fn fill3(etcd: &Etcd, count: u32, each: u32) {
    let call = |path: &str, body: &Value| -> Value {
        let answer = exchange(&etcd.url, &post(path, "", &body.to_string())).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or_default()
    };
    let mut lease = Value::Null;
    let mut puts = Vec::new();
    for n in 0..count {
        if n % each == 0 {
            lease = call("/v3/lease/grant", &json!({"TTL": "86400"}))["ID"].take();
        }
        let (name, ip) = host(n);
        let (key, value) = (STANDARD.encode(format!("{DIR}/{name}")), STANDARD.encode(attrs(&ip)));
        puts.push(json!({"requestPut": {"key": key, "value": value, "lease": lease}}));
        if puts.len() == 100 || n + 1 == count {
            call("/v3/kv/txn", &json!({"success": std::mem::take(&mut puts)}));
        }
    }
}

/// The same in v2, over a few connections, one request right after the other on each.
fn fill2(etcd: &Etcd, count: u32) {
    let address = etcd.url.trim_start_matches("http://");
    let write = |from: u32| {
        let mut stream = TcpStream::connect(address).unwrap();
        let mut requests = Vec::new();
        for n in (from..count).step_by(50) {
            let (name, ip) = host(n);
            let body = format!("ttl=86400&value={}", attrs(&ip));
            let close = if n + 50 >= count { "Connection: close\r\n" } else { "" };
            let (form, length) = ("application/x-www-form-urlencoded", body.len());
            requests.push(format!(
                "PUT /v2/keys{DIR}/{name} HTTP/1.1\r\nHost: etcd\r\n{close}Content-Type: {form}\r\nContent-Length: {length}\r\n\r\n{body}"
            ));
        }
        stream.write_all(requests.concat().as_bytes()).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 201").count(), requests.len());
    };
    thread::scope(|scope| (0..50).for_each(|from| drop(scope.spawn(move || write(from)))));
}

#[test]
fn ten_thousand_leases_are_shown() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    let config = r#"{"Network":"10.0.0.0/8","SubnetLen":24,"Backend":{"Type":"vxlan"}}"#;
    etcd.ctl(2, &["set", "/coreos.com/network/config", config]).unwrap();
    etcd.ctl(3, &["put", "/coreos.com/network/config", config]).unwrap();
    fill3(&etcd, 10_000, 40);
    fill2(&etcd, 10_000);
    let started = Instant::now();
    let done = run(&["etcd-config", "--endpoints", &etcd.url, "--show", "--json", "--timeout", "60s"]);
    let took = started.elapsed();
    println!("10,000 leases of each API in {took:?}");
    let shown = done.json();
    assert_eq!((done.code, &shown["warnings"]), (0, &json!([])));
    for api in ["v2", "v3"] {
        let leases = shown["found"][api]["leases"].as_array().unwrap();
        assert_eq!(leases.len(), 10_000, "{api}");
        for (n, lease) in (0..).zip(leases) {
            let (name, ip) = host(n);
            assert_eq!((&lease["subnet"], &lease["publicIP"]), (&json!(name.replace('-', "/")), &json!(ip)));
            assert!(lease["ttl"].as_u64().is_some_and(|t| (86_000..=86_400).contains(&t)), "{api} {lease}");
        }
    }
    assert!(took.as_secs() < 60, "{took:?}");
    let table = run(&["etcd-config", "--endpoints", &etcd.url, "--show", "--api", "v2"]);
    assert_eq!(table.ok().lines().count(), 10_003);
}

/// What is written while the pages are read must not show up in the later ones.
#[test]
fn a_listing_of_many_pages_is_of_one_moment() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    etcd.ctl(3, &["put", "/coreos.com/network/config", CONFIG]).unwrap();
    fill3(&etcd, 3500, 3500);
    let pages = AtomicU32::new(0);
    let front = between::start(&etcd.url, move |request, pass| {
        if request.contains("range_end") {
            let page = pages.fetch_add(1, Ordering::Relaxed);
            // Its key is behind all that are still to come.
            let key = STANDARD.encode(format!("{DIR}/10.99.{page}.0-24"));
            let put = json!({"key": key, "value": STANDARD.encode(attrs("192.0.2.99"))});
            if page > 0 {
                assert!(pass(&post("/v3/kv/put", "", &put.to_string())).is_some());
            }
        }
        pass(request)
    });
    let shown = run(&["etcd-config", "--endpoints", &front, "--api", "v3", "--show", "--json"]).json();
    let late = etcd.ctl(3, &["get", "--prefix", "--keys-only", &format!("{DIR}/10.99.")]).unwrap();
    assert_eq!(late.split_whitespace().count(), 3, "leases that came while the pages were read");
    assert_eq!(shown["found"]["v3"]["leases"].as_array().unwrap().len(), 3500);
}

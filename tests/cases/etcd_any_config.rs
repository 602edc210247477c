//! Configs made at random, good and spoilt ones, into a real etcd; and how a different one is told.

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::support::etcd::{Etcd, node2, node3};
use crate::support::{Done, Scratch, run};

/// The fields of a config, each value as it is spelt.
type Fields = Vec<(String, String)>;

/// How a config is laid out: what stands around each part.
const SPACES: [&str; 4] = ["", " ", "\n\t", "\r\n    "];

/// An object of these fields, the letters of their names in the case that `mask` says.
fn object(fields: &Fields, mask: u32, space: &str) -> String {
    let flip = |(at, letter): (usize, char)| {
        if mask >> (at % 32) & 1 == 1 { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
    };
    let name =
        |name: &str| if mask == 0 { name.to_owned() } else { name.chars().enumerate().map(flip).collect() };
    let pairs =
        fields.iter().map(|(n, value)| format!("{space}\"{}\"{space}:{space}{value}{space}", name(n)));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

/// One of the values of a field, or none at all.
fn field(name: &'static str, values: Vec<String>) -> impl Strategy<Value = Fields> {
    prop::option::of(select(values))
        .prop_map(move |value| value.map(|v| (name.to_owned(), v)).into_iter().collect())
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|v| json!(v).to_string()).collect()
}

fn raw(values: &[&str]) -> Vec<String> {
    values.iter().map(|v| (*v).to_owned()).collect()
}

/// Some of these fields, in any order, after a type in any case.
fn backend(kind: &'static str, fields: Vec<BoxedStrategy<Fields>>) -> BoxedStrategy<Fields> {
    let kinds = texts(&[kind, &kind.to_uppercase()]);
    let kind = select(kinds).prop_map(|kind| vec![("Type".to_owned(), kind)]);
    (kind, fields).prop_map(|(kind, rest)| [kind, rest.concat()].concat()).prop_shuffle().boxed()
}

fn any_backend() -> impl Strategy<Value = Fields> {
    let switch = |name| field(name, raw(&["true", "false", "null"])).boxed();
    let needed = |name: &'static str, values: Vec<String>| {
        select(values).prop_map(move |v| vec![(name.to_owned(), v)]).boxed()
    };
    let number = |name, values: &[&str]| field(name, raw(values)).boxed();
    // What a form has to escape, and a v3 value has to keep.
    let command = texts(&["", "echo \"$SUBNET\" & ip ro add %41+b=c;\\", "größer > /tmp/x\n"]);
    let psk = texts(&[&"s3cret+/=&%".repeat(9)]);
    prop_oneof![
        backend("udp", vec![number("Port", &["7890", "8285", "null"])]),
        backend(
            "vxlan",
            vec![
                number("VNI", &["1", "7", "4096"]),
                number("Port", &["0", "4789"]),
                number("MTU", &["1400"]),
                switch("DirectRouting"),
                switch("GBP"),
            ]
        ),
        backend("host-gw", vec![]),
        backend("ipip", vec![switch("DirectRouting")]),
        backend("ipsec", vec![needed("PSK", psk), switch("UDPEncap")]),
        backend(
            "extension",
            vec![field("PreStartupCommand", command.clone()).boxed(), needed("SubnetAddCommand", command)]
        ),
        backend(
            "wireguard",
            vec![
                field("Mode", texts(&["separate", "auto", "ipv4"])).boxed(),
                number("PersistentKeepaliveInterval", &["0", "25"]),
                number("ListenPort", &["51820", "51821"]),
            ]
        ),
    ]
}

/// The fields of a config that flanneld takes, in any order.
fn fields() -> impl Strategy<Value = Fields> {
    let four = (0u8..=255, 12u8..=16).prop_map(|(b, len)| {
        let b = if len == 16 { b } else { b & 0xf0 };
        vec![("Network".to_owned(), json!(format!("10.{b}.0.0/{len}")).to_string())]
    });
    let len = field("SubnetLen", raw(&["18", "24", "28", "30", "0", "null"]));
    let six = (0u16..=0xffff, prop::option::of(50u8..=126)).prop_map(|(part, len)| {
        let network = json!(format!("fd00:{part:x}::/48")).to_string();
        let mut six = vec![("EnableIPv6".into(), "true".into()), ("IPv6Network".into(), network)];
        six.extend(len.map(|l| ("IPv6SubnetLen".to_owned(), l.to_string())));
        six
    });
    let six = prop_oneof![six, field("EnableIPv6", raw(&["false", "null"]))];
    let flags =
        (field("EnableIPv4", raw(&["true", "null"])), field("EnableNFTables", raw(&["true", "false"])));
    let backend = (any_backend(), any::<u32>(), select(&SPACES[..]))
        .prop_map(|(fields, mask, space)| vec![("Backend".to_owned(), object(&fields, mask, space))]);
    let all = (four, len, bounds(), six, flags, prop_oneof![9 => backend, 1 => Just(Vec::new())]);
    all.prop_map(|(a, b, c, d, (e, f), g)| {
        let mut all = [a, b, c, d, e, f, g].concat();
        place_bounds(&mut all);
        all
    })
    .prop_shuffle()
}

/// The first and the last subnet, their second number left to `place_bounds`.
fn bounds() -> impl Strategy<Value = Fields> {
    let bound = |name, numbers: &[&str]| {
        field(name, numbers.iter().map(|n| format!("\"10.B.{n}.0\"")).chain(["\"0.0.0.0\"".into()]).collect())
    };
    (bound("SubnetMin", &["64"]), bound("SubnetMax", &["128", "192"])).prop_map(|(a, b)| [a, b].concat())
}

/// Puts the bounds into the Network, and at the start of a subnet whatever its length.
fn place_bounds(fields: &mut Fields) {
    let second = fields.iter().find(|(n, _)| n == "Network").unwrap().1.split('.').nth(1).unwrap().to_owned();
    for (_, value) in fields.iter_mut().filter(|(n, _)| n == "SubnetMin" || n == "SubnetMax") {
        *value = value.replace('B', &second);
    }
}

/// A config of these fields, as somebody wrote it.
fn any_text(fields: impl Strategy<Value = Fields>) -> impl Strategy<Value = String> {
    (fields, any::<u32>(), select(&SPACES[..]), select(&SPACES[..]))
        .prop_map(|(fields, mask, inner, outer)| format!("{outer}{}{outer}", object(&fields, mask, inner)))
}

fn with(name: &str, value: &str) -> impl Fn(Fields) -> Fields {
    move |mut fields| {
        fields.retain(|(n, _)| n != name);
        fields.push((name.to_owned(), value.to_owned()));
        fields
    }
}

/// What flanneld refuses, or kboot because nobody can mean it.
const WRONG: [(&str, &str); 22] = [
    ("Network", "\"10.3.0.0/33\""),
    ("Network", "\"10.3.0/16\""),
    ("Network", "\"10.3.0.0/29\""),
    ("Network", "\"\""),
    ("Network", "null"),
    ("Network", "\"fd00::/48\""),
    ("SubnetLen", "31"),
    ("SubnetLen", "\"24\""),
    ("SubnetLen", "-24"),
    ("SubnetLen", "12"),
    ("SubnetMin", "\"192.168.0.0\""),
    ("SubnetMax", "\"10.3.0\""),
    ("IPv6Network", "\"10.3.0.0/16\""),
    ("EnableIPv6", "\"true\""),
    ("EnableIPv4", "false"),
    ("SubnetLne", "24"),
    ("VNI", "1"),
    ("Backend", "null"),
    ("Backend", "\"vxlan\""),
    ("Backend", "{\"Type\":\"vxlann\"}"),
    ("Backend", "{\"Type\":\"vxlan\",\"VNI\":\"1\"}"),
    ("Backend", "{\"Type\":\"udp\",\"VNI\":1}"),
];

fn spoilt() -> impl Strategy<Value = String> {
    let wrong_field = (fields(), select(&WRONG[..])).prop_map(|(f, (name, value))| with(name, value)(f));
    let without_network = fields().prop_map(|mut f| {
        f.retain(|(n, _)| n != "Network");
        f
    });
    let broken = any_text(fields()).prop_flat_map(|text| {
        let text = text.trim().to_owned();
        let cut = (0..text.len()).prop_map({
            let text = text.clone();
            move |at| text.chars().take(at.min(text.chars().count() - 1)).collect::<String>()
        });
        let around =
            [format!("{text}}}"), format!("[{text}]"), format!("\u{feff}{text}"), text.replace('"', "'")];
        prop_oneof![cut, select(around.to_vec())]
    });
    prop_oneof![4 => any_text(wrong_field), 1 => any_text(without_network), 2 => broken]
}

fn call(etcd: &Etcd, prefix: &str, more: &[&str]) -> Done {
    run(&[&["etcd-config", "--endpoints", &etcd.url, "--prefix", prefix], more].concat())
}

/// Tries cases with a prefix of its own for each.
fn each(cases: u32, texts: impl Strategy<Value = String>, test: impl Fn(&str, &str)) {
    let config =
        ProptestConfig { cases, max_shrink_iters: 100, failure_persistence: None, ..Default::default() };
    let count = AtomicU32::new(0);
    let result = TestRunner::new(config).run(&texts, |text| {
        test(&format!("/p{}", count.fetch_add(1, Ordering::Relaxed)), &text);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn a_good_config_is_in_both_apis_byte_by_byte() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    let dir = Scratch::new();
    each(48, any_text(fields()), |prefix, text| {
        let file = dir.file("config.json", text);
        let args = ["--file", &file, "--allow-overlap"];
        let done = call(&etcd, prefix, &args);
        assert!(done.code == 0 && done.stderr.ends_with("(2 changed, 0 already so)\n"), "{text} {done:?}");
        let key = format!("{prefix}/config");
        assert_eq!(node2(&etcd.url, &key).unwrap()["value"], text);
        assert_eq!(node3(&etcd.url, &key).unwrap()["value"], text);
        let shown = call(&etcd, prefix, &["--show", "--json"]).json();
        let held = |api: &str| shown["found"][api]["config"].clone();
        assert_eq!((held("v2"), held("v3")), (json!(text), json!(text)));
        let again = call(&etcd, prefix, &args);
        assert!(again.code == 0 && again.stderr.ends_with("(0 changed, 2 already so)\n"), "{text} {again:?}");
    });
}

#[test]
fn a_spoilt_config_is_2_and_in_neither_api() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    let dir = Scratch::new();
    each(64, spoilt(), |prefix, text| {
        let file = dir.file("config.json", text);
        let done = call(&etcd, prefix, &["--file", &file, "--allow-overlap"]);
        let last = done.stderr.lines().last().unwrap_or_default();
        assert!(
            done.code == 2 && last.starts_with(&format!("kboot etcd-config: {file}: ")),
            "{text} {done:?}"
        );
        let key = format!("{prefix}/config");
        assert_eq!((node2(&etcd.url, &key), node3(&etcd.url, &key)), (None, None), "{text}");
    });
}

#[test]
fn a_different_config_is_told_field_by_field() {
    let Some(etcd) = Etcd::start(&["--enable-v2"]) else { return };
    let psk = |c: &str| c.repeat(96);
    let ipsec =
        |c: &str| format!(r#"{{"Network":"10.4.0.0/16","Backend":{{"Type":"ipsec","PSK":"{}"}}}}"#, psk(c));
    let vxlan = |more: &str| format!(r#"{{"Network":"10.4.0.0/16","Backend":{{"Type":"vxlan"{more}}}}}"#);
    let dir = Scratch::new();
    for (n, (held, wanted, fields, says)) in [
        (
            vxlan(""),
            vxlan(r#","vni":7,"DirectRouting":true"#),
            json!([{"path": "Backend.VNI", "held": 1, "wanted": 7}, {"path": "Backend.DirectRouting", "held": false, "wanted": true}]),
            "Backend.VNI is 1, wanted is 7; Backend.DirectRouting is false, wanted is true",
        ),
        (
            r#"{"Network":"10.4.0.0/16","SubnetMin":"10.4.9.0"}"#.to_owned(),
            vxlan(r#","MTU":1400"#),
            json!([{"path": "SubnetMin", "held": "10.4.9.0", "wanted": "10.4.1.0"}, {"path": "Backend.Type", "held": "udp", "wanted": "vxlan"}]),
            "SubnetMin is 10.4.9.0, wanted is 10.4.1.0; Backend.Type is udp, wanted is vxlan",
        ),
        (
            ipsec("a"),
            ipsec("b"),
            json!([{"path": "Backend.PSK", "held": "***", "wanted": "***"}]),
            "Backend.PSK is ***, wanted is ***",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let done = differs(&etcd, &format!("/d{n}"), &held, &dir.file("wanted", &wanted), says);
        assert_eq!(done.json()["found"]["difference"], json!([{"api": "v3", "fields": fields}]));
        assert!(!done.stdout.contains(&psk("a")) && !done.stdout.contains(&psk("b")), "{done:?}");
    }
}

/// Asks for a config while the v3 API holds another: it stays, and the v2 API must not get any.
fn differs(etcd: &Etcd, prefix: &str, held: &str, wanted: &str, says: &str) -> Done {
    let key = format!("{prefix}/config");
    etcd.ctl(3, &["put", &key, held]).unwrap();
    let done = call(etcd, prefix, &["--file", wanted, "--json", "--allow-overlap"]);
    let error = format!("{key} (v3) holds another config: {says}: --replace replaces it");
    let last = done.stderr.lines().last().unwrap();
    assert_eq!((done.code, last), (3, format!("kboot etcd-config: {error}").as_str()));
    let json = done.json();
    assert_eq!(
        (&json["error"], &json["outcome"], &json["exit"]),
        (&json!(error), &json!("conflict"), &json!(3))
    );
    assert_eq!((&json["planned"], &json["changed"]), (&json!([]), &json!([])));
    assert_eq!((node2(&etcd.url, &key), &node3(&etcd.url, &key).unwrap()["value"]), (None, &json!(held)));
    done
}

use super::*;

const OLD: Version = (0, 9, 1);

fn parse_new(text: &str) -> Result<NetworkConfig, String> {
    parse(text, NEWEST)
}

/// The arithmetic has its own table, in family.rs; Go's decoder its own, in go_json.rs.
#[test]
fn effective_values() {
    for (text, summary) in [
        // The seed's own.
        (
            r#"{"Network":"10.10.0.0/16","SubnetLen":24,"SubnetMin":"10.10.10.0","SubnetMax":"10.10.255.0","Backend":{"Type":"udp","Port":7890}}"#,
            "10.10.10.0-10.10.255.0 by /24, for 246 hosts, udp",
        ),
        // Names in any case, null as absent, 0.0.0.0 as unset (config_test.go).
        (
            r#"{"network":"255.255.0.0/16","subnetlen":null,"SubnetMin":"0.0.0.0"}"#,
            "255.255.1.0-255.255.255.0 by /24, for 255 hosts, udp",
        ),
        // Both families since 0.15.
        (
            r#"{"Network":"10.3.0.0/16","EnableIPv6":true,"IPv6Network":"fc00::/48","IPv6SubnetMin":null,"Backend":{"Type":"VXLAN"}}"#,
            "10.3.1.0-10.3.255.0 by /24 and fc00:0:0:1::-fc00:0:0:ffff:: by /64, for 255 hosts, vxlan",
        ),
        (
            r#"{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00::/56","Backend":{"Type":"vxlan"}}"#,
            "fc00:0:0:1::-fc00:0:0:ff:: by /64, for 255 hosts, vxlan",
        ),
        // The last of several counts; Go folds their case.
        (
            r#"{"Network":"10.3.0.0/16","SubnetLen":24,"SUBNETLEN":28}"#,
            "10.3.0.16-10.3.255.240 by /28, for 4095 hosts, udp",
        ),
    ] {
        assert_eq!(parse_new(text).unwrap().summary(), summary, "{text}");
    }
}

#[test]
fn what_flanneld_would_refuse_is_refused_with_its_field() {
    for (text, start) in [
        ("{", "is not JSON"),
        ("[]", "is JSON, but no object"),
        (r#"{"Network":"10.3.0.0/16"} x"#, "is not JSON: trailing characters at line 1 column 27"),
        ("{}", "Network: is missing"),
        (
            r#"{"Netwrok":"10.3.0.0/16"}"#,
            "Network: is missing (Netwrok: flannel knows no such field: did you mean Network?)",
        ),
        (
            r#"{"Network":"10.3.0.0/16","Backend":{"Type":"vxlan","VNI":"x","vni":1}}"#,
            "Backend.VNI: \"x\" is no whole number",
        ),
        (
            r#"{"Network":"10.3.0.0/16","Backend":{"Type":"udp","Port":1e999}}"#,
            "Backend.Port: 1e999 is no whole number",
        ),
        (r#"{"Network":10}"#, "Network: 10 has no prefix length"),
        (r#"{"Network":null}"#, "Network: null has no prefix length"),
        (r#"{"Network":""}"#, "Network: \"\" has no prefix length"),
        (r#"{"Network":"10.03.0.0/16"}"#, "Network: \"10.03.0.0/16\" is not an IP address"),
        // flannel takes the quotes off and undoes no escapes: some writers of JSON make \/ of every slash.
        (r#"{"Network":"10.3.0.0\/16"}"#, r#"Network: "10.3.0.0\/16" is not an IP address"#),
        (r#"{"Network":"10.3.0.0/33"}"#, "Network: \"10.3.0.0/33\" the prefix length"),
        (r#"{"Network":"fd00::/48"}"#, "Network: fd00::/48 is not IPv4"),
        (r#"{"Network":"10.3.0.0/16","SubnetLen":24.0}"#, "SubnetLen: 24.0 is no whole number"),
        (r#"{"Network":"10.3.0.0/16","SubnetMin":""}"#, "SubnetMin: \"\" is not an IPv4 address"),
        (r#"{"Network":"10.3.0.0/16","SubnetMin":null}"#, "SubnetMin: null is not an IPv4 address"),
        (r#"{"Network":"10.3.0.0/16","EnableIPv6":"true"}"#, "EnableIPv6: \"true\" is no boolean"),
        (r#"{"Network":"10.3.0.0/16","EnableIPv6":true}"#, "IPv6Network: is missing"),
        (r#"{"Network":"10.3.0.0/16","EnableIPv4":false}"#, "EnableIPv4: is off, and EnableIPv6 is not on"),
        // Also of a family that is off.
        (r#"{"Network":"10.3.0.0/16","IPv6SubnetLen":-1}"#, "IPv6SubnetLen: -1 is no whole number"),
        (r#"{"Network":"10.3.0.0/16","IPv6Network":null}"#, "IPv6Network: null has no prefix length"),
        (r#"{"Network":"10.3.0.0/16","Backend":"vxlan"}"#, "Backend: is not an object"),
        (r#"{"Network":"10.3.0.0/16","Backend":null}"#, "Backend.Type: is missing"),
        (r#"{"Network":"10.3.0.0/16","Backend":{}}"#, "Backend.Type: is missing"),
        (r#"{"Network":"10.3.0.0/16","Backend":{"Type":7}}"#, "Backend.Type: 7 is no string"),
        (r#"{"Network":"10.3.0.0/16","Backend":{"Type":"udp","Port":"7890"}}"#, "Backend.Port: "),
        (r#"{"Network":"10.3.0.0/16","Backend":{"Type":"ipsec","PSK":"short"}}"#, "Backend.PSK: "),
    ] {
        let error = parse_new(text).unwrap_err();
        assert!(error.starts_with(start) && !error.contains("short"), "{text}: {error}");
    }
}

/// A version, a config, and what is odd about it.
const ODD: [((u16, u16, u16), &str, &str); 13] = [
    (
        NEWEST,
        r#"{"Network":"10.3.0.0/16","SubnetLength":24}"#,
        "SubnetLength: flannel knows no such field: did you mean SubnetLen?",
    ),
    (NEWEST, r#"{"Network":"10.3.0.0/16","Note":1}"#, "Note: flannel knows no such field"),
    (NEWEST, r#"{"Network":"10.3.0.0/16","Port":7890}"#, "Port: belongs inside of Backend"),
    (NEWEST, r#"{"Network":"10.3.0.0/16","Type":"vxlan"}"#, "Type: belongs inside of Backend"),
    (
        NEWEST,
        r#"{"Network":"10.3.0.0/16","IPv6Network":"fd00::/48"}"#,
        "IPv6Network: flannel passes over it without \"EnableIPv6\": true",
    ),
    (
        NEWEST,
        r#"{"Network":"10.3.0.0/16","Backend":{"Type":"vxlan","SubnetLen":24}}"#,
        "Backend.SubnetLen: belongs outside of Backend",
    ),
    (
        NEWEST,
        r#"{"Network":"10.3.0.0/16","Backend":{"Type":"udp","VNI":7}}"#,
        "Backend.VNI: udp has no such field: vxlan has",
    ),
    (
        NEWEST,
        r#"{"Network":"10.3.0.0/16","Backend":{"Type":"vxlan","DirectRoute":true}}"#,
        "Backend.DirectRoute: vxlan has no such field: did you mean DirectRouting?",
    ),
    (
        NEWEST,
        r#"{"Network":"10.3.0.0/16","Backend":{"Type":"vxland"}}"#,
        "Backend.Type: flannel has no backend \"vxland\": did you mean vxlan?",
    ),
    (
        NEWEST,
        r#"{"Network":"10.3.0.0/16","Backend":{"Type":"gce"}}"#,
        "Backend.Type: flannel 0.28.9 has no gce: 0.19.2 was the last",
    ),
    (
        OLD,
        r#"{"Network":"10.3.0.0/16","EnableIPv6":true}"#,
        "EnableIPv6: flannel 0.9.1 passes over it: it came with 0.15.0",
    ),
    (
        OLD,
        r#"{"Network":"10.3.0.0/16","Backend":{"Type":"wireguard"}}"#,
        "Backend.Type: flannel 0.9.1 has no wireguard: it came with 0.16.0",
    ),
    (
        (0, 8, 0),
        r#"{"Network":"10.3.0.0/16","Backend":{"Type":"vxlan","DirectRouting":true}}"#,
        "Backend.DirectRouting: flannel 0.8.0 passes over it: it came with 0.9.0",
    ),
];

#[test]
fn what_flanneld_passes_over_is_odd() {
    for (version, text, odd) in ODD {
        assert_eq!(parse(text, version).unwrap().odd, [odd], "{text}");
    }
    assert!(
        parse(r#"{"Network":"10.3.0.0/16","Backend":{"Type":"gce"}}"#, (0, 11, 0)).unwrap().odd.is_empty()
    );
}

#[test]
fn warnings() {
    for (text, start) in [
        (r#"{"Network":"10.3.0.0/16"}"#, "Backend: is missing: flannel takes udp"),
        (
            r#"{"Network":"10.3.0.0/16","SubnetLen":25,"subnetlen":24,"Backend":{"Type":"vxlan"}}"#,
            "SubnetLen: stands there twice: flannel takes the last, 24",
        ),
    ] {
        let found = parse_new(text).unwrap().warnings;
        assert!(found.len() == 1 && found[0].starts_with(start), "{text}: {found:?}");
    }
}

/// 0.1.0 to 0.9.1 looked at less, and knew no IPv6.
#[test]
fn the_rules_of_old() {
    for (text, summary) in [
        (
            r#"{"Network":"10.3.0.0/16","SubnetMin":"10.3.1.7"}"#,
            "10.3.1.7-10.3.255.0 by /24, for 254 hosts, udp",
        ),
        (r#"{"Network":"10.3.0.0/23"}"#, "10.3.1.0-10.3.1.0 by /24, for 1 hosts, udp"),
        (r#"{"Network":"10.3.0.0/16","EnableIPv4":false}"#, "10.3.1.0-10.3.255.0 by /24, for 255 hosts, udp"),
    ] {
        assert_eq!(parse(text, OLD).unwrap().summary(), summary);
    }
}

#[test]
fn the_prefix_is_normalised() {
    for prefix in ["/coreos.com/network", "/coreos.com/network/", "//coreos.com//./x/../network"] {
        assert_eq!(key(prefix, "config").unwrap(), "/coreos.com/network/config");
    }
    assert_eq!(key("/", "config").unwrap(), "/config");
    assert!(key("coreos.com/network", "config").unwrap_err().starts_with("does not begin with a slash"));
}

use super::*;

/// Bytes and where they stand; all others are zero.
type Pieces<'a> = &'a [(usize, &'a [u8])];

/// From a 6.18 kernel on x86-64, after `iptables-legacy -P FORWARD DROP`, `-A FORWARD -j KUBE-FORWARD`,
/// `-A KUBE-FORWARD -s 10.7.3.0/24 -m comment --comment pods -j ACCEPT` and
/// `-A KUBE-FORWARD -j REJECT --reject-with icmp-host-prohibited`.
const KUBE: (Info, Pieces<'_>) = (
    Info { valid_hooks: 14, forward: [152, 304], size: 1704 },
    &[
        // INPUT
        (88, b"\x70\0\x98\0\x02"),
        (112, b"\x28"),
        (144, b"\xfe\xff\xff\xff"),
        // FORWARD
        (240, b"\x70\0\x98\0\x04"),
        (264, b"\x28"),
        (296, b"\x10\x03"),
        (392, b"\x70\0\x98\0\x04"),
        (416, b"\x28"),
        (448, b"\xff\xff\xff\xff"),
        // OUTPUT
        (544, b"\x70\0\x98\0\x08"),
        (568, b"\x28"),
        (600, b"\xfe\xff\xff\xff"),
        // KUBE-FORWARD
        (696, b"\x70\0\xb0"),
        (720, b"\x40\0ERROR"),
        (752, b"KUBE-FORWARD"),
        (784, b"\x0a\x07\x03"),
        (792, b"\xff\xff\xff"),
        (872, b"\x90\x01\xb8\x01\x04"),
        (896, b"\x20\x01comment"),
        (928, b"pods"),
        (1184, b"\x28"),
        (1216, b"\xfe\xff\xff\xff"),
        (1312, b"\x70\0\x98\0\x04"),
        (1336, b"\x28\0REJECT"),
        (1368, b"\x06"),
        (1464, b"\x70\0\x98\0\x04"),
        (1488, b"\x28"),
        (1520, b"\xfb\xff\xff\xff"),
        (1616, b"\x70\0\xb0"),
        (1640, b"\x40\0ERROR"),
        (1672, b"ERROR"),
    ],
);

/// Likewise, after `ip6tables-legacy -P FORWARD DROP` and `-A FORWARD -i br-pods -j DROP`.
const IPV6_LINK: (Info, Pieces<'_>) = (
    Info { valid_hooks: 14, forward: [208, 416], size: 1064 },
    &[
        (140, b"\xa8\0\xd0\0\x02"),
        (168, b"\x28"),
        (200, b"\xfe\xff\xff\xff"),
        (272, b"br-pods"),
        (304, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
        (348, b"\xa8\0\xd0\0\x04"),
        (376, b"\x28"),
        (408, b"\xff\xff\xff\xff"),
        (556, b"\xa8\0\xd0\0\x04"),
        (584, b"\x28"),
        (616, b"\xff\xff\xff\xff"),
        (764, b"\xa8\0\xd0\0\x08"),
        (792, b"\x28"),
        (824, b"\xfe\xff\xff\xff"),
        (972, b"\xa8\0\xe8"),
        (1000, b"\x40\0ERROR"),
        (1032, b"ERROR"),
    ],
);

fn bytes((info, pieces): &(Info, Pieces<'_>), changes: Pieces<'_>) -> Vec<u8> {
    let mut bytes = vec![0; info.size as usize];
    for (at, piece) in pieces.iter().chain(changes) {
        bytes[*at..*at + piece.len()].copy_from_slice(piece);
    }
    bytes
}

/// What drops in FORWARD after some changes.
fn kube(changes: Pieces<'_>) -> Option<DroppedBy> {
    read("filter", &KUBE.0, &bytes(&KUBE, changes), true).unwrap().forward.unwrap().dropped_by
}

fn ipv6_link(changes: Pieces<'_>) -> Option<DroppedBy> {
    let bytes = bytes(&IPV6_LINK, changes);
    read("filter", &IPV6_LINK.0, &bytes, false).unwrap().forward.unwrap().dropped_by
}

#[test]
fn a_table_is_read() {
    let table = read("filter", &KUBE.0, &bytes(&KUBE, &[]), true).unwrap();
    let forward = Some(Forward { rules: 1, dropped_by: Some(DroppedBy::Rule), comments: vec![] });
    let chains = vec!["KUBE-FORWARD".to_owned()];
    assert_eq!(table, Table { name: "filter".into(), rules: 3, chains, forward });
}

#[test]
fn an_ipv6_table_is_read() {
    let table = read("filter", &IPV6_LINK.0, &bytes(&IPV6_LINK, &[]), false).unwrap();
    let forward = Some(Forward { rules: 1, dropped_by: Some(DroppedBy::Policy), comments: vec![] });
    assert_eq!(table, Table { name: "filter".into(), rules: 1, chains: Vec::new(), forward });
}

#[test]
fn a_table_without_forward_has_none() {
    let info = Info { valid_hooks: 0b1_1011, ..KUBE.0 };
    assert_eq!(read("nat", &info, &bytes(&KUBE, &[]), true).unwrap().forward, None);
}

/// The entry with REJECT begins at 1224.
#[test]
fn any_condition_lets_strangers_by() {
    for (what, change) in [
        ("-s", (1224 + 8, b"\xff")),
        ("-d", (1224 + 15, b"\x01")),
        ("-i", (1224 + 48, b"\xff")),
        ("-o", (1224 + 64, b"\xff")),
        ("-p", (1224 + 80, b"\x06")),
        ("-f", (1224 + 82, b"\x01")),
        ("!", (1224 + 83, b"\x08")),
    ] {
        assert_eq!(kube(&[(change.0, change.1)]), Some(DroppedBy::Policy), "{what}");
    }
    // -i + is a name without a mask; a goto is none either.
    assert_eq!(kube(&[(1224 + 16, b"+")]), Some(DroppedBy::Rule));
    assert_eq!(kube(&[(1224 + 82, b"\x02")]), Some(DroppedBy::Rule));
    // The rule before it, without its address: accepted; with another match: not.
    assert_eq!(kube(&[(792, b"\0\0\0")]), None);
    assert_eq!(kube(&[(792, b"\0\0\0"), (898, b"physdev")]), Some(DroppedBy::Rule));
}

#[test]
fn an_ipv6_protocol_of_zero_is_no_condition() {
    let any_link: (usize, &[u8]) = (304, &[0; 8]);
    assert_eq!(ipv6_link(&[any_link]), Some(DroppedBy::Rule));
    assert_eq!(ipv6_link(&[any_link, (208 + 131, b"\x01")]), Some(DroppedBy::Rule));
    assert_eq!(ipv6_link(&[any_link, (208 + 131, b"\x01"), (208 + 128, b"\x3a")]), Some(DroppedBy::Policy));
}

#[test]
fn what_comes_before_a_drop_counts() {
    // Instead of REJECT: MARK, NFQUEUE, ACCEPT, RETURN, no target; then KUBE-FORWARD returns.
    assert_eq!(kube(&[(1338, b"MARK\0\0")]), Some(DroppedBy::Policy));
    assert_eq!(kube(&[(1338, b"NFQUEUE")]), None);
    assert_eq!(kube(&[(1338, &[0; 6]), (1368, b"\xfe\xff\xff\xff")]), None);
    assert_eq!(kube(&[(1338, &[0; 6]), (1368, b"\xfb\xff\xff\xff")]), Some(DroppedBy::Policy));
    assert_eq!(kube(&[(1338, &[0; 6]), (1368, b"\x60\x05\0\0")]), Some(DroppedBy::Policy));
    // In FORWARD itself a RETURN is for the policy.
    assert_eq!(kube(&[(296, b"\xfb\xff\xff\xff")]), Some(DroppedBy::Policy));
    // A policy of ACCEPT.
    assert_eq!(kube(&[(1338, b"MARK\0\0"), (448, b"\xfe")]), None);
}

#[test]
fn a_jump_in_a_circle_ends() {
    assert_eq!(kube(&[(296, b"\x98\0")]), None);
}

#[test]
fn no_bytes_make_it_read_beyond_them() {
    for (captured, ipv4) in [(&KUBE, true), (&IPV6_LINK, false)] {
        let whole = bytes(captured, &[]);
        for len in 0..whole.len() {
            assert_eq!(read("filter", &captured.0, &whole[..len], ipv4), None, "{len} bytes");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut broken = whole.clone();
                broken[at] = value;
                let _ = read("filter", &captured.0, &broken, ipv4);
            }
        }
        for wild in [1, 151, captured.0.size, u32::MAX] {
            let info = Info { forward: [wild; 2], ..captured.0 };
            assert_eq!(read("filter", &info, &whole, ipv4), None, "FORWARD at {wild}");
        }
    }
}

#[test]
fn the_info_is_read() {
    let mut bytes = [0; Info::LEN];
    for (at, value) in [(32, 14), (36 + 8, 152), (56 + 8, 304), (76, 9), (80, 1704)] {
        bytes[at] = u8::try_from(value % 256).unwrap();
        bytes[at + 1] = u8::try_from(value / 256).unwrap();
    }
    assert_eq!(Info::parse(&bytes), Some(KUBE.0));
    assert_eq!(Info::parse(&bytes[..83]), None);
}

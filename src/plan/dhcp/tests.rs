use proptest::prelude::*;

use super::*;

const MAC: &str = "52:54:00:12:34:56";

fn client() -> Client {
    Client { mac: MAC.parse().unwrap(), xid: 0x1234_5678, secs: 3 }
}

/// A server's answer by hand: RFC 2131's fixed part, then options.
fn answer(kind: u8, options: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![0; 240];
    bytes[..4].copy_from_slice(&[2, 1, 6, 0]);
    bytes[4..8].copy_from_slice(&0x1234_5678_u32.to_be_bytes());
    bytes[16..20].copy_from_slice(&[10, 4, 0, 77]);
    bytes[28..34].copy_from_slice(client().mac.bytes());
    bytes[236..240].copy_from_slice(&[99, 130, 83, 99]);
    bytes.extend([53, 1, kind, 54, 4, 10, 4, 0, 2, 51, 4, 0, 0, 14, 16]);
    bytes.extend(options.iter().copied().flatten());
    bytes.push(255);
    bytes
}

fn ack(options: &[&[u8]]) -> Lease {
    match decode(&client(), &answer(5, options)) {
        Some(Answer::Ack(lease)) => lease,
        other => panic!("{other:?}"),
    }
}

#[test]
fn options_that_found_no_room_are_read_where_they_are() {
    let put = |lent: u8| {
        let mut bytes = answer(5, &[&[52, 1, lent], &[6, 4, 10, 4, 0, 3]]);
        bytes[108..115].copy_from_slice(&[3, 4, 10, 4, 0, 1, 255]);
        bytes[44..51].copy_from_slice(&[6, 4, 10, 4, 0, 9, 255]);
        match decode(&client(), &bytes) {
            Some(Answer::Ack(lease)) => (lease.routes.len(), lease.dns.len()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([0, 1, 2, 3].map(put), [(0, 1), (1, 1), (0, 2), (1, 2)]);
}

#[test]
fn a_router_that_is_none_costs_its_route_alone() {
    for (router, count) in [([10, 4, 0, 1], 1), ([10, 4, 0, 77], 0), ([127, 0, 0, 1], 0), ([224, 0, 0, 1], 0)]
    {
        let option = [&[3, 4][..], &router].concat();
        assert_eq!(ack(&[&option]).routes.len(), count, "{router:?}");
        let classless = [&[121, 5, 0][..], &router].concat();
        assert_eq!(ack(&[&classless]).routes.len(), count, "{router:?}");
    }
}

#[test]
fn what_is_asked_is_as_the_rfc_writes_it() {
    let addr = "10.4.0.77".parse().unwrap();
    for (ask, broadcast, ciaddr, options) in [
        (Ask::Discover(None), 0x80, [0; 4], &[53, 1, 1][..]),
        (Ask::Discover(Some(addr)), 0x80, [0; 4], &[53, 1, 1, 50, 4, 10, 4, 0, 77]),
        (
            Ask::Select(addr, "10.4.0.2".parse().unwrap()),
            0x80,
            [0; 4],
            &[53, 1, 3, 54, 4, 10, 4, 0, 2, 50, 4, 10, 4, 0, 77],
        ),
        (Ask::More(addr), 0, [10, 4, 0, 77], &[53, 1, 3]),
    ] {
        let bytes = client().message(ask).unwrap();
        assert_eq!(bytes[..12], [1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78, 0, 3, broadcast, 0], "{ask:?}");
        assert_eq!((&bytes[12..16], &bytes[28..34]), (&ciaddr[..], &client().mac.bytes()[..]));
        assert_eq!(bytes[240..240 + options.len()], *options);
        assert!(bytes.len() >= 300, "BOOTP's relays drop shorter ones");
        let framed = frame(&bytes).unwrap();
        assert_eq!(framed[9..20], [17, framed[10], framed[11], 0, 0, 0, 0, 255, 255, 255, 255]);
        assert_eq!(framed[20..24], [0, 68, 0, 67]);
    }
}

#[test]
fn an_answer_in_full() {
    let lease = ack(&[
        &[1, 4, 255, 255, 255, 0],
        &[3, 8, 10, 4, 0, 1, 10, 4, 0, 3],
        &[6, 8, 10, 4, 0, 1, 1, 1, 1, 1],
        &[12, 6, b'n', b'o', b'd', b'e', b'-', b'9'],
        &[15, 9, b'a', b'.', b'e', b'x', b'a', b'm', b'p', b'l', b'e'],
        &[26, 2, 5, 120],
        &[58, 4, 0, 0, 0, 9, 59, 4, 0, 0, 0, 20],
    ]);
    assert_eq!(lease.address, "10.4.0.77/24".parse().unwrap());
    assert_eq!(lease.routes, [Route::default_by("10.4.0.1".parse().unwrap())]);
    assert_eq!(lease.dns, ["10.4.0.1", "1.1.1.1"].map(|a| a.parse::<Ipv4Addr>().unwrap()));
    assert_eq!(
        (lease.hostname.as_deref(), lease.search.as_slice()),
        (Some("node-9"), &["a.example".to_owned()][..])
    );
    assert_eq!((lease.mtu, lease.seconds, lease.renew, lease.rebind), (Some(1400), 3600, 9, 20));
    assert_eq!(lease.length(), "1h");
}

#[test]
fn what_a_server_leaves_out_or_gets_wrong() {
    let bare = ack(&[]);
    assert_eq!((bare.address, bare.routes.len()), ("10.4.0.77/8".parse().unwrap(), 0));
    assert_eq!((bare.renew, bare.rebind), (1800, 3150));
    assert_eq!(ack(&[&[1, 4, 255, 255, 255, 255]]).address.prefix_len(), 32);
    for (wrong, text) in [
        (&[12, 3, b'a', b'\n', b'b'][..], "a name with a line break"),
        (&[12, 4, b'-', b'x', b'=', b'1'], "one that looks like an option"),
        (
            &[15, 13, b'x', b'\n', b'n', b'a', b'm', b'e', b's', b'e', b'r', b'v', b'e', b'r', b'\t'],
            "two lines",
        ),
    ] {
        let lease = ack(&[wrong]);
        assert!(
            lease.hostname.is_none() && lease.search.iter().all(|d| !d.contains('\n')),
            "{text}: {lease:?}"
        );
    }
    assert_eq!(ack(&[&[26, 2, 0, 68]]).mtu, None, "no MTU below 576");
    assert_eq!(ack(&[&[58, 4, 0, 1, 0, 0, 59, 4, 0, 2, 0, 0]]).renew, 1800, "T1 beyond the lease");
    let mask = answer(5, &[&[1, 4, 255, 0, 255, 0]]);
    assert_eq!(decode(&client(), &mask), None);
}

#[test]
fn classless_routes_stand_in_the_routers_place_and_may_come_in_parts() {
    let lease = ack(&[
        &[3, 4, 10, 4, 0, 1],
        &[121, 9, 0, 10, 4, 0, 254, 22, 172, 16, 4],
        &[121, 10, 10, 4, 0, 9, 32, 10, 9, 9, 9, 0],
        &[121, 3, 0, 0, 0],
    ]);
    let shown: Vec<String> = lease.routes.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["default via 10.4.0.254", "172.16.4.0/22 via 10.4.0.9", "10.9.9.9/32"]);
    for broken in [&[121, 2, 24, 10][..], &[121, 5, 33, 1, 2, 3, 4]] {
        assert_eq!(ack(&[&[3, 4, 10, 4, 0, 1], broken]).routes.len(), 1, "{broken:?}");
    }
}

#[test]
fn search_domains_are_unpacked_as_dns_packs_them() {
    let eng = b"\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04";
    let option = [&[119, u8::try_from(eng.len()).unwrap()][..], eng].concat();
    assert_eq!(ack(&[&option]).search, ["eng.apple.com", "marketing.apple.com"]);
    for circle in [&[119, 2, 0xc0, 0][..], &[119, 4, 1, b'a', 0xc0, 2], &[119, 1, 63]] {
        assert!(ack(&[circle]).search.is_empty(), "{circle:?}");
    }
}

#[test]
fn what_is_not_ours_is_no_answer() {
    let good = answer(2, &[]);
    assert!(matches!(decode(&client(), &good), Some(Answer::Offer(_))));
    for (at, what) in [
        (0, "a request"),
        (1, "no Ethernet"),
        (7, "another exchange"),
        (30, "another host"),
        (236, "no DHCP"),
    ] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        assert_eq!(decode(&client(), &bytes), None, "{what}");
    }
    let mut nameless = good.clone();
    nameless[243] = 0x37; // option 54 becomes another
    assert_eq!(decode(&client(), &nameless), None, "an offer of no server");
    let nak = answer(6, &[&[56, 5, b'w', b'r', b'o', b'n', b'g']]);
    assert_eq!(decode(&client(), &nak), Some(Answer::Nak("wrong".into())));
}

#[test]
fn packets_are_checked_and_half_done_sums_let_through() {
    let message = answer(2, &[]);
    // A request's frame with its ports and addresses the other way round has the same sums.
    let mut bytes = frame(&message).unwrap();
    for (a, b) in [(21, 23), (12, 16), (13, 17), (14, 18), (15, 19)] {
        bytes.swap(a, b);
    }
    assert_eq!(unframe(&bytes), Some(message.as_slice()));
    let sum = [bytes[26], bytes[27]];
    // 255.255.255.255 -> 0.0.0.0, protocol 17, 8 bytes of header: what is left to the card.
    let partial = 0xffff_u32 * 2 + 17 + 8 + u32::try_from(message.len()).unwrap();
    let partial = u16::try_from((partial & 0xffff) + (partial >> 16)).unwrap().to_be_bytes();
    for (field, is_taken) in [(partial, true), ([0, 0], true), ([sum[0] ^ 1, sum[1]], false)] {
        bytes[26..28].copy_from_slice(&field);
        assert_eq!(unframe(&bytes).is_some(), is_taken, "{field:?}");
    }
    bytes[26..28].copy_from_slice(&sum);
    for (at, what) in [(8, "a broken header"), (20, "another port"), (6, "a fragment"), (3, "another length")]
    {
        let mut wrong = bytes.clone();
        wrong[at] ^= 0x20;
        assert_eq!(unframe(&wrong), None, "{what}");
    }
}

#[test]
fn when_a_lease_is_due() {
    let lease = Lease { renew: 1000, rebind: 1750, seconds: 2000, ..ack(&[]) };
    for (age, due) in [
        (0, Due::Nothing(1000)),
        (999, Due::Nothing(1)),
        (1000, Due::Renew(375)),
        (1700, Due::Renew(50)),
        (1750, Due::Rebind(125)),
        (1990, Due::Rebind(10)),
        (2000, Due::Expired),
        (u32::MAX, Due::Expired),
    ] {
        assert_eq!(lease.due(age), due, "{age}");
    }
    let forever = Lease { seconds: u32::MAX, ..lease };
    assert_eq!(forever.due(4_000_000_000), Due::Nothing(u32::MAX));
}

proptest! {
    #[test]
    fn no_answer_whatever_is_in_it_does_harm(options in proptest::collection::vec(any::<u8>(), 0..400), cut in 0_usize..700) {
        let mut bytes = answer(5, &[&options]);
        let _ = decode(&client(), &bytes);
        bytes.truncate(cut);
        let _ = decode(&client(), &bytes);
        let _ = unframe(&options);
        if let Some(mut framed) = frame(&bytes) {
            framed.truncate(cut);
            let _ = unframe(&framed);
        }
    }
}

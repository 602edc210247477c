use super::*;

fn goal(address: &str, stale: Option<&str>, routes: &[Route]) -> Goal {
    Goal {
        name: "eth0".parse().unwrap(),
        address: address.parse().unwrap(),
        stale: stale.map(|s| s.parse().unwrap()),
        routes: routes.into(),
        mtu: Some(1400),
    }
}

fn by(via: &str) -> Route {
    Route::default_by(via.parse().unwrap())
}

fn texts(goal: &Goal, facts: &Facts) -> (Vec<String>, usize) {
    let (steps, already) = plan(goal, facts);
    (steps.iter().map(ToString::to_string).collect(), already)
}

#[test]
fn from_nothing_and_from_all_of_it() {
    let goal = goal("10.4.0.7/24", None, &[by("10.4.0.1")]);
    let (steps, already) = texts(&goal, &Facts::default());
    assert_eq!(
        (steps.join("; ").as_str(), already),
        (
            "ip link set eth0 mtu 1400; ip link set eth0 up; ip addr add 10.4.0.7/24 brd + dev eth0; \
             ip route replace default via 10.4.0.1 dev eth0",
            0
        )
    );
    let all = Facts { up: true, mtu: 1400, addresses: vec![goal.address], routes: goal.routes.clone() };
    assert_eq!(texts(&goal, &all), (Vec::new(), 4));
}

#[test]
fn another_lease_takes_the_old_ones_place() {
    let old: Cidr = "10.4.0.7/24".parse().unwrap();
    let goal = goal("10.4.0.9/24", Some("10.4.0.7/24"), &[by("10.4.0.1")]);
    let facts = Facts { up: true, mtu: 1400, addresses: vec![old], routes: goal.routes.clone() };
    assert_eq!(
        texts(&goal, &facts).0.join("; "),
        "ip addr del 10.4.0.7/24 dev eth0; ip addr add 10.4.0.9/24 brd + dev eth0; \
         ip route replace default via 10.4.0.1 dev eth0"
    );
}

#[test]
fn a_gateway_outside_the_prefix_is_called_a_neighbour() {
    let neighbour = Route { to: "10.1.1.1/32".parse().unwrap(), via: None };
    for (address, routes, last) in [
        ("10.9.9.9/32", vec![by("10.1.1.1")], "default via 10.1.1.1 dev eth0 onlink"),
        ("10.9.9.9/32", vec![neighbour, by("10.1.1.1")], "default via 10.1.1.1 dev eth0"),
        ("fd00::9/64", vec![by("fe80::1")], "default via fe80::1 dev eth0"),
        ("fd00::9/64", vec![by("fd01::1")], "default via fd01::1 dev eth0 onlink"),
    ] {
        let (steps, _) = texts(&goal(address, None, &routes), &Facts::default());
        assert_eq!(steps.last().unwrap(), &format!("ip route replace {last}"));
    }
}

#[test]
fn the_resolvers_file() {
    let dns: Vec<IpAddr> = vec!["10.4.0.1".parse().unwrap(), "fd00::53".parse().unwrap()];
    let search = ["a.example".to_owned(), "b.example".to_owned()];
    assert_eq!(
        resolv_conf(&search, &dns).unwrap(),
        "search a.example b.example\nnameserver 10.4.0.1\nnameserver fd00::53\n"
    );
    assert_eq!(resolv_conf(&[], &dns[..1]).unwrap(), "nameserver 10.4.0.1\n");
    assert_eq!(resolv_conf(&search, &[]), None);
    assert!(is_nameless("(none)") && !is_nameless("node-1"));
}

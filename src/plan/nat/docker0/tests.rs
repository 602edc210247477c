use super::*;

/// A host's rules: a table's name, then lines as `-S` prints them. A star marks docker's about docker0.
struct Case {
    version: &'static str,
    addrs: &'static [&'static str],
    text: &'static str,
}

/// Beside an administrator's rules and those of a network of docker's (172.20.7.0/24 on br-7c444e1ed9c4).
const CASES: [Case; 7] = [
    Case {
        version: "1.2 by its sources, as iptables 1.4.7 of CentOS 6 prints them; a rule of 1.x came twice",
        addrs: &["172.17.42.1/16"],
        text: "nat
  -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER 
  -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER 
* -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE 
* -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE 
* -A DOCKER ! -i docker0 -p tcp -m tcp --dport 49153 -j DNAT --to-destination 172.17.0.2:80 
filter
* -A FORWARD -s 172.17.0.3/32 -d 172.17.0.2/32 -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT 
* -A FORWARD -s 172.17.0.2/32 -d 172.17.0.3/32 -i docker0 -o docker0 -p tcp -m tcp --sport 80 -j ACCEPT 
* -A FORWARD -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT 
* -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT 
* -A FORWARD -i docker0 ! -o docker0 -j ACCEPT 
* -A FORWARD -i docker0 -o docker0 -j ACCEPT 
  -A FORWARD -i docker0 -o docker0 -m limit --limit 3/sec -j LOG --log-prefix \"a \\\"docker0\\\" \"",
    },
    Case {
        version: "1.11 by its sources",
        addrs: &["172.17.0.1/16"],
        text: "nat
* -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
* -A DOCKER -i docker0 -j RETURN
filter
  -A FORWARD -j DOCKER-ISOLATION
* -A FORWARD -o docker0 -j DOCKER
* -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
* -A DOCKER-ISOLATION -i docker0 -o br-7c444e1ed9c4 -j DROP
* -A DOCKER-ISOLATION -i br-7c444e1ed9c4 -o docker0 -j DROP
  -A DOCKER-ISOLATION -i br-7c444e1ed9c4 -o br-00f1 -j DROP
  -A DOCKER-ISOLATION -j RETURN",
    },
    Case {
        version: "20.10.24, run here with containers",
        addrs: &["172.17.0.1/16"],
        text: "nat
  -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
  -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
  -A POSTROUTING -s 172.20.7.0/24 ! -o br-7c444e1ed9c4 -j MASQUERADE
* -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
* -A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
* -A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p udp -m udp --dport 53 -j MASQUERADE
  -A POSTROUTING -s 172.20.7.2/32 -d 172.20.7.2/32 -p tcp -m tcp --dport 5432 -j MASQUERADE
  -A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.3/32 -p tcp -m tcp --dport 80 -j MASQUERADE
  -A POSTROUTING -s 10.99.0.0/16 ! -d 10.99.0.0/16 -m comment --comment \"not by docker0\" -j MASQUERADE
  -A DOCKER -i br-7c444e1ed9c4 -j RETURN
* -A DOCKER -i docker0 -j RETURN
* -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
* -A DOCKER -d 127.0.0.1/32 ! -i docker0 -p udp -m udp --dport 5353 -j DNAT --to-destination 172.17.0.2:53
  -A DOCKER ! -i br-7c444e1ed9c4 -p tcp -m tcp --dport 5432 -j DNAT --to-destination 172.20.7.2:5432
mangle
  -A FORWARD -o docker0 -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
filter
  -P FORWARD DROP
  -N DOCKER-USER
  -A INPUT -i docker0 -p udp -m udp --dport 53 -j ACCEPT
  -A FORWARD -j DOCKER-USER
  -A FORWARD -j DOCKER-ISOLATION-STAGE-1
  -A FORWARD -o br-7c444e1ed9c4 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
  -A FORWARD -o br-7c444e1ed9c4 -j DOCKER
  -A FORWARD -i br-7c444e1ed9c4 ! -o br-7c444e1ed9c4 -j ACCEPT
  -A FORWARD -i br-7c444e1ed9c4 -o br-7c444e1ed9c4 -j ACCEPT
* -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
* -A FORWARD -o docker0 -j DOCKER
* -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
* -A FORWARD -i docker0 -o docker0 -j ACCEPT
  -A FORWARD -i docker0 -j ACCEPT
  -A FORWARD -s 10.0.0.0/8 -i docker0 -j DROP
  -A FORWARD -i docker0 -o docker0 -m comment --comment \"by hand\" -j ACCEPT
* -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
* -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p udp -m udp --dport 53 -j ACCEPT
  -A DOCKER -d 172.20.7.2/32 ! -i br-7c444e1ed9c4 -o br-7c444e1ed9c4 -p tcp -m tcp --dport 5432 -j ACCEPT
  -A DOCKER-ISOLATION-STAGE-1 -i br-7c444e1ed9c4 ! -o br-7c444e1ed9c4 -j DOCKER-ISOLATION-STAGE-2
* -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
  -A DOCKER-ISOLATION-STAGE-1 -j RETURN
  -A DOCKER-ISOLATION-STAGE-2 -o br-7c444e1ed9c4 -j DROP
* -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
  -A DOCKER-ISOLATION-STAGE-2 -j RETURN
  -A DOCKER-USER -i docker0 -o docker0 -j DROP
  -A DOCKER-USER -j RETURN",
    },
    Case {
        version: "20.10.24, run here: --userland-proxy=false --icc=false --bip, a link",
        addrs: &["10.99.0.1/24"],
        text: "nat
  -A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER
* -A POSTROUTING -o docker0 -m addrtype --src-type LOCAL -j MASQUERADE
* -A POSTROUTING -s 10.99.0.0/24 ! -o docker0 -j MASQUERADE
* -A POSTROUTING -s 10.99.0.2/32 -d 10.99.0.2/32 -p tcp -m tcp --dport 3306 -j MASQUERADE
* -A DOCKER -p tcp -m tcp --dport 32768 -j DNAT --to-destination 10.99.0.2:3306
* -A DOCKER -d 127.0.0.1/32 -p udp -m udp --dport 5353 -j DNAT --to-destination 10.99.0.3:53
  -A DOCKER -p tcp -m tcp --dport 5432 -j DNAT --to-destination 172.20.7.2:5432
filter
* -A FORWARD -i docker0 -o docker0 -j DROP
* -A DOCKER -s 10.99.0.3/32 -d 10.99.0.2/32 -i docker0 -o docker0 -p tcp -m tcp --dport 3306 -j ACCEPT
* -A DOCKER -s 10.99.0.2/32 -d 10.99.0.3/32 -i docker0 -o docker0 -p tcp -m tcp --sport 3306 -j ACCEPT",
    },
    Case {
        version: "20.10.24, run here: the same with --ipv6 --ip6tables; fe80::/10 of 27",
        addrs: &["fd00:9::1/64"],
        text: "nat
  -A OUTPUT ! -d ::1/128 -m addrtype --dst-type LOCAL -j DOCKER
* -A POSTROUTING -s fd00:9::/64 ! -o docker0 -j MASQUERADE
* -A POSTROUTING -s fd00:9::242:a63:2/128 -d fd00:9::242:a63:2/128 -p tcp -m tcp --dport 3306 -j MASQUERADE
  -A POSTROUTING -s fd00:7::2/128 -d fd00:7::2/128 -p tcp -m tcp --dport 3306 -j MASQUERADE
* -A DOCKER -p tcp -m tcp --dport 32768 -j DNAT --to-destination [fd00:9::242:a63:2]:3306
* -A DOCKER ! -s fe80::/10 -d ::1/128 ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd00:9::2]:80
filter
* -A FORWARD -o docker0 -j DOCKER
* -A DOCKER -d fd00:9::242:a63:2/128 ! -i docker0 -o docker0 -p tcp -m tcp --dport 3306 -j ACCEPT",
    },
    Case {
        version: "28.0.0, moby's integration/network/bridge/iptablesdoc; raw of moby#49518",
        addrs: &["172.17.0.1/16"],
        text: "raw
* -A PREROUTING -d 172.17.0.2/32 ! -i docker0 -p tcp -m tcp --dport 1000 -j DROP
  -A PREROUTING -d 172.20.7.2/32 ! -i br-7c444e1ed9c4 -p tcp -m tcp --dport 1001 -j DROP
  -A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 8080 -j DROP
nat
* -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
* -A DOCKER -i docker0 -j RETURN
filter
  -A FORWARD -j DOCKER-USER
  -A FORWARD -m set --match-set docker-ext-bridges-v4 dst -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
  -A FORWARD -m set --match-set docker-ext-bridges-v4 dst -j DOCKER
* -A FORWARD -i docker0 -j ACCEPT
  -A FORWARD -i br-7c444e1ed9c4 -j ACCEPT
* -A DOCKER ! -i docker0 -o docker0 -j DROP
* -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2",
    },
    Case {
        version: "29, moby's iptabler golden files; raw of 28.2 and of moby#52224",
        addrs: &["192.168.0.1/24"],
        text: "raw
* -A PREROUTING -d 192.168.0.2/32 ! -i docker0 -j DROP
* -A PREROUTING -d 192.168.0.0/24 -i lo -j ACCEPT
* -A PREROUTING -d 192.168.0.0/24 ! -i docker0 -j DROP
  -A PREROUTING -d 172.20.7.0/24 -i lo -j ACCEPT
  -A PREROUTING -d 172.20.7.0/24 ! -i br-7c444e1ed9c4 -j DROP
  -A PREROUTING -d 192.168.0.7/32 -i tailscale0 -j ACCEPT
nat
* -A POSTROUTING -s 192.168.0.0/24 ! -o docker0 -j MASQUERADE
* -A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.168.0.2:80
filter
  -A FORWARD -j DOCKER-FORWARD
  -A FORWARD -i docker0 -j ACCEPT
* -A DOCKER -d 192.168.0.2/32 -i docker0 -o docker0 -p tcp -m tcp --dport 80 -m conntrack ! --ctorigdst 192.168.0.2 -j ACCEPT
* -A DOCKER -d 192.168.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
* -A DOCKER -i docker0 -o docker0 -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT
* -A DOCKER ! -i docker0 -o docker0 -j DROP
* -A DOCKER-BRIDGE -o docker0 -j DOCKER
  -A DOCKER-BRIDGE -o br-7c444e1ed9c4 -j DOCKER
* -A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
  -A DOCKER-FORWARD -j DOCKER-CT
* -A DOCKER-FORWARD -i docker0 -o docker0 -j DROP
* -A DOCKER-FORWARD -i docker0 ! -o docker0 -j ACCEPT
* -A DOCKER-FORWARD -i docker0 -j ACCEPT
  -A DOCKER-FORWARD -i br-7c444e1ed9c4 -j ACCEPT",
    },
];

/// The listing, and what of it is docker's about docker0.
fn read(text: &str) -> (Vec<Listed>, Vec<Delete>) {
    let (mut listing, mut dockers): (Vec<Listed>, _) = (Vec::new(), Vec::new());
    for line in text.lines() {
        if let Some(table) = TABLES.into_iter().find(|t| *t == line) {
            listing.push((table, Vec::new()));
            continue;
        }
        let (table, lines) = listing.last_mut().unwrap();
        lines.push(line[2..].to_owned());
        if line.starts_with('*') {
            dockers.push(Delete { table, args: line[2..].trim_end().replacen("-A", "-D", 1) });
        }
    }
    (listing, dockers)
}

/// As iptables does it: the first rule of that text.
fn apply(listing: &mut [Listed], delete: &Delete) {
    let (_, lines) = listing.iter_mut().find(|(table, _)| *table == delete.table).unwrap();
    let at = lines.iter().position(|l| l.trim_end().replacen("-A", "-D", 1) == delete.args);
    lines.remove(at.unwrap_or_else(|| panic!("{delete} deletes nothing")));
}

fn sorted(deletes: &[Delete]) -> Vec<String> {
    let mut all: Vec<String> = deletes.iter().map(ToString::to_string).collect();
    all.sort();
    all
}

fn addrs(texts: &[&str]) -> Vec<Cidr> {
    texts.iter().map(|a| a.parse().unwrap()).collect()
}

#[test]
fn dockers_own_go_and_all_others_stay() {
    for case in CASES {
        let (listing, dockers) = read(case.text);
        let planned = plan(&listing, &addrs(case.addrs));
        assert_eq!(sorted(&planned.deletes), sorted(&dockers), "{}", case.version);
        let gone = |line: &&str| line.starts_with("  -A") && line.contains(" docker0 ");
        assert_eq!(planned.stay.len(), case.text.lines().filter(gone).count(), "{}", case.version);
    }
}

#[test]
fn killed_between_any_two_a_rerun_without_the_link_ends_it() {
    for case in CASES {
        let (mut listing, _) = read(case.text);
        let all = plan(&listing, &addrs(case.addrs)).deletes;
        for done in 0..all.len() {
            let again = plan(&listing, &[]).deletes;
            assert_eq!(again, all[done..], "{}: killed after {done}", case.version);
            apply(&mut listing, &all[done]);
        }
        assert!(plan(&listing, &[]).deletes.is_empty(), "{}", case.version);
    }
}

#[test]
fn what_works_without_docker0_goes_first() {
    let (listing, _) = read(CASES[2].text);
    let order: Vec<String> = plan(&listing, &[]).deletes.iter().map(ToString::to_string).collect();
    assert_eq!(
        order[..6],
        [
            "-t nat -D POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE",
            "-t nat -D POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p udp -m udp --dport 53 -j MASQUERADE",
            "-t nat -D DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
            "-t nat -D DOCKER -d 127.0.0.1/32 ! -i docker0 -p udp -m udp --dport 5353 -j DNAT --to-destination 172.17.0.2:53",
            "-t nat -D POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
            "-t nat -D DOCKER -i docker0 -j RETURN",
        ]
    );
    assert_eq!(order.last().unwrap(), "-t filter -D DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP");
}

/// Of docker's shape but of another subnet: of an earlier docker0 or of an administrator, nobody can tell.
#[test]
fn the_masquerading_of_another_subnet_stays() {
    let line = "-A POSTROUTING -s 10.244.0.0/16 ! -o docker0 -j MASQUERADE".to_owned();
    let mut listing = [("nat", vec![line.clone()])];
    for known in [addrs(&["172.17.0.1/16"]), vec![]] {
        let planned = plan(&listing, &known);
        assert_eq!((planned.deletes.len(), planned.stay), (0, vec![format!("-t nat {line}")]));
    }
    listing[0].1.push("-A DOCKER -i docker0 -j RETURN".into());
    assert_eq!(plan(&listing, &addrs(&["172.17.0.1/16"])).deletes.len(), 1);
}

#[test]
fn quotes_and_escapes_of_a_listing() {
    for (text, all) in [
        ("-i docker0  -j X ", vec!["-i", "docker0", "-j", "X"]),
        (r#"--comment "a \"b\" \\ -j c" -j X"#, vec!["--comment", r#"a "b" \ -j c"#, "-j", "X"]),
        (r#"--comment "" x"#, vec!["--comment", "", "x"]),
        (r#"--log-prefix "it\'s""#, vec!["--log-prefix", "it's"]),
    ] {
        assert_eq!(words(text), all, "{text}");
    }
    let line = "-A FORWARD -m comment --comment \"x -i docker0 -o docker0 -j ACCEPT\" -j DROP".to_owned();
    assert_eq!(plan(&[("filter", vec![line])], &[]), Plan { deletes: vec![], stay: vec![] });
}

use super::*;

fn list(subnets: &[&str], change: impl FnOnce(&mut Wanted<'_>)) -> Value {
    let subnets: Vec<Cidr> = subnets.iter().map(|s| s.parse().unwrap()).collect();
    let bridge = "br-pods".parse().unwrap();
    let mut wanted = Wanted {
        bridge: &bridge,
        network: "pods-7",
        version: "0.3.1",
        subnets: &subnets,
        mtu: Some(1422),
        hairpin: Hairpin::Veth,
        portmap: true,
        bandwidth: false,
    };
    change(&mut wanted);
    wanted.list()
}

#[test]
fn the_whole_list() {
    assert_eq!(
        text(&list(&["10.7.3.1/24", "fd00:7:3::1/64"], |_| {})),
        r#"{
  "cniVersion": "0.3.1",
  "name": "pods-7",
  "madeBy": "kboot cni-config",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "br-pods",
      "mtu": 1422,
      "isGateway": false,
      "ipMasq": false,
      "hairpinMode": true,
      "promiscMode": false,
      "ipam": {
        "type": "host-local",
        "dataDir": "/run/cni/networks",
        "ranges": [
          [
            {
              "subnet": "10.7.3.0/24",
              "gateway": "10.7.3.1"
            }
          ],
          [
            {
              "subnet": "fd00:7:3::/64",
              "gateway": "fd00:7:3::1"
            }
          ]
        ],
        "routes": [
          {
            "dst": "0.0.0.0/0"
          },
          {
            "dst": "::/0"
          }
        ]
      }
    },
    {
      "type": "portmap",
      "capabilities": {
        "portMappings": true
      }
    }
  ]
}
"#
    );
}

#[test]
fn the_gateway_is_the_bridges_own_address() {
    for (subnet, range, route) in [
        ("10.7.3.0/24", json!({"subnet": "10.7.3.0/24", "gateway": "10.7.3.1"}), "0.0.0.0/0"),
        ("10.7.3.77/25", json!({"subnet": "10.7.3.0/25", "gateway": "10.7.3.77"}), "0.0.0.0/0"),
        ("10.7.3.5/30", json!({"subnet": "10.7.3.4/30", "gateway": "10.7.3.5"}), "0.0.0.0/0"),
        ("fd00:7::/112", json!({"subnet": "fd00:7::/112", "gateway": "fd00:7::1"}), "::/0"),
    ] {
        let ipam = &list(&[subnet], |_| {})["plugins"][0]["ipam"];
        assert_eq!(ipam["ranges"], json!([[range]]), "{subnet}");
        assert_eq!(ipam["routes"], json!([{"dst": route}]), "{subnet}");
    }
}

#[test]
fn what_the_options_change() {
    let types = |list: &Value| -> Vec<String> {
        list["plugins"].as_array().unwrap().iter().map(|p| p["type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(types(&list(&["10.7.3.1/24"], |w| w.portmap = false)), ["bridge"]);
    assert_eq!(types(&list(&["10.7.3.1/24"], |w| w.bandwidth = true)), ["bridge", "portmap", "bandwidth"]);
    assert_eq!(list(&["10.7.3.1/24"], |w| w.mtu = None)["plugins"][0].get("mtu"), None);
    for (hairpin, veth, promiscuous) in
        [(Hairpin::Veth, true, false), (Hairpin::Promiscuous, false, true), (Hairpin::None, false, false)]
    {
        let list = list(&["10.7.3.1/24"], |w| w.hairpin = hairpin);
        let plugin = &list["plugins"][0];
        assert_eq!((&plugin["hairpinMode"], &plugin["promiscMode"]), (&veth.into(), &promiscuous.into()));
    }
}

#[test]
fn names_and_versions() {
    for name in ["kboot", "k8s-pod-network", "7", "a.b_c"] {
        assert_eq!(parse_network(name).unwrap(), name);
    }
    for name in ["", ".", "..", "-x", "_x", "a/b", "a b", "é", &"x".repeat(256)] {
        assert!(parse_network(name).is_err(), "{name}");
    }
    assert!(VERSIONS.iter().all(|v| parse_version(v).is_ok()));
    for version in ["0.2.0", "0.1.0", "1.0", "v1.0.0", "2.0.0", ""] {
        assert!(parse_version(version).is_err(), "{version}");
    }
}

#[test]
fn what_is_there_already() {
    let wanted = list(&["10.7.3.1/24"], |_| {});
    let plain = |list: &Value| {
        let mut list = list.clone();
        list.as_object_mut().unwrap().remove("madeBy");
        list.to_string()
    };
    let held = |text: &str| compare(text.as_bytes(), &wanted);
    assert_eq!(held(" \n"), Held::Nothing);
    assert_eq!(held(&text(&wanted)), Held::Wanted);
    assert_eq!(held(&plain(&wanted)), Held::Wanted, "who wrote it is nothing to a runtime");
    let other = list(&["10.7.9.1/24"], |w| {
        w.mtu = None;
        w.portmap = false;
    });
    let differences = vec![
        "plugins[0].ipam.ranges[0][0].subnet is 10.7.9.0/24, wanted is 10.7.3.0/24".to_owned(),
        "plugins[0].ipam.ranges[0][0].gateway is 10.7.9.1, wanted is 10.7.3.1".to_owned(),
        "plugins[0].mtu is none, wanted is 1422".to_owned(),
        "plugins[1] is none, wanted is {\"type\":\"portmap\",\"capabilities\":{\"portMappings\":true}}"
            .to_owned(),
    ];
    assert_eq!(held(&text(&other)), Held::Own(differences.clone()));
    assert_eq!(held(&plain(&other)), Held::Foreign(differences));
    let flannel = r#"{"name":"cbr0","cniVersion":"0.3.1","plugins":[{"type":"flannel","delegate":{}},{"type":
        "portmap","capabilities":{"portMappings":true}}]}"#;
    let differences = ["name is cbr0, wanted is pods-7", "plugins[0].type is flannel, wanted is bridge"];
    assert_eq!(held(flannel), Held::Foreign(differences.map(str::to_owned).to_vec()));
    assert_eq!(held("[]"), Held::Foreign(vec!["is no list of CNI plugins".into()]));
    let why = "is no JSON: expected value at line 1 column 1";
    assert_eq!(held("# mine"), Held::Foreign(vec![why.into()]));
}

#[test]
fn who_comes_first() {
    let names = [
        "10-flannel.conflist",
        "10-kboot.conflist",
        "09-x.json",
        "100-crio.conf",
        ".a.conf",
        "05-off",
        "1.bak",
    ];
    let before = |own: &str| comes_before(own, names.iter().rev().map(|n| (*n).to_owned()).collect());
    assert_eq!(before("10-kboot.conflist"), [".a.conf", "09-x.json", "10-flannel.conflist"]);
    assert_eq!(before("!"), [""; 0]);
    assert!(is_list("10-kboot.conflist") && is_list(".conflist"));
    assert!(!is_list("10-kboot.conf") && !is_list("conflist") && !is_list("x.conflist.bak"));
}

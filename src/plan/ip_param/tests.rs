use super::*;

fn of(text: &str) -> String {
    match text.parse::<Param>() {
        Err(why) => why,
        Ok(p) => {
            let device = p.device.map_or("*".into(), |d| d.to_string());
            let method = match p.method {
                Method::Off => "off".to_owned(),
                Method::Dhcp => "dhcp".to_owned(),
                Method::Static(cidr, via) => {
                    format!("{cidr}{}", via.map(|v| format!(" via {v}")).unwrap_or_default())
                }
            };
            let name =
                p.hostname.map(|(n, d)| format!(" name {n} {}", d.unwrap_or_default())).unwrap_or_default();
            let dns: Vec<String> = p.dns.iter().map(|d| format!(" dns {d}")).collect();
            let dns = dns.concat();
            let mtu = p.mtu.map(|m| format!(" mtu {m}")).unwrap_or_default();
            format!("{device} {method}{}{dns}{mtu}", name.trim_end())
        }
    }
}

#[test]
fn the_forms_of_the_kernel_and_of_dracut() {
    for (text, read) in [
        ("dhcp", "* dhcp"),
        ("on", "* dhcp"),
        ("any", "* dhcp"),
        ("off", "* off"),
        ("none", "* off"),
        (":::::eth1:dhcp", "eth1 dhcp"),
        ("::::node-7:eth1:", "eth1 dhcp name node-7"),
        (":::::eth1:off", "eth1 off"),
        ("::::node-7.rack2.example.org::any", "* dhcp name node-7 rack2.example.org"),
        ("10.0.2.15", "* 10.0.2.15/8"),
        ("172.20.1.2", "* 172.20.1.2/16"),
        ("192.168.7.9:::", "* 192.168.7.9/24"),
        ("10.0.2.15::10.0.2.2:255.255.255.0::eth0:off", "eth0 10.0.2.15/24 via 10.0.2.2"),
        (
            "10.0.2.15:10.0.2.4:10.0.2.2:255.255.255.0:n1:eth0:none:10.0.2.3:1.1.1.1:10.0.2.9",
            "eth0 10.0.2.15/24 via 10.0.2.2 name n1 dns 10.0.2.3 dns 1.1.1.1",
        ),
        ("10.0.2.15:0.0.0.0:0.0.0.0:255.255.0.0::eth0:on:0.0.0.0", "eth0 10.0.2.15/16"),
        ("10.0.2.15::10.0.2.2:24:n1:eth0:none:1450", "eth0 10.0.2.15/24 via 10.0.2.2 name n1 mtu 1450"),
        ("10.0.2.15/22::10.0.2.2:::eth0:none", "eth0 10.0.2.15/22 via 10.0.2.2"),
        ("100.64.0.9::10.1.1.1:255.255.255.255::ens3:none", "ens3 100.64.0.9/32 via 10.1.1.1"),
        (
            "[fd00:5::9]::[fd00:5::1]:64:n1:eth0:none:[fd00:5::53]",
            "eth0 fd00:5::9/64 via fd00:5::1 name n1 dns fd00:5::53",
        ),
        ("eth0:dhcp", "eth0 dhcp"),
        ("enp1s0:on:9000", "enp1s0 dhcp mtu 9000"),
        ("eth0:off", "eth0 off"),
    ] {
        assert_eq!(of(text), read, "{text}");
    }
}

#[test]
fn what_is_wrong_has_a_text_each() {
    for (text, why) in [
        ("", "is empty: give dhcp,"),
        ("dhcq", "address \"dhcq\": is no IPv4 address"),
        ("dhcp:eth0", "\"dhcp\" stands alone or behind a device"),
        ("eth0:dhcp6", "dhcp6: kboot sets IPv6 addresses as written only"),
        ("both", "both: kboot speaks DHCP only: give dhcp"),
        ("ibft", "ibft: kboot reads no iBFT"),
        ("eth/0:dhcp", "device \"eth/0\": an interface name has no '/'"),
        ("eth0:dhcp:50", "MTU \"50\": is none of 68 to 65535"),
        ("10.0.0.300::::::", "address \"10.0.0.300\": is no IPv4"),
        ("224.0.0.5", "address \"224.0.0.5\": is no host's"),
        ("10.0.0.5:x", "server \"x\": is no IPv4"),
        ("10.0.0.5::10.0.0.x:24", "gateway \"10.0.0.x\": is no IPv4"),
        ("10.0.0.5::[fd00::1]:24", "gateway [fd00::1]: is none for 10.0.0.5"),
        ("10.0.0.5::10.0.0.5:24", "gateway 10.0.0.5: is none for 10.0.0.5"),
        ("10.0.0.5:::255.0.255.0", "netmask \"255.0.255.0\": is none"),
        ("10.0.0.5:::33", "netmask \"33\": is none"),
        ("10.0.0.5/:::33", "netmask \"\": is none"),
        ("[fd00::5]", "netmask \"\": is none"),
        ("10.0.0.5:::24:a_b c", "hostname \"a_b c\": is none"),
        ("10.0.0.5:::24::eth0:dhpc", "autoconf \"dhpc\": is none of"),
        ("10.0.0.5:::24::eth0:dhcp", "an address and dhcp: give one of them"),
        ("10.0.0.5:::24::eth0:none:1.1.1", "name server \"1.1.1\": is no IPv4"),
        ("10.0.0.5:::24::eth0:none:1400:52:54:00:12:34:56", "has 14 fields"),
        ("10.0.0.5:::24::eth0:none:1400:52", "a MAC address behind the MTU"),
        ("10.0.0.5:::24::eth0:none:::ntp", "NTP server \"ntp\": is no IPv4"),
        ("[fd00::5:::64", "a bracket is open to the end"),
        ("fd00:1:2:3:4:5:6:7:8:9:a", "has 11 fields"),
    ] {
        assert!(of(text).starts_with(why), "{text}: {}", of(text));
    }
}

#[test]
fn several_may_not_speak_of_the_same() {
    for (texts, answer) in [
        (&["eth0:dhcp", "eth1:dhcp", "[fd00::5]:::64::eth0:none"][..], Ok(())),
        (&["eth0:dhcp", "10.0.0.5:::24::eth0:none"], Err("eth0 is configured twice".to_owned())),
        (&["dhcp", "off"], Err("two of them name no device".to_owned())),
    ] {
        let all: Vec<Param> = texts.iter().map(|t| t.parse().unwrap()).collect();
        assert_eq!(check(&all), answer, "{texts:?}");
    }
    assert_eq!(boot_link("01-52-54-00-12-34-56"), "52:54:00:12:34:56".parse().ok());
    assert_eq!(boot_link("eth0"), None);
}

use super::*;
use proptest::prelude::*;

const SEED: &str = "FLANNEL_SUBNET=10.10.48.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n";

fn whole(text: &str) -> Lease {
    match parse(text) {
        Ok(Read::Whole(lease)) => lease,
        other => panic!("{text:?}: {other:?}"),
    }
}

#[test]
fn every_generation_of_the_file_is_read() {
    let seed = whole(SEED);
    assert_eq!(seed.subnet.unwrap().to_string(), "10.10.48.1/24");
    assert_eq!((seed.mtu, seed.ipmasq), (Some(1472), Some(false)));
    // 0.1.0 wrote these two only.
    assert_eq!(whole("FLANNEL_SUBNET=10.1.74.1/24\nFLANNEL_MTU=1450\n").ipmasq, None);
    // 0.15 and later, both families.
    let dual = whole(
        "FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.3.1/24\nFLANNEL_IPV6_NETWORK=fd00:42::/56\n\
         FLANNEL_IPV6_SUBNET=fd00:42:0:3::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
    );
    assert_eq!(dual.subnets().count(), 2);
    assert_eq!(dual.networks6[0].to_string(), "fd00:42::/56");
    // IPv6 only: no FLANNEL_SUBNET at all.
    let six =
        whole("FLANNEL_IPV6_NETWORK=fd00:42::/56\nFLANNEL_IPV6_SUBNET=fd00:42:0:3::1/64\nFLANNEL_MTU=1430\n");
    assert_eq!(six.subnet, None);
    // 0.21.0 to 0.24.4: a comma list.
    assert_eq!(whole(&format!("FLANNEL_NETWORK=10.5.0.0/16,10.6.0.0/16\n{SEED}")).networks.len(), 2);
}

#[test]
fn shell_forms_are_read_without_a_shell() {
    let lease = whole("# lease\r\nexport FLANNEL_SUBNET=\"10.1.2.1/24\"\r\n\r\nFLANNEL_MTU='1400'\r\n");
    assert_eq!((lease.subnet.unwrap().to_string().as_str(), lease.mtu), ("10.1.2.1/24", Some(1400)));
    let lease =
        whole("export FLANNEL_SUBNET=10.1.2.1/24 FLANNEL_MTU=1\"4\"00 # both\n  FLANNEL_IPMASQ=true\t#\n");
    assert_eq!((lease.mtu, lease.ipmasq), (Some(1400), Some(true)));
}

#[test]
fn junk_is_an_error_with_its_line() {
    for (text, error) in [
        (
            "FLANNEL_SUBNET=10.1.2.1/33\n",
            "line 1: FLANNEL_SUBNET=10.1.2.1/33: the prefix length is not a number from 0 to 32",
        ),
        ("\nFLANNEL_MTU=9x\n", "line 2: FLANNEL_MTU=9x: is no MTU: give a number from 68 to 65535"),
        ("hello\n", "line 1: is not KEY=value"),
        ("FLANNEL_MTU = 1450\n", "line 1: FLANNEL_MTU a blank stands before the ="),
        ("FLANNEL_FOO=1\n", "line 1: FLANNEL_FOO is no key that flannel writes"),
        (
            "FLANNEL_SUBNET=$(reboot)\n",
            "line 1: FLANNEL_SUBNET: a shell would expand the $: write it plainly",
        ),
        ("FLANNEL_IPMASQ=yes\n", "line 1: FLANNEL_IPMASQ=yes: is neither true nor false"),
        ("FLANNEL_MTU=\"1400\n", "line 1: FLANNEL_MTU: a \" is not closed"),
        ("FLANNEL_MTU=1400\nFLANNEL_MTU=1400\n", "line 2: FLANNEL_MTU stands there twice"),
        ("FLANNEL_SUBNET=fd00::1/64\n", "line 1: FLANNEL_SUBNET=fd00::1/64: is of the other address family"),
        (
            "FLANNEL_IPV6_SUBNET=10.1.2.1/24\n",
            "line 1: FLANNEL_IPV6_SUBNET=10.1.2.1/24: is of the other address family",
        ),
    ] {
        assert_eq!(parse(text).unwrap_err(), error);
    }
}

proptest! {
    /// Written in place, the file is seen at every length: it is never junk, never whole too early.
    #[test]
    fn every_prefix_of_a_file_is_partial_or_whole(cut in 0usize..=SEED.len()) {
        let masq_is_whole = SEED.len() - 1;
        match parse(&SEED[..cut]).unwrap() {
            Read::Whole(lease) => {
                prop_assert!(cut >= masq_is_whole || SEED[..cut].ends_with("1472\n"), "{}", cut);
                prop_assert_eq!(lease.mtu, Some(1472));
            }
            Read::Partial(_) => prop_assert!(cut < masq_is_whole),
        }
    }

    #[test]
    fn nothing_makes_it_panic(text in "\\PC*(\n\\PC*)*") {
        let _ = parse(&text);
    }
}

#[test]
fn variables_for_a_boot_script() {
    let text: Vec<String> = whole(SEED).variables().into_iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(
        text,
        [
            "FLANNEL_SUBNET=10.10.48.1/24",
            "FLANNEL_MTU=1472",
            "FLANNEL_IPMASQ=false",
            "FLANNEL_SUBNET_IP=10.10.48.1",
            "FLANNEL_SUBNET_NETWORK=10.10.48.0/24",
            "FLANNEL_SUBNET_LEN=24",
            "FLANNEL_SUBNET_GATEWAY=10.10.48.1",
            "FLANNEL_SUBNET_FIRST=10.10.48.2",
            "FLANNEL_SUBNET_LAST=10.10.48.254",
        ]
    );
}

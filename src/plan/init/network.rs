//! The network's steps, which `init` takes besides the boot list's.

use crate::plan::boot_list::Line;
use crate::plan::cmdline::{self, Parameter};
use crate::plan::ip_param::{Method, Param};

/// What asks for the network, each in what `ipconfig` reads and in its order; `is_own`: of the kernel's own
/// `ip=` as well, which belongs to who switches the root.
fn asked<'a>(line: &[Parameter<'a>], is_own: bool) -> Vec<&'a str> {
    let option = ["kboot.ipconfig.ip", "kboot.ip"].iter().find_map(|name| cmdline::value(line, name));
    let all: Vec<&str> = match option {
        Some(several) => several.split(',').collect(),
        None if is_own => cmdline::values(line, "ip").collect(),
        None => Vec::new(),
    };
    all.into_iter().filter(|ip| !matches!(*ip, "" | "off" | "none")).collect()
}

/// What comes before the list, and what after it: `ipconfig` where it is asked for, and for who stays the
/// keeper of a lease. Its first renewal is far off, and the boot is not to wait for its beginning.
pub fn steps(line: &[Parameter<'_>], is_own: bool, stays: bool) -> (Option<Line>, Option<Line>) {
    let asked = asked(line, is_own);
    let is_leased = |ip: &&str| ip.parse::<Param>().is_ok_and(|p| p.method == Method::Dhcp);
    let keeper = Line { respawn: true, args: vec!["--keep".into()], ..Line::applet("ipconfig") };
    let keeps = stays && asked.iter().any(is_leased);
    let once = (!asked.is_empty()).then(|| Line::applet("ipconfig"));
    (once, keeps.then_some(keeper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_the_network_and_whose_lease_is_kept() {
        let (none, once, kept) = (&[][..], &["ipconfig"][..], &["ipconfig", "respawn ipconfig --keep"][..]);
        for (line, expected) in [
            ("quiet", none),
            ("ip=off", none),
            ("ip=none kboot.ip=", none),
            ("ip=dhcp", kept),
            ("ip=dhcp kboot.ip=off", none),
            ("ip=:::::eth0:dhcp", kept),
            ("ip=:::::eth0:", kept),
            ("ip=eth0:dhcp", kept),
            ("ip=eth0:dhcp:1400 ip=10.0.0.5:::24::eth1:none", kept),
            ("ip=10.0.2.15::10.0.2.2:255.255.255.0:n1:eth0:off", once),
            ("ip=10.0.2.15::10.0.2.2:255.255.255.0", once),
            ("ip=[fd00:5::9]::[fd00:5::1]:64::eth0:none", once),
            ("kboot.ip=10.0.0.5:::24::eth1:none,eth0:dhcp", kept),
            ("kboot.ipconfig.ip=eth0:dhcp", kept),
            ("ip=nonsense:", once),
        ] {
            let line = cmdline::parse(line);
            let (before, after) = steps(&line, true, true);
            let text: Vec<String> = before.iter().chain(&after).map(Line::text).collect();
            assert_eq!(text, expected, "{line:?}");
        }
        let line = cmdline::parse("ip=dhcp");
        assert!(matches!(steps(&line, true, false), (Some(_), None)));
        assert_eq!(steps(&line, false, false), (None, None));
    }
}

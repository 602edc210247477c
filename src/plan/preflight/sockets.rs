//! Ports that the kubelet wants, against those that are taken.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Finding, Level};

/// A listening TCP socket of this network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where it listens.
    pub addr: IpAddr,
    /// Its port.
    pub port: u16,
    /// Its number, as /proc/PID/fd shows it: `socket:[INODE]`.
    pub inode: u64,
}

/// The listening ones of /proc/net/tcp or tcp6: `sl local_address rem_address st ... inode`, addresses in
/// 32-bit words of the machine's own byte order, state 0A.
pub fn listeners(proc_net_tcp: &str) -> Vec<Listener> {
    let lines = proc_net_tcp.lines().map(|l| l.split_whitespace().collect::<Vec<_>>());
    lines.filter(|w| w.get(3) == Some(&"0A")).filter_map(|w| listener(w[1], w.get(9)?)).collect()
}

fn listener(local: &str, inode: &str) -> Option<Listener> {
    let (addr, port) = local.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(addr.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let addr = if addr.len() == 8 {
        IpAddr::V4(Ipv4Addr::from(word(0)?))
    } else {
        let mut bytes = [0; 16];
        for at in 0..4 {
            bytes[at * 4..at * 4 + 4].copy_from_slice(&word(at)?);
        }
        IpAddr::V6(Ipv6Addr::from(bytes))
    };
    Some(Listener { addr, port: u16::from_str_radix(port, 16).ok()?, inode: inode.parse().ok()? })
}

/// The listener that keeps another from `addr` and `port`.
pub fn holder(all: &[Listener], addr: IpAddr, port: u16) -> Option<&Listener> {
    // Go listens at 0.0.0.0 by a socket for both families.
    let clash = |l: &&Listener| {
        let has = l.addr.to_canonical();
        l.port == port && (has == addr || has.is_unspecified() || addr.is_unspecified())
    };
    all.iter().find(clash)
}

/// The port that the kubelet does without: it tries again every 5 s (app/server.go).
pub const HEALTH: &str = "health";

/// One port that the kubelet listens at. `process`: who has it, by its pid and name.
pub fn port(use_of_it: &str, port: u16, taken: bool, process: Option<(i32, &str)>) -> Finding {
    let check = "ports";
    if !taken {
        return Finding::ok(check, format!("{port} ({use_of_it}) is free"));
    }
    let (by, advice) = match process {
        Some((pid, "kubelet")) => (
            format!(" by pid {pid} (kubelet)"),
            "a kubelet runs already: stop it first (its service manager starts it again otherwise)"
                .to_owned(),
        ),
        Some((pid, name)) => (format!(" by pid {pid} ({name})"), format!("stop {name}, or move it")),
        None => (String::new(), "stop what listens there".to_owned()),
    };
    let (level, why) = match use_of_it {
        HEALTH => {
            (Level::Warning, "who asks there is told of another's health, not the kubelet's".to_owned())
        }
        _ => (Level::Blocker, format!("the kubelet's {use_of_it} listens there")),
    };
    Finding::bad(check, level, format!("port {port} is taken{by}"), why, advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2808 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
   2: 0100007F:2809 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0
";
    const TCP6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:280A 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 99 1 0 100 0 0 10 0
";

    #[test]
    fn who_listens() {
        let all = listeners(TCP);
        assert_eq!(all.len(), 2);
        assert_eq!(all[0], Listener { addr: "127.0.0.1".parse().unwrap(), port: 10248, inode: 4711 });
        assert_eq!(listeners(TCP6)[0].addr, "::1".parse::<IpAddr>().unwrap());
        let at = |ip: &str, port| holder(&all, ip.parse().unwrap(), port).map(|l| l.inode);
        assert_eq!(at("127.0.0.1", 10248), Some(4711));
        assert_eq!(at("0.0.0.0", 10248), Some(4711));
        assert_eq!(at("192.0.2.1", 10248), None);
        assert_eq!(at("192.0.2.1", 22), Some(4712));
        assert_eq!(at("0.0.0.0", 10249), None);
        let mapped = Listener { addr: "::ffff:127.0.0.1".parse().unwrap(), port: 10248, inode: 7 };
        assert!(holder(&[mapped], "127.0.0.1".parse().unwrap(), 10248).is_some());
    }

    #[test]
    fn the_line_names_the_process() {
        assert_eq!(
            port("API", 10250, true, Some((12, "kubelet"))).to_string(),
            "port 10250 is taken by pid 12 (kubelet): the kubelet's API listens there: a kubelet runs already: \
             stop it first (its service manager starts it again otherwise)"
        );
        assert_eq!(port("API", 10250, false, None).level, Level::Ok);
        assert_eq!(port(HEALTH, 10248, true, None).level, Level::Warning);
    }
}

//! Where a kubelet says that it is well.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Extra;
use crate::types::Url;

/// By its flags --healthz-port (0: nowhere; else `port`, else 10248) and --healthz-bind-address (127.0.0.1),
/// which are the same from 1.0 on.
pub fn url(flags: &Extra, port: Option<u16>) -> Result<Option<Url>, String> {
    let port: u16 = flags.value("healthz-port").map_or(Ok(port.unwrap_or(10248)), |text| {
        text.parse().map_err(|_| format!("--healthz-port={text}: is not a number from 0 to 65535"))
    })?;
    let address = flags.value("healthz-bind-address").map_or(Ok(Ipv4Addr::LOCALHOST.into()), |text| {
        text.parse().map_err(|_| format!("--healthz-bind-address={text}: is not an address"))
    })?;
    if port == 0 {
        return Ok(None);
    }
    let address = match address {
        IpAddr::V4(a) if a.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(a) if a.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    format!("http://{}/healthz", SocketAddr::new(address, port)).parse().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::kubelet::Version;

    #[test]
    fn by_flags_and_option() {
        let of = |flags: &str, port| {
            let flags: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
            let flags = Extra::read(&flags, Version { minor: 20 }).unwrap();
            url(&flags, port).map(|u| u.map(|u| u.to_string()).unwrap_or_default())
        };
        for (flags, port, expected) in [
            ("", None, "http://127.0.0.1:10248/healthz"),
            ("", Some(10300), "http://127.0.0.1:10300/healthz"),
            ("", Some(0), ""),
            ("--healthz-port=0", Some(10300), ""),
            ("--healthz_port 10300", None, "http://127.0.0.1:10300/healthz"),
            ("--healthz-bind-address=0.0.0.0", None, "http://127.0.0.1:10248/healthz"),
            ("--healthz-bind-address :: --healthz-port=7", None, "http://[::1]:7/healthz"),
            ("--healthz-bind-address=10.20.7.5", None, "http://10.20.7.5:10248/healthz"),
        ] {
            assert_eq!(of(flags, port).as_deref(), Ok(expected), "{flags} {port:?}");
        }
        assert!(of("--healthz-port=x", None).is_err() && of("--healthz-bind-address=lo", None).is_err());
    }
}

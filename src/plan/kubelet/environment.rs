//! Which variables the kubelet gets. A boot script's environment holds more than is the kubelet's business
//! (tokens of KBOOT_*, ETCDCTL_*, a cloud's keys), and /proc/PID/environ, core files and every program that
//! the kubelet runs would hold it too.

use std::str::FromStr;

/// What every program may need to know of its host.
const OF_THE_HOST: [&str; 8] = ["PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "container", "NODE_NAME"];

/// How servers and registries are reached (net/http's ProxyFromEnvironment, crypto/x509), and the Go
/// runtime's own settings.
const OF_GO: [&str; 15] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GOMAXPROCS",
    "GOGC",
    "GOMEMLIMIT",
    "GODEBUG",
    "GOTRACEBACK",
];

/// How it reaches docker (up to 1.23), systemd and GCE's metadata, and what it reads of its own: KEP-3983's directory, as
/// alpha in 1.28 and 1.29.
const OF_THE_KUBELET: [&str; 7] = [
    "DOCKER_HOST",
    "DOCKER_API_VERSION",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "DBUS_SYSTEM_BUS_ADDRESS",
    "GCE_METADATA_HOST",
    "KUBELET_CONFIG_DROPIN_DIR_ALPHA",
];

/// client-go's feature gates.
const FEATURE: &str = "KUBE_FEATURE_";

/// Which run of a unit it is, and where its output goes (systemd.exec(5)).
const OF_THE_UNIT: [&str; 3] = ["INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID"];

/// What systemd says to one process, by its pid: for a kubelet that takes kboot's place only.
const OF_THE_PROCESS: [&str; 5] =
    ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// Whether the kubelet gets a variable without being asked for.
pub fn is_handed_on(name: &str, is_supervised: bool) -> bool {
    let always = [&OF_THE_HOST[..], &OF_GO, &OF_THE_KUBELET, &OF_THE_UNIT].concat();
    always.contains(&name)
        || name.strip_prefix(FEATURE).is_some_and(|gate| !gate.is_empty())
        || (!is_supervised && OF_THE_PROCESS.contains(&name))
}

/// `--env NAME` (as it is here) or `NAME=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; `None`: the one it has here.
    pub value: Option<String>,
}

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').map_or((text, None), |(n, v)| (n, Some(v.to_owned())));
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("takes NAME or NAME=VALUE".into());
        }
        if name == "NOTIFY_SOCKET" {
            return Err(
                "an exec hands it on by itself; under --supervise it is kboot that speaks there".into()
            );
        }
        Ok(Self { name: name.to_owned(), value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_on() {
        for name in ["PATH", "no_proxy", "GODEBUG", "KUBE_FEATURE_WatchListClient", "JOURNAL_STREAM"] {
            assert!(is_handed_on(name, false) && is_handed_on(name, true), "{name}");
        }
        for name in ["WATCHDOG_USEC", "LISTEN_FDS"] {
            assert!(is_handed_on(name, false) && !is_handed_on(name, true), "{name}");
        }
        for name in ["KBOOT_TOKEN_FILE", "ETCDCTL_PASSWORD", "FLANNEL_SUBNET", "AWS_SECRET_ACCESS_KEY"] {
            assert!(!is_handed_on(name, false) && !is_handed_on(name, true), "{name}");
        }
        for name in ["", "KUBE_FEATURE_", "path", "LD_PRELOAD", "NOTIFY_SOCKET"] {
            assert!(!is_handed_on(name, false), "{name}");
        }
    }

    #[test]
    fn variables_as_they_are_given() {
        let variable = |name: &str, value: Option<&str>| {
            Ok(Variable { name: name.into(), value: value.map(str::to_owned) })
        };
        assert_eq!("A".parse(), variable("A", None));
        assert_eq!("A=".parse(), variable("A", Some("")));
        assert_eq!("A=b=c d".parse(), variable("A", Some("b=c d")));
        for bad in ["", "=", "=x", "A B", "NOTIFY_SOCKET", "NOTIFY_SOCKET=/x"] {
            assert!(bad.parse::<Variable>().is_err(), "{bad}");
        }
    }
}

//! Which settings dockerd needs for a lease, version by version.

use serde_json::{Value, json};

use super::Setting;
use crate::plan::subnet_env::Lease;
use crate::types::{IfName, Version, show_version};

/// Which bridge dockerd uses.
pub enum Mode {
    /// One that is there: `--bridge`. dockerd then sets no NAT of its own: who made the bridge does.
    Bridge(IfName),
    /// docker0 with the lease's address: `--bip`.
    Bip,
}

/// What is asked for.
pub struct Wanted<'a> {
    /// Which bridge.
    pub mode: Mode,
    /// The host's lease.
    pub lease: &'a Lease,
    /// The containers' MTU in bytes.
    pub mtu: Option<u32>,
    /// `--registry-mirror`.
    pub mirrors: &'a [String],
    /// dockerd's version, where it is known.
    pub version: Option<Version>,
    /// Whether the kernel forwards already.
    pub forwards: bool,
}

/// The settings, and what one should know of them.
pub fn settings(wanted: &Wanted<'_>) -> Result<(Vec<Setting>, Vec<String>), String> {
    let mut all = Vec::new();
    let mut warnings = Vec::new();
    match &wanted.mode {
        Mode::Bridge(name) => bridge(wanted, name, &mut all, &mut warnings)?,
        Mode::Bip => bip(wanted, &mut all, &mut warnings)?,
    }
    // docker 1.2 and before masquerade without asking.
    if !wanted.since((1, 3, 0)) {
        all.retain(|s| s.flag != "ip-masq");
    }
    if let Some(mtu) = wanted.mtu {
        all.push(Setting::new("mtu", mtu));
        // --mtu is the default network's alone (moby#34981); this is every later one's, since 24.
        if wanted.is_known_since((24, 0, 0)) {
            let value = json!({ "bridge": { "com.docker.network.driver.mtu": mtu.to_string() } });
            all.push(Setting { flag: "default-network-opt", key: "default-network-opts", value });
        }
    }
    // What a newer docker was given would keep this one from starting.
    if wanted.version.is_some_and(|v| v < (24, 0, 0)) {
        let (flag, key) = ("default-network-opt", "default-network-opts");
        all.push(Setting { flag, key, value: Value::Null });
    }
    if !wanted.mirrors.is_empty() {
        all.push(Setting { flag: "registry-mirror", key: "registry-mirrors", value: json!(wanted.mirrors) });
    }
    Ok((all, warnings))
}

impl Wanted<'_> {
    /// Whether it may be that new: an unknown version is taken for one.
    fn since(&self, version: Version) -> bool {
        self.version.is_none_or(|v| v >= version)
    }

    /// Whether it is known to be that new: an older one would refuse the flag.
    fn is_known_since(&self, version: Version) -> bool {
        self.version.is_some_and(|v| v >= version)
    }
}

fn bridge(
    wanted: &Wanted<'_>,
    name: &IfName,
    all: &mut Vec<Setting>,
    warnings: &mut Vec<String>,
) -> Result<(), String> {
    all.push(Setting::new("bridge", name.to_string()));
    all.push(Setting::new("iptables", false));
    all.push(Setting::new("ip-masq", false));
    let Some(six) = wanted.lease.subnet6 else { return Ok(()) };
    if !wanted.since((1, 5, 0)) {
        return Err("docker has IPv6 since 1.5 only: the lease has an IPv6 subnet".into());
    }
    all.push(Setting::new("ipv6", true));
    all.push(Setting::new("fixed-cidr-v6", six.network().to_string()));
    // There since 20.10, and on by default since 27.
    if wanted.is_known_since((20, 10, 0)) {
        all.push(Setting::new("ip6tables", false));
    } else if wanted.version.is_none() {
        warnings.push(
            "docker's version is not known (--docker-version): 27 and later also need --ip6tables=false"
                .into(),
        );
    }
    Ok(())
}

fn bip(wanted: &Wanted<'_>, all: &mut Vec<Setting>, warnings: &mut Vec<String>) -> Result<(), String> {
    let subnet = wanted.lease.subnet.ok_or("--bip needs an IPv4 subnet: the lease has none")?;
    all.push(Setting::new("bip", subnet.host().to_string()));
    // One of the two masquerades, as mk-docker-opts.sh has it: flannel's turned round.
    if let Some(flannel_does) = wanted.lease.ipmasq {
        all.push(Setting::new("ip-masq", !flannel_does));
    }
    if let Some(six) = wanted.lease.subnet6 {
        all.push(Setting::new("ipv6", true));
        all.push(if wanted.is_known_since((28, 0, 0)) {
            Setting::new("bip6", six.host().to_string())
        } else {
            Setting::new("fixed-cidr-v6", six.network().to_string())
        });
    }
    if wanted.is_known_since((28, 0, 0)) {
        // What comes in by flannel's link is forwarded traffic.
        all.push(Setting::new("ip-forward-no-drop", true));
        if wanted.is_known_since((28, 2, 0)) {
            all.push(Setting::new("allow-direct-routing", true));
        }
        warnings.push(format!(
            "docker {} drops what other hosts send to a container's unpublished ports (moby#49792): \
             --bridge, kboot's bridge, is free of that",
            show_version(wanted.version.unwrap_or_default())
        ));
    } else if wanted.is_known_since((1, 13, 0)) && !wanted.forwards {
        warnings.push(
            "dockerd will set FORWARD to DROP, since forwarding is off: sysctl -w net.ipv4.ip_forward=1 before it starts"
                .into(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::subnet_env::from_variables;

    fn lease(six: bool, masq: &str) -> Lease {
        from_variables(|name| {
            let value = match name {
                "FLANNEL_SUBNET" => "10.4.9.1/24",
                "FLANNEL_IPV6_SUBNET" if six => "fd00:4:9::1/64",
                "FLANNEL_IPMASQ" => masq,
                _ => return None,
            };
            Some(value.to_owned())
        })
        .unwrap()
    }

    fn flags(mode: &str, six: bool, masq: &str, version: Option<Version>) -> String {
        let mode = if mode == "bip" { Mode::Bip } else { Mode::Bridge(mode.parse().unwrap()) };
        let lease = lease(six, masq);
        let wanted = Wanted { mode, lease: &lease, mtu: Some(1450), mirrors: &[], version, forwards: true };
        let (settings, warnings) = settings(&wanted).unwrap();
        let flags: Vec<String> = settings.iter().flat_map(Setting::flags).collect();
        format!("{}{}", flags.join(" "), if warnings.is_empty() { "" } else { " !" })
    }

    /// Versions: moby's tags, as the facts' §5 has them; masquerading: mk-docker-opts.sh.
    #[test]
    fn version_by_version() {
        let opt = "--default-network-opt=bridge=com.docker.network.driver.mtu=1450";
        let six = "--ipv6=true --fixed-cidr-v6=fd00:4:9::/64";
        let none = "--iptables=false --ip-masq=false";
        for (mode, with_six, masq, version, want) in [
            ("cbr0", false, "false", None, format!("--bridge=cbr0 {none} --mtu=1450")),
            ("cbr0", false, "true", Some((1, 2, 0)), "--bridge=cbr0 --iptables=false --mtu=1450".into()),
            ("cbr0", false, "true", Some((1, 3, 0)), format!("--bridge=cbr0 {none} --mtu=1450")),
            ("cbr0", false, "true", Some((23, 0, 6)), format!("--bridge=cbr0 {none} --mtu=1450")),
            ("cbr0", false, "true", Some((24, 0, 0)), format!("--bridge=cbr0 {none} --mtu=1450 {opt}")),
            ("br7", true, "true", None, format!("--bridge=br7 {none} {six} --mtu=1450 !")),
            ("br7", true, "true", Some((19, 3, 0)), format!("--bridge=br7 {none} {six} --mtu=1450")),
            (
                "br7",
                true,
                "",
                Some((20, 10, 0)),
                format!("--bridge=br7 {none} {six} --ip6tables=false --mtu=1450"),
            ),
            ("bip", false, "true", None, "--bip=10.4.9.1/24 --ip-masq=false --mtu=1450".into()),
            ("bip", false, "false", Some((20, 10, 24)), "--bip=10.4.9.1/24 --ip-masq=true --mtu=1450".into()),
            ("bip", false, "", Some((1, 12, 0)), "--bip=10.4.9.1/24 --mtu=1450".into()),
            ("bip", true, "", Some((27, 0, 0)), format!("--bip=10.4.9.1/24 {six} --mtu=1450 {opt}")),
            (
                "bip",
                true,
                "",
                Some((28, 2, 1)),
                format!(
                    "--bip=10.4.9.1/24 --ipv6=true --bip6=fd00:4:9::1/64 --ip-forward-no-drop=true --allow-direct-routing=true --mtu=1450 {opt} !"
                ),
            ),
            (
                "bip",
                false,
                "",
                Some((28, 0, 0)),
                format!("--bip=10.4.9.1/24 --ip-forward-no-drop=true --mtu=1450 {opt} !"),
            ),
        ] {
            assert_eq!(flags(mode, with_six, masq, version), want, "{mode} {version:?}");
        }
    }

    #[test]
    fn mirrors_and_warnings() {
        let lease = lease(false, "true");
        let mirrors = ["https://a.example".to_owned(), "https://b.example".to_owned()];
        let mut wanted = Wanted {
            mode: Mode::Bip,
            lease: &lease,
            mtu: None,
            mirrors: &mirrors,
            version: None,
            forwards: false,
        };
        let (all, warnings) = settings(&wanted).unwrap();
        assert_eq!(
            all[2].flags(),
            ["--registry-mirror=https://a.example", "--registry-mirror=https://b.example"]
        );
        assert!(warnings.is_empty());
        wanted.version = Some((20, 10, 24));
        assert!(settings(&wanted).unwrap().1[0].starts_with("dockerd will set FORWARD to DROP"));
        let six = Lease { subnet: None, ..lease.clone() };
        wanted.lease = &six;
        assert_eq!(settings(&wanted).unwrap_err(), "--bip needs an IPv4 subnet: the lease has none");
    }
}

//! The kubelet's command line, for the version that is there: an unknown flag ends the kubelet.

mod version;

pub use version::{NEWEST_KNOWN, Runtime, Version};

use crate::types::{NodeName, Scheme, Url};

/// What the kubelet is to do, whatever its version.
pub struct Wanted {
    /// `--hostname-override`.
    pub name: NodeName,
    /// The API server.
    pub server: Url,
    /// A kubeconfig with server and credentials.
    pub kubeconfig: Option<String>,
    /// The directory of static pods.
    pub manifests: String,
    /// Where its API listens.
    pub address: std::net::IpAddr,
    /// Whether it makes its own Node.
    pub register_node: bool,
    /// The cluster's DNS server.
    pub cluster_dns: Option<std::net::IpAddr>,
    /// The cluster's domain.
    pub cluster_domain: Option<String>,
    /// The image that holds a pod's namespaces.
    pub pause_image: Option<String>,
    /// docker or a CRI socket; `None`: what that version's users have.
    pub runtime: Option<Runtime>,
}

/// containerd's socket: what a kubelet without docker is most often run with.
const CONTAINERD: &str = "unix:///run/containerd/containerd.sock";

/// The arguments behind the program's name. Sources of the versions: kubelet's options at the tags
/// v1.0.0 to v1.10.4 and v1.20.2, release notes of 1.24, 1.27 and 1.35.
pub fn compose(wanted: &Wanted, version: Version) -> Result<Vec<String>, String> {
    let minor = version.minor;
    let mut flags = Vec::new();
    // --config was the manifests' directory until 1.3 and is a file of settings since 1.10.
    let manifests = if minor <= 3 { "--config" } else { "--pod-manifest-path" };
    flags.push(format!("{manifests}={}", wanted.manifests));
    if minor <= 4 {
        flags.push("--configure-cbr0=false".into());
    }
    flags.push(format!("--register-node={}", wanted.register_node));
    server_flags(wanted, minor, &mut flags)?;
    flags.push(format!("--address={}", wanted.address));
    flags.push(format!("--hostname-override={}", wanted.name));
    if let Some(ip) = wanted.cluster_dns {
        flags.push(format!("--cluster-dns={ip}"));
    }
    if let Some(domain) = &wanted.cluster_domain {
        flags.push(format!("--cluster-domain={domain}"));
    }
    if let Some(image) = &wanted.pause_image {
        // Gone in 1.35: the runtime's own setting counts since 1.24.
        if minor < 35 {
            flags.push(format!("--pod-infra-container-image={image}"));
        }
    }
    runtime_flags(wanted, minor, &mut flags)?;
    Ok(flags)
}

/// Whether the server in a kubeconfig counts for that version: until 1.3 --api-servers wins.
pub fn goes_by_kubeconfig(version: Version) -> bool {
    version.minor >= 4
}

/// Whether that version reads the server from a kubeconfig only.
pub fn needs_kubeconfig(version: Version) -> bool {
    version.minor >= 8
}

fn server_flags(wanted: &Wanted, minor: u32, flags: &mut Vec<String>) -> Result<(), String> {
    // --api-servers: gone in 1.8; until 1.3 it wins over the kubeconfig's server.
    if minor <= 3 || (minor <= 7 && wanted.kubeconfig.is_none()) {
        let url = wanted.server.to_string();
        let server = if wanted.server.scheme() == Scheme::Http {
            url.trim_start_matches("http://").to_owned()
        } else {
            url
        };
        flags.push(format!("--api-servers={server}"));
    }
    match &wanted.kubeconfig {
        Some(path) => flags.push(format!("--kubeconfig={path}")),
        None if minor >= 8 => return Err("this kubelet takes the server from a kubeconfig only".into()),
        None => {}
    }
    // 1.4 to 1.7 use the kubeconfig's server only when told to insist on the file.
    if (4..=7).contains(&minor) && wanted.kubeconfig.is_some() {
        flags.push("--require-kubeconfig".into());
    }
    Ok(())
}

fn runtime_flags(wanted: &Wanted, minor: u32, flags: &mut Vec<String>) -> Result<(), String> {
    let default = if minor >= 24 { Runtime::Endpoint(CONTAINERD.into()) } else { Runtime::Docker };
    match wanted.runtime.as_ref().unwrap_or(&default) {
        Runtime::Docker if minor >= 24 => Err(format!(
            "--runtime docker: kubelet 1.{minor} has no docker client (gone in 1.24): give a CRI socket"
        )),
        Runtime::Docker => Ok(()),
        Runtime::Endpoint(_) if minor < 5 => {
            Err(format!("--runtime: kubelet 1.{minor} knows docker only (CRI came in 1.5)"))
        }
        Runtime::Endpoint(socket) => {
            if minor <= 23 {
                flags.push("--container-runtime=remote".into());
            }
            flags.push(format!("--container-runtime-endpoint={socket}"));
            Ok(())
        }
    }
}

/// A kubeconfig that names a server and nothing else: for an API server without authentication.
pub fn bare_kubeconfig(server: &Url) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: kboot\n  cluster:\n    server: {server}\n\
         contexts:\n- name: kboot\n  context:\n    cluster: kboot\n    user: \"\"\ncurrent-context: kboot\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(kubeconfig: Option<&str>) -> Wanted {
        Wanted {
            name: "10.10.48.1".parse().unwrap(),
            server: "http://192.168.56.101:8080".parse().unwrap(),
            kubeconfig: kubeconfig.map(str::to_owned),
            manifests: "/etc/kubernetes/manifests".into(),
            address: "0.0.0.0".parse().unwrap(),
            register_node: false,
            cluster_dns: None,
            cluster_domain: None,
            pause_image: None,
            runtime: None,
        }
    }

    fn line(wanted: &Wanted, minor: u32) -> String {
        compose(wanted, Version { minor }).unwrap().join(" ")
    }

    #[test]
    fn the_seeds_line_for_1_0_and_1_1() {
        for minor in [0, 1] {
            assert_eq!(
                line(&wanted(None), minor),
                "--config=/etc/kubernetes/manifests --configure-cbr0=false --register-node=false \
                 --api-servers=192.168.56.101:8080 --address=0.0.0.0 --hostname-override=10.10.48.1"
            );
        }
    }

    #[test]
    fn a_line_that_1_20_takes() {
        let mut want = wanted(Some("/etc/kubernetes/kubelet.conf"));
        want.pause_image = Some("daocloud.io/gpx_dev/pause:0.8.0".into());
        want.cluster_dns = Some("10.10.1.10".parse().unwrap());
        assert_eq!(
            line(&want, 20),
            "--pod-manifest-path=/etc/kubernetes/manifests --register-node=false \
             --kubeconfig=/etc/kubernetes/kubelet.conf --address=0.0.0.0 --hostname-override=10.10.48.1 \
             --cluster-dns=10.10.1.10 --pod-infra-container-image=daocloud.io/gpx_dev/pause:0.8.0"
        );
    }

    /// First and last minor of each flag, from the options of the tagged sources and release notes.
    #[test]
    fn no_version_sees_a_flag_it_does_not_know() {
        let lives: [(&str, u32, u32); 14] = [
            ("--config", 0, 3),
            ("--pod-manifest-path", 4, 99),
            ("--configure-cbr0", 0, 4),
            ("--register-node", 0, 99),
            ("--api-servers", 0, 7),
            ("--kubeconfig", 0, 99),
            ("--require-kubeconfig", 4, 9),
            ("--address", 0, 99),
            ("--hostname-override", 0, 99),
            ("--cluster-dns", 0, 99),
            ("--cluster-domain", 0, 99),
            ("--pod-infra-container-image", 0, 34),
            ("--container-runtime", 0, 26),
            ("--container-runtime-endpoint", 4, 99),
        ];
        for minor in 0..=38 {
            let mut want = wanted(Some("/k"));
            want.pause_image = Some("p".into());
            want.cluster_domain = Some("c".into());
            want.runtime = (minor >= 5).then(|| Runtime::Endpoint("unix:///c".into()));
            for flag in compose(&want, Version { minor }).unwrap() {
                let name = flag.split('=').next().unwrap();
                let (_, first, last) = lives.iter().find(|(n, ..)| *n == name).unwrap();
                assert!((*first..=*last).contains(&minor), "1.{minor}: {flag}");
            }
        }
    }

    #[test]
    fn docker_after_1_23_and_cri_before_1_5_are_refused() {
        let mut want = wanted(Some("/k"));
        want.runtime = Some(Runtime::Docker);
        assert!(compose(&want, Version { minor: 24 }).unwrap_err().contains("gone in 1.24"));
        want.runtime = Some("/run/x.sock".parse().unwrap());
        assert!(compose(&want, Version { minor: 4 }).unwrap_err().contains("docker only"));
        assert!(
            line(&want, 23)
                .ends_with("--container-runtime=remote --container-runtime-endpoint=unix:///run/x.sock")
        );
        assert!(
            line(&want, 27)
                .ends_with("--hostname-override=10.10.48.1 --container-runtime-endpoint=unix:///run/x.sock")
        );
    }
}

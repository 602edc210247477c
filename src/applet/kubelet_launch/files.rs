//! The files that a kubelet is pointed at, in /run/kboot, and the step that becomes it.

use std::fmt;
use std::path::Path;

use super::preflight::Scene;
use crate::applet::report::Step;
use crate::applet::server::Server;
use crate::error::{Error, Result};
use crate::plan::kubelet::{self, Api, Version};
use crate::plan::shell;
use crate::sys::http::certificates;
use crate::sys::{log, run_dir};
use crate::types::Scheme;

/// A kubeconfig that names the server and nothing else.
const BARE_KUBECONFIG: &str = "kubelet.kubeconfig";
/// The CA out of a kubeconfig's data, for a kubelet that wants a file.
const CLIENT_CA: &str = "kubelet-client-ca.crt";
/// The KubeletConfiguration, from 1.10 on. JSON is YAML too.
const CONFIG: &str = "kubelet-config.json";
/// Where kubeadm has the cluster's CA.
const CLUSTER_CA: &str = "/etc/kubernetes/pki/ca.crt";

/// A file of /run/kboot.
pub struct Write {
    name: &'static str,
    text: String,
    /// How an operator would have made it.
    line: String,
}

impl Write {
    /// Its path.
    pub fn path(&self) -> String {
        path(self.name)
    }

    /// Whether it is there already.
    pub fn is_there(&self) -> bool {
        run_dir::read(self.name).as_deref() == Some(&self.text)
    }

    /// Writes it, mode 0644: there is no secret in any of them.
    pub fn write(&self) -> Result<()> {
        run_dir::write(self.name, &self.text)
    }

    /// The KubeletConfiguration.
    pub fn config(config: &serde_json::Value) -> Self {
        let line = format!("cat >{} <<< {}", path(CONFIG), shell::quote(&config.to_string()));
        Self { name: CONFIG, text: format!("{config:#}\n"), line }
    }
}

fn path(name: &str) -> String {
    format!("{}/{name}", run_dir::RUN_DIR)
}

/// Where the KubeletConfiguration is written.
pub fn config_path() -> String {
    path(CONFIG)
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl Step for Write {
    fn kind(&self) -> &'static str {
        "file"
    }
}

/// What a kubelet is pointed at, beside its settings, and who may use its own API.
pub struct Files {
    /// A kubeconfig, where none is there to be named.
    pub kubeconfig: Option<Write>,
    /// The CA of those who come with a certificate, where it is no file yet.
    pub client_ca: Option<Write>,
    /// Who may use its API.
    pub api: Api,
}

/// Decides on them; nothing is written yet.
pub fn decide(scene: &Scene) -> Result<Files> {
    let kubeconfig = bare_kubeconfig(&scene.server, scene.version)?;
    let (api, client_ca) = api(&scene.server, scene.args.open_api, scene.args.client_ca_file.as_deref())?;
    Ok(Files { kubeconfig, client_ca, api })
}

/// A kubelet from 1.8 on that was given a server only gets a kubeconfig that says just that; without
/// credentials it is good for plain HTTP.
fn bare_kubeconfig(server: &Server, version: Version) -> Result<Option<Write>> {
    let url = &server.url;
    if url.scheme() == Scheme::Unix {
        return Err(Error::usage(format!("{url}: a kubelet reaches its server by http or https only")));
    }
    let differs = server.kubeconfig_url.as_ref().filter(|other| *other != url);
    if let Some(other) = differs.filter(|_| kubelet::goes_by_kubeconfig(version)) {
        let source = &server.source;
        return Err(Error::usage(format!(
            "{source} {url}: the kubeconfig has {other}, and kubelet {version} goes by that"
        )));
    }
    if server.kubeconfig.is_some() || !kubelet::needs_kubeconfig(version) {
        return Ok(None);
    }
    if url.scheme() != Scheme::Http {
        return Err(Error::usage(format!(
            "{url}: kubelet {version} needs --kubeconfig with its credentials"
        )));
    }
    let path = path(BARE_KUBECONFIG);
    let line = format!("kubectl config --kubeconfig={path} set-cluster kboot --server={url}");
    Ok(Some(Write { name: BARE_KUBECONFIG, text: kubelet::bare_kubeconfig(url), line }))
}

/// Who may use the kubelet's own API: whom the API server knows; anybody only where that was asked for, or
/// where the API server itself, over plain HTTP, knows nobody. The CA of client certificates is the
/// one given, else kubeadm's, else the one that signs the API server's own.
fn api(server: &Server, open: bool, client_ca: Option<&Path>) -> Result<(Api, Option<Write>)> {
    if open || (server.url.scheme() == Scheme::Http && client_ca.is_none()) {
        return Ok((Api::Open, None));
    }
    let given = client_ca.or_else(|| Some(Path::new(CLUSTER_CA)).filter(|p| p.exists()));
    if let Some(path) = given {
        return Ok((Api::Authenticated { client_ca: Some(path.display().to_string()) }, None));
    }
    let Some((name, pem)) = &server.tls.cacert else {
        return Ok((Api::Authenticated { client_ca: None }, None));
    };
    certificates(name, pem)?;
    log::info!(
        "client certificates of the kubelet's API count when the API server's CA ({name}) signed them"
    );
    let line = ca_line(server.kubeconfig.as_deref(), name);
    let write = Write { name: CLIENT_CA, text: String::from_utf8_lossy(pem).into_owned(), line };
    Ok((Api::Authenticated { client_ca: Some(write.path()) }, Some(write)))
}

/// How an operator would get the API server's CA into a file.
fn ca_line(kubeconfig: Option<&Path>, name: &str) -> String {
    let to = path(CLIENT_CA);
    match kubeconfig {
        Some(config) if name == "certificate-authority-data" => {
            let from = shell::quote(&config.display().to_string());
            format!(
                "kubectl config view --raw --minify --kubeconfig={from} \
                 -o jsonpath='{{.clusters[0].cluster.{name}}}' | base64 -d >{to}"
            )
        }
        _ => format!("cat {} >{to}", shell::quote(name)),
    }
}

/// The exec.
pub struct Launch {
    /// The kubelet.
    pub program: String,
    /// Its flags.
    pub flags: Vec<String>,
}

impl fmt::Display for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = without_secrets(&self.flags);
        f.write_str(&shell::join([self.program.as_str()].into_iter().chain(flags.iter().map(String::as_str))))
    }
}

/// The kubelet's flags whose values are secrets.
const SECRET: [&str; 2] = ["--manifest-url-header", "--storage-driver-password"];

/// As the log and a dry run may show them.
fn without_secrets(flags: &[String]) -> Vec<String> {
    let mut is_value = false;
    let shown = flags.iter().map(|word| {
        if std::mem::take(&mut is_value) {
            return "…".to_owned();
        }
        let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(n, v)| (n, Some(v)));
        match (SECRET.contains(&name.replace('_', "-").as_str()), value) {
            (true, Some(_)) => format!("{name}=…"),
            (is_secret, _) => {
                is_value = is_secret;
                word.clone()
            }
        }
    });
    shown.collect()
}

impl Step for Launch {
    fn kind(&self) -> &'static str {
        "exec"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_among_the_operators_flags_are_not_shown() {
        let words =
            ["--v=2", "--manifest-url-header=A:key", "--storage_driver_password", "key", "--x", "y=z"];
        let step = Launch { program: "kubelet".into(), flags: words.map(str::to_owned).into() };
        assert_eq!(
            step.to_string(),
            "kubelet --v=2 '--manifest-url-header=…' --storage_driver_password '…' --x y=z"
        );
    }

    #[test]
    fn the_ca_as_an_operator_would_get_it() {
        let config = Path::new("/etc/my kubeconfig");
        assert_eq!(
            ca_line(Some(config), "certificate-authority-data"),
            "kubectl config view --raw --minify --kubeconfig='/etc/my kubeconfig' -o \
             jsonpath='{.clusters[0].cluster.certificate-authority-data}' | base64 -d \
             >/run/kboot/kubelet-client-ca.crt"
        );
        assert_eq!(ca_line(Some(config), "/pki/ca.crt"), "cat /pki/ca.crt >/run/kboot/kubelet-client-ca.crt");
    }
}

//! A kubeconfig: the server of its current context, and the credentials.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::kube::Credentials;
use super::yaml;
use crate::error::{Context, Error, Result};
use crate::sys::file;
use crate::sys::http::{Identity, Tls};
use crate::types::Url;

/// What a kubeconfig says.
pub struct Kubeconfig {
    /// `clusters[].cluster.server`.
    pub server: Url,
    /// What to trust and to show.
    pub tls: Tls,
    /// How to say who we are.
    pub credentials: Credentials,
}

/// Reads the file; whatever is wrong with it is exit 2. Relative paths in it are relative to it.
pub fn read(path: &Path) -> Result<Kubeconfig> {
    let text = file::read_named(path)?;
    let tree = yaml::read(&text).usage(path.display())?;
    let dir = path.parent().unwrap_or(Path::new("."));
    make(&tree, dir).usage(path.display())
}

fn make(tree: &Value, dir: &Path) -> Result<Kubeconfig> {
    let context = tree["current-context"].as_str().filter(|c| !c.is_empty());
    let context = context.ok_or_else(|| Error::failed("is no kubeconfig with a current-context"))?;
    let context = named(tree, "contexts", "context", context)?;
    let cluster_name =
        context["cluster"].as_str().ok_or_else(|| Error::failed("its current context names no cluster"))?;
    let cluster = Entry { tree: named(tree, "clusters", "cluster", cluster_name)?, dir };
    let server = cluster.text("server").ok_or_else(|| Error::failed("its cluster has no server"))?;
    let server: Url = server.parse().map_err(|why| Error::failed(format!("server {server}: {why}")))?;
    if cluster.text("proxy-url").is_some() {
        return Err(Error::failed("proxy-url: kboot reaches the server without a proxy only"));
    }
    let null = Value::Null;
    let user = match context["user"].as_str() {
        Some(name) if !name.is_empty() => named(tree, "users", "user", name)?,
        _ => &null,
    };
    let user = Entry { tree: user, dir };
    let tls = Tls {
        cacert: cluster.bytes("certificate-authority")?,
        identity: identity(&user)?,
        server_name: cluster.text("tls-server-name").map(str::to_owned),
        skip_verify: cluster.tree["insecure-skip-tls-verify"] == Value::Bool(true),
    };
    Ok(Kubeconfig { server, tls, credentials: credentials(&user)? })
}

fn identity(user: &Entry<'_>) -> Result<Option<Identity>> {
    match (user.bytes("client-certificate")?, user.bytes("client-key")?) {
        (Some(cert), Some(key)) => Ok(Some(Identity { cert, key })),
        (None, None) => Ok(None),
        _ => Err(Error::failed("its user has a client certificate or a key, but not both")),
    }
}

fn credentials(user: &Entry<'_>) -> Result<Credentials> {
    if !user.tree["exec"].is_null() || !user.tree["auth-provider"].is_null() {
        return Err(Error::failed(
            "its user gets credentials from a plugin (exec): kboot runs none; give --token-file",
        ));
    }
    // client-go: token before tokenFile.
    if let Some(token) = user.text("token") {
        return Credentials::bearer(token, "token");
    }
    if let Some(path) = user.text("tokenFile") {
        let path = user.path(path);
        return Credentials::bearer(&file::read_named(&path)?, &path.display().to_string());
    }
    match (user.text("username"), user.text("password")) {
        (Some(name), password) => Credentials::basic(name, password.unwrap_or_default()),
        _ => Ok(Credentials::None),
    }
}

fn named<'t>(tree: &'t Value, list: &str, kind: &str, name: &str) -> Result<&'t Value> {
    let items = tree[list].as_array().map(Vec::as_slice).unwrap_or_default();
    let item = items.iter().find(|i| i["name"].as_str() == Some(name));
    item.map(|i| &i[kind]).ok_or_else(|| Error::failed(format!("has no {kind} named {name}")))
}

/// A cluster or a user of the file.
struct Entry<'t> {
    tree: &'t Value,
    dir: &'t Path,
}

impl<'t> Entry<'t> {
    fn text(&self, key: &str) -> Option<&'t str> {
        self.tree[key].as_str().filter(|t| !t.is_empty())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }

    /// `KEY-data` (base64, wins) or the file `KEY`, with the name to give it in errors.
    fn bytes(&self, key: &str) -> Result<Option<(String, Vec<u8>)>> {
        let data = format!("{key}-data");
        if let Some(text) = self.text(&data) {
            let compact: String = text.split_whitespace().collect();
            let bytes =
                STANDARD.decode(compact).map_err(|_| Error::failed(format!("{data}: is no base64")))?;
            return Ok(Some((data, bytes)));
        }
        let Some(path) = self.text(key) else { return Ok(None) };
        let path = self.path(path);
        let bytes = file::read(&path).context(key)?;
        Ok(Some((path.display().to_string(), bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Kubeconfig> {
        make(&yaml::read(text)?, Path::new("/nowhere"))
    }

    const BASE: &str = "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n\
        clusters: [{name: k, cluster: {server: 'https://10.9.8.7:6443', certificate-authority-data: YQ==}}]\n";

    #[test]
    fn the_current_context_counts() {
        let config = parse(&format!("{BASE}users: [{{name: u, user: {{token: abc}}}}]\n")).unwrap();
        assert_eq!(config.server.to_string(), "https://10.9.8.7:6443");
        assert_eq!(config.tls.cacert.unwrap(), ("certificate-authority-data".to_owned(), b"a".to_vec()));
        assert_eq!(config.credentials.header().unwrap(), "Bearer abc");
        let config =
            parse(&format!("{BASE}users: [{{name: u, user: {{username: me, password: it}}}}]\n")).unwrap();
        assert_eq!(config.credentials.header().unwrap(), "Basic bWU6aXQ=");
    }

    #[test]
    fn errors_name_what_is_missing() {
        for (text, error) in [
            ("a: b".to_owned(), "is no kubeconfig with a current-context"),
            ("current-context: x".to_owned(), "has no context named x"),
            (BASE.to_owned(), "has no user named u"),
            (
                format!("{BASE}users: [{{name: u, user: {{exec: {{command: aws}}}}}}]"),
                "its user gets credentials from a plugin (exec): kboot runs none; give --token-file",
            ),
            (
                format!("{BASE}users: [{{name: u, user: {{client-key-data: YQ==}}}}]"),
                "its user has a client certificate or a key, but not both",
            ),
            (
                format!("{BASE}users: [{{name: u, user: {{client-key-data: '!'}}}}]"),
                "client-key-data: is no base64",
            ),
        ] {
            assert_eq!(parse(&text).err().map(|e| e.to_string()).as_deref(), Some(error));
        }
    }
}

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
    /// Why that cannot be said by this file alone: for where nothing else says it.
    pub lacks: Option<String>,
}

/// Reads the file; whatever is wrong with it is exit 2. Relative paths in it are relative to it.
/// `context` stands in for its current-context.
pub fn read(path: &Path, context: Option<&str>) -> Result<Kubeconfig> {
    read_by(path, |tree, dir| make(tree, dir, context))
}

/// The same without the user: its server and whom to trust, whatever has become of its certificate.
pub fn read_cluster(path: &Path, context: Option<&str>) -> Result<Kubeconfig> {
    read_by(path, |tree, dir| cluster(&Entry { tree: entries(tree, context)?.0, dir }))
}

fn read_by(path: &Path, make: impl Fn(&Value, &Path) -> Result<Kubeconfig>) -> Result<Kubeconfig> {
    let text = file::read_named(path)?;
    let tree = yaml::read(&text).usage(path.display())?;
    let found = make(&tree, path.parent().unwrap_or(Path::new("."))).usage(path.display())?;
    let lacks = found.lacks.map(|why| format!("{}: {why}", path.display()));
    Ok(Kubeconfig { lacks, ..found })
}

/// What a kubeconfig names, without reading what it points to.
pub struct Outline {
    /// The server.
    pub server: Option<Url>,
    /// `client-certificate`, the path.
    pub certificate: Option<PathBuf>,
}

/// The outline of a kubeconfig's current context; empty where it is none.
pub fn outline(path: &Path) -> Result<Option<Outline>> {
    let Some(bytes) = file::read_if_there(path)? else { return Ok(None) };
    let tree = String::from_utf8(bytes).ok().and_then(|text| yaml::read(&text).ok()).unwrap_or_default();
    let (cluster, user) = entries(&tree, None).unwrap_or((&Value::Null, &Value::Null));
    let dir = path.parent().unwrap_or(Path::new("."));
    let certificate = user["client-certificate"].as_str().map(|c| dir.join(c));
    Ok(Some(Outline { server: cluster["server"].as_str().and_then(|s| s.parse().ok()), certificate }))
}

/// The cluster and the user of a context.
fn entries<'t>(tree: &'t Value, context: Option<&str>) -> Result<(&'t Value, &'t Value)> {
    let context = context.or(tree["current-context"].as_str()).filter(|c| !c.is_empty());
    let context = context.ok_or_else(|| Error::failed("is no kubeconfig with a current-context"))?;
    let context = named(tree, "contexts", "context", context)?;
    let cluster =
        context["cluster"].as_str().ok_or_else(|| Error::failed("its current context names no cluster"))?;
    let user = match context["user"].as_str() {
        Some(name) if !name.is_empty() => named(tree, "users", "user", name)?,
        _ => &Value::Null,
    };
    Ok((named(tree, "clusters", "cluster", cluster)?, user))
}

fn make(tree: &Value, dir: &Path, context: Option<&str>) -> Result<Kubeconfig> {
    let (of_cluster, user) = entries(tree, context)?;
    let (found, user) = (cluster(&Entry { tree: of_cluster, dir })?, Entry { tree: user, dir });
    let tls = Tls { identity: identity(&user)?, ..found.tls };
    Ok(match credentials(&user) {
        Ok(credentials) => Kubeconfig { tls, credentials, ..found },
        Err(why) => Kubeconfig { tls, lacks: Some(why.to_string()), ..found },
    })
}

fn cluster(cluster: &Entry<'_>) -> Result<Kubeconfig> {
    let server = cluster.text("server").ok_or_else(|| Error::failed("its cluster has no server"))?;
    let server: Url = server.parse().map_err(|why| Error::failed(format!("server {server}: {why}")))?;
    let proxy = cluster.text("proxy-url").map(str::parse).transpose();
    let tls = Tls {
        cacert: cluster.bytes("certificate-authority")?,
        server_name: cluster.text("tls-server-name").map(str::to_owned),
        skip_verify: cluster.tree["insecure-skip-tls-verify"] == Value::Bool(true),
        proxy: proxy.map_err(|why| Error::failed(format!("proxy-url: {why}")))?,
        ..Tls::default()
    };
    if tls.skip_verify && tls.cacert.is_some() {
        // client-go takes it for a mistake too.
        return Err(Error::failed("its cluster has a CA and insecure-skip-tls-verify: take one of them out"));
    }
    Ok(Kubeconfig { server, tls, credentials: Credentials::None, lacks: None })
}

fn identity(user: &Entry<'_>) -> Result<Option<Identity>> {
    match (user.bytes("client-certificate")?, user.bytes("client-key")?) {
        (Some(cert), Some(key)) => Ok(Some(Identity { cert, key })),
        (None, None) => Ok(None),
        _ => Err(Error::failed("its user has a client certificate or a key, but not both")),
    }
}

fn credentials(user: &Entry<'_>) -> Result<Credentials> {
    for (key, what) in [("exec", "from a plugin"), ("auth-provider", "from a provider")] {
        if !user.tree[key].is_null() {
            return Err(Error::failed(format!(
                "its user gets credentials {what} ({key}): kboot runs none; give --token-file"
            )));
        }
    }
    // To leave it out would be to act with rights that were not meant.
    for key in ["as", "as-uid", "as-groups", "as-user-extra"] {
        if !user.tree[key].is_null() {
            return Err(Error::failed(format!("its user acts as another ({key}): kboot does not")));
        }
    }
    let token = user.text("token").map(|token| Credentials::bearer(token, "token"));
    // client-go since 1.10: the file, where it can be read, counts before the token.
    if let Some(path) = user.text("tokenFile").map(|p| user.path(p)) {
        let text = file::read_named(&path);
        let found = text.and_then(|text| Credentials::bearer(&text, &path.display().to_string()));
        return found.or_else(|why| token.unwrap_or(Err(why)));
    }
    match (token, user.text("username"), user.text("password")) {
        (Some(token), ..) => token,
        (None, Some(name), password) => Credentials::basic(name, password.unwrap_or_default()),
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
        make(&yaml::read(text)?, Path::new("/nowhere"), None)
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
    fn a_context_can_be_named() {
        let two = "contexts: [{name: a, context: {cluster: k}}, {name: b, context: {cluster: l}}]\n\
            clusters: [{name: k, cluster: {server: 'http://k:1'}}, {name: l, cluster: {server: 'http://l:1'}}]\n";
        let tree = yaml::read(two).unwrap();
        let server = |context| {
            let made = make(&tree, Path::new("/"), context);
            made.map(|m| m.server.to_string()).map_err(|e| e.to_string())
        };
        assert_eq!(server(Some("b")).as_deref(), Ok("http://l:1"));
        assert_eq!(server(Some("c")), Err("has no context named c".to_owned()));
        assert_eq!(server(None), Err("is no kubeconfig with a current-context".to_owned()));
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
            (
                format!("{BASE}users: [{{name: u, user: {{auth-provider: {{name: gcp}}}}}}]"),
                "its user gets credentials from a provider (auth-provider): kboot runs none; give --token-file",
            ),
            (
                format!("{BASE}users: [{{name: u, user: {{token: t, as: admin}}}}]"),
                "its user acts as another (as): kboot does not",
            ),
            (
                BASE.replace("YQ==", "YQ==, proxy-url: 'socks5://u:s3cret@h:1'")
                    + "users: [{name: u, user: {}}]",
                "proxy-url: kboot speaks to http:// proxies only, not socks5",
            ),
            (
                BASE.replace("YQ==", "YQ==, insecure-skip-tls-verify: true") + "users: [{name: u, user: {}}]",
                "its cluster has a CA and insecure-skip-tls-verify: take one of them out",
            ),
        ] {
            let found = parse(&text).map_or_else(|e| Some(e.to_string()), |found| found.lacks);
            assert_eq!(found.as_deref(), Some(error));
        }
    }
}

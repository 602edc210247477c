//! What a cluster says about itself to hosts that do not trust it yet: the ConfigMap `cluster-info`
//! in kube-public, signed for each bootstrap token (Kubernetes 1.6 on; kubeadm's discovery by token).

use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::Value;

use super::kube::{Kube, REFUSED_FOR, busy, refusal};
use super::yaml;
use crate::error::{Context, Error, Result};
use crate::sys::http::certificate::Certificate;
use crate::sys::http::key::pem;
use crate::sys::http::{Client, Failure, Tls, certificates};
use crate::sys::wait::{Deadline, Retry, retry};
use crate::types::{BootstrapToken, CaHash, Url};

const PATH: &str = "/api/v1/namespaces/kube-public/configmaps/cluster-info";

/// CAs that the token's secret and pinned hashes vouch for.
pub struct ClusterInfo {
    /// PEM; the pinned ones only.
    pub ca: Vec<u8>,
    /// Where the cluster says that it is.
    pub server: String,
}

/// Asks the server as nobody: its certificate is not checked and the token is not sent. Whoever answers
/// has to know the token's secret, and the CA has to have one of the hashes; then the same has to come
/// once more from a server that this CA vouches for.
pub fn discover(
    url: &Url,
    tls: &Tls,
    token: &BootstrapToken,
    pins: &[CaHash],
    deadline: &Deadline,
) -> Result<ClusterInfo> {
    let open = |cacert, skip_verify| {
        let (server_name, proxy) = (tls.server_name.clone(), tls.proxy.clone());
        Client::new(url, &Tls { cacert, server_name, skip_verify, proxy, ..Tls::default() })
    };
    let unchecked = open(None, true)?;
    let text = ask(&unchecked, Some(token), deadline)?;
    let info = read(&text).context(format_args!("{url}: cluster-info"))?;
    let info = ClusterInfo { ca: keep_pinned(&info.ca, pins).context(url)?, ..info };
    let checked = open(Some(("cluster-info".to_owned(), info.ca.clone())), false)?;
    let again = ask(&checked, None, deadline).context("the CA in cluster-info")?;
    if again != text {
        return Err(Error::failed(format!(
            "{url}: cluster-info is not the same over the TLS that it vouches for: is somebody in between?"
        )));
    }
    Ok(info)
}

/// The kubeconfig in cluster-info; with a token its signature is checked. What may yet come (the map,
/// the right to read it, a signature for the token) is waited for as refusals are.
fn ask(client: &Client, token: Option<&BootstrapToken>, deadline: &Deadline) -> Result<String> {
    let kube = Kube::new(client, deadline);
    let started = Instant::now();
    let what = client.base().to_string();
    retry(deadline, &what, || {
        let not_yet = |why: String| {
            if started.elapsed() >= REFUSED_FOR || deadline.passed() {
                return Retry::Never(Error::failed(format!("{what}: {why}")));
            }
            Retry::Later { why: format!("{why} (tried for 15 s at most)"), after: None }
        };
        let answer = client.send("GET", PATH, None, deadline).map_err(|failure| {
            let why = if failure.passing { failure.why } else { format!("{what}: {}", failure.why) };
            Retry::from(Failure { why, ..failure })
        })?;
        let map = match answer.status {
            200 => kube.object(&answer)?,
            401 | 403 => {
                let why = refusal(&answer);
                return Err(not_yet(format!("{why}: it is not public there: give the CA with --cacert")));
            }
            404 => return Err(not_yet("it has no cluster-info: give its CA with --cacert".into())),
            _ => return Err(busy(&answer).unwrap_or_else(|| kube.unexpected(&answer).into())),
        };
        let text = map["data"]["kubeconfig"].as_str();
        let text = text.ok_or_else(|| not_yet("its cluster-info holds no kubeconfig".into()))?;
        if let Some(token) = token {
            let id = &token.id;
            let signature = map["data"][format!("jws-kubeconfig-{id}")].as_str().ok_or_else(|| {
                not_yet(format!("it does not know the token {id}: no signature in cluster-info"))
            })?;
            check_signature(signature, text, token).map_err(|why| {
                Error::failed(format!("{what}: cluster-info's signature for the token {id}: {why}"))
            })?;
        }
        Ok(text.to_owned())
    })
}

/// A JWS (RFC 7515) with its content taken out, by HMAC with SHA-256 and the token's secret.
fn check_signature(jws: &str, content: &str, token: &BootstrapToken) -> Result<(), &'static str> {
    let (header, signature) = jws.split_once("..").ok_or("is no detached JWS")?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| "is no detached JWS");
    let said: Value = serde_json::from_slice(&decode(header)?).map_err(|_| "is no detached JWS")?;
    if said["alg"] != "HS256" || said["kid"] != token.id.as_str() {
        return Err("is not by HS256 with this token");
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.secret.as_bytes());
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(content));
    // In constant time.
    hmac::verify(&key, signed.as_bytes(), &decode(signature)?)
        .map_err(|_| "does not match: another secret, or another server")
}

/// The one cluster of the kubeconfig; it names neither user nor context.
fn read(text: &str) -> Result<ClusterInfo> {
    let tree = yaml::read(text)?;
    let cluster = &tree["clusters"][0]["cluster"];
    let ca = cluster["certificate-authority-data"].as_str().unwrap_or_default();
    let ca = STANDARD.decode(ca).ok().filter(|ca| !ca.is_empty());
    let ca = ca.ok_or_else(|| Error::failed("holds no CA"))?;
    Ok(ClusterInfo { ca, server: cluster["server"].as_str().unwrap_or_default().to_owned() })
}

/// The CAs that the hashes pin, and no others (kubeadm takes them all as soon as one is): whoever knows a
/// token that many hosts share could sign a bundle with a CA of his own beside the real one.
fn keep_pinned(ca: &[u8], pins: &[CaHash]) -> Result<Vec<u8>> {
    let list = certificates("cluster-info", ca).map_err(|e| Error::failed(e.to_string()))?;
    let hashed: Vec<_> =
        list.iter().filter_map(|der| Some((Certificate::read(der)?.key_hash(), der))).collect();
    let pinned = hashed.iter().filter(|(hash, _)| pins.contains(hash));
    let pinned: String = pinned.map(|(_, der)| pem("CERTIFICATE", der)).collect();
    if !pinned.is_empty() {
        return Ok(pinned.into_bytes());
    }
    let show = |list: &mut dyn Iterator<Item = &CaHash>| {
        list.map(ToString::to_string).collect::<Vec<_>>().join(" or ")
    };
    Err(Error::failed(format!(
        "the server's CA is not the pinned one: {} instead of {}",
        show(&mut hashed.iter().map(|(hash, _)| hash)),
        show(&mut pins.iter())
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf %s.%s HEADER CONTENT | openssl dgst -sha256 -mac HMAC -macopt key:f395accd246ae52d -binary`,
    /// all three in base64url.
    const FROM_OPENSSL: &str =
        "eyJhbGciOiJIUzI1NiIsImtpZCI6IjA3NDAxYiJ9..gCT3AWdhDDStRsoHVtU9zVk4sFgfjcFK13LLxoxLW_A";

    #[test]
    fn a_signature_is_of_its_content_its_key_and_its_kind() {
        let token: BootstrapToken = "07401b.f395accd246ae52d".parse().unwrap();
        let jws = |header: &str, content: &str, secret: &str| {
            let header = URL_SAFE_NO_PAD.encode(header);
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            let tag = hmac::sign(&key, format!("{header}.{}", URL_SAFE_NO_PAD.encode(content)).as_bytes());
            format!("{header}..{}", URL_SAFE_NO_PAD.encode(tag))
        };
        let right = r#"{"alg":"HS256","kid":"07401b"}"#;
        let good = jws(right, "hello", &token.secret);
        assert_eq!(good, FROM_OPENSSL);
        assert_eq!(check_signature(&good, "hello", &token), Ok(()));
        for (jws, content) in [
            (good.clone(), "hell0"),
            (jws(right, "hello", "f395accd246ae52e"), "hello"),
            (jws(r#"{"alg":"none","kid":"07401b"}"#, "hello", &token.secret), "hello"),
            (jws(r#"{"alg":"HS256","kid":"07401c"}"#, "hello", &token.secret), "hello"),
            (good.replace("..", "."), "hello"),
            (good.rsplit_once('.').unwrap().0.to_owned() + ".", "hello"),
            (String::new(), ""),
        ] {
            assert!(check_signature(&jws, content, &token).is_err(), "{jws}");
        }
    }
}

//! Certificate signing requests: the API by which a host with a bootstrap token gets the kubelet's client
//! certificate (KEP-1513; v1beta1 from Kubernetes 1.6 on, v1 from 1.19).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::kube::{Kube, status};
use crate::error::{Error, Result};
use crate::sys::http::key::is_same_request;
use crate::sys::log;
use crate::sys::wait::{Deadline, Retry, retry};

/// The API's versions, the newest first: a server has one of them at least.
const VERSIONS: [&str; 2] = ["v1", "v1beta1"];
/// Signs for kubelets, and is what approvers look for. Servers before 1.18 do not know the field.
const SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";

/// What is asked for.
pub struct Request {
    /// The object's name; the same for the same key and subject.
    pub name: String,
    /// PKCS#10, in PEM.
    pub pem: String,
}

impl Request {
    /// The object, as `kubectl create -f -` takes it. These three usages are the ones that the signer of
    /// every version takes together.
    pub fn object(&self, version: &str) -> Value {
        json!({
            "kind": "CertificateSigningRequest",
            "apiVersion": format!("certificates.k8s.io/{version}"),
            "metadata": { "name": self.name },
            "spec": {
                "request": STANDARD.encode(&self.pem),
                "signerName": SIGNER,
                "usages": ["digital signature", "key encipherment", "client auth"],
            },
        })
    }
}

/// Hands the request in, or finds it there from an earlier run, and waits until it is signed. Returns the
/// certificate, its chain behind it, in PEM. A refusal is final.
pub fn sign(kube: &Kube<'_>, request: &Request, deadline: &Deadline) -> Result<Vec<u8>> {
    let mut version = hand_in(kube, request)?;
    let what = "certificate signing request";
    retry(deadline, what, || {
        let Some(found) = kube.object_at(&path(version, Some(&request.name)))? else {
            // Servers take away what nobody approved within a day.
            version = hand_in(kube, request)?;
            return Err(Retry::Later { why: "is gone: handed in again".into(), after: None });
        };
        if let Some(end) = refused(&found) {
            let name = &request.name;
            return Err(Retry::Never(Error::failed(format!(
                "{what}: {end}: kubectl delete csr {name}, and run this again"
            ))));
        }
        let text = found["status"]["certificate"].as_str().filter(|t| !t.is_empty());
        let Some(text) = text else {
            return Err(Retry::Later { why: pending(&found, &request.name), after: None });
        };
        STANDARD
            .decode(text)
            .map_err(|_| Error::failed(format!("{what}: its certificate is no base64")).into())
    })
}

/// Creates it; returns the API's version.
fn hand_in(kube: &Kube<'_>, request: &Request) -> Result<&'static str> {
    for version in VERSIONS {
        let body = request.object(version).to_string();
        let content = ("application/json", body.as_bytes());
        let answer = kube.call("POST", &path(version, None), Some(content))?;
        match answer.status {
            201 => {
                log::info!("certificate signing request {} handed in ({version})", request.name);
                return Ok(version);
            }
            409 if status(&answer)["reason"] == "AlreadyExists" => {
                check_same(kube, request, version)?;
                log::info!("certificate signing request {} is there already", request.name);
                return Ok(version);
            }
            404 => log::debug!("no certificates.k8s.io/{version} there"),
            _ => return Err(kube.unexpected(&answer)),
        }
    }
    Err(Error::failed("the server has no API for certificates (Kubernetes 1.6 on): give --cert and --key"))
}

/// One of that name has to be ours.
fn check_same(kube: &Kube<'_>, request: &Request, version: &str) -> Result<()> {
    // Gone in between: it is handed in again when that is noticed.
    let Some(found) = kube.object_at(&path(version, Some(&request.name)))? else { return Ok(()) };
    let pem = found["spec"]["request"].as_str().and_then(|t| STANDARD.decode(t).ok()).unwrap_or_default();
    if is_same_request(&pem, request.pem.as_bytes()) {
        return Ok(());
    }
    let name = &request.name;
    Err(Error::failed(format!(
        "certificate signing request {name} is there and asks for something else: kubectl delete csr {name}"
    )))
}

fn conditions(found: &Value) -> impl Iterator<Item = &Value> {
    found["status"]["conditions"].as_array().into_iter().flatten()
}

/// Why there will never be a certificate.
fn refused(found: &Value) -> Option<String> {
    let end = conditions(found).find(|c| c["type"] == "Denied" || c["type"] == "Failed")?;
    let what = if end["type"] == "Denied" { "was denied" } else { "failed at its signer" };
    let why = ["reason", "message"].map(|key| end[key].as_str().unwrap_or_default());
    Some(format!("{what} ({})", why.join(" ").trim()))
}

fn pending(found: &Value, name: &str) -> String {
    if conditions(found).any(|c| c["type"] == "Approved") {
        format!("approved, not signed yet (kube-controller-manager does that): {name}")
    } else {
        format!("not approved yet: kubectl certificate approve {name}")
    }
}

fn path(version: &str, name: Option<&str>) -> String {
    let list = format!("/apis/certificates.k8s.io/{version}/certificatesigningrequests");
    name.map_or_else(|| list.clone(), |name| format!("{list}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_in_words() {
        let with = |list: Value| json!({ "status": { "conditions": list } });
        let denied = with(json!([{ "type": "Denied", "reason": "KubectlDeny", "message": "not mine" }]));
        assert_eq!(refused(&denied).as_deref(), Some("was denied (KubectlDeny not mine)"));
        let failed = with(json!([{ "type": "Approved" }, { "type": "Failed", "reason": "X" }]));
        assert_eq!(refused(&failed).as_deref(), Some("failed at its signer (X)"));
        assert_eq!(refused(&json!({})), None);
        assert!(pending(&json!({}), "n").ends_with("kubectl certificate approve n"));
        assert!(pending(&with(json!([{ "type": "Approved" }])), "n").starts_with("approved, not signed"));
    }
}

//! What there is of the kubelet's credentials, and whether it is good.

use super::Join;
use crate::applet::node_name;
use crate::applet::server::Server;
use crate::client::kubeconfig;
use crate::error::Result;
use crate::plan::join::{Config, GROUP, Seen, user};
use crate::plan::subnet_env::Lease;
use crate::sys::http::certificate::Certificate;
use crate::sys::http::key::ClientKey;
use crate::sys::http::{Identity, Tls, certificates};
use crate::sys::{clock, file};
use crate::types::{CaHash, NodeName, Url};

impl Join {
    /// Looks at kubeconfig, certificate and key. The name is the one that register always has: given, else
    /// of the certificate that is there, else by the lease.
    pub(super) fn look(
        &self,
        given: Option<&NodeName>,
        server: &Server,
        lease: &Lease,
    ) -> Result<(Seen, NodeName)> {
        let url = &server.url;
        let outline = kubeconfig::outline(&self.kubeconfig)?;
        let of_cluster = kubeconfig::read_cluster(&self.kubeconfig, None);
        let is_outdated = of_cluster.is_ok_and(|found| trusts_another(&server.tls, &found.tls));
        let config = match &outline {
            None => Config::Absent,
            Some(o) if o.server.as_ref() == Some(url) && o.certificate.as_ref() == Some(&self.pair) => {
                if is_outdated {
                    Config::Outdated
                } else {
                    Config::Ours
                }
            }
            Some(_) => Config::Foreign,
        };
        let key = file::read_if_there(&self.key)?.and_then(|pem| ClientKey::read(&pem));
        // What is kept without a kubeconfig is another cluster's, unless its key is of a join not ended.
        let pair = self.pair()?.filter(|p| {
            let of_pair = p.certificate().map(|c| c.public_key);
            key.as_ref().is_some_and(|k| of_pair.is_ok_and(|p| p == k.public_key()))
        });
        let (identity, flaw) = match config {
            Config::Absent => (None, Some("is not there".to_owned())),
            _ => self.of_kubeconfig(url, is_outdated),
        };
        let known = identity.as_ref().or(pair.as_ref()).filter(|i| i.certificate().is_ok());
        let name = node_name::resolve(given, &Tls { identity: known.cloned(), ..Tls::default() }, lease)?;
        let flaw = flaw.or_else(|| identity.as_ref().and_then(|i| flaw_of(i, &name)));
        let has_certificate = pair.as_ref().is_some_and(|p| flaw_of(p, &name).is_none());
        // A key whose certificate is no longer good has had its time.
        let has_key = key.is_some() && (pair.is_none() || has_certificate);
        Ok((Seen { config, flaw, has_key, has_certificate }, name))
    }

    fn pair(&self) -> Result<Option<Identity>> {
        let Some(pem) = file::read_if_there(&self.pair)? else { return Ok(None) };
        let both = (self.pair.display().to_string(), pem);
        Ok(Some(Identity { cert: both.clone(), key: both }))
    }

    /// The client certificate of the kubeconfig, or why it has none for this server.
    fn of_kubeconfig(&self, url: &Url, is_outdated: bool) -> (Option<Identity>, Option<String>) {
        match kubeconfig::read(&self.kubeconfig, None) {
            Err(why) => {
                let (why, own) = (why.to_string(), format!("{}: ", self.kubeconfig.display()));
                (None, Some(why.strip_prefix(&own).unwrap_or(&why).to_owned()))
            }
            Ok(found) if found.server != *url => (None, Some(format!("is for the server {}", found.server))),
            Ok(found) if is_outdated => {
                (found.tls.identity, Some("trusts another CA than this run".to_owned()))
            }
            Ok(found) => match found.tls.identity {
                Some(identity) => (Some(identity), None),
                None => (None, Some("has no client certificate".to_owned())),
            },
        }
    }
}

/// Whether both know CAs and have none in common, as after a cluster was made anew at its old address. By
/// their keys: a CA may be renewed.
fn trusts_another(wanted: &Tls, has: &Tls) -> bool {
    let hashes = |tls: &Tls| -> Vec<CaHash> {
        let list = tls.cacert.iter().flat_map(|(name, pem)| certificates(name, pem).unwrap_or_default());
        list.filter_map(|der| Some(Certificate::read(&der)?.key_hash())).collect()
    };
    let wanted = if wanted.pins.is_empty() { hashes(wanted) } else { wanted.pins.clone() };
    let has = hashes(has);
    !wanted.is_empty() && !has.is_empty() && !wanted.iter().any(|hash| has.contains(hash))
}

/// Why a certificate is not good for the node, if it is not.
fn flaw_of(identity: &Identity, name: &NodeName) -> Option<String> {
    let certificate = match identity.certificate() {
        Ok(certificate) => certificate,
        Err(why) => return Some(why.to_string()),
    };
    let common_name = certificate.common_name.unwrap_or_default();
    if common_name != user(name) {
        return Some(format!("its certificate is for {common_name}, not for {}", user(name)));
    }
    if !certificate.organisations.iter().any(|o| o == GROUP) {
        return Some(format!("its certificate is not of the group {GROUP}"));
    }
    let end = certificate.not_after;
    (end <= clock::now()).then(|| format!("its certificate has expired on {}", clock::date(end)))
}

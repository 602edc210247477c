//! The steps of a join.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Join;
use crate::applet::report;
use crate::applet::server::Server;
use crate::client::csr;
use crate::client::kube::Kube;
use crate::error::{Context, Error, Result};
use crate::plan::join::{self, Cluster, GROUP, Step};
use crate::sys::http::certificate::Certificate;
use crate::sys::http::key::{ClientKey, pem};
use crate::sys::http::{Proxy, certificates};
use crate::sys::wait::Deadline;
use crate::sys::{clock, file, log};
use crate::types::NodeName;

impl report::Step for Step {
    fn kind(&self) -> &'static str {
        match self {
            Step::Request(_) => "certificate",
            _ => "file",
        }
    }

    /// The step would take the reason off the console.
    fn context(&self) -> String {
        "join".to_owned()
    }
}

/// A join at work.
pub(super) struct Work<'j> {
    join: &'j Join,
    user: String,
    /// With the bootstrap token.
    pub server: Server,
    deadline: &'j Deadline,
    /// What is to be kept: the certificate, the key, the rest of the certificate's chain; in PEM.
    pair: Vec<u8>,
}

impl<'j> Work<'j> {
    pub fn new(join: &'j Join, name: &NodeName, server: Server, deadline: &'j Deadline) -> Self {
        Self { join, user: join::user(name), server, deadline, pair: Vec::new() }
    }

    pub fn take(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Key(_) => file::write_secret(&self.join.key, ClientKey::generate()?.pem()),
            Step::Request(_) => self.request(),
            Step::Keep(_) => self.keep(),
            Step::Aside(kubeconfig) => {
                let old = join::aside(kubeconfig);
                log::info!("{kubeconfig}: somebody else's: a copy stays as {old}");
                file::write_secret(Path::new(&old), &file::read(&self.join.kubeconfig)?)
            }
            Step::Kubeconfig(_, _, pair) => {
                let tls = &self.server.tls;
                let cluster = Cluster {
                    server: &self.server.url,
                    ca: tls.cacert.as_ref().map(|(_, pem)| STANDARD.encode(pem)),
                    tls_server_name: tls.server_name.as_deref(),
                    proxy: tls.proxy.as_ref().map(Proxy::secret_text),
                };
                file::write_secret(&self.join.kubeconfig, join::kubeconfig(&cluster, pair).as_bytes())
            }
        }
    }

    fn request(&mut self) -> Result<()> {
        let key = ClientKey::read(&file::read(&self.join.key)?);
        let key =
            key.ok_or_else(|| Error::failed(format!("{}: holds no key any more", self.join.key.display())))?;
        let request =
            csr::Request { name: key.request_name(&self.user), pem: key.request(GROUP, &self.user)? };
        let client = self.server.client()?;
        let answer = csr::sign(&Kube::new(&client, self.deadline), &request, self.deadline)?;
        let what = format!("certificate signing request {}", request.name);
        let chain = certificates("what was signed", &answer).map_err(|e| Error::failed(e.to_string()))?;
        let mut chain = chain.iter().map(|der| pem("CERTIFICATE", der));
        let leaf = chain.next().unwrap_or_default();
        self.check(&key, &leaf).context(what)?;
        // Kubelets up to 1.18 or so take the second block for the key; others take any order.
        self.pair = [leaf.as_bytes(), key.pem()].concat();
        self.pair.extend(chain.flat_map(String::into_bytes));
        Ok(())
    }

    /// Whoever signs may be mistaken.
    fn check(&self, key: &ClientKey, leaf: &str) -> Result<()> {
        let der = certificates("what was signed", leaf.as_bytes())?;
        let signed = der.first().and_then(|der| Certificate::read(der));
        let signed = signed.ok_or_else(|| Error::failed("what was signed is no X.509 certificate"))?;
        if signed.public_key != key.public_key() {
            return Err(Error::failed("what was signed is not for the key that was handed in"));
        }
        let name = signed.common_name.unwrap_or_default();
        if name != self.user {
            return Err(Error::failed(format!("what was signed is for {name}, not for {}", self.user)));
        }
        if !signed.organisations.iter().any(|o| o == GROUP) {
            return Err(Error::failed(format!("what was signed is not of the group {GROUP}")));
        }
        if signed.not_after <= clock::now() {
            let day = clock::date(signed.not_after);
            return Err(Error::failed(format!("what was signed has expired on {day}, by this host's clock")));
        }
        Ok(())
    }

    /// A file of its own and a link to it, as the kubelet has it: it refuses to rotate a plain file.
    fn keep(&self) -> Result<()> {
        let now = clock::now();
        let path = self.join.pair.with_file_name(format!("kubelet-client-{}-{now}.pem", clock::date(now)));
        file::write_secret(&path, &self.pair)?;
        file::link(&self.join.pair, &path)
    }
}

//! TLS by rustls and ring, as a connector for ureq. ureq's own is not used: it panics on https
//! without a CA and on a key that does not match its certificate, and knows no other server name.

use std::io::{Error as IoError, Read, Write};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use super::certificate::Certificate;
use super::pinned::Pinned;
use super::proxy::Proxy;
use super::roots::{ExactOrSigned, NoCheck, system_bundle};
use crate::error::{Context, Error, Result};
use crate::types::CaHash;

/// What kboot trusts and shows, and by way of whom. Everything is PEM; errors name where it came from.
#[derive(Default)]
pub struct Tls {
    /// The certificates to trust, with the name of their file; the system's when absent.
    pub cacert: Option<(String, Vec<u8>)>,
    /// The client certificate and its key.
    pub identity: Option<Identity>,
    /// The name that the server's certificate must bear, where it is not the URL's host.
    pub server_name: Option<String>,
    /// Takes any server certificate.
    pub skip_verify: bool,
    /// Trusts by these hashes of public keys instead, if there are any.
    pub pins: Vec<CaHash>,
    /// How the server is reached.
    pub proxy: Option<Proxy>,
}

/// A client certificate and its key, PEM, with the names of their files.
#[derive(Clone)]
pub struct Identity {
    /// The certificate, its chain behind it.
    pub cert: (String, Vec<u8>),
    /// The key: PKCS#1, SEC 1 or PKCS#8. May be the same file.
    pub key: (String, Vec<u8>),
}

impl Identity {
    /// What the certificate says, if the key is its own.
    pub fn certificate(&self) -> Result<Certificate> {
        self.resolver(&default_provider())?;
        let leaf = certificates(&self.cert.0, &self.cert.1)?.into_iter().next();
        leaf.and_then(|der| Certificate::read(&der))
            .ok_or_else(|| Error::usage(format!("{}: is not an X.509 certificate", self.cert.0)))
    }

    /// Reads both and matches them by the public key itself: rustls' own check would refuse the
    /// version 1 certificates that `openssl x509 -req` makes unless told otherwise.
    fn resolver(&self, provider: &CryptoProvider) -> Result<SingleCertAndKey> {
        let (cert_name, key_name) = (&self.cert.0, &self.key.0);
        let key = PrivateKeyDer::from_pem_slice(&self.key.1).map_err(|_| {
            Error::usage(format!("{key_name}: holds no private key in PEM (PKCS#1, SEC 1 or PKCS#8)"))
        })?;
        let chain = certificates(cert_name, &self.cert.1)?;
        let key = provider.key_provider.load_private_key(key).map_err(|_| {
            Error::usage(format!(
                "{key_name}: its kind of key is not supported (RSA, P-256, P-384, Ed25519 are)"
            ))
        })?;
        let of_cert = chain.first().and_then(|c| Certificate::read(c));
        let of_cert =
            of_cert.ok_or_else(|| Error::usage(format!("{cert_name}: is not an X.509 certificate")))?;
        if key.public_key().is_some_and(|k| k.as_ref() != of_cert.public_key) {
            return Err(Error::usage(format!(
                "{cert_name} and {key_name}: the key is not the certificate's"
            )));
        }
        Ok(SingleCertAndKey::from(CertifiedKey::new(chain, key)))
    }
}

/// All certificates of a PEM text; at least one.
pub fn certificates(name: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match list {
        Ok(list) if !list.is_empty() => Ok(list),
        _ => Err(Error::usage(format!("{name}: holds no certificate in PEM"))),
    }
}

impl Tls {
    /// Reads and matches everything; makes the connector for a host.
    pub(super) fn connector(&self, host: &str) -> Result<TlsConnector> {
        let name = self.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| Error::usage(format!("{name}: no certificate can bear that name")))?;
        let provider = Arc::new(default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::failed(e.to_string()))?
            .dangerous();
        let builder = if self.skip_verify {
            builder.with_custom_certificate_verifier(Arc::new(NoCheck::new(&provider)))
        } else if !self.pins.is_empty() {
            builder
                .with_custom_certificate_verifier(Arc::new(Pinned::new(self.pins.clone(), provider.clone())))
        } else {
            builder.with_custom_certificate_verifier(Arc::new(self.verifier(&provider)?))
        };
        let config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder.with_client_cert_resolver(Arc::new(identity.resolver(&provider)?)),
        };
        Ok(TlsConnector { config: Arc::new(config), name })
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<ExactOrSigned> {
        let roots = match &self.cacert {
            Some((name, pem)) => certificates(name, pem)?,
            None => system_bundle()?,
        };
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        if store.is_empty() {
            let name = self.cacert.as_ref().map_or("the system's bundle", |(name, _)| name);
            return Err(Error::usage(format!("{name}: holds no certificate that can be trusted")));
        }
        let signed = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone())
            .build()
            .map_err(|e| Error::usage(e.to_string()))?;
        let exact = if self.cacert.is_some() { roots } else { Vec::new() };
        Ok(ExactOrSigned::new(exact, signed))
    }

    /// The certificates of the identity, the leaf first, if there is one.
    pub fn client_certificate(&self) -> Result<Option<CertificateDer<'static>>> {
        let Some(identity) = &self.identity else { return Ok(None) };
        Ok(certificates(&identity.cert.0, &identity.cert.1).context("client certificate")?.into_iter().next())
    }
}

/// Puts TLS on top of a TCP connection, where the URL is https: what goes to a proxy is not.
#[derive(Debug)]
pub(super) struct TlsConnector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(tcp) = chained else { return Ok(None) };
        if !details.needs_tls() {
            return Ok(Some(Either::A(tcp)));
        }
        let mut connection =
            ClientConnection::new(self.config.clone(), self.name.clone()).map_err(IoError::other)?;
        let boxed: Box<dyn Transport> = Box::new(tcp);
        let mut socket = TransportAdapter::new(boxed, details.current_time.clone());
        socket.set_timeout(details.timeout);
        connection.complete_io(&mut socket)?;
        let buffers =
            LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(TlsTransport { buffers, stream: StreamOwned { conn: connection, sock: socket } })))
    }
}

pub(super) struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl std::fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsTransport")
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

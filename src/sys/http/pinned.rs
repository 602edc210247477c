//! Trust by the hash of a public key: `--ca-hash`.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme};

use super::certificate::Certificate;
use super::roots::{ExactOrSigned, NoCheck};
use crate::types::CaHash;

/// Trusts what is signed by a certificate that the server sends along and whose public key has one of
/// the hashes, or that is one itself. Names and dates are checked as ever.
#[derive(Debug)]
pub struct Pinned {
    hashes: Vec<CaHash>,
    provider: Arc<CryptoProvider>,
    signatures: NoCheck,
}

impl Pinned {
    /// With the hashes of `--ca-hash`.
    pub fn new(hashes: Vec<CaHash>, provider: Arc<CryptoProvider>) -> Self {
        let signatures = NoCheck::new(&provider);
        Self { hashes, provider, signatures }
    }

    fn no_match(&self, chain: &[CertificateDer<'_>]) -> TlsError {
        let wanted: Vec<String> = self.hashes.iter().map(ToString::to_string).collect();
        let wanted = wanted.join(" or ");
        let Some(top) = chain.last().and_then(|c| Certificate::read(c)) else {
            return TlsError::General(format!(
                "the server sends its own certificate without its CA, and its own is not the pinned one ({wanted}): \
                 give the CA with --cacert, or a bootstrap token"
            ));
        };
        TlsError::General(format!(
            "the server's CA is not the pinned one: {} instead of {wanted}",
            top.key_hash()
        ))
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let is_pinned = |der: &CertificateDer<'_>| {
            Certificate::read(der).is_some_and(|c| self.hashes.contains(&c.key_hash()))
        };
        if is_pinned(leaf) {
            return ExactOrSigned::verify_exact(leaf, name, now).map(|()| ServerCertVerified::assertion());
        }
        let Some(pinned) = chain.iter().find(|c| is_pinned(c)) else { return Err(self.no_match(chain)) };
        let mut store = RootCertStore::empty();
        store.add(pinned.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), self.provider.clone());
        let verifier = verifier.build().map_err(|e| TlsError::General(e.to_string()))?;
        verifier.verify_server_cert(leaf, chain, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.signatures.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.signatures.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.supported_verify_schemes()
    }
}

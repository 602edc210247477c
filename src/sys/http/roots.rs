//! Whom to trust.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error as TlsError, SignatureScheme};

use super::certificate::Certificate;
use super::tls::certificates;
use crate::error::{Error, Result};
use crate::sys::file;

/// Where distributions keep the bundle (Debian; Fedora and RHEL; openSUSE; Alpine), as Go looks for it.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The system's certificates.
pub fn system_bundle() -> Result<Vec<CertificateDer<'static>>> {
    for path in BUNDLES {
        if let Some(pem) = file::read_if_there(Path::new(path))? {
            return certificates(path, &pem);
        }
    }
    Err(Error::usage("this host has no CA bundle: give the server's CA with --cacert"))
}

/// A certificate signed by a trusted one is good, and so is one that is itself, byte for byte, among
/// those of `--cacert` (old API servers made themselves a self-signed one; curl and Go have it so).
/// Its name and dates are still checked.
#[derive(Debug)]
pub struct ExactOrSigned {
    exact: Vec<CertificateDer<'static>>,
    signed: Arc<WebPkiServerVerifier>,
}

impl ExactOrSigned {
    /// From the certificates of `--cacert` and the verifier made of them.
    pub fn new(exact: Vec<CertificateDer<'static>>, signed: Arc<WebPkiServerVerifier>) -> Self {
        Self { exact, signed }
    }

    pub(super) fn verify_exact(
        leaf: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), TlsError> {
        let dates = Certificate::read(leaf).ok_or(CertificateError::BadEncoding)?;
        if now.as_secs() < dates.not_before {
            return Err(CertificateError::NotValidYet.into());
        }
        if now.as_secs() > dates.not_after {
            return Err(CertificateError::Expired.into());
        }
        verify_server_name(&ParsedCertificate::try_from(leaf)?, name)
    }
}

impl ServerCertVerifier for ExactOrSigned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if self.exact.iter().any(|c| c == leaf) {
            return Self::verify_exact(leaf, name, now).map(|()| ServerCertVerified::assertion());
        }
        self.signed.verify_server_cert(leaf, chain, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.signed.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.signed.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}

/// `--insecure-skip-tls-verify`: any certificate; that the server holds its key is still checked.
#[derive(Debug)]
pub struct NoCheck {
    algorithms: WebPkiSupportedAlgorithms,
}

impl NoCheck {
    /// With the provider's signature algorithms.
    pub fn new(provider: &CryptoProvider) -> Self {
        Self { algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for NoCheck {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

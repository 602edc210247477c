//! A client key of our own, and the request for a certificate of it (PKCS#10, RFC 2986).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::SignatureScheme::ECDSA_NISTP256_SHA256;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateSigningRequestDer, PrivateKeyDer};
use rustls::sign::{Signer, SigningKey};

use super::certificate::{COMMON_NAME, ORGANISATION};
use super::der::{BIT_STRING, CONTEXT_0, INTEGER, OID, Reader, SEQUENCE, SET, UTF8_STRING, element};
use crate::error::{Error, Result};

/// ecdsa-with-SHA256, 1.2.840.10045.4.3.2.
const ECDSA_WITH_SHA256: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/// A P-256 key, as the kubelet makes itself one.
pub struct ClientKey {
    key: Arc<dyn SigningKey>,
    signer: Box<dyn Signer>,
    pem: Vec<u8>,
}

impl ClientKey {
    /// A new one.
    pub fn generate() -> Result<Self> {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        let pkcs8 = pkcs8.map_err(|_| Error::failed("the kernel gives no random numbers for a key"))?;
        Self::read(pem("PRIVATE KEY", pkcs8.as_ref()).as_bytes())
            .ok_or_else(|| Error::failed("the key that was made cannot be read"))
    }

    /// Reads one in PKCS#8 (ours) or SEC 1 (the kubelet's); `None` when it is none, or of another kind.
    pub fn read(pem: &[u8]) -> Option<Self> {
        let der = PrivateKeyDer::from_pem_slice(pem).ok()?;
        let key = default_provider().key_provider.load_private_key(der).ok()?;
        let signer = key.choose_scheme(&[ECDSA_NISTP256_SHA256])?;
        Some(Self { key, signer, pem: pem.to_owned() })
    }

    /// The key in PEM. Not to be printed.
    pub fn pem(&self) -> &[u8] {
        &self.pem
    }

    /// Its SubjectPublicKeyInfo, in DER.
    pub fn public_key(&self) -> Vec<u8> {
        self.key.public_key().map(|k| k.as_ref().to_vec()).unwrap_or_default()
    }

    /// A name for the request: the same for this key and this CN, and for no others.
    pub fn request_name(&self, common_name: &str) -> String {
        let hash = digest(&SHA256, &[&self.public_key(), common_name.as_bytes()].concat());
        hash.as_ref().iter().fold("node-csr-".to_owned(), |name, b| format!("{name}{b:02x}"))
    }

    /// The request for a certificate with that O and CN, in PEM, signed.
    pub fn request(&self, organisation: &str, common_name: &str) -> Result<String> {
        let name = |oid: &[u8], text: &str| {
            let pair = [element(OID, oid), element(UTF8_STRING, text.as_bytes())].concat();
            element(SET, &element(SEQUENCE, &pair))
        };
        let subject = [name(&ORGANISATION, organisation), name(&COMMON_NAME, common_name)].concat();
        // Version 1 is 0; no attributes.
        let info =
            [element(INTEGER, &[0]), element(SEQUENCE, &subject), self.public_key(), element(CONTEXT_0, &[])];
        let info = element(SEQUENCE, &info.concat());
        let signature = self.signer.sign(&info).map_err(|e| Error::failed(format!("signing: {e}")))?;
        let algorithm = element(SEQUENCE, &element(OID, &ECDSA_WITH_SHA256));
        let signature = element(BIT_STRING, &[&[0], &signature[..]].concat());
        Ok(pem("CERTIFICATE REQUEST", &element(SEQUENCE, &[info, algorithm, signature].concat())))
    }
}

/// Whether two requests in PEM ask for the same: all but the signature, which is never twice the same.
pub fn is_same_request(one: &[u8], other: &[u8]) -> bool {
    let info = |pem: &[u8]| {
        let der = CertificateSigningRequestDer::from_pem_slice(pem).ok()?;
        Some(Reader(&der).expect(SEQUENCE)?.element()?.to_vec())
    };
    info(one).is_some_and(|i| info(other).is_some_and(|o| i == o))
}

/// Text armour (RFC 7468).
pub fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for (at, c) in STANDARD.encode(der).char_indices() {
        if at > 0 && at % 64 == 0 {
            text.push('\n');
        }
        text.push(c);
    }
    text + &format!("\n-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_the_same_whatever_its_signature() {
        let key = ClientKey::generate().unwrap();
        let again = ClientKey::read(key.pem()).unwrap();
        assert_eq!(key.public_key(), again.public_key());
        let (one, other) = (key.request("o", "a").unwrap(), again.request("o", "a").unwrap());
        assert!(one != other && is_same_request(one.as_bytes(), other.as_bytes()));
        assert!(!is_same_request(one.as_bytes(), key.request("o", "b").unwrap().as_bytes()));
        assert!(!is_same_request(b"", b"") && !is_same_request(key.pem(), key.pem()));
        assert!(one.lines().all(|l| l.len() <= 64), "{one}");
    }
}

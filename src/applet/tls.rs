//! `--cacert`, `--cert`, `--key`: read before anything is sent.

use std::path::Path;

use super::options::TlsFiles;
use crate::error::{Error, Result};
use crate::sys::file;
use crate::sys::http::{Identity, Tls};

/// Reads the files; whatever is wrong with one is exit 2. A certificate without `--key` has its key
/// in the same file.
pub fn read(files: &TlsFiles, skip_verify: bool) -> Result<Tls> {
    let pem = |path: &Path| -> Result<(String, Vec<u8>)> {
        Ok((path.display().to_string(), file::read_named(path)?.into_bytes()))
    };
    let identity = match (&files.cert, &files.key) {
        (None, None) => None,
        (None, Some(_)) => return Err(Error::usage("--key goes with --cert")),
        (Some(cert), key) => Some(Identity { cert: pem(cert)?, key: pem(key.as_deref().unwrap_or(cert))? }),
    };
    if skip_verify && files.cacert.is_some() {
        return Err(Error::usage("--cacert and --insecure-skip-tls-verify contradict each other"));
    }
    Ok(Tls { cacert: files.cacert.as_deref().map(pem).transpose()?, identity, skip_verify, ..Tls::default() })
}

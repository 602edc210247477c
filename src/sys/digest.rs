//! SHA-256, as sha256sum gives it.

use std::fmt::Write;

use ring::digest::{SHA256, digest};

/// 64 hex digits in lower case.
pub fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn as_sha256sum_has_it() {
        let sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(super::sha256(b""), sum);
    }
}

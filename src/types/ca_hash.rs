use std::fmt;
use std::str::FromStr;

/// A public key pinned by its hash, as kubeadm's `--discovery-token-ca-cert-hash` has it: `sha256:` and
/// 64 hex digits, the SHA-256 of the certificate's SubjectPublicKeyInfo in DER (RFC 7469 §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaHash(pub [u8; 32]);

impl FromStr for CaHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || "is sha256: and 64 hex digits (kubeadm token create --print-join-command shows it)";
        let digits = text.strip_prefix("sha256:").ok_or_else(bad)?;
        if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad().into());
        }
        let mut hash = [0; 32];
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| bad())?;
        }
        Ok(Self(hash))
    }
}

impl fmt::Display for CaHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_kubeadm_writes_them() {
        let text = format!("sha256:{}", "0f".repeat(32));
        assert_eq!(text.parse::<CaHash>().unwrap().to_string(), text);
        assert_eq!(text.replace('f', "F").parse::<CaHash>().unwrap().to_string(), text);
        for bad in
            ["", "sha256:", "0f", &text[1..], &text[..70], &format!("{text}0"), &text.replace('f', "g")]
        {
            assert!(bad.parse::<CaHash>().is_err(), "{bad}");
        }
        assert!(format!("sha256:{}é", "0".repeat(62)).parse::<CaHash>().is_err());
    }
}

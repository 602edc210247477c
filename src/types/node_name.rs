use std::fmt;
use std::str::FromStr;

/// A Node's name: a lowercase RFC 1123 subdomain of at most 253 bytes, as the API server checks it
/// (`ValidateNodeName`, apimachinery `IsDNS1123Subdomain`). A dotted IPv4 address is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeName(String);

impl NodeName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > 253 {
            return Err("a Node's name has 1 to 253 bytes".into());
        }
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(format!("a Node's name is lowercase: {}", text.to_ascii_lowercase()));
        }
        let label = |l: &str| {
            !l.is_empty()
                && !l.starts_with('-')
                && !l.ends_with('-')
                && l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if !text.split('.').all(label) {
            return Err("a Node's name is made of a-z, 0-9, '-' and '.', as a DNS name is".into());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_the_api_server_judges_them() {
        for name in ["10.10.48.1", "node-1", "node-1.example.com", "a", "0"] {
            assert!(name.parse::<NodeName>().is_ok(), "{name}");
        }
        for name in ["", "Node", "a_b", "-a", "a-", "a..b", ".a", "fd00::1", "a b", &"a".repeat(254)] {
            assert!(name.parse::<NodeName>().is_err(), "{name}");
        }
    }
}

use std::fmt;
use std::str::FromStr;

/// A network interface's name as the kernel takes it (`dev_valid_name` in net/core/dev.c: 1 to 15
/// bytes, not `.` or `..`, no `/`, `:` or white space), and plain enough for iptables and a console.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IfName(String);

impl IfName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IfName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an interface name is not empty".into());
        }
        if text.len() > 15 {
            return Err(format!("an interface name has at most 15 bytes, this one {}", text.len()));
        }
        // all and default are directories of /proc/sys/net/*/conf.
        if [".", "..", "all", "default"].contains(&text) || text.starts_with('-') {
            return Err("no interface can have that name".into());
        }
        // '+' ends a wildcard in iptables, '%' is a format for the kernel's own numbering.
        let bad = |c: char| !c.is_ascii_graphic() || "/:\"'\\%+".contains(c);
        match text.chars().find(|&c| bad(c)) {
            Some(c) => Err(format!("an interface name has no {c:?}")),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_kernel_takes() {
        for name in ["cbr0", "eth0.100", "docker0", "br-1a2b3c", "wlp0s20f3", "abcdefghijklmno", "_"] {
            assert_eq!(name.parse::<IfName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_it_does_not_take() {
        for name in [
            "",
            ".",
            "..",
            "all",
            "default",
            "a b",
            "a/b",
            "a:b",
            "abcdefghijklmnop",
            "-x",
            "é",
            "a\n",
            "eth+",
            "a\"b",
            "b%d",
        ] {
            assert!(name.parse::<IfName>().is_err(), "{name}");
        }
    }
}

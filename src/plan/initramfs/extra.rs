//! `--file SRC[:DST[:MODE]]`.

use std::path::PathBuf;
use std::str::FromStr;

/// A file of the host that is put into the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// Where it is on the host.
    pub from: PathBuf,
    /// Its path in the image, without `/` in front; `None`: the same.
    pub to: Option<String>,
    /// Its permission bits; `None`: as on the host.
    pub mode: Option<u32>,
}

impl FromStr for Extra {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let from = parts.next().filter(|f| !f.is_empty()).ok_or("names no file")?;
        let to = match parts.next() {
            None | Some("") => None,
            Some(to) => Some(to.strip_prefix('/').ok_or("the path in the image starts with /")?.to_owned()),
        };
        let mode = parts.next().map(mode).transpose()?;
        match parts.next() {
            None => Ok(Self { from: from.into(), to, mode }),
            Some(_) => Err("is more than SRC:DST:MODE (a path with : in it cannot be named)".to_owned()),
        }
    }
}

fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|m| *m <= 0o7777 && !text.starts_with('+'));
    mode.ok_or_else(|| format!("mode {text} is not octal, such as 0600"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let extra =
            |from: &str, to: Option<&str>, mode| Extra { from: from.into(), to: to.map(str::to_owned), mode };
        let table = [
            ("a/b", Ok(extra("a/b", None, None))),
            ("a:/etc/x", Ok(extra("a", Some("etc/x"), None))),
            ("/a:/etc/x:600", Ok(extra("/a", Some("etc/x"), Some(0o600)))),
            ("/a::0755", Ok(extra("/a", None, Some(0o755)))),
            ("/a:etc/x", Err("the path in the image starts with /")),
            (":/x", Err("names no file")),
            ("a:/b:0900", Err("mode 0900 is not octal, such as 0600")),
            ("a:/b:10000", Err("mode 10000 is not octal, such as 0600")),
            ("a:/b:+7", Err("mode +7 is not octal, such as 0600")),
            ("a:/b:", Err("mode  is not octal, such as 0600")),
            ("a:/b:7:", Err("is more than SRC:DST:MODE (a path with : in it cannot be named)")),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Extra>(), expected.map_err(str::to_owned), "{text}");
        }
    }
}

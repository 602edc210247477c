//! A proxy that a kubeconfig names: `http://[USER:PASSWORD@]HOST:PORT`, asked to CONNECT.

use std::fmt;
use std::str::FromStr;

/// Where it is. With a user name in it the text is a secret: Display leaves that out.
#[derive(Clone)]
pub struct Proxy {
    pub(super) proxy: ureq::Proxy,
    text: String,
}

impl Proxy {
    /// As it was written, the password with it. Not to be printed.
    pub fn secret_text(&self) -> &str {
        &self.text
    }
}

impl FromStr for Proxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.starts_with("http://") {
            let scheme = text.split_once("://").map_or("without a scheme", |(scheme, _)| scheme);
            return Err(format!("kboot speaks to http:// proxies only, not {scheme}"));
        }
        let proxy = ureq::Proxy::new(text).map_err(|_| "is not http://[USER:PASSWORD@]HOST:PORT")?;
        Ok(Self { proxy, text: text.to_owned() })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.proxy.host(), self.proxy.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxys_password_does_not_show() {
        let proxy: Proxy = "http://me:s3cret@10.9.9.9:3128".parse().unwrap();
        assert_eq!((proxy.to_string().as_str(), proxy.proxy.password()), ("10.9.9.9:3128", Some("s3cret")));
        for (text, why) in [
            ("socks5://me:s3cret@x:1", "kboot speaks to http:// proxies only, not socks5"),
            ("https://x", "kboot speaks to http:// proxies only, not https"),
            ("x:3128", "kboot speaks to http:// proxies only, not without a scheme"),
            ("http://a b", "is not http://[USER:PASSWORD@]HOST:PORT"),
        ] {
            assert_eq!(text.parse::<Proxy>().err().as_deref(), Some(why));
        }
    }
}

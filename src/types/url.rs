use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP over TCP.
    Http,
    /// HTTP over TLS.
    Https,
    /// HTTP over a unix socket: `unix:///run/docker.sock`.
    Unix,
}

/// The base URL of a server. `HOST:PORT` alone means http, as the kubelet of 2015 had it. User
/// names, queries and fragments are refused: no secret belongs into a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    /// The host without brackets; the socket's path for `unix`.
    host: String,
    port: u16,
    path: String,
}

impl Url {
    /// http, https or unix.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// What stands after host and port; `""` when nothing does.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The host name or address without brackets, or the unix socket's path.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The full URL of `path` (which starts with `/`) on this server, as HTTP needs it. For a unix
    /// socket the host is `localhost`.
    pub fn join(&self, path: &str) -> String {
        match self.scheme {
            Scheme::Unix => format!("http://localhost{path}"),
            _ => format!("{self}{path}"),
        }
    }

    fn unix(path: &str) -> Result<Self, String> {
        if !path.starts_with('/') || path.len() > 107 {
            return Err("a unix socket has an absolute path of at most 107 bytes: unix:///run/x.sock".into());
        }
        Ok(Self { scheme: Scheme::Unix, host: path.to_owned(), port: 0, path: String::new() })
    }
}

/// Splits `host:port`, `[v6]:port`, `host` or `[v6]`; the host comes without brackets.
fn split_authority(text: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("an IPv6 address is written [ADDRESS]:PORT")?;
        host.parse::<Ipv6Addr>().map_err(|_| "no IPv6 address stands between the brackets")?;
        (
            host,
            if after.is_empty() {
                None
            } else {
                Some(after.strip_prefix(':').ok_or("nothing but :PORT follows ']'")?)
            },
        )
    } else {
        match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("an IPv6 address is written [ADDRESS]:PORT".into());
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if host.is_empty() || !host.chars().all(plain) {
        return Err("is not a host name or address".into());
    }
    match port {
        None => Ok((host, None)),
        Some(port) => match port.parse::<u16>() {
            Ok(number) if number > 0 && !port.starts_with('+') => Ok((host, Some(number))),
            _ => Err("the port is not a number from 1 to 65535".into()),
        },
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("unix", rest)) => return Self::unix(rest),
            Some(_) => return Err("is no http, https or unix URL".into()),
            None => (Scheme::Http, text),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if authority.contains('@') {
            return Err("a URL with a user name in it is refused: it would show in ps and in logs".into());
        }
        if !path.chars().all(|c| c.is_ascii_graphic() && c != '?' && c != '#') {
            return Err("has a query, a fragment or a character that no URL has".into());
        }
        let (host, port) = split_authority(authority)?;
        let port = match (port, scheme) {
            (Some(port), _) => port,
            (None, Scheme::Https) => 443,
            (None, _) if text.contains("://") => 80,
            (None, _) => return Err("has neither scheme nor port: give http://HOST:PORT or HOST:PORT".into()),
        };
        Ok(Self { scheme, host: host.to_owned(), port, path: path.trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Unix => return write!(f, "unix://{}", self.host),
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}{}", self.host, self.port, self.path)
        } else {
            write!(f, "{scheme}://{}:{}{}", self.host, self.port, self.path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_as_people_write_them() {
        for (text, shown) in [
            ("http://10.0.0.1:8080", "http://10.0.0.1:8080"),
            ("10.0.0.1:8080", "http://10.0.0.1:8080"),
            ("master:8080/", "http://master:8080"),
            ("https://master", "https://master:443"),
            ("http://master", "http://master:80"),
            ("https://[fd00::1]:6443/k8s/", "https://[fd00::1]:6443/k8s"),
            ("unix:///run/docker.sock", "unix:///run/docker.sock"),
        ] {
            assert_eq!(text.parse::<Url>().unwrap().to_string(), shown);
        }
        let url: Url = "unix:///run/docker.sock".parse().unwrap();
        assert_eq!((url.host(), url.join("/v1").as_str()), ("/run/docker.sock", "http://localhost/v1"));
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for text in [
            "",
            "master",
            "http://",
            "ftp://x",
            "http://u:p@h",
            "http://h:0",
            "http://h:99999",
            "http://h:+1",
            "fd00::1:80",
            "http://[x]:1",
            "http://h?q",
            "http://h/#f",
            "http://a b",
            "unix://run",
            "http://h:80:1",
            "h:",
            "HTTP//x:1",
            "http://é",
        ] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }
}

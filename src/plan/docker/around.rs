//! What an administrator's settings say beside kboot's: the addresses that dockerd would give out, and
//! where it listens.

use std::net::IpAddr;

use serde_json::Value;

use super::argv;
use super::conflicts::Sources;
use crate::types::Cidr;

/// All values of a setting: where each stands, and what it is.
fn values(sources: &Sources<'_>, flag: &str) -> Vec<(String, String)> {
    let words: Vec<(&String, Vec<argv::Flag>)> =
        sources.flags.iter().map(|(place, words)| (place, argv::parse(words))).collect();
    let mut all = Vec::new();
    for (place, flags) in words {
        let given = flags.into_iter().filter(|f| f.name == flag);
        all.extend(given.map(|f| (place.clone(), f.value.unwrap_or_default())));
    }
    for key in argv::keys_of(flag) {
        let Some((path, value)) = sources.json.and_then(|(path, map)| Some((path, map.get(key)?))) else {
            continue;
        };
        let texts = match value {
            Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Value::String(text) => vec![text.clone()],
            _ => Vec::new(),
        };
        all.extend(texts.into_iter().map(|text| (path.to_owned(), text)));
    }
    all
}

/// Addresses that are none of the lease's: containers would get some that lead nowhere (fixed-cidr), or
/// dockerd would not start (default-gateway: "must belong to the master pool"; docker 20.10).
pub fn outside(sources: &Sources<'_>, subnet: &Cidr) -> Vec<String> {
    let pool = subnet.network();
    let lies_within = |text: &str| match (text.parse::<Cidr>(), text.parse::<IpAddr>()) {
        (Ok(cidr), _) => pool.contains(cidr.network().addr()) && cidr.prefix_len() >= pool.prefix_len(),
        (_, Ok(addr)) => pool.contains(addr),
        _ => true,
    };
    let mut found = Vec::new();
    for flag in ["fixed-cidr", "default-gateway"] {
        let odd = values(sources, flag).into_iter().filter(|(_, text)| !lies_within(text));
        found.extend(
            odd.map(|(place, text)| {
                format!("{place}: {flag} {text} is not in the lease {pool}: take it out")
            }),
        );
    }
    found
}

/// The first unix socket that dockerd is told to listen on; `unix://` alone is its usual one.
pub fn socket(sources: &Sources<'_>) -> Option<String> {
    let first = values(sources, "host").into_iter().map(|(_, text)| text).find(|t| t.starts_with("unix://"));
    first.filter(|text| text != "unix://")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn in_both_places() {
        let json =
            json!({"fixed-cidr": "10.1.1.0/24", "hosts": ["tcp://127.0.0.1:2375", "unix:///run/own.sock"]});
        let map = json.as_object().unwrap();
        let flags =
            [("docker.service".to_owned(), vec!["dockerd".to_owned(), "--default-gateway=10.4.9.3".into()])];
        let sources = Sources { json: Some(("d.json", map)), flags: &flags, version: None };
        let lease = "10.4.9.1/24".parse().unwrap();
        assert_eq!(
            outside(&sources, &lease),
            ["d.json: fixed-cidr 10.1.1.0/24 is not in the lease 10.4.9.0/24: take it out"]
        );
        let other = "10.1.1.1/24".parse().unwrap();
        assert_eq!(
            outside(&sources, &other),
            ["docker.service: default-gateway 10.4.9.3 is not in the lease 10.1.1.0/24: take it out"]
        );
        assert_eq!(socket(&sources).as_deref(), Some("unix:///run/own.sock"));
    }
}

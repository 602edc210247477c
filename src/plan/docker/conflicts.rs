//! What dockerd refuses to start with: its daemon.json and its flags against each other.

use super::argv::{self, Flag, keys_of};
use super::types;
use crate::types::Version;
use serde_json::{Map, Value};

/// All places that dockerd takes settings from.
pub struct Sources<'a> {
    /// daemon.json: its path and what it holds.
    pub json: Option<(&'a str, &'a Map<String, Value>)>,
    /// The words of a place (docker.service, /etc/default/docker). Together they are one command line.
    pub flags: &'a [(String, Vec<String>)],
    /// dockerd's, if it is known.
    pub version: Option<Version>,
}

/// A setting in one of the places.
struct Given<'a> {
    place: &'a str,
    /// How it is written there: `--bip`, `"bip"`.
    written: String,
    /// Its key in daemon.json.
    key: &'static str,
    value: String,
}

/// The docker that a key, and its flag, came with; an older one refuses both.
const SINCE: [(&str, Version); 11] = [
    ("live-restore", (1, 12, 0)),
    ("default-address-pools", (18, 6, 0)),
    ("ip6tables", (20, 10, 0)),
    ("default-network-opts", (24, 0, 0)),
    ("bip6", (28, 0, 0)),
    ("ip-forward-no-drop", (28, 0, 0)),
    ("host-gateway-ips", (28, 0, 0)),
    ("allow-direct-routing", (28, 2, 0)),
    ("firewall-backend", (29, 0, 0)),
    ("bridge-accept-fwmark", (29, 0, 0)),
    ("cdi-spec-dirs", (25, 0, 0)),
];

/// Keys whose objects are values; all other objects only group keys, and dockerd looks for conflicts in
/// them too (moby, daemon/config `flatOptions`).
const FLAT: [&str; 7] = [
    "builder",
    "cluster-store-opts",
    "default-network-opts",
    "default-ulimits",
    "features",
    "log-opts",
    "runtimes",
];

/// Every reason for which dockerd would not start, a line each: both places, and what to do. The rules are
/// those of docker 1.10 to 29 (moby, daemon/config `findConfigurationConflicts`, `verifyDaemonSettings`). A
/// docker before 1.10 has no daemon.json. The same flag twice is no reason: the last one counts. Only values
/// of network settings are named: others may be secret.
pub fn find(sources: &Sources<'_>) -> Vec<String> {
    let json = sources.json.filter(|_| sources.version.is_none_or(|v| v >= (1, 10, 0)));
    let mut found = Vec::new();
    let keys = json.map(|(path, map)| (path, flattened(map)));
    if let Some((path, keys)) = &keys {
        found.extend(keys.iter().filter_map(|(key, _)| types::short_name(path, key)));
    }
    if let Some((path, map)) = json {
        found.extend(map.iter().filter_map(|(key, value)| types::wrong_type(path, key, value)));
    }
    let places: Vec<(&str, Vec<Flag>)> = by_place(sources.flags);
    if let Some((path, keys)) = &keys {
        let both = |(place, flag): (&str, &Flag)| twice(path, keys, place, flag, sources.version);
        let all = places.iter().flat_map(|(place, flags)| flags.iter().map(move |f| (*place, f)));
        for line in all.filter_map(both) {
            if !found.contains(&line) {
                found.push(line);
            }
        }
    }
    let given = given(keys.as_ref(), &places);
    found.extend(exclusive(&given));
    found.extend(sources.version.into_iter().flat_map(|v| too_new(keys.as_ref(), &places, v)));
    found
}

/// The flags of each place; a value may stand at the start of the next place's words.
fn by_place(sources: &[(String, Vec<String>)]) -> Vec<(&str, Vec<Flag>)> {
    let words: Vec<String> = sources.iter().flat_map(|(_, words)| words.clone()).collect();
    let mut flags = argv::parse(&words);
    let mut end = 0;
    let places = sources.iter().map(|(place, words)| {
        end += words.len();
        let rest = flags.split_off(flags.partition_point(|f| f.at < end));
        (place.as_str(), std::mem::replace(&mut flags, rest))
    });
    places.collect()
}

fn flattened(map: &Map<String, Value>) -> Vec<(&str, &Value)> {
    let mut all = Vec::new();
    for (key, value) in map {
        match value {
            Value::Object(inner) if !FLAT.contains(&key.as_str()) => {
                all.extend(inner.iter().map(|(k, v)| (k.as_str(), v)));
            }
            _ => all.push((key.as_str(), value)),
        }
    }
    all
}

/// dockerd takes nothing from both, even if equal. Runtimes are joined from 18.09 on (moby#37871).
fn twice(
    path: &str,
    keys: &[(&str, &Value)],
    place: &str,
    flag: &Flag,
    version: Option<Version>,
) -> Option<String> {
    let key = *keys_of(&flag.name).iter().find(|key| keys.iter().any(|(k, _)| k == *key))?;
    if key == "runtimes" && version.is_none_or(|v| v >= (18, 9, 0)) {
        return None;
    }
    let name = &flag.name;
    if key == "hosts" {
        let host = flag.value.as_deref().unwrap_or_default();
        let advice = "set ExecStart= without -H in a drop-in, or take \"hosts\" out of the file";
        return Some(format!(
            "{path}: \"hosts\" and {place}: -H {host}: dockerd refuses both together: {advice}"
        ));
    }
    Some(format!(
        "{path}: \"{key}\" and {place}: --{name}: dockerd refuses both together, even if equal: take one out"
    ))
}

/// The settings that other settings exclude, wherever they stand.
fn given<'a>(
    json: Option<&(&'a str, Vec<(&'a str, &'a Value)>)>,
    places: &[(&'a str, Vec<Flag>)],
) -> Vec<Given<'a>> {
    let mut all = Vec::new();
    for key in ["bridge", "bip", "bip6", "iptables", "icc"] {
        for (place, flags) in places {
            // The last one counts.
            if let Some(flag) = flags.iter().rfind(|f| f.name == key) {
                all.retain(|g: &Given<'_>| g.key != key);
                let value = flag.value.clone().unwrap_or_default();
                all.push(Given { place, written: format!("--{key}={value}"), key, value });
            }
        }
        let in_json = json.and_then(|(path, keys)| Some((path, keys.iter().find(|(k, _)| *k == key)?.1)));
        if let Some((path, value)) = in_json.filter(|(_, value)| !value.is_null()) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            all.push(Given { place: path, written: format!("\"{key}\": {value}"), key, value: text });
        }
    }
    all
}

fn exclusive(given: &[Given<'_>]) -> Vec<String> {
    let is_false = |v: &str| ["0", "f", "F", "false", "False", "FALSE"].contains(&v);
    let pairs = |one: &'static str, other: &'static str, counts: &dyn Fn(&str) -> bool, advice: &str| {
        let with =
            |key| given.iter().filter(move |g| g.key == key).filter(|g| counts(&g.value)).collect::<Vec<_>>();
        let mut lines = Vec::new();
        for a in with(one) {
            for b in with(other) {
                let (x, y) = (format!("{}: {}", a.place, a.written), format!("{}: {}", b.place, b.written));
                lines.push(format!("{x} and {y}: dockerd refuses both together: {advice}"));
            }
        }
        lines
    };
    let some = |v: &str| !v.is_empty();
    let mut all = pairs("bridge", "bip", &some, "take one out");
    all.extend(pairs("bridge", "bip6", &some, "take one out"));
    let advice = "its icc rule is one of iptables: take icc out, or let docker have its iptables";
    all.extend(pairs("icc", "iptables", &is_false, advice));
    all
}

fn too_new(
    json: Option<&(&str, Vec<(&str, &Value)>)>,
    places: &[(&str, Vec<Flag>)],
    version: Version,
) -> Vec<String> {
    let mut all = Vec::new();
    for (key, since) in SINCE.into_iter().filter(|(_, since)| *since > version) {
        let why =
            format!("docker knows it from {} on, this is {}: take it out", dotted(since), dotted(version));
        if let Some((path, _)) = json.filter(|(_, keys)| keys.iter().any(|(k, _)| *k == key)) {
            all.push(format!("{path}: \"{key}\": {why}"));
        }
        for (place, flags) in places {
            let flag = flags.iter().find(|f| f.name != "host-gateway-ip" && keys_of(&f.name).contains(&key));
            all.extend(flag.map(|f| format!("{place}: --{}: {why}", f.name)));
        }
    }
    all
}

/// As docker writes it: 18.06, but 1.12 and 28.0.
fn dotted((major, minor, _): Version) -> String {
    if (17..20).contains(&major) { format!("{major}.{minor:02}") } else { format!("{major}.{minor}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(json: &str, line: &str, version: Option<Version>) -> Vec<String> {
        let json: Map<String, Value> = serde_json::from_str(json).unwrap();
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let places = line.split('|').zip(["U", "E"]);
        let flags: Vec<(String, Vec<String>)> =
            places.map(|(text, place)| (place.into(), words(text))).collect();
        find(&Sources { json: Some(("J", &json)), flags: &flags, version })
    }

    /// What each line begins with, before `: dockerd`.
    fn starts(json: &str, line: &str) -> String {
        let lines = lines(json, line, None);
        lines.iter().filter_map(|l| l.split(": dockerd").next()).collect::<Vec<_>>().join("; ")
    }

    /// Those without another source were tried with dockerd 20.10.24.
    #[test]
    fn what_dockerd_refuses() {
        for (json, line, found) in [
            (r#"{"bridge":"a"}"#, "d --bip=10.1.1.1/24", r#"J: "bridge": "a" and U: --bip=10.1.1.1/24"#),
            // moby 28, verifyDaemonSettings
            (r#"{"bip6":"fd::1/64"}"#, "d -b a", r#"U: --bridge=a and J: "bip6": "fd::1/64""#),
            ("{}", "d -b a|--bip=10.1.1.1/24", "U: --bridge=a and E: --bip=10.1.1.1/24"),
            (r#"{"bridge":null}"#, "d -b none", r#"J: "bridge" and U: --bridge"#),
            (r#"{"dns":["8.8.8.8"]}"#, "d --dns 8.8.8.8 --dns 1.1.1.1", r#"J: "dns" and U: --dns"#),
            (r#"{"x":{"tlsverify":false}}"#, "d --tlsverify", r#"J: "tlsverify" and U: --tlsverify"#),
            (
                r#"{"default-address-pools":[]}"#,
                "d --default-address-pool base=10.1.0.0/16,size=24",
                r#"J: "default-address-pools" and U: --default-address-pool"#,
            ),
            (
                r#"{"registry-mirrors":[],"log-opts":{}}"#,
                "d --log-opt|a=b -s c --registry-mirror=d",
                r#"J: "log-opts" and U: --log-opt; J: "registry-mirrors" and E: --registry-mirror"#,
            ),
            // moby#22339
            (r#"{"hosts":["unix://"]}"#, "d -H fd://", r#"J: "hosts" and U: -H fd://"#),
            (r#"{"icc":false}"#, "d --iptables=false", r#"J: "icc": false and U: --iptables=false"#),
            (r#"{"b":"a","mtu":"1"}"#, "d", r#"J: "b"; J: "mtu" is not a whole number without quotes"#),
        ] {
            assert_eq!(starts(json, line), found, "{json} {line}");
        }
    }

    /// Tried with dockerd 20.10.24: none of these stops it.
    #[test]
    fn what_dockerd_takes() {
        for (json, line) in [
            (r#"{"bridge":""}"#, "d --bip=10.1.1.1/24"),
            (r#"{"mtu":null,"hosts":null}"#, "d"),
            (r#"{"registry-mirror":["http://a"]}"#, "d"),
            (r#"{"runtimes":{"a":{"path":"b"}}}"#, "d --add-runtime c=d"),
            // The last flag counts (pflag).
            ("{}", "d --mtu=1 --mtu=2 --icc=false --iptables=false --iptables=true"),
        ] {
            assert_eq!(lines(json, line, None), Vec::<String>::new(), "{json} {line}");
        }
    }

    #[test]
    fn what_only_some_versions_refuse() {
        for (json, line, version, count) in [
            // moby#37871
            (r#"{"runtimes":{}}"#, "d --add-runtime c=d", (18, 3, 0), 1),
            (r#"{"runtimes":{}}"#, "d --add-runtime c=d", (18, 9, 0), 0),
            (r#"{"default-network-opts":{}}"#, "d --bip6=fd::1/64", (23, 0, 0), 2),
            (r#"{"default-network-opts":{}}"#, "d --bip6=fd::1/64", (28, 0, 0), 0),
            // docker 1.9 reads no daemon.json.
            (r#"{"bridge":"a","b":1}"#, "docker -d -b a", (1, 9, 0), 0),
        ] {
            let found = lines(json, line, Some(version));
            assert_eq!(found.len(), count, "{found:?}");
        }
        assert_eq!(
            lines("{}", "d|--default-network-opt a=b=c", Some((20, 10, 0))),
            ["E: --default-network-opt: docker knows it from 24.0 on, this is 20.10: take it out"]
        );
    }
}

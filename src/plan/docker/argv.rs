//! dockerd's command line as pflag reads it (docker 1.13 and later; before, mflag took the same forms
//! but for short flags in one word), and how a flag is called in daemon.json.

use super::setting::Setting;
use serde_json::Value;

/// A flag that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The long name without dashes, also of a short flag. One that kboot does not know stays as it is.
    pub name: String,
    /// Its value; `true` of a boolean that stands alone. None: its value is missing.
    pub value: Option<String>,
    /// The index of its word.
    pub at: usize,
    /// How many words it takes: 2 if the value is the next one.
    pub words: usize,
}

/// What kboot decides, whichever of them it sets now: the bridge, its subnets of both families and its
/// rules. All of them are called the same in daemon.json.
pub const OURS: [&str; 10] = [
    "bridge",
    "bip",
    "bip6",
    "iptables",
    "ip-masq",
    "ip-forward-no-drop",
    "allow-direct-routing",
    "ipv6",
    "fixed-cidr-v6",
    "ip6tables",
];

/// moby, cmd/dockerd: what `VarP` gives a letter, from 1.10 to 29.
const SHORT: [(char, &str); 10] = [
    ('b', "bridge"),
    ('D', "debug"),
    ('d', "daemon"),
    ('g', "graph"),
    ('G', "group"),
    ('H', "host"),
    ('l', "log-level"),
    ('p', "pidfile"),
    ('r', "restart"),
    ('s', "storage-driver"),
];

/// moby, cmd/dockerd: `BoolVar`, and `--daemon` of before 1.12. Their value never is the next word.
const BOOLEANS: &str = "allow-direct-routing api-enable-cors cri-containerd daemon debug \
    disable-legacy-registry experimental help icc init ip-forward ip-forward-no-drop ip-masq ip6tables \
    iptables ipv6 live-restore no-new-privileges raw-logs restart rootless selinux-enabled tls tlsverify \
    userland-proxy validate version";

/// moby: the options with a `Name()` of their own: (flag, key of daemon.json). All others are called
/// the same. host-gateway-ip got its second key in 28.
const KEYS: [(&str, &str); 19] = [
    ("add-runtime", "runtimes"),
    ("authorization-plugin", "authorization-plugins"),
    ("cdi-spec-dir", "cdi-spec-dirs"),
    ("cluster-store-opt", "cluster-store-opts"),
    ("default-address-pool", "default-address-pools"),
    ("default-network-opt", "default-network-opts"),
    ("default-ulimit", "default-ulimits"),
    ("dns-opt", "dns-opts"),
    ("exec-opt", "exec-opts"),
    ("feature", "features"),
    ("host", "hosts"),
    ("host-gateway-ip", "host-gateway-ip"),
    ("host-gateway-ip", "host-gateway-ips"),
    ("insecure-registry", "insecure-registries"),
    ("label", "labels"),
    ("log-opt", "log-opts"),
    ("node-generic-resource", "node-generic-resources"),
    ("registry-mirror", "registry-mirrors"),
    ("storage-opt", "storage-opts"),
];

/// Whether a flag stands without a value.
pub fn is_boolean(name: &str) -> bool {
    BOOLEANS.split_whitespace().any(|b| b == name)
}

/// Whether a command line starts dockerd: before 1.12 it was one program with its client, and still is
/// called docker-current where RHEL 7 keeps one.
pub fn is_dockerd(argv: &[String]) -> bool {
    let program = argv.first().and_then(|p| p.rsplit('/').next()).unwrap_or_default();
    let is_daemon =
        argv.get(1).is_some_and(|w| w == "daemon" || w.starts_with("--daemon") || w.starts_with("-d"));
    program.starts_with("dockerd") || program.starts_with("docker") && is_daemon
}

/// The values that a flag was given, in their order.
pub fn values(words: &[String], name: &str) -> Vec<String> {
    parse(words).into_iter().filter(|f| f.name == name).filter_map(|f| f.value).collect()
}

/// The keys that a flag is in daemon.json; of most there is one of the same name.
pub fn keys_of(flag: &str) -> Vec<&str> {
    let other: Vec<&str> = KEYS.iter().filter(|(f, _)| *f == flag).map(|(_, key)| *key).collect();
    if other.is_empty() { vec![flag] } else { other }
}

/// The long name of a letter.
pub fn long_name(letter: char) -> Option<&'static str> {
    SHORT.iter().find(|(short, _)| *short == letter).map(|(_, long)| *long)
}

/// The flags among words; the program's name and words without a dash are passed over, as is all
/// after `--`.
pub fn parse(words: &[String]) -> Vec<Flag> {
    let mut flags = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at).filter(|w| *w != "--") {
        let before = flags.len();
        if let Some(long) = word.strip_prefix("--") {
            flags.push(long_flag(long, words.get(at + 1), at));
        } else if let Some(letters) = word.strip_prefix('-') {
            short_flags(letters, words.get(at + 1), at, &mut flags);
        }
        at += flags[before..].iter().map(|f| f.words).max().unwrap_or(1);
    }
    flags
}

fn long_flag(long: &str, next: Option<&String>, at: usize) -> Flag {
    if let Some((name, value)) = long.split_once('=') {
        return Flag { name: name.to_owned(), value: Some(value.to_owned()), at, words: 1 };
    }
    alone(long, next, at)
}

/// A flag without `=`. What begins with a dash is taken for the next flag, not for the value: pflag
/// would take it, and dockerd then refuses the value.
fn alone(name: &str, next: Option<&String>, at: usize) -> Flag {
    if is_boolean(name) {
        return Flag { name: name.to_owned(), value: Some("true".into()), at, words: 1 };
    }
    let value = next.filter(|w| !w.starts_with('-')).cloned();
    Flag { name: name.to_owned(), words: if value.is_some() { 2 } else { 1 }, value, at }
}

/// `-D`, `-b cbr0`, `-bcbr0`, `-b=cbr0`, `-DH fd://`.
fn short_flags(letters: &str, next: Option<&String>, at: usize, flags: &mut Vec<Flag>) {
    let mut chars = letters.chars();
    while let Some(letter) = chars.next() {
        let name = long_name(letter).map_or_else(|| letter.to_string(), str::to_owned);
        let rest = chars.as_str();
        if let Some(value) = rest.strip_prefix('=') {
            flags.push(Flag { name, value: Some(value.to_owned()), at, words: 1 });
            return;
        }
        if is_boolean(&name) {
            flags.push(alone(&name, None, at));
        } else if rest.is_empty() {
            flags.push(alone(&name, next, at));
        } else {
            flags.push(Flag { name, value: Some(rest.to_owned()), at, words: 1 });
            return;
        }
    }
}

/// Which words kboot's flags take the place of: those of `OURS` and of the settings. Of a list
/// (registry-mirror) and of default-network-opt only the items that are set: the administrator's others
/// stay. A word of several letters that holds another's flag too is an error.
pub fn replaced(words: &[String], settings: &[Setting]) -> Result<Vec<usize>, String> {
    let gives_way =
        |f: &Flag| OURS.contains(&f.name.as_str()) || settings.iter().any(|s| s.flag == f.name && sets(s, f));
    let flags = parse(words);
    let mut all = Vec::new();
    for flag in flags.iter().filter(|f| gives_way(f)) {
        if flags.iter().any(|f| f.at == flag.at && !gives_way(f)) {
            return Err(format!("{} is several flags in one word: write them apart", words[flag.at]));
        }
        all.extend(flag.at..flag.at + flag.words);
    }
    Ok(all)
}

/// Whether a setting of the flag's name sets the same thing: any value, the item, the inner key.
fn sets(setting: &Setting, flag: &Flag) -> bool {
    let value = flag.value.as_deref().unwrap_or_default();
    match &setting.value {
        Value::Array(items) => items.iter().any(|i| i.as_str().is_some_and(|i| plain(i) == plain(value))),
        Value::Object(outer) => {
            let mut parts = value.splitn(3, '=');
            let inner = parts.next().and_then(|driver| outer.get(driver));
            inner.zip(parts.next()).is_some_and(|(options, key)| options.get(key).is_some())
        }
        _ => true,
    }
}

/// A registry's URL is the same with and without its last slash.
pub fn plain(url: &str) -> &str {
    url.strip_suffix('/').unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn every_way_to_write_a_flag() {
        for (line, flags) in [
            ("/usr/bin/dockerd -H fd:// --containerd=/run/c.sock", "host=fd:// containerd=/run/c.sock"),
            // docker 1.0 to 1.12
            ("/usr/bin/docker -d -H fd:// -s overlay", "daemon=true host=fd:// storage-driver=overlay"),
            ("docker daemon --bip 10.1.1.1/24 --icc --mtu=1450", "bip=10.1.1.1/24 icc=true mtu=1450"),
            ("dockerd -DHfd:// -b=cbr0 -bcbr1", "debug=true host=fd:// bridge=cbr0 bridge=cbr1"),
            ("dockerd --iptables false --new x --newer --dns", "iptables=true new=x newer=? dns=?"),
            ("dockerd -- --bip=x", ""),
        ] {
            let found: Vec<String> = parse(&words(line))
                .iter()
                .map(|f| format!("{}={}", f.name, f.value.as_deref().unwrap_or("?")))
                .collect();
            assert_eq!(found.join(" "), flags, "{line}");
        }
    }

    #[test]
    fn daemons_and_clients() {
        for (line, is) in [
            ("/usr/sbin/dockerd -H fd://", true),
            ("dockerd-rootless", true),
            ("docker daemon --bip=x", true),
            ("/usr/bin/docker -d", true),
            ("/usr/bin/docker-current daemon", true),
            ("docker run -d image", false),
            ("docker logs -f x", false),
            ("/bin/sh -c dockerd", false),
            ("", false),
        ] {
            assert_eq!(is_dockerd(&words(line)), is, "{line}");
        }
    }

    #[test]
    fn what_gives_way_to_kboots_flags() {
        let settings = [
            Setting::new("bridge", "cbr0"),
            Setting { flag: "registry-mirror", key: "registry-mirrors", value: json!(["http://m:5000"]) },
            Setting {
                flag: "default-network-opt",
                key: "default-network-opts",
                value: json!({"bridge": {"com.docker.network.driver.mtu": "1450"}}),
            },
        ];
        let line = "dockerd -b br0 --dns 8.8.8.8 --bip=10.1.1.1/24 --mtu 9000 \
                    --registry-mirror=http://m:5000/ \
                    --registry-mirror http://other --iptables --default-network-opt=bridge=x=1 \
                    --default-network-opt bridge=com.docker.network.driver.mtu=9";
        assert_eq!(replaced(&words(line), &settings).unwrap(), [1, 2, 5, 8, 11, 13, 14]);
        assert_eq!(
            replaced(&words("dockerd -Db br0"), &settings).unwrap_err(),
            "-Db is several flags in one word: write them apart"
        );
    }
}

//! A host's rules as independent readers see them, and hosts that have only some of the programs.

use serde_json::{Value, json};

use super::host::Host;
use super::{Done, need, root_user};

/// Where a bridge's masquerading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Nft,
    IptablesNft,
    Legacy,
}

pub const BACKENDS: [Backend; 3] = [Backend::Nft, Backend::IptablesNft, Backend::Legacy];

/// Every program, those named after an engine too; the plain ones are of nf_tables.
pub const ALL: &str = "/run/all";
/// As the name says.
pub const NO_PROGRAM: &str = "/nowhere";

impl Backend {
    /// A PATH on which that backend's programs are the only ones.
    pub fn path(self) -> &'static str {
        match self {
            Backend::Nft => NO_PROGRAM,
            Backend::IptablesNft => "/run/nft",
            Backend::Legacy => "/run/legacy",
        }
    }

    /// For `--firewall`.
    pub fn option(self) -> &'static str {
        if self == Backend::Nft { "nft" } else { "iptables" }
    }
}

/// Links under other names, as distributions' alternatives make them.
const LINKS: &str = "cd /run && mkdir nft legacy all && \
    ln -s NFT nft/iptables && ln -s NFT nft/ip6tables && ln -s LEGACY legacy/iptables && \
    ln -s LEGACY legacy/ip6tables && cp -P nft/* all && \
    ln -s NFT all/iptables-nft && ln -s NFT all/ip6tables-nft && \
    ln -s LEGACY all/iptables-legacy && ln -s LEGACY all/ip6tables-legacy";

/// A host with these PATHs; `None` where the programs are not there.
pub fn host() -> Option<Host> {
    if !root_user() {
        return None;
    }
    let _ = (need("ip", "tools")?, need("nft", "nft")?);
    let program = |name: &str| Some(need(name, "iptables")?.canonicalize().unwrap().display().to_string());
    let (nft, legacy) = (program("iptables-nft")?, program("iptables-legacy")?);
    let host = Host::new();
    host.sh(&LINKS.replace("NFT", &nft).replace("LEGACY", &legacy));
    Some(host)
}

/// kboot bridge with these words and that PATH.
pub fn bridge(host: &Host, path: &str, words: &str) -> Done {
    let words: Vec<&str> = std::iter::once("bridge").chain(words.split_whitespace()).collect();
    host.kboot_with_path(path, &words)
}

const SAVES: &str = "for v in legacy nft; do for f in ip ip6; do ${f}tables-$v-save 2>/dev/null | \
    sed \"/^#/d; s/ \\[[0-9]*:[0-9]*\\]//; s/^/$v $f /\"; done; done";

/// What all four `iptables-save` print, without dates and counters; each line with its engine before it.
pub fn saves(host: &Host) -> String {
    host.sh(SAVES)
}

/// The whole of nf_tables without counters, as text.
fn nft_text(host: &Host) -> String {
    host.sh("nft -s list ruleset 2>/dev/null")
}

/// kboot's own lines among what iptables' readers print; nothing for a bridge whose rules nft has.
pub fn own_lines(host: &Host) -> Vec<String> {
    saves(host).lines().filter(|l| l.to_lowercase().contains("kboot")).map(str::to_owned).collect()
}

/// Everything but kboot's own, byte by byte. Those of nf_tables' tables that iptables shows are left to it.
pub fn others(host: &Host) -> (String, Vec<Value>) {
    let saves = saves(host);
    let lines = saves.lines().filter(|l| !l.to_lowercase().contains("kboot"));
    let mut objects = nft(host);
    objects.retain(|o| {
        let table = o["table"].as_str().or(o["name"].as_str()).unwrap_or_default();
        !["kboot", "nat", "filter", "mangle"].contains(&table) && !o["comment"].to_string().contains("kboot")
    });
    (lines.collect::<Vec<_>>().join("\n"), objects)
}

/// The objects of `nft -j list ruleset`, without counters and handles, each with its kind.
fn nft(host: &Host) -> Vec<Value> {
    let mut listed: Value =
        serde_json::from_str(&host.sh("nft -s -j list ruleset 2>/dev/null")).unwrap_or_default();
    let mut objects = Vec::new();
    for object in listed["nftables"].as_array_mut().into_iter().flatten() {
        let Some((kind, object)) = object.as_object_mut().and_then(|o| o.iter_mut().next()) else { continue };
        if kind == "metainfo" {
            continue;
        }
        let mut object = object.take();
        object.as_object_mut().unwrap().remove("handle");
        object["kind"] = json!(kind);
        objects.push(object);
    }
    objects
}

/// A chain's rules: comment and expressions.
pub fn nft_rules(host: &Host, family: &str, table: &str, chain: &str) -> Vec<(String, Value)> {
    let is_of = |o: &Value| {
        o["kind"] == "rule" && o["family"] == family && o["table"] == table && o["chain"] == chain
    };
    let rules = nft(host).into_iter().filter(is_of);
    rules.map(|r| (r["comment"].as_str().unwrap_or_default().to_owned(), r["expr"].clone())).collect()
}

/// `saddr == 10.7.3.0/24` and its like, as nft's JSON has it.
pub fn prefix(family: &str, field: &str, op: &str, cidr: &str) -> Value {
    let (addr, len) = cidr.split_once('/').unwrap();
    let len: u8 = len.parse().unwrap();
    json!({"match": {
        "op": op,
        "left": {"payload": {"protocol": family, "field": field}},
        "right": {"prefix": {"addr": addr, "len": len}},
    }})
}

/// `oifname == eth7` and its like.
pub fn link(key: &str, name: &str) -> Value {
    json!({"match": {"op": "==", "left": {"meta": {"key": key}}, "right": name}})
}

/// The masquerading of one family.
pub struct Want<'w> {
    pub bridge: &'w str,
    pub subnet: &'w str,
    pub kept: &'w [&'w str],
    pub out: Option<&'w str>,
}

impl Want<'_> {
    pub fn family(&self) -> &'static str {
        if self.subnet.contains(':') { "ip6" } else { "ip" }
    }

    /// As `own_lines` gives them.
    fn lines(&self, backend: Backend) -> Vec<String> {
        let note = format!("-m comment --comment kboot-{}", self.bridge);
        let (chain, out) =
            (format!("KBOOT-{}", self.bridge), self.out.map(|o| format!(" -o {o}")).unwrap_or_default());
        let mut lines = vec![format!(":{chain} -")];
        lines.push(format!("-A POSTROUTING -s {}{out} {note} -j {chain}", self.subnet));
        lines.extend(self.kept.iter().map(|k| format!("-A {chain} -d {k} {note} -j RETURN")));
        lines.push(format!("-A {chain} {note} -j MASQUERADE --random-fully"));
        let engine = if backend == Backend::Legacy { "legacy" } else { "nft" };
        lines.iter().map(|l| format!("{engine} {} {l}", self.family())).collect()
    }

    /// As `nft_rules` gives it.
    pub fn rule(&self) -> (String, Value) {
        let family = self.family();
        let mut exprs = vec![prefix(family, "saddr", "==", self.subnet)];
        exprs.extend(self.kept.iter().map(|k| prefix(family, "daddr", "!=", k)));
        exprs.extend(self.out.map(|o| link("oifname", o)));
        exprs.push(json!({"masquerade": {"flags": "fully-random"}}));
        (format!("kboot-{}", self.bridge), json!(exprs))
    }
}

/// These and no others of kboot's, of the bridges br-pods and br-pod.
pub fn has(host: &Host, backend: Backend, wants: &[Want<'_>]) {
    for family in ["ip", "ip6"] {
        let own: Vec<&Want<'_>> = wants.iter().filter(|w| w.family() == family).collect();
        for bridge in ["br-pods", "br-pod"] {
            let rules = nft_rules(host, family, "kboot", &format!("postrouting-{bridge}"));
            let want = own.iter().filter(|w| backend == Backend::Nft && w.bridge == bridge);
            assert_eq!(rules, want.map(|w| w.rule()).collect::<Vec<_>>(), "{backend:?}");
        }
    }
    let mut lines: Vec<String> = wants.iter().flat_map(|w| w.lines(backend)).collect();
    if backend == Backend::Nft {
        lines.clear();
    }
    let (mut own, mut want) = (own_lines(host), lines);
    if wants.len() > 2 {
        // Which bridge's come first does not matter.
        own.sort();
        want.sort();
    }
    assert_eq!(own, want, "{backend:?}");
}

/// All that a run could change: links, addresses, routes, rules, settings; by lines.
pub struct Whole(Vec<String>);

pub fn whole(host: &Host) -> Whole {
    let mut links = host.ip("-d link");
    for link in links.as_array_mut().unwrap() {
        if let Some(data) = link["linkinfo"].get_mut("info_data").and_then(Value::as_object_mut) {
            data.retain(|name, _| !name.ends_with("_timer"));
        }
    }
    let mut all: Vec<String> = links.as_array().unwrap().iter().map(Value::to_string).collect();
    for part in [saves(host), nft_text(host), host.sh(READ)] {
        all.extend(part.lines().map(str::to_owned));
    }
    Whole(all)
}

const READ: &str = "ip -o addr; ip route show table all; ip -6 route show table all; \
    find /proc/sys/net -type f ! -name '*_key*' ! -name '*secret' ! -name '*_count' | sort | \
        xargs grep -H '' 2>/dev/null; \
    true";

impl Whole {
    pub fn lines(self) -> Vec<String> {
        self.0
    }

    /// As it is now; what is not is shown.
    pub fn is_still(&self, host: &Host, what: &str) {
        let now = whole(host).0;
        let only = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|l| !those.contains(l)).cloned().collect()
        };
        assert!(now == self.0, "{what}: was {:#?}, is {:#?}", only(&self.0, &now), only(&now, &self.0));
    }
}

/// kboot's own files, with their times.
pub fn records(host: &Host) -> String {
    host.sh("find /run/kboot -printf '%p %m %T@ %i\\n' -type f -exec cat {} \\; 2>/dev/null; true")
}

//! flanneld's backends on Linux: every type that it ever had, and what it decodes from `Backend` for each.
//! From flannel's pkg/backend/TYPE/*.go (older ones: backend/TYPE/*.go); versions are those of its tags.

mod check;

use serde_json::{Value, json};

pub use check::{check, check_one};

use crate::types::Version;

/// What a field holds: how Go's encoding/json decodes it, and what flanneld or the kernel then takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Go's `int`: digits, neither 1.0 nor 1e3 nor "1"; from the least to the largest that works.
    Integer(i64, i64),
    /// Go's `time.Duration`, but flanneld multiplies it by a second: digits again, no "25s". The
    /// kernel keeps 16 bits of it.
    Seconds,
    /// Go's `bool`: neither "true" nor 1.
    Boolean,
    /// Go's `string`, anything.
    Text,
    /// Go's `string`, one of these, in just this case.
    OneOf(&'static [&'static str]),
    /// Go's `string` of at least so many bytes.
    Long(usize),
    /// Go's `string`: nothing, or 32 bytes in base64, as `wg genpsk` prints them.
    WireguardKey,
    /// Go's `interface{}`, of which flanneld takes a string, or an array of strings.
    TextOrList,
}

/// What flanneld has in a field before it decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// Nothing that could be written in its place.
    Nothing,
    /// The MTU of the link that flanneld uses: no fixed number.
    LinkMtu,
    /// A number.
    Int(i64),
    /// A boolean.
    Bool(bool),
    /// A string; "" where flanneld sets none.
    Text(&'static str),
}

impl Default {
    /// As it would be written; `None`: it cannot be.
    pub fn value(self) -> Option<Value> {
        match self {
            Self::Nothing | Self::LinkMtu => None,
            Self::Int(number) => Some(json!(number)),
            Self::Bool(flag) => Some(json!(flag)),
            Self::Text(text) => Some(json!(text)),
        }
    }
}

/// A field of a backend.
#[derive(Debug)]
pub struct Field {
    /// Its name; Go takes it in any case.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// The first flannel that reads it; older ones pass over it.
    pub since: Version,
    /// What an absent one means.
    pub default: Default,
    /// Only flanneld.exe reads it; on Linux it is passed over.
    pub windows: bool,
}

/// A backend.
#[derive(Debug)]
pub struct Backend {
    /// Its type in lower case.
    pub name: &'static str,
    /// The first flannel that has it.
    pub since: Version,
    /// The last flannel that has it; `None`: still there.
    pub until: Option<Version>,
    /// What it reads.
    pub fields: &'static [Field],
    /// FLANNEL_MTU is so many bytes less than the link's MTU, or than the field MTU (ipsec: 8 more
    /// with UDPEncap).
    pub overhead: u32,
}

const fn field(name: &'static str, kind: Kind, since: Version, default: Default) -> Field {
    Field { name, kind, since, default, windows: false }
}

const fn switch(name: &'static str, since: Version) -> Field {
    field(name, Kind::Boolean, since, Default::Bool(false))
}

const fn text(name: &'static str, since: Version) -> Field {
    field(name, Kind::Text, since, Default::Text(""))
}

/// flannel #1042 made both Windows backends; its defaults differ from Linux's and do not matter here.
const fn on_windows(name: &'static str) -> Field {
    Field { name, kind: Kind::Text, since: (0, 11, 0), default: Default::Nothing, windows: true }
}

const fn backend(name: &'static str, since: Version, overhead: u32, fields: &'static [Field]) -> Backend {
    Backend { name, since, until: None, fields, overhead }
}

/// Those of clouds whose support was dropped in 0.20.
const fn until_0_19(name: &'static str, since: Version, fields: &'static [Field]) -> Backend {
    Backend { name, since, until: Some((0, 19, 2)), fields, overhead: 0 }
}

/// flanneld takes port 0, but the others then send to port 0.
const PORT: Kind = Kind::Integer(1, 65_535);

/// What is left after the overhead has to be an IPv4 MTU; flanneld would write even a negative one.
const fn mtu(overhead: i64) -> Field {
    field("MTU", Kind::Integer(overhead + 68, 65_535), (0, 21, 3), Default::LinkMtu)
}

const ESP_PROPOSAL: &str = "aes128gcm16-sha256-prfsha256-ecp256";
const MODES: Kind = Kind::OneOf(&["separate", "auto", "ipv4", "ipv6"]);

/// All of them, the oldest first.
pub static BACKENDS: [Backend; 12] = [
    backend("udp", (0, 1, 0), 28, &[field("Port", PORT, (0, 1, 0), Default::Int(8285))]),
    backend("alloc", (0, 1, 0), 0, &[]),
    backend(
        "vxlan",
        (0, 2, 0),
        50,
        &[
            // The kernel takes 24 bits, but flannel.VNI names the link: at most 15 bytes. For IPv6 it
            // is flannel-v6.VNI: 9999 at most.
            field("VNI", Kind::Integer(0, 9_999_999), (0, 2, 0), Default::Int(1)),
            // 0: the kernel's own, 8472.
            field("Port", Kind::Integer(0, 65_535), (0, 2, 0), Default::Int(0)),
            switch("GBP", (0, 5, 6)),
            switch("DirectRouting", (0, 9, 0)),
            switch("Learning", (0, 12, 0)),
            mtu(50),
            on_windows("Name"),
            on_windows("MacPrefix"),
        ],
    ),
    backend("host-gw", (0, 2, 1), 0, &[on_windows("Name"), on_windows("DNSServerList")]),
    // Absent: found by flanneld. A list since 0.8.
    until_0_19("aws-vpc", (0, 4, 0), &[field("RouteTableID", Kind::TextOrList, (0, 4, 0), Default::Nothing)]),
    until_0_19("gce", (0, 5, 0), &[]),
    // Where one of the two is "", both are taken from the environment: ACCESS_KEY_ID, ACCESS_KEY_SECRET.
    until_0_19("ali-vpc", (0, 8, 0), &[text("AccessKeyID", (0, 8, 0)), text("AccessKeySecret", (0, 8, 0))]),
    // Each is run by `sh -c`, unless "".
    backend(
        "extension",
        (0, 8, 0),
        0,
        &[
            text("PreStartupCommand", (0, 8, 0)),
            text("PostStartupCommand", (0, 8, 0)),
            text("SubnetAddCommand", (0, 8, 0)),
            text("SubnetRemoveCommand", (0, 8, 0)),
        ],
    ),
    backend("ipip", (0, 10, 0), 20, &[switch("DirectRouting", (0, 10, 0))]),
    backend(
        "ipsec",
        (0, 11, 0),
        77,
        &[
            field("PSK", Kind::Long(96), (0, 11, 0), Default::Text("")),
            switch("UDPEncap", (0, 11, 0)),
            field("ESPProposal", Kind::Text, (0, 11, 0), Default::Text(ESP_PROPOSAL)),
        ],
    ),
    // As ali-vpc.
    backend(
        "tencent-vpc",
        (0, 14, 0),
        0,
        &[text("AccessKeyID", (0, 14, 0)), text("AccessKeySecret", (0, 14, 0))],
    ),
    backend(
        "wireguard",
        (0, 16, 0),
        80,
        &[
            field("ListenPort", PORT, (0, 16, 0), Default::Int(51820)),
            field("ListenPortV6", PORT, (0, 16, 0), Default::Int(51821)),
            field("PSK", Kind::WireguardKey, (0, 16, 0), Default::Text("")),
            field("PersistentKeepaliveInterval", Kind::Seconds, (0, 16, 0), Default::Int(0)),
            field("Mode", MODES, (0, 18, 0), Default::Text("separate")),
            mtu(80),
        ],
    ),
];

/// A backend by its type, in any case (`GetBackend`, pkg/backend/manager.go).
pub fn find(name: &str) -> Option<&'static Backend> {
    BACKENDS.iter().find(|b| b.name.eq_ignore_ascii_case(name))
}

/// The first backend that reads a field of this name on Linux.
pub fn owner(field: &str) -> Option<&'static str> {
    let reads = |b: &&Backend| b.fields.iter().any(|f| !f.windows && f.name.eq_ignore_ascii_case(field));
    BACKENDS.iter().find(reads).map(|b| b.name)
}

/// Whether a field of a backend holds a string.
pub fn is_text(kind: &str, name: &str) -> bool {
    let field = find(kind).and_then(|b| b.fields.iter().find(|f| f.name.eq_ignore_ascii_case(name)));
    field.is_some_and(|f| !matches!(f.kind, Kind::Integer(..) | Kind::Seconds | Kind::Boolean))
}

/// Whether any backend reads a field of this name on Linux.
pub fn is_field(name: &str) -> bool {
    owner(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_in_any_case() {
        for (at, backend) in BACKENDS.iter().enumerate() {
            assert!(!BACKENDS[..at].iter().any(|b| b.name == backend.name || b.since > backend.since));
            assert_eq!(find(&backend.name.to_uppercase()).unwrap().name, backend.name);
            for (at, field) in backend.fields.iter().enumerate() {
                assert!(!backend.fields[..at].iter().any(|f| f.name.eq_ignore_ascii_case(field.name)));
                assert!(field.since >= backend.since, "{}.{}", backend.name, field.name);
            }
        }
        assert!(find("ovs").is_none() && find("").is_none());
        assert_eq!((owner("psk"), owner("MTU"), owner("MacPrefix")), (Some("ipsec"), Some("vxlan"), None));
    }

    /// Versions: flannel's tags; defaults: pkg/backend/TYPE/TYPE.go; overheads: TYPE_network.go.
    #[test]
    fn facts() {
        let known = |kind: &str, name: &str| {
            let field = find(kind).unwrap().fields.iter().find(|f| f.name == name).unwrap();
            (field.default.value(), field.since)
        };
        assert_eq!(known("udp", "Port"), (Some(json!(8285)), (0, 1, 0)));
        assert_eq!(known("vxlan", "VNI"), (Some(json!(1)), (0, 2, 0)));
        assert_eq!(known("vxlan", "MTU"), (None, (0, 21, 3)));
        assert_eq!(known("wireguard", "ListenPortV6"), (Some(json!(51821)), (0, 16, 0)));
        assert_eq!(known("wireguard", "Mode"), (Some(json!("separate")), (0, 18, 0)));
        let gone = BACKENDS.iter().filter(|b| b.until == Some((0, 19, 2))).map(|b| b.name);
        assert_eq!(gone.collect::<Vec<_>>(), ["aws-vpc", "gce", "ali-vpc"]);
        let overheads = BACKENDS.iter().filter(|b| b.overhead > 0).map(|b| (b.name, b.overhead));
        let want = [("udp", 28), ("vxlan", 50), ("ipip", 20), ("ipsec", 77), ("wireguard", 80)];
        assert_eq!(overheads.collect::<Vec<_>>(), want);
    }
}

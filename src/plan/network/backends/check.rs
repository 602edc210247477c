//! Whether what stands in `Backend` is what flanneld decodes and can work with.

use serde_json::Value;

use super::{Backend, Field, Kind};
use crate::plan::network::is_shown;

/// Judges the fields of a backend; absent ones have their defaults. Names that the backend does not
/// read on Linux are passed over, as by flanneld. null is refused: Go passes over it, so it is to be
/// left out. An error begins with the path, `Backend.Port: `, and shows no secret.
pub fn check(backend: &Backend, fields: &[(String, Value)]) -> Result<(), String> {
    for field in backend.fields.iter().filter(|f| !f.windows) {
        let name = field.name;
        let given = fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone());
        let mut values: Vec<Value> = given.collect();
        if values.is_empty() {
            values.extend(field.default.value());
        }
        for value in values {
            let shown = if is_shown(name) { format!("{value} ") } else { String::new() };
            fits(field.kind, &value).map_err(|why| format!("Backend.{name}: {shown}{why}"))?;
        }
    }
    Ok(())
}

/// Judges one field as it is spelt.
pub fn check_one(field: &Field, raw: &str) -> Result<(), String> {
    if field.windows {
        return Ok(());
    }
    let name = field.name;
    let value = serde_json::from_str(raw).unwrap_or_default();
    let shown =
        if is_shown(name) { format!("{} ", raw.chars().take(40).collect::<String>()) } else { String::new() };
    fits(field.kind, &value).map_err(|why| {
        let reason = if name == "VNI" { ": flannel.VNI has to be a link's name" } else { "" };
        format!("Backend.{name}: {shown}{why}{reason}")
    })
}

/// Whether a value fits; why not is said without it.
fn fits(kind: Kind, value: &Value) -> Result<(), String> {
    let within = |least: i64, largest: i64, what: &str| {
        let fits = value.as_i64().is_some_and(|n| (least..=largest).contains(&n));
        fits.then_some(()).ok_or_else(|| format!("is no {what} from {least} to {largest}"))
    };
    let string = || value.as_str().ok_or_else(|| "is no string".to_owned());
    let is_texts = |list: &Vec<Value>| list.iter().all(Value::is_string);
    match kind {
        Kind::Integer(least, largest) => within(least, largest, "whole number"),
        Kind::Seconds => within(0, 65_535, "whole number of seconds"),
        Kind::Boolean if value.is_boolean() => Ok(()),
        Kind::Boolean => Err("is no boolean: write true or false, without quotes".into()),
        Kind::Text => string().map(|_| ()),
        Kind::OneOf(names) if names.contains(&string()?) => Ok(()),
        Kind::OneOf(names) => Err(format!("is none of {}", names.join(", "))),
        Kind::Long(least) => match string()?.len() {
            0 => Err(format!("is missing: it has to have {least} bytes at least")),
            len if len < least => Err(format!("has {len} bytes: {least} at least")),
            _ => Ok(()),
        },
        Kind::WireguardKey if is_wireguard_key(string()?) => Ok(()),
        Kind::WireguardKey => Err("is no 32 bytes in base64, as wg genpsk prints them".into()),
        Kind::TextOrList if value.is_string() || value.as_array().is_some_and(is_texts) => Ok(()),
        Kind::TextOrList => Err("is neither a string nor an array of strings".into()),
    }
}

/// As wgtypes.ParseKey takes it: Go's base64 passes over line breaks and the two spare bits.
fn is_wireguard_key(text: &str) -> bool {
    let key: Vec<u8> = text.bytes().filter(|b| !b"\r\n".contains(b)).collect();
    let is_digit = |b: &u8| b.is_ascii_alphanumeric() || b"+/".contains(b);
    match key.as_slice() {
        [digits @ .., b'='] => digits.len() == 43 && digits.iter().all(is_digit),
        _ => text.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::find;
    use super::*;

    fn judge(kind: &str, fields: &Value) -> Result<(), String> {
        let fields = fields.as_object().unwrap().clone().into_iter().collect::<Vec<_>>();
        check(find(kind).unwrap(), &fields)
    }

    /// The types: pkg/backend/TYPE/TYPE.go; 96: ipsec.go; the modes and the key: wireguard.go, device.go.
    #[test]
    fn fields_as_flanneld_takes_them() {
        let key = format!("{}=", "s3".repeat(21) + "Z");
        for (kind, fields) in [
            ("udp", json!({ "Type": "udp", "port": 7890, "Unknown": null })),
            ("alloc", json!({ "Port": "passed over" })),
            ("vxlan", json!({ "VNI": 0, "Port": 0, "DirectRouting": true, "GBP": true, "MTU": 1400 })),
            ("vxlan", json!({ "MacPrefix": 7 })),
            ("aws-vpc", json!({ "RouteTableID": ["rtb-1", "rtb-2"] })),
            ("ipsec", json!({ "PSK": "s3".repeat(48) })),
            ("wireguard", json!({ "PSK": "", "Mode": "ipv6", "PersistentKeepaliveInterval": 25 })),
            ("wireguard", json!({ "PSK": key })),
        ] {
            assert_eq!(judge(kind, &fields), Ok(()), "{kind} {fields}");
        }
        for (kind, fields, error) in [
            ("udp", json!({ "Port": "7890" }), "Backend.Port: \"7890\" is no whole number from 1 to 65535"),
            ("udp", json!({ "port": 1.0 }), "Backend.Port: 1.0 is no whole number from 1 to 65535"),
            ("udp", json!({ "Port": null }), "Backend.Port: null is no whole number from 1 to 65535"),
            (
                "vxlan",
                json!({ "VNI": 16_777_215 }),
                "Backend.VNI: 16777215 is no whole number from 0 to 9999999",
            ),
            ("vxlan", json!({ "MTU": 50 }), "Backend.MTU: 50 is no whole number from 118 to 65535"),
            (
                "ipip",
                json!({ "DirectRouting": "true" }),
                "Backend.DirectRouting: \"true\" is no boolean: write true or false, without quotes",
            ),
            (
                "aws-vpc",
                json!({ "RouteTableID": [1] }),
                "Backend.RouteTableID: [1] is neither a string nor an array of strings",
            ),
            ("ipsec", json!({}), "Backend.PSK: is missing: it has to have 96 bytes at least"),
            ("ipsec", json!({ "PSK": "s3cret" }), "Backend.PSK: has 6 bytes: 96 at least"),
            ("ali-vpc", json!({ "AccessKeySecret": 53 }), "Backend.AccessKeySecret: is no string"),
            (
                "wireguard",
                json!({ "PSK": "s3cret" }),
                "Backend.PSK: is no 32 bytes in base64, as wg genpsk prints them",
            ),
            (
                "wireguard",
                json!({ "Mode": "Auto" }),
                "Backend.Mode: \"Auto\" is none of separate, auto, ipv4, ipv6",
            ),
            (
                "wireguard",
                json!({ "PersistentKeepaliveInterval": "25s" }),
                "Backend.PersistentKeepaliveInterval: \"25s\" is no whole number of seconds from 0 to 65535",
            ),
        ] {
            assert_eq!(judge(kind, &fields), Err(error.to_owned()), "{kind}");
        }
    }
}

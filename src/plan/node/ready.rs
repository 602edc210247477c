//! What a Node says of itself: its conditions.

use serde_json::Value;

/// The conditions that say that something is wrong when they are true (core/v1 `NodeConditionType`;
/// OutOfDisk until 1.12).
const TROUBLES: [&str; 5] =
    ["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable", "OutOfDisk"];

fn conditions(node: &Value) -> impl Iterator<Item = &Value> {
    node["status"]["conditions"].as_array().into_iter().flatten()
}

/// Whether it reports that it is ready.
pub fn is_ready(node: &Value) -> bool {
    conditions(node).any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// The conditions that are not as they should be, Ready first:
/// `Ready is False: KubeletNotReady: network plugin is not ready`.
pub fn complaints(node: &Value) -> String {
    let of = |kind: &str| conditions(node).find(|c| c["type"] == kind);
    let ready = match of("Ready") {
        None => Some("Ready is not reported yet: no kubelet runs under this name".to_owned()),
        Some(c) if c["status"] == "True" => None,
        Some(c) => Some(words("Ready", c)),
    };
    let troubles = TROUBLES
        .into_iter()
        .filter_map(|kind| Some(words(kind, of(kind).filter(|c| c["status"] != "False")?)));
    ready.into_iter().chain(troubles).collect::<Vec<_>>().join("; ")
}

fn words(kind: &str, condition: &Value) -> String {
    let text = |field: &str| condition[field].as_str().unwrap_or_default().trim();
    let parts = [format!("{kind} is {}", text("status")), text("reason").into(), text("message").into()];
    parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_as_it_should_be() {
        let node = |list: Value| json!({"status": {"conditions": list}});
        let ready = |status: &str| json!({"type": "Ready", "status": status, "reason": "KubeletNotReady", "message": "no CNI"});
        for (list, is, says) in [
            (Value::Null, false, "Ready is not reported yet: no kubelet runs under this name"),
            (json!([ready("False")]), false, "Ready is False: KubeletNotReady: no CNI"),
            (
                json!([{"type": "DiskPressure", "status": "Unknown"}, ready("Unknown")]),
                false,
                "Ready is Unknown: KubeletNotReady: no CNI; DiskPressure is Unknown",
            ),
            (json!([{"type": "OutOfDisk", "status": "False"}, ready("True")]), true, ""),
            (
                json!([{"type": "NetworkUnavailable", "status": "True", "reason": "NoRouteCreated"}, ready("True")]),
                true,
                "NetworkUnavailable is True: NoRouteCreated",
            ),
            (json!([{"type": "KernelDeadlock", "status": "True"}, ready("True")]), true, ""),
        ] {
            let node = node(list);
            assert_eq!((is_ready(&node), complaints(&node).as_str()), (is, says), "{node}");
        }
    }
}

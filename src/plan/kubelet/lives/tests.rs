//! No version is told what it does not know.

use super::super::table::{self, Standing};
use super::*;

fn variants(minor: u32) -> Vec<Wanted> {
    let mut variants = vec![plain(minor), full(minor)];
    for open in [false, true] {
        for docker in [false, true] {
            let api = if open { Api::Open } else { Api::Authenticated { client_ca: None } };
            let runtime = if docker { standard(minor) } else { full(minor).runtime };
            variants.push(Wanted { api: api.clone(), runtime: runtime.clone(), ..full(minor) });
            variants.push(Wanted { runtime, api, ..plain(minor) });
        }
    }
    variants
}

fn paths(value: &Value, at: &str, found: &mut Vec<String>) {
    match value.as_object() {
        Some(map) => {
            for (key, inner) in map {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                paths(inner, &at, found);
            }
        }
        None => found.push(at.to_owned()),
    }
}

#[test]
fn nothing_is_outside_its_life() {
    let extras = ["", "--api-servers=x --cadvisor-port 0 --config-dir=/d --v=2 --pod_manifest_path=/m"];
    for minor in 0..=NEWEST_KNOWN.minor {
        let column = u8::try_from(minor).unwrap();
        for (wanted, extra) in variants(minor).iter().flat_map(|w| extras.map(|e| (w, e))) {
            // The server is kboot's own matter there.
            let extra = if minor < 8 { extra.trim_start_matches("--api-servers=x") } else { extra };
            let composed = composed(wanted, minor, extra);
            let mut names: Vec<String> = Vec::new();
            for flag in composed.flags.iter().filter_map(|f| f.strip_prefix("--")) {
                let name = flag.split('=').next().unwrap().replace('_', "-");
                assert!(matches!(table::standing(&name, column), Standing::Lives(_)), "1.{minor}: --{flag}");
                names.push(name);
            }
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "1.{minor}: each once: {:?}", composed.flags);
            let mut fields = Vec::new();
            paths(&composed.config.clone().unwrap_or_else(|| json!({})), "", &mut fields);
            assert_eq!(fields.is_empty(), minor < 10, "1.{minor}");
            for path in fields.iter().filter(|p| !["kind", "apiVersion"].contains(&p.as_str())) {
                let lives = table::fields().any(|f| f.path == path && f.first <= column);
                assert!(lives, "1.{minor}: {path}");
            }
        }
    }
}

/// A second opinion: first and last minor of what is composed, from the tagged sources and release notes,
/// written down apart from the table.
#[test]
fn no_version_sees_a_flag_it_does_not_know() {
    let lives: [(&str, u32, u32); 34] = [
        ("--config", 0, 3),
        ("--config", 10, 99),
        ("--pod-manifest-path", 4, 9),
        ("--configure-cbr0", 0, 4),
        ("--register-node", 0, 22),
        ("--api-servers", 0, 7),
        ("--kubeconfig", 0, 99),
        ("--require-kubeconfig", 4, 7),
        ("--address", 0, 9),
        ("--hostname-override", 0, 99),
        ("--cluster-dns", 0, 9),
        ("--cluster-domain", 0, 9),
        ("--pod-infra-container-image", 0, 34),
        ("--experimental-cri", 5, 5),
        ("--container-runtime", 5, 23),
        ("--container-runtime-endpoint", 5, 26),
        ("--cgroup-driver", 5, 9),
        ("--resolv-conf", 1, 9),
        ("--node-ip", 2, 99),
        ("--fail-swap-on", 8, 9),
        ("--healthz-port", 0, 9),
        ("--read-only-port", 0, 9),
        ("--anonymous-auth", 5, 9),
        ("--authentication-token-webhook", 5, 9),
        ("--authorization-mode", 5, 9),
        ("--client-ca-file", 5, 9),
        ("--cadvisor-port", 0, 11),
        ("--allow-privileged", 0, 14),
        ("--rotate-certificates", 8, 10),
        ("--oom-score-adj", 0, 9),
        ("--max-open-files", 1, 9),
        ("registerNode", 23, 99),
        ("containerRuntimeEndpoint", 27, 99),
        ("failCgroupV1", 31, 99),
    ];
    for minor in 0..=NEWEST_KNOWN.minor {
        for wanted in [plain(minor), full(minor)] {
            let composed = composed(&wanted, minor, "");
            let mut said: Vec<String> =
                composed.flags.iter().map(|f| f.split('=').next().unwrap().to_owned()).collect();
            let mut fields = Vec::new();
            paths(&composed.config.unwrap_or_else(|| json!({})), "", &mut fields);
            said.extend(fields.into_iter().filter(|f| lives.iter().any(|(name, ..)| name == f)));
            for name in &said {
                let mut of_name = lives.iter().filter(|(n, ..)| n == name);
                assert!(
                    of_name.any(|(_, first, last)| (*first..=*last).contains(&minor)),
                    "1.{minor}: {name}"
                );
            }
            // The full one says everything that the version knows.
            if wanted.allow_swap {
                for (name, first, last) in lives.iter().filter(|(n, ..)| *n != "--api-servers") {
                    let due = (*first..=*last).contains(&minor);
                    assert!(!due || said.iter().any(|s| s == name), "1.{minor}: no {name}");
                }
            }
        }
    }
}

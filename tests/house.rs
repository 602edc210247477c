//! The house rules that a compiler does not keep: which room may use which, how long files are,
//! what the dependencies' licences are, and that none is there twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "house/readme_zh.rs"]
mod readme_zh;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("shims") {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    sources(&root().join("src"), &mut found);
    assert!(found.len() > 30);
    found
}

/// The part of a file that is compiled into the product.
fn product(path: &Path) -> String {
    // A table of cases may have a file of its own.
    if path.ends_with("tests.rs") {
        return String::new();
    }
    let text = fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned()
}

/// The room of a file: `sys`, `plan`, ...; `sys::http` is a room of its own for the client.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// Arrows go down only.
#[test]
fn rooms_use_only_what_lies_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("main", &["applet", "sys", "error"][..]),
        ("lib", &["applet", "client", "error", "plan", "sys", "types"]),
        ("applet", &["applet", "plan", "client", "sys", "types", "error"]),
        ("client", &["client", "sys::http", "sys::wait", "sys::file", "sys::log", "types", "error"]),
        ("plan", &["plan", "types", "error"]),
        ("sys", &["sys", "types", "error"]),
        ("types", &["types", "error"]),
        ("error", &["error"]),
    ]);
    for path in all_sources() {
        let room = room(&path);
        let allowed = allowed[room.as_str()];
        for word in product(&path).split("crate::").skip(1) {
            let used: Vec<&str> = word
                .split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
                .next()
                .unwrap()
                .split("::")
                .collect();
            let used_room = if room == "client" && used[0] == "sys" && used.len() > 1 {
                used[..2].join("::")
            } else {
                used[0].to_owned()
            };
            if used_room.is_empty() {
                continue;
            }
            assert!(allowed.contains(&used_room.as_str()), "{} uses {used_room}", path.display());
        }
    }
}

/// An applet never calls another applet; what they share has a file of its own.
#[test]
fn applets_do_not_know_each_other() {
    let applets = [
        "init",
        "etcd_config",
        "flannel_env",
        "bridge",
        "docker_flags",
        "cni_config",
        "kubelet_launch",
        "register",
        "mkinitramfs",
        "cloud_init",
        "timeline",
        "ipconfig",
        "units",
    ];
    for applet in applets {
        let mut files = Vec::new();
        sources(&root().join("src/applet"), &mut files);
        files.retain(|f| {
            f.components().any(|c| c.as_os_str() == applet) || f.ends_with(format!("{applet}.rs"))
        });
        assert!(!files.is_empty(), "{applet}");
        let text: String = files.iter().map(|f| product(f)).collect();
        for other in applets.iter().filter(|o| **o != applet) {
            for form in [format!("super::{other}"), format!("applet::{other}")] {
                assert!(!text.contains(&form), "{applet} uses {form}");
            }
        }
    }
}

/// Planners are pure.
#[test]
fn plan_has_no_effects() {
    for path in all_sources().iter().filter(|p| room(p) == "plan") {
        let text = product(path);
        for word in [
            "std::fs",
            "std::env",
            "std::process",
            "std::time",
            "std::thread",
            "std::io",
            "TcpStream",
            "nix::",
            "ureq",
            "log::",
        ] {
            assert!(!text.contains(word), "{} uses {word}", path.display());
        }
    }
}

#[test]
fn unsafe_and_exits_stay_in_their_rooms() {
    for path in all_sources() {
        let text = product(&path);
        let name = path.strip_prefix(root().join("src")).unwrap().to_string_lossy().into_owned();
        let may = [
            "main.rs",
            "sys/stdio.rs",
            "sys/nss.rs",
            "sys/exec.rs",
            "sys/child.rs",
            "sys/packet.rs",
            "sys/arena.rs",
            "sys/xtables/mod.rs",
        ]
        .contains(&name.as_str());
        assert!(may || !text.contains("unsafe "), "{name} has unsafe code");
        assert!(
            !text.contains("process::exit") && (name == "main.rs" || !text.contains("_exit(")),
            "{name} exits"
        );
        for (at, line) in text.lines().enumerate() {
            if line.contains("unsafe {") && !line.contains("extern") {
                let above: Vec<&str> = text.lines().take(at).collect();
                let near = above.iter().rev().take(6).any(|l| l.contains("SAFETY:"));
                assert!(near, "{name}:{}: unsafe without SAFETY", at + 1);
            }
        }
    }
}

#[test]
fn files_and_functions_are_short() {
    for path in all_sources() {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        assert!(lines <= 300, "{} has {lines} lines", path.display());
        let mut start: Option<(usize, usize, String)> = None;
        for (at, line) in product(&path).lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let is_fn =
                line.trim_start().split(' ').take(4).any(|w| w == "fn") && !line.trim_end().ends_with(';');
            match &start {
                None if is_fn => start = Some((at, indent, line.trim().to_owned())),
                Some((from, depth, head)) if indent == *depth && line.trim_start().starts_with('}') => {
                    let length = at - from + 1;
                    assert!(length <= 40, "{}: {length} lines: {head}", path.display());
                    start = None;
                }
                _ => {}
            }
        }
    }
}

#[test]
fn dependencies_have_known_licences() {
    let fine = [
        "MIT",
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Unicode-3.0",
        "Zlib",
        "CC0-1.0",
        "0BSD",
        "BSL-1.0",
        "Unlicense",
    ];
    let out = cargo(&[
        "metadata",
        "--locked",
        "--offline",
        "--format-version",
        "1",
        "--filter-platform",
        "x86_64-unknown-linux-gnu",
    ]);
    let data: serde_json::Value = serde_json::from_str(&out).unwrap();
    for package in data["packages"].as_array().unwrap() {
        let licence = package["license"].as_str().unwrap_or_default().replace('/', " OR ");
        let plain = licence.replace(['(', ')'], "");
        // Each part joined by AND must have an alternative that is fine.
        let known = plain.split(" AND ").all(|part| part.split(" OR ").any(|l| fine.contains(&l.trim())));
        assert!(known && !licence.is_empty(), "{}: licence {licence:?}", package["name"]);
    }
}

/// What is linked into the binary is there once. (Build tools may differ among themselves.)
#[test]
fn no_dependency_is_linked_twice() {
    let tree = cargo(&[
        "tree",
        "--locked",
        "--offline",
        "-e",
        "normal,no-proc-macro",
        "--prefix",
        "none",
        "-f",
        "{p}",
        "--target",
        "x86_64-unknown-linux-musl",
    ]);
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in tree.lines().map(|l| l.trim_end_matches(" (*)")) {
        let mut words = line.split(' ');
        let (Some(name), Some(version)) = (words.next(), words.next()) else { continue };
        let list = versions.entry(name).or_default();
        if !list.contains(&version) {
            list.push(version);
        }
    }
    // smoltcp's older one is a macro and nothing else: not a byte of it is linked.
    let is_macro = |name: &str| name == "bitflags";
    let twice: Vec<_> = versions.iter().filter(|(name, v)| v.len() > 1 && !is_macro(name)).collect();
    assert!(twice.is_empty() && versions.len() > 20, "{twice:?}");
}

fn cargo(args: &[&str]) -> String {
    let out = Command::new(env!("CARGO")).args(args).current_dir(root()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// Every dependency that is named has its line in README.
#[test]
fn readme_gives_a_reason_for_each_dependency() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let names: Vec<&str> = section.lines().filter_map(|l| l.split_once(" = ").map(|(n, _)| n)).collect();
    assert!(names.len() > 8);
    for name in names {
        assert!(readme.contains(&format!("| `{name}` |")), "README has no line for {name}");
    }
}

//! The file that is shipped: static, small, content with nothing.

use std::fs;
use std::process::Command;

use crate::support::{Scratch, binary, finish, root, root_user, tool};

#[test]
fn it_needs_no_loader_and_no_library() {
    let path = binary();
    let path = path.to_str().unwrap();
    let segments = tool("readelf", &["-lW", path]);
    assert!(segments.contains("LOAD") && !segments.contains("INTERP"), "{segments}");
    let dynamic = tool("readelf", &["-dW", path]);
    assert!(!dynamic.contains("NEEDED"), "{dynamic}");
}

/// All applets with TLS in 2.9 MB (musl, x86-64), and what README says of it.
#[test]
fn it_is_small() {
    let size = fs::metadata(binary()).unwrap().len();
    assert!((1_000_000..=2_900_000).contains(&size), "{size}");
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let tenths = (size + 50_000) / 100_000;
    assert!(readme.contains(&format!("of {}.{} MB", tenths / 10, tenths % 10)), "README: {size} bytes");
}

#[test]
fn it_runs_where_nothing_else_is() {
    if !root_user() {
        return;
    }
    let dir = Scratch::new();
    fs::copy(binary(), dir.path("kboot")).unwrap();
    let done = finish(Command::new("chroot").args([&dir.path(""), "/kboot", "--list"]));
    assert_eq!(done.ok().lines().count(), 14);
    let done = finish(Command::new("chroot").args([
        &dir.path(""),
        "/kboot",
        "register",
        "--subnet",
        "10.1.2.1/24",
        "--timeout",
        "0",
    ]));
    assert_eq!(done.code, 75, "{done:?}");
}

/// rust-lang/rust#100711: static glibc would dlopen libnss_myhostname and crash. musl knows no NSS.
#[test]
fn both_builds_resolve_by_etc_hosts_whatever_nsswitch_says() {
    if !root_user() {
        return;
    }
    let gnu = root().join("target/kboot-gnu");
    assert!(gnu.exists() || std::env::var_os("CI").is_none(), "scripts/build gnu has not been run");
    let server =
        crate::support::odd_server::serve(&[&crate::support::odd_server::json("418 Teapot", "", "{}")]);
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    for built in [binary(), gnu].iter().filter(|b| b.exists()) {
        let dir = Scratch::new();
        fs::copy(built, dir.path("kboot")).unwrap();
        fs::create_dir(dir.path("etc")).unwrap();
        dir.file("etc/hosts", "127.0.0.1 master.example\n");
        dir.file("etc/nsswitch.conf", "hosts: files myhostname resolve dns\n");
        // A module that ends whoever loads it, and what loading it takes.
        let lib = dir.path("lib/x86_64-linux-gnu");
        fs::create_dir_all(&lib).unwrap();
        let canary = dir.file(
            "canary.c",
            "#include <unistd.h>\n__attribute__((constructor)) void loaded(void) { _exit(99); }\n",
        );
        let module = format!("{lib}/libnss_myhostname.so.2");
        tool("cc", &["-shared", "-fPIC", "-o", &module, &canary]);
        for file in ["libc.so.6", "ld-linux-x86-64.so.2"] {
            fs::copy(format!("/lib/x86_64-linux-gnu/{file}"), format!("{lib}/{file}")).unwrap();
        }
        let url = format!("http://master.example:{port}");
        let args = ["register", "--subnet", "10.1.2.1/24", "--timeout", "5", "--server", &url];
        let done = finish(Command::new("chroot").args([&dir.path(""), "/kboot"]).args(args));
        assert_eq!(done.code, 1, "{}: {done:?}", built.display());
        assert!(done.stderr.contains("HTTP status 418"), "{done:?}");
        let args =
            ["register", "--subnet", "10.1.2.1/24", "--timeout", "0", "--server", "http://nowhere.example:1"];
        let done = finish(Command::new("chroot").args([&dir.path(""), "/kboot"]).args(args));
        assert_eq!(done.code, 75, "{}: {done:?}", built.display());
    }
    assert_eq!(
        server.requests.lock().unwrap().len(),
        if root().join("target/kboot-gnu").exists() { 2 } else { 1 }
    );
}

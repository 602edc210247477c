//! The binary for arm64, beside that for x86-64. What runs it is tests/support/runner.sh, for the other cases,
//! and a machine of its own (boot_arm64.rs).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{Scratch, arm64_binary, finish, need, root, run, tool};

#[test]
fn it_is_static_and_small() {
    let path = arm64_binary();
    let path = path.to_str().unwrap();
    assert!(tool("readelf", &["-hW", path]).contains("AArch64"));
    let segments = tool("readelf", &["-lW", path]);
    assert!(segments.contains("LOAD") && !segments.contains("INTERP"), "{segments}");
    assert!(!tool("readelf", &["-dW", path]).contains("NEEDED"));
    let size = fs::metadata(path).unwrap().len();
    assert!((1_000_000..=2_900_000).contains(&size), "{size}");
}

/// What ring's C code is compiled with, on either machine: uname, dpkg-query and cargo are stand-ins, which say
/// which machine this is, that it has all packages, and what cargo was told.
#[test]
fn the_c_compiler_is_one_that_the_machine_has() {
    let dir = Scratch::new();
    for (name, line) in
        [("uname", "echo $MACHINE"), ("dpkg-query", "echo installed"), ("cargo", "env; exit 1")]
    {
        let script = dir.file(name, format!("#!/bin/sh\n{line}\n"));
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", dir.path(""), std::env::var("PATH").unwrap());
    for (machine, target, compiler) in [
        ("x86_64", "x86_64", "cc"),
        ("x86_64", "aarch64", "aarch64-linux-gnu-gcc"),
        ("aarch64", "aarch64", "cc"),
        ("aarch64", "x86_64", "x86_64-linux-gnu-gcc"),
    ] {
        let mut build = Command::new(root().join("scripts/build"));
        build.arg(target).env("PATH", &path).env("MACHINE", machine);
        build.env_remove(format!("CC_{target}_unknown_linux_musl"));
        let done = finish(&mut build);
        let told = format!("\nCC_{target}_unknown_linux_musl={compiler}\n");
        assert!(done.stderr.contains(&told), "{machine} {target}: {done:?}");
        // rust-lld links for arm64; for x86-64 it is this compiler.
        let linker = "\nCARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=x86_64-linux-gnu-gcc\n";
        assert_eq!(done.stderr.contains(linker), compiler.starts_with("x86_64"), "{done:?}");
    }
}

/// By itself, which QEMU runs, and by the one for this machine.
#[test]
fn an_image_with_it_is_the_same_whoever_makes_it() {
    let Some(qemu) = need("qemu-aarch64-static", "arm64") else { return };
    let dir = Scratch::new();
    let program = arm64_binary();
    let list = dir.file("boot", "bridge --subnet 10.88.3.1/24 --firewall nft\n");
    let (here, there) = (dir.path("here"), dir.path("there"));
    let args = ["mkinitramfs", "--boot", &list, "--output"];
    run(&[&args[..], &[&here, "--kboot", program.to_str().unwrap()]].concat()).ok();
    finish(Command::new(qemu).arg(program).args(args).arg(&there)).ok();
    assert!(fs::read(here).unwrap() == fs::read(there).unwrap());
}

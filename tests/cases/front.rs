//! The multi-call front: argv[0], --list, --install, --help, --version.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;

use crate::support::{Done, Scratch, binary, finish, kboot, run};

const APPLETS: [&str; 13] = [
    "init",
    "ipconfig",
    "etcd-config",
    "flannel-env",
    "bridge",
    "docker-flags",
    "mk-docker-opts.sh",
    "cni-config",
    "kubelet-launch",
    "register",
    "mkinitramfs",
    "units",
    "timeline",
];

fn as_zeroth(zeroth: &str, args: &[&str]) -> Done {
    finish(kboot(args).arg0(zeroth))
}

#[test]
fn argv0_names_the_applet() {
    for applet in APPLETS {
        let want = format!("Usage: kboot {applet} [OPTIONS]");
        for zeroth in [
            applet.to_owned(),
            format!("/sbin/{applet}"),
            format!("-{applet}"),
            format!("kboot-{applet}"),
            format!("./x/kboot-{applet}"),
        ] {
            let done = as_zeroth(&zeroth, &["--help"]);
            assert!(done.ok().starts_with(&want), "{zeroth}: {done:?}");
            assert_eq!(done.stderr, "");
        }
    }
}

#[test]
fn any_other_argv0_is_the_multiplexer() {
    for zeroth in [
        "kboot",
        "-kboot",
        "/x/kboot",
        "kboot-",
        "Bridge",
        "bridges",
        "xbridge",
        "--bridge",
        "kboot-kboot-bridge",
        "bridge/",
        "",
        "/",
    ] {
        let done = as_zeroth(zeroth, &["--list"]);
        assert_eq!(done.ok().lines().collect::<Vec<_>>(), APPLETS, "{zeroth}");
    }
    assert!(as_zeroth("", &[]).ok().starts_with("Usage: kboot APPLET"));
}

#[test]
fn an_empty_argv_is_survived() {
    let path = std::ffi::CString::new(binary().into_os_string().into_encoded_bytes()).unwrap();
    let mut command = std::process::Command::new("true");
    let exec = move || {
        let none: [&std::ffi::CStr; 0] = [];
        nix::unistd::execve(&path, &none, &none)?;
        Ok(())
    };
    // SAFETY: execve alone runs between fork and exec.
    #[allow(unsafe_code)]
    let command = unsafe { command.pre_exec(exec) };
    assert!(finish(command).ok().starts_with("Usage: kboot APPLET"));
}

#[test]
fn the_first_argument_names_the_applet() {
    for applet in APPLETS {
        assert!(run(&[applet, "-h"]).ok().starts_with(&format!("Usage: kboot {applet} ")));
        assert_eq!(run(&["help", applet]).ok(), run(&[applet, "--help"]).stdout);
    }
}

#[test]
fn what_is_no_applet_is_127() {
    for (args, error) in [
        (&["brige"][..], (127, "kboot: brige: applet not found: did you mean bridge?")),
        (&["ls"], (127, "kboot: ls: applet not found")),
        (&["help", "ls"], (127, "kboot: ls: applet not found")),
        (&["Bridge"], (127, "kboot: Bridge: applet not found: did you mean bridge?")),
        (&[""], (127, "kboot: : applet not found")),
        (&["--lst"], (2, "kboot: unknown option --lst: did you mean --list?")),
        (&["--list", "x"], (2, "kboot: --list stands alone")),
        (&["--install"], (2, "kboot: --install takes [-s] DIR")),
        (&["--install", "-x", "/"], (2, "kboot: --install takes [-s] DIR")),
        (&["--install", "/no/such"], (2, "kboot: --install /no/such: is not a directory")),
    ] {
        let done = run(args);
        assert_eq!((done.error(), done.stdout.as_str()), (error, ""), "{args:?}");
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    for args in [&[][..], &["--help"], &["-h"], &["help"]] {
        let done = run::<&str>(args);
        assert!(done.ok().starts_with("Usage: kboot APPLET"));
        for applet in APPLETS {
            assert!(done.stdout.contains(&format!("\n  {applet} ")));
        }
    }
    assert_eq!(run(&["--version"]).ok(), concat!("kboot ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn install_makes_links_that_work_and_can_be_made_again() {
    // A hard link needs the binary on the same file system: a copy beside the links.
    let dir = Scratch::new();
    let own = dir.path("kboot");
    fs::copy(binary(), &own).unwrap();
    for (option, to) in [(None, "hard"), (Some("-s"), "soft")] {
        let links = dir.path(to);
        fs::create_dir(&links).unwrap();
        let args: Vec<&str> = ["--install"].into_iter().chain(option).chain([links.as_str()]).collect();
        for _ in 0..2 {
            assert_eq!(finish(std::process::Command::new(&own).args(&args)).error(), (0, ""));
        }
        // The host has both: `init 6`, and what update-initramfs looks for in PATH.
        let without = ["init", "mkinitramfs", "units"];
        assert!(without.iter().all(|a| !std::path::Path::new(&format!("{links}/{a}")).exists()));
        for applet in APPLETS.into_iter().filter(|a| !without.contains(a)) {
            let link = format!("{links}/{applet}");
            assert_eq!(fs::symlink_metadata(&link).unwrap().is_symlink(), option.is_some());
            assert_eq!(fs::metadata(&link).unwrap().ino(), fs::metadata(&own).unwrap().ino());
            assert!(finish(std::process::Command::new(&link).arg("--help")).ok().contains(applet));
        }
    }
}

#[test]
fn install_overwrites_nothing_and_then_makes_no_link_at_all() {
    let dir = Scratch::new();
    let foreign = dir.file("docker-flags", "mine");
    let done = run(&["--install", "-s", &dir.path("")]);
    let text = format!("kboot: --install: {foreign} is there and is no link to this kboot: remove it");
    assert_eq!(done.error(), (1, text.as_str()));
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(foreign).unwrap(), "mine");
}

//! The multi-call front: argv[0], --list, --install, --help, --version.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;

use crate::support::{Done, Scratch, binary, finish, kboot, run};

const APPLETS: [&str; 14] = [
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
    "cloud-init",
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
        let text = run(&["help", applet]);
        for same in [&[applet, "--help"][..], &[applet, "-h"], &["--help", applet], &["-h", applet]] {
            assert_eq!(run(same).ok(), text.ok(), "{same:?}");
        }
        assert_eq!(as_zeroth(applet, &["--help"]).ok(), text.ok());
    }
}

#[test]
fn help_about_help_is_the_overview() {
    let overview = run(&["--help"]);
    assert!(overview.ok().starts_with("Usage: kboot APPLET"));
    for words in [["help", "--help"], ["help", "help"], ["--help", "-h"], ["-h", "help"]] {
        assert_eq!(run(&words).ok(), overview.stdout, "{words:?}");
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
        (&["brdige", "--help"], (127, "kboot: brdige: applet not found: did you mean bridge?")),
        (&["help", "brdige"], (127, "kboot: brdige: applet not found: did you mean bridge?")),
        (&["--help", "kubelet"], (127, "kboot: kubelet: applet not found: did you mean kubelet-launch?")),
        (&["kboot-bridge"], (127, "kboot: kboot-bridge: applet not found: did you mean bridge?")),
        (&["list"], (127, "kboot: list: applet not found: did you mean --list?")),
        (&["help", "bridge", "register"], (2, "kboot: help takes one APPLET")),
        (
            &["--timeout=5", "bridge"],
            (2, "kboot: unknown option --timeout=5: an applet's options follow its name"),
        ),
        (&["-v", "bridge"], (2, "kboot: unknown option -v: an applet's options follow its name")),
        (&["--completion=zsh"], (2, "kboot: unknown option --completion=zsh: did you mean --completion?")),
        (&["bridge", "--version"], (2, "kboot bridge: unknown option --version: kboot itself has it")),
        (&["bridge", "help"], (2, "kboot bridge: stray word \"help\": did you mean --help?")),
        (&["bridge", "--masq", "x"], (2, "kboot bridge: unknown option --masq: did you mean --masquerade?")),
        (
            &["bridge", "--role", "node"],
            (2, "kboot bridge: unknown option --role: units and cloud-init have it"),
        ),
        (&["bridge", "-name", "x"], (2, "kboot bridge: unknown option -name: did you mean --name?")),
        (
            &["register", "--out-interface", "x"],
            (2, "kboot register: unknown option --out-interface: bridge has it"),
        ),
        (&["--install"], (2, "kboot: --install takes [-s] DIR")),
        (&["--install", "-x", "/"], (2, "kboot: --install takes [-s] DIR")),
        (&["--install", "/no/such"], (2, "kboot: --install /no/such: is not a directory")),
    ] {
        let done = run(args);
        assert_eq!((done.error(), done.stdout.as_str()), (error, ""), "{args:?}");
    }
}

#[test]
fn what_cannot_be_left_out_is_marked_so() {
    for (applet, option) in [("mkinitramfs", "--output"), ("cloud-init", "--role")] {
        let missing = format!("kboot {applet}: {option} is missing: ");
        let done = run(&[applet]);
        assert!(done.error().0 == 2 && done.error().1.starts_with(&missing), "{done:?}");
        let help = run(&[applet, "--help"]);
        let line = help.ok().lines().find(|l| l.contains(&format!(" {option} ")) && !l.contains("kboot "));
        assert!(line.is_some_and(|l| l.contains("(required)")), "{line:?}");
    }
    // And what counts where none of several words is given.
    for applet in ["etcd-config", "bridge"] {
        assert_eq!(run(&[applet, "--help"]).ok().matches("(default: auto)").count(), 1, "{applet}");
    }
}

/// Of what has a list of values, the error has the list.
#[test]
fn a_value_that_is_none_names_those_that_are() {
    for (words, values) in [
        ("flannel-env --format jsn", "sh export env systemd json"),
        ("bridge --firewall nftables", "auto iptables nft none"),
        ("bridge --hairpin-mode hairpin", "promiscuous-bridge hairpin-veth none"),
        ("etcd-config --api v4", "auto v2 v3 both"),
        ("etcd-config --network 10.1.0.0/16 --backend vxln --dry-run", "vxlan"),
        ("docker-flags --format jsn", "flags env daemon-json systemd"),
        ("docker-flags --restart systmd", "auto systemd sysv pid"),
        ("mk-docker-opts.sh --mk-compat 0.7", "0.5 0.6"),
        ("kubelet-launch --runtime dcker", "docker unix:///run/containerd/containerd.sock"),
        ("kubelet-launch --ignore swp --check", "swap"),
        ("register --cloud-provider externl", "external"),
        ("cni-config --cni-version 9", "0.3.0 0.3.1 0.4.0 1.0.0 1.1.0"),
        ("bridge --timeout 5q", "90s 5m 0 forever"),
    ] {
        let done = run(&words.split(' ').collect::<Vec<_>>());
        assert_eq!((done.code, done.stderr.lines().count()), (2, 1), "{words}: {done:?}");
        let said: Vec<&str> =
            done.stderr.split([' ', '"', ',', '\n']).map(|w| w.trim_end_matches(['?', ':'])).collect();
        for value in values.split(' ') {
            assert!(said.contains(&value), "{words}: no {value}: {}", done.stderr);
        }
    }
}

#[test]
fn a_mistyped_link_is_no_multiplexer() {
    let done = as_zeroth("/usr/sbin/kboot-brdige", &["--help"]);
    assert_eq!(done.error(), (127, "kboot: kboot-brdige: applet not found: did you mean bridge?"));
    for name in ["kboot-0.1.0", "kboot-x86_64", "kboot-static"] {
        assert!(as_zeroth(name, &["--help"]).ok().starts_with("Usage: kboot APPLET"), "{name}");
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
        let without = ["init", "mkinitramfs", "units", "cloud-init"];
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

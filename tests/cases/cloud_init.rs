//! cloud-init's user-data as it is printed; what the real cloud-init makes of it is in cloud_init_host.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Done, Scratch, binary, finish, kboot, root, run, tool};

fn user_data(more: &[&str]) -> Done {
    run(&[&["cloud-init"], more].concat())
}

/// A sum that nothing has.
const SUM: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Each file of scripts/cloud-init, and what makes it.
const EXAMPLES: [(&str, &[&str]); 2] = [
    ("node", &["--role", "node", "--set", "server=http://10.0.0.1:8080", "--set", "masquerade=10.10.0.0/16"]),
    (
        "control-plane",
        &[
            "--role",
            "control-plane",
            "--set",
            "network=10.10.0.0/16",
            "--set",
            "backend=vxlan",
            "--url",
            "https://files.example/kboot",
            "--sha256",
            SUM,
        ],
    ),
];

#[test]
fn the_examples_are_what_it_prints() {
    for (name, options) in EXAMPLES {
        let path = root().join(format!("scripts/cloud-init/{name}"));
        let file = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            user_data(options).ok(),
            file,
            "kboot cloud-init {} > {}",
            options.join(" "),
            path.display()
        );
    }
}

#[test]
fn what_cannot_work_is_told_before_a_host_is_started() {
    let scratch = Scratch::new();
    let missing = scratch.path("missing");
    for (options, says) in [
        (&[][..], "--role is missing: control-plane, node or both"),
        (&["--role", "master"], "--role master: is none of control-plane, node and both"),
        (
            &["--role", "node", "--set", "sever=x"],
            "--set sever=x: no applet has such an option: did you mean server?",
        ),
        (
            &["--role", "node", "--set", "server=x:1", "--set", "KBOOT_SERVER=y:2"],
            "--set KBOOT_SERVER: is given twice",
        ),
        (
            &["--role", "node", "--url", "https://files.example/kboot"],
            "--url needs --sha256 or --sha256-of: nothing is run that is not known to be the right thing",
        ),
        (
            &["--role", "node", "--url", "files.example:80", "--sha256", SUM],
            "--url files.example:80: is no http or https URL of a file",
        ),
        (&["--role", "node", "--sha256", SUM], "--sha256 is of what --url names: --url is missing"),
        (
            &["--role", "node", "--url", "http://h/kboot", "--sha256", "0f"],
            "--sha256 0f: is not the 64 hex digits that sha256sum prints",
        ),
        (
            &["--role", "node", "--program", "kboot"],
            "--program kboot: is no plain absolute path of a program (letters, digits, - _ . + and /)",
        ),
        (
            &["--role", "node", "--file", "/etc/hostname:/etc/default/kboot"],
            "--file /etc/hostname: /etc/default/kboot is there already",
        ),
        (&["--role", "node", "--file", &missing], &format!("--file {missing}: No such file or directory")),
        (&["--role", "node", "-o", "/etc"], "--output: /etc: is a directory, not a file"),
    ] {
        let done = user_data(options);
        assert_eq!(done.error(), (2, format!("kboot cloud-init: {says}").as_str()), "{options:?}");
        assert_eq!(done.stdout, "");
    }
}

#[test]
fn what_is_too_large_for_ec2_is_named() {
    let scratch = Scratch::new();
    let (large, small) = (scratch.file("large", [b'a'; 15_000]), scratch.file("small", b"a\n"));
    let file = |path: &str, name: &str| format!("{path}:/etc/{name}:0644");
    let options = ["--role", "both", "--file", &file(&small, "small"), "--file", &file(&large, "large")];
    let done = user_data(&options);
    let size = user_data(&[&options[..], &["--max-bytes", "65536"]].concat()).ok().len();
    let (code, text) = done.error();
    let says = format!("kboot cloud-init: user-data would have {size} bytes, more than 16384 ");
    assert!(code == 2 && done.stdout.is_empty() && text.starts_with(&says), "{text}");
    assert!(text.contains(": /etc/large has 150") && text.ends_with("put it into the image"), "{text}");
    let exact = size.to_string();
    assert_eq!(user_data(&[&options[..], &["--max-bytes", &exact]].concat()).code, 0);
}

#[test]
fn secrets_are_warned_of_and_kept_from_others() {
    let scratch = Scratch::new();
    let token = scratch.file("token", b"abcdef.0123456789abcdef\n");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let to = scratch.path("user-data");
    let file = format!("{token}:/etc/kboot/token");
    let options = ["--role", "node", "--file", &file, "--output", &to];
    let done = user_data(&options);
    assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{done:?}");
    assert!(
        done.stderr.starts_with(
            "kboot cloud-init: warning: /etc/kboot/token: not for everybody, but user-data is: "
        ),
        "{done:?}"
    );
    assert_eq!(tool("stat", &["-c", "%a", &to]).trim(), "600");
    let again = user_data(&[&options[..], &["--json"]].concat()).json();
    assert_eq!((&again["outcome"], &again["already"]), (&"unchanged".into(), &1.into()), "{again}");
    assert!(!again.to_string().contains("abcdef.0123"), "{again}");
    let dry = scratch.path("dry");
    let done = user_data(&["--role", "node", "--output", &dry, "--dry-run"]);
    assert!(done.ok().starts_with(&format!("write {dry}: ")) && !std::path::Path::new(&dry).exists());
}

#[test]
fn options_of_other_applets_are_not_taken_for_its_own() {
    let mut command = kboot(&["cloud-init", "--role", "node"]);
    command.env("KBOOT_FILE", "/etc/net-conf.json").env("KBOOT_OUTPUT", "/etc/docker/daemon.json");
    assert_eq!(finish(&mut command).ok(), user_data(&["--role", "node"]).stdout);
    let path = binary();
    let sum = user_data(&["--role", "node", "--url", "http://h/k", "--sha256-of", path.to_str().unwrap()]);
    let wanted = tool("sha256sum", &[path.to_str().unwrap()]);
    assert!(sum.ok().contains(&format!("  sum={}\n", &wanted[..64])), "{sum:?}");
}

/// A systemctl of before systemd 230, which has no `show --value`, of two steps in that state, whose start fails so often.
const SYSTEMCTL: &str = "#!/bin/sh
echo \"$*\" >>calls
case \"$*\" in
*--value*) echo 'systemctl: unrecognized option --value' >&2; exit 1 ;;
'show -p Requires -p Wants '*) printf 'Requires=sysinit.target\\nWants=kboot-register.service kboot-kubelet-launch.service\\n' ;;
'show -p ActiveState '*) echo ActiveState=$STATE ;;
'start '*) [ \"$(grep -c ^start calls)\" -gt \"$FAILS\" ] ;;
esac
";

/// A kubelet's first start ends for want of what register brings.
#[test]
fn what_fails_is_started_twice_before_it_counts() {
    let data = user_data(&["--role", "node"]);
    let last: Vec<&str> = data.ok().rsplit("\n- |\n").next().unwrap().lines().map(|l| &l[2..]).collect();
    let start = "start kboot-node.target kboot-kubelet-launch.service kboot-register.service\n";
    for (shell, fails, state, code) in
        [("dash", "1", "inactive", 0), ("dash", "9", "activating", 1), ("bash", "9", "failed", 1)]
    {
        let dir = Scratch::new();
        for (name, text) in [("systemctl", SYSTEMCTL), ("journalctl", "#!/bin/sh\necho why\n")] {
            let path = dir.file(name, text);
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut command = std::process::Command::new(shell);
        command.args(["-ec", &format!("die() {{ echo \"kboot: $*\" >&2; exit 1; }}\n{}", last.join("\n"))]);
        command.current_dir(&dir.0).env("PATH", format!("{}:/usr/bin:/bin", dir.0.display()));
        let done = finish(command.env("FAILS", fails).env("STATE", state));
        assert_eq!(done.code, code, "{done:?}");
        let calls = std::fs::read_to_string(dir.path("calls")).unwrap();
        assert_eq!(calls.matches(start).count(), 2, "{calls}");
        let says = "kboot: failed, and tried again by systemd: kboot-kubelet-launch.service kboot-register.service\n";
        assert_eq!(done.stderr.ends_with(says), code == 1, "{done:?}");
        assert_eq!(done.stderr.matches("\nwhy\n").count(), if code == 1 { 2 } else { 0 }, "{done:?}");
    }
}

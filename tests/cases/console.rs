//! What somebody at a terminal sees, which script(1) makes; and many records in the kernel's log.

use std::process::Command;

use crate::support::host::Host;
use crate::support::{Done, Scratch, binary, finish, kboot, root_user, tool};

/// Runs a shell line on a terminal of its own, where no colours are wanted; gives all that came to it.
fn on_terminal(term: &str, line: &str) -> Done {
    finish(terminal(&mut std::process::Command::new("script"), term, "1", line))
}

fn terminal<'c>(command: &'c mut Command, term: &str, no_color: &str, line: &str) -> &'c mut Command {
    command.args(["-qefc", line, "/dev/null"]).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("TERM", term).env("NO_COLOR", no_color).env("K", binary()).env("SHELL", "/bin/sh")
}

fn shown(term: &str, no_color: &str, line: &str) -> String {
    finish(terminal(&mut Command::new("script"), term, no_color, line)).stdout
}

const LINES: [&str; 4] = [
    "$K bridge --help",
    "$K help",
    "$K bridge --nmae x",
    "KBOOT_LOG=loud $K flannel-env --get X --env-file /dev/null",
];

#[test]
fn colours_are_for_a_terminal() {
    let [help, overview, error, warning] = LINES.map(|line| shown("linux", "", line));
    assert!(help.contains("\r\n\x1b[1mBridge:\x1b[m\r\n  \x1b[1m    --name\x1b[m IFNAME "), "{help:?}");
    assert!(overview.contains("\r\n  \x1b[1mbridge\x1b[m             make the pod bridge"), "{overview:?}");
    let text = "unknown option --nmae: did you mean --name?";
    assert_eq!(error, format!("\x1b[1;31mkboot bridge:\x1b[m {text}\r\n"));
    let text = "kboot flannel-env: \x1b[33mwarning:\x1b[m KBOOT_LOG=loud: takes ";
    assert!(warning.starts_with(text), "{warning:?}");
    // Each stream for itself.
    assert!(shown("linux", "", "$K help 2>/dev/null").contains("\x1b[1mApplets:"));
    assert_eq!(shown("linux", "", "$K help --nmae x >/dev/null").matches("\x1b[1;31m").count(), 1);
}

#[test]
fn there_are_no_colours_where_none_are_wanted() {
    for (term, no_color) in [("linux", "1"), ("dumb", ""), ("", "")] {
        for line in LINES {
            let seen = shown(term, no_color, line);
            assert!(seen.contains("kboot") && !seen.contains('\x1b'), "{term} {no_color} {line}: {seen:?}");
        }
    }
    for line in LINES {
        for line in [format!("unset TERM; {line}"), format!("{{ {line} 2>&1; }} | cat")] {
            let seen = shown("linux", "", &line);
            assert!(seen.contains("kboot") && !seen.contains('\x1b'), "{line}: {seen:?}");
        }
    }
}

#[test]
fn the_timeline_shows_in_red_what_failed() {
    if !root_user() {
        return;
    }
    let host = Host::new();
    assert_eq!(host.kboot(&["flannel-env", "--timeout", "0", "--env-file", "/run/none.env"]).code, 75);
    for (no_color, red) in [("", "\x1b[31m"), ("1", "")] {
        let mut command = host.command("script", &[""; 0]);
        let seen = finish(terminal(&mut command, "linux", no_color, "$K timeline")).stdout;
        assert!(seen.contains(&format!("\n{red}  exit 75: /run/none.env: ")), "{seen:?}");
        assert_eq!(seen.contains('\x1b'), !red.is_empty(), "{seen:?}");
    }
}

#[test]
fn who_watches_sees_the_seconds_go_by_and_a_clean_console_at_the_end() {
    let dir = Scratch::new();
    let path = dir.path("none.env");
    let line = format!(
        "stty cols 200; $K flannel-env --timeout 2300ms --env-file {path}; stty cols 40; $K flannel-env --timeout 0 --env-file {path}; $K flannel-env --timeout 200ms --env-file {path}"
    );
    let seen = on_terminal("linux", &line).stdout;
    let progress = |n: u32| {
        format!(
            "\r\x1b[Kkboot flannel-env: waiting for {path}: is not there yet (flanneld writes it) ({n} s)"
        )
    };
    for second in 0..=2 {
        assert_eq!(seen.matches(&progress(second)).count(), 1, "{second}: {seen:?}");
    }
    let lines: Vec<&str> = seen.lines().collect();
    // The progress stands in no line of its own: the error took its place.
    assert_eq!(lines.len(), 3, "{seen:?}");
    let error = format!(
        "\r\x1b[Kkboot flannel-env: {path}: not within 2300ms: is not there yet (flanneld writes it)"
    );
    assert!(lines[0].ends_with(&error), "{seen:?}");
    // Nothing is waited for, so nothing is shown and erased.
    assert!(!lines[1].contains('\x1b'), "{seen:?}");
    // No line that breaks, for then only its end could be erased.
    let shown = lines[2].split("\r\x1b[K").nth(1).unwrap();
    assert_eq!((shown.chars().count(), shown.ends_with(" (0 s)")), (39, true), "{seen:?}");
}

#[test]
fn nobody_watches_with_quiet_a_dumb_terminal_or_none() {
    let dir = Scratch::new();
    let line = format!("$K flannel-env --timeout 1200ms --env-file {}", dir.path("none.env"));
    let quiet = on_terminal("linux", &format!("{line} -q")).stdout;
    assert_eq!((quiet.lines().count(), quiet.contains('\x1b')), (1, false), "{quiet:?}");
    for (term, line) in [("dumb", line.clone()), ("linux", format!("{{ {line} 2>&1; }} | cat"))] {
        let seen = on_terminal(term, &line).stdout;
        assert!(seen.starts_with("kboot flannel-env: waiting for ") && !seen.contains('\x1b'), "{seen:?}");
        assert_eq!(seen.lines().count(), 2, "{seen:?}");
    }
}

/// The kernel drops the eleventh record that comes within 5 s by one open /dev/kmsg.
#[test]
fn no_record_of_many_at_once_is_lost() {
    if !root_user() || std::fs::metadata("/dev/kmsg").is_err() {
        return;
    }
    let name = |n: u32| format!("KBT{}N{n}_", std::process::id());
    let mut command =
        kboot(&["kubelet-launch", "--kubelet-version", "1.30", "--name", "n1", "--dry-run", "--check"]);
    command.args((0..40).flat_map(|n| ["--env".to_owned(), name(n)])).env("KBOOT_LOG", "kmsg");
    let started = std::time::Instant::now();
    let done = finish(&mut command);
    assert!(started.elapsed() < std::time::Duration::from_secs(5) && done.stderr.is_empty(), "{done:?}");
    let log = tool("dmesg", &[]);
    for n in 0..40 {
        assert_eq!(log.matches(&format!("--env {}:", name(n))).count(), 1, "{n}");
    }
}

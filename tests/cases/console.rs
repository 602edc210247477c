//! What somebody at a terminal sees, which script(1) makes; and many records in the kernel's log.

use crate::support::{Done, Scratch, binary, finish, kboot, root_user, tool};

/// Runs a shell line on a terminal of its own; gives all that came to it.
fn on_terminal(term: &str, line: &str) -> Done {
    let mut command = std::process::Command::new("script");
    command.args(["-qefc", line, "/dev/null"]).env_clear();
    finish(command.env("PATH", "/usr/bin:/bin").env("TERM", term).env("K", binary()).env("SHELL", "/bin/sh"))
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

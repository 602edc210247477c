//! scripts/install: what it puts into a root and takes away again, by each shell that a host may have.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Done, Scratch, binary, finish, need, root, tree};

/// A root with both builders of an initramfs, and systemd as its init.
fn host(scratch: &Scratch) -> PathBuf {
    let host = scratch.0.join("host");
    for directory in
        ["sbin", "etc/init.d", "etc/initramfs-tools/hooks", "usr/lib/dracut/modules.d", "usr/local"]
    {
        fs::create_dir_all(host.join(directory)).unwrap();
    }
    symlink("/lib/systemd/systemd", host.join("sbin/init")).unwrap();
    host
}

/// With the words in front that run it: a shell.
fn install(shell: &[&str], host: &Path, args: &[&str]) -> Done {
    let script = root().join("scripts/install");
    let words: Vec<&str> = shell.iter().copied().chain([script.to_str().unwrap()]).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(args).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    // As packagers call it.
    command.env("DESTDIR", host).env("KBOOT_BIN", binary());
    finish(&mut command)
}

fn paths(host: &Path) -> Vec<String> {
    tree::list(host, &[]).iter().map(|l| l.split('\t').next().unwrap().to_owned()).collect()
}

fn has(there: &[String], wanted: &[&str]) {
    for path in wanted {
        assert!(there.iter().any(|p| p == path), "{path}: {there:#?}");
    }
}

#[test]
fn it_puts_all_in_once_and_takes_exactly_that_away_by_dash_and_by_busybox() {
    let Some(busybox) = need("busybox", "package") else { return };
    let scratch = Scratch::new();
    // A host that has busybox, and nothing else.
    let tools = scratch.0.join("tools");
    fs::create_dir(&tools).unwrap();
    finish(Command::new(&busybox).args(["--install", "-s"]).arg(&tools)).ok();
    let only_busybox = format!("PATH={}", tools.display());
    for shell in [&["dash"][..], &["/usr/bin/env", &only_busybox, "sh"]] {
        let host = host(&scratch);
        let before = tree::list(&host, &[]);
        let first = install(shell, &host, &[]);
        assert!(
            first.ok().contains(&format!("installed {}/usr/local/sbin/kboot\n", host.display())),
            "{first:?}"
        );
        assert!(first.stderr.contains("initramfs-tools: ") && first.stderr.contains("dracut: "), "{first:?}");
        has(
            &paths(&host),
            &[
                "usr/local/sbin/kboot-mk-docker-opts.sh",
                "usr/local/lib/kboot/bin/bridge",
                "usr/local/share/man/man8/kboot.8",
                "usr/local/share/bash-completion/completions/kboot-register",
                "usr/local/share/zsh/site-functions/_kboot",
                "usr/local/share/kboot/boot/master",
                "usr/local/lib/systemd/system/kboot-node.target",
                "etc/initramfs-tools/hooks/kboot",
                "etc/initramfs-tools/conf.d/kboot",
                "usr/lib/dracut/modules.d/90kboot/module-setup.sh",
                "etc/default/kboot",
            ],
        );
        let version = finish(Command::new(host.join("usr/local/lib/kboot/bin/bridge")).arg("--help"));
        assert!(version.ok().contains("Usage: "), "{version:?}");
        let unit =
            fs::read_to_string(host.join("usr/local/lib/systemd/system/kboot-bridge.service")).unwrap();
        assert!(unit.contains("/usr/local/sbin/kboot") && !unit.contains("/usr/sbin/kboot"), "{unit}");
        let (after, second) = (tree::list(&host, &[]), install(shell, &host, &[]));
        assert_eq!(second.ok(), "");
        tree::assert_same(&after, &tree::list(&host, &[]));
        install(shell, &host, &["--uninstall"]).ok();
        tree::assert_same(&before, &tree::list(&host, &[]));
        fs::remove_dir_all(&host).unwrap();
    }
}

#[test]
fn what_somebody_else_put_there_stays() {
    let scratch = Scratch::new();
    let host = host(&scratch);
    let (hook, page) = (host.join("etc/initramfs-tools/hooks/kboot"), "usr/local/share/man/man8/kboot.8");
    fs::write(&hook, "mine\n").unwrap();
    let before = tree::list(&host, &[]);
    let refused = install(&[], &host, &[]);
    let why = format!(
        "install: is there and was not put there by scripts/install; remove or move it, nothing was changed: {}",
        hook.display()
    );
    assert_eq!(refused.error(), (1, why.as_str()));
    tree::assert_same(&before, &tree::list(&host, &[]));
    // Right already, and not by this script: neither touched nor taken away.
    let own = fs::read(root().join("initramfs/initramfs-tools/hooks/kboot")).unwrap();
    fs::write(&hook, own).unwrap();
    install(&[], &host, &["--prefix=/usr/local/"]).ok();
    // A later version's, and an administrator's own.
    fs::write(host.join("etc/default/kboot"), "KBOOT_ROLE=node\n").unwrap();
    fs::write(host.join(page), "changed\n").unwrap();
    assert_eq!(install(&[], &host, &[]).code, 1);
    fs::remove_file(host.join(page)).unwrap();
    let mended = install(&[], &host, &[]);
    assert_eq!(mended.ok(), format!("installed {}/{page}\n", host.display()));
    let gone = install(&[], &host, &["--uninstall"]);
    assert!(gone.stderr.contains("/etc/default/kboot: it has changed since\n"), "{gone:?}");
    let left: Vec<_> = paths(&host).into_iter().filter(|p| p.contains("kboot")).collect();
    assert_eq!(left, ["etc/default/kboot", "etc/initramfs-tools/hooks/kboot"]);
}

/// Put there by hand, it is the script's from then on: the next version takes its place.
#[test]
fn the_same_program_is_adopted_and_what_is_not_put_in_is_told() {
    let scratch = Scratch::new();
    let host = scratch.0.join("empty");
    fs::create_dir_all(host.join("usr/local/sbin")).unwrap();
    let before = tree::list(&host, &[]);
    let program = host.join("usr/local/sbin/kboot");
    fs::copy(binary(), &program).unwrap();
    let done = install(&[], &host, &[]);
    assert!(!done.ok().contains("sbin/kboot\n"), "{done:?}");
    let told = format!(
        "init: none found in {0}: no units (--init)\n\
         initramfs: neither initramfs-tools nor dracut found in {0}: no hooks (--initramfs)\n",
        host.display()
    );
    assert_eq!(done.stderr, told);
    assert_eq!(install(&[], &host, &["--init", "none", "--initramfs", "none"]).stderr, "");
    let next = scratch.0.join("next");
    fs::write(&next, "a later version\n").unwrap();
    let script = root().join("scripts/install");
    let upgrade = finish(Command::new(script).env("KBOOT_BIN", &next).arg("--destdir").arg(&host));
    assert_eq!(upgrade.ok(), format!("replaced {}\n", program.display()));
    install(&[], &host, &["--uninstall"]).ok();
    tree::assert_same(&before, &tree::list(&host, &[]));
}

#[test]
fn hooks_find_a_prefix_of_ones_own_and_a_file_for_a_directory_stops_it_all() {
    let scratch = Scratch::new();
    let host = host(&scratch);
    fs::create_dir(host.join("opt")).unwrap();
    let before = tree::list(&host, &[]);
    let file = host.join("opt/share");
    fs::write(&file, "").unwrap();
    let (blocked, refused) = (tree::list(&host, &[]), install(&[], &host, &["--prefix", "/opt"]));
    assert!(
        refused.error().1.ends_with(&format!(", nothing was changed: {}", file.display())),
        "{refused:?}"
    );
    tree::assert_same(&blocked, &tree::list(&host, &[]));
    fs::remove_file(&file).unwrap();
    install(&[], &host, &["--prefix", "//opt//"]).ok();
    assert_eq!(install(&[], &host, &["--prefix", "/opt"]).ok(), "");
    for (hook, line) in [
        ("etc/initramfs-tools/hooks/kboot", "kboot=$(PATH=/opt/sbin:/usr/local/sbin:"),
        ("usr/lib/dracut/modules.d/90kboot/module-setup.sh", "    for dir in /opt/sbin /usr/local/sbin "),
    ] {
        let text = fs::read_to_string(host.join(hook)).unwrap();
        assert!(text.lines().any(|l| l.starts_with(line)), "{text}");
        finish(Command::new("bash").arg("-n").arg(host.join(hook))).ok();
    }
    install(&[], &host, &["--prefix", "/opt", "--uninstall"]).ok();
    tree::assert_same(&before, &tree::list(&host, &[]));
}

/// At any instant; the next run, or --uninstall, finds its way.
#[test]
fn a_run_that_is_killed_leaves_nothing_that_is_not_known() {
    let scratch = Scratch::new();
    let host = host(&scratch);
    let before = tree::list(&host, &[]);
    for (run, after) in ["0.2", "0.4", "0.6", "0.8", "1"].iter().enumerate() {
        install(&["timeout", "-s", "KILL", after], &host, &[]);
        if run % 2 == 0 {
            install(&[], &host, &[]).ok();
        }
        install(&[], &host, &["--uninstall"]).ok();
        tree::assert_same(&before, &tree::list(&host, &[]));
    }
}

#[test]
fn each_init_gets_its_own_files_and_a_package_those_of_usr() {
    let scratch = Scratch::new();
    for (init, wanted, others) in [
        ("sysv", "etc/init.d/kboot-kubelet", "etc/init/"),
        ("upstart", "etc/init/kboot-bridge.conf", "etc/init.d/kboot"),
        ("systemd", "usr/lib/systemd/system-preset/80-kboot.preset", "etc/init"),
        ("none", "usr/sbin/kboot", "systemd"),
    ] {
        let host = scratch.0.join(init);
        fs::create_dir(&host).unwrap();
        install(&[], &host, &["--prefix", "/usr", "--init", init, "--initramfs", "all"]).ok();
        let there = paths(&host);
        has(&there, &[wanted, "usr/share/initramfs-tools/conf-hooks.d/kboot", "usr/lib/kboot/bin/bridge"]);
        let is_other = |p: &&String| p.starts_with(others) && !p.starts_with("etc/initramfs");
        assert_eq!(there.iter().find(is_other), None, "{init}");
        if init == "upstart" {
            let job = fs::read_to_string(host.join(wanted)).unwrap();
            assert!(job.contains("\nenv PATH=/usr/lib/kboot/bin:/usr/local/lib/kboot/bin:"), "{job}");
        }
        // Not docker's, whatever this host is to be.
        assert!(!there.iter().any(|p| p == "etc/init/docker.override"), "{init}");
    }
    // Another time for another: what only the first had goes.
    let twice = scratch.0.join("upstart");
    let changed = install(&[], &twice, &["--prefix", "/usr", "--init", "none", "--initramfs", "all"]);
    let gone = |l: &str| l.starts_with(&format!("removed {}/etc/init/kboot-", twice.display()));
    assert!(changed.ok().lines().count() > 3 && changed.stdout.lines().all(gone), "{changed:?}");
    assert_eq!(paths(&twice).iter().find(|p| p.starts_with("etc/init/")), None);
    install(&[], &twice, &["--prefix", "/usr", "--uninstall"]).ok();
    assert_eq!(paths(&twice), [""; 0]);
    for (args, why) in [
        (&["--init", "rc"][..], "--init takes systemd, sysv, upstart or none, not 'rc'"),
        (&["--prefix", "usr"], "--prefix takes an absolute path of plain characters, not 'usr'"),
        (&["--prefix"], "--prefix needs a value"),
        (&["--frob"], "--frob is not known"),
    ] {
        let done = install(&[], &scratch.0, args);
        let line = format!("install: {why}: see scripts/install --help");
        assert_eq!(done.error(), (2, line.as_str()));
    }
}

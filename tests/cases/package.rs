//! The Debian package: made by scripts/deb, judged by lintian, and in a Debian put in, renewed, taken out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::support::debian::Debian;
use crate::support::{Done, Scratch, binary, finish_within, need, root, run, tool, tree};

/// What dpkg keeps of its own, whatever it does.
const OF_DPKG: [&str; 7] = [
    "var/lib/dpkg/status",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/available",
    "var/lib/dpkg/triggers/Lock",
    "var/lib/dpkg/triggers/Unincorp",
    "var/log/dpkg.log",
    "var/cache/debconf",
];

fn make(revision: &str, to: &Path) -> PathBuf {
    made(&mut Command::new(root().join("scripts/deb")), revision, to)
}

fn made(command: &mut Command, revision: &str, to: &Path) -> PathBuf {
    command.args(["--revision", revision, "--output", to.to_str().unwrap()]).env("KBOOT_BIN", binary());
    let done = finish_within(Duration::from_mins(4), command);
    PathBuf::from(done.ok().split(' ').next().unwrap())
}

/// Two versions of it.
fn debs() -> &'static [PathBuf; 2] {
    static DEBS: OnceLock<[PathBuf; 2]> = OnceLock::new();
    DEBS.get_or_init(|| {
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("deb");
        let _ = fs::remove_dir_all(&to);
        fs::create_dir_all(&to).unwrap();
        ["1", "2"].map(|revision| make(revision, &to))
    })
}

/// A Debian with both in /root.
fn debian() -> Option<Debian> {
    let debian = Debian::new()?;
    for (deb, name) in debs().iter().zip(["1.deb", "2.deb"]) {
        fs::copy(deb, debian.path("/root").join(name)).unwrap();
    }
    Some(debian)
}

fn sh(debian: &Debian, line: &str) -> Done {
    let done = debian.sh(line);
    assert_eq!(done.code, 0, "{line}: {done:?}");
    done
}

fn lines(text: &str) -> BTreeSet<&str> {
    text.lines().collect()
}

/// The same once more, elsewhere, by somebody whose files are nobody else's to read.
fn again_elsewhere(deb: &str) -> Vec<u8> {
    let elsewhere = Scratch::new();
    let from = |path: &str| root().join(path).into_os_string().into_string().unwrap();
    let to = elsewhere.path("");
    tool(
        "cp",
        &["-r", &from("scripts"), &from("initramfs"), &from("Cargo.toml"), &from("CHANGELOG.md"), &to],
    );
    fs::create_dir(elsewhere.path("target")).unwrap();
    tool("cp", &["-r", &from("target/share"), &elsewhere.path("target")]);
    tool("chmod", &["-R", "go=", &to]);
    let maintainer = tool("dpkg-deb", &["-f", deb, "Maintainer"]);
    let (name, mail) = maintainer.trim().trim_end_matches('>').split_once(" <").unwrap();
    let epoch = std::env::var("SOURCE_DATE_EPOCH")
        .unwrap_or_else(|_| tool("git", &["-C", &from(""), "log", "-1", "--format=%ct"]));
    let mut command = Command::new("sh");
    command.args(["-c", "umask 077; exec \"$0\" \"$@\"", &elsewhere.path("scripts/deb")]);
    command.env("SOURCE_DATE_EPOCH", epoch.trim()).env("DEBFULLNAME", name).env("DEBEMAIL", mail);
    command.envs([("TZ", "Asia/Shanghai"), ("LC_ALL", "C.UTF-8"), ("GZIP", "--fast")]);
    fs::read(made(&mut command, "1", &elsewhere.0)).unwrap()
}

#[test]
fn the_same_tree_makes_the_same_package_and_an_old_dpkg_can_read_it() {
    let deb = debs()[0].to_str().unwrap();
    assert!(fs::read(deb).unwrap() == again_elsewhere(deb), "not the same bytes");
    // control.tar.xz is of dpkg 1.17.6, zstd of 1.21.18 (Debian's).
    assert_eq!(tool("ar", &["t", deb]), "debian-binary\ncontrol.tar.gz\ndata.tar.xz\n");
    let control = tool("dpkg-deb", &["-f", deb]);
    let arch = format!("\nArchitecture: {}", tool("dpkg", &["--print-architecture"]));
    assert!(control.contains(&arch) && !control.contains("Depends:"), "{control}");
    let owners = tool("dpkg-deb", &["-c", deb]);
    assert!(owners.lines().all(|l| l.contains(" root/root ")), "{owners}");
}

#[test]
fn lintian_has_nothing_against_it() {
    if need("lintian", "package").is_none() {
        return;
    }
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--show-overrides", "--display-info", "--tag-display-limit", "0"]);
    let done = finish_within(Duration::from_mins(4), lintian.arg(&debs()[0]));
    let is_bad = |l: &str| l.starts_with("E: ") || l.starts_with("W: ");
    assert!(done.code == 0 && !done.stdout.lines().any(is_bad), "{done:?}");
    // Nothing is overridden that is not there.
    let overrides = fs::read_to_string(root().join("scripts/package/lintian-overrides")).unwrap();
    for line in overrides.lines().filter(|l| !l.starts_with('#')) {
        let tag = line.split(' ').nth(1).unwrap();
        assert!(done.stdout.contains(&format!("O: kboot: {tag}")), "{line}: {done:?}");
    }
}

/// What is there once it is in, besides that dpkg says so.
fn is_in(debian: &Debian) {
    let links = Scratch::new();
    run(&["--install", "-s", links.0.to_str().unwrap()]).ok();
    for applet in tool("ls", &[links.0.to_str().unwrap()]).lines() {
        for link in [format!("/usr/sbin/kboot-{applet}"), format!("/usr/lib/kboot/bin/{applet}")] {
            let help = sh(debian, &format!("{link} --help"));
            assert_eq!(help.stdout, run(&[applet, "--help"]).stdout, "{link}");
        }
    }
    let applets = run(&["--list"]);
    for applet in applets.ok().lines().map(|a| format!("kboot-{a}")).chain(["kboot".to_owned()]) {
        let manual = debian.path("/usr/share/man");
        let page = tool("man", &["-M", manual.to_str().unwrap(), "-P", "cat", "8", &applet]);
        assert!(page.contains(&applet.to_uppercase()), "{applet}: {page}");
    }
    for (path, word) in [
        ("bash-completion/completions/kboot", "complete"),
        ("bash-completion/completions/kboot-bridge", "complete"),
        ("zsh/vendor-completions/_kboot", "#compdef kboot"),
        ("fish/vendor_completions.d/kboot.fish", "complete"),
        ("kboot/sysvinit/kboot", "BEGIN INIT INFO"),
        ("kboot/upstart/kboot-bridge.conf", "start on"),
        ("kboot/boot/minion", "#!/bin/sh"),
        ("doc/kboot/copyright", "\n  rustls "),
    ] {
        let text = fs::read_to_string(debian.path("/usr/share").join(path)).unwrap();
        assert!(text.contains(word), "{path}: {text}");
    }
}

/// Its units, as systemd sees them with nothing running: name and state.
fn units(debian: &Debian) -> String {
    let list = "systemctl list-unit-files --no-legend --no-pager 'kboot-*' | awk '{print $1, $2}'";
    sh(debian, list).stdout
}

#[test]
fn it_goes_in_is_renewed_and_goes_out_and_leaves_nothing() {
    if need("man", "package").is_none() {
        return;
    }
    let Some(debian) = debian() else { return };
    debian.write("/etc/kboot/token", 0o600, "an administrator's\n");
    let before = tree::list(&debian.path("/"), &OF_DPKG);

    sh(&debian, "dpkg -i /root/1.deb");
    assert_eq!(sh(&debian, "dpkg --verify kboot").stdout, "");
    is_in(&debian);
    let state = units(&debian);
    assert!(lines(&state).contains("kboot-node.target disabled"), "{state}");
    assert!(lines(&state).contains("kboot-control-plane.target disabled"), "{state}");
    assert!(!state.contains("enabled"), "{state}");
    // As a host's first boot does with all units; without kboot's preset they would be enabled now.
    let names: Vec<&str> = state.lines().filter_map(|l| l.split(' ').next()).collect();
    sh(&debian, &format!("systemctl preset {}", names.join(" ")));
    assert_eq!(units(&debian), state);

    sh(&debian, "systemctl enable kboot-node.target; echo KBOOT_NAME=w7 >>/etc/default/kboot");
    sh(&debian, "dpkg -i /root/2.deb");
    assert!(sh(&debian, "dpkg -s kboot").stdout.contains("\nVersion: 0.1.0-2\n"));
    assert!(sh(&debian, "cat /etc/default/kboot").stdout.ends_with("\nKBOOT_NAME=w7\n"));
    assert!(lines(&units(&debian)).contains("kboot-node.target enabled"));
    assert_ne!(sh(&debian, "find /etc/systemd -lname '*kboot*'").stdout, "");

    sh(&debian, "systemctl mask kboot-register.service; mkdir -p /run/kboot/timeline; dpkg -r kboot");
    assert!(!debian.path("/usr/sbin/kboot").exists() && !debian.path("/usr/lib/kboot").exists());
    assert!(debian.path("/etc/default/kboot").exists());
    assert!(debian.path("/etc/systemd/system/kboot-register.service").is_symlink());
    // docker would not start if it still required one of kboot's.
    assert_eq!(sh(&debian, "find /etc/systemd -lname '*kboot*'").stdout, "");
    sh(&debian, "dpkg -P kboot");
    tree::assert_same(&before, &tree::list(&debian.path("/"), &OF_DPKG));
}

/// scripts/install into it, from outside: the lines that it prints and what it says.
fn install(debian: &Debian, args: &[&str]) -> Done {
    let mut command = Command::new(root().join("scripts/install"));
    command.args(args).arg("--destdir").arg(debian.path("/")).env("KBOOT_BIN", binary());
    let done = finish_within(Duration::from_mins(1), &mut command);
    assert_eq!(done.code, 0, "{done:?}");
    done
}

/// docker does not start as long as it requires a unit that is gone.
#[test]
fn what_was_enabled_goes_with_scripts_installs_files_and_stays_with_the_packages() {
    let Some(debian) = debian() else { return };
    let enabled = || sh(&debian, "find /etc/systemd /etc/rc?.d -name '*kboot*' -printf '%p %l\\n'").stdout;
    debian.write("/etc/init/docker.override", 0o644, "manual\n");
    debian.write("/etc/kboot/boot", 0o644, "bridge\n");
    let before = tree::list(&debian.path("/"), &OF_DPKG);
    let enable = "systemctl enable kboot-node.target";
    let gate = "/etc/systemd/system/docker.service.requires/kboot-docker-gate.service";

    install(&debian, &["--init", "systemd"]);
    sh(&debian, enable);
    let link = format!("{gate} /usr/local/lib/systemd/system/kboot-docker-gate.service");
    assert!(lines(&enabled()).contains(link.as_str()), "{}", enabled());
    let done = install(&debian, &["--init", "sysv"]);
    assert!(done.stdout.contains(&format!("root{gate}\n")), "{done:?}");
    assert_eq!(enabled(), "");

    sh(&debian, "update-rc.d kboot defaults && update-rc.d kboot-kubelet defaults");
    assert!(enabled().contains("/etc/rc2.d/S01kboot "), "{}", enabled());
    install(&debian, &["--init", "upstart"]);
    assert_eq!(enabled(), "");
    let done = install(&debian, &["--uninstall"]);
    for line in [
        "/etc/init/docker.override lets docker start by itself again\n",
        "update-initramfs -u takes kboot out of",
    ] {
        assert!(done.stderr.contains(line), "{line}: {done:?}");
    }
    tree::assert_same(&before, &tree::list(&debian.path("/"), &OF_DPKG));

    install(&debian, &["--init", "systemd"]);
    sh(&debian, enable);
    sh(&debian, "dpkg -i /root/1.deb");
    let done = install(&debian, &["--uninstall"]);
    assert!(done.stderr.contains("/etc/default/kboot: a Debian package has it\n"), "{done:?}");
    assert_eq!(sh(&debian, "dpkg --verify kboot").stdout, "");
    assert!(lines(&units(&debian)).contains("kboot-node.target enabled"), "{}", units(&debian));
    let link = format!("{gate} /usr/lib/systemd/system/kboot-docker-gate.service");
    assert!(lines(&enabled()).contains(link.as_str()), "{}", enabled());
    sh(&debian, "dpkg -P kboot");
    tree::assert_same(&before, &tree::list(&debian.path("/"), &OF_DPKG));
}

/// Before anything is built.
#[test]
fn bad_usage_is_told_at_once() {
    for (args, why) in [
        (&["--output", "/dev/null"][..], "--output /dev/null is not a directory"),
        (&["--output"], "--output needs a value"),
        (&["--revision", "1_2"], "--revision takes letters, digits and . + ~, not '1_2'"),
        (&["i386"], "takes amd64 or arm64, not i386"),
    ] {
        let mut command = Command::new(root().join("scripts/deb"));
        let done = finish_within(Duration::from_mins(1), command.args(args).env("KBOOT_BIN", "/nothing"));
        let line = format!("deb: {why}: see scripts/deb --help");
        assert_eq!(done.error(), (2, line.as_str()));
    }
}

/// By the real update-initramfs, which the package has run by dpkg's trigger.
#[test]
fn the_hosts_image_has_kboot_with_a_boot_list_and_as_long_as_the_package_is_in() {
    let Some(debian) = debian() else { return };
    debian.write("/etc/initramfs-tools/conf.d/test", 0o644, "MODULES=list\nCOMPRESS=gzip\nCOMPRESSLEVEL=1\n");
    debian.write(&format!("/boot/vmlinuz-{}", debian.release), 0o644, "");
    sh(&debian, &format!("update-initramfs -c -k {}", debian.release));
    let image = format!("/boot/initrd.img-{}", debian.release);
    let modified = || fs::metadata(debian.path(&image)).unwrap().modified().unwrap();
    let first = modified();
    // It costs a host without a list no time.
    sh(&debian, "dpkg -i /root/1.deb");
    assert_eq!(modified(), first);
    debian.write("/etc/kboot/boot", 0o644, "bridge --subnet 10.99.77.1/24 --mtu 1400\n");
    let has = |line: &str| {
        let done = sh(&debian, line);
        assert!(done.stdout.contains("Processing triggers for initramfs-tools"), "{line}: {done:?}");
        assert!(!done.stderr.contains("W: "), "{done:?}");
        let mode = tool("stat", &["-c", "%a", debian.path(&image).to_str().unwrap()]);
        let listing = sh(&debian, &format!("lsinitramfs {image}")).stdout;
        let has = ["bin/kboot", "etc/kboot/boot", "scripts/init-premount/kboot"]
            .map(|path| listing.lines().any(|l| l.ends_with(path)));
        (has, mode.trim().to_owned())
    };
    assert_eq!(has("dpkg -i /root/2.deb"), ([true; 3], "600".to_owned()));
    assert_eq!(has("dpkg -P kboot"), ([false; 3], "644".to_owned()));
    assert!(debian.path("/etc/kboot/boot").exists());
}

/// Both of its readers take it, and each name in it is one that something reads.
#[test]
fn the_template_of_its_settings_names_what_is_there() {
    let template = root().join("scripts/package/default");
    let text = fs::read_to_string(&template).unwrap();
    assert!(text.lines().all(|l| l.is_empty() || l.starts_with('#')), "all of it is for the administrator");
    let mut known: BTreeSet<String> = ["KBOOT_LOG", "KBOOT_ROLE"].map(str::to_owned).into();
    let applets = run(&["--list"]);
    for applet in applets.ok().lines() {
        let help = run(&[applet, "--help"]);
        for word in help.ok().split(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
            let Some(option) = word.strip_prefix("--") else { continue };
            let upper = |name: &str| name.replace(['-', '.'], "_").to_uppercase();
            known.insert(format!("KBOOT_{}", upper(option)));
            known.insert(format!("KBOOT_{}_{}", upper(applet), upper(option)));
        }
    }
    let settings: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("#KBOOT_")).collect();
    assert!(settings.len() > 25, "{settings:?}");
    for setting in &settings {
        let name = format!("KBOOT_{}", setting.split('=').next().unwrap());
        assert!(known.contains(&name), "{name}: nothing reads it");
    }
    let every = "sed -n 's/^#KBOOT_/KBOOT_/p' \"$0\" >\"$1\" && set -a && . \"$1\" && env | grep -c ^KBOOT_";
    let all = Scratch::new();
    let file = all.path("all");
    let count = tool("env", &["-i", "sh", "-c", every, template.to_str().unwrap(), &file]);
    assert_eq!(count.trim(), settings.len().to_string());
    let shell = tool("env", &["-i", "sh", "-c", "set -a; . \"$0\"; env | grep ^KBOOT_ | sort", &file]);
    let mut plain: Vec<String> = settings.iter().map(|s| format!("KBOOT_{s}")).collect();
    plain.sort();
    // Nothing in it that a shell would take for more than text, so systemd reads the same.
    assert_eq!(shell.lines().collect::<Vec<_>>(), plain);
}

/// The maintainer scripts under a systemd that runs: an upgrade stops nothing, a removal no docker.
#[test]
fn a_running_systemd_lets_go_of_it_and_keeps_what_required_it() {
    let Some(debian) = debian() else { return };
    // A stand-in for docker, which requires a unit of kboot's; the steps themselves are other tests' matter.
    let docker = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";
    debian.write("/etc/systemd/system/docker.service", 0o644, docker);
    for unit in ["bridge", "docker-gate"] {
        let step = "[Service]\nType=oneshot\nExecStart=\nExecStart=/bin/true\nRemainAfterExit=yes\n";
        debian.write(&format!("/etc/systemd/system/kboot-{unit}.service.d/step.conf"), 0o644, step);
    }
    sh(&debian, "dpkg -i /root/1.deb && systemctl enable kboot-docker-gate.service docker.service");
    let state = |when| format!("echo {when}: $(systemctl is-active docker kboot-bridge) @");
    debian.tells(&format!(
        "{}; dpkg -i /root/2.deb; {}; dpkg -P kboot; {}; systemctl show -p NeedDaemonReload docker",
        state("before"),
        state("renewed"),
        state("purged")
    ));
    debian.write("/etc/initramfs-tools/conf.d/test", 0o644, "MODULES=list\nCOMPRESS=gzip\nCOMPRESSLEVEL=1\n");
    debian.write("/etc/initramfs-tools/modules", 0o644, "virtio_pci\nvirtio_blk\n");
    sh(&debian, &format!("update-initramfs -c -k {}", debian.release));
    let image = debian.path(&format!("/boot/initrd.img-{}", debian.release));
    let console = debian.boot(&image, &debian.disk(), "quiet");
    for line in ["before: active active @", "renewed: active active @", "purged: active inactive @"] {
        assert!(console.contains(line), "{line}: {console}");
    }
    assert!(console.contains("NeedDaemonReload=no"), "{console}");
}

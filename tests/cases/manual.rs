//! The manual pages, read back by man-db with groff, and by mandoc: they say what `--help` says; and the examples
//! of both can be pasted.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use crate::support::host::Host;
use crate::support::{Scratch, binary, finish, finish_within, need, root, root_user, run, tool};

/// What the manual has besides, in front of and behind the words of the help.
const OWN: [&str; 6] = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SEE ALSO", "System Administration"];

/// The program that writes them, where cargo puts it: beside these tests.
static WRITER: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--offline", "--example", "manual"]).current_dir(root());
    finish_within(Duration::from_mins(10), &mut cargo).ok();
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples/manual")
});

fn pages(epoch: Option<&str>) -> Scratch {
    let dir = Scratch::new();
    let mut command = Command::new(&*WRITER);
    command.arg(dir.path("")).env_remove("SOURCE_DATE_EPOCH").envs(epoch.map(|e| ("SOURCE_DATE_EPOCH", e)));
    finish(&mut command).ok();
    dir
}

/// The words of a page as man shows it on 80 columns, without its first and last line.
fn shown(path: &str) -> Vec<String> {
    let mut man = Command::new("man");
    man.args(["--local-file", "--warnings=all", path]).env_clear();
    man.envs([
        ("PATH", "/usr/bin:/bin"),
        ("MANWIDTH", "80"),
        ("LC_ALL", "C.UTF-8"),
        ("MAN_KEEP_FORMATTING", ""),
    ]);
    let done = finish(&mut man);
    assert_eq!(done.stderr, "", "{path}");
    let lines: Vec<&str> = done.ok().trim().lines().collect();
    words(&lines[1..lines.len() - 1].join("\n"))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The first word of a text that does not come, in its order, among the words of a page.
fn missing(text: &[String], page: &[String]) -> Option<String> {
    let mut rest = page.iter();
    text.iter().find(|word| !rest.any(|w| w == *word)).cloned()
}

/// Titles, which stand behind an empty line, have no colon there.
fn as_in_manual(help: &str) -> String {
    let mut lines = vec![""];
    for line in help.lines() {
        let is_title = lines.last() == Some(&"") && line.ends_with(':') && !line.starts_with(' ');
        lines.push(if is_title { line.trim_end_matches(':') } else { line });
    }
    lines.join("\n").replace("Usage: ", "")
}

#[test]
fn man_says_what_help_says() {
    let (Some(_), Some(_)) = (need("man", "tools"), need("groff", "tools")) else { return };
    let dir = pages(Some("0"));
    let list = run(&["--list"]);
    let applets = list.ok().lines().map(|name| (format!("kboot-{name}"), vec!["help", name]));
    for (name, call) in applets.chain([("kboot".to_owned(), vec!["help"])]) {
        let page = shown(&dir.path(&format!("{name}.8")));
        let lower = |words: &[String]| words.iter().map(|w| w.to_lowercase()).collect::<Vec<_>>();
        let help = words(&as_in_manual(run(&call).ok()));
        assert!(help.len() > 30 && page.len() > help.len(), "{name}");
        assert_eq!(missing(&lower(&help), &lower(&page)), None, "{name}");
        assert!(name != "kboot" || page.iter().any(|w| w == "/etc/default/kboot"));
        // And nothing besides: what is left is the manual's own frame.
        if name != "kboot" {
            let own = words(&OWN.join(" ")).len();
            let summary = page.iter().position(|w| w == "SYNOPSIS").unwrap();
            assert!(page.len() <= help.len() + own + summary + 2, "{name}: {} {}", page.len(), help.len());
        }
    }
}

#[test]
fn the_pages_are_clean_and_the_same_of_the_same_commit() {
    let Some(_) = need("mandoc", "tools") else { return };
    let (dir, again, later) = (pages(Some("0")), pages(Some("0")), pages(None));
    let names = || fs::read_dir(&dir.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(names().count(), run(&["--list"]).ok().lines().count() + 1);
    let date =
        tool("git", &["-C", root().to_str().unwrap(), "log", "-1", "--format=%cd", "--date=format-local:%Y"]);
    for name in names() {
        let (path, page) = (dir.path(&name), fs::read_to_string(dir.path(&name)).unwrap());
        let lint = finish(Command::new("mandoc").args(["-T", "lint", "-W", "warning", &path]));
        assert_eq!((lint.code, lint.stdout.as_str()), (0, ""), "{name}");
        assert_eq!(fs::read_to_string(again.path(&name)).unwrap(), page, "{name}");
        assert!(
            page.starts_with(".TH ") && page.lines().next().unwrap().contains(" 8 1970-01-01 "),
            "{name}"
        );
        let now = fs::read_to_string(later.path(&name)).unwrap();
        assert!(now.lines().next().unwrap().contains(&format!(" 8 {}-", date.trim())), "{name}");
        assert_eq!(now.split_once('\n').unwrap().1, page.split_once('\n').unwrap().1, "{name}");
    }
}

/// The examples of an applet, as a shell gets them.
fn examples(applet: &str) -> Vec<String> {
    let help = run(&["help", applet]);
    let part =
        help.ok().split("\nExamples:\n").nth(1).unwrap().split("\n\n").next().unwrap().replace("\\\n", " ");
    let lines = part.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// What examples name, and stand-ins for the programs that they run.
const SCENE: &str = r#"
set -e
mkdir -p /run/w/bin /run/flannel /run/etc/kubernetes /run/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work etc /etc
printf 'FLANNEL_NETWORK=10.10.0.0/16\nFLANNEL_SUBNET=10.10.48.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n' >/run/flannel/subnet.env
ip link add eth0 type veth peer name other; ip link set eth0 up; ip link set other up
ip addr add 10.0.0.2/24 dev eth0
ip link add cbr0 type bridge; ip addr add 10.10.48.1/24 dev cbr0; ip link set cbr0 up
cd /run/w
ln -s "$K" bin/kboot
printf '#!/bin/sh\necho Kubernetes v1.20.2\n' >bin/kubelet
printf '#!/bin/sh\necho Docker version 20.10.24, build 0\n' >bin/dockerd
chmod +x bin/kubelet bin/dockerd
echo '{"Network": "10.10.0.0/16"}' >flannel.json
echo abcdef.0123456789abcdef >token
echo 'bridge --no-masquerade' >boot.list
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -subj /CN=ca 2>/dev/null
for file in kubelet admin; do
	echo '{"clusters":[{"name":"c","cluster":{"server":"https://master:6443"}}],"contexts":[{"name":"c","context":{"cluster":"c"}}],"current-context":"c"}' >/etc/kubernetes/$file.conf
done
"#;

/// As they are, in a dry run. What asks a server finds none (75); --check finds differences, and a new node would
/// not be one (3).
#[test]
fn every_example_can_be_pasted() {
    let Some(busybox) = need("busybox", "tools").filter(|_| root_user()) else { return };
    let host = Host::new();
    let scene = host.command("sh", &["-c", SCENE]).env("K", binary()).status().unwrap();
    assert!(scene.success());
    let mut well = 0;
    for applet in run(&["--list"]).ok().lines() {
        let examples = examples(applet);
        assert!(!examples.is_empty(), "{applet}");
        for line in examples {
            assert!(line.contains(&format!("kboot {applet}")), "{applet}: {line}");
            let mut shell = host.command("sh", &["-c", &format!("cd /run/w; {line}")]);
            shell.env("PATH", "/run/w/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("KBOOT_KBOOT", &busybox);
            shell
                .env("KBOOT_DRY_RUN", "1")
                .env("KBOOT_TIMEOUT", "0")
                .env("HASH", format!("sha256:{:064}", 7))
                .env("SUM", format!("{:064}", 7));
            let done = finish(&mut shell);
            // The machine's own: its list, and its kernel's modules.
            let absent = ["/etc/kboot/boot: No such file", "there are no modules for this kernel"];
            let is_absent = absent.iter().any(|text| done.stderr.contains(text));
            well += usize::from(done.code == 0);
            assert!([0, 3, 75].contains(&done.code) || is_absent, "{line}: {done:?}");
            let differs = ["--check", "--bootstrap-token-file"].iter().any(|o| line.contains(o));
            assert!(done.code != 3 || differs, "{line}: {done:?}");
        }
    }
    assert!(well > 20, "{well}");
}

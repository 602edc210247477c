//! What runs leave in /run/kboot/timeline, and what `timeline` draws of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::host::Host;
use crate::support::{Done, binary, collect, finish, need, root_user};

const LEASE: &str = "FLANNEL_SUBNET=10.86.3.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n";
const RECORDS: &str = "/run/kboot/timeline";

fn leased_host() -> Option<Host> {
    let host = root_user().then(Host::new)?;
    fs::create_dir(host.file("/run/flannel")).unwrap();
    fs::write(host.file("/run/flannel/subnet.env"), LEASE).unwrap();
    Some(host)
}

fn names(host: &Host) -> Vec<String> {
    let entries = fs::read_dir(host.file(RECORDS)).into_iter().flatten();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn records(host: &Host) -> Vec<Value> {
    let read = |name: &String| fs::read_to_string(host.file(&format!("{RECORDS}/{name}"))).unwrap();
    names(host).iter().map(|name| serde_json::from_str(&read(name)).unwrap()).collect()
}

/// Seconds since the kernel's start, by another reader of the same clock.
fn uptime() -> f64 {
    let text = fs::read_to_string("/proc/uptime").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn seconds(record: &Value, key: &str) -> f64 {
    record[key].as_f64().unwrap_or_else(|| panic!("{key} of {record}"))
}

const BRIDGE: [&str; 5] = ["bridge", "--masquerade", "10.86.0.0/16", "--firewall", "nft"];
const REFUSED: [&str; 5] = ["register", "--server", "http://127.0.0.1:1", "--timeout", "300ms"];

#[test]
fn each_run_leaves_one_and_what_does_nothing_leaves_none() {
    let Some(host) = leased_host() else { return };
    for args in [
        &["bridge", "--help"][..],
        &["bridge", "--dry-run"],
        &["bridge", "--check"],
        &["bridge", "--mtu", "7"],
        &["bridge", "--nonsense"],
        &["--list"],
        &["timeline"],
    ] {
        host.kboot(args);
        assert_eq!(names(&host), [""; 0], "{args:?}");
    }
    let before = uptime();
    host.kboot(&BRIDGE).ok();
    assert_eq!(host.kboot(&REFUSED).code, 75);
    host.kboot(&["flannel-env", "--", "true"]).ok();
    host.kboot(&BRIDGE).ok();
    let found = records(&host);
    let said: Vec<_> = found.iter().map(|r| (&r["applet"], &r["outcome"], &r["exit"])).collect();
    let said = format!("{}", serde_json::json!(said));
    assert_eq!(
        said,
        r#"[["bridge","changed",0],["register","deadline",75],["flannel-env","exec",0],["bridge","unchanged",0]]"#
    );
    for record in &found {
        let (start, end) = (seconds(record, "start"), seconds(record, "end"));
        assert!(before - 0.02 <= start && start < end && end <= uptime() + 0.02, "{record}");
        let sum = seconds(record, "worked") + seconds(record, "waited");
        assert!((sum - (end - start)).abs() < 1e-5, "{record}");
    }
    let steps: Vec<&str> =
        found[0]["steps"].as_array().unwrap().iter().map(|s| s["text"].as_str().unwrap()).collect();
    assert!(steps.len() > 4 && steps.iter().any(|s| s.starts_with("ip link add cbr0 ")), "{steps:?}");
    assert!(found[0]["text"].as_str().unwrap().starts_with("cbr0 10.86.3.1/24 up ("), "{}", found[0]);
    let wait = &found[1]["waits"][0];
    assert!(wait["text"].as_str().unwrap().contains("127.0.0.1:1"), "{wait}");
    assert!(wait["why"].as_str().unwrap().contains("refused"), "{wait}");
    assert!(seconds(&found[1], "waited") >= 0.29 && found[1]["error"].is_string(), "{}", found[1]);
    assert!(found[2]["text"].as_str().unwrap().starts_with("exec /"), "{}", found[2]);
    assert_eq!(found[3]["steps"], serde_json::json!([]));
}

#[test]
fn it_waited_for_as_long_as_it_was_made_to_wait() {
    let Some(host) = root_user().then(Host::new) else { return };
    let started = Instant::now();
    let mut command = host.command(binary(), &["flannel-env", "--get", "FLANNEL_MTU"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("waiting for /run/flannel/subnet.env"), "{line}");
    let waiting = Instant::now();
    // Not for anything to happen: this is how long it is made to wait.
    thread::sleep(Duration::from_millis(350));
    let least = waiting.elapsed().as_secs_f64();
    host.sh(&format!("mkdir /run/flannel && printf '{LEASE}' >/run/flannel/new && mv /run/flannel/new /run/flannel/subnet.env"));
    collect(child).ok();
    let most = started.elapsed().as_secs_f64();
    let record = records(&host).remove(0);
    let waited = seconds(&record, "waited");
    assert!((least..most).contains(&waited), "{least} {waited} {most}: {record}");
    assert!(seconds(&record, "worked") < 0.2, "{record}");
}

#[test]
fn the_boots_first_32_are_kept_and_the_last_32() {
    let Some(host) = leased_host() else { return };
    let many = |count: usize| {
        let line =
            format!("for i in $(seq {count}); do {} flannel-env --get FLANNEL_MTU; done", binary().display());
        host.sh(&line);
        names(&host)
    };
    let first = many(32);
    assert_eq!(first.len(), 32);
    assert_eq!(many(32).len(), 64);
    let all = many(6);
    assert_eq!((all.len(), &all[..32]), (64, &first[..]));
    host.kboot(&BRIDGE).ok();
    assert!(names(&host).last().unwrap().ends_with("-bridge.json"));
}

#[test]
fn killed_runs_leave_nothing_broken() {
    let Some(host) = leased_host() else { return };
    for micros in (0..6000).step_by(100) {
        let mut child = host.command(binary(), &["flannel-env", "--get", "FLANNEL_MTU"]);
        let mut child = child.stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_micros(micros));
        let _ = child.kill();
        child.wait().unwrap();
    }
    // One that was killed between its two steps, whose process is gone.
    host.sh(&format!("mkdir -p {RECORDS} && echo '{{' >{RECORDS}/.new.kboot-4194999"));
    host.kboot(&["flannel-env", "--get", "FLANNEL_MTU"]).ok();
    assert!(!records(&host).is_empty() && names(&host).iter().all(|n| !n.starts_with('.')));
    assert_eq!(host.kboot(&["timeline"]).stderr, "");
}

#[test]
fn without_a_run_directory_to_trust_there_is_none() {
    let Some(host) = leased_host() else { return };
    let get = |more: &[&str]| host.kboot(&[&["flannel-env", "--get", "FLANNEL_MTU"], more].concat());
    host.sh("mkdir -m 777 /run/kboot");
    assert_eq!((get(&[]).error(), names(&host).len()), ((0, ""), 0));
    host.sh("rmdir /run/kboot && mkdir /run/elsewhere && ln -s elsewhere /run/kboot");
    assert_eq!((get(&[]).error(), host.sh("ls /run/elsewhere").as_str()), ((0, ""), ""));
    host.sh("rm /run/kboot && mount -o remount,ro /run");
    assert_eq!(get(&[]).error(), (0, ""));
    let told = get(&["-v"]);
    assert!(
        told.stderr.contains("debug: no record of this run: /run/kboot: Read-only file system"),
        "{told:?}"
    );
    assert_eq!(
        host.kboot(&["timeline"]).error(),
        (0, "kboot timeline: no run of this boot has left a record in /run/kboot/timeline")
    );
}

fn some_runs() -> Option<Host> {
    let host = leased_host()?;
    host.kboot(&BRIDGE).ok();
    assert_eq!(host.kboot(&REFUSED).code, 75);
    let mut fails = host.command("setpriv", &["--bounding-set", "-net_admin"]);
    assert_ne!(finish(fails.arg(binary()).args(BRIDGE).args(["--name", "br<&>"])).code, 0);
    let mut fails = host.command("setpriv", &["--bounding-set", "-net_admin"]);
    assert_eq!(finish(fails.arg(binary()).args(BRIDGE).args(["--name", "br86"])).code, 1);
    Some(host)
}

#[test]
fn it_is_drawn_in_the_columns_that_there_are() {
    let Some(host) = some_runs() else { return };
    let drawn = host.kboot(&["timeline"]);
    let lines: Vec<&str> = drawn.ok().lines().collect();
    assert!(lines.iter().all(|l| l.chars().count() <= 80), "{drawn:?}");
    let row = |name: &str| lines.iter().position(|l| l.starts_with(&format!("{name} "))).unwrap();
    assert!(row("bridge") < row("register"));
    assert!(lines[row("register")].contains("··") && lines[row("register")].ends_with('X'), "{drawn:?}");
    assert!(lines[row("register") + 1].starts_with("  exit 75: http://127.0.0.1:1"), "{drawn:?}");
    assert_eq!(lines.iter().filter(|l| l.starts_with("  exit 1: ")).count(), 2, "{drawn:?}");
    assert!(lines.last().unwrap().contains("worked"));
    // Any user may look.
    let mut nobody = host.command("setpriv", &["--reuid", "65534", "--clear-groups"]);
    assert_eq!(finish(nobody.arg(binary()).arg("timeline")).ok(), drawn.stdout);
    let wide = |columns: u32| {
        let line = format!("stty cols {columns}; {} timeline", binary().display());
        let mut terminal = host.command("script", &["-qec", &line, "/dev/null"]);
        let done = finish(terminal.env("TERM", "xterm").env("NO_COLOR", "1"));
        done.ok().lines().map(|l| l.trim_end().chars().count()).max().unwrap()
    };
    assert!((81..=150).contains(&wide(150)) && wide(70) <= 70);
}

#[test]
fn json_holds_the_records() {
    let Some(host) = some_runs() else { return };
    let object = host.kboot(&["timeline", "--json"]).json();
    assert_eq!(object["found"]["runs"], Value::from(records(&host)));
    assert_eq!((&object["applet"], &object["outcome"]), (&"timeline".into(), &"unchanged".into()));
    let both = host.kboot(&["timeline", "--json", "--svg", "-"]);
    assert_eq!(both.code, 2, "{both:?}");
}

/// libxml2 stands in for a browser.
#[test]
fn the_picture_is_well_formed_and_loads_nothing() {
    let (Some(host), Some(_)) = (some_runs(), need("xmllint", "tools")) else { return };
    let picture = host.kboot(&["timeline", "--svg", "-"]).ok().to_owned();
    host.kboot(&["timeline", "--svg", "/run/boot.svg"]).ok();
    assert_eq!(fs::read_to_string(host.file("/run/boot.svg")).unwrap(), picture);
    let file = || fs::metadata(host.file("/run/boot.svg")).unwrap().ino();
    let before = file();
    host.kboot(&["timeline", "--svg", "/run/boot.svg"]).ok();
    assert_eq!(before, file(), "it is so already");
    host.sh("xmllint --noout --nonet /run/boot.svg");
    let every = |what: &str| host.sh(&format!("xmllint --xpath '{what}' /run/boot.svg 2>&1; true"));
    let titles = every("//*[local-name()=\"title\"]/text()");
    for part in ["register: exit 75 at ", "waited for http://127.0.0.1:1", "ip link add cbr0 "] {
        assert!(titles.contains(part), "{part}: {titles}");
    }
    assert_eq!(every("name(/*)").trim(), "svg");
    assert_eq!(
        every("count(//@href | //@src | //*[local-name()=\"script\" or local-name()=\"image\"])").trim(),
        "0"
    );
    let dry = host.kboot(&["timeline", "--svg", "/run/other.svg", "--dry-run"]);
    assert_eq!((dry.ok(), host.file("/run/other.svg").exists()), ("write /run/other.svg\n", false));
}

#[test]
fn damaged_records_are_left_out_and_named() {
    let Some(host) = some_runs() else { return };
    for (name, content) in
        [("0000000000000001-1-bridge.json", "{"), ("0000000000000002-1-init.json", "{\"start\":1}")]
    {
        fs::write(host.file(&format!("{RECORDS}/{name}")), content).unwrap();
    }
    let drawn: Done = host.kboot(&["timeline"]);
    let wanted = [1, 2].map(|n| {
        let name = if n == 1 { "bridge" } else { "init" };
        format!("kboot timeline: warning: {RECORDS}/000000000000000{n}-1-{name}.json: is no record of a run: left out\n")
    });
    assert_eq!((drawn.code, drawn.stderr.as_str()), (0, wanted.concat().as_str()));
    assert!(drawn.stdout.contains("\nregister "));
}

/// Of the many runs of these tests the machine's own boot is to know nothing: tests/support/runner.sh.
#[test]
fn these_tests_have_records_of_their_own() {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!root_user() || mounts.contains(" /run/kboot "), "not run by cargo: {mounts}");
}

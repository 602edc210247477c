use serde_json::json;

use super::*;

fn boot() -> Vec<Run> {
    let waits =
        json!([{ "text": "http://10.71.0.1:8080", "why": "connection refused", "start": 2.2, "took": 1.5 }]);
    let steps = json!([{ "text": "ip link add cbr0 <&> type bridge", "start": 2.06, "took": 0.001 }]);
    let failed = json!([{ "text": "nft add table ip kboot", "start": 3.95, "took": 0.0002, "error": "Operation not permitted" }]);
    let phases = json!([
        { "text": "modules", "start": 1.8, "took": 0.1 },
        { "text": "network", "start": 1.9, "took": 0.15 },
    ]);
    let record = |applet: &str, start: f64, end: f64, waited: f64, exit: u8, text: &str| {
        json!({ "applet": applet, "pid": 7, "start": start, "end": end, "waited": waited, "worked": 0, "outcome": "changed",
                "exit": exit, "text": text, "error": null, "waits": [], "steps": [], "phases": [] })
    };
    let mut init = record("init", 1.8, 4.0, 0.0, 0, "exec /sbin/init");
    init["phases"] = phases;
    let mut bridge = record("bridge", 2.05, 2.062, 0.0, 0, "cbr0 10.71.4.1/24 up (4 changed, 2 already so)");
    bridge["steps"] = steps;
    let mut register = record("register", 2.1, 3.8, 1.5, 0, "node 10.71.4.1");
    register["waits"] = waits;
    let mut failing = record("mk-docker-opts.sh", 3.9, 4.0, 0.0, 1, "");
    failing["error"] = json!(
        "nft add table ip kboot: Operation not permitted: run it as root, or give it CAP_NET_ADMIN in its unit"
    );
    failing["steps"] = failed;
    [init, bridge, register, failing].iter().map(|r| Run::of(r).unwrap()).collect()
}

#[test]
fn a_boot_in_80_columns() {
    let wanted = "                 start  worked  waited  0 s                              4.00 s
kernel             0 s                  ░░░░░░░░░░░░░░░░░
init            1.80 s  2.20 s     0 s                   ██████████████████████
 modules        1.80 s  100 ms                           █
 network        1.90 s  150 ms                            █
bridge          2.05 s   12 ms     0 s                     █
register        2.10 s  200 ms  1.50 s                      █···············█
mk-docker-opt…  3.90 s  100 ms     0 s                                        █X
  exit 1: nft add table ip kboot: Operation not permitted: run it as root, or g…

█ worked  · waited  ░ before kboot  X failed
";
    let found = text(&boot(), 80);
    for line in found.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert_eq!(found, wanted);
}

#[test]
fn a_record_that_is_none() {
    let good = json!({ "applet": "a", "start": 1, "end": 2.5, "waited": 0, "exit": 0, "waits": [], "steps": [], "phases": [] });
    assert!(Run::of(&good).is_some());
    for (key, value) in [
        ("applet", json!(1)),
        ("start", json!(-1)),
        ("end", json!("2")),
        ("end", json!(1e300)),
        ("waits", json!([{}])),
        ("steps", json!(null)),
    ] {
        let mut bad = good.clone();
        bad[key] = value;
        assert_eq!(Run::of(&bad), None, "{bad}");
    }
    assert_eq!(Run::of(&json!([])), None);
}

#[test]
fn times_in_seven_columns() {
    for (micros, text) in [
        (0, "0 s"),
        (450, "0.4 ms"),
        (9_990, "9.9 ms"),
        (10_000, "10 ms"),
        (999_999, "999 ms"),
        (1_234_567, "1.23 s"),
        (99_999_999, "99.99 s"),
        (100_000_000, "100 s"),
        (9_999_000_000, "9999 s"),
        (12_600_000_000, "3.5 h"),
        (302_400_000_000, "3.5 d"),
    ] {
        assert_eq!(time(micros), text);
        assert!(text.len() <= 7);
    }
}

#[test]
fn what_ran_long_after_has_a_scale_of_its_own() {
    let mut runs = boot();
    for start in [300_000.0, 300_001.0] {
        let later = json!({ "applet": "bridge", "start": start, "end": start + 0.5, "waited": 0, "exit": 0,
                            "waits": [], "steps": [], "phases": [] });
        runs.push(Run::of(&later).unwrap());
    }
    let spans: Vec<(u64, u64, usize)> = charts(&runs).iter().map(|c| (c.from, c.to, c.runs.len())).collect();
    assert_eq!(spans, [(0, 4_000_000, 4), (300_000_000_000, 300_001_500_000, 2)]);
    assert_eq!(charts(&runs)[0].marks(8), (1..=8).map(|n| n * 500_000).collect::<Vec<_>>());
    let apart = text(&runs, 80);
    assert!(apart.contains("\nbridge            +0 s  500 ms     0 s  ████"), "{apart}");
    assert!(apart.contains("  3.4 d") && apart.contains(" +1.50 s\n"), "{apart}");
    // Of a host that was up for days before: nothing is said of its boot.
    assert_eq!(charts(&runs[4..])[0].from, 300_000_000_000);
    assert!(!text(&runs[4..], 80).contains('\u{2591}'.to_string().repeat(2).as_str()));
    assert!(charts(&[]).is_empty());
}

#[test]
fn the_picture_tells_all_and_is_escaped() {
    let picture = svg(&boot());
    for part in [
        "viewBox=\"0 0 900 ",
        "prefers-color-scheme:dark",
        ">kernel</text>",
        "<title>ip link add cbr0 &lt;&amp;&gt; type bridge (1.0 ms)</title>",
        "<title>register: waited for http://10.71.0.1:8080 (1.50 s): connection refused</title>",
        "<title>nft add table ip kboot (0.2 ms): Operation not permitted</title>",
        ">100 ms, exit 1</text>",
        ">3.50 s</text>",
    ] {
        assert!(picture.contains(part), "{part} in {picture}");
    }
    // 130 + 650 * 1.8 / 4.0: where the kernel ends and init begins.
    assert!(picture.contains("<rect class=\"b\" x=\"130\" y=\"32\" width=\"292\""), "{picture}");
    assert!(picture.contains("<rect class=\"d\" x=\"422\" y=\"40\" width=\"358\""), "{picture}");
    assert!(!picture.contains("<script") && !picture.contains("href"));
    assert!(svg(&[]).ends_with("</svg>\n"));
}

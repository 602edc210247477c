//! The tables of all applets, held to what they are tables of.

use std::collections::BTreeSet;

use super::*;

#[test]
fn no_line_is_wider_than_80_columns() {
    for applet in APPLETS.iter().map(Some).chain([None]) {
        for line in text(applet, false).lines() {
            assert!(line.chars().count() <= 80, "{line}");
            assert_eq!(line.trim_end(), line);
        }
    }
}

#[test]
fn every_option_is_in_one_group_and_every_group_has_options() {
    for applet in &APPLETS {
        let (name, info) = (applet.name, (applet.info)());
        let own: Vec<&str> = applet.groups.iter().flat_map(|g| cut(g).1.split(' ')).collect();
        let known: BTreeSet<&str> = info.flags.iter().map(|f| f.long).collect();
        let grouped: Vec<&str> = own.iter().copied().chain(cut(options::RUN).1.split(' ')).collect();
        for option in &known {
            let times = grouped.iter().filter(|g| *g == option).count();
            assert_eq!(times, 1, "{name}: {option} is to be in one of Applet::groups, and is in {times}");
        }
        for option in &grouped {
            assert!(known.contains(option), "{name}: Applet::groups has {option}, which is no option of it");
        }
        let titles: BTreeSet<&str> = applet.groups.iter().map(|g| cut(g).0).collect();
        assert_eq!(titles.len(), applet.groups.len(), "{name}: two of Applet::groups have one title");
    }
}

#[test]
fn entries_are_a_head_and_a_text() {
    for applet in &APPLETS {
        let name = applet.name;
        assert!(!applet.examples.is_empty(), "{name} has no example");
        let tables = [applet.examples, applet.groups, applet.exits, applet.variables, applet.files];
        for entry in tables.into_iter().flatten() {
            let (head, text) = cut(entry);
            assert!(!head.is_empty() && !text.is_empty(), "{name}: {entry:?} is no `HEAD: TEXT`");
            assert!(!text.ends_with('.') && !head.contains('\n'), "{name}: {entry:?}");
        }
        for entry in applet.exits {
            let known = ["0", "1", "2", "3", "75", "126", "127"];
            let mut codes = cut(entry).0.split(", ");
            assert!(codes.all(|code| known.contains(&code)), "{name}: {entry:?}");
        }
        assert!(applet.files.iter().all(|f| f.starts_with('/')), "{name}");
    }
}

/// What stands for a value is the same word everywhere: completion goes by it.
#[test]
fn values_have_few_names() {
    let known = [
        "API",
        "BACKEND",
        "BYTES",
        "CHECK",
        "CIDR",
        "CIDR=IP",
        "CONTEXT",
        "DIR",
        "DOMAIN",
        "DURATION",
        "FORMAT",
        "HASH",
        "HOW",
        "ID",
        "IFNAME",
        "IMAGE",
        "IP",
        "K=V",
        "K=V:EFFECT",
        "KEY",
        "KIND",
        "MODE",
        "MODULE",
        "N",
        "NAME",
        "NAME=VALUE",
        "NAME[=VALUE]",
        "ROLE",
        "NODE",
        "PATH",
        "PATH|LINES",
        "PORT",
        "PROGRAM",
        "RELEASE",
        "RUNTIME",
        "SCRIPT",
        "SPEC",
        "SRC[:DST[:MODE]]",
        "TYPE",
        "URL",
        "USER",
        "VARIABLE",
        "VERSION",
    ];
    for applet in &APPLETS {
        for flag in (applet.info)().flags {
            let value = value_of(flag);
            assert!(
                value.is_empty() || known.contains(&value.as_str()),
                "{} {} {value}",
                applet.name,
                flag.long
            );
        }
    }
}

#[test]
fn colours_are_the_only_difference() {
    let bridge = APPLETS.iter().find(|a| a.name == "bridge");
    for applet in [None, bridge] {
        let (plain, coloured) = (text(applet, false), text(applet, true));
        assert!(!plain.contains('\x1b') && coloured.contains("\x1b[1m"));
        assert_eq!(coloured.replace("\x1b[1m", "").replace("\x1b[m", ""), plain);
    }
}

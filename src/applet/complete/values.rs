//! What an option's value can be. The words come from where they are parsed, or stand in `WORDS`, which a
//! test holds against the parsers.

use std::fs;

use argh::{FlagInfo, FlagInfoKind};

use super::Answer;
use crate::applet::{Applet, lease};
use crate::plan::network::backends::BACKENDS;
use crate::plan::{cni, flannel, node, preflight};
use crate::sys::link::{Link, Links};

/// An option, of that applet or of any, and its words.
const WORDS: [(&str, &str, &str); 13] = [
    ("", "--api", "auto v2 v3 both"),
    ("", "--firewall", "auto iptables nft none"),
    ("", "--hairpin-mode", "promiscuous-bridge hairpin-veth none"),
    ("flannel-env", "--format", "sh export env systemd json"),
    ("docker-flags", "--format", "flags env daemon-json systemd"),
    ("docker-flags", "--restart", "auto systemd queue sysv"),
    ("mk-docker-opts.sh", "--mk-compat", "0.5 0.6"),
    ("register", "--cloud-provider", "external"),
    ("", "--runtime", "docker unix:///run/containerd/containerd.sock unix:///run/crio/crio.sock"),
    ("ipconfig", "--ip", "dhcp off"),
    ("", "--timeout", TIMES),
    ("", "--stop-timeout", TIMES),
    ("", "--role", "node control-plane both"),
];

const TIMES: &str = "0 30s 90s 5m 10m forever";

impl Answer {
    /// The values of an option, each with `prefix` in front; `typed` is what stands there already.
    pub(super) fn value(&mut self, applet: &Applet, flag: &FlagInfo<'_>, prefix: &str, typed: &str) {
        let FlagInfoKind::Option { arg_name } = flag.kind else { return };
        let is_of = |of: &str| of.is_empty() || of == applet.name;
        if let Some((.., words)) = WORDS.iter().find(|(of, long, _)| is_of(of) && *long == flag.long) {
            return self.words(prefix, words.split(' '));
        }
        match (flag.long, arg_name) {
            // Where the file goes in an image, and its mode, are the administrator's.
            ("--file", _) if arg_name != "path" && typed.contains(':') => {}
            ("--file", _) | (_, "path" | "path|lines" | "program") => self.tell("files", prefix),
            (_, "dir") => self.tell("directories", prefix),
            ("--bridge", _) | ("--name", "ifname") => self.links(prefix, |l| l.kind == "bridge"),
            (_, "ifname" | "link") => self.links(prefix, |l| l.name != "lo"),
            ("--public-ip" | "--node-ip" | "--address", "ip") => self.addresses(prefix),
            ("--subnet", _) => self.words(prefix, subnets().iter().map(String::as_str)),
            ("--get", _) => self.words(prefix, flannel::variable_names()),
            ("--cni-version", _) => self.words(prefix, cni::VERSIONS.into_iter()),
            ("--ignore", _) => self.words(prefix, preflight::CHECKS.into_iter().chain(["all"])),
            ("--backend", _) => self.words(prefix, BACKENDS.iter().map(|b| b.name)),
            ("--kernel", _) => self.kernels(prefix),
            ("--taint", _) => {
                // KEY=VALUE is the administrator's.
                if let Some((taint, _)) = typed.rsplit_once(':') {
                    self.words(&format!("{prefix}{taint}:"), node::EFFECTS.into_iter());
                }
            }
            _ => {}
        }
    }

    fn words<'w>(&mut self, prefix: &str, words: impl Iterator<Item = &'w str>) {
        for word in words {
            self.add(&format!("{prefix}{word}"), "");
        }
    }

    fn links(&mut self, prefix: &str, is_meant: fn(&Link) -> bool) {
        for link in Links::open().and_then(|l| l.all()).unwrap_or_default().iter().filter(|l| is_meant(l)) {
            let down = if link.up { "" } else { ", down" };
            self.add(&format!("{prefix}{}", link.name), &format!("{}{down}", link.kind));
        }
    }

    fn addresses(&mut self, prefix: &str) {
        for (_, cidr) in Links::open().and_then(|l| l.addresses()).unwrap_or_default() {
            if !cidr.addr().is_loopback() {
                self.add(&format!("{prefix}{}", cidr.addr()), "");
            }
        }
    }

    fn kernels(&mut self, prefix: &str) {
        for entry in fs::read_dir("/lib/modules").into_iter().flatten().flatten() {
            self.add(&format!("{prefix}{}", entry.file_name().to_string_lossy()), "");
        }
    }
}

/// This host's lease, if it has one.
fn subnets() -> Vec<String> {
    lease::at_default().iter().flat_map(|l| l.subnets().map(|c| c.to_string()).collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::applet::cli::Words;
    use crate::applet::report::Report;
    use crate::applet::{APPLETS, complete::takes_value};

    /// What the applet says to an option; it does nothing, since a later one is wrong.
    fn said(applet: &Applet, long: &str, value: &str) -> String {
        let argv = [long, value, "--dry-run", "--timeout", "never"].map(OsString::from);
        let argv = if long == "--timeout" { &argv[..3] } else { &argv };
        let words = Words::scan(applet.name, &(applet.info)(), argv).unwrap();
        (applet.run)(&words, &mut Report::new(applet.name)).unwrap_err().to_string()
    }

    fn has(applet: &Applet, long: &str) -> bool {
        (applet.info)().flags.iter().any(|f| f.long == long)
    }

    #[test]
    fn every_word_is_one_that_the_applet_takes() {
        let mut count = 0;
        for (of, long, words) in WORDS.iter().filter(|(_, long, _)| *long != "--timeout") {
            for applet in APPLETS.iter().filter(|a| (of.is_empty() || *of == a.name) && has(a, long)) {
                for word in words.split(' ') {
                    count += 1;
                    assert!(said(applet, long, word).starts_with("--timeout never: "), "{long} {word}");
                }
                assert!(said(applet, long, "zzz").starts_with(&format!("{long} zzz: ")), "{long}");
            }
        }
        assert!(count > 35, "{count}");
        assert!(TIMES.split(' ').all(|t| t.parse::<crate::types::Timeout>().is_ok()));
    }

    #[test]
    fn every_word_that_an_error_names_is_offered() {
        let is_listed = |long: &str| !["--runtime", "--ip", "--timeout", "--stop-timeout"].contains(&long);
        for (of, long, words) in WORDS.iter().filter(|(_, long, _)| is_listed(long)) {
            for applet in APPLETS.iter().filter(|a| (of.is_empty() || *of == a.name) && has(a, long)) {
                let said = said(applet, long, "zzz");
                // is neither 0.5 (flannel to 0.5.6) nor 0.6 (from 0.6.0)
                let said: String = said.split('(').map(|s| s.split_once(')').map_or(s, |(_, s)| s)).collect();
                let said = said.rsplit("zzz: ").next().unwrap().split(": ").next().unwrap();
                for word in said.split([' ', ',', '"']).filter(|w| !w.is_empty()) {
                    let is_filler =
                        "expected is neither nor none not of or and a pid".split(' ').any(|f| f == word);
                    assert!(is_filler || words.split(' ').any(|w| w == word), "{long}: {word}");
                }
            }
        }
    }

    /// An option is offered values, or what it takes is the administrator's alone to know.
    #[test]
    fn no_option_is_forgotten() {
        const FREE: &str = "bytes cidr cidr=ip cidr[,cidr] cluster-cidr context domain hash hex id image ip k=v key \
            module n name name=value name[=value] node number port url user v variable version";
        for applet in &APPLETS {
            for flag in (applet.info)().flags.iter().filter(|f| takes_value(f)) {
                let FlagInfoKind::Option { arg_name } = flag.kind else { continue };
                let mut answer = Answer::default();
                let typed = if flag.long == "--taint" { "k=v:" } else { "" };
                answer.value(applet, flag, "", typed);
                let of_host = ["ifname", "link", "release"].contains(&arg_name);
                assert!(
                    !answer.0.is_empty() || of_host || FREE.split_whitespace().any(|f| f == arg_name),
                    "{} {} {arg_name}: say in this file what it can be, or that it is free",
                    applet.name,
                    flag.long
                );
            }
        }
    }
}

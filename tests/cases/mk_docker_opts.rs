//! mk-docker-opts.sh: byte by byte what flannel's scripts wrote, and kboot's own ways where they differ.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::host::Host;
use crate::support::{Done, Scratch, binary, finish, kboot, need, root_user, run};

const CASES: &str = include_str!("mk_docker_opts.txt");
const NO_MASQ: &str =
    "FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.74.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n";
const WRITTEN: &str = "DOCKER_OPT_BIP=\"--bip=10.1.74.1/24\"\nDOCKER_OPT_IPMASQ=\"--ip-masq=true\"\n\
    DOCKER_OPT_MTU=\"--mtu=1472\"\nDOCKER_OPTS=\" --bip=10.1.74.1/24 --ip-masq=true --mtu=1472\"\n";
/// What the output holds before.
const STALE: &str = "STALE\n";

/// The text of a lease file; `None`: there is none.
fn lease(name: &str) -> Option<String> {
    match name {
        "none" => None,
        "empty" => Some(String::new()),
        "NO_MASQ" => Some(NO_MASQ.into()),
        "MASQ" => Some(NO_MASQ.replace("false", "true")),
        "SUBMTU" => Some("FLANNEL_SUBNET=10.1.74.1/24\nFLANNEL_MTU=1472\n".into()),
        "SIX" => Some(
            "FLANNEL_IPV6_NETWORK=fd00:42::/56\nFLANNEL_IPV6_SUBNET=fd00:42:0:3::1/64\nFLANNEL_MTU=1430\n\
             FLANNEL_IPMASQ=false\n"
                .into(),
        ),
        text => Some(text.replace("\\r", "\r").replace("\\n", "\n")),
    }
}

/// A line of the table.
struct Case<'a> {
    line: &'a str,
    lease: Option<String>,
    environment: Vec<(&'a str, &'a str)>,
    options: &'a str,
    code: i32,
    /// The output by the ways of 0.5 and 0.6.
    written: [String; 2],
}

fn cases() -> Vec<Case<'static>> {
    let lines = CASES.lines().filter(|l| !l.starts_with('#'));
    let cases = lines.map(|line| {
        let fields: Vec<&str> = line.trim_start_matches("* ").split(" | ").collect();
        let [input, environment, options, code, each, old, new] = fields[..] else { panic!("{line}") };
        let written = |combined: &str| match each {
            "stays" => STALE.to_owned(),
            _ => [each, combined]
                .iter()
                .filter(|l| **l != "-")
                .map(|l| l.replace("\\n", "\n") + "\n")
                .collect(),
        };
        Case {
            line,
            lease: lease(input),
            environment: environment.split(';').filter_map(|v| v.split_once('=')).collect(),
            options: if options == "-" { "" } else { options },
            code: code.parse().unwrap(),
            written: [written(old), written(new)],
        }
    });
    let cases: Vec<_> = cases.collect();
    assert_eq!(cases.len(), 31);
    cases
}

impl Case<'_> {
    /// Runs it: what kboot says, and what the output then holds.
    fn run(&self, compat: &[&str]) -> (Done, String) {
        let dir = Scratch::new();
        let input = dir.path("in");
        if let Some(text) = &self.lease {
            fs::write(&input, text).unwrap();
        }
        let output = dir.file("out", STALE);
        let mut command = kboot(&["mk-docker-opts.sh", "-f", &input, "-d", &output]);
        command.args(self.options.split_whitespace()).args(compat).envs(self.environment.iter().copied());
        let done = finish(&mut command);
        (done, fs::read_to_string(output).unwrap())
    }
}

#[test]
fn as_flannels_scripts() {
    let mut wrong = Vec::new();
    for case in cases() {
        for (compat, written) in ["0.5", "0.6"].iter().zip(&case.written) {
            let (done, text) = case.run(&["--mk-compat", compat]);
            if (done.code, &text) != (case.code, written) {
                wrong.push(format!("{}\n  by {compat}: {text:?} {done:?}", case.line));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Without --mk-compat: the text of today's script, from a lease file alone.
#[test]
fn a_lease_without_compat() {
    let of_a_file = |c: &Case<'_>| {
        let text = c.lease.as_deref().unwrap_or_default();
        text.contains("FLANNEL_SUBNET") && c.environment.iter().all(|(n, _)| !n.starts_with("FLANNEL"))
    };
    let cases: Vec<Case<'_>> = cases().into_iter().filter(|c| c.code == 0 && of_a_file(c)).collect();
    assert!(cases.len() > 12);
    for case in cases {
        let (done, text) = case.run(&[]);
        assert_eq!((done.code, &text), (0, &case.written[1]), "{}: {done:?}", case.line);
    }
}

/// The scripts write `DOCKER_OPTS=""` then, and docker comes up on a subnet that is no one's.
#[test]
fn a_lease_that_is_not_there_is_an_error() {
    let dir = Scratch::new();
    for (lease, name) in [
        (None, "missing"),
        (Some(""), "empty"),
        (Some("FLANNEL_MTU=1472\n"), "half"),
        (Some("FLANNEL_SUBNET=10.1.74.1\n"), "bad"),
        (Some("FLANNEL_SUBNET=10.1.74.1/24\nFLANNEL_IPMASQ=yes\n"), "masq"),
    ] {
        let input = dir.path(name);
        if let Some(text) = lease {
            fs::write(&input, text).unwrap();
        }
        // Nor does the environment stand in for it.
        let mut command = kboot(&["mk-docker-opts.sh", "-f", &input, "-d", &dir.path("out")]);
        let done = finish(command.env("FLANNEL_SUBNET", "10.9.9.1/24"));
        assert!(done.code != 0 && done.stderr.contains(&input), "{name}: {done:?}");
        assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
        assert!(fs::metadata(dir.path("out")).is_err(), "{name}");
    }
    // It waits where it is told to.
    let waited = run(&["mk-docker-opts.sh", "-f", &dir.path("missing"), "--timeout", "50ms", "-d", "-"]);
    assert_eq!(waited.code, 75, "{waited:?}");
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let dir = Scratch::new();
    let input = dir.file("in", NO_MASQ);
    for compat in [&[][..], &["--mk-compat=0.5"], &["--mk-compat=0.6"]] {
        for output in [dir.path("no/out"), dir.path(""), "/proc/none/out".into()] {
            let done = run(&[&["mk-docker-opts.sh", "-f", &input, "-d", &output], compat].concat());
            assert_eq!(done.code, 1, "{done:?}");
            assert!(done.stderr.lines().last().unwrap().contains(&output), "{done:?}");
        }
        for (key, why) in
            [("A-B", "no name of a variable"), ("1X", "no name of a variable"), ("", "is empty")]
        {
            let output = dir.path("out");
            let args = ["mk-docker-opts.sh", "-f", &input, "-d", &output, "-k", key];
            let done = run(&[&args, compat].concat());
            assert!(done.code != 0 && done.stderr.contains(why), "{done:?}");
            assert!(fs::metadata(output).is_err());
        }
    }
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 1, "no temporary file is left");
}

/// Options as getopts takes them.
#[test]
fn options_in_one_word_and_paths_without_a_slash() {
    let dir = Scratch::new();
    dir.file("lease", NO_MASQ);
    for (args, file, text) in [
        ("-f lease -d out", "out", WRITTEN),
        ("-flease -dout2", "out2", WRITTEN),
        ("-icflease -dout3", "out3", WRITTEN),
        ("-cm -kX -flease -d./out4", "out4", "X=\" --bip=10.1.74.1/24 --mtu=1472\"\n"),
    ] {
        let done = finish(kboot(&["mk-docker-opts.sh"]).args(args.split(' ')).current_dir(&dir.0));
        assert_eq!(done.code, 0, "{args}: {done:?}");
        assert_eq!(fs::read_to_string(dir.path(file)).unwrap(), text, "{args}");
    }
    // Usage is kboot's own, with the exit status of its other applets; the scripts' is 1 for both.
    let before = dir.file("out5", STALE);
    for (option, code) in [("-x", 2), ("-h", 0)] {
        assert_eq!(run(&["mk-docker-opts.sh", "-f", &dir.path("lease"), "-d", &before, option]).code, code);
        assert_eq!(fs::read_to_string(&before).unwrap(), STALE);
    }
}

#[test]
fn through_a_link_of_the_scripts_name() {
    let dir = Scratch::new();
    let input = dir.file("lease", NO_MASQ);
    fs::create_dir(dir.path("bin")).unwrap();
    assert_eq!(run(&["--install", "-s", &dir.path("bin")]).code, 0);
    let link = dir.path("bin/mk-docker-opts.sh");
    let output = dir.path("out");
    let again = || finish(Command::new(&link).env_clear().args(["-f", &input, "-d", &output]));
    assert!(again().stderr.ends_with("(1 changed, 0 already so)\n"));
    assert_eq!(fs::read_to_string(&output).unwrap(), WRITTEN);
    assert!(again().stderr.ends_with("(0 changed, 1 already so)\n"));
    // The way that a distribution's package would have it: a link made by hand.
    let own = dir.path("mk-docker-opts.sh");
    symlink(binary(), &own).unwrap();
    let printed = finish(Command::new(&own).env_clear().args(["-f", &input, "-d", "-"]));
    assert_eq!(printed.ok(), WRITTEN);
    let dry = finish(Command::new(&own).env_clear().args(["-f", &input, "-d", &output, "-c", "--dry-run"]));
    assert!(dry.ok().starts_with(&format!("write {output}: DOCKER_OPTS=")), "{dry:?}");
    assert_eq!(fs::read_to_string(&output).unwrap(), WRITTEN);
}

/// dash reads back what the scripts spoil.
#[test]
fn a_shell_reads_every_value_back() {
    let dir = Scratch::new();
    let input = dir.file("lease", NO_MASQ);
    for value in ["--a  b", r#"--l="a" \t\"#, "$HOME `id` $(id)", "it's", "-n", "*", "ü"] {
        let mut command = kboot(&["mk-docker-opts.sh", "-f", &input, "-d", &dir.path("out"), "-i"]);
        assert_eq!(finish(command.env("DOCKER_OPT_X", value)).code, 0);
        let line = format!(". {} && printf %s \"$DOCKER_OPT_X\"", dir.path("out"));
        assert_eq!(finish(Command::new("dash").env_clear().args(["-c", &line])).ok(), value);
    }
}

/// flannel from 0.18 on looks for such a route once it has written the file.
#[test]
fn a_route_to_the_subnet_by_another_host() {
    if !root_user() || need("ip", "tools").is_none() {
        return;
    }
    let host = Host::new();
    host.sh("ip link add eth7 type veth peer name peer7 && ip addr add 192.0.2.1/24 dev eth7 && ip link set eth7 up");
    host.sh("mkdir /run/flannel && printf 'FLANNEL_SUBNET=10.4.9.1/24\nFLANNEL_MTU=1472\n' >/run/flannel/subnet.env");
    let text = "DOCKER_OPTS=\" --bip=10.4.9.1/24 --mtu=1472\"\n";
    let written = || host.sh("cat /run/docker_opts.env && rm /run/docker_opts.env");
    // Its own route, and those of other subnets, are none of that.
    host.sh("ip link add cbr0 type bridge && ip addr add 10.4.9.1/24 dev cbr0 && ip link set cbr0 up");
    host.sh("ip route add 10.4.8.0/24 via 192.0.2.2 && ip route add 10.4.0.0/16 via 192.0.2.2");
    assert_eq!(host.kboot(&["mk-docker-opts.sh", "-c"]).code, 0);
    assert_eq!(written(), text);
    host.sh("ip link del cbr0 && ip route add 10.4.9.0/24 via 192.0.2.2");
    let why = "the route to 10.4.9.0/24 leads to another host (by eth7): is the lease an old one?";
    let refused = host.kboot(&["mk-docker-opts.sh", "-c"]);
    assert_eq!(refused.error(), (1, format!("kboot mk-docker-opts.sh: {why}").as_str()));
    assert_eq!(host.sh("ls /run | grep docker_opts || true"), "", "nothing is written");
    let new = host.kboot(&["mk-docker-opts.sh", "-c", "--mk-compat", "0.6"]);
    assert!(new.code == 1 && new.stderr.ends_with(&format!("{why}\n")), "{new:?}");
    assert_eq!(written(), text);
    assert_eq!(host.kboot(&["mk-docker-opts.sh", "-c", "--mk-compat", "0.5"]).code, 0);
    assert_eq!(written(), text.replace("1472\"", "1472 \""));
}

/// Some units give the script its own input to write to: the lease would be gone.
#[test]
fn the_lease_is_not_written_over() {
    let dir = Scratch::new();
    let text = "FLANNEL_SUBNET=10.4.9.1/24\nFLANNEL_MTU=1422\n";
    let input = dir.file("subnet.env", text);
    let same = dir.path("./subnet.env");
    for compat in [&[][..], &["--mk-compat", "0.6"]] {
        let done = run(&[&["mk-docker-opts.sh", "-f", &input, "-d", &same], compat].concat());
        let says = "kboot mk-docker-opts.sh: --output and --env-file are one file: the lease would be lost";
        assert_eq!(done.error(), (2, says));
        assert_eq!(fs::read_to_string(&input).unwrap(), text);
    }
}

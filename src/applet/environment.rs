//! Options from the environment, `KBOOT_BRIDGE_OUT_INTERFACE`, then `KBOOT_OUT_INTERFACE`; else from the
//! kernel's command line.

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality};

use super::cli::Words;
use super::parameters;
use crate::error::{Error, Result};
use crate::plan::cmdline::Parameter;

/// What a config is made of, in place of a file.
const CONFIG_FIELDS: &[&str] = &[
    "--network",
    "--subnet-len",
    "--subnet-min",
    "--subnet-max",
    "--ipv6-network",
    "--ipv6-subnet-len",
    "--ipv6-subnet-min",
    "--ipv6-subnet-max",
    "--backend",
    "--backend-option",
];

/// Options that, given on the command line, keep the environment from giving others: what belongs
/// together (a lease; a server and who we are there) or contradicts.
const SILENCES: [(&str, &[&str]); 27] = [
    ("--subnet", &["--env-file", "--lease-of"]),
    ("--env-file", &["--subnet"]),
    ("--lease-of", &["--subnet"]),
    ("--server", &["--kubeconfig"]),
    (
        "--kubeconfig",
        &["--server", "--token-file", "--cacert", "--cert", "--key", "--user", "--password-file"],
    ),
    ("--kubeconfig", &["--bootstrap-token-file", "--ca-hash"]),
    ("--masquerade", &["--no-masquerade"]),
    ("--no-masquerade", &["--masquerade", "--out-interface"]),
    ("--out-interface", &["--no-masquerade"]),
    ("--check", &["--down", "--restore"]),
    ("--down", &["--check"]),
    ("--bridge", &["--bip"]),
    ("--bip", &["--bridge"]),
    ("--cacert", &["--insecure-skip-tls-verify", "--ca-hash"]),
    ("--insecure-skip-tls-verify", &["--cacert", "--ca-hash"]),
    ("--ca-hash", &["--cacert", "--insecure-skip-tls-verify"]),
    ("--token-file", &["--user", "--password-file", "--bootstrap-token-file"]),
    ("--user", &["--token-file", "--bootstrap-token-file"]),
    ("--bootstrap-token-file", &["--token-file", "--user", "--password-file", "--insecure-skip-tls-verify"]),
    ("--file", CONFIG_FIELDS),
    ("--show", CONFIG_FIELDS),
    ("--reserve", &["--show"]),
    ("--network", &["--file"]),
    ("--get", &["--format"]),
    ("--format", &["--get"]),
    ("--show", &["--file", "--reserve", "--replace"]),
    ("--cert", &["--key"]),
];

/// Options that mean something else in other applets (a Node's name, a TLS key, a user of etcd's, flannel's
/// network, other formats): from the environment, only the applet's own variable counts for them.
pub const OWN_VARIABLE_ONLY: [(&str, &str); 19] = [
    ("bridge", "--name"),
    ("kubelet-launch", "--address"),
    ("kubelet-launch", "--check"),
    ("docker-flags", "--key"),
    ("docker-flags", "--output"),
    ("docker-flags", "--restart"),
    ("cni-config", "--name"),
    ("cni-config", "--network"),
    ("cni-config", "--output"),
    ("mk-docker-opts.sh", "--key"),
    ("mk-docker-opts.sh", "--output"),
    ("docker-flags", "--format"),
    ("flannel-env", "--format"),
    ("register", "--user"),
    ("register", "--password-file"),
    ("cloud-init", "--file"),
    ("cloud-init", "--output"),
    ("units", "--output"),
    ("units", "--remove"),
];

/// How an option or an applet is called in a variable's name.
pub fn variable(name: &str) -> String {
    name.trim_start_matches('-').replace(['-', '.'], "_").to_uppercase()
}

/// Looks a variable or its equal up: its name as an operator knows it, and its value.
type Find<'f> = dyn Fn(&str) -> Option<(String, Option<String>)> + 'f;

impl Words {
    /// Adds what the environment says of options that the command line is silent about:
    /// `KBOOT_BRIDGE_OUT_INTERFACE`, then `KBOOT_OUT_INTERFACE`. Empty means unset. A switch takes
    /// 1, true or yes, and 0, false or no; a repeatable option takes values separated by commas.
    pub fn add_environment(
        &mut self,
        info: &CommandInfoWithArgs,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<()> {
        self.add_from(info, &|name| Some((name.to_owned(), Some(get(name)?))))
    }

    /// Adds what the kernel's command line says of options that are still open: `kboot.bridge.out-interface=`,
    /// then `kboot.out-interface=`. A switch's bare name is 1; the rest is as in the environment.
    pub fn add_parameters(&mut self, info: &CommandInfoWithArgs, line: &[Parameter<'_>]) -> Result<()> {
        self.add_from(info, &|name| parameters::find(line, name))
    }

    fn add_from(&mut self, info: &CommandInfoWithArgs, find: &Find<'_>) -> Result<()> {
        let given: Vec<&str> = info.flags.iter().map(|f| f.long).filter(|l| self.has(l)).collect();
        for flag in info.flags {
            let shadowed =
                SILENCES.iter().any(|(long, others)| given.contains(long) && others.contains(&flag.long));
            // A switch that a variable sets to 0 is not given, and settled all the same.
            let settled = given.contains(&flag.long) || self.source(flag.long) != flag.long;
            if settled || shadowed || flag.long == "--help" {
                continue;
            }
            let option = variable(flag.long);
            let mut names = vec![format!("KBOOT_{}_{option}", variable(self.applet))];
            if !OWN_VARIABLE_ONLY.contains(&(self.applet, flag.long)) {
                names.push(format!("KBOOT_{option}"));
            }
            let bare = matches!(flag.kind, FlagInfoKind::Switch).then(|| "1".to_owned());
            let found = names.iter().find_map(|n| {
                let (name, value) = find(n)?;
                value.or_else(|| bare.clone()).filter(|v| !v.is_empty()).map(|v| (name, v))
            });
            if let Some((name, value)) = found {
                self.add_one(flag, &name, value)?;
            }
        }
        Ok(())
    }

    fn add_one(&mut self, flag: &FlagInfo<'_>, name: &str, value: String) -> Result<()> {
        self.from_env.push((flag.long.to_owned(), name.to_owned()));
        match (&flag.kind, &flag.optionality) {
            (FlagInfoKind::Switch, _) => match value.as_str() {
                "1" | "true" | "yes" => self.add(flag, None),
                "0" | "false" | "no" => Ok(()),
                _ => Err(Error::usage(format!("{name}={value}: takes 1 or 0"))),
            },
            (_, Optionality::Repeating) => value
                .split(',')
                .filter(|i| !i.is_empty())
                .try_for_each(|item| self.add(flag, Some(item.to_owned()))),
            _ => self.add(flag, Some(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::APPLETS;
    use crate::plan::cmdline;

    fn scan(words: &[&str]) -> Result<Words> {
        let argv: Vec<std::ffi::OsString> = words.iter().map(Into::into).collect();
        let bridge = APPLETS.iter().find(|a| a.name == "bridge").unwrap();
        Words::scan("bridge", &(bridge.info)(), &argv)
    }

    fn flat(words: &Words) -> Vec<String> {
        words.given.iter().flat_map(|(o, v)| [Some(o.clone()), v.clone()]).flatten().collect()
    }

    #[test]
    fn the_environment_fills_in_what_the_command_line_leaves_open() {
        let bridge = APPLETS.iter().find(|a| a.name == "bridge").unwrap();
        let env = |name: &str| {
            let value = match name {
                "KBOOT_BRIDGE_OUT_INTERFACE" => "own",
                "KBOOT_OUT_INTERFACE" => "all",
                "KBOOT_NAME" => "node-1",
                "KBOOT_MTU" => "1400",
                "KBOOT_SUBNET" => "10.1.2.1/24,fd00::1/64",
                "KBOOT_DRY_RUN" => "yes",
                "KBOOT_JSON" => "0",
                "KBOOT_ENV_FILE" => "",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let mut found = scan(&["--mtu=1300"]).unwrap();
        found.add_environment(&(bridge.info)(), env).unwrap();
        let text = flat(&found).join(" ");
        assert!(
            text.contains("--out-interface own") && text.contains("--mtu 1300") && !text.contains("1400"),
            "{text}"
        );
        assert!(
            text.contains("--subnet 10.1.2.1/24 --subnet fd00::1/64") && text.contains("--dry-run"),
            "{text}"
        );
        assert!(!text.contains("node-1"), "a Node's name is no bridge's: {text}");
        assert!(!text.contains("--json") && !text.contains("--env-file"), "{text}");

        let mut found = scan(&["--env-file", "x"]).unwrap();
        found.add_environment(&(bridge.info)(), env).unwrap();
        assert!(!found.has("--subnet"), "a lease is never mixed from two places");
    }

    #[test]
    fn what_the_command_line_says_silences_what_contradicts_it() {
        let bridge = APPLETS.iter().find(|a| a.name == "bridge").unwrap();
        let env = |name: &str| (name == "KBOOT_MASQUERADE").then(|| "10.7.0.0/16".to_owned());
        let mut found = scan(&["--no-masquerade"]).unwrap();
        found.add_environment(&(bridge.info)(), env).unwrap();
        assert!(!found.has("--masquerade"));
        let mut found = scan(&[]).unwrap();
        found.add_environment(&(bridge.info)(), env).unwrap();
        assert_eq!((found.has("--masquerade"), found.source("--masquerade")), (true, "KBOOT_MASQUERADE"));
    }

    #[test]
    fn the_kernels_command_line_comes_last_and_counts_like_the_environment() {
        let bridge = APPLETS.iter().find(|a| a.name == "bridge").unwrap();
        for (typed, variables, line, wanted) in [
            (&[][..], &[][..], "kboot.bridge.mtu=1400", "--mtu 1400"),
            (&[], &[], "kboot.mtu=1 kboot.bridge.mtu=2", "--mtu 2"),
            (&[], &[("KBOOT_MTU", "3")], "kboot.bridge.mtu=2", "--mtu 3"),
            (&["--mtu", "4"], &[("KBOOT_BRIDGE_MTU", "3")], "kboot.bridge.mtu=2", "--mtu 4"),
            (&[], &[("KBOOT_BRIDGE_MTU", "")], "kboot.mtu=2", "--mtu 2"),
            (&[], &[], "kboot.mtu=2 kboot.bridge.mtu= kboot.subnet", "--mtu 2"),
            (&[], &[], "kboot.bridge.no-masquerade", "--no-masquerade"),
            (&[], &[("KBOOT_NO_MASQUERADE", "0")], "kboot.bridge.no-masquerade", ""),
            (&[], &[], "kboot.bridge.no_masquerade=0 kboot.no-masquerade=1", ""),
            (&["--no-masquerade"], &[], "kboot.masquerade=10.7.0.0/16", "--no-masquerade"),
            (&[], &[("KBOOT_SUBNET", "a,b")], "kboot.env-file=c", "--subnet a --subnet b"),
            (&[], &[], "kboot.name=node-1 kboot.bridge.name=br7", "--name br7"),
            (&[], &[], "kboot.subnet=\"a,b\" -- kboot.mtu=5", "--subnet a --subnet b"),
        ] {
            let mut found = scan(typed).unwrap();
            let value = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            found.add_environment(&(bridge.info)(), value).unwrap();
            found.add_parameters(&(bridge.info)(), &cmdline::parse(line)).unwrap();
            assert_eq!(flat(&found).join(" "), wanted, "{typed:?} {variables:?} {line}");
        }
        let mut found = scan(&[]).unwrap();
        let error = found.add_parameters(&(bridge.info)(), &cmdline::parse("kboot.bridge.dry-run=maybe"));
        assert_eq!(error.unwrap_err().to_string(), "kboot.bridge.dry-run=maybe: takes 1 or 0");
        found.add_parameters(&(bridge.info)(), &cmdline::parse("kboot.bridge.mtu=5")).unwrap();
        assert_eq!(found.source("--mtu"), "kboot.bridge.mtu");
    }
}

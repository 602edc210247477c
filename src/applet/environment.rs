//! Options from the environment: `KBOOT_BRIDGE_OUT_INTERFACE`, then `KBOOT_OUT_INTERFACE`.

use argh::{CommandInfoWithArgs, FlagInfoKind, Optionality};

use super::cli::Words;
use crate::error::{Error, Result};

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
const SILENCES: [(&str, &[&str]); 26] = [
    ("--subnet", &["--env-file"]),
    ("--env-file", &["--subnet"]),
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
pub const OWN_VARIABLE_ONLY: [(&str, &str); 15] = [
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
];

/// How an option or an applet is called in a variable's name.
pub fn variable(name: &str) -> String {
    name.trim_start_matches('-').replace(['-', '.'], "_").to_uppercase()
}

impl Words {
    /// Adds what the environment says of options that the command line is silent about:
    /// `KBOOT_BRIDGE_OUT_INTERFACE`, then `KBOOT_OUT_INTERFACE`. Empty means unset. A switch takes
    /// 1, true or yes, and 0, false or no; a repeatable option takes values separated by commas.
    pub fn add_environment(
        &mut self,
        info: &CommandInfoWithArgs,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<()> {
        let given: Vec<&str> = info.flags.iter().map(|f| f.long).filter(|l| self.has(l)).collect();
        for flag in info.flags {
            let shadowed =
                SILENCES.iter().any(|(long, others)| given.contains(long) && others.contains(&flag.long));
            if given.contains(&flag.long) || shadowed || flag.long == "--help" {
                continue;
            }
            let option = variable(flag.long);
            let mut names = vec![format!("KBOOT_{}_{option}", variable(self.applet))];
            if !OWN_VARIABLE_ONLY.contains(&(self.applet, flag.long)) {
                names.push(format!("KBOOT_{option}"));
            }
            let found = names.into_iter().find_map(|n| get(&n).filter(|v| !v.is_empty()).map(|v| (n, v)));
            let Some((name, value)) = found else { continue };
            self.from_env.push((flag.long.to_owned(), name.clone()));
            match (&flag.kind, &flag.optionality) {
                (FlagInfoKind::Switch, _) => match value.as_str() {
                    "1" | "true" | "yes" => self.add(flag, None)?,
                    "0" | "false" | "no" => {}
                    _ => return Err(Error::usage(format!("{name}={value}: takes 1 or 0"))),
                },
                (_, Optionality::Repeating) => {
                    for item in value.split(',').filter(|i| !i.is_empty()) {
                        self.add(flag, Some(item.to_owned()))?;
                    }
                }
                _ => self.add(flag, Some(value))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::APPLETS;

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
}

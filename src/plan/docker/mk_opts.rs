//! The file of dockerd's options that flannel's mk-docker-opts.sh writes, composed without a shell.

use std::collections::BTreeMap;

/// What every variable that becomes an option of its own begins with.
const PREFIX: &str = "DOCKER_OPT_";

/// Whose bytes are written. They differ in the spaces of the combined line and in nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Generation {
    /// bash, flannel 0.3.0 to 0.5.6, as 0.5.3 and later have it: `" --bip=… --mtu=1472 "`.
    Bash05,
    /// sh, flannel 0.6.0 to today: `" --bip=… --mtu=1472"`, two spaces after what was there before.
    #[default]
    Sh06,
}

/// What the script reads of subnet.env: the values as a shell has them, without their quotes. Empty is
/// the same as absent. IPv6 it never reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// FLANNEL_SUBNET, becomes `--bip`: flannel's host bits stay.
    pub subnet: Option<String>,
    /// FLANNEL_MTU in bytes, becomes `--mtu`.
    pub mtu: Option<String>,
    /// FLANNEL_IPMASQ, `true` or `false`, becomes `--ip-masq` turned round: one of the two masquerades.
    pub ipmasq: Option<String>,
}

/// The script's command line, and what its environment and its input held.
pub struct Ask<'a> {
    /// What subnet.env says.
    pub lease: &'a Inputs,
    /// `-i`: a line for each option. Neither this nor `combined` means both.
    pub individual: bool,
    /// `-c`: one line with all options.
    pub combined: bool,
    /// `-k`: the combined line's variable, DOCKER_OPTS unless told.
    pub key: &'a str,
    /// What that variable holds in the environment: it stays, before the options.
    pub prefix: Option<&'a str>,
    /// `-m`: no `--ip-masq`, for a docker before 1.3; FLANNEL_IPMASQ is then not looked at.
    pub omit_ip_masq: bool,
    /// Variables of the environment: those named `DOCKER_OPT_*` are options too, the lease's own win.
    pub extra: &'a [(String, String)],
    /// Whose bytes.
    pub generation: Generation,
}

/// The file's text: sh and systemd's EnvironmentFile read every value back as it was, which the
/// scripts only manage for plain ones. With nothing at hand the combined line is still written. An
/// error names the variable that cannot be understood or written; the file is then left alone.
pub fn compose(ask: &Ask<'_>) -> Result<String, String> {
    if !is_name(ask.key) {
        let key = printable(ask.key);
        return Err(format!("key '{key}' is no name for a variable: give one such as DOCKER_OPTS"));
    }
    let options = options(ask)?;
    let both = ask.individual == ask.combined;
    let mut text = String::new();
    if both || ask.individual {
        text.extend(options.iter().map(|(name, value)| line(name, value)));
    }
    if both || ask.combined {
        // The script looks after it has set its own, so `-k DOCKER_OPT_BIP` finds those.
        let before = options.get(ask.key).map(String::as_str).or(ask.prefix).unwrap_or_default();
        check(ask.key, before)?;
        text += &line(ask.key, &join(ask.generation, before, options.values()));
    }
    Ok(text)
}

/// All options by the names of their variables, in the order of both scripts: that of bytes.
fn options<'a>(ask: &'a Ask<'_>) -> Result<BTreeMap<&'a str, String>, String> {
    let named = ask.extra.iter().filter(|(name, _)| name.starts_with(PREFIX) && is_name(name));
    let mut options: BTreeMap<&str, String> = named.map(|(n, v)| (n.as_str(), v.clone())).collect();
    let given = |value: &'a Option<String>| value.as_deref().filter(|v| !v.is_empty());
    if let Some(subnet) = given(&ask.lease.subnet) {
        options.insert("DOCKER_OPT_BIP", format!("--bip={subnet}"));
    }
    if let Some(mtu) = given(&ask.lease.mtu) {
        options.insert("DOCKER_OPT_MTU", format!("--mtu={mtu}"));
    }
    if let Some(ipmasq) = given(&ask.lease.ipmasq).filter(|_| !ask.omit_ip_masq) {
        let flannel_does: bool = ipmasq.parse().map_err(|_| {
            format!("FLANNEL_IPMASQ={}: is neither true nor false: set it to one", printable(ipmasq))
        })?;
        options.insert("DOCKER_OPT_IPMASQ", format!("--ip-masq={}", !flannel_does));
    }
    for (name, value) in &options {
        check(name, value)?;
    }
    Ok(options)
}

/// The combined value, with the spaces that the two scripts leave.
fn join<'a>(generation: Generation, before: &str, values: impl Iterator<Item = &'a String>) -> String {
    match generation {
        Generation::Bash05 => values.fold(format!("{before} "), |all, value| all + value + " "),
        Generation::Sh06 => {
            let gap = if before.is_empty() { "" } else { " " };
            values.fold(format!("{before}{gap}"), |all, value| all + " " + value)
        }
    }
}

/// `NAME="VALUE"`. In double quotes sh and systemd (its `parse_env_file_internal`) both read a
/// backslash before one of these four as that character itself.
fn line(name: &str, value: &str) -> String {
    let mut text = format!("{name}=\"");
    for c in value.chars() {
        if "\"$`\\".contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text + "\"\n"
}

/// A line break ends the line for other readers of such files; systemd drops a variable with any
/// control character but a tab. The value may be a secret: it is not shown.
fn check(name: &str, value: &str) -> Result<(), String> {
    if value.chars().any(|c| c.is_ascii_control() && c != '\t') {
        return Err(format!("{name}: holds a line break or another control character: write it as one line"));
    }
    Ok(())
}

/// Whether a shell takes it for the name of a variable.
pub fn is_name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
}

fn printable(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "DOCKER_OPTS";

    /// An ask of options (`-i -c -m`) and variables: those of the lease, the key's own, the rest.
    fn run(
        generation: Generation,
        options: &str,
        key: &str,
        variables: &[(&str, &str)],
    ) -> Result<String, String> {
        let get = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        let owned = |name: &str| get(name).map(str::to_owned);
        let (subnet, mtu, ipmasq) = (owned("FLANNEL_SUBNET"), owned("FLANNEL_MTU"), owned("FLANNEL_IPMASQ"));
        let extra: Vec<(String, String)> =
            variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        compose(&Ask {
            lease: &Inputs { subnet, mtu, ipmasq },
            individual: options.contains('i'),
            combined: options.contains('c'),
            key,
            prefix: get(key),
            omit_ip_masq: options.contains('m'),
            extra: &extra,
            generation,
        })
    }

    const BIP: (&str, &str) = ("FLANNEL_SUBNET", "10.1.74.1/24");
    const MTU: (&str, &str) = ("FLANNEL_MTU", "1472");
    const MASQ: (&str, &str) = ("FLANNEL_IPMASQ", "true");
    const NO_MASQ: (&str, &str) = ("FLANNEL_IPMASQ", "false");
    const LINES: &str = "DOCKER_OPT_BIP=\"--bip=10.1.74.1/24\"\nDOCKER_OPT_IPMASQ=\"--ip-masq=false\"\n\
                         DOCKER_OPT_MTU=\"--mtu=1472\"\n";

    // What both scripts wrote, v0.5.x under bash and HEAD under dash, bash as sh and busybox, byte for byte.
    #[test]
    fn the_combined_line_is_each_generations_own() {
        for (variables, bash, sh) in [
            (&[BIP, MTU][..], " --bip=10.1.74.1/24 --mtu=1472 ", " --bip=10.1.74.1/24 --mtu=1472"),
            (&[MTU, (KEY, "--debug")], "--debug --mtu=1472 ", "--debug  --mtu=1472"),
            (&[MTU, (KEY, "-D --x  ")], "-D --x   --mtu=1472 ", "-D --x    --mtu=1472"),
            (&[MTU, (KEY, "")], " --mtu=1472 ", " --mtu=1472"),
            // Missing input.
            (&[], " ", ""),
            (&[(KEY, "--debug")], "--debug ", "--debug "),
            // Empty is absent; IPv6 is not read.
            (
                &[("FLANNEL_SUBNET", ""), ("FLANNEL_IPMASQ", ""), ("FLANNEL_IPV6_SUBNET", "fd00::1/64")],
                " ",
                "",
            ),
            // Turned round.
            (&[MASQ], " --ip-masq=false ", " --ip-masq=false"),
            (&[NO_MASQ], " --ip-masq=true ", " --ip-masq=true"),
            // The environment's own: sorted by bytes, the lease wins, an empty one leaves its space.
            (
                &[
                    ("DOCKER_OPT_a", "-a"),
                    ("DOCKER_OPT_Z", ""),
                    BIP,
                    ("DOCKER_OPT_BIP", "-b"),
                    ("DOCKER_OPT_A", "-A"),
                ],
                " -A --bip=10.1.74.1/24  -a ",
                " -A --bip=10.1.74.1/24  -a",
            ),
            (&[("DOCKER_OPT_BIP", "--bip=10.9.9.1/24")], " --bip=10.9.9.1/24 ", " --bip=10.9.9.1/24"),
        ] {
            for (generation, value) in [(Generation::Bash05, bash), (Generation::Sh06, sh)] {
                let text = run(generation, "c", KEY, variables).unwrap();
                assert_eq!(text, format!("DOCKER_OPTS=\"{value}\"\n"), "{generation:?} {variables:?}");
            }
        }
    }

    #[test]
    fn options_choose_the_lines() {
        let combined = "=\" --bip=10.1.74.1/24 --ip-masq=false --mtu=1472\"\n";
        for (options, key, text) in [
            ("", KEY, format!("{LINES}{KEY}{combined}")),
            ("ic", KEY, format!("{LINES}{KEY}{combined}")),
            ("i", KEY, LINES.to_owned()),
            ("c", "DOCKER_NETWORK_OPTIONS", format!("DOCKER_NETWORK_OPTIONS{combined}")),
            ("cm", KEY, format!("{KEY}=\" --bip=10.1.74.1/24 --mtu=1472\"\n")),
        ] {
            assert_eq!(run(Generation::Sh06, options, key, &[MASQ, MTU, BIP]).unwrap(), text);
        }
        assert_eq!(run(Generation::Sh06, "i", KEY, &[]).unwrap(), "");
        // The script's own variable is what the key holds by then (0.5.x; HEAD leaks its own names here).
        assert_eq!(
            run(Generation::Bash05, "c", "DOCKER_OPT_MTU", &[MTU, ("DOCKER_OPT_MTU", "-x")]).unwrap(),
            "DOCKER_OPT_MTU=\"--mtu=1472 --mtu=1472 \"\n"
        );
    }

    // HEAD splits, globs and evals these, takes names out of the midst of a line of `set`, eats -n; both
    // scripts leave quotes, dollars and backslashes bare.
    #[test]
    fn what_the_scripts_spoil_is_kept() {
        for (value, written) in [
            ("--a b", "--a b"),
            ("--a  /etc/hos*", "--a  /etc/hos*"),
            ("-n", "-n"),
            ("it's", "it's"),
            (r#"--l="a""#, r#"--l=\"a\""#),
            (r"$HOME `id` a\tb\", r"\$HOME \`id\` a\\tb\\"),
        ] {
            let text = run(Generation::Sh06, "", KEY, &[("DOCKER_OPT_X", value), (KEY, value)]).unwrap();
            assert_eq!(text, format!("DOCKER_OPT_X=\"{written}\"\nDOCKER_OPTS=\"{written}  {written}\"\n"));
        }
        let others = [
            ("FOO", "xDOCKER_OPT_y"),
            ("MY_DOCKER_OPT_X", "m"),
            ("DOCKER_OPTIONS", "o"),
            ("DOCKER_OPT_A.B", "p"),
        ];
        assert_eq!(run(Generation::Sh06, "", KEY, &others).unwrap(), "DOCKER_OPTS=\"\"\n");
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let refused = "holds a line break or another control character: write it as one line";
        for (options, key, variable, error) in [
            // Exit 1 and no file in both scripts; a file with CRLF line ends comes out here.
            (
                "",
                KEY,
                ("FLANNEL_IPMASQ", "yes"),
                "FLANNEL_IPMASQ=yes: is neither true nor false: set it to one",
            ),
            (
                "",
                KEY,
                ("FLANNEL_IPMASQ", "true\r"),
                "FLANNEL_IPMASQ=true?: is neither true nor false: set it to one",
            ),
            ("c", KEY, ("DOCKER_OPT_X", "a\nb"), &format!("DOCKER_OPT_X: {refused}")),
            ("", KEY, (KEY, "a\nb"), &format!("DOCKER_OPTS: {refused}")),
            ("", "A-B", BIP, "key 'A-B' is no name for a variable: give one such as DOCKER_OPTS"),
            ("", "1X", BIP, "key '1X' is no name for a variable: give one such as DOCKER_OPTS"),
            ("", "", BIP, "key '' is no name for a variable: give one such as DOCKER_OPTS"),
        ] {
            assert_eq!(run(Generation::Sh06, options, key, &[variable]).unwrap_err(), error);
        }
        // Both scripts look at FLANNEL_IPMASQ only without -m, at the key's old value only for its line.
        assert_eq!(
            run(Generation::Sh06, "im", KEY, &[("FLANNEL_IPMASQ", "yes"), (KEY, "a\nb")]).unwrap(),
            ""
        );
    }
}

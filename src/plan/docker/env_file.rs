//! Files of flags: a line of them, or a variable among others. What is an administrator's stays.

use super::argv;
use super::setting::Setting;
use super::words;

/// A file as it is to be, and which of the administrator's flags made room for kboot's.
#[derive(Debug, PartialEq, Eq)]
pub struct Merged {
    /// The whole file.
    pub text: String,
    /// The line that is kboot's.
    pub line: String,
    /// Flags that were there and are not any more, with nothing of their name in their place.
    pub dropped: Vec<String>,
}

/// A file that holds a line of flags and nothing else.
pub fn merge_flags(old: &str, settings: &[Setting]) -> Result<Merged, String> {
    if old.lines().count() > 1 || !(old.trim().is_empty() || old.starts_with('-')) {
        return Err("holds something else than a line of flags: --format env, or another file".into());
    }
    let (mut all, dropped) = sort_out(old, settings)?;
    all.extend(settings.iter().flat_map(Setting::flags));
    let line = all.join(" ");
    Ok(Merged { text: format!("{line}\n"), line, dropped })
}

/// A file of assignments with ours in it: other lines and the administrator's other flags stay, in
/// their places. The error says what cannot be understood without a shell.
pub fn merge_env(old: &str, key: &str, settings: &[Setting]) -> Result<Merged, String> {
    let mut lines: Vec<String> = old.lines().map(str::to_owned).collect();
    let value_of = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("export ").unwrap_or(line);
        line.strip_prefix(key).and_then(|l| l.strip_prefix('=')).map(str::to_owned)
    };
    let found: Vec<(usize, String)> =
        lines.iter().enumerate().filter_map(|(at, l)| Some((at, value_of(l)?))).collect();
    let (at, value) = match found.as_slice() {
        [] => {
            lines.push(String::new());
            (lines.len() - 1, String::new())
        }
        [(at, _)] if lines[*at].starts_with([' ', '\t']) => {
            return Err(format!(
                "line {}: {key} is assigned inside something: write it at the line's start",
                at + 1
            ));
        }
        [(at, value)] => (*at, value.clone()),
        [_, (at, _), ..] => return Err(format!("line {}: {key} is assigned twice", at + 1)),
    };
    let (mut all, dropped) =
        sort_out(&value, settings).map_err(|why| format!("line {}: {key} {why}", at + 1))?;
    all.extend(settings.iter().flat_map(Setting::flags));
    let export = if lines[at].starts_with("export ") { "export " } else { "" };
    let line = format!("{export}{}", words::assignment(key, &all.join(" ")).trim_end());
    lines[at].clone_from(&line);
    Ok(Merged { text: format!("{}\n", lines.join("\n")), line, dropped })
}

/// The flags that give way to none of their own name: a new value is what was asked for.
pub fn dropped(words: &[String], settings: &[Setting]) -> Result<Vec<String>, String> {
    let gone = argv::replaced(words, settings)?;
    let flags = argv::parse(words).into_iter().filter(|f| gone.contains(&f.at));
    let flags = flags.filter(|f| settings.iter().all(|s| s.flag != f.name));
    Ok(flags.map(|f| words[f.at..f.at + f.words].join(" ")).collect())
}

/// The line of a file of variables where that one has a value that is not read here: over several lines,
/// or in several quotes.
pub fn odd_assignment(text: &str, name: &str) -> Option<usize> {
    let is_odd = |line: &str| {
        let Some(value) = line.trim().strip_prefix(name).and_then(|l| l.strip_prefix('=')) else {
            return false;
        };
        let value = value.trim();
        match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let inner = value[1..].replace(&format!("\\{quote}"), "");
                inner.find(quote) != Some(inner.len().saturating_sub(1)) || inner.is_empty()
            }
            _ => value.contains(['"', '\'']) || value.ends_with('\\'),
        }
    };
    text.lines().position(is_odd).map(|at| at + 1)
}

/// Parts the flags of a value: those that stay, and those that kboot decides and has other words for.
fn sort_out(value: &str, settings: &[Setting]) -> Result<(Vec<String>, Vec<String>), String> {
    let value = value.trim();
    let inner = ['"', '\''].iter().find_map(|&q| value.strip_prefix(q)?.strip_suffix(q)).unwrap_or(value);
    if inner.chars().any(|c| "\"'\\$`;&|<>()#".contains(c)) {
        return Err("holds what only a shell can read: write it as plain flags".into());
    }
    let words: Vec<String> = inner.split_whitespace().map(str::to_owned).collect();
    let gone = argv::replaced(&words, settings)?;
    let dropped = dropped(&words, settings)?;
    let kept = words.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, w)| w.clone());
    Ok((kept.collect(), dropped))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn other_lines_and_other_flags_stay() {
        let ours = [Setting::new("bridge", "cbr0"), Setting::new("mtu", 1472)];
        for (old, new) in [
            ("", "DOCKER_OPTS=\"--bridge=cbr0 --mtu=1472\"\n"),
            ("# c\nX=1", "# c\nX=1\nDOCKER_OPTS=\"--bridge=cbr0 --mtu=1472\"\n"),
            (
                "DOCKER_OPTS='--dns 8.8.8.8 --bip 10.1.1.1/24 --iptables --mtu=9000'\nY=2\n",
                "DOCKER_OPTS=\"--dns 8.8.8.8 --bridge=cbr0 --mtu=1472\"\nY=2\n",
            ),
            (
                "#DOCKER_OPTS=\"--x\"\nexport DOCKER_OPTS=-b br0\n",
                "#DOCKER_OPTS=\"--x\"\nexport DOCKER_OPTS=\"--bridge=cbr0 --mtu=1472\"\n",
            ),
        ] {
            let merged = merge_env(old, "DOCKER_OPTS", &ours).unwrap();
            assert_eq!(merged.text, new);
            let again = merge_env(&merged.text, "DOCKER_OPTS", &ours).unwrap();
            assert_eq!((again.text.as_str(), again.dropped.len()), (new, 0), "a second time");
        }
    }

    #[test]
    fn what_made_room_is_told() {
        let ours = [Setting::new("bip", "10.4.9.1/24"), Setting::new("mtu", 1472)];
        let old = "DOCKER_OPTS=\"--iptables=false -b br0 --debug --mtu 1472\"\n";
        let merged = merge_env(old, "DOCKER_OPTS", &ours).unwrap();
        assert_eq!(merged.line, "DOCKER_OPTS=\"--debug --bip=10.4.9.1/24 --mtu=1472\"");
        assert_eq!(merged.dropped, ["--iptables=false", "-b br0"]);
        let merged = merge_flags("--debug --bip=10.2.2.1/24\n", &ours).unwrap();
        assert_eq!(
            (merged.text.as_str(), merged.dropped.len()),
            ("--debug --bip=10.4.9.1/24 --mtu=1472\n", 0)
        );
        assert!(merge_flags("X=1\n", &ours).is_err() && merge_flags("--a\n--b\n", &ours).is_err());
        assert!(merge_env("if x; then\n  DOCKER_OPTS=--a\nfi\n", "DOCKER_OPTS", &ours).is_err());
    }

    #[test]
    fn values_that_are_not_read_here() {
        for (text, at) in [
            ("X=1\nO=\"--a --b\"\n", None),
            ("O='--a'\nO=--a\n#O=\"\n", None),
            ("O=\"--a \\\"x\\\" --b\"\n", None),
            ("O=\"\"\n", None),
            ("\nO=\"--a\n --b\"\n", Some(2)),
            ("O=\"--a\"\" --b\"\n", Some(1)),
            ("O=--a\" --b\"\n", Some(1)),
            ("O=--a \\\n --b\n", Some(1)),
        ] {
            assert_eq!(odd_assignment(text, "O"), at, "{text}");
        }
    }

    #[test]
    fn what_needs_a_shell_is_left_alone() {
        let ours = [Setting::new("bridge", "cbr0")];
        assert!(
            merge_env("DOCKER_OPTS=\"$X --dns 1\"\n", "DOCKER_OPTS", &ours)
                .unwrap_err()
                .starts_with("line 1:")
        );
        assert!(
            merge_env("DOCKER_OPTS=a\nDOCKER_OPTS=b\n", "DOCKER_OPTS", &ours).unwrap_err().contains("twice")
        );
    }
}

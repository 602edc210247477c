//! docker's systemd unit: what it runs dockerd with, and the drop-in that gives it kboot's flags.

use super::argv;
use super::setting::Setting;
use super::words::{self, Piece, Word};

/// A unit file or one of its drop-ins.
pub struct File {
    /// Where it is, for errors.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// What the unit and its drop-ins say together.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// The command line in one line, with its prefixes and variables.
    pub exec_start: Option<String>,
    /// The file that it stands in.
    pub starter: String,
    /// Environment=, in order: the last of one name counts.
    pub environment: Vec<(String, String)>,
    /// EnvironmentFile=, without the `-` that allows one to be missing. They override `environment`, the
    /// later the earlier.
    pub environment_files: Vec<String>,
}

/// kboot's drop-in, and the environment file that goes with it.
#[derive(Debug, PartialEq, Eq)]
pub struct DropIn {
    /// Its text.
    pub text: String,
    /// The environment file's text, if the unit reads variables that take the flags.
    pub env_file: Option<String>,
}

/// The first line of both. The rest of what other files say is copied here: they are read no more.
const HEAD: &str =
    "# kboot docker-flags: its own, made of docker's unit and its files: run it again when they change\n";

/// Names of variables that units keep for options: Debian's docker.io and CoreOS; CentOS 7 and
/// flannel's drop-in there; CentOS 7; some of Ubuntu.
const VARIABLES: [&str; 4] = ["DOCKER_OPTS", "DOCKER_NETWORK_OPTIONS", "OPTIONS", "DOCKER_OPTIONS"];

/// Reads the unit, then its drop-ins in systemd's order (without kboot's own), by systemd.syntax(7): an
/// empty assignment takes back what was there. What systemd only warns of is passed over. Two commands are
/// an error: systemd refuses them too, but of a oneshot, which no dockerd is.
pub fn read(files: &[File]) -> Result<Service, String> {
    let mut service = Service::default();
    for file in files {
        let mut section = String::new();
        for line in words::lines(&file.text) {
            if line.starts_with('[') {
                section = line;
                continue;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            match (key.trim(), value.trim()) {
                _ if section != "[Service]" => {}
                ("ExecStart", "") => service.exec_start = None,
                ("ExecStart", _) if service.exec_start.is_some() => {
                    return Err(format!(
                        "{}: a second ExecStart= (one is in {}): systemd refuses the unit: put an \
                         empty ExecStart= before it",
                        file.path, service.starter
                    ));
                }
                ("ExecStart", line) => {
                    service.exec_start = Some(line.to_owned());
                    service.starter.clone_from(&file.path);
                }
                ("Environment", "") => service.environment.clear(),
                ("Environment", list) => service.environment.extend(assignments(list, &file.path)?),
                ("EnvironmentFile", "") => service.environment_files.clear(),
                ("EnvironmentFile", path) => {
                    service.environment_files.push(path.strip_prefix('-').unwrap_or(path).to_owned());
                }
                _ => {}
            }
        }
    }
    Ok(service)
}

fn assignments(list: &str, path: &str) -> Result<Vec<(String, String)>, String> {
    let all = words::split(list, true).map_err(|why| format!("{path}: Environment={list}: {why}"))?;
    let pairs = all.iter().filter_map(|w| w.text.split_once('='));
    Ok(pairs.map(|(n, v)| (n.to_owned(), v.replace("%%", "%"))).collect())
}

/// The variables that the service gets: Environment=, then the files' assignments, in the order of
/// `environment_files`. kboot's own file must not be among the texts.
pub fn variables<'a>(service: &Service, files: impl IntoIterator<Item = &'a str>) -> Vec<(String, String)> {
    let mut all = service.environment.clone();
    all.extend(files.into_iter().flat_map(words::env_file));
    all
}

/// The variable of an ExecStart line that is meant for options: `$NAME` as a word of its own, which systemd
/// cuts into words. (`${NAME}` is one word: it holds no list of flags.) Not one that is another flag's value.
pub fn variable_read(exec_start: &str) -> Option<String> {
    let pieces = words::pieces(exec_start, &[]).ok()?;
    let is_value = |at: usize| {
        let before = &pieces[at.saturating_sub(1)].raw;
        let name = before.trim_start_matches('-');
        before.starts_with("--") && !before.contains('=') && !argv::is_boolean(name)
    };
    let found = pieces.iter().enumerate().filter(|(at, _)| !is_value(*at));
    let names: Vec<&String> = found.filter_map(|(_, p)| p.variable.as_ref()).collect();
    let known = VARIABLES.iter().find(|name| names.iter().any(|n| n == *name)).map(|n| (*n).to_owned());
    known.or_else(|| names.first().map(|n| (*n).to_owned()))
}

/// The drop-in that makes systemd start dockerd with the settings' flags. Flags of the same names (and the
/// rest of `argv::OURS`) give way wherever the unit has them; all others stay.
///
/// Where the line reads a variable for options, the flags go into it: `EnvironmentFile=env_path`. Where
/// flags that give way stand in the line itself, or it reads no variable (docker-ce's), its `ExecStart=` is
/// written anew. `variables` are those of `variables`. The drop-in must sort after all others; run again
/// after each change of the unit or of its files: both forms hold a copy of what is there now.
pub fn drop_in(
    service: &Service,
    variables: &[(String, String)],
    settings: &[Setting],
    env_path: &str,
) -> Result<DropIn, String> {
    let line =
        service.exec_start.as_deref().ok_or("docker's unit has no ExecStart=: install docker first")?;
    let whole = |why| format!("ExecStart={line}: {why}");
    let pieces = words::pieces(line, variables).map_err(whole)?;
    let argv: Vec<String> = pieces.iter().flat_map(|p| &p.words).map(|w| w.text.clone()).collect();
    let gone = argv::replaced(&argv, settings).map_err(whole)?;
    let flags: Vec<String> = settings.iter().flat_map(Setting::flags).collect();
    let key = variable_read(line);

    let (mut kept, env) = sort_out(&pieces, &gone, key.as_deref(), &flags);

    let mut lines = vec![format!("{HEAD}[Service]")];
    if !env.is_empty() {
        lines.push(format!("EnvironmentFile={env_path}"));
    }
    if key.is_none() || kept.len() < pieces.len() {
        let new = flags.iter().filter(|_| key.is_none());
        kept.extend(new.map(|f| words::for_line(f)));
        lines.push(format!("ExecStart=\nExecStart={}", kept.join(" ")));
    }
    Ok(DropIn { text: lines.join("\n") + "\n", env_file: (!env.is_empty()).then(|| format!("{HEAD}{env}")) })
}

/// The words of the line that stay, as they are written, and an assignment for each variable that
/// changes; `key` takes the flags.
fn sort_out(pieces: &[Piece], gone: &[usize], key: Option<&str>, flags: &[String]) -> (Vec<String>, String) {
    let (mut kept, mut env, mut at) = (Vec::new(), String::new(), 0);
    for piece in pieces {
        let rest = stay(piece, at, gone);
        let all_stay = rest.len() == piece.words.len();
        at += piece.words.len();
        let Some(name) = &piece.variable else {
            kept.extend(all_stay.then(|| piece.raw.clone()));
            continue;
        };
        kept.push(piece.raw.clone());
        let takes_flags = key == Some(name);
        if takes_flags || !all_stay {
            let new = flags.iter().filter(|_| takes_flags).map(|f| words::for_value(f));
            let value: Vec<String> = rest.into_iter().map(|w| w.raw.clone()).chain(new).collect();
            env += &words::assignment(name, &value.join(" "));
        }
    }
    (kept, env)
}

/// The words of a piece that stay; `at` is the index of its first one in argv.
fn stay<'a>(piece: &'a Piece, at: usize, gone: &[usize]) -> Vec<&'a Word> {
    piece.words.iter().enumerate().filter(|(n, _)| !gone.contains(&(at + n))).map(|(_, w)| w).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "[Unit]\nAfter=x\n[Service]\nEnvironmentFile=-/etc/default/docker\n\
        ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/c.sock $DOCKER_OPTS\n\
        [Install]\nExecStart=/no\n";
    const DOCKER_CE: &str =
        "[Service]\nType=notify\nExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/c.sock\n";
    const CENTOS: &str = "[Service]\nEnvironmentFile=-/etc/sysconfig/docker\n\
        EnvironmentFile=-/etc/sysconfig/docker-network\nEnvironment=GOTRACEBACK=crash \"P=a b\"\n\
        ExecStart=/usr/bin/dockerd-current \\\n   --exec-opt native.cgroupdriver=systemd \\\n  # c\n\
        $OPTIONS \\\n        ;d\n  $DOCKER_STORAGE_OPTIONS \\\n   $DOCKER_NETWORK_OPTIONS\nRestart=no\n";
    const COREOS: &str = "[Service]\nEnvironmentFile=-/run/flannel/flannel_docker_opts.env\n\
        ExecStart=/usr/lib/coreos/dockerd daemon --host=fd:// $DOCKER_OPTS $DOCKER_CGROUPS $DOCKER_OPT_BIP\n";

    const FLAGS: &str = "--bridge=cbr0 --mtu=1450";

    fn service(texts: &[&str]) -> Service {
        let files: Vec<File> = texts
            .iter()
            .enumerate()
            .map(|(n, t)| File { path: format!("f{n}"), text: (*t).into() })
            .collect();
        read(&files).unwrap()
    }

    fn settings() -> Vec<Setting> {
        vec![Setting::new("bridge", "cbr0"), Setting::new("mtu", 1450)]
    }

    /// The drop-in's lines after its head, and the environment file's.
    fn made(texts: &[&str], env: &str) -> (String, String) {
        let service = service(texts);
        let made = drop_in(&service, &variables(&service, [env]), &settings(), "/e").unwrap();
        let text =
            made.text.strip_prefix(HEAD).and_then(|t| t.strip_prefix("[Service]\n")).unwrap().to_owned();
        (text, made.env_file.map(|t| t.strip_prefix(HEAD).unwrap().to_owned()).unwrap_or_default())
    }

    #[test]
    fn units_are_read() {
        let debian = service(&[DEBIAN]);
        let line = "/usr/sbin/dockerd -H fd:// --containerd=/run/c.sock $DOCKER_OPTS";
        assert_eq!(debian.exec_start.as_deref(), Some(line));
        assert_eq!(debian.environment_files, ["/etc/default/docker"]);
        let centos = service(&[CENTOS]);
        assert_eq!(centos.environment[1], ("P".to_owned(), "a b".to_owned()));
        assert!(centos.exec_start.unwrap().ends_with("$DOCKER_NETWORK_OPTIONS"));
        let reset = "[Service]\nEnvironment=\nExecStart=\nExecStart=/x\n\
            EnvironmentFile=\nEnvironmentFile=/y\n";
        let after = service(&[CENTOS, reset]);
        assert_eq!((after.exec_start.as_deref(), after.environment.len()), (Some("/x"), 0));
        assert_eq!(after.environment_files, ["/y"]);
        let two = ["a", "b"].map(|p| File { path: p.into(), text: DOCKER_CE.into() });
        assert!(read(&two).unwrap_err().starts_with("b: a second ExecStart= (one is in a):"));
    }

    #[test]
    fn the_variable_for_options() {
        for (line, name) in [
            ("/x $OPTIONS $DOCKER_STORAGE_OPTIONS $DOCKER_NETWORK_OPTIONS", Some("DOCKER_NETWORK_OPTIONS")),
            ("/x $DOCKER_OPTS $DOCKER_CGROUPS", Some("DOCKER_OPTS")),
            ("/x --bip $BIP --debug $EXTRA", Some("EXTRA")),
            ("/x -H fd:// ${DOCKER_OPTS} a$X $$Y", None),
            (":/x $DOCKER_OPTS", None),
        ] {
            assert_eq!(variable_read(line).as_deref(), name, "{line}");
        }
    }

    #[test]
    fn flags_in_a_variable() {
        let opts = |value: &str| format!("DOCKER_OPTS=\"{value}\"\n");
        for (unit, env, file) in [
            (DEBIAN, "", opts(FLAGS)),
            (
                DEBIAN,
                "DOCKER_OPTS=\"--bip=10.1.1.1/24 --dns 8.8.8.8 --label 'a b'\"",
                opts(&format!("--dns 8.8.8.8 --label 'a b' {FLAGS}")),
            ),
            (CENTOS, "", format!("DOCKER_NETWORK_OPTIONS=\"{FLAGS}\"\n")),
            // What mk-docker-opts.sh wrote into another variable makes room.
            (COREOS, "DOCKER_OPT_BIP=\"--bip=10.1.1.1/24\"", opts(FLAGS) + "DOCKER_OPT_BIP=\"\"\n"),
        ] {
            assert_eq!(made(&[unit], env), ("EnvironmentFile=/e\n".to_owned(), file), "{unit} {env}");
        }
    }

    #[test]
    fn flags_in_the_line() {
        let by_hand = "[Service]\nExecStart=\nExecStart=-/d -b br0 --mtu 9 --label \"a b\" --iptables -D";
        let in_variable = "[Service]\nEnvironment=B=::1\nExecStart=/d --bip $B --mtu=${M} $DOCKER_OPTS";
        for (texts, text, file) in [
            (
                &[DOCKER_CE][..],
                format!("ExecStart=\nExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/c.sock {FLAGS}\n"),
                String::new(),
            ),
            (
                &[DOCKER_CE, by_hand],
                format!("ExecStart=\nExecStart=-/d --label \"a b\" -D {FLAGS}\n"),
                String::new(),
            ),
            (
                &[in_variable],
                "EnvironmentFile=/e\nExecStart=\nExecStart=/d $B $DOCKER_OPTS\n".to_owned(),
                format!("B=\"\"\nDOCKER_OPTS=\"{FLAGS}\"\n"),
            ),
        ] {
            assert_eq!(made(texts, ""), (text, file), "{texts:?}");
        }
        assert!(drop_in(&service(&[]), &[], &settings(), "/e").unwrap_err().contains("no ExecStart="));
    }
}

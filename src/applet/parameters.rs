//! Options from the kernel's command line, the environment's equal: `kboot.register.server=`, then
//! `kboot.server=`. What /proc/cmdline shows is as public as argv is.

use super::environment::{OWN_VARIABLE_ONLY, variable};
use super::{APPLETS, Applet};
use crate::plan::cmdline::Parameter;
use crate::plan::nearest::nearest;

/// What is kboot's on the kernel's command line.
const PREFIX: &str = "kboot.";

/// What is not an option's: `init` reads these, but for the last two. `required` is for the scripts of other
/// initramfs that run it; `log` is `KBOOT_LOG`'s equal.
const OTHERS: [&str; 9] =
    ["boot", "modules", "init.modules", "ip", "init.ip", "rescue", "root", "required", "log"];

/// The parameter that is the variable's equal, such as `kboot.bridge.out-interface` for
/// `KBOOT_BRIDGE_OUT_INTERFACE`; of several the last, as `plan::cmdline` has it. Dots, dashes and
/// underscores are one. With its name as it was written, and its value; `None` for a bare name.
pub fn find(line: &[Parameter<'_>], variable: &str) -> Option<(String, Option<String>)> {
    let found = line.iter().rev().find(|p| is_of(p.name, variable))?;
    Some((found.name.to_owned(), found.value.map(str::to_owned)))
}

fn is_of(parameter: &str, variable: &str) -> bool {
    let plain = |c: u8| if matches!(c, b'-' | b'.') { b'_' } else { c };
    let wanted = variable.bytes().map(|c| c.to_ascii_lowercase());
    parameter.starts_with(PREFIX) && parameter.bytes().map(plain).eq(wanted)
}

/// What looks like kboot's and is nobody's, in words: of `applet` only what is nearest to a name that it
/// would have read, so that one typing error is not told by every run of a boot; of `None`, which is
/// `init`, all of it.
pub fn strangers(line: &[Parameter<'_>], applet: Option<&Applet>) -> Vec<String> {
    let ours: Vec<&str> = line.iter().map(|p| p.name).filter(|n| n.starts_with(PREFIX)).collect();
    if ours.is_empty() {
        return Vec::new();
    }
    let names: Vec<(Option<&Applet>, String)> =
        APPLETS.iter().flat_map(names).chain(OTHERS.map(|name| (None, format!("{PREFIX}{name}")))).collect();
    let is_known = |name: &str| names.iter().any(|(_, known)| is_of(name, &variable(known)));
    let strange = ours.into_iter().filter(|name| !is_known(name));
    strange.filter_map(|name| told(name, &names, applet)).collect()
}

/// All that one applet reads: first its own, then what it shares.
fn names(applet: &'static Applet) -> impl Iterator<Item = (Option<&'static Applet>, String)> {
    let options = (applet.info)().flags.iter().map(|f| f.long).filter(|l| *l != "--help");
    let options: Vec<&str> = options.map(|l| l.trim_start_matches('-')).collect();
    options.into_iter().flat_map(move |option| {
        let is_shared = !OWN_VARIABLE_ONLY.contains(&(applet.name, &format!("--{option}")));
        let shared = is_shared.then(|| format!("{PREFIX}{option}"));
        [Some(format!("{PREFIX}{}.{option}", applet.name)), shared]
            .into_iter()
            .flatten()
            .map(move |n| (Some(applet), n))
    })
}

fn told(stranger: &str, names: &[(Option<&Applet>, String)], applet: Option<&Applet>) -> Option<String> {
    let near = nearest(stranger, names.iter().map(|(_, name)| name.as_str()));
    let reads =
        |reader: Option<&Applet>| applet.is_none() || reader.map(|r| r.name) == applet.map(|a| a.name);
    let is_read = names.iter().any(|(reader, name)| Some(name.as_str()) == near && reads(*reader));
    let hint = near.map(|n| format!(": did you mean {n}?")).unwrap_or_default();
    (applet.is_none() || is_read).then(|| format!("kernel parameter {stranger}: nothing reads it{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::cmdline;

    #[test]
    fn a_variable_has_one_parameter() {
        let line = "kboot.register.server=a kboot.out-interface=b kboot.mk-docker-opts.sh.key=K \
                    kboot.register.dry_run kboot.name= kboot.timeout=1 kboot.timeout=2 \
                    kboot_mtu=3 Kboot.replace=4 xkboot.label=5 kboot.bridge.subnet=\"1,2\"";
        let line = cmdline::parse(line);
        for (variable, found) in [
            ("KBOOT_REGISTER_SERVER", Some(("kboot.register.server", Some("a")))),
            ("KBOOT_OUT_INTERFACE", Some(("kboot.out-interface", Some("b")))),
            ("KBOOT_MK_DOCKER_OPTS_SH_KEY", Some(("kboot.mk-docker-opts.sh.key", Some("K")))),
            ("KBOOT_REGISTER_DRY_RUN", Some(("kboot.register.dry_run", None))),
            ("KBOOT_NAME", Some(("kboot.name", Some("")))),
            ("KBOOT_TIMEOUT", Some(("kboot.timeout", Some("2")))),
            ("KBOOT_BRIDGE_SUBNET", Some(("kboot.bridge.subnet", Some("1,2")))),
            ("KBOOT_SERVER", None),
            ("KBOOT_MTU", None),
            ("KBOOT_REPLACE", None),
            ("KBOOT_LABEL", None),
        ] {
            let wanted = found.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
            assert_eq!(find(&line, variable), wanted, "{variable}");
        }
    }

    #[test]
    fn a_typing_error_is_told_by_whom_it_was_meant_for() {
        let text = "kboot.regster.server=a kboot.sever=b kboot.bridge.nmae=c kboot.wallpaper=d kboot.boot=e \
                    kboot.mk-docker-opts.sh.key=f kboot.bridge.out_interface=g kboot.log=debug quiet";
        let line = cmdline::parse(text);
        let of = |name: &str| {
            let applet = APPLETS.iter().find(|a| a.name == name);
            strangers(&line, Some(applet.unwrap())).join("\n")
        };
        let said = |name, near| format!("kernel parameter {name}: nothing reads it: did you mean {near}?");
        // bridge --check reads --server too.
        let server = said("kboot.sever", "kboot.server");
        let own = said("kboot.regster.server", "kboot.register.server");
        assert_eq!(of("register"), format!("{own}\n{server}"));
        assert_eq!(of("bridge"), format!("{server}\n{}", said("kboot.bridge.nmae", "kboot.bridge.name")));
        assert_eq!(of("flannel-env"), "");
        let all = strangers(&line, None);
        assert_eq!(all.len(), 4, "{all:?}");
        assert_eq!(all[3], "kernel parameter kboot.wallpaper: nothing reads it");
        assert_eq!(strangers(&cmdline::parse("quiet ro"), None), [""; 0]);
    }
}

//! `units`: systemd's units for the boot's steps.

mod store;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::cli::Words;
use super::options::applet_args;
use super::report::Report;
use super::{Applet, info_of, install, judge_of};
use crate::error::{Context, Error, Result};
use crate::plan::units::{self, Role};

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "units",
    summary: "print or write systemd's units for these steps",
    examples: &[
        "read them first: kboot units --role node",
        "write them: kboot units --role both --output /etc/systemd/system",
        "take them away: kboot units --output /etc/systemd/system --remove",
    ],
    rest: None,
    groups: &["Units: --role --program", "Output: --output --replace --remove"],
    exits: &["3: a file there is not kboot's and --replace was not given; nothing was touched"],
    variables: &[],
    files: &[
        "/etc/default/kboot: the options of the steps, KBOOT_NAME=value",
        "/etc/systemd/system: where an administrator's units are",
    ],
    info: info_of::<Args>,
    judge: judge_of::<Args>,
    run,
};

/// Where an administrator's units are.
const DIRECTORY: &str = "/etc/systemd/system";

applet_args! {
    /// prints systemd's units for a host's boot: kboot-APPLET.service for each step, and
    /// kboot-control-plane.target or kboot-node.target, which an administrator enables. Their options
    /// come from /etc/default/kboot: lines such as KBOOT_SERVER=http://10.0.0.1:8080.
    struct Args [] {
        /// control-plane, node or both (default: both)
        #[argh(option, arg_name = "role", default = "Role::Both")]
        role: Role,
        /// write them there, where they differ, and remove kboot's own of other roles
        #[argh(option, short = 'o', arg_name = "dir")]
        output: Option<PathBuf>,
        /// the kboot that they run (default: this program)
        #[argh(option, arg_name = "path")]
        program: Option<String>,
        /// overwrite files that are not kboot's
        #[argh(switch)]
        replace: bool,
        /// remove kboot's own from --output
        #[argh(switch)]
        remove: bool,
    }
}

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let args: Args = words.parse()?;
    let _ = args.common();
    if args.output.is_none() && (args.remove || words.is_typed("--replace")) {
        return Err(Error::usage("--remove and --replace go with --output"));
    }
    let program = match &args.program {
        Some(given) => given.clone(),
        None => install::own_path().context("--program")?.display().to_string(),
    };
    if !units::is_plain(&program) {
        return Err(Error::usage(format!(
            "--program {program}: is no absolute path of letters, digits and /-_.+@: alone"
        )));
    }
    if !args.remove
        && let Some(why) = hindrance(Path::new(&program))
    {
        report.warn(format!("--program {program}: {why}"));
    }
    let files = if args.remove { Vec::new() } else { units::files(args.role, &program) };
    if let Some(directory) = &args.output {
        return store::store(&args, &std::path::absolute(directory)?, files, report);
    }
    report.found("units", files.iter().map(|f| (f.name.to_owned(), json!(f.text))).collect());
    let texts = files.iter().map(|f| format!("# {DIRECTORY}/{}\n{}", f.name, f.text));
    report.data(&texts.collect::<Vec<_>>().join("\n"))
}

/// Why the units could not run it. Another host, for which they may be meant, may have it.
fn hindrance(program: &Path) -> Option<&'static str> {
    if ["/tmp", "/var/tmp"].iter().any(|hidden| program.starts_with(hidden)) {
        return Some("PrivateTmp= hides it from the steps: keep it elsewhere");
    }
    match program.metadata() {
        Ok(found) if !found.is_file() || found.permissions().mode() & 0o111 == 0 => Some("is no program"),
        Ok(_) => None,
        Err(_) => Some("is not on this host"),
    }
}

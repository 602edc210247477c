use std::path::Path;

use super::Args;
use crate::applet::boot_line;
use crate::error::{Context, Error, Result};
use crate::plan::boot_list::{self, Line};
use crate::plan::cmdline::{self, Parameter};
use crate::plan::init::{network, switch_root};
use crate::plan::shell;
use crate::sys::{file, machine};

/// Where a list and modules are named when nobody says otherwise.
const BOOT: &str = "/etc/kboot/boot";
const MODULES: &str = "/etc/kboot/modules";

/// What is to be done, all of it judged.
pub struct Wanted {
    /// The kernel modules that are named.
    pub modules: Vec<String>,
    /// The boot list, with the network's steps in front.
    pub list: Vec<Line>,
    /// The root to switch to: a device or a directory; `None`: stay.
    pub root: Option<String>,
    /// Its file system (`rootfstype=`), one or more separated by commas.
    pub root_kind: Option<String>,
    /// Its mount options (`rootflags=`).
    pub root_flags: String,
    /// Mounted for reading alone, the kernel's default.
    pub is_read_only: bool,
    /// The root's init that was asked for.
    pub init: Option<String>,
    /// What it gets as its arguments.
    pub init_args: Vec<String>,
    /// The control groups as they were before Linux 4.5, where the command line asks systemd for them.
    pub has_old_cgroups: bool,
}

impl Wanted {
    /// From the options, the kernel's command line and the files.
    pub fn of(args: &Args, rest: &[String]) -> Result<Self> {
        // In a container it is the host's.
        let line = if machine::is_whole() { crate::sys::cmdline::read() } else { String::new() };
        let line = cmdline::parse(&line);
        let own = |name: &str| own(&line, name);
        let kernel = |name: &str| cmdline::value(&line, name).map(str::to_owned);
        // The kernel's own words are for who switches the root and owns the network: not for --once.
        let first = |name: &str| kernel(name).filter(|_| !args.once);
        let root = args.root.clone().or_else(|| first("root"));
        let root = root.filter(|_| !args.once).unwrap_or_default();
        let root = switch_root::device(&root).map_err(|why| Error::usage(format!("root={why}")))?;
        let mut wanted = Self {
            modules: modules(args, own("modules").as_deref())?,
            list: Vec::new(),
            root: root.map(str::to_owned),
            root_kind: first("rootfstype"),
            root_flags: first("rootflags").unwrap_or_default(),
            is_read_only: line
                .iter()
                .rev()
                .find(|p| matches!(p.name, "ro" | "rw"))
                .is_none_or(|p| p.name == "ro"),
            init: args.real_init.clone().or_else(|| first("init")),
            init_args: rest.to_vec(),
            has_old_cgroups: kernel("systemd.unified_cgroup_hierarchy")
                .is_some_and(|v| matches!(v.as_str(), "0" | "no" | "false" | "off")),
        };
        let stays = wanted.root.is_none() && !args.once;
        wanted.list = list(args.boot.clone(), stays)?;
        let (before, after) = network::steps(&line, !args.once, stays);
        wanted.list.splice(0..0, before);
        wanted.list.extend(after);
        Ok(wanted)
    }

    /// The root's init, as `--dry-run` shows it.
    pub fn init_text(&self) -> String {
        let init = self.init.as_deref().unwrap_or(switch_root::INITS[0]);
        shell::join(std::iter::once(init).chain(self.init_args.iter().map(String::as_str)))
    }
}

/// A parameter of kboot's own that is no option of init's: for init alone, or for all.
fn own(line: &[Parameter<'_>], name: &str) -> Option<String> {
    let value = |full: String| cmdline::value(line, &full).map(str::to_owned);
    value(format!("kboot.init.{name}")).or_else(|| value(format!("kboot.{name}")))
}

fn modules(args: &Args, more: Option<&str>) -> Result<Vec<String>> {
    let file = file::read_if_there(Path::new(MODULES)).usage(MODULES)?.unwrap_or_default();
    let file = String::from_utf8_lossy(&file);
    let listed = file.lines().map(|l| l.split('#').next().unwrap_or_default());
    let given = args.module.iter().map(String::as_str).chain(more);
    let mut names: Vec<String> = Vec::new();
    for name in listed.chain(given).flat_map(|t| t.split([',', ' ', '\t'])).filter(|n| !n.is_empty()) {
        if !names.iter().any(|n| n == name) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Reads and judges the list. What begins with `/` and has neither blank nor `;` is a file's path.
fn list(given: Option<String>, stays: bool) -> Result<Vec<Line>> {
    let is_path = |t: &String| t.starts_with('/') && !t.contains([';', ' ', '\t']);
    let path = given.clone().filter(is_path).unwrap_or_else(|| BOOT.to_owned());
    let (source, text) = match given {
        Some(text) if !is_path(&text) => ("--boot (kboot.boot=)", text),
        Some(_) => (path.as_str(), file::read_named(Path::new(&path))?),
        None => {
            let bytes = file::read_if_there(Path::new(&path)).map_err(|e| Error::usage(e.to_string()))?;
            (path.as_str(), String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
        }
    };
    let lines: Vec<&str> = if source == path { text.lines().collect() } else { boot_list::cut(&text) };
    boot_line::judge(&lines, stays)
        .map_err(|(number, why)| Error::usage(format!("{source} line {number}: {why}")))
}

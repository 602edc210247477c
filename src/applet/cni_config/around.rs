//! What is there beside the file: other configs, the plugins, the bridge.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::applet::pod_bridge;
use crate::applet::report::Report;
use crate::error::{Context, Result};
use crate::plan::cni::{self, Wanted};
use crate::sys::log;
use crate::types::Hairpin;

/// Where plugins are: upstream's archive and the runtimes' default; Debian, SUSE; Fedora.
const PLUGIN_DIRS: [&str; 3] = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];

/// A file's name without its directory.
pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The files beside it that a runtime would take instead.
pub fn earlier(path: &Path) -> Result<Vec<String>> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut names = Vec::new();
    let entries = match fs::read_dir(directory) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(names),
        entries => entries.context(directory.display())?,
    };
    for entry in entries {
        let entry = entry.context(directory.display())?;
        // libcni passes over directories, not over links to one.
        if !entry.file_type().is_ok_and(|t| t.is_dir()) {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(cni::comes_before(&name(path), names))
}

/// What pods would miss on this host, as far as it can be seen.
pub fn look(wanted: &Wanted<'_>, report: &mut Report) {
    let is_in = |dir: &str, program: &str| Path::new(dir).join(program).is_file();
    let mut missing = wanted.programs();
    missing.retain(|program| !PLUGIN_DIRS.iter().any(|dir| is_in(dir, program)));
    if !missing.is_empty() {
        let dirs = PLUGIN_DIRS.join(" ");
        report.warn(format!("no CNI plugin {} in {dirs}: no pod starts without", missing.join(", ")));
    } else if let Some(dir) = PLUGIN_DIRS.iter().skip(1).find(|dir| is_in(dir, "bridge"))
        && !is_in(PLUGIN_DIRS[0], "bridge")
    {
        log::info!("the CNI plugins are in {dir}: the runtime's settings must say so (containerd: bin_dir)");
    }
    let Ok((link, addrs)) = pod_bridge::look(wanted.bridge) else { return };
    let name = wanted.bridge;
    let gateways = || wanted.subnets.iter().map(|s| s.host().addr());
    let Some(link) = link else {
        return report
            .warn(format!("{name} is not there: pods have no gateway before kboot bridge makes it"));
    };
    if link.kind != "bridge" {
        report.warn(format!("{name} is a {} device, not a bridge", link.kind));
    } else if let Some(gateway) = gateways().find(|g| !addrs.iter().any(|a| a.addr() == *g)) {
        report.warn(format!("{name} does not have the pods' gateway {gateway}: kboot bridge gives it"));
    } else if link.promiscuous && wanted.hairpin == Hairpin::Veth {
        report.warn(format!(
            "{name} is promiscuous: give --hairpin-mode promiscuous-bridge, or pods get twice what they send to themselves"
        ));
    }
}

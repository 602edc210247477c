use std::path::Path;
use std::time::Instant;

use nix::mount::MsFlags;

use super::boot::{Boot, DRAWN_EVERY};
use super::wanted::Wanted;
use crate::error::{Context, Error, Result};
use crate::plan::init::filesystem;
use crate::plan::init::switch_root::{Facts, INITS, MOVED, refusal};
use crate::sys::child::Settings;
use crate::sys::wait::Deadline;
use crate::sys::{exec, machine, mount, switch_root, timeline};

/// Where a device is mounted.
const NEW_ROOT: &str = "/newroot";

impl Boot {
    /// Mounts the root, if it is a device, and becomes its init.
    pub fn switch(&mut self, root: &str, wanted: &Wanted, deadline: &Deadline) -> Result<()> {
        let directory = if Path::new(root).is_dir() { root } else { NEW_ROOT };
        if directory == NEW_ROOT {
            self.mount_root(root, wanted, deadline).context(format_args!("root {root}"))?;
        }
        let new_root = Path::new(directory);
        let asked = wanted.init.as_deref();
        let inits = asked.as_ref().map_or(&INITS[..], std::slice::from_ref);
        let init = inits.iter().copied().find(|init| switch_root::is_executable(new_root, init));
        let facts = Facts {
            is_first: machine::is_first(),
            old_is_ram: mount::is_in_memory(Path::new("/")),
            has_init_file: std::fs::symlink_metadata("/init").is_ok_and(|m| m.is_file()),
            new_root: directory,
            is_other: mount::device_of(new_root) != mount::device_of(Path::new("/")),
            is_mount_point: mount::is_mount_point(new_root),
            init,
            asked,
        };
        if let Some(why) = refusal(&facts) {
            return Err(Error::failed(format!("switch_root {directory}: {why}")));
        }
        let init = init.unwrap_or_default();
        self.console.say(6, &format!("switch_root {directory} {init}"));
        switch_root::switch(new_root, &MOVED).context("switch_root")?;
        Err(exec::exec(init, &wanted.init_args, std::env::vars_os().collect(), &Settings::default()))
    }

    fn mount_root(&mut self, root: &str, wanted: &Wanted, deadline: &Deadline) -> Result<()> {
        timeline::phase("root");
        let device = Path::new(root);
        let (started, mut is_new) = (Instant::now(), true);
        while !mount::is_block_device(device) {
            if deadline.passed() {
                return Err(Error::deadline(format!("no such device within {}", deadline.timeout())));
            }
            self.console.waiting(&format!("waiting for {root}"), started.elapsed().as_secs(), is_new);
            is_new = false;
            // Wakes for devices, loads their drivers, and hears Ctrl-Alt-Del.
            self.turn(Some(Instant::now() + deadline.attempt(DRAWN_EVERY)));
            if self.asked.is_some() {
                return Err(Error::program(1));
            }
        }
        let kind = wanted
            .root_kind
            .clone()
            .or_else(|| filesystem::of(&mount::head(device, filesystem::HEAD).ok()?).map(str::to_owned));
        let kinds = kind.ok_or_else(|| {
            Error::failed("its file system is none that is known here: name it by rootfstype=")
        })?;
        let read_only = if wanted.is_read_only { MsFlags::MS_RDONLY } else { MsFlags::empty() };
        let flags = &wanted.root_flags;
        let options = if flags.is_empty() { String::new() } else { format!(" -o {flags}") };
        let mut last = Ok(());
        for kind in kinds.split(',') {
            let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
            if !filesystem::is_known(&known, kind) {
                self.drivers.by_alias(&format!("fs-{kind}"), kind);
            }
            last = mount::mount(root, Path::new(NEW_ROOT), kind, read_only, flags)
                .context(format_args!("mount -t {kind}{options}"));
            if last.is_ok() {
                break;
            }
        }
        last
    }
}

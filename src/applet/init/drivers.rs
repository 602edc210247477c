use std::time::Instant;

use crate::applet::kernel_module::{self, Lists, State};
use crate::error::{Error, Result};
use crate::plan::init::text;
use crate::plan::modules as plan;
use crate::sys::modules::devices;

use super::console::Console;

/// What the image has of the kernel's modules, and those that were tried so far.
pub struct Drivers {
    /// With modules.alias; `None`: no modules for this kernel.
    lists: Option<(Lists, String)>,
    tried: Vec<String>,
    /// The aliases of the devices that were there.
    seen: Vec<String>,
}

impl Drivers {
    /// Reads the lists.
    pub fn new() -> Self {
        let lists = Lists::read().ok().map(|lists| {
            let aliases = lists.aliases();
            (lists, aliases)
        });
        Self { lists, tried: Vec::new(), seen: Vec::new() }
    }

    /// Loads these modules; one that cannot be is a warning: what needs it will say why it does.
    pub fn named(&self, names: &[String], console: &mut Console) {
        let started = Instant::now();
        let mut loaded = Vec::new();
        for name in names {
            match self.one(name) {
                Ok(true) => loaded.push(name.clone()),
                Ok(false) => {}
                Err(error) => console.say(4, &format!("warning: module {name}: {error}")),
            }
        }
        say(&loaded, started, console);
    }

    fn one(&self, name: &str) -> Result<bool> {
        if let Some((lists, _)) = self.lists.as_ref().filter(|(lists, _)| lists.has(name)) {
            return lists.load(name);
        }
        match kernel_module::state(name)? {
            State::Live => Ok(false),
            // Its file is missing: the error says which.
            State::Loadable => kernel_module::load(name).map(|()| true),
            State::Unknown => Err(Error::failed("this kernel has no such module")),
        }
    }

    /// Loads what modules.alias has for the devices that are there; a bus that comes with its driver
    /// brings more devices: until there is nothing new.
    pub fn of_devices(&mut self, console: &mut Console) {
        let Some((lists, aliases)) = &self.lists else { return };
        let started = Instant::now();
        let (mut loaded, mut is_new) = (Vec::new(), true);
        while is_new {
            is_new = false;
            self.seen = devices();
            for name in plan::wanted(aliases, &self.seen) {
                if self.tried.iter().any(|t| t == name) {
                    continue;
                }
                self.tried.push(name.to_owned());
                if lists.has(name) {
                    is_new = true;
                    match lists.load(name) {
                        Ok(true) => loaded.push(name.to_owned()),
                        Ok(false) => {}
                        // A driver may find that its device is none of its own.
                        Err(error) => console.note("init", 6, &format!("module {name}: {error}")),
                    }
                }
            }
        }
        say(&loaded, started, console);
    }

    /// Looks again, if one of these devices is of a kind that was not there.
    pub fn of_new(&mut self, aliases: &[String], console: &mut Console) {
        if aliases.iter().any(|alias| !self.seen.contains(alias)) {
            self.of_devices(console);
        }
    }

    /// Loads the first module that goes by an alias, such as `fs-xfs`; the module's own name will do too.
    pub fn by_alias(&self, alias: &str, name: &str) {
        let aliases = self.lists.as_ref().map_or("", |(_, aliases)| aliases);
        let found = plan::wanted(aliases, &[alias.to_owned()]).first().copied().unwrap_or(name);
        kernel_module::bring(&[found]);
    }
}

fn say(loaded: &[String], started: Instant, console: &mut Console) {
    if !loaded.is_empty() {
        let span = text::span(started.elapsed().as_millis());
        console.say(6, &format!("modules {} loaded ({span})", loaded.join(" ")));
    }
}

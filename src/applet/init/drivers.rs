use std::time::Instant;

use crate::applet::kernel_module::{self, State};
use crate::plan::init::text;
use crate::plan::modules as plan;
use crate::sys::modules::{Tree, devices};

use super::console::Console;

/// The modules that were loaded, or tried, so far.
#[derive(Default)]
pub struct Drivers {
    aliases: Option<String>,
    tried: Vec<String>,
}

impl Drivers {
    /// Loads these modules; one that cannot be is a warning: what needs it will say why it does.
    pub fn named(&mut self, names: &[String], console: &mut Console) {
        let started = Instant::now();
        let mut loaded = Vec::new();
        for name in names {
            let done = kernel_module::state(name).and_then(|state| match state {
                State::Live => Ok(()),
                State::Loadable => kernel_module::load(name).map(|()| loaded.push(name.clone())),
                State::Unknown => Err(crate::error::Error::failed("this kernel has no such module")),
            });
            if let Err(error) = done {
                console.say(4, &format!("warning: module {name}: {error}"));
            }
        }
        say(&loaded, started, console);
    }

    /// Loads what modules.alias has for the devices that are there; a bus that comes with its driver
    /// brings more devices: until there is nothing new. Without modules there is nothing to do.
    pub fn of_devices(&mut self, console: &mut Console) {
        let started = Instant::now();
        if self.aliases.is_none() {
            let list = Tree::find().and_then(|tree| tree.list("modules.alias"));
            self.aliases = Some(list.unwrap_or_default());
        }
        let aliases = self.aliases.as_deref().filter(|list| !list.is_empty());
        let mut loaded = Vec::new();
        while let Some(list) = aliases {
            let found = plan::wanted(list, &devices());
            let new: Vec<String> =
                found.into_iter().filter(|n| !self.tried.iter().any(|t| t == n)).map(str::to_owned).collect();
            if new.is_empty() {
                break;
            }
            for name in new {
                if kernel_module::state(&name).is_ok_and(|s| s == State::Loadable) {
                    match kernel_module::load(&name) {
                        Ok(()) => loaded.push(name.clone()),
                        // A driver may find that its device is none of its own.
                        Err(error) => console.note("init", 6, &format!("module {name}: {error}")),
                    }
                }
                self.tried.push(name);
            }
        }
        say(&loaded, started, console);
    }

    /// Loads the first module that goes by an alias, such as `fs-xfs`; the module's own name will do too.
    pub fn by_alias(&mut self, alias: &str, name: &str) {
        let list = self.aliases.as_deref().unwrap_or_default();
        let found = plan::wanted(list, &[alias.to_owned()]).first().copied().unwrap_or(name);
        kernel_module::bring(&[found]);
    }
}

fn say(loaded: &[String], started: Instant, console: &mut Console) {
    if !loaded.is_empty() {
        let span = text::span(started.elapsed().as_millis());
        console.say(6, &format!("modules {} loaded ({span})", loaded.join(" ")));
    }
}

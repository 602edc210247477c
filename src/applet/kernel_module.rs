//! Loading a kernel module with all that it needs.

use crate::error::{Context, Result};
use crate::plan::modules as plan;
use crate::sys::log;
use crate::sys::modules::{self, Tree};

/// What a module is to this kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is loaded, or part of the kernel.
    Live,
    /// It can be loaded.
    Loadable,
    /// There is no such module.
    Unknown,
}

/// Looks for a module; `-` and `_` are one.
pub fn state(name: &str) -> Result<State> {
    if plan::is_live(&modules::loaded()?, name) {
        return Ok(State::Live);
    }
    let tree = Tree::find()?;
    if plan::files(&tree.list("modules.dep")?, name).is_some() {
        return Ok(State::Loadable);
    }
    let is_built_in = tree.list("modules.builtin").is_ok_and(|l| plan::is_built_in(&l, name));
    Ok(if is_built_in { State::Live } else { State::Unknown })
}

/// Loads a module and, before it, what it needs. Nothing is taken out again when something fails later.
pub fn load(name: &str) -> Result<()> {
    Lists::read()?.load(name).map(|_| ())
}

/// The running kernel's lists, read once for many modules.
pub struct Lists {
    tree: Tree,
    dep: String,
}

impl Lists {
    /// Reads modules.dep.
    pub fn read() -> Result<Self> {
        let tree = Tree::find()?;
        let dep = tree.list("modules.dep")?;
        Ok(Self { tree, dep })
    }

    /// The text of modules.alias, empty where there is none.
    pub fn aliases(&self) -> String {
        self.tree.list("modules.alias").unwrap_or_default()
    }

    /// Whether a module and all that it needs lies there: an image has the files of some alone.
    pub fn has(&self, name: &str) -> bool {
        plan::files(&self.dep, name).is_some_and(|files| files.iter().all(|f| self.tree.has(f)))
    }

    /// The same as the function of this name; `false`: it was there already.
    pub fn load(&self, name: &str) -> Result<bool> {
        let loaded = modules::loaded()?;
        let files = plan::files(&self.dep, name).unwrap_or_default();
        let (file, needed) = files.split_last().unwrap_or((&"", &[]));
        for other in needed.iter().filter(|f| !plan::is_live(&loaded, plan::name_of(f))) {
            self.tree.insert(other).context(format_args!("needs {}", plan::name_of(other)))?;
        }
        if plan::is_live(&loaded, name) { Ok(false) } else { self.tree.insert(file) }
    }
}

/// Loads those that are there and not loaded, as the kernel itself asks modprobe to: on a host without
/// that program nobody answers. Whether one was loaded: then what failed may be tried again.
pub fn bring(names: &[&str]) -> bool {
    let mut brought = false;
    for name in names.iter().filter(|n| matches!(state(n), Ok(State::Loadable))) {
        match load(name) {
            Ok(()) => brought = true,
            Err(error) => log::warning!("module {name}: {error}"),
        }
    }
    brought
}

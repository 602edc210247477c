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
    let tree = Tree::find()?;
    let (list, loaded) = (tree.list("modules.dep")?, modules::loaded()?);
    let files = plan::files(&list, name).unwrap_or_default();
    let (file, needed) = files.split_last().unwrap_or((&"", &[]));
    for other in needed.iter().filter(|f| !plan::is_live(&loaded, plan::name_of(f))) {
        tree.insert(other).context(format_args!("needs {}", plan::name_of(other)))?;
    }
    tree.insert(file)?;
    Ok(())
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

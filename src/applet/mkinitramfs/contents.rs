//! What goes into the image, looked at before anything is written.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::Args;
use crate::applet::boot_line;
use crate::applet::install::own_path;
use crate::applet::report::Report;
use crate::error::{Context, Error, Result};
use crate::plan::initramfs::modules::{Choice, Lists};
use crate::plan::initramfs::{Image, What, elf};
use crate::plan::modules::name_of;
use crate::sys::file;
use crate::sys::log;
use crate::sys::modules::Tree;

/// Program headers stand behind the ELF header, within the first page by every linker.
const START: u64 = 4096;

/// The image that the options ask for.
pub fn gather(args: &Args, report: &mut Report) -> Result<Image> {
    let program = args.kboot.clone().map_or_else(own_path, Ok)?;
    let mut image = kboot(&program).usage(format_args!("--kboot {}", program.display()))?;
    if let Some(boot) = &args.boot {
        let context = format!("--boot {}", boot.display());
        judge(&file::read_named(boot).context("--boot")?).usage(&context)?;
        let (_, mode) = look(boot).usage(&context)?;
        // Not the umask's further bits: one list makes one image.
        let mode = if mode & 0o004 == 0 { 0o600 } else { 0o644 };
        add(&mut image, boot, "etc/kboot/boot", Some(mode)).usage(&context)?;
    }
    if !args.module.is_empty() {
        modules(args, &mut image, report)?;
    }
    for extra in &args.file {
        let from = std::path::absolute(&extra.from)?;
        let to = extra.to.clone().map_or_else(|| same_path(&from), Ok);
        to.and_then(|to| add(&mut image, &from, &to, extra.mode))
            .usage(format_args!("--file {}", extra.from.display()))?;
    }
    Ok(image)
}

/// What init would say of the list is better said now. Whether init stays, its parameters tell.
fn judge(list: &str) -> Result<()> {
    let judged = boot_line::judge(&list.lines().collect::<Vec<_>>(), true);
    judged.map(drop).map_err(|(number, why)| Error::failed(format!("line {number}: {why}")))
}

fn kboot(program: &Path) -> Result<Image> {
    let (size, _) = look(program)?;
    let mut start = Vec::new();
    fs::File::open(program)?.take(START).read_to_end(&mut start)?;
    match elf::interpreter(&start).map_err(Error::failed)? {
        None => Image::new(program.to_owned(), size).map_err(Error::failed),
        Some(loader) => Err(Error::failed(format!(
            "needs {loader} and libraries, which the image does not have: give a static one (scripts/build)"
        ))),
    }
}

/// A file's size and permission bits.
fn look(path: &Path) -> Result<(u32, u32)> {
    let found = fs::metadata(path)?;
    if !found.is_file() {
        return Err(Error::failed("is not a regular file"));
    }
    let size = u32::try_from(found.len());
    let size = size.map_err(|_| Error::failed("is 4 GiB or larger: no initramfs can hold it"))?;
    // What cannot be read is to fail now, not in the middle of the archive.
    fs::File::open(path)?;
    Ok((size, found.mode() & 0o7777))
}

fn same_path(from: &Path) -> Result<String> {
    let text = from.to_str().ok_or_else(|| Error::failed("is not UTF-8"))?;
    Ok(text.trim_start_matches('/').to_owned())
}

fn add(image: &mut Image, from: &Path, to: &str, mode: Option<u32>) -> Result<()> {
    let (size, own_mode) = look(from)?;
    image.add(to, mode.unwrap_or(own_mode), What::Copy(from.to_owned(), size)).map_err(Error::failed)
}

/// The modules' files, depmod's lists cut to them, and /etc/kboot/modules, which tells init what to load.
fn modules(args: &Args, image: &mut Image, report: &mut Report) -> Result<()> {
    let tree = tree(args)?;
    let lists = lists(&tree)?;
    let choice = lists.choose(&args.module).map_err(Error::usage)?;
    for name in &choice.built_in {
        log::info!("module {name} is part of kernel {}", tree.release());
    }
    let directory = format!("lib/modules/{}", tree.release());
    for file in &choice.files {
        let from = tree.directory().join(file);
        add(image, &from, &format!("{directory}/{file}"), Some(0o644)).usage(from.display())?;
    }
    let cut = lists.cut(&choice);
    for (name, text) in [
        ("modules.dep", cut.dep),
        ("modules.alias", cut.alias),
        ("modules.builtin", cut.builtin),
        ("modules.softdep", cut.softdep),
    ] {
        image.add(&format!("{directory}/{name}"), 0o644, What::Text(text)).map_err(Error::failed)?;
    }
    let load = choice.load.join("\n") + "\n";
    image.add("etc/kboot/modules", 0o644, What::Text(load)).map_err(Error::failed)?;
    tell(&tree, &choice, report);
    Ok(())
}

fn tell(tree: &Tree, choice: &Choice<'_>, report: &mut Report) {
    let names: Vec<&str> = choice.files.iter().map(|f| name_of(f)).collect();
    report.found("kernel", json!(tree.release()));
    report.found("modules", json!(names));
    report.found("builtIn", json!(choice.built_in));
}

/// The modules' directory: the one that is named, which also says whose they are, or the kernel's.
fn tree(args: &Args) -> Result<Tree> {
    if args.kernel.as_ref().is_some_and(|k| k.contains('/') || k.starts_with('.')) {
        return Err(Error::usage("--kernel: is a kernel's version, as uname -r gives it, not a path"));
    }
    match (&args.modules_dir, args.kernel.clone()) {
        (None, None) => Tree::find().context("--module"),
        (None, Some(release)) => Tree::of(release).usage("--kernel"),
        (Some(directory), release) => {
            let directory = named(directory)?;
            let last = directory.file_name().and_then(|n| n.to_str()).map(str::to_owned);
            let release = release.or(last).ok_or_else(|| Error::usage("--kernel is missing"))?;
            Ok(Tree::at(directory, release))
        }
    }
}

fn named(directory: &Path) -> Result<PathBuf> {
    let context = || format!("--modules-dir {}", directory.display());
    let found = fs::canonicalize(directory).map_err(Error::from).usage(context())?;
    if found.is_dir() { Ok(found) } else { Err(Error::failed("is not a directory")).usage(context()) }
}

fn lists(tree: &Tree) -> Result<Lists> {
    let dep = tree.list("modules.dep").usage("--module (depmod makes it)")?;
    let list = |name| {
        let is_there = tree.directory().join(name).exists();
        if is_there { tree.list(name) } else { Ok(String::new()) }
    };
    Ok(Lists {
        dep,
        alias: list("modules.alias")?,
        builtin: list("modules.builtin")?,
        softdep: list("modules.softdep")?,
    })
}

//! The file: comparing and writing it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Args;
use super::around::name;
use crate::applet::drift::{self, Difference};
use crate::applet::report::{Report, Step};
use crate::error::{Context, Error, Result};
use crate::plan::cni::{self, Held};
use crate::sys::file;

/// Tells what differs; exit 3 if anything does.
pub fn check(args: &Args, path: &Path, held: Held, earlier: Vec<String>, report: &mut Report) -> Result<()> {
    let shown = path.display();
    let fix = |by_replace: bool| (!by_replace || args.replace).then(|| format!("write {shown}"));
    let none = match held {
        Held::Foreign(_) => format!(": {shown} is not kboot's: --replace, or another --output"),
        _ => ": remove that file, give another --output, or --no-conflict-check".to_owned(),
    };
    let (texts, fix) = match held {
        Held::Wanted => (Vec::new(), None),
        Held::Nothing => {
            let what = if path.exists() { "is empty" } else { "is not there" };
            (vec![format!("{shown} {what}")], fix(false))
        }
        Held::Own(texts) => (texts, fix(false)),
        Held::Foreign(texts) => (texts, fix(true)),
    };
    report.already(usize::from(texts.is_empty()));
    let mut found: Vec<Difference> =
        texts.into_iter().map(|what| Difference { what, fix: fix.clone() }).collect();
    found.extend(earlier.into_iter().map(|other| Difference { what: before(&other, path), fix: None }));
    drift::tell(report, &found, &none)
}

fn before(other: &str, path: &Path) -> String {
    format!("{other} comes before {}: the runtime takes that one", name(path))
}

/// Writing the file.
struct Write<'a> {
    path: &'a Path,
    text: String,
    /// What changes in it; else what is written.
    line: String,
}

impl std::fmt::Display for Write<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "write {}: {}", self.path.display(), self.line)
    }
}

impl Step for Write<'_> {
    fn kind(&self) -> &'static str {
        "file"
    }
}

/// Writes it where it differs, unless that is somebody else's or would be in vain.
pub fn store(
    args: &Args,
    path: &Path,
    list: &Value,
    held: Held,
    earlier: &[String],
    report: &mut Report,
) -> Result<()> {
    let shown = path.display();
    if let [first, ..] = earlier {
        let why = before(first, path);
        return Err(Error::conflict(format!(
            "{why}: remove it, give another --output, or --no-conflict-check"
        )));
    }
    let line = match held {
        Held::Wanted => {
            report.already(1);
            return Ok(());
        }
        Held::Foreign(texts) if !args.replace => {
            let texts = texts.join("; ");
            return Err(Error::conflict(format!(
                "{shown}: is not kboot's: {texts}: --replace, or another --output"
            )));
        }
        Held::Nothing => list.to_string(),
        Held::Own(texts) | Held::Foreign(texts) => {
            warn_of_pods(&texts, report);
            texts.join("; ")
        }
    };
    report.carry_out(&[Write { path, text: cni::text(list), line }], |step| {
        if let Some(parent) = step.path.parent() {
            fs::create_dir_all(parent).context(parent.display())?;
        }
        file::write_atomic(step.path, step.text.as_bytes(), 0o644)
    })
}

/// host-local keeps its notes by the network's name.
fn warn_of_pods(differences: &[String], report: &mut Report) {
    if differences.iter().any(|d| d.starts_with("name is ") || d.contains(".dataDir is ")) {
        report.warn(
            "host-local will not know which addresses running pods have, and give them again: drain the node first",
        );
    }
}

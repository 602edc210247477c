//! docker.service as systemd would start it: its unit, its drop-ins, the files of variables they name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::forms::Edit;
use crate::error::{Error, Result};
use crate::plan::docker::unit::{self, File, Service};
use crate::plan::docker::{is_dockerd, odd_assignment, words};
use crate::sys::file;

/// Where units are, the first winning (systemd.unit(5)).
pub const UNIT_DIRS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// Where kboot's drop-in goes, unless told: after `override.conf`, which `systemctl edit` makes.
pub const OWN_DROP_IN: &str = "/etc/systemd/system/docker.service.d/zz-kboot.conf";

/// docker.service with all that belongs to it.
pub struct Unit {
    /// What it says.
    pub service: Service,
    /// Its variables, the later overruling the earlier.
    pub variables: Vec<(String, String)>,
    /// Which file each variable comes from.
    origins: Vec<(String, String)>,
}

/// What is read; `edits` stand for what is there now.
struct Reader<'e> {
    leave_out: &'e [PathBuf],
    edits: &'e [Edit],
}

impl Unit {
    /// Reads it, without the files to be left out. `None`: there is no such unit.
    pub fn read(leave_out: &[PathBuf], edits: &[Edit]) -> Result<Option<Self>> {
        let reader = Reader { leave_out, edits };
        let unit = UNIT_DIRS.iter().map(|d| Path::new(d).join("docker.service"));
        let Some(unit) = unit.into_iter().find(|p| p.symlink_metadata().is_ok()) else { return Ok(None) };
        if is_masked(&unit) {
            return Err(Error::conflict("docker.service is masked: systemctl unmask docker"));
        }
        let mut files = Vec::new();
        for path in std::iter::once(unit).chain(reader.drop_ins()) {
            let text = reader.text(&path)?.unwrap_or_default();
            files.push(File { path: path.display().to_string(), text });
        }
        let service = unit::read(&files).map_err(Error::conflict)?;
        let mut found = Self { service, variables: Vec::new(), origins: Vec::new() };
        found.read_variables(&reader)?;
        Ok(Some(found))
    }

    fn read_variables(&mut self, reader: &Reader<'_>) -> Result<()> {
        for (name, _) in &self.service.environment {
            self.origins.push((name.clone(), "docker.service: Environment=".into()));
        }
        let line = self.service.exec_start.clone().unwrap_or_default();
        let pieces = words::pieces(&line, &[]).unwrap_or_default();
        let used: Vec<&String> = pieces.iter().filter_map(|p| p.variable.as_ref()).collect();
        let mut texts = Vec::new();
        for name in &self.service.environment_files {
            let path = resolved(name)?;
            if reader.leave_out.contains(&path) {
                continue;
            }
            let Some(text) = reader.text(&path)? else { continue };
            if let Some(at) = used.iter().find_map(|name| odd_assignment(&text, name)) {
                return Err(Error::conflict(format!(
                    "{}: line {at}: write the value on one line, in one pair of quotes",
                    path.display()
                )));
            }
            let origin = path.display().to_string();
            self.origins.extend(words::env_file(&text).into_iter().map(|(n, _)| (n, origin.clone())));
            texts.push(text);
        }
        self.variables = unit::variables(&self.service, texts.iter().map(String::as_str));
        Ok(())
    }

    /// Whether it starts dockerd itself, not something that would.
    pub fn starts_dockerd(&self) -> bool {
        let line = self.service.exec_start.as_deref().unwrap_or_default();
        is_dockerd(&words::words(line, &self.variables).unwrap_or_default())
    }

    /// dockerd's command line, each word with the file that it stands in.
    pub fn flags(&self) -> Result<Vec<(String, Vec<String>)>> {
        let line = self.service.exec_start.as_deref().unwrap_or_default();
        let pieces = words::pieces(line, &self.variables)
            .map_err(|why| Error::conflict(format!("{}: ExecStart={line}: {why}", self.service.starter)))?;
        let mut places: Vec<(String, Vec<String>)> = Vec::new();
        for piece in pieces {
            let place = piece.variable.as_ref().map_or(&self.service.starter, |name| self.origin(name));
            let words = piece.words.iter().map(|w| w.text.clone());
            match places.last_mut() {
                Some((last, all)) if last == place => all.extend(words),
                _ => places.push((place.clone(), words.collect())),
            }
        }
        Ok(places)
    }

    /// The file that a variable comes from.
    pub fn origin(&self, name: &str) -> &String {
        self.origins.iter().rev().find(|(n, _)| n == name).map_or(&self.service.starter, |(_, file)| file)
    }
}

impl Reader<'_> {
    fn text(&self, path: &Path) -> Result<Option<String>> {
        match self.edits.iter().find(|e| e.path == path) {
            Some(edit) => Ok(Some(edit.text.clone())),
            None => text(path),
        }
    }

    /// In systemd's order: those of all services, then docker's own, each by name, wherever they are;
    /// of one name the first directory's.
    fn drop_ins(&self) -> Vec<PathBuf> {
        let mut found: BTreeMap<(u8, OsString), PathBuf> = BTreeMap::new();
        for (order, name) in [(0, "service.d"), (1, "docker.service.d")] {
            for dir in UNIT_DIRS.iter().map(|d| Path::new(d).join(name)) {
                let there = std::fs::read_dir(&dir).into_iter().flatten().flatten().map(|e| e.path());
                let new = self.edits.iter().map(|e| e.path.clone()).filter(|p| p.parent() == Some(&dir));
                for path in there.chain(new).filter(|p| p.extension().is_some_and(|e| e == "conf")) {
                    let Some(name) = path.file_name() else { continue };
                    found.entry((order, name.to_owned())).or_insert(path);
                }
            }
        }
        found.into_values().filter(|p| !is_masked(p) && !self.leave_out.contains(p)).collect()
    }
}

fn is_masked(path: &Path) -> bool {
    path.canonicalize().is_ok_and(|p| p == Path::new("/dev/null"))
}

/// The name of an EnvironmentFile=, whose specifiers are those of this one unit.
fn resolved(name: &str) -> Result<PathBuf> {
    let plain = name.replace("%p", "docker").replace("%N", "docker").replace("%n", "docker.service");
    if plain.replace("%%", "").contains(['%', '*', '?', '[']) {
        return Err(Error::conflict(format!("docker.service: EnvironmentFile={name}: write the path out")));
    }
    Ok(plain.replace("%%", "%").into())
}

/// A file's text, `None` when it is not there.
pub fn text(path: &Path) -> Result<Option<String>> {
    let bytes = file::read_if_there(path)?;
    Ok(bytes.map(|b| String::from_utf8_lossy(&b).into_owned()))
}

//! What goes into user-data, looked at before anything is printed.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Args;
use crate::error::{Context, Error, Result};
use crate::plan::cloud_init::{DEFAULTS, Download, File, choice, defaults};
use crate::plan::units::Role;
use crate::sys::{digest, file};
use crate::types::{Scheme, Url};

/// What a host can fetch a file from.
pub fn parse_url(text: &str) -> Result<String, String> {
    let url: Url = text.parse()?;
    if !text.contains("://") || url.scheme() == Scheme::Unix || url.path().is_empty() {
        return Err("is no http or https URL of a file".into());
    }
    Ok(text.to_owned())
}

/// A number of bytes.
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "is no number of bytes".to_owned())
}

/// The program's origin, if the image does not have it.
pub fn download(args: &Args) -> Result<Option<Download>> {
    let sum = match (&args.sha256, &args.sha256_of) {
        (Some(_), Some(_)) => {
            return Err(Error::usage("--sha256 and --sha256-of are two ways to say one thing"));
        }
        (None, Some(path)) => {
            let bytes = file::read(path).map_err(|e| Error::usage(format!("--sha256-of: {e}")))?;
            Some(digest::sha256(&bytes))
        }
        (sum, None) => sum.clone(),
    };
    match (args.url.clone(), sum) {
        (Some(url), Some(sha256)) => Ok(Some(Download { url, sha256 })),
        (Some(_), None) => Err(Error::usage(
            "--url needs --sha256 or --sha256-of: nothing is run that is not known to be the right thing",
        )),
        (None, Some(_)) => Err(Error::usage("--sha256 is of what --url names: --url is missing")),
        (None, None) => Ok(None),
    }
}

/// The options' file, and those that were named.
pub fn files(args: &Args, role: Role) -> Result<Vec<File>> {
    let mut variables = vec![("KBOOT_ROLE".to_owned(), choice::name(role).to_owned())];
    for setting in &args.set {
        if variables.iter().any(|(name, _)| *name == setting.variable) {
            return Err(Error::usage(format!("--set {}: is given twice", setting.variable)));
        }
        variables.push((setting.variable.clone(), setting.value.clone()));
    }
    let content = defaults(&variables).into_bytes();
    let mut files = vec![File { path: DEFAULTS.to_owned(), mode: 0o644, content }];
    for extra in &args.file {
        let from = std::path::absolute(&extra.from)?;
        let named = || format!("--file {}", extra.from.display());
        let path =
            extra.to.as_ref().map_or_else(|| same_path(&from), |to| Ok(format!("/{to}"))).usage(named())?;
        let mode = mode(&from).usage(named())?;
        let content = file::read(&from).usage("--file")?;
        if files.iter().any(|f| f.path == path) {
            return Err(Error::usage(format!("{}: {path} is there already", named())));
        }
        files.push(File { path, mode: extra.mode.unwrap_or(mode), content });
    }
    Ok(files)
}

fn mode(path: &Path) -> Result<u32> {
    Ok(std::fs::metadata(path)?.mode() & 0o7777)
}

fn same_path(from: &Path) -> Result<String> {
    let text = from.to_str().ok_or_else(|| Error::failed("is not UTF-8"))?;
    Ok(text.to_owned())
}

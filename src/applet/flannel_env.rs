//! `flannel-env`: waits for flannel's lease and gives it out.

use std::path::{Path, PathBuf};

use argh::FromArgValue;
use serde_json::{Map, Value, json};

use super::cli::Words;
use super::lease::{SUBNET_ENV, from_file};
use super::options::applet_args;
use super::report::{Report, Step};
use super::{Applet, info_of};
use crate::error::{Error, Result};
use crate::plan::flannel::{self, Form};
use crate::plan::shell;
use crate::sys::exec;
use crate::sys::wait::Deadline;

/// The table's entry.
pub const APPLET: Applet = Applet {
    name: "flannel-env",
    summary: "wait for flannel's lease; print it or run a command with it",
    examples: &[
        "eval \"$(flannel-env)\"",
        "flannel-env --get FLANNEL_SUBNET_IP",
        "flannel-env --timeout 90s -- dockerd",
    ],
    rest: Some("COMMAND [ARGS]"),
    info: info_of::<Args>,
    run,
};

#[derive(FromArgValue, Clone, Copy)]
enum Format {
    Sh,
    Export,
    Env,
    Json,
}

applet_args! {
    /// waits for the file in which flanneld writes this host's lease, reads it without a shell, and
    /// prints it; with a command, becomes that command with the variables set.
    struct Args [] {
        /// flannel's file (default: /run/flannel/subnet.env)
        #[argh(option, arg_name = "path")]
        env_file: Option<PathBuf>,
        /// sh (KEY=value, for eval), export, env or json (default: sh)
        #[argh(option, arg_name = "form")]
        format: Option<Format>,
        /// print this one variable's value only
        #[argh(option, arg_name = "name")]
        get: Option<String>,
    }
}

fn run(words: &Words, report: &mut Report) -> Result<()> {
    let args: Args = words.parse()?;
    let common = args.common();
    let command = words.rest.as_deref();
    check(&args, command)?;
    let deadline = Deadline::start(common.timeout);
    let path = args.env_file.as_deref().unwrap_or(Path::new(SUBNET_ENV));
    let variables = from_file(path, &deadline)?.variables();
    let object: Map<String, Value> = variables.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
    report.found("lease", Value::Object(object));
    if let Some(command) = command {
        let step = Exec { command: command.to_vec(), variables };
        report.plan(&step)?;
        if common.dry_run {
            return Ok(());
        }
        return Err(exec::exec(&command[0], &command[1..], flannel::variable_names(), &step.variables));
    }
    if let Some(name) = &args.get {
        let value = variables.iter().find(|(k, _)| k == name).map(|(_, v)| v);
        let value = value.ok_or_else(|| Error::failed(format!("{}: has no {name}", path.display())))?;
        return report.data(&format!("{value}\n"));
    }
    let form = match args.format {
        None | Some(Format::Sh | Format::Env) => Form::Plain,
        Some(Format::Export) => Form::Export,
        Some(Format::Json) => Form::Json,
    };
    report.data(&flannel::format(&variables, form))
}

fn check(args: &Args, command: Option<&[String]>) -> Result<()> {
    if let Some(command) = command {
        if args.format.is_some() || args.get.is_some() {
            return Err(Error::usage("--format and --get print: they do not go with a command"));
        }
        if command.is_empty() {
            return Err(Error::usage("a command follows --"));
        }
    }
    if args.format.is_some() && args.get.is_some() {
        return Err(Error::usage("--get prints one bare value: it does not go with --format"));
    }
    if args.json && !args.dry_run && (args.format.is_some() || command.is_some()) {
        return Err(Error::usage("--json goes with neither --format nor a command, but for --dry-run"));
    }
    if let Some(name) = args.get.as_deref().filter(|n| !flannel::variable_names().any(|v| v == *n)) {
        let names: Vec<&str> = flannel::variable_names().collect();
        return Err(Error::usage(format!("--get {name}: no such variable: {}", names.join(" "))));
    }
    Ok(())
}

struct Exec {
    command: Vec<String>,
    variables: Vec<(String, String)>,
}

impl std::fmt::Display for Exec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let variables = self.variables.iter().map(|(k, v)| format!("{k}={v}"));
        let all: Vec<String> =
            ["env".to_owned()].into_iter().chain(variables).chain(self.command.clone()).collect();
        f.write_str(&shell::join(all.iter().map(String::as_str)))
    }
}

impl Step for Exec {
    fn kind(&self) -> &'static str {
        "exec"
    }
}

//! How the kubelet is run: in kboot's place or under it, with which limits and which variables.

use serde_json::json;

use super::Args;
use crate::applet::cli::Words;
use crate::applet::report::Report;
use crate::error::{Error, Result};
use crate::plan::kubelet::environment::{self, Variable};
use crate::plan::kubelet::{Extra, Version, healthz};
use crate::sys::child::Settings;
use crate::sys::exec::{self, Environment};
use crate::sys::supervise::{self, Program};
use crate::sys::{log, notify};
use crate::types::{Timeout, Url};

/// How long a kubelet may take to end: a healthy one does within a second, for its pods stay.
const STOP_TIMEOUT: Timeout = Timeout::After(std::time::Duration::from_secs(30));

/// From this minor version on the kubelet certainly says READY=1 itself; those of 2015 never do, and a unit of
/// Type=notify would wait for it in vain.
const NOTIFIES: u32 = 8;

/// How the kubelet is run.
pub struct Process {
    environment: Environment,
    kept_back: Vec<String>,
    settings: Settings,
    supervision: Option<Supervision>,
}

struct Supervision {
    stop_timeout: Timeout,
    healthz: Option<Url>,
}

impl Process {
    /// By the options; what contradicts is exit 2. The report gets the names of the kubelet's variables.
    pub fn of(args: &Args, words: &Words, report: &mut Report) -> Result<Self> {
        let supervision = supervision(args, words)?;
        let (mut environment, kept_back): (Environment, Environment) =
            std::env::vars_os().partition(|(name, _)| {
                name.to_str().is_some_and(|n| environment::is_handed_on(n, supervision.is_some()))
            });
        for Variable { name, value } in &args.env {
            let value = value.as_ref().map(Into::into).or_else(|| std::env::var_os(name));
            match value {
                Some(value) => {
                    environment.retain(|(other, _)| other != name.as_str());
                    environment.push((name.into(), value));
                }
                None => report.warn(format!("--env {name}: there is no such variable here")),
            }
        }
        let is_asked_for = |name: &String| args.env.iter().any(|v| v.name == *name);
        let mut kept_back = names(&kept_back);
        kept_back.retain(|name| !is_asked_for(name));
        report.found("environment", json!(names(&environment)));
        let settings = Settings { nofile: args.nofile, oom_score_adj: args.oom_score_adj, nice: args.nice };
        Ok(Self { environment, kept_back, settings, supervision })
    }

    /// Where a kubelet that is kept running says that it is well, by its own flags or `--healthz-port`.
    pub fn watch(&mut self, extra: &Extra, port: Option<u16>) -> Result<()> {
        if let Some(supervision) = &mut self.supervision {
            supervision.healthz = healthz::url(extra, port).map_err(Error::usage)?;
        }
        Ok(())
    }

    /// The last beat: becomes the kubelet, or runs it until kboot is told to stop. `Ok`: it ended with
    /// exit status 0.
    pub fn run(self, program: &str, flags: &[String], version: Version) -> Result<()> {
        log::debug!("the kubelet's variables: {}", names(&self.environment).join(" "));
        if !self.kept_back.is_empty() {
            log::info!("variables that the kubelet does not get (--env NAME): {}", self.kept_back.join(" "));
        }
        let Some(supervision) = self.supervision else {
            if version.minor < NOTIFIES {
                notify::send(&format!("READY=1\nSTATUS=the kubelet, {version}"));
            }
            return Err(exec::exec(program, flags, self.environment, &self.settings));
        };
        let code = supervise::run(Program {
            what: "the kubelet",
            program: program.to_owned(),
            args: flags.to_vec(),
            environment: self.environment,
            settings: self.settings,
            stop_timeout: supervision.stop_timeout,
            healthz: supervision.healthz,
        })?;
        if code == 0 { Ok(()) } else { Err(Error::program(code)) }
    }
}

/// In the order of the alphabet.
fn names(environment: &Environment) -> Vec<String> {
    let names = environment.iter().map(|(name, _)| name.to_string_lossy().into_owned());
    names.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

fn supervision(args: &Args, words: &Words) -> Result<Option<Supervision>> {
    if !args.supervise {
        // In the environment they may be meant for another call.
        return if words.is_typed("--stop-timeout") {
            Err(Error::usage("--stop-timeout goes with --supervise"))
        } else {
            Ok(None)
        };
    }
    Ok(Some(Supervision { stop_timeout: args.stop_timeout.unwrap_or(STOP_TIMEOUT), healthz: None }))
}

/// `--nofile`.
pub fn parse_nofile(text: &str) -> Result<u64, String> {
    // The kernel keeps them in an int; with fewer than 64 no kubelet starts.
    in_range(text, 64, i32::MAX.into()).map(i64::cast_unsigned)
}

/// `--oom-score-adj`.
pub fn parse_oom_score_adj(text: &str) -> Result<i32, String> {
    in_range(text, -1000, 1000).and_then(|n| i32::try_from(n).map_err(|e| e.to_string()))
}

/// `--nice`.
pub fn parse_nice(text: &str) -> Result<i32, String> {
    in_range(text, -20, 19).and_then(|n| i32::try_from(n).map_err(|e| e.to_string()))
}

fn in_range(text: &str, least: i64, most: i64) -> Result<i64, String> {
    let number = text.parse().ok().filter(|n| (least..=most).contains(n));
    number.ok_or_else(|| format!("takes a number from {least} to {most}"))
}

//! What one run found, planned, did and warned of; printed as `--json` at its end.

use std::fmt::Display;

use serde_json::{Map, Value, json};

use crate::error::{Context, Error, Exit, Result};
use crate::sys::{log, notify, stdio, timeline};

/// A planned change. Its `Display` is one line in the operator's own idiom (`ip link set cbr0 up`);
/// dry runs, the log, errors and tests all show that same line.
pub trait Step: Display + Sized {
    /// What is changed: `link`, `address`, `rule`, `sysctl`, `module`, `file`, `etcd`, `node`, `exec`.
    fn kind(&self) -> &'static str;

    /// What its failure is called.
    fn context(&self) -> String {
        self.to_string()
    }

    /// Whether it is taken at once with the one after it.
    fn joins(&self, _next: &Self) -> bool {
        false
    }
}

/// The report of one run.
pub struct Report {
    applet: &'static str,
    /// `--json`.
    pub json: bool,
    /// `--dry-run`.
    pub dry_run: bool,
    found: Map<String, Value>,
    planned: Vec<Value>,
    changed: Vec<Value>,
    already: usize,
    warned: Vec<String>,
    /// What it has come to, in one line.
    conclusion: std::cell::RefCell<String>,
}

impl Report {
    /// An empty report.
    pub fn new(applet: &'static str) -> Self {
        Self {
            applet,
            json: false,
            dry_run: false,
            found: Map::new(),
            planned: Vec::new(),
            changed: Vec::new(),
            already: 0,
            warned: Vec::new(),
            conclusion: "done".to_owned().into(),
        }
    }

    /// Notes a fact that was found.
    pub fn found(&mut self, name: &str, value: Value) {
        self.found.insert(name.to_owned(), value);
    }

    /// Logs a warning, once; the log keeps it for `--json`.
    pub fn warn(&mut self, text: impl Into<String>) {
        let text = text.into();
        if self.warned.contains(&text) {
            return;
        }
        log::warning!("{text}");
        self.warned.push(text);
    }

    /// Counts things that were wanted and already so.
    pub fn already(&mut self, count: usize) {
        self.already += count;
    }

    /// Takes the steps in their order, each logged as it is taken; under `--dry-run` prints them
    /// instead. A step that fails ends it, its text in front of the reason.
    pub fn carry_out<S: Step>(&mut self, steps: &[S], mut take: impl FnMut(&S) -> Result<()>) -> Result<()> {
        self.carry_out_joined(steps, |steps| steps.iter().try_for_each(&mut take).map_err(|e| (0, e)))
    }

    /// The same where steps that follow each other may be one transaction: `take` gets them together and
    /// says which of them was refused.
    pub fn carry_out_joined<S: Step>(
        &mut self,
        steps: &[S],
        mut take: impl FnMut(&[S]) -> Result<(), (usize, Error)>,
    ) -> Result<()> {
        for step in steps {
            self.plan(step)?;
        }
        if self.dry_run {
            return Ok(());
        }
        let before = self.planned.len() - steps.len();
        let mut taken = 0;
        for joined in steps.chunk_by(S::joins) {
            let began = timeline::now();
            if let Err((at, error)) = take(joined) {
                if error.meanwhile {
                    // They are planned anew.
                    self.planned.truncate(before + taken);
                } else {
                    timeline::step(&joined[at].to_string(), began, Some(&error.to_string()));
                }
                return Err(error).context(Step::context(&joined[at]));
            }
            taken += joined.len();
            for step in joined {
                log::info!("{step}");
                timeline::step(&step.to_string(), began, None);
                self.changed.push(line(step));
            }
        }
        Ok(())
    }

    /// Plans one step that the applet takes itself (an exec): printed under `--dry-run`.
    pub fn plan(&mut self, step: &impl Step) -> Result<()> {
        self.planned.push(line(step));
        if self.dry_run && !self.json {
            stdio::out(&format!("{step}\n"))?;
        }
        Ok(())
    }

    /// The one line at the end: `WHAT (4 changed, 2 already so)`.
    pub fn summary(&self, what: impl Display) {
        let (changed, already) = (self.changed.len(), self.already);
        if self.dry_run {
            log::info!("dry run: {what} ({} to change, {already} already so)", self.planned.len());
        } else {
            let text = format!("{what} ({changed} changed, {already} already so)");
            log::info!("{text}");
            timeline::said(&text);
            self.conclude(text);
        }
    }

    /// What it has come to, for the service manager.
    pub fn conclude(&self, text: impl Into<String>) {
        *self.conclusion.borrow_mut() = text.into();
    }

    /// Data for the caller, on stdout; inside the JSON object it is `found.NAME`'s business instead.
    pub fn data(&self, text: &str) -> Result<()> {
        if self.json { Ok(()) } else { stdio::out(text) }
    }

    /// Ends the run: leaves its record, unless nothing was or could be done; under `--json`, prints the object,
    /// on failure too.
    pub fn finish(self, result: Result<()>) -> Result<()> {
        let (exit, outcome) = match &result {
            Err(error) => (error.exit.code(), error.exit.outcome()),
            Ok(()) if self.dry_run => (0, "planned"),
            Ok(()) if self.changed.is_empty() => (0, "unchanged"),
            Ok(()) => (0, "changed"),
        };
        let error = result.as_ref().err().map(Error::to_string);
        if !self.dry_run && !matches!(&result, Err(e) if e.exit == Exit::Usage) {
            timeline::finish(outcome, exit, error.as_deref());
        }
        notify::ended(error.is_none(), error.as_ref().unwrap_or(&self.conclusion.borrow()));
        if !self.json {
            return result;
        }
        let object = json!({
            "applet": self.applet,
            "version": env!("CARGO_PKG_VERSION"),
            "dryRun": self.dry_run,
            "outcome": outcome,
            "exit": exit,
            "found": self.found,
            "planned": self.planned,
            "changed": self.changed,
            "already": self.already,
            "warnings": log::warnings(),
            "error": error,
        });
        let printed = stdio::out(&format!("{object}\n"));
        result.and(printed)
    }
}

fn line(step: &impl Step) -> Value {
    json!({ "kind": step.kind(), "text": step.to_string() })
}

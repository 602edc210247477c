use std::path::Path;
use std::time::{Duration, Instant};

use super::boot::Boot;
use crate::error::{Error, Exit, Result};
use crate::plan::cmdline;
use crate::sys::child::Settings;
use crate::sys::exec::{self, Launch};
use crate::sys::machine::{self, End};
use crate::sys::sysctl;

/// What kboot.rescue alone means: the first of these that is there.
const SHELLS: [&str; 4] = ["/bin/sh", "/bin/bash", "/bin/busybox", "/usr/bin/busybox"];

/// After `--dry-run` or `--help` nothing is left to do: a container may end then, a machine's PID 1 must not.
pub fn is_over() -> Result<()> {
    if machine::is_whole() {
        return Err(Error::failed("has said what it was asked (dry-run, help), and nothing was booted"));
    }
    Ok(())
}

/// PID 1 cannot go on, and must not end while the machine runs. Returns in a container only.
pub fn in_trouble(error: Error) -> Error {
    if !machine::is_whole() {
        return error;
    }
    match Boot::new() {
        Ok(boot) => boot.trouble(error),
        // Without so much as signals nothing can be waited for.
        Err(_) => machine::end(End::Restart),
    }
}

impl Boot {
    /// The boot does not go on: a shell for the operator where one was allowed, else the machine starts
    /// anew when the kernel, after a panic, would.
    pub fn trouble(mut self, error: Error) -> Error {
        if !machine::is_whole() {
            self.stop_all();
            return error;
        }
        if !matches!(error.exit, Exit::Program(_)) {
            self.console.say(3, &format!("init: {error}"));
        }
        if self.rescue() && self.asked.is_none() {
            self.asked = Some(End::Restart);
        }
        if self.asked.is_none() {
            self.wait_as_a_panic_would();
        }
        let how = self.asked.unwrap_or(End::Restart);
        self.end(how).err().unwrap_or(error)
    }

    /// Runs the rescue shell, if the command line names one that is there; `false`: it did not run.
    fn rescue(&mut self) -> bool {
        let line = crate::sys::cmdline::read();
        let Some(named) = cmdline::value(&cmdline::parse(&line), "kboot.rescue").map(str::to_owned) else {
            return false;
        };
        let is_there = |path: &&str| exec::find(path).is_ok();
        let found = match named.as_str() {
            "" => SHELLS.into_iter().find(is_there),
            path => Some(path).filter(|p| p.starts_with('/')).filter(is_there),
        };
        let Some(shell) = found else {
            self.console.say(3, &format!("kboot.rescue={named}: there is no such program: no shell"));
            return false;
        };
        self.console.say(4, &format!("rescue: {shell}; when it ends the machine restarts"));
        match start(shell) {
            Ok(pid) => {
                while self.asked.is_none() && !self.turn(None).contains(&pid) {}
                true
            }
            Err(error) => {
                self.console.say(3, &format!("rescue: {error}"));
                false
            }
        }
    }

    /// kernel.panic: seconds; 0: never; less: at once.
    fn wait_as_a_panic_would(&mut self) {
        let seconds = sysctl::read("kernel.panic").ok().flatten().and_then(|s| s.parse::<i64>().ok());
        let until = match seconds.unwrap_or(0) {
            0 => {
                self.console.say(3, "the boot ends here: Ctrl-Alt-Del restarts the machine (panic= would)");
                None
            }
            seconds => {
                let span = u64::try_from(seconds).unwrap_or(0);
                let when = if span == 0 { "at once".to_owned() } else { format!("in {span} s") };
                self.console.say(3, &format!("the machine restarts {when} (panic={seconds})"));
                Some(Instant::now() + Duration::from_secs(span))
            }
        };
        while self.asked.is_none() && until.is_none_or(|at| at > Instant::now()) {
            self.turn(until);
        }
    }
}

fn start(shell: &str) -> Result<i32> {
    let path = Path::new(shell);
    // busybox goes by the name it is called by.
    let name = if path.ends_with("busybox") { "sh" } else { shell };
    exec::launch(Launch {
        path,
        name,
        args: &[],
        environment: std::env::vars_os().collect(),
        settings: Settings::default(),
        output: None,
        has_terminal: true,
    })
}

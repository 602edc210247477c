//! Other programs: finding them, running a short one, becoming one.
#![allow(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Error, Exit, Result, io_text};
use crate::sys::child::{self, Refused, Settings};
use crate::sys::{notify, stdio, timeline};

/// The variables that a program gets, all of them.
pub type Environment = Vec<(OsString, OsString)>;

/// What PATH is when the kernel or an init gave none: where boot programs live.
pub const DEFAULT_PATH: &str = "/sbin:/usr/sbin:/bin:/usr/bin";

/// Finds a program as execvp does, but says which of the two it is: 127 not there, 126 not
/// executable. A name with a slash is taken as it is.
pub fn find(program: &str) -> Result<PathBuf> {
    let not_found = || Error::new(Exit::NotFound, format!("{program}: no such program"));
    if program.is_empty() {
        return Err(not_found());
    }
    let path = std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned());
    let candidates: Vec<PathBuf> = if program.contains('/') {
        vec![PathBuf::from(program)]
    } else {
        path.split(':').filter(|d| !d.is_empty()).map(|d| Path::new(d).join(program)).collect()
    };
    let mut blocked = None;
    for candidate in candidates {
        match candidate.metadata() {
            Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => return Ok(candidate),
            Ok(_) => blocked = Some(candidate),
            Err(_) => {}
        }
    }
    Err(match blocked {
        Some(path) => {
            Error::new(Exit::NotExecutable, format!("{}: is not an executable file", path.display()))
        }
        None => not_found(),
    })
}

/// What a short-lived program printed.
pub struct Output {
    /// Its exit status, `None` when a signal ended it.
    pub status: Option<i32>,
    /// Its stdout, up to 1 MiB: the help of a kubelet has 70 KB.
    pub stdout: String,
}

/// Runs a program that answers and ends, such as `kubelet --version`; killed when it takes longer
/// than `longest`. It gets no stdin, its stderr is dropped, and of the variables it sees PATH and
/// LD_LIBRARY_PATH alone: tokens and passwords of a boot script are none of its business.
pub fn ask(program: &Path, args: &[&str], longest: Duration) -> Result<Output> {
    let shown = format!("{} {}", program.display(), args.join(" "));
    let kept = ["PATH", "LD_LIBRARY_PATH"].map(|name| (name, std::env::var_os(name)));
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .envs(kept.into_iter().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| Error::new(exit_of(&e), format!("{shown}: {}", io_text(&e))))?;
    let end = Instant::now() + longest;
    let answer = read_until(&mut child, end).and_then(|text| Some((text, wait_until(&mut child, end)?)));
    let Some((stdout, status)) = answer else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(Error::deadline(format!("{shown}: no answer within {} ms", longest.as_millis())));
    };
    Ok(Output { status: status.code(), stdout })
}

/// Runs a program that may take long and must not be cut short (an init script between stop and start):
/// nothing of it is read, and when the time is over it is left running. Its exit status.
pub fn run(program: &Path, args: &[&str], longest: Duration) -> Result<Option<i32>> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| Error::new(exit_of(&e), io_text(&e)))?;
    match wait_until(&mut child, Instant::now() + longest) {
        Some(status) => Ok(status.code()),
        None => Err(Error::deadline(format!("not done within {} s, and left running", longest.as_secs()))),
    }
}

/// What the child prints until it closes its stdout; `None` when the time is over before.
fn read_until(child: &mut Child, end: Instant) -> Option<String> {
    let mut bytes = Vec::new();
    let mut pipe = child.stdout.take()?;
    while bytes.len() < 1 << 20 {
        let left = end.saturating_duration_since(Instant::now()).as_millis() + 1;
        let left = PollTimeout::from(u16::try_from(left).unwrap_or(u16::MAX));
        let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, left) == Ok(0) {
            return None;
        }
        let mut chunk = [0; 4096];
        match pipe.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn wait_until(child: &mut Child, end: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < end => {
                let _ = poll(&mut [], PollTimeout::from(5u8));
            }
            _ => return None,
        }
    }
}

fn exit_of(error: &std::io::Error) -> Exit {
    if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::NotExecutable }
}

/// Becomes another program; returns only when that failed. It gets default signal dispositions, an
/// empty signal mask, descriptors 0 to 2 (and those of systemd's socket activation) and no others, this
/// environment alone, and NOTIFY_SOCKET if kboot was given one.
pub fn exec(program: &str, args: &[String], environment: Environment, settings: &Settings) -> Error {
    let path = match find(program) {
        Ok(path) => path,
        Err(error) => return error,
    };
    let mut command = command(&path, program, args, environment);
    if let Some(address) = notify::address() {
        command.env(notify::VARIABLE, address);
    }
    if let Err(refused) = settings.apply() {
        return refused.error(settings);
    }
    timeline::leave(&format!("exec {}", path.display()));
    child::default_signals();
    child::close_on_exec(child::first_stray_descriptor());
    let error = command.exec();
    timeline::stay();
    Error::new(exit_of(&error), format!("{}: {}", path.display(), io_text(&error)))
}

/// A program that is started beside kboot.
pub struct Launch<'a> {
    /// Its file.
    pub path: &'a Path,
    /// argv\[0\].
    pub name: &'a str,
    /// The words behind it.
    pub args: &'a [String],
    /// Its variables, all of them.
    pub environment: Environment,
    /// Limits and priorities.
    pub settings: Settings,
    /// Where its stdout and stderr go, and then nothing comes by stdin; `None`: it has kboot's.
    pub output: Option<BorrowedFd<'a>>,
    /// It leads a session of its own, with kboot's stdin as its terminal: a shell's Ctrl-C works there.
    pub has_terminal: bool,
}

/// Starts another program beside kboot, and gives back its pid. It gets what one that is exec'd gets, but
/// no descriptors besides 0 to 2 and no NOTIFY_SOCKET.
pub fn start(program: &str, args: &[String], environment: Environment, settings: &Settings) -> Result<i32> {
    let path = find(program)?;
    let (settings, output, has_terminal) = (*settings, None, false);
    launch(Launch { path: &path, name: program, args, environment, settings, output, has_terminal })
}

/// The same with more to say. The program has a process group of its own: a console's Ctrl-C comes to it
/// once, from kboot. The kernel kills it when kboot is killed: kboot run again would start a second one.
pub fn launch(launch: Launch<'_>) -> Result<i32> {
    let Launch { path, settings, has_terminal, .. } = launch;
    let mut command = command(path, launch.name, launch.args, launch.environment);
    if let Some(output) = launch.output {
        command.stdout(output.try_clone_to_owned()?).stderr(output.try_clone_to_owned()?);
        // Where there is no /dev/null it has kboot's.
        command.stdin(File::open("/dev/null").map_or_else(|_| Stdio::inherit(), Stdio::from));
    }
    if !has_terminal {
        command.process_group(0);
    }
    let parent = std::process::id();
    // SAFETY: between fork and exec there are system calls only, and nothing takes memory.
    unsafe {
        command.pre_exec(move || {
            child::prepare(&settings, parent)?;
            if has_terminal { child::lead_terminal() } else { Ok(()) }
        });
    }
    match command.spawn() {
        Ok(child) => Ok(child.id().cast_signed()),
        Err(error) => Err(match Refused::from_child(&error) {
            Some(refused) => refused.error(&settings),
            None => Error::new(exit_of(&error), format!("{}: {}", path.display(), io_text(&error))),
        }),
    }
}

/// The file that this program is; where /proc is not mounted, as it was called.
pub fn own() -> PathBuf {
    let link = Path::new("/proc/self/exe");
    let called = stdio::argv0().map(PathBuf::from).filter(|p| p.is_absolute());
    if link.exists() { link.to_owned() } else { called.unwrap_or_else(|| "/init".into()) }
}

fn command(path: &Path, program: &str, args: &[String], environment: Environment) -> Command {
    let mut command = Command::new(path);
    command.arg0(OsStr::new(program)).args(args).env_clear().envs(environment);
    command
}

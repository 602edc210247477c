//! The one error type: an exit code and a chain of words, printed on one line by `main`.

use std::fmt;
use std::io;

/// What kboot's exit status says (README, "Exit codes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 1: tried and failed.
    Failed,
    /// 2: bad usage or input; nothing was touched.
    Usage,
    /// 3: what is found differs from what is asked and `--replace` was not given; nothing was touched.
    Conflict,
    /// 75: the deadline passed; running again may help (`EX_TEMPFAIL` of sysexits.h).
    Deadline,
    /// 126: the program to exec is there but cannot be run (POSIX shell convention).
    NotExecutable,
    /// 127: the program to exec, or the applet, is not there (POSIX shell convention).
    NotFound,
    /// The exit status of the program that kboot ran in its place; 128 and the number of a signal that
    /// ended it (POSIX shell convention).
    Program(u8),
}

impl Exit {
    /// The exit status.
    pub fn code(self) -> u8 {
        match self {
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Conflict => 3,
            Exit::Deadline => 75,
            Exit::NotExecutable => 126,
            Exit::NotFound => 127,
            Exit::Program(code) => code,
        }
    }

    /// The word that `--json` gives as `outcome` for this exit status.
    pub fn outcome(self) -> &'static str {
        match self {
            Exit::Failed => "failed",
            Exit::Usage => "usage",
            Exit::Conflict => "conflict",
            Exit::Deadline => "deadline",
            Exit::NotExecutable | Exit::NotFound | Exit::Program(_) => "exec",
        }
    }
}

/// An error on its way to the console: `what failed: why`, outermost first.
#[derive(Debug)]
pub struct Error {
    /// The exit status that this error leads to.
    pub exit: Exit,
    /// Somebody else changed things between the look and the change: looking again may help.
    pub meanwhile: bool,
    text: String,
}

/// `Result` with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with any exit status; the others are short forms of this one.
    pub fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, meanwhile: false, text: text.into() }
    }

    /// The same error, marked as brought about by somebody else's change in between.
    #[must_use]
    pub fn meanwhile(self) -> Self {
        Self { meanwhile: true, ..self }
    }

    /// Exit 1.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::new(Exit::Failed, text)
    }

    /// Exit 2.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::new(Exit::Usage, text)
    }

    /// Exit 3.
    pub fn conflict(text: impl Into<String>) -> Self {
        Self::new(Exit::Conflict, text)
    }

    /// The exit status of the program that kboot ran in its place, whose end the log has told.
    pub fn program(code: u8) -> Self {
        Self::new(Exit::Program(code), "")
    }

    /// Exit 75.
    pub fn deadline(text: impl Into<String>) -> Self {
        Self::new(Exit::Deadline, text)
    }
}

/// One line whatever went in: control characters, line breaks among them, become single spaces.
pub fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An I/O error in words, without Rust's `(os error N)`.
pub fn io_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.text))
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::failed(io_text(&error))
    }
}

impl From<nix::Error> for Error {
    fn from(error: nix::Error) -> Self {
        Self::failed(error.desc())
    }
}

/// Adds the outer words of an error.
pub trait Context<T> {
    /// Puts `context: ` in front of the error's text.
    fn context(self, context: impl fmt::Display) -> Result<T>;
    /// The same with exit 2: for what the operator named (a file, a value) and cannot be used.
    fn usage(self, context: impl fmt::Display) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, context: impl fmt::Display) -> Result<T> {
        self.map_err(|e| {
            let inner = e.into();
            Error { text: format!("{context}: {}", inner.text), ..inner }
        })
    }

    fn usage(self, context: impl fmt::Display) -> Result<T> {
        self.map_err(|e| Error::usage(format!("{context}: {}", e.into().text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_keeps_the_exit_status_and_reads_outermost_first() {
        let inner: Result<()> = Err(Error::conflict("not a bridge"));
        let error = inner.context("cbr0").unwrap_err();
        assert_eq!((error.exit, error.to_string().as_str()), (Exit::Conflict, "cbr0: not a bridge"));
    }

    #[test]
    fn a_message_of_several_lines_comes_out_as_one() {
        assert_eq!(Error::failed("a\n  b\r\n\tc\u{1b}[0m").to_string(), "a b c [0m");
    }

    #[test]
    fn os_error_numbers_are_left_out() {
        let error = io::Error::from_raw_os_error(2);
        assert_eq!(Error::from(error).to_string(), "No such file or directory");
    }
}

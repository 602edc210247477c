//! A pipe in which a child writes lines. Its writing end stays open here too: what the child leaves behind
//! may go on writing, and one pipe serves a program over all its runs.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::fstat;
use nix::unistd::{pipe2, read};

use crate::error::{Context, Result};

/// A longer line is cut there: the kernel's log takes no more.
const LONGEST: usize = 4096;

/// The pipe, and the line that is not at its end yet.
pub struct Lines {
    reader: OwnedFd,
    writer: OwnedFd,
    partial: Vec<u8>,
}

impl Lines {
    /// An empty one.
    pub fn open() -> Result<Self> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).context("pipe")?;
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("pipe")?;
        Ok(Self { reader, writer, partial: Vec::new() })
    }

    /// Where there is something to read.
    pub fn reader(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// What the child gets as its stdout and stderr.
    pub fn writer(&self) -> BorrowedFd<'_> {
        self.writer.as_fd()
    }

    /// JOURNAL_STREAM of systemd.exec(5), by which a child knows that its lines may have priorities.
    pub fn stream(&self) -> String {
        fstat(&self.writer).map_or_else(|_| String::new(), |s| format!("{}:{}", s.st_dev, s.st_ino))
    }

    /// The lines that are there; the rest of one without its end when `all` is asked for.
    pub fn take(&mut self, all: bool) -> Vec<String> {
        let mut lines = Vec::new();
        let mut chunk = [0; 4096];
        // No more at a time, of one that goes on: whoever writes without end shall not keep everybody else
        // waiting, signals least of all. 64: all that a pipe holds (pipe(7)).
        for _ in 0..if all { 64 } else { 1 } {
            let Ok(count @ 1..) = read(&self.reader, &mut chunk) else { break };
            for &byte in &chunk[..count] {
                if byte == b'\n' || self.partial.len() == LONGEST {
                    self.end(&mut lines);
                }
                if byte != b'\n' {
                    self.partial.push(byte);
                }
            }
        }
        if all {
            self.end(&mut lines);
        }
        lines
    }

    fn end(&mut self, lines: &mut Vec<String>) {
        let line = crate::error::one_line(&String::from_utf8_lossy(&std::mem::take(&mut self.partial)));
        if !line.is_empty() {
            lines.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::write;

    #[test]
    fn lines_come_whole() {
        let mut lines = Lines::open().unwrap();
        write(lines.writer(), b"a\n\n  b\r\nc").unwrap();
        assert_eq!(lines.take(false), ["a", "b"]);
        write(lines.writer(), b"d\ne").unwrap();
        assert_eq!((lines.take(false), lines.take(true)), (vec!["cd".to_owned()], vec!["e".to_owned()]));
        write(lines.writer(), &[b'x'; LONGEST + 1]).unwrap();
        let lengths: Vec<usize> = lines.take(true).iter().map(String::len).collect();
        assert_eq!(lengths, [LONGEST, 1]);
        // Who writes without end is heard by pieces.
        write(lines.writer(), &b"y\n".repeat(6000)).unwrap();
        assert_eq!((lines.take(false).len(), lines.take(true).len()), (2048, 3952));
        assert!(lines.stream().contains(':') && lines.take(true).is_empty());
    }
}

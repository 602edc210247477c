use std::path::Path;

use crate::sys::{log, stdio, sysctl};

/// What a person sees, and the kernel's log. A record of the kernel's log that the kernel itself shows on
/// the console is not written there once more.
pub struct Console {
    /// Lines go to the kernel's log too.
    has_kmsg: bool,
    is_terminal: bool,
    /// A line without its end stands on the terminal.
    is_drawn: bool,
}

impl Console {
    /// The kernel's log is for a boot: not for who calls init from elsewhere, and not for containers.
    pub fn open() -> Self {
        let is_dropped = matches!(sysctl::read("kernel.printk_devkmsg"), Ok(Some(how)) if how == "off");
        let has_kmsg = stdio::is_console() && Path::new("/dev/kmsg").exists() && !is_dropped;
        Self { has_kmsg, is_terminal: stdio::is_terminal(), is_drawn: false }
    }

    /// A line of init's own, with its priority (3 error, 4 warning, 6 info).
    pub fn say(&mut self, priority: u8, text: &str) {
        self.put("", priority, text, true);
    }

    /// A line for the kernel's log alone; where that is not written, for stderr.
    pub fn note(&mut self, name: &str, priority: u8, text: &str) {
        self.put(name, priority, text, !self.has_kmsg);
    }

    fn put(&mut self, name: &str, priority: u8, text: &str, is_shown: bool) {
        self.erase();
        if self.has_kmsg {
            log::kmsg(name, priority, text);
        }
        if is_shown && !(self.has_kmsg && is_shown_by_kernel(priority)) {
            log::line(name, priority, text);
        }
    }

    /// What is waited for: on a terminal drawn from its first second on, until the next line; else said when
    /// it is new, unless the kernel has shown it already.
    pub fn waiting(&mut self, text: &str, seconds: u64, is_new: bool) {
        if self.is_terminal && seconds == 0 {
            self.erase();
        } else if self.is_terminal {
            stdio::err(&format!("\rkboot: {text} ({seconds} s)\x1b[K"));
            self.is_drawn = true;
        } else if is_new && self.has_kmsg && !is_shown_by_kernel(6) {
            log::line("", 6, text);
        }
    }

    fn erase(&mut self) {
        if self.is_drawn {
            stdio::err("\r\x1b[K");
            self.is_drawn = false;
        }
    }
}

/// The kernel shows what is below console_loglevel, the first number of kernel.printk (proc(5)).
fn is_shown_by_kernel(priority: u8) -> bool {
    let level = sysctl::read("kernel.printk").ok().flatten();
    let level = level.and_then(|l| l.split_whitespace().next()?.parse::<u8>().ok());
    let all = std::fs::read_to_string("/sys/module/printk/parameters/ignore_loglevel");
    level.is_some_and(|l| priority < l) || all.is_ok_and(|a| a.starts_with('Y'))
}

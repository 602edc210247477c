//! An initramfs: what is in it, and the archive that the kernel unpacks.

pub mod elf;
pub mod extra;
pub mod modules;
pub mod newc;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// The kernel's PATH_MAX, with the NUL at the end: it passes over longer names without a word
/// (do_header in init/initramfs.c).
const LONGEST_PATH: usize = 4096;

/// NAME_MAX of the kernel.
const LONGEST_NAME: usize = 255;

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A directory.
    Directory,
    /// A file of the host, so many bytes long.
    Copy(PathBuf, u32),
    /// A file with this content.
    Text(String),
    /// A symbolic link.
    Link(&'static str),
    /// A character device's major and minor number.
    Device(u32, u32),
}

/// One entry. All belong to root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Permission bits.
    pub mode: u32,
    /// The rest.
    pub what: What,
}

/// The entries by their paths, which have no `/` in front. Sorted as bytes, so that a directory comes
/// before what is in it: the kernel makes none by itself.
#[derive(Default)]
pub struct Image(BTreeMap<String, Entry>);

impl Image {
    /// What every image has: mount points, the devices without which init has no descriptors 0 to 2, and
    /// kboot as /init, which the kernel runs.
    pub fn new(kboot: PathBuf, size: u32) -> Result<Self, String> {
        let mut image = Self::default();
        for path in ["dev", "etc", "proc", "run", "sbin", "sys"] {
            image.add(path, 0o755, What::Directory)?;
        }
        image.add("root", 0o700, What::Directory)?;
        image.add("tmp", 0o1777, What::Directory)?;
        image.add("dev/console", 0o600, What::Device(5, 1))?;
        image.add("dev/null", 0o666, What::Device(1, 3))?;
        // A file, no link: whoever switches the root takes a regular /init for the mark of an initramfs.
        image.add("init", 0o755, What::Copy(kboot, size))?;
        image.add("bin/kboot", 0o777, What::Link("../init"))?;
        Ok(image)
    }

    /// Adds an entry and the directories above it.
    pub fn add(&mut self, path: &str, mode: u32, what: What) -> Result<(), String> {
        check(path)?;
        for (at, _) in path.match_indices('/') {
            let above = Entry { mode: 0o755, what: What::Directory };
            let there = self.0.entry(path[..at].to_owned()).or_insert(above);
            if there.what != What::Directory {
                return Err(format!("/{path}: /{} is no directory in this image", &path[..at]));
            }
        }
        if self.0.contains_key(path) {
            return Err(format!("/{path} is in the image already"));
        }
        self.0.insert(path.to_owned(), Entry { mode, what });
        Ok(())
    }

    /// The entries, in the archive's order.
    pub fn entries(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.0.iter()
    }

    /// The first file that not everybody may read.
    pub fn secret(&self) -> Option<&str> {
        let is_file = |e: &Entry| matches!(e.what, What::Copy(..) | What::Text(_));
        self.0.iter().find(|(_, e)| is_file(e) && e.mode & 0o004 == 0).map(|(path, _)| path.as_str())
    }
}

fn check(path: &str) -> Result<(), String> {
    if path.len() >= LONGEST_PATH || path.split('/').any(|name| name.len() > LONGEST_NAME) {
        let start: String = path.chars().take(40).collect();
        return Err(format!("/{start}…: is too long (a name 255 bytes, a path 4095)"));
    }
    if path.split('/').any(|name| matches!(name, "" | "." | "..")) || path.contains(char::is_control) {
        return Err(format!("/{path}: is not a plain path (no //, ., .. or control characters)"));
    }
    Ok(())
}

/// A line for the kernel's usr/gen_init_cpio; `-` stands for content that is made here.
pub struct Line<'a>(pub &'a str, pub &'a Entry);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, mode) = (self.0, self.1.mode);
        match &self.1.what {
            What::Directory => write!(f, "dir /{path} {mode:04o} 0 0"),
            What::Copy(from, _) => write!(f, "file /{path} {} {mode:04o} 0 0", from.display()),
            What::Text(_) => write!(f, "file /{path} - {mode:04o} 0 0"),
            What::Link(to) => write!(f, "slink /{path} {to} {mode:04o} 0 0"),
            What::Device(major, minor) => write!(f, "nod /{path} {mode:04o} 0 0 c {major} {minor}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        Image::new("/usr/bin/kboot".into(), 7).unwrap()
    }

    #[test]
    fn every_image_has_what_a_boot_needs() {
        let image = image();
        let lines: Vec<String> = image.entries().map(|(p, e)| Line(p, e).to_string()).collect();
        let expected = [
            "dir /bin 0755 0 0",
            "slink /bin/kboot ../init 0777 0 0",
            "dir /dev 0755 0 0",
            "nod /dev/console 0600 0 0 c 5 1",
            "nod /dev/null 0666 0 0 c 1 3",
            "dir /etc 0755 0 0",
            "file /init /usr/bin/kboot 0755 0 0",
            "dir /proc 0755 0 0",
            "dir /root 0700 0 0",
            "dir /run 0755 0 0",
            "dir /sbin 0755 0 0",
            "dir /sys 0755 0 0",
            "dir /tmp 1777 0 0",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn directories_come_with_what_is_in_them_and_before_it() {
        let mut image = image();
        image.add("etc-b/x/y", 0o640, What::Text(String::new())).unwrap();
        let paths: Vec<&String> = image.entries().map(|(p, _)| p).filter(|p| p.starts_with("etc")).collect();
        assert_eq!(paths, ["etc", "etc-b", "etc-b/x", "etc-b/x/y"]);
        assert_eq!(image.secret(), Some("etc-b/x/y"));
    }

    #[test]
    fn what_cannot_be_in_it_is_said() {
        let long = "x".repeat(256);
        let deep = "abcdefgh/".repeat(500);
        let table = [
            ("init", "/init is in the image already"),
            ("init/x", "/init/x: /init is no directory in this image"),
            ("etc", "/etc is in the image already"),
            ("etc/../x", "/etc/../x: is not a plain path (no //, ., .. or control characters)"),
            ("", "/: is not a plain path (no //, ., .. or control characters)"),
            ("a//b", "/a//b: is not a plain path (no //, ., .. or control characters)"),
            (
                &long,
                "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…: is too long (a name 255 bytes, a path 4095)",
            ),
            (
                &deep,
                "/abcdefgh/abcdefgh/abcdefgh/abcdefgh/abcd…: is too long (a name 255 bytes, a path 4095)",
            ),
        ];
        for (path, error) in table {
            assert_eq!(image().add(path, 0o644, What::Text(String::new())).unwrap_err(), error);
        }
    }
}

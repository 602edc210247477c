//! cloud-init's user-data: the files, and what the host's first boot does with them.

pub mod choice;
pub mod first_boot;
mod yaml;

use std::fmt::Write;

pub use first_boot::{Binary, Download};

use super::docker::words::assignment;
use super::shell;

/// What EC2 takes of user-data, in bytes, before base64; other clouds take more.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html>
pub const EC2_MAX: usize = 16_384;

/// The file with the host's options.
pub const DEFAULTS: &str = "/etc/default/kboot";

/// A file that the host is to have.
pub struct File {
    /// Its path there.
    pub path: String,
    /// Its permission bits.
    pub mode: u32,
    /// What it holds.
    pub content: Vec<u8>,
}

impl File {
    /// Not for everybody to read.
    pub fn is_secret(&self) -> bool {
        self.mode & 0o004 == 0
    }
}

/// The text of user-data, and how large its parts are: each part's name and its bytes.
pub struct UserData {
    /// All of it.
    pub text: String,
    parts: Vec<(String, usize)>,
}

impl UserData {
    /// The part with the most bytes.
    pub fn largest(&self) -> (&str, usize) {
        let largest = self.parts.iter().max_by_key(|(_, bytes)| *bytes);
        largest.map_or(("", 0), |(name, bytes)| (name, *bytes))
    }
}

/// `/etc/default/kboot` with these variables: read by systemd (`EnvironmentFile=`) and by `sh` alike.
pub fn defaults(variables: &[(String, String)]) -> String {
    let mut text = String::from("# kboot's options on this host, for systemd and for sh. From user-data.\n");
    for (name, value) in variables {
        // Double quotes are the one quoting that both read the same: systemd keeps what follows a single one.
        if shell::quote(value) == *value {
            let _ = writeln!(text, "{name}={value}");
        } else {
            text.push_str(&assignment(name, value));
        }
    }
    text
}

/// Puts it together: the files, then the first boot's script.
pub fn compose(files: &[File], script: &[String]) -> UserData {
    let head = "#cloud-config\n# By kboot cloud-init. cloud-init writes the files, and then, at this instance's first boot, \
                runs the\n# items of runcmd as one script: the first that fails ends it, and cloud-init status says error.\n";
    let mut data = UserData { text: format!("{head}write_files:\n"), parts: Vec::new() };
    for file in files {
        let item = yaml::file(file);
        data.parts.push((file.path.clone(), item.len()));
        data.text.push_str(&item);
    }
    let before = data.text.len();
    data.text.push_str("runcmd:\n");
    for lines in script {
        let _ = write!(data.text, "- {}", yaml::literal(lines, 2));
    }
    data.parts.push(("runcmd".to_owned(), data.text.len() - before));
    data
}

#[cfg(test)]
mod tests;

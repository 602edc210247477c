//! YAML as PyYAML reads it, which is YAML 1.1, with no need to quote anything but paths.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::File;

/// An item of `write_files`.
pub fn file(file: &File) -> String {
    // A JSON string is a YAML one.
    let path = serde_json::Value::from(file.path.as_str());
    let mut item = format!("- path: {path}\n  permissions: '{:04o}'\n", file.mode);
    match std::str::from_utf8(&file.content).ok().filter(|text| is_plain(text)) {
        Some(text) => {
            let _ = write!(item, "  content: {}", literal(text, 4));
        }
        None => {
            let _ = writeln!(item, "  encoding: b64\n  content: '{}'", STANDARD.encode(&file.content));
        }
    }
    item
}

/// A literal block, from its `|` on, whose lines are indented by so many spaces.
pub fn literal(text: &str, indent: usize) -> String {
    // `-`: without the last line's end; `+`: with all of them.
    let chomping = match text.strip_suffix('\n') {
        None => "-",
        Some(rest) if rest.ends_with('\n') => "+",
        Some(_) => "",
    };
    let mut block = format!("|{chomping}\n");
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        let indent = if line.is_empty() { 0 } else { indent };
        let _ = writeln!(block, "{:indent$}{line}", "");
    }
    block
}

/// Whether a literal block keeps it. Its first character says how far it is indented; what PyYAML takes for a
/// line's end, or refuses as not printable, does not come back.
fn is_plain(text: &str) -> bool {
    let keeps = |c: char| {
        matches!(c, '\n' | '\t' | ' '..='~')
            || (c >= '\u{a0}' && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'))
    };
    !text.is_empty() && !text.starts_with([' ', '\t', '\n']) && text.chars().all(keeps)
}

//! Help for a terminal: 80 columns at most.

use std::fmt::Write;

use super::Page;

const WIDTH: usize = 80;

pub struct Text {
    out: String,
    /// Headings and options in bold.
    is_coloured: bool,
    /// Where the words about an option start.
    column: usize,
    /// Under a heading.
    indent: usize,
}

impl Text {
    pub fn new(is_coloured: bool, column: usize) -> Self {
        Self { out: String::new(), is_coloured, column, indent: 0 }
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.out
    }

    fn bold(&mut self, text: &str) {
        let [on, off] = if self.is_coloured { ["\x1b[1m", "\x1b[m"] } else { [""; 2] };
        self.out.extend([on, text, off]);
    }

    /// Appends the words, broken before the last column, further lines indented; the text already stands at
    /// column `indent` of its last line.
    fn wrap(&mut self, indent: usize, words: &str) {
        let mut column = indent;
        for (at, word) in words.split_whitespace().enumerate() {
            if column + 1 + word.chars().count() > WIDTH {
                let _ = write!(self.out, "\n{:indent$}", "");
                column = indent;
            } else if at > 0 {
                self.out.push(' ');
                column += 1;
            }
            self.out.push_str(word);
            column += word.chars().count();
        }
        self.out.push('\n');
    }
}

impl Page for Text {
    fn usage(&mut self, line: &str) {
        let head = if self.out.is_empty() { "Usage:" } else { "      " };
        self.out.extend([head, " ", line, "\n"]);
    }

    fn heading(&mut self, title: &str) {
        self.out.push('\n');
        self.bold(&format!("{title}:"));
        self.out.push('\n');
        self.indent = 2;
    }

    fn paragraph(&mut self, text: &str) {
        self.out.push_str(if self.indent == 0 { "\n" } else { "  " });
        self.wrap(self.indent, text);
    }

    fn code(&mut self, line: &str) {
        self.out.extend(["  ", line, "\n"]);
    }

    fn item(&mut self, names: &str, value: &str, text: &str) {
        let gap = if value.is_empty() { "" } else { " " };
        let width = 2 + names.len() + gap.len() + value.len();
        self.out.push_str("  ");
        self.bold(names);
        self.out.extend([gap, value]);
        let pad = if width < self.column - 1 {
            self.column - width
        } else {
            self.out.push('\n');
            self.column
        };
        let _ = write!(self.out, "{:pad$}", "");
        self.wrap(self.column, text);
    }
}

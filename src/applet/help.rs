//! `--help`: made of the same table that the options are read with. 80 columns at most.

use std::fmt::Write;

use argh::{CommandInfoWithArgs, FlagInfoKind};

use super::environment::{OWN_VARIABLE_ONLY, variable};
use super::{APPLETS, Applet};

const WIDTH: usize = 80;
const INDENT: usize = 24;

/// The text of `kboot --help`.
pub fn overview() -> String {
    let mut text = String::from(
        "Usage: kboot APPLET [OPTIONS]        APPLET [OPTIONS]  (through a link)\n       \
         kboot --list | --help | --version\n       kboot --install [-s] DIR\n       kboot --completion bash|zsh|fish\n\n\
         From \"the kernel is up\" to \"this node is in the cluster\": one static binary.\n\nApplets:\n",
    );
    for applet in &APPLETS {
        let _ = writeln!(text, "  {:<18}{}", applet.name, applet.summary);
    }
    text.push_str(
        "\n--install makes hard links to the applets in DIR, -s symbolic ones.\n\
         kboot APPLET --help tells the options of an applet.\n",
    );
    text
}

/// The text of `kboot APPLET --help`.
pub fn applet(applet: &Applet) -> String {
    let info = (applet.info)();
    let mut text = format!("Usage: kboot {} [OPTIONS]{}\n\n", applet.name, rest_usage(applet));
    wrap(&mut text, 0, &capitalise(info.description));
    text.push_str("\nExamples:\n");
    for example in applet.examples {
        let _ = writeln!(text, "  {example}");
    }
    text.push_str("\nOptions:\n");
    options(&mut text, &info);
    sources(&mut text, applet);
    text.push_str(
        "\nExit status: 0 done or already so, 1 failed, 2 bad usage or input, 3 conflict,\n\
         75 not within --timeout, 126/127 the program to exec cannot be run/is not there\n",
    );
    text
}

/// Where options come from that are not given.
fn sources(text: &mut String, applet: &Applet) {
    let variables = format!("KBOOT_{}_", variable(applet.name));
    let parameters = format!("kboot.{}.", applet.name);
    text.push('\n');
    wrap(
        text,
        0,
        &format!(
            "Every option can come from the environment, {variables}OPTION, then KBOOT_OPTION; else from the \
             kernel's command line, {parameters}OPTION=, then kboot.OPTION=."
        ),
    );
    for (_, option) in OWN_VARIABLE_ONLY.iter().filter(|(name, _)| *name == applet.name) {
        let (variable, parameter) = (variable(option), option.trim_start_matches('-'));
        wrap(text, 0, &format!("For {option}: {variables}{variable} and {parameters}{parameter}= alone."));
    }
}

fn rest_usage(applet: &Applet) -> String {
    applet.rest.map(|r| format!(" [-- {r}]")).unwrap_or_default()
}

fn capitalise(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn options(text: &mut String, info: &CommandInfoWithArgs) {
    for flag in info.flags.iter().filter(|f| f.long != "--help") {
        let short = flag.short.map_or_else(|| "    ".to_owned(), |s| format!("-{s}, "));
        let value = match flag.kind {
            FlagInfoKind::Switch => String::new(),
            FlagInfoKind::Option { arg_name } => format!(" {}", arg_name.to_uppercase()),
        };
        let mut head = format!("  {short}{}{value}", flag.long);
        if head.len() >= INDENT - 1 {
            head.push('\n');
            text.push_str(&head);
            head.clear();
        }
        let _ = write!(text, "{head:<INDENT$}");
        wrap(text, INDENT, flag.description);
    }
    let _ = writeln!(text, "{:<INDENT$}this text", "  -h, --help");
}

/// Appends the words, broken before column 80, further lines indented; `text` already stands at
/// column `indent` of its last line.
fn wrap(text: &mut String, indent: usize, words: &str) {
    let mut column = indent;
    for (at, word) in words.split_whitespace().enumerate() {
        if column + 1 + word.chars().count() > WIDTH {
            let _ = write!(text, "\n{:indent$}", "");
            column = indent;
        } else if at > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.chars().count();
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_80_columns() {
        let texts = APPLETS.iter().map(applet).chain([overview()]);
        for text in texts {
            for line in text.lines() {
                assert!(line.chars().count() <= WIDTH, "{line}");
                assert_eq!(line.trim_end(), line);
            }
        }
    }
}

//! What `--help` and the manual say of each applet: one order of the same words, made of the tables that the
//! options are read with. The text for terminals is `text`'s; scripts/manual.rs makes the pages for man(1).

mod text;

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind};

use super::environment::{OWN_VARIABLE_ONLY, variable};
use super::{APPLETS, Applet, options};
use crate::error::Result;
use crate::sys::stdio;
use text::Text;

/// What receives the words.
pub trait Page {
    /// A way to call the program; they come first.
    fn usage(&mut self, line: &str);
    /// A section's title. What comes before the first stands under none.
    fn heading(&mut self, title: &str);
    /// The title of a group of options.
    fn group(&mut self, title: &str) {
        self.heading(title);
    }
    /// A paragraph.
    fn paragraph(&mut self, text: &str);
    /// A line to be pasted.
    fn code(&mut self, line: &str);
    /// An option's names (or a file, a variable, an exit status), its value's name or nothing, and what it is.
    fn item(&mut self, names: &str, value: &str, text: &str);
}

/// Cuts an entry of the tables: `HEAD: TEXT`.
pub fn cut(entry: &'static str) -> (&'static str, &'static str) {
    entry.split_once(": ").unwrap_or((entry, ""))
}

/// What every applet can end with, unless its own table says it in other words.
pub const EXITS: [&str; 3] =
    ["0: done, or already so", "1: failed", "2: bad usage or input; nothing was touched"];

/// Writes `kboot --help`, or one applet's, to stdout.
pub fn show(applet: Option<&Applet>) -> Result<()> {
    stdio::out(&text(applet, stdio::is_coloured(1)))
}

fn text(applet: Option<&Applet>, is_coloured: bool) -> String {
    let mut text = Text::new(is_coloured, if applet.is_some() { 24 } else { 21 });
    match applet {
        Some(applet) => page(applet, &mut text),
        None => overview(&mut text),
    }
    text.finish()
}

/// What `kboot --help` says.
pub fn overview(page: &mut dyn Page) {
    page.usage("kboot APPLET [OPTIONS]");
    page.usage("kboot help [APPLET] | --list | --version");
    page.usage("kboot --install [-s] DIR");
    page.usage("kboot --completion bash|zsh|fish");
    page.paragraph("From \"the kernel is up\" to \"this node is in the cluster\": one static binary.");
    page.heading("Applets");
    for applet in &APPLETS {
        page.item(applet.name, "", applet.summary);
    }
    page.heading("Links");
    page.paragraph(
        "--install makes hard links to the applets in DIR, -s symbolic ones. A link named APPLET or \
         kboot-APPLET is that applet.",
    );
}

/// What `kboot APPLET --help` says.
pub fn page(applet: &Applet, page: &mut dyn Page) {
    let info = (applet.info)();
    let rest = applet.rest.map(|r| format!(" [-- {r}]")).unwrap_or_default();
    page.usage(&format!("kboot {} [OPTIONS]{rest}", applet.name));
    page.paragraph(&capitalise(info.description));
    page.heading("Examples");
    for example in applet.examples {
        let (what, line) = cut(example);
        page.code(&format!("# {what}"));
        line.split('\n').for_each(|line| page.code(line));
    }
    for group in applet.groups.iter().chain([&options::RUN]) {
        let (title, names) = cut(group);
        page.group(title);
        names.split(' ').for_each(|name| option(page, &info, name));
    }
    page.heading("Exit status");
    let is_own = |entry: &'static str| applet.exits.iter().any(|e| cut(e).0 == cut(entry).0);
    items(page, EXITS.iter().filter(|e| !is_own(e)).chain(applet.exits));
    page.heading("Environment");
    items(page, applet.variables.iter());
    sources(page, applet);
    if !applet.files.is_empty() {
        page.heading("Files");
        items(page, applet.files.iter());
    }
}

/// The options that every applet has.
pub fn run_options(page: &mut dyn Page) {
    let info = (APPLETS[0].info)();
    cut(options::RUN).1.split(' ').for_each(|name| option(page, &info, name));
}

fn items<'e>(page: &mut dyn Page, entries: impl Iterator<Item = &'e &'static str>) {
    let mut entries: Vec<_> = entries.map(|e| cut(e)).collect();
    // Exit statuses by their number; nothing else has one.
    entries.sort_by_key(|(head, _)| head.split(',').next().and_then(|n| n.parse::<u8>().ok()));
    for (head, text) in entries {
        page.item(head, "", text);
    }
}

fn option(page: &mut dyn Page, info: &CommandInfoWithArgs, name: &str) {
    if name == "--help" {
        return page.item("-h, --help", "", "print this help");
    }
    let Some(flag) = info.flags.iter().find(|f| f.long == name) else { return };
    let short = flag.short.map_or_else(|| "    ".to_owned(), |s| format!("-{s}, "));
    page.item(&format!("{short}{name}"), &value_of(flag), flag.description);
}

fn value_of(flag: &FlagInfo<'_>) -> String {
    match flag.kind {
        FlagInfoKind::Switch => String::new(),
        FlagInfoKind::Option { arg_name } => arg_name.to_uppercase(),
    }
}

/// Where options come from that are not given.
fn sources(page: &mut dyn Page, applet: &Applet) {
    let variables = format!("KBOOT_{}_", variable(applet.name));
    let parameters = format!("kboot.{}.", applet.name);
    page.paragraph(&format!(
        "Every option can come from the environment, {variables}OPTION, then KBOOT_OPTION; else from the \
         kernel's command line, {parameters}OPTION=, then kboot.OPTION=."
    ));
    for (_, option) in OWN_VARIABLE_ONLY.iter().filter(|(name, _)| *name == applet.name) {
        let (variable, parameter) = (variable(option), option.trim_start_matches('-'));
        page.paragraph(&format!("For {option}: {variables}{variable} and {parameters}{parameter}= alone."));
    }
}

fn capitalise(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests;

//! All that is below a directory, to compare before with after.

use std::path::Path;

use super::tool;

/// A line for each path, sorted: kind, mode, owner, a file's size or a link's target. Paths that begin
/// with one of `except` are left out.
pub fn list(root: &Path, except: &[&str]) -> Vec<String> {
    let form = "( -type f -printf %P\\t%y\\t%m\\t%U:%G\\t%s\\n ) -o -printf %P\\t%y\\t%m\\t%U:%G\\t%l\\n";
    let mut args = vec![root.to_str().unwrap(), "-mindepth", "1"];
    args.extend(form.split(' '));
    let found = tool("find", &args);
    let is_wanted = |l: &&str| !except.iter().any(|e| l.starts_with(e));
    let mut lines: Vec<String> = found.lines().filter(is_wanted).map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Fails with what differs, and not with all of it.
pub fn assert_same(before: &[String], after: &[String]) {
    let only = |here: &[String], there: &[String]| -> Vec<String> {
        here.iter().filter(|l| there.binary_search(l).is_err()).cloned().collect()
    };
    let (gone, come) = (only(before, after), only(after, before));
    assert!(gone.is_empty() && come.is_empty(), "gone: {gone:#?}\ncome: {come:#?}");
}

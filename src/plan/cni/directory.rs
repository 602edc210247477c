//! Which of the files in a directory a runtime takes.

/// Whether a runtime reads a file of that name as a list of plugins; in `.conf` and `.json` it looks for one
/// plugin alone.
pub fn is_list(name: &str) -> bool {
    extension(name) == "conflist"
}

/// The files that a runtime reads, in its order: libcni's `ConfFiles`, sorted byte by byte (go-cni's
/// `loadFromConfDir`, ocicni's `loadNetworks`, the kubelet's `getDefaultCNINetwork`). Hidden ones count.
pub fn in_order(mut names: Vec<String>) -> Vec<String> {
    names.retain(|name| ["conf", "conflist", "json"].contains(&extension(name)));
    names.sort();
    names
}

/// The files that a runtime finds before kboot's own.
pub fn comes_before(own: &str, names: Vec<String>) -> Vec<String> {
    let mut names = in_order(names);
    names.retain(|name| name.as_str() < own);
    names
}

/// As Go's `filepath.Ext` has it.
fn extension(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

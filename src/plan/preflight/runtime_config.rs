//! Which cgroup driver a CRI runtime is configured for, by its own files: CRI itself is gRPC.

use crate::plan::kubelet::CgroupDriver;

/// The `imports` of containerd's config.toml: paths, the last part with `*` or not.
pub fn imports(config: &str) -> Vec<String> {
    let lines = Lines::of(config);
    let list = lines.filter(|(table, key, _)| table.is_empty() && key == "imports").map(|(.., value)| value);
    list.flat_map(|v| words(&v)).collect()
}

/// Whether containerd was told to do without CRI, as docker's own packages have it.
pub fn is_without_cri(files: &[String]) -> bool {
    let all = files.iter().flat_map(|f| Lines::of(f));
    let mut lists = all.filter(|(table, key, _)| table.is_empty() && key == "disabled_plugins");
    lists.any(|(.., list)| words(&list).iter().any(|w| w == "cri" || w == "io.containerd.grpc.v1.cri"))
}

/// The strings of a list, in either of TOML's quotes.
fn words(list: &str) -> Vec<String> {
    list.split(['"', '\'']).skip(1).step_by(2).map(str::to_owned).collect()
}

/// containerd: `SystemdCgroup` of the runtime runc (config versions 2 and 3) or `systemd_cgroup` of the
/// whole plugin (version 1); without either cgroupfs (its default, cri/config.md). `files`: the texts of its
/// files, later ones win.
pub fn containerd_driver(files: &[String]) -> CgroupDriver {
    let mut found = CgroupDriver::Cgroupfs;
    for file in files {
        for (table, key, value) in Lines::of(file) {
            let is_runc = table.ends_with(".runtimes.runc") || table.contains(".runtimes.runc.");
            let of_runc = key == "SystemdCgroup" && is_runc;
            let of_plugin = key == "systemd_cgroup" && table.ends_with("cri");
            match (of_runc || of_plugin, value.as_str()) {
                (true, "true") => found = CgroupDriver::Systemd,
                (true, "false") if of_runc => found = CgroupDriver::Cgroupfs,
                _ => {}
            }
        }
    }
    found
}

/// CRI-O: `cgroup_manager` of its runtime; systemd without (crio.conf(5); cgroupfs before 1.14, which no
/// longer counts). Later files, those of crio.conf.d, win.
pub fn crio_driver(files: &[String]) -> CgroupDriver {
    let all = files.iter().flat_map(|f| Lines::of(f));
    let last = all.filter(|(_, key, _)| key == "cgroup_manager").last();
    match last {
        Some((.., value)) if value.trim_matches(['"', '\'']) == "cgroupfs" => CgroupDriver::Cgroupfs,
        _ => CgroupDriver::Systemd,
    }
}

/// The settings of a TOML text that stand on a line each: (table, key, value). Lists that go over several
/// lines come as one; what else TOML knows (inline tables, dotted keys) these two files are not written in.
struct Lines<'t> {
    lines: std::str::Lines<'t>,
    table: String,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        Self { lines: text.lines(), table: String::new() }
    }
}

impl Iterator for Lines<'_> {
    type Item = (String, String, String);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = without_comment(self.lines.next()?);
            if let Some(table) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                self.table = table.chars().filter(|c| !"\"' ".contains(*c)).collect();
                continue;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            let mut value = value.trim().to_owned();
            while value.starts_with('[') && !value.ends_with(']') {
                value.push_str(without_comment(self.lines.next()?));
            }
            return Some((self.table.clone(), key.trim().to_owned(), value));
        }
    }
}

/// A `#` within quotes begins no comment.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let end = line.find(|c| {
        match quote {
            None if c == '"' || c == '\'' => quote = Some(c),
            Some(open) if open == c => quote = None,
            _ => {}
        }
        c == '#' && quote.is_none()
    });
    line[..end.unwrap_or(line.len())].trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use CgroupDriver::{Cgroupfs, Systemd};

    fn files(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|t| (*t).to_owned()).collect()
    }

    #[test]
    fn containerd_in_each_version_of_its_file() {
        let v2 = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n  SystemdCgroup = true # x\n";
        let v3 = "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\nSystemdCgroup = true\n";
        let v1 = "[plugins.cri]\n  systemd_cgroup = true\n";
        let other = "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.kata.options]\nSystemdCgroup = true\n";
        let like = "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc-fast.options]\nSystemdCgroup = true\n";
        let off = "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup = false\n";
        for (texts, expected) in [
            (&[v2][..], Systemd),
            (&[v3], Systemd),
            (&[v1], Systemd),
            (&[other, like], Cgroupfs),
            (&["#SystemdCgroup = true\n"], Cgroupfs),
            (&[], Cgroupfs),
            (&[v2, off], Cgroupfs),
            (&[off, v2], Systemd),
        ] {
            assert_eq!(containerd_driver(&files(texts)), expected, "{texts:?}");
        }
    }

    #[test]
    fn containerds_imports() {
        assert_eq!(
            imports("version = 2\nimports = [\"/etc/containerd/conf.d/*.toml\", # a\n \"/x.toml\"]\n"),
            ["/etc/containerd/conf.d/*.toml", "/x.toml"]
        );
        assert_eq!(imports("imports = ['a#.toml'] # x\n"), ["a#.toml"]);
        assert!(imports("[plugins]\nimports = [\"/x\"]\n").is_empty());
    }

    #[test]
    fn containerd_as_dockers_packages_have_it() {
        let is_off = |text: &str| is_without_cri(&files(&[text]));
        assert!(is_off("disabled_plugins = [\"cri\"]\n") && is_off("disabled_plugins = ['x', 'cri']\n"));
        assert!(!is_off("#disabled_plugins = [\"cri\"]\n") && !is_off("disabled_plugins = []\n"));
    }

    #[test]
    fn crio_is_systemds_unless_told_otherwise() {
        let cgroupfs = "[crio.runtime]\ncgroup_manager = \"cgroupfs\"\n";
        let systemd = "[crio.runtime]\ncgroup_manager = \"systemd\"\n";
        assert_eq!(crio_driver(&[]), Systemd);
        assert_eq!(crio_driver(&files(&[cgroupfs])), Cgroupfs);
        assert_eq!(crio_driver(&files(&[&cgroupfs.replace('"', "'")])), Cgroupfs);
        assert_eq!(crio_driver(&files(&[cgroupfs, systemd])), Systemd);
    }
}

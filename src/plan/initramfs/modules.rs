//! Which of a kernel's modules an image gets, and depmod's lists cut to them.

use std::collections::BTreeSet;

use crate::plan::modules::{files, is_built_in, is_same, name_of};
use crate::plan::nearest::nearest;

/// depmod(8)'s lists.
#[derive(Default)]
pub struct Lists {
    /// `FILE: FILE...`
    pub dep: String,
    /// `alias PATTERN NAME`
    pub alias: String,
    /// A path a line.
    pub builtin: String,
    /// `softdep NAME pre: NAME... post: NAME...`
    pub softdep: String,
}

/// What was chosen.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Choice<'a> {
    /// The files, as modules.dep names them.
    pub files: BTreeSet<&'a str>,
    /// The modules to load for what was asked for: aliases are gone.
    pub load: Vec<&'a str>,
    /// Those asked for that are part of the kernel.
    pub built_in: Vec<String>,
}

/// What is behind a name.
enum Found<'a> {
    /// The files of each: what it needs, then its own.
    Modules(Vec<Vec<&'a str>>),
    BuiltIn,
    Nothing,
}

impl Lists {
    /// The modules, all that they need, and what they want loaded before them where the kernel has it.
    /// A name may be an alias (`fs-ext4`). `Err` says which of them there is not.
    pub fn choose(&self, names: &[String]) -> Result<Choice<'_>, String> {
        let mut choice = Choice::default();
        for name in names {
            match self.find(name) {
                Found::Modules(modules) => {
                    choice.load.extend(modules.iter().filter_map(|files| files.last()).map(|f| name_of(f)));
                    self.add(&mut choice, modules);
                }
                Found::BuiltIn => choice.built_in.push(name.clone()),
                Found::Nothing => return Err(self.unknown(name)),
            }
        }
        self.add_bus(&mut choice);
        Ok(choice)
    }

    /// A virtio device is behind a bus, whose driver no list has among what the device's needs. init loads
    /// it for the devices that are there.
    fn add_bus<'a>(&'a self, choice: &mut Choice<'a>) {
        let is_virtio = choice.files.iter().any(|f| name_of(f) == "virtio");
        for bus in ["virtio_pci", "virtio_mmio"].iter().filter(|_| is_virtio) {
            if let Found::Modules(modules) = self.find(bus) {
                self.add(choice, modules);
            }
        }
    }

    fn add<'a>(&'a self, choice: &mut Choice<'a>, modules: Vec<Vec<&'a str>>) {
        for file in modules.into_iter().flatten() {
            if !choice.files.insert(file) {
                continue;
            }
            for name in self.before(name_of(file)) {
                if let Found::Modules(more) = self.find(name) {
                    self.add(choice, more);
                }
            }
        }
    }

    /// The order is modprobe's: modules, what the kernel has, aliases.
    fn find(&self, name: &str) -> Found<'_> {
        if let Some(found) = files(&self.dep, name) {
            return Found::Modules(vec![found]);
        }
        if is_built_in(&self.builtin, name) {
            return Found::BuiltIn;
        }
        let named = self.alias.lines().filter_map(|l| l.strip_prefix("alias ")?.rsplit_once(' '));
        let behind = named.filter(|(alias, _)| is_same(alias, name)).map(|(_, module)| module);
        let found: Vec<_> = behind.filter_map(|module| files(&self.dep, module)).collect();
        if found.is_empty() { Found::Nothing } else { Found::Modules(found) }
    }

    /// The soft dependencies that come first.
    fn before<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let name = name.to_owned();
        let lines = self.softdep.lines().filter_map(|l| l.strip_prefix("softdep ")?.split_once(' '));
        let ours = lines.filter(move |(module, _)| is_same(module, &name));
        ours.flat_map(|(_, words)| {
            let mut is_before = false;
            words.split_whitespace().filter(move |word| {
                let is_mark = word.ends_with(':');
                if is_mark {
                    is_before = *word == "pre:";
                }
                is_before && !is_mark
            })
        })
    }

    fn unknown(&self, name: &str) -> String {
        let (dep, builtin) = (self.dep.lines().filter_map(|l| l.split(':').next()), self.builtin.lines());
        let near = nearest(name, dep.chain(builtin).map(name_of));
        format!(
            "--module {name}: no such module{}",
            near.map(|n| format!(": did you mean {n}?")).unwrap_or_default()
        )
    }

    /// The lists for the image: modules that are not in it are not in them.
    #[must_use]
    pub fn cut(&self, choice: &Choice<'_>) -> Lists {
        let has = |name: &str| choice.files.iter().any(|f| is_same(name_of(f), name));
        let dep = |l: &str| l.split(':').next().is_some_and(|file| choice.files.contains(file));
        let alias = |l: &str| l.starts_with("alias ") && l.rsplit(' ').next().is_some_and(has);
        let softdep = |l: &str| l.strip_prefix("softdep ").and_then(|l| l.split(' ').next()).is_some_and(has);
        Lists {
            dep: kept(&self.dep, dep),
            alias: kept(&self.alias, alias),
            builtin: self.builtin.clone(),
            softdep: kept(&self.softdep, softdep),
        }
    }
}

fn kept(list: &str, is_kept: impl Fn(&str) -> bool) -> String {
    list.split_inclusive('\n').filter(|line| is_kept(line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists() -> Lists {
        Lists {
            dep: "\
kernel/net/802/stp.ko.xz: kernel/net/llc/llc.ko.xz
kernel/net/llc/llc.ko.xz:
kernel/net/bridge/bridge.ko.xz: kernel/net/802/stp.ko.xz kernel/net/llc/llc.ko.xz
kernel/lib/libcrc32c.ko.xz:
kernel/arch/x86/crypto/crc32c-intel.ko.xz:
kernel/net/netfilter/nf_tables.ko.xz: kernel/lib/libcrc32c.ko.xz
kernel/a.ko.xz:
kernel/b.ko.xz:
kernel/virtio.ko.xz:
kernel/virtio_pci.ko.xz: kernel/virtio.ko.xz
kernel/virtio_net.ko.xz: kernel/virtio.ko.xz
"
            .into(),
            alias: "\
# Aliases extracted from modules themselves.
alias crypto-crc32c crc32c_intel
alias crc32c crc32c_intel
alias rtnl-link-bridge bridge
alias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci
alias net-pf-26 llc
"
            .into(),
            builtin: "kernel/fs/ext4/ext4.ko\nkernel/drivers/tty/serial/8250/8250.ko\n".into(),
            softdep: "\
# Soft dependencies
softdep libcrc32c pre: crc32c
softdep a pre: b nothing-like-it ext4 post: bridge
softdep b pre: a
softdep nf-tables post: bridge
softdep stp llc
"
            .into(),
        }
    }

    fn names(words: &str) -> Vec<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_needed_comes_along() {
        let table = [
            ("bridge", "bridge llc stp", ""),
            ("rtnl-link-bridge", "bridge llc stp", ""),
            ("rtnl_link_bridge bridge", "bridge llc stp", ""),
            ("nf-tables", "crc32c-intel libcrc32c nf_tables", ""),
            ("a", "a b", ""),
            ("b ext4 stp", "a b llc stp", "ext4"),
            ("virtio-net", "virtio virtio_net virtio_pci", ""),
            ("8250 ext4", "", "8250 ext4"),
            ("", "", ""),
        ];
        for (asked, files, built_in) in table {
            let lists = lists();
            let choice = lists.choose(&names(asked)).unwrap();
            let mut found: Vec<&str> = choice.files.iter().map(|f| name_of(f)).collect();
            found.sort_unstable();
            assert_eq!((found.join(" "), choice.built_in), (files.to_owned(), names(built_in)), "{asked}");
        }
    }

    #[test]
    fn what_is_loaded_has_its_own_name() {
        let lists = lists();
        let choice = lists.choose(&names("rtnl_link_bridge nf-tables ext4 crc32c")).unwrap();
        assert_eq!(choice.load, ["bridge", "nf_tables", "crc32c-intel"]);
    }

    #[test]
    fn one_that_is_not_there_is_said_with_the_nearest() {
        let table = [
            ("brigde", "--module brigde: no such module: did you mean bridge?"),
            ("ext5", "--module ext5: no such module: did you mean ext4?"),
            ("frobnicate", "--module frobnicate: no such module"),
        ];
        for (name, error) in table {
            assert_eq!(lists().choose(&names(name)).unwrap_err(), error);
        }
    }

    #[test]
    fn lists_are_cut_to_what_is_in_the_image() {
        let lists = lists();
        let cut = lists.cut(&lists.choose(&names("bridge a")).unwrap());
        assert_eq!(cut.dep.lines().count(), 5);
        assert_eq!(cut.alias, "alias rtnl-link-bridge bridge\nalias net-pf-26 llc\n");
        assert_eq!(
            cut.softdep,
            "softdep a pre: b nothing-like-it ext4 post: bridge\nsoftdep b pre: a\nsoftdep stp llc\n"
        );
        assert_eq!(cut.builtin, lists.builtin);
    }
}

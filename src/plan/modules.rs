//! Kernel modules: which files one takes, from the lists that depmod(8) leaves in /lib/modules/VERSION.
//! Left out: aliases (modules.alias), modprobe.d, and soft dependencies (modules.softdep). Of those few
//! have any; libcrc32c, below conntrack, has one that is a matter of speed where crc32c is built in.

/// The name in a module's path: `kernel/net/bridge/br_netfilter.ko.zst` -> `br_netfilter`.
pub fn name_of(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file)
}

/// Files are named with `-` or `_`, the kernel knows `_` only.
fn is_same(a: &str, b: &str) -> bool {
    let plain = |c: u8| if c == b'-' { b'_' } else { c };
    a.bytes().map(plain).eq(b.bytes().map(plain))
}

/// The files to load, in this order, from modules.dep (`FILE: FILE...`, relative to its directory).
/// Each line has all that the module needs, indirectly too; what has to be loaded first stands last
/// (kmod_module_parse_depline of libkmod). `None`: it is not among them.
pub fn files<'a>(modules_dep: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let (file, needs) =
        modules_dep.lines().filter_map(|l| l.split_once(':')).find(|(f, _)| is_same(name_of(f), name))?;
    Some(needs.split_whitespace().rev().chain([file]).collect())
}

/// Whether modules.builtin (a path a line) has it: then it is part of the kernel.
pub fn is_built_in(modules_builtin: &str, name: &str) -> bool {
    modules_builtin.lines().any(|path| is_same(name_of(path), name))
}

/// Whether /proc/modules (`NAME SIZE USERS USED-BY, STATE ADDRESS`) has it, ready for use: while it is
/// `Loading` or `Unloading` it is not.
pub fn is_live(proc_modules: &str, name: &str) -> bool {
    proc_modules.lines().any(|line| {
        let mut words = line.split(' ');
        words.next().is_some_and(|n| is_same(n, name)) && words.nth(3) == Some("Live")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "\
kernel/net/802/stp.ko: kernel/net/llc/llc.ko
kernel/net/llc/llc.ko:
kernel/net/bridge/bridge.ko: kernel/net/802/stp.ko kernel/net/llc/llc.ko
kernel/net/bridge/br_netfilter.ko: kernel/net/bridge/bridge.ko kernel/net/802/stp.ko kernel/net/llc/llc.ko
kernel/net/bridge/netfilter/nf_conntrack_bridge.ko.xz: kernel/net/bridge/bridge.ko.xz
extra/vx-lan.ko.zst:
";

    #[test]
    fn what_is_needed_first_comes_first() {
        let table: [(&str, Option<&[&str]>); 7] = [
            ("llc", Some(&["kernel/net/llc/llc.ko"])),
            ("stp", Some(&["kernel/net/llc/llc.ko", "kernel/net/802/stp.ko"])),
            (
                "br_netfilter",
                Some(&[
                    "kernel/net/llc/llc.ko",
                    "kernel/net/802/stp.ko",
                    "kernel/net/bridge/bridge.ko",
                    "kernel/net/bridge/br_netfilter.ko",
                ]),
            ),
            ("vx_lan", Some(&["extra/vx-lan.ko.zst"])),
            ("br", None),
            ("netfilter", None),
            ("", None),
        ];
        for (name, expected) in table {
            assert_eq!(files(DEP, name).as_deref(), expected, "{name}");
        }
        assert_eq!(files(DEP, "br-netfilter"), files(DEP, "br_netfilter"));
        assert_eq!(files("", "br_netfilter"), None);
    }

    #[test]
    fn a_compressed_file_and_an_old_absolute_path_have_the_same_name() {
        for path in ["a/br_netfilter.ko", "/lib/modules/5.4/a/br_netfilter.ko.gz", "br_netfilter.ko.zst"] {
            assert_eq!(name_of(path), "br_netfilter");
        }
    }

    #[test]
    fn built_in() {
        let text = "kernel/net/ipv4/tcp_cubic.ko\nkernel/drivers/virtio/virtio-mmio.ko\n";
        let table = [("tcp_cubic", true), ("virtio_mmio", true), ("virtio-mmio", true), ("virtio", false)];
        for (name, expected) in table {
            assert_eq!(is_built_in(text, name), expected, "{name}");
        }
    }

    #[test]
    fn only_what_is_live_is_loaded() {
        let text = "\
br_netfilter 36864 0 - Live 0xffffffffc0530000
bridge 315392 1 br_netfilter, Live 0xffffffffc04b0000 (E)
stp 16384 1 bridge, Unloading 0xffffffffc0498000
veth 40960 0 - Loading 0xffffffffc0498000
";
        let table =
            [("br-netfilter", true), ("bridge", true), ("stp", false), ("veth", false), ("br", false)];
        for (name, expected) in table {
            assert_eq!(is_live(text, name), expected, "{name}");
        }
    }
}

//! Kernel modules: which files one takes, from the lists that depmod(8) leaves in /lib/modules/VERSION.
//! Left out: modprobe.d, and soft dependencies (modules.softdep). Of those few have any; libcrc32c, below
//! conntrack, has one that is a matter of speed where crc32c is built in.

/// The name in a module's path: `kernel/net/bridge/br_netfilter.ko.zst` -> `br_netfilter`.
pub fn name_of(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file)
}

/// Files are named with `-` or `_`, the kernel knows `_` only.
pub fn is_same(a: &str, b: &str) -> bool {
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

/// The modules that modules.alias (`alias PATTERN NAME`) has for these devices' aliases, each once, in the
/// list's order. A list has thousands of patterns: only those of a device's own bus are compared.
pub fn wanted<'a>(modules_alias: &'a str, devices: &[String]) -> Vec<&'a str> {
    let bus = |text: &str| text.split(':').next().unwrap_or_default().len();
    let mut buses: Vec<&str> = devices.iter().map(|d| &d[..bus(d)]).collect();
    buses.sort_unstable();
    buses.dedup();
    let mut names: Vec<&str> = Vec::new();
    for line in modules_alias.lines() {
        let Some((pattern, name)) = line.strip_prefix("alias ").and_then(|l| l.rsplit_once(' ')) else {
            continue;
        };
        let prefix = &pattern[..bus(pattern)];
        if !buses.contains(&prefix) && !prefix.contains(['*', '?', '[']) {
            continue;
        }
        let mut own = devices.iter();
        if !names.contains(&name) && own.any(|d| matches(pattern.as_bytes(), d.as_bytes())) {
            names.push(name);
        }
    }
    names
}

/// fnmatch(3) without flags, as modprobe asks it: `*`, `?`, `[a-c]`, `[!a]`, and a backslash.
fn matches(mut pattern: &[u8], mut text: &[u8]) -> bool {
    // Where the last `*` stood, and how far it reaches: with more than one, the last alone may grow.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some((b'*', rest)) = pattern.split_first() {
            star = Some((rest, text));
            pattern = rest;
            continue;
        }
        if let Some(rest) = one(pattern, text) {
            (pattern, text) = (rest, &text[1..]);
            continue;
        }
        if pattern.is_empty() && text.is_empty() {
            return true;
        }
        let Some((behind, [_, shorter @ ..])) = star else { return false };
        (pattern, text) = (behind, shorter);
        star = Some((behind, shorter));
    }
}

/// The pattern behind its first element, if that matches the text's first byte.
fn one<'a>(pattern: &'a [u8], text: &[u8]) -> Option<&'a [u8]> {
    let c = *text.first()?;
    match pattern {
        [b'?', rest @ ..] => Some(rest),
        [b'[', rest @ ..] => match set(rest, c) {
            Some((is_in, rest)) => is_in.then_some(rest),
            // Not closed: it stands for itself.
            None => (c == b'[').then_some(rest),
        },
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => (*literal == c).then_some(rest),
        [] => None,
    }
}

/// Whether a byte is in the set whose `[` is gone, and what stands behind its `]`.
fn set(pattern: &[u8], c: u8) -> Option<(bool, &[u8])> {
    let (is_negated, mut rest) = match pattern {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, pattern),
    };
    let (mut is_in, mut is_first) = (false, true);
    loop {
        match rest {
            [b']', behind @ ..] if !is_first => return Some((is_in != is_negated, behind)),
            [low, b'-', high, more @ ..] if *high != b']' => {
                is_in |= (*low..=*high).contains(&c);
                rest = more;
            }
            [single, more @ ..] => {
                is_in |= *single == c;
                rest = more;
            }
            [] => return None,
        }
        is_first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each as fnmatch(3) with no flags has it.
    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("virtio:d00000001v*", "virtio:d00000001v00001AF4", true),
            ("virtio:d00000001v*", "virtio:d00000002v00001AF4", false),
            ("pci:v*d*sv*sd*bc02sc*i*", "pci:v00001AF4d00001000sv00001AF4sd00000001bc02sc00i00", true),
            ("pci:v*d*sv*sd*bc02sc*i*", "pci:v00001AF4d00001000sv00001AF4sd00000001bc01sc00i00", false),
            ("usb:v0000p[0-9]x[!ab]", "usb:v0000p7xc", true),
            ("usb:v0000p[0-9]x[!ab]", "usb:v0000p7xa", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("", "", true),
            ("*", "", true),
            ("a*", "", false),
            ("a", "ab", false),
            ("[]x]", "]", true),
            ("a[b", "a[b", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("*a*b*c", "xxaxxbxxbc", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn devices_name_their_modules_once() {
        let list = "# Aliases\nalias virtio:d00000001v* virtio_net\nalias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci\n\
            alias virtio:d00000001v* virtio_net\nalias fs-ext4 ext4\nalias [a-z]cpi*:X: odd\n";
        let devices = ["virtio:d00000001v00001AF4", "pci:v00001AF4d00001000sv1sd1bc02sc00i00", "acpi:X:"];
        let devices = devices.map(str::to_owned);
        assert_eq!(wanted(list, &devices), ["virtio_net", "virtio_pci", "odd"]);
        assert_eq!(wanted(list, &["fs-ext4".to_owned()]), ["ext4"]);
        assert!(wanted(list, &[]).is_empty());
    }

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

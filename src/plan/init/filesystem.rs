//! Which file system lies on a device, where nobody said.

/// How much of a device's beginning has to be looked at.
pub const HEAD: usize = 0x10048;

/// Marks, and where they stand (each one's documentation under Documentation/filesystems, magic.h).
const MARKS: [(usize, &[u8], &str); 7] = [
    (1080, b"\x53\xef", "ext4"),
    (0, b"XFSB", "xfs"),
    (0x10040, b"_BHRfS_M", "btrfs"),
    (0, b"hsqs", "squashfs"),
    (1024, b"\xe2\xe1\xf5\xe0", "erofs"),
    (1024, b"\x10\x20\xf5\xf2", "f2fs"),
    (32_769, b"CD001", "iso9660"),
];

/// By its marks; `None`: none that is known here.
pub fn of(head: &[u8]) -> Option<&'static str> {
    let has = |at: usize, mark: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(mark));
    MARKS.iter().find(|(at, mark, _)| has(*at, mark)).map(|(_, _, name)| *name)
}

/// Whether this kernel has it (/proc/filesystems: `nodev` or nothing, a tab, the name).
pub fn is_known(proc_filesystems: &str, name: &str) -> bool {
    proc_filesystems.lines().any(|line| line.split('\t').nth(1) == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks() {
        for (at, mark, name) in MARKS {
            let mut head = vec![0; HEAD];
            assert_eq!(of(&head), None);
            head[at..at + mark.len()].copy_from_slice(mark);
            assert_eq!(of(&head), Some(name));
            assert_eq!(of(&head[..at]), None);
        }
        let text = "nodev\tsysfs\n\text3\n\text4\n";
        assert!(is_known(text, "ext4") && is_known(text, "sysfs") && !is_known(text, "ext"));
    }
}

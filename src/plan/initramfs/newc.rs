//! The archive: `newc` cpio (the kernel's Documentation/driver-api/early-userspace/buffer-format.rst).

use super::{Entry, What};

/// File types of st_mode (inode(7)).
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const DEVICE: u32 = 0o020_000;

/// The entry's header with its name; its content follows. `number` counts the entries from 1: inode
/// numbers, as nothing else in an archive, would differ from run to run.
pub fn header(path: &str, entry: &Entry, number: u32, mtime: u32) -> Vec<u8> {
    let (kind, links, size, device) = match &entry.what {
        What::Directory => (DIRECTORY, 2, 0, (0, 0)),
        What::Copy(_, size) => (FILE, 1, *size, (0, 0)),
        What::Text(text) => (FILE, 1, length(text), (0, 0)),
        What::Link(to) => (LINK, 1, length(to), (0, 0)),
        What::Device(major, minor) => (DEVICE, 1, 0, (*major, *minor)),
    };
    raw(path, [number, kind | entry.mode, 0, 0, links, mtime, size, 0, 0, device.0, device.1])
}

/// Stands at the archive's end.
pub fn trailer() -> Vec<u8> {
    raw("TRAILER!!!", [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])
}

/// How many NULs stand behind so many bytes: names and contents end at a multiple of four.
pub fn padding(size: usize) -> &'static [u8] {
    &[0; 3][..size.next_multiple_of(4) - size]
}

fn length(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

/// Thirteen numbers of eight hexadecimal digits: these, the name's length with its NUL, and a checksum
/// that this kind of archive does not have.
fn raw(name: &str, numbers: [u32; 11]) -> Vec<u8> {
    let mut header = b"070701".to_vec();
    for number in numbers.into_iter().chain([length(name) + 1, 0]) {
        header.extend((0..8).rev().map(|at| b"0123456789abcdef"[(number >> (4 * at) & 15) as usize]));
    }
    header.extend(name.bytes().chain([0]));
    header.extend(padding(header.len()));
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_what_cpio_writes() {
        let entry = Entry { mode: 0o640, what: What::Text("12345".into()) };
        let expected = "070701\
            00000003000081a00000000000000000000000015f5e1000000000050000000000000000\
            00000000000000000000000500000000x/yz\0\0";
        assert_eq!(String::from_utf8(header("x/yz", &entry, 3, 1_600_000_000)).unwrap(), expected);
        let node = Entry { mode: 0o600, what: What::Device(5, 1) };
        let expected = "070701\
            00000001000021800000000000000000000000010000000000000000000000000000000000000005\
            000000010000000200000000c\0";
        assert_eq!(String::from_utf8(header("c", &node, 1, 0)).unwrap(), expected);
    }

    #[test]
    fn everything_ends_at_a_multiple_of_four() {
        for (size, nuls) in [(0, 0), (1, 3), (2, 2), (3, 1), (4, 0), (4095, 1)] {
            assert_eq!(padding(size).len(), nuls);
        }
        assert_eq!(trailer().len(), 124);
    }
}

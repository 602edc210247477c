//! Whether a program runs where there are no libraries.

/// PT_INTERP of elf(5).
const INTERPRETER: u32 = 3;

/// The interpreter (ld.so) that an ELF file names in its program headers, which stand in its first
/// bytes; `Ok(None)`: it is static.
pub fn interpreter(start: &[u8]) -> Result<Option<String>, &'static str> {
    let is_wide = match start {
        [0x7f, b'E', b'L', b'F', class, 1, ..] => *class == 2,
        [0x7f, b'E', b'L', b'F', ..] => return Ok(None),
        _ => return Err("is not a program (ELF)"),
    };
    let number = |at: usize, size: usize| {
        let bytes = start.get(at..at.checked_add(size)?)?;
        Some(bytes.iter().rev().fold(0usize, |sum, b| sum << 8 | usize::from(*b)))
    };
    // e_phoff, e_phentsize, e_phnum; p_offset, p_filesz.
    let (table, entry, count, offset, size, width) =
        if is_wide { (32, 54, 56, 8, 32, 8) } else { (28, 42, 44, 4, 16, 4) };
    let find = || {
        let (table, entry) = (number(table, width)?, number(entry, 2)?);
        let mut headers = (0..number(count, 2)?).map(|n| table + n * entry);
        let header = headers.find(|h| number(*h, 4) == Some(INTERPRETER as usize))?;
        let from = number(header + offset, width)?;
        let name = start.get(from..from.checked_add(number(header + size, width)?)?)?;
        Some(String::from_utf8_lossy(name).trim_end_matches('\0').to_owned())
    };
    Ok(find())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_needs_a_loader() {
        let mut file = [&b"\x7fELF\x02\x01\x01"[..], &[0; 57]].concat();
        (file[32], file[54], file[56]) = (64, 56, 1);
        assert_eq!(interpreter(&file), Ok(None));
        file.resize(120, 0);
        (file[64], file[72], file[96]) = (3, 120, 11);
        file.extend(b"/lib/ld.so\0");
        assert_eq!(interpreter(&file), Ok(Some("/lib/ld.so".into())));
        file[64] = 1;
        assert_eq!(interpreter(&file), Ok(None));
        (file[64], file[72]) = (3, 0xff);
        assert_eq!(interpreter(&file), Ok(None), "cut short");
        assert!(interpreter(b"#!/bin/sh\n").is_err() && interpreter(b"").is_err());
    }
}

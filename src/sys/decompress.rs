//! Compressed kernel modules, for kernels that do not unpack them themselves: xz (Fedora, RHEL), zstd
//! (SUSE), gzip (Alpine).

use std::io::Read;
use std::path::Path;

use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use xz4rust::XzDecoder;

use crate::error::{Error, Result};

/// What a module may take unpacked: the largest there are, of graphics cards, take half of it.
const LARGEST: usize = 64 << 20;

/// How a file is compressed.
#[derive(Clone, Copy)]
pub enum Format {
    /// .xz with LZMA2 and no other filter, CRC-32 or CRC-64.
    Xz,
    /// .zst, RFC 8878.
    Zstd,
    /// .gz, RFC 1952.
    Gzip,
}

impl Format {
    /// By the name's end; `None`: not compressed.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "xz" => Some(Self::Xz),
            "zst" => Some(Self::Zstd),
            "gz" => Some(Self::Gzip),
            _ => None,
        }
    }
}

/// Reads and unpacks a file, up to 64 MiB. The decoders' own errors are left out: their words would
/// double what the decoders take in the binary.
pub fn read(file: impl Read, format: Format) -> Result<Vec<u8>> {
    let mut packed = Vec::new();
    file.take(LARGEST as u64).read_to_end(&mut packed)?;
    match format {
        Format::Xz => xz(&packed),
        Format::Zstd => zstd(&packed),
        Format::Gzip => gzip(&packed),
    }
}

fn damaged() -> Error {
    Error::failed("is damaged, or compressed in an unusual way")
}

fn too_large() -> Error {
    Error::failed("is larger than 64 MiB unpacked")
}

fn append(image: &mut Vec<u8>, more: &[u8]) -> Result<()> {
    if image.len() + more.len() > LARGEST {
        return Err(too_large());
    }
    image.extend_from_slice(more);
    Ok(())
}

fn xz(mut packed: &[u8]) -> Result<Vec<u8>> {
    let mut decoder = XzDecoder::with_alloc_dict_size(1 << 20, LARGEST);
    let (mut image, mut chunk) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let step = decoder.decode(packed, &mut chunk).map_err(|_| damaged())?;
        append(&mut image, &chunk[..step.output_produced()])?;
        if step.is_end_of_stream() {
            return Ok(image);
        }
        if !step.made_progress() {
            return Err(damaged());
        }
        packed = &packed[step.input_consumed()..];
    }
}

fn zstd(mut packed: &[u8]) -> Result<Vec<u8>> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(LARGEST as u64);
    decoder.init(&mut packed).map_err(|_| damaged())?;
    let mut image = Vec::new();
    while !decoder.is_finished() {
        let part = BlockDecodingStrategy::UptoBytes(1 << 20);
        decoder.decode_blocks(&mut packed, part).map_err(|_| damaged())?;
        append(&mut image, &decoder.collect().unwrap_or_default())?;
    }
    // The decoder works the checksum out, but does not compare it.
    let checksum = decoder.get_checksum_from_data();
    if checksum.is_some() && checksum != decoder.get_calculated_checksum() {
        Err(damaged())
    } else {
        Ok(image)
    }
}

/// A header without extra fields, or with a name: what `gzip -n` and `gzip` write.
fn gzip(packed: &[u8]) -> Result<Vec<u8>> {
    let (header, rest) = packed.split_at_checked(10).ok_or_else(damaged)?;
    let start = match header {
        [0x1f, 0x8b, 8, 0, ..] => 0,
        [0x1f, 0x8b, 8, 8, ..] => rest.iter().position(|&b| b == 0).ok_or_else(damaged)? + 1,
        _ => return Err(damaged()),
    };
    let (deflated, trailer) = rest[start..].split_last_chunk::<8>().ok_or_else(damaged)?;
    let image = decompress_to_vec_with_limit(deflated, LARGEST).map_err(|error| match error.status {
        TINFLStatus::HasMoreOutput => too_large(),
        _ => damaged(),
    })?;
    if crc32(&image).to_le_bytes() == trailer[..4] { Ok(image) } else { Err(damaged()) }
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, &b| (0..8).fold(crc ^ u32::from(b), |crc, _| step(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const XZ: &[u8] =
        b"\xfd7zXZ\0\0\x01\x69\x22\xde\x36\x02\0\x21\x01\x16\0\0\0\x74\x2f\xe5\xa3\x01\0\x05kboot\n\
        \0\0\0\xb3\x44\x4b\xbb\0\x01\x1a\x06\xc5\xea\xc8\x79\x90\x42\x99\x0d\x01\0\0\0\0\x01YZ";
    const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd\x04\x68\x31\0\0kboot\n\x49\x2c\xd2\xb2";
    const GZIP: &[u8] =
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\x4e\xca\xcf\x2f\xe1\x02\0\xb3\x44\x4b\xbb\x06\0\0\0";

    #[test]
    fn a_missing_end_is_noticed_and_a_wrong_bit_changes_nothing() {
        for (format, packed) in [(Format::Xz, XZ), (Format::Zstd, ZSTD), (Format::Gzip, GZIP)] {
            assert_eq!(read(packed, format).unwrap(), b"kboot\n");
            for end in 0..packed.len() {
                assert!(read(&packed[..end], format).is_err(), "{end} of {} bytes", packed.len());
            }
            for bit in 0..packed.len() * 8 {
                let mut wrong = packed.to_vec();
                wrong[bit / 8] ^= 1 << (bit % 8);
                let unpacked = read(wrong.as_slice(), format);
                assert!(unpacked.is_err() || unpacked.unwrap() == b"kboot\n", "bit {bit} of {packed:x?}");
            }
        }
    }

    #[test]
    fn a_name_in_front_of_gzips_data_is_skipped() {
        let named = [&GZIP[..3], &[8], &GZIP[4..10], b"llc.ko\0", &GZIP[10..]].concat();
        assert_eq!(read(named.as_slice(), Format::Gzip).unwrap(), b"kboot\n");
    }
}

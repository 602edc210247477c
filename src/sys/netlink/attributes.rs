//! What a message of netlink holds behind its header (netlink(7), `struct nlattr`).

use netlink_packet_core::{NLA_HEADER_SIZE, NlasIterator, parse_u32, parse_u32_be};

/// Attributes one after the other.
#[derive(Clone, Copy)]
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Attributes<'a> {
    /// Kinds and values; ends before one that is cut short.
    pub fn all(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        NlasIterator::new(self.0).map_while(|attribute| {
            let attribute = attribute.ok()?;
            let (kind, end) = (attribute.kind(), usize::from(attribute.length()));
            attribute.into_inner().get(NLA_HEADER_SIZE..end).map(|value| (kind, value))
        })
    }

    /// The first of a kind.
    pub fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.all().find(|(k, _)| *k == kind).map(|(_, value)| value)
    }

    /// Those within one; none where it is missing.
    #[must_use]
    pub fn nested(self, kind: u16) -> Self {
        Self(self.get(kind).unwrap_or_default())
    }

    /// 32 bits in network order, as nf_tables has its numbers.
    pub fn number(self, kind: u16) -> Option<u32> {
        parse_u32_be(self.get(kind)?).ok()
    }

    /// 32 bits in the host's order, as rtnetlink has its numbers.
    pub fn native(self, kind: u16) -> Option<u32> {
        parse_u32(self.get(kind)?).ok()
    }

    /// 8 bits.
    pub fn byte(self, kind: u16) -> Option<u8> {
        self.get(kind)?.first().copied()
    }

    /// A name.
    pub fn text(self, kind: u16) -> Option<String> {
        self.get(kind).map(text)
    }
}

/// Up to the first NUL.
pub fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

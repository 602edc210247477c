//! What kboot reads in an X.509 certificate (RFC 5280 §4.1): its dates, its O and CN, its public key.

use ring::digest::{SHA256, digest};

use super::der::{OID, Reader, SEQUENCE, SET};
use crate::types::CaHash;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Seconds since 1970.
    pub not_before: u64,
    /// Seconds since 1970.
    pub not_after: u64,
    /// The subject's last CN, if it has one.
    pub common_name: Option<String>,
    /// The subject's O: Kubernetes' groups.
    pub organisations: Vec<String>,
    /// The SubjectPublicKeyInfo, in DER.
    pub public_key: Vec<u8>,
}

/// id-at-commonName, 2.5.4.3.
pub(super) const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
/// id-at-organizationName, 2.5.4.10.
pub(super) const ORGANISATION: [u8; 3] = [0x55, 0x04, 0x0a];

impl Certificate {
    /// Reads a certificate in DER; `None` when it is none.
    pub fn read(der: &[u8]) -> Option<Self> {
        let mut tbs = Reader(der).expect(SEQUENCE)?.expect(SEQUENCE)?;
        // version [0] is absent in v1 certificates; then: serial, signature, issuer, validity, subject.
        let (first, _) = tbs.next()?;
        if first == 0xa0 {
            tbs.next()?;
        }
        tbs.next()?;
        tbs.next()?;
        let mut validity = tbs.expect(SEQUENCE)?;
        let subject = tbs.expect(SEQUENCE)?.0;
        Some(Self {
            not_before: time(validity.next()?)?,
            not_after: time(validity.next()?)?,
            common_name: names(subject, COMMON_NAME).pop(),
            organisations: names(subject, ORGANISATION),
            public_key: tbs.element()?.to_vec(),
        })
    }

    /// The hash that pins its public key.
    pub fn key_hash(&self) -> CaHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &self.public_key).as_ref());
        CaHash(hash)
    }
}

/// What a subject has under one OID.
fn names(subject: &[u8], oid: [u8; 3]) -> Vec<String> {
    let (mut subject, mut found) = (Reader(subject), Vec::new());
    while let Some(mut set) = subject.expect(SET) {
        while let Some(mut pair) = set.expect(SEQUENCE) {
            if pair.expect(OID).is_some_and(|o| o.0 == oid) {
                found.extend(pair.next().and_then(|(_, text)| String::from_utf8(text.to_vec()).ok()));
            }
        }
    }
    found
}

/// UTCTime `YYMMDDHHMMSSZ` (years 1950 to 2049) or GeneralizedTime `YYYYMMDDHHMMSSZ`.
fn time((tag, text): (u8, &[u8])) -> Option<u64> {
    let digits = text.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |from: usize, len: usize| {
        digits.get(from..from + len).map(|d| d.iter().fold(0u64, |n, b| n * 10 + u64::from(b - b'0')))
    };
    let (year, at) = match (tag, digits.len()) {
        (0x17, 12) => (number(0, 2).map(|y| if y < 50 { 2000 + y } else { 1900 + y })?, 2),
        (0x18, 14) => (number(0, 4)?, 4),
        _ => return None,
    };
    let (month, day) = (number(at, 2)?, number(at + 2, 2)?);
    let seconds = number(at + 4, 2)? * 3600 + number(at + 6, 2)? * 60 + number(at + 8, 2)?;
    // Dates before 1970 are as long ago as makes no difference.
    Some(days_since_1970(year, month, day).unwrap_or(0) * 86_400 + seconds)
}

fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    // Years that begin in March: the leap day is the last of its year.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
    days.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::super::der::element as der;
    use super::*;
    use proptest::prelude::*;

    fn sample(version: bool) -> Vec<u8> {
        let cn = der(SEQUENCE, &[der(OID, &COMMON_NAME), der(0x0c, b"system:node:10.1.2.1")].concat());
        let o = der(SEQUENCE, &[der(OID, &ORGANISATION), der(0x0c, b"system:nodes")].concat());
        let subject = der(SEQUENCE, &[der(SET, &o), der(SET, &cn)].concat());
        let validity = der(SEQUENCE, &[der(0x17, b"260102030405Z"), der(0x18, b"20520101000000Z")].concat());
        let mut tbs = Vec::new();
        if version {
            tbs.extend(der(0xa0, &der(2, &[2])));
        }
        tbs.extend(
            [der(2, &[7]), der(SEQUENCE, &[]), der(SEQUENCE, &[]), validity, subject, der(SEQUENCE, b"key")]
                .concat(),
        );
        der(SEQUENCE, &der(SEQUENCE, &tbs))
    }

    #[test]
    fn dates_and_name_are_found() {
        for version in [true, false] {
            let read = Certificate::read(&sample(version)).unwrap();
            // date -u -d '2026-01-02 03:04:05' +%s; date -u -d 2052-01-01 +%s
            assert_eq!((read.not_before, read.not_after), (1_767_323_045, 2_587_680_000));
            assert_eq!(read.common_name.as_deref(), Some("system:node:10.1.2.1"));
            assert_eq!(read.organisations, ["system:nodes"]);
            assert_eq!(read.public_key, b"\x30\x03key");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..120, byte: u8) {
            let _ = Certificate::read(&bytes);
            bytes = sample(true);
            if at < bytes.len() { bytes[at] = byte; }
            let _ = Certificate::read(&bytes);
            bytes.truncate(at);
            let _ = Certificate::read(&bytes);
        }
    }
}

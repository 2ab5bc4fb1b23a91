//! The time at which a certificate expires.
//!
//! Only the way to `notAfter` in the DER of RFC 5280 is read: the fields before it are skipped by their lengths.

use chrono::NaiveDateTime;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// A value of DER and the bytes after it.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Element<'a> {
    /// Reads the first value of some bytes; `None` if they are cut short.
    fn first(bytes: &'a [u8]) -> Option<Self> {
        let (&tag, bytes) = bytes.split_first()?;
        let (&length, bytes) = bytes.split_first()?;
        let (length, bytes) = match length {
            0..=0x7f => (usize::from(length), bytes),
            0x81..=0x84 => {
                let (length, bytes) = bytes.split_at_checked(usize::from(length & 0x7f))?;
                (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), bytes)
            }
            _ => return None,
        };
        let (content, rest) = bytes.split_at_checked(length)?;
        Some(Element { tag, content, rest })
    }

    /// Returns the bytes within a sequence.
    fn of_sequence(bytes: &'a [u8]) -> Option<&'a [u8]> {
        Element::first(bytes).filter(|element| element.tag == SEQUENCE).map(|element| element.content)
    }
}

/// Returns the time after which a certificate is no longer valid, in seconds since 1970; `None` if it cannot be read.
pub fn expiry(certificate: &[u8]) -> Option<i64> {
    let mut fields = Element::of_sequence(Element::of_sequence(certificate)?)?;
    // The version is left out of certificates of version 1. Then come the serial number, the algorithm and the issuer.
    let has_version = fields.first() == Some(&VERSION);
    for _ in 0..if has_version { 4 } else { 3 } {
        fields = Element::first(fields)?.rest;
    }
    let not_before = Element::first(Element::of_sequence(fields)?)?;
    let Element { tag, content, .. } = Element::first(not_before.rest)?;
    let text = std::str::from_utf8(content).ok()?;
    let text = match tag {
        GENERALIZED_TIME => text.to_owned(),
        // RFC 5280, section 4.1.2.5.1: two digits of the year, from 1950 on.
        UTC_TIME => format!("{}{text}", if text.get(..2)? < "50" { "20" } else { "19" }),
        _ => return None,
    };
    NaiveDateTime::parse_from_str(&text, "%Y%m%d%H%M%SZ").ok().map(|time| time.and_utc().timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        let length = if length < 0x80 { vec![length] } else { vec![0x81, length] };
        [vec![tag], length, content.to_vec()].concat()
    }

    fn certificate(version: &[u8], tag: u8, not_after: &str) -> Vec<u8> {
        let validity = [element(UTC_TIME, b"240101000000Z"), element(tag, not_after.as_bytes())].concat();
        let before = [version, &element(2, &[7]), &element(SEQUENCE, &[]), &element(SEQUENCE, &[5; 90])].concat();
        let fields = [before, element(SEQUENCE, &validity), element(SEQUENCE, &[9; 9])].concat();
        element(SEQUENCE, &element(SEQUENCE, &fields))
    }

    #[test]
    fn the_end_is_read_in_both_forms_and_versions() {
        let third = element(VERSION, &element(2, &[2]));
        for (version, tag, text, expected) in [
            (&third[..], UTC_TIME, "250102030405Z", Some(1_735_787_045)),
            (&[], UTC_TIME, "250102030405Z", Some(1_735_787_045)),
            (&third, UTC_TIME, "990102030405Z", Some(915_246_245)),
            (&third, GENERALIZED_TIME, "20500102030405Z", Some(2_524_705_445)),
            (&third, GENERALIZED_TIME, "soon", None),
            (&third, 0x0c, "250102030405Z", None),
        ] {
            assert_eq!(expiry(&certificate(version, tag, text)), expected, "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_have_no_end() {
        let whole = certificate(&[], UTC_TIME, "250102030405Z");
        for end in 0..whole.len() {
            assert_eq!(expiry(&whole[..end]), None, "{end}");
        }
        for at in 0..whole.len() {
            for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                let _ = expiry(&damaged);
            }
        }
    }
}

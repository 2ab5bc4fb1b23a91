//! Hashes as text, and JSON objects that contain a hash of themselves.
//!
//! The last field of a sealed object is `checksum`: the SHA-256 of the text without this field.
//!
//! ```
//! use tidemill::hash::{Seal, seal, seal_of};
//!
//! assert!(tidemill::hash::sha256(b"abc").starts_with("ba7816bf8f01cfea"));
//! assert_eq!(tidemill::hash::hex(&[0, 171]), "00ab");
//!
//! let text = String::from_utf8(seal(&std::collections::BTreeMap::from([("time", 7)]))).unwrap();
//! assert!(text.starts_with("{\n  \"time\": 7,\n  \"checksum\": \""));
//! assert_eq!(seal_of(text.as_bytes()), Seal::Whole);
//! assert_eq!(seal_of(text.replace('7', "6").as_bytes()), Seal::Broken);
//! ```

use serde::Serialize;
use sha2::{Digest, Sha256};

/// The text between the last other field of a sealed object and its hash, and that after the hash.
const SEAL: (&[u8], &[u8]) = (b",\n  \"checksum\": \"", b"\"\n}\n");

/// The length of a SHA-256 in hexadecimal.
const HASH: usize = 64;

/// The result of the comparison of an object with its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// The object is the one that was written.
    Whole,
    /// The object has been changed.
    Broken,
    /// The object has no checksum.
    Missing,
}

/// Returns an object with fields as JSON, with its checksum.
pub fn seal(object: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(object).expect("plain values have a JSON form");
    let checksum = sha256(&text);
    text.truncate(text.len() - b"\n}".len());
    [&text, SEAL.0, checksum.as_bytes(), SEAL.1].concat()
}

/// Compares an object with its checksum.
pub fn seal_of(text: &[u8]) -> Seal {
    let body = text.strip_suffix(SEAL.1).and_then(|rest| rest.split_at_checked(rest.len().checked_sub(HASH)?));
    let Some((body, checksum)) = body.and_then(|(body, checksum)| Some((body.strip_suffix(SEAL.0)?, checksum))) else {
        return Seal::Missing;
    };
    if sha256([body, b"\n}"].concat()).as_bytes() == checksum { Seal::Whole } else { Seal::Broken }
}

/// Returns the SHA-256 of some bytes in lower-case hexadecimal.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes))
}

/// Returns bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flipped_bit_leaves_an_object_whole() {
        let whole = seal(&std::collections::BTreeMap::from([("time", 17), ("other", 4)]));
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(seal_of(&flipped), Seal::Whole, "bit {bit}");
        }
        (0..whole.len()).for_each(|at| assert_ne!(seal_of(&whole[..at]), Seal::Whole));
    }
}

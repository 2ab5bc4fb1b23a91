//! Hashes as text.
//!
//! ```
//! assert!(tidemill::hash::sha256(b"abc").starts_with("ba7816bf8f01cfea"));
//! assert_eq!(tidemill::hash::hex(&[0, 171]), "00ab");
//! ```

use sha2::{Digest, Sha256};

/// Returns the SHA-256 of some bytes in lower-case hexadecimal.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes))
}

/// Returns bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

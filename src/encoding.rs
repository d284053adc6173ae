//! Encodings that several modules use.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};

/// Returns the SHA-256 of these bytes in lower-case hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    let digest = digest(&SHA256, bytes);
    digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

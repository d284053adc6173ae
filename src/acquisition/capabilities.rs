//! What a caller who handles claims challenges adds to a request.

use ring::digest::{SHA256, digest};

use crate::token::Secret;

/// The capability that says so.
const CONTINUOUS_ACCESS: &str = "CP1";

/// The capabilities of a client that handles claims challenges.
pub(super) fn with_continuous_access(capabilities: Option<&str>) -> String {
    match capabilities {
        None => CONTINUOUS_ACCESS.to_owned(),
        Some(own)
            if own
                .split(',')
                .any(|one| one.eq_ignore_ascii_case(CONTINUOUS_ACCESS)) =>
        {
            own.to_owned()
        }
        Some(own) => format!("{own},{CONTINUOUS_ACCESS}"),
    }
}

/// Lower-case hexadecimal.
pub(super) fn sha256(secret: &Secret) -> String {
    use std::fmt::Write as _;
    digest(&SHA256, secret.expose().as_bytes())
        .as_ref()
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

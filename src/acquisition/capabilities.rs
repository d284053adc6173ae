//! What a caller who handles claims challenges adds to a request.

use ring::digest::{SHA256, digest};

use crate::token::Secret;

/// The capability that says so.
const CAE_CAPABILITY: &str = "CP1";

/// The capabilities of a client that handles claims challenges.
pub(super) fn with_cae_capability(capabilities: Option<&str>) -> String {
    match capabilities {
        None => CAE_CAPABILITY.to_owned(),
        Some(own) if own.split(',').any(|one| one.eq_ignore_ascii_case(CAE_CAPABILITY)) => own.to_owned(),
        Some(own) => format!("{own},{CAE_CAPABILITY}"),
    }
}

/// Lower-case hexadecimal.
pub(super) fn sha256_hex(secret: &Secret) -> String {
    use std::fmt::Write as _;
    digest(&SHA256, secret.expose_secret().as_bytes())
        .as_ref()
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

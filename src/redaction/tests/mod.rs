//! What a redactor removes and what it keeps.

mod encoders;
mod limits;
mod secret_forms;
mod unknown_tokens;
mod unrelated_text;

use super::*;

/// A secret in the form of an Azure Arc key.
const KEY: &str = "pS7+kQ/9zLmW3xTb5Y==";
const TOKEN: &str =
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJhdWQiOiJodHRwczovL3ZhdWx0LmF6dXJlLm5ldCJ9.c2lnLW5hdHVyZQ_-";
/// An opaque token, which has no structure that distinguishes it from other text.
const OPAQUE: &str = "Opaque_Token.Without-Shape/0123456789";

fn redact(text: &str, secrets: &[&str]) -> String {
    let secrets: Vec<_> = secrets
        .iter()
        .map(|secret| Secret::new((*secret).to_owned()))
        .collect();
    Redactor::new(&secrets).redact(text, 100_000)
}

/// Returns whether a text contains eight consecutive characters of a secret.
fn shows(text: &str, secret: &str) -> bool {
    let fold = |text: &str| -> Vec<char> {
        let compact = text.chars().filter(|c| !c.is_whitespace());
        compact.map(|c| c.to_ascii_lowercase()).collect()
    };
    let (text, secret) = (fold(text), fold(secret));
    secret
        .windows(8)
        .any(|part| text.windows(8).any(|shown| shown == part))
}

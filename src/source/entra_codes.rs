//! The codes of Microsoft Entra (`AADSTS…`) in an error description.
//!
//! Source: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>

/// The answers until a federated credential that was just made is known everywhere.
const NO_FEDERATION: [&str; 3] = ["AADSTS70021", "AADSTS700213", "AADSTS501661"];

/// Whether a text says that there is no federated credential for an assertion, which can pass.
pub(super) fn names_no_federation(text: &str) -> bool {
    NO_FEDERATION.iter().any(|code| has_code(text, code))
}

/// Whether a text has this code, and not one that merely begins alike.
fn has_code(text: &str, code: &str) -> bool {
    text.match_indices(code)
        .any(|(at, _)| !text[at + code.len()..].starts_with(|c: char| c.is_ascii_digit()))
}

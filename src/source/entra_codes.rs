//! Error codes of Microsoft Entra (`AADSTS…`) in an error description.
//!
//! Source: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>

/// The codes that Entra returns until a new federated credential is known to all of its servers.
const NO_FEDERATION: [&str; 3] = ["AADSTS70021", "AADSTS700213", "AADSTS501661"];

/// Returns whether a text says that no federated credential matches the assertion, which may be a temporary state.
pub(super) fn names_no_federation(text: &str) -> bool {
    NO_FEDERATION.iter().any(|code| has_code(text, code))
}

/// Returns whether a text contains this code, and not only a longer code that starts with it.
fn has_code(text: &str, code: &str) -> bool {
    text.match_indices(code)
        .any(|(at, _)| !text[at + code.len()..].starts_with(|c: char| c.is_ascii_digit()))
}

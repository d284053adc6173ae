//! The client capability of callers that handle claims challenges (Continuous Access Evaluation).

/// The client capability that declares support for Continuous Access Evaluation.
const CAE_CAPABILITY: &str = "CP1";

/// Adds `CP1` to a comma-separated list of capabilities, unless the list has it.
pub(super) fn with_cae_capability(capabilities: Option<&str>) -> String {
    match capabilities {
        None => CAE_CAPABILITY.to_owned(),
        Some(own) if own.split(',').any(|one| one.eq_ignore_ascii_case(CAE_CAPABILITY)) => own.to_owned(),
        Some(own) => format!("{own},{CAE_CAPABILITY}"),
    }
}

//! The client capability of callers that handle claims challenges (Continuous Access Evaluation).

/// The capability that stands for it.
const CAE_CAPABILITY: &str = "CP1";

/// Returns these capabilities with `CP1` among them.
pub(super) fn with_cae_capability(capabilities: Option<&str>) -> String {
    match capabilities {
        None => CAE_CAPABILITY.to_owned(),
        Some(own) if own.split(',').any(|one| one.eq_ignore_ascii_case(CAE_CAPABILITY)) => own.to_owned(),
        Some(own) => format!("{own},{CAE_CAPABILITY}"),
    }
}

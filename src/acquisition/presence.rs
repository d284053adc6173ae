//! The result of a probe.

/// What a probe showed of an endpoint that may serve a managed identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// The endpoint has responded.
    Responded,
    /// A response came that IMDS or another server may have sent.
    Inconclusive,
    /// The connection was accepted, and no response came in time.
    Silent,
}

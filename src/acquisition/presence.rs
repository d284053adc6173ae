//! The result of a probe.

/// The presence of an endpoint, as far as a probe has shown it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// The endpoint has responded.
    Responded,
    /// The response may be from IMDS or from another server.
    Inconclusive,
    /// The connection was accepted, but the time limit passed without a response.
    Silent,
}

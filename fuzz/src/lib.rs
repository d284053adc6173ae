//! Fuzz targets: for each parser of external input, the properties that must hold for any input.
//!
//! Each target has one file with a function `check`, which takes any bytes and panics if a property is violated. Two engines
//! call it: libFuzzer through `fuzz_targets/`, and [`mutation`] in the short run of CI. The targets share the platform of
//! [`fake_platform`]. A target that compares with an expected result computes it with an oracle that is independent of the
//! code under test.
#![warn(clippy::pedantic)]
#![allow(
    clippy::missing_errors_doc, // as in the add-on's crate
    clippy::missing_panics_doc, // a check reports a violation by a panic
    clippy::must_use_candidate  // noise on small functions
)]

pub mod challenge;
pub mod decoding;
pub mod encoding;
pub mod endpoint;
pub mod expiry;
pub mod fake_platform;
pub mod mutation;
pub mod redaction;
pub mod resource;
pub mod retry_after;
pub mod token_response;

/// A fuzz target: one parser and its properties.
pub struct Target {
    /// The name of its program, its dictionary and its directory in `seeds/`.
    pub name: &'static str,
    /// Panics if this input violates a property.
    pub check: fn(&[u8]),
}

/// Every target.
pub const TARGETS: [Target; 7] = [
    Target {
        name: "token_response",
        check: token_response::check,
    },
    Target {
        name: "challenge",
        check: challenge::check,
    },
    Target {
        name: "endpoint",
        check: endpoint::check,
    },
    Target {
        name: "expiry",
        check: expiry::check,
    },
    Target {
        name: "redaction",
        check: redaction::check,
    },
    Target {
        name: "resource",
        check: resource::check,
    },
    Target {
        name: "retry_after",
        check: retry_after::check,
    },
];

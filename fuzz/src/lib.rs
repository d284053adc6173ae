//! What the fuzz targets check: for each parser of words from outside, what must hold whatever the words are.
//!
//! One file per target, each with a `check` that takes any bytes and panics where a property does not
//! hold. Two engines feed them: libFuzzer through `fuzz_targets/`, and [`mutation`] in CI's short run.
//! [`fake_platform`] is the machine that the targets share. Where a target knows what the answer must be, it
//! has that from an oracle of its own, not from the code under test.
#![warn(clippy::pedantic)]
#![allow(
    clippy::missing_errors_doc, // as in the crate
    clippy::missing_panics_doc, // a check exists to panic
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

/// One parser, and what must hold of it.
pub struct Target {
    /// Its name: that of its program, and of its folder in `seeds/`.
    pub name: &'static str,
    /// Panics where a property does not hold for this input.
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

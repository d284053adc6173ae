//! Which errors show that the host has no managed identity, so that a caller may try another credential.

use super::*;

pub(super) const APP_SERVICE: &[(&str, &str)] = &[
    (v::IDENTITY_ENDPOINT, "http://10.0.0.4/token"),
    (v::IDENTITY_HEADER, "hush-header"),
];

/// The response of a container host in place of IMDS.
pub(super) const CONTAINER_HOST: &str = "connecting to 169.254.169.254:80: connectex: A socket operation was attempted to an unreachable network.";

pub(super) fn is_unavailable(error: &Error) -> bool {
    error.details().unavailable
}

fn once(call: Call) -> Call {
    call.set(|raw| raw.disable_internal_retries = crate::options::UntypedValue::Boolean(true))
}

#[tokio::test(start_paused = true)]
async fn unreachable_endpoint_makes_the_credential_unavailable() {
    for (fault, expected) in [
        (TransportErrorKind::ConnectionRefused, true),
        (TransportErrorKind::ConnectionReset, true),
        (TransportErrorKind::ConnectionClosed, true),
        (TransportErrorKind::ConnectTimeout, true),
        (TransportErrorKind::Unreachable, true),
        (TransportErrorKind::Local, false),
        (TransportErrorKind::NameResolution, true),
        (TransportErrorKind::Tls, true),
        (TransportErrorKind::CustomClient, true),
        (TransportErrorKind::RequestTimeout, false),
        (TransportErrorKind::ThumbprintMismatch, false),
        (TransportErrorKind::NotHttp, false),
        (TransportErrorKind::BodyTooLarge, false),
        (TransportErrorKind::InvalidRequest, false),
    ] {
        let harness = Harness::scripted(move |_, _| fault.into());
        let error = once(harness.call()).env(APP_SERVICE).error().await;
        assert_eq!(is_unavailable(&error), expected, "{fault:?}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn response_without_identity_makes_the_credential_unavailable() {
    const NOT_FOUND: &str = r#"{"error":"invalid_request","error_description":"Identity not found"}"#;
    const ASSIGNED: &str = r#"{"message":"No User Assigned or Delegated Managed Identity found for X"}"#;
    const SEVERAL: &str =
        r#"{"error":"invalid_request","error_description":"Multiple user assigned identities exist"}"#;
    const RESOURCE: &str = r#"{"error":"invalid_resource","error_description":"AADSTS500011: unknown"}"#;
    for (status, body, expected) in [
        (400, NOT_FOUND, true),
        (400, ASSIGNED, true),
        (404, "", true),
        (404, "<html>", true),
        (403, CONTAINER_HOST, true),
        (400, "", false),
        (400, SEVERAL, false),
        (400, RESOURCE, false),
        (401, "", false),
        (403, "", false),
        (408, "", false),
        (410, "", false),
        (429, "", false),
        (500, "", false),
        (503, "", false),
        (200, "{}", false),
        (301, "", false),
    ] {
        let harness = Harness::scripted(move |_, _| FakeResponse::new(status, body).into());
        let error = once(harness.call()).env(APP_SERVICE).error().await;
        assert_eq!(is_unavailable(&error), expected, "{status} {body}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn timeout_is_classified_by_the_last_error() {
    let refused = || TransportErrorKind::ConnectionRefused.into();
    let busy = || FakeResponse::new(503, "").into();
    for (outcome, expected) in [(refused as fn() -> FakeOutcome, true), (busy, false)] {
        let harness = Harness::scripted(move |_, _| outcome());
        let call = harness.call().env(APP_SERVICE);
        // A caller with a longer timeout keeps the request in flight.
        let patient = tokio::spawn(call.clone().waiter().wait());
        let error = call.within(Duration::from_millis(100)).error().await;
        assert_eq!(
            (error.code(), is_unavailable(&error)),
            (&Code::NetworkUnavailable, expected),
            "{error}"
        );
        let error = patient.await.expect("no panic").expect_err("an error");
        assert_eq!(is_unavailable(&error), expected, "{error}");
    }
}

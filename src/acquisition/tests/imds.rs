//! Distinguishing IMDS at its default address from other servers at that address.

use super::credential_unavailable::{CONTAINER_HOST, is_unavailable};
use super::probe::{sent, with_probe_outcome};
use super::*;
use crate::options::UntypedValue;

const MISSING_HEADER: &str =
    r#"{"error":"invalid_request","error_description":"Required metadata header not specified"}"#;
const HTML: &str = "<!DOCTYPE html><title>Sign in</title>";
const CONFIGURED: &[(&str, &str)] = &[(v::AZURE_POD_IDENTITY_AUTHORITY_HOST, "http://10.0.0.4")];
pub(super) const VAULT: &str = "https://vault.azure.net";

/// Creates a harness in which every request has this outcome.
pub(super) fn always(outcome: impl Fn() -> FakeOutcome + Send + Sync + 'static) -> Harness {
    Harness::scripted(move |_, _| outcome())
}

/// Returns the response of IMDS to a probe.
pub(super) fn imds_probe_response() -> FakeResponse {
    FakeResponse::new(400, MISSING_HEADER).server("IMDS/150.870.65.1324")
}

async fn availability(harness: &Harness) -> crate::acquisition::probe::Availability {
    let call = harness.call();
    let probe = call
        .client
        .probe(&call.application, &UntypedValue::Undefined, &call.env);
    probe.expect("a probe").await
}

#[tokio::test(start_paused = true)]
async fn foreign_probe_response_makes_the_credential_unavailable_at_once() {
    for (status, body, server) in [
        (200, HTML, "nginx"),
        (200, "It works!", "Apache"),
        (200, r#"{"status":"ok"}"#, "envoy"),
        (204, "", "-"),
        (301, "", "portal"),
        (302, HTML, "portal"),
        (401, "<?xml version=\"1.0\"?>\n<!DOCTYPE html>", "EC2ws"),
        (401, "", "EC2ws"),
        (403, HTML, "squid"),
        (404, HTML, "nginx"),
        (404, r#"{"message":"no route"}"#, "kong"),
        (405, "", "haproxy"),
        (502, HTML, "nginx"),
        (503, HTML, "nginx"),
    ] {
        let harness = always(move || FakeResponse::new(status, body).server(server).into());
        let started = Instant::now();
        let error = harness.call().for_credential().error().await;
        assert!(is_unavailable(&error), "{status} {body}: {error}");
        assert_eq!(*error.code(), Code::FailedResponse);
        let message = &error.details().message;
        for word in [
            "Something other than",
            &status.to_string(),
            server,
            "npx --no managed-identity-native",
        ] {
            assert!(message.contains(word), "{word}: {message}");
        }
        assert!(
            !message.contains("Sign in") && !message.contains("DOCTYPE"),
            "{message}"
        );
        assert_eq!(
            (sent(&harness), started.elapsed()),
            (vec!["probe".to_owned()], Duration::ZERO)
        );
        // The response is not remembered: the machine may be connected to another network later.
        harness
            .transport
            .set_script(|_, _| FakeResponse::token("t", DAY).into());
        assert_eq!(harness.call().for_credential().token().await, "t");
    }
}

#[tokio::test(start_paused = true)]
async fn non_http_or_endless_response_is_foreign() {
    for fault in [
        TransportErrorKind::NotHttp,
        TransportErrorKind::BodyTooLarge,
        TransportErrorKind::CustomClientTimeout,
    ] {
        let harness = always(move || fault.into());
        let error = harness.call().for_credential().error().await;
        assert!(is_unavailable(&error), "{fault:?}: {error}");
        assert_eq!(sent(&harness), ["probe"], "{fault:?}");
        assert!(!availability(&harness).await.available, "{fault:?}");
    }
    let harness = Harness::scripted(|_, request| match request.url.query() {
        None => FakeResponse::new(404, "").into(),
        Some(_) => TransportErrorKind::NotHttp.into(),
    });
    assert!(is_unavailable(&harness.call().for_credential().error().await));
}

#[tokio::test(start_paused = true)]
async fn foreign_token_response_makes_the_credential_unavailable_without_retry() {
    for (status, body) in [
        (403, "Missing Metadata-Flavor:Google header."),
        (503, HTML),
        (200, "ok"),
        (404, r#"{"message":"no route"}"#),
    ] {
        let harness = Harness::scripted(move |_, request| match request.url.query() {
            None => FakeResponse::new(403, "no").into(),
            Some(_) => FakeResponse::new(status, body)
                .server("Metadata Server for VM")
                .into(),
        });
        let started = Instant::now();
        let error = harness.call().for_credential().error().await;
        assert!(is_unavailable(&error), "{error}");
        assert_eq!(
            (sent(&harness), started.elapsed()),
            (vec!["probe".into(), VAULT.into()], Duration::ZERO)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn foreign_response_is_described_and_retried_for_acquire_token() {
    for (status, body, times) in [
        (200, HTML, vec![0]),
        (302, "", vec![0]),
        (401, "Unauthorized", vec![0]),
        (404, HTML, vec![0, 1_000, 3_000, 7_000]),
        (502, HTML, vec![0, 1_000, 3_000, 7_000]),
    ] {
        let harness = always(move || FakeResponse::new(status, body).server("gateway/7").into());
        let started = Instant::now();
        let error = harness.call().error().await;
        let message = &error.details().message;
        assert!(
            message.contains("Something other than") && message.contains("Server: gateway/7"),
            "{message}"
        );
        assert_eq!(
            (error.details().status, harness.transport.times(started)),
            (Some(status), times)
        );
        assert_eq!(error.details().retryable, status > 403);
    }
}

#[tokio::test(start_paused = true)]
async fn status_404_makes_the_credential_unavailable_until_imds_has_responded() {
    for body in [
        "",
        "404 page not found",
        "no AzureAssignedIdentity found for pod:default/app",
    ] {
        let harness = always(move || FakeResponse::new(404, body).into());
        let started = Instant::now();
        let error = harness.call().for_credential().error().await;
        assert!(is_unavailable(&error), "{error}");
        assert_eq!(
            (sent(&harness), started.elapsed()),
            (vec!["probe".into(), VAULT.into()], Duration::ZERO)
        );
    }
    let harness = always(|| FakeResponse::new(404, "").server("IMDS/1").into());
    let started = Instant::now();
    harness.call().for_credential().error().await;
    assert_eq!(harness.transport.times(started), [0, 0, 1_000, 3_000, 7_000]);
}

#[tokio::test(start_paused = true)]
async fn identity_not_found_retry_includes_status_404() {
    let harness = Harness::scripted(|nth, _| match nth {
        0..3 => FakeResponse::new(404, "Identity not found").into(),
        _ => FakeResponse::token("t", DAY).into(),
    });
    let mut call = harness.call().for_credential();
    call.request.identity_not_found_timeout = Some(seconds(60));
    assert_eq!(call.token().await, "t");
}

#[tokio::test(start_paused = true)]
async fn updating_imds_is_retried() {
    // A 429 without Retry-After is retried after a random time, which here is none.
    for (status, wait) in [(410, 10), (503, 1), (500, 1), (429, 0)] {
        let harness = Harness::scripted(move |nth, _| match nth {
            0..2 => FakeResponse::new(status, "").into(),
            _ => FakeResponse::token("t", DAY).into(),
        });
        let started = Instant::now();
        assert_eq!(harness.call().for_credential().token().await, "t", "{status}");
        assert_eq!(
            (sent(&harness).len(), started.elapsed()),
            (3, seconds(wait)),
            "{status}"
        );
    }
    let harness = always(|| FakeResponse::new(503, "").into());
    let error = harness.call().for_credential().error().await;
    assert!(!is_unavailable(&error), "{error}");
    assert!(!error.details().message.contains("Something other"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn imds_stand_ins_are_not_foreign() {
    // NMI (AAD Pod Identity): its errors are plain text, and its responses have no Server header.
    for (status, body) in [
        (
            404,
            "no AzureAssignedIdentity found for pod:default/app in assigned state\n",
        ),
        (403, "pod is not allowed"),
        (400, "missing header"),
        (500, ""),
    ] {
        let harness = with_probe_outcome(move || FakeResponse::new(status, body).into());
        assert_eq!(harness.call().for_credential().token().await, "t1", "{body}");
        let storage = harness.for_resource("https://storage.azure.com");
        assert_eq!(storage.for_credential().token().await, "t2", "{body}");
        assert_eq!(
            sent(&harness),
            ["probe", VAULT, "https://storage.azure.com"],
            "{body}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn only_responses_of_imds_are_remembered() {
    for (response, is_remembered) in [
        (FakeResponse::token("t", DAY), true),
        (FakeResponse::new(400, MISSING_HEADER), true),
        (FakeResponse::new(400, "").server("IMDS/1"), true),
        (FakeResponse::new(400, ""), false),
        (FakeResponse::new(401, "Unauthorized"), false),
        (FakeResponse::new(403, CONTAINER_HOST), false),
    ] {
        let harness = always({
            let response = response.clone();
            move || response.clone().into()
        });
        let _ = harness.call().outcome().await;
        harness
            .transport
            .set_script(|_, _| FakeResponse::token("t", DAY).into());
        harness.for_resource("https://a").for_credential().token().await;
        let has_probed = sent(&harness).iter().any(|one| one == "probe");
        assert_eq!(
            has_probed, !is_remembered,
            "{} {}",
            response.status, response.body
        );
    }
    // The response to `isAvailable` is remembered, too.
    let harness = with_probe_outcome(|| imds_probe_response().into());
    assert!(availability(&harness).await.available);
    harness.call().for_credential().token().await;
    assert_eq!(sent(&harness), ["probe", VAULT]);
}

#[tokio::test(start_paused = true)]
async fn no_response_is_foreign_after_imds_has_responded() {
    let harness = always(|| imds_probe_response().into());
    harness.call().for_credential().error().await;
    harness
        .transport
        .set_script(|_, _| FakeResponse::new(502, HTML).into());
    let started = Instant::now();
    let error = harness.call().for_credential().error().await;
    assert!(
        !is_unavailable(&error) && !error.details().message.contains("Something other"),
        "{error}"
    );
    assert_eq!(started.elapsed(), seconds(7));
    assert!(availability(&harness).await.available);
}

#[tokio::test(start_paused = true)]
async fn is_available_distinguishes_imds_from_foreign_responses() {
    for (response, expected) in [
        (imds_probe_response(), true),
        (FakeResponse::new(503, ""), true),
        (FakeResponse::new(404, ""), true),
        (FakeResponse::new(200, HTML), false),
        (FakeResponse::new(401, ""), false),
        (FakeResponse::new(403, CONTAINER_HOST), false),
    ] {
        let harness = always(move || response.clone().into());
        let availability = availability(&harness).await;
        assert_eq!(availability.available, expected, "{:?}", availability.reason);
    }
    for outcome in [|| FakeOutcome::Silence, || FakeOutcome::NoConnection] {
        let availability = availability(&always(outcome)).await;
        let reason = availability.reason.expect("not available");
        assert!(
            reason.contains("did not respond to a probe within 1000 ms"),
            "{reason}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn configured_endpoint_is_never_foreign() {
    for (status, body) in [(200, HTML), (401, ""), (302, "")] {
        let harness = always(move || FakeResponse::new(status, body).into());
        let call = harness.call().env(CONFIGURED);
        let error = call.clone().for_credential().error().await;
        assert!(!is_unavailable(&error), "{error}");
        let probe = call
            .client
            .probe(&call.application, &UntypedValue::Undefined, &call.env);
        assert!(probe.expect("a probe").await.available, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn local_error_does_not_make_the_credential_unavailable() {
    // The error occurs at the probe, and at the token request.
    let at_probe = always(|| TransportErrorKind::Local.into());
    let at_token = with_probe_outcome(|| FakeResponse::new(404, "").into());
    at_token.transport.set_script(|nth, _| match nth {
        0 => FakeResponse::new(404, "").into(),
        _ => TransportErrorKind::Local.into(),
    });
    for (harness, requests) in [(at_probe, 1), (at_token, 3)] {
        let error = harness.call().for_credential().error().await;
        assert_eq!(
            (is_unavailable(&error), harness.transport.count()),
            (false, requests),
            "{error}"
        );
        assert!(
            error.details().message.contains("this process could not"),
            "{error}"
        );
    }
    // It may be temporary: there is one retry after a second.
    let harness = Harness::scripted(|nth, _| match nth {
        0 => TransportErrorKind::Local.into(),
        _ => FakeResponse::token("t", DAY).into(),
    });
    let started = Instant::now();
    assert_eq!(harness.call().token().await, "t");
    assert_eq!(started.elapsed(), seconds(1));
}

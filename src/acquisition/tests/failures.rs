//! Failed responses, tokens that cannot be cached, and panics.

use super::*;
use crate::test_support::START;

#[tokio::test(start_paused = true)]
async fn token_of_unknown_expiry_is_served_once_and_not_cached() {
    let harness = Harness::scripted(|nth, _| {
        let body = format!(r#"{{"access_token":"t{nth}","expires_on":"soon"}}"#);
        FakeOutcome::from(FakeResponse::new(200, body)).after(seconds(1))
    });
    let waiters = vec![harness.call().waiter(), harness.call().waiter()];
    assert_eq!(all(waiters).await, ["t0", "t0"]);
    let acquired = harness.call().waiter().wait().await.expect("a token");
    assert_eq!(
        (
            text(&acquired).as_str(),
            acquired.fresh_until,
            harness.transport.count()
        ),
        ("t1", None, 2)
    );
    assert_eq!(acquired.token.expires_on, START.saturating_add(seconds(2)));
    assert_eq!(acquired.token.refresh_on, None);
}

#[tokio::test(start_paused = true)]
async fn token_expired_on_arrival_is_a_failed_response() {
    let now = START.millis() / 1_000;
    for (expires_on, is_valid) in [
        (now - 3_600, false),
        (now - 1, false),
        (now, false),
        (now + 1, true),
    ] {
        let body = format!(r#"{{"access_token":"t","expires_on":{expires_on}}}"#);
        let harness = Harness::scripted(move |_, _| FakeResponse::new(200, body.clone()).into());
        match harness.call().outcome().await {
            Ok(acquired) => assert!(is_valid, "{}", text(&acquired)),
            Err(error) => {
                assert!(!is_valid, "{error}");
                assert_eq!(*error.code(), Code::FailedResponse);
                assert_eq!(
                    (error.details().status, error.details().attempts),
                    (Some(200), Some(1))
                );
                assert!(error.details().message.contains("expired"), "{error}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_2xx_with_a_token_and_without_an_error_succeeds() {
    const TOKEN: &str = r#"{"access_token":"t","expires_in":3600}"#;
    for (status, body, code) in [
        (200, "{}", "managed_identity_failed_response"),
        (200, r#"{"access_token":""}"#, "managed_identity_failed_response"),
        (200, r#"{"access_token":5}"#, "managed_identity_failed_response"),
        (200, "null", "managed_identity_failed_response"),
        (200, "[]", "managed_identity_failed_response"),
        (200, "", "managed_identity_failed_response"),
        (200, "<html>", "managed_identity_failed_response"),
        (200, r#"{"access_token":"t","error":"denied"}"#, "denied"),
        (203, r#"{"access_token":"t","error":"denied"}"#, "denied"),
        (204, "", "managed_identity_failed_response"),
        (226, "{}", "managed_identity_failed_response"),
        (300, TOKEN, "managed_identity_failed_response"),
        (302, TOKEN, "managed_identity_failed_response"),
        (400, TOKEN, "managed_identity_failed_response"),
        (500, TOKEN, "managed_identity_failed_response"),
    ] {
        let harness = Harness::scripted(move |_, _| FakeResponse::new(status, body).into());
        let error = harness.call().error().await;
        assert_eq!(
            (error.code().as_str(), error.details().status),
            (code, Some(status)),
            "{body}"
        );
        assert!(
            matches!(harness.call().acquire(), Ok(Acquisition::Pending(_))),
            "nothing is cached"
        );
    }
    for status in [200, 201, 202, 203, 206, 299] {
        let harness = Harness::scripted(move |_, _| FakeResponse::new(status, TOKEN).into());
        assert_eq!(harness.call().token().await, "t", "{status}");
        harness.call().acquired();
    }
}

#[tokio::test(start_paused = true)]
async fn retryable_flag_follows_the_retry_table() {
    let configured = [(v::MSI_ENDPOINT, "http://h/t")];
    for (variables, status, retryable) in [
        (&[][..], 400, false),
        (&[], 403, false),
        (&[], 404, true),
        (&[], 410, true),
        (&[], 429, true),
        (&[], 501, true),
        (&configured[..], 404, true),
        (&configured, 410, false),
        (&configured, 501, false),
        (&configured, 503, true),
    ] {
        let harness = Harness::scripted(move |_, _| FakeResponse::new(status, "<html>").into());
        let error = harness.call().env(variables).error().await;
        assert_eq!(
            (error.details().status, error.details().retryable),
            (Some(status), retryable)
        );
        assert_eq!(*error.code(), Code::FailedResponse);
    }
    for (kind, retryable) in [
        (TransportErrorKind::ConnectionRefused, true),
        (TransportErrorKind::RequestTimeout, true),
        (TransportErrorKind::NameResolution, true),
        (TransportErrorKind::Tls, false),
        (TransportErrorKind::BodyTooLarge, false),
        (TransportErrorKind::ThumbprintMismatch, false),
    ] {
        let harness = Harness::scripted(move |_, _| kind.into());
        assert_eq!(
            harness.call().error().await.details().retryable,
            retryable,
            "{kind:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_beyond_the_total_timeout_fails_at_once_and_is_retryable() {
    let harness = Harness::scripted(|_, _| FakeResponse::new(503, "").retry_after("121").into());
    let started = Instant::now();
    let error = harness.call().error().await;
    assert_eq!(
        (error.details().status, error.details().retryable),
        (Some(503), true)
    );
    assert_eq!(
        (started.elapsed(), harness.transport.count()),
        (Duration::ZERO, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn disabled_retries_send_one_request() {
    let harness = Harness::scripted(|_, _| FakeResponse::new(503, "").into());
    let once = harness
        .call()
        .set(|raw| raw.disable_internal_retries = crate::options::UntypedValue::Boolean(true));
    let error = once.error().await;
    assert_eq!(
        (harness.transport.count(), error.details().attempts),
        (1, Some(1))
    );
    assert!(error.details().retryable, "the caller may retry");
}

#[tokio::test(start_paused = true)]
async fn panicking_transport_fails_all_waiters() {
    let harness = Harness::scripted(|nth, _| match nth {
        0 => FakeOutcome::Panic.after(seconds(1)),
        _ => FakeResponse::token("t", DAY).into(),
    });
    let waiters = (0..100).map(|_| harness.call().waiter()).collect();
    assert_eq!(all(waiters).await, ["managed_identity_failed_response"; 100]);
    assert_eq!(
        harness.call().token().await,
        "t",
        "the next caller starts a new request"
    );
}

#[tokio::test(start_paused = true)]
async fn panic_releases_its_permit() {
    let harness = Harness::scripted(|_, _| FakeOutcome::Panic);
    for nth in 0..100 {
        harness
            .for_resource(&format!("https://{nth}.example"))
            .error()
            .await;
    }
    harness
        .transport
        .set_script(|_, _| FakeResponse::token("t", DAY).into());
    assert_eq!(harness.call().within(seconds(1)).token().await, "t");

    // The permit of a background refresh is released, too.
    advance(seconds(DAY / 2 + 300)).await;
    harness.transport.set_script(|_, _| FakeOutcome::Panic);
    for _ in 0..20 {
        assert_eq!(text(&harness.call().acquired()), "t");
        sleep(seconds(301)).await;
    }
    harness
        .transport
        .set_script(|_, _| FakeResponse::token("new", DAY).into());
    harness.call().acquired();
    settle().await;
    assert_eq!(text(&harness.call().acquired()), "new");
}

#[tokio::test(start_paused = true)]
async fn missing_runtime_is_an_error_and_leaves_no_request() {
    let harness = Harness::always_granting(DAY);
    NO_THREADS.set(true);
    let error = harness.call().error().await;
    NO_THREADS.set(false);
    assert_eq!(*error.code(), Code::NetworkUnavailable);
    assert!(
        error.details().retryable && error.to_string().contains("no threads left"),
        "{error}"
    );
    assert_eq!(harness.call().token().await, "t0");

    // A stale token is served without a thread.
    advance(seconds(DAY / 2 + 300)).await;
    NO_THREADS.set(true);
    let acquired: Vec<_> = (0..10).map(|_| text(&harness.call().acquired())).collect();
    NO_THREADS.set(false);
    assert_eq!(acquired, ["t0"; 10]);
    harness.call().acquired();
    settle().await;
    assert_eq!(text(&harness.call().acquired()), "t1");
}

#[tokio::test(start_paused = true)]
async fn unsupported_query_fails_before_any_request() {
    let harness = Harness::always_granting(DAY);
    let call = harness.call().env(&[(v::MSI_ENDPOINT, "nonsense")]);
    let error = call.acquire().err().expect("an error");
    assert_eq!(*error.code(), Code::MsiEndpointMalformed);
    // The token file of a workload identity is read by the task: all waiters share the error, which names the source.
    let workload = harness.call().env(&[
        (v::AZURE_FEDERATED_TOKEN_FILE, "/none"),
        (v::AZURE_TENANT_ID, "t"),
        (v::AZURE_CLIENT_ID, "c"),
    ]);
    let error = workload.error().await;
    assert_eq!(*error.code(), Code::UnableToReadSecretFile);
    let details = error.details();
    assert_eq!(
        (details.source, details.attempts),
        (Some(SourceName::WorkloadIdentity), Some(0))
    );
    assert_eq!(harness.transport.count(), 0);
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn arc_challenge_is_answered_without_retries_and_the_response_verified() {
    const KEY: &str = "/var/opt/azcmagent/tokens/k.key";
    let harness = Harness::scripted(|_, request| {
        let key = request.headers.iter().find(|(name, _)| *name == "Authorization");
        match key.map(|(_, value)| value.expose_secret()) {
            None => FakeResponse::new(401, "")
                .challenge(format!("Basic realm={KEY}"))
                .into(),
            Some("Basic the-key") => {
                FakeResponse::new(200, r#"{"access_token":"t","expires_in":3600,"client_id":"ID"}"#).into()
            }
            Some(_) => FakeResponse::new(401, r#"{"error":"bad key the-wrong-one"}"#).into(),
        }
    });
    let call = harness.call().env(&[
        (v::IDENTITY_ENDPOINT, "http://h/t"),
        (v::IMDS_ENDPOINT, "http://h"),
    ]);
    let with_id = |id: &str| {
        let id = id.to_owned();
        call.clone().set(move |raw| {
            raw.user_assigned_client_id = id.as_str().into();
            raw.disable_internal_retries = crate::options::UntypedValue::Boolean(true);
        })
    };
    harness
        .files
        .put(KEY, FakeEntry::File(b"the-wrong-one\n".to_vec()));
    let error = with_id("id").error().await;
    assert_eq!(
        (error.details().status, error.details().attempts),
        (Some(401), Some(2))
    );
    assert!(!format!("{error:?}").contains("the-wrong-one"), "{error:?}");

    harness.files.put(KEY, FakeEntry::File(b"the-key\n".to_vec()));
    assert_eq!(with_id("id").token().await, "t");
    let error = with_id("other").error().await;
    assert_eq!(*error.code(), Code::UserAssignedNotConfirmed);
    assert_eq!(
        (error.details().status, error.details().source),
        (Some(200), Some(SourceName::AzureArc))
    );

    harness.files.put(KEY, FakeEntry::Pipe);
    let error = with_id("third").error().await;
    assert_eq!(
        (error.code(), error.details().attempts),
        (&Code::UnableToReadSecretFile, Some(1))
    );
}

#[tokio::test(start_paused = true)]
async fn caller_joining_a_pause_beyond_its_timeout_fails_at_once() {
    let harness = Harness::scripted(|nth, _| match nth {
        0 => FakeResponse::new(429, "").retry_after("30").into(),
        _ => FakeResponse::token("t", HOUR).into(),
    });
    let patient = tokio::spawn(harness.call().waiter().wait());
    settle().await;
    let started = Instant::now();
    let error = harness.call().within(seconds(20)).error().await;
    assert_eq!(error.details().status, Some(429), "{error}");
    assert!(error.details().retryable);
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(harness.call().within(seconds(40)).token().await, "t");
    assert!(patient.await.expect("no panic").is_ok());
    assert_eq!(harness.transport.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn error_does_not_quote_the_previous_token() {
    let harness = Harness::scripted(|_, _| FakeResponse::token("earlier/token+0", DAY).into());
    harness.call().token().await;
    harness.transport.set_script(|_, _| {
        FakeResponse::new(
            400,
            r#"{"message":"you have earlier%2Ftoken&#43;0, which will do"}"#,
        )
        .into()
    });
    for cache_policy in [CachePolicy::ForceRefresh, CachePolicy::ReplaceRefused] {
        let error = harness.call().cache_policy(cache_policy).error().await;
        let message = &error.details().message;
        assert!(message.contains("you have <redacted>, which will do"), "{error}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn error_does_not_quote_the_key_of_an_earlier_attempt() {
    const KEY: &str = "/var/opt/azcmagent/tokens/k.key";
    const SECRET: &str = "pS7+kQ/9zLmW3xTb5Y==";
    let harness = Harness::scripted(|nth, _| match nth {
        0 => FakeResponse::new(401, "")
            .challenge(format!("Basic realm={KEY}"))
            .into(),
        1 => TransportErrorKind::ConnectionReset.into(),
        _ => FakeResponse::new(401, "")
            .challenge("Basic realm=/tmp/pS7%2BkQ/9zLmW3xTb5Y==.key")
            .into(),
    });
    harness.files.put(KEY, FakeEntry::File(SECRET.into()));
    let endpoint = [
        (v::IDENTITY_ENDPOINT, "http://h/t"),
        (v::IMDS_ENDPOINT, "http://h"),
    ];
    let error = harness.call().env(&endpoint).error().await;
    assert_eq!(*error.code(), Code::InvalidFilePath);
    assert!(
        error.details().message.contains("names /tmp/<redacted>"),
        "{error}"
    );
}

//! Each waiter has its own timeout, and a request lasts until the latest one.

use super::*;

#[tokio::test(start_paused = true)]
async fn each_waiter_times_out_on_its_own() {
    let harness = Harness::scripted(|_, _| FakeOutcome::Silence);
    let long =
        |call: Call| call.set(|raw| raw.request_timeout = crate::options::UntypedValue::Number(600_000.0));
    let started = Instant::now();
    let totals = [20, 5, 10];
    let tasks = totals.map(|total| tokio::spawn(long(harness.call()).within(seconds(total)).waiter().wait()));
    for (task, total) in tasks.into_iter().zip(totals) {
        let error = task.await.expect("no panic").expect_err("an error");
        assert_eq!(*error.code(), Code::NetworkUnavailable);
        let expected = format!("within {} ms", total * 1_000);
        assert!(error.details().message.contains(&expected), "{error}");
    }
    assert_eq!(started.elapsed(), seconds(20));
    settle().await;
    assert_eq!(
        (harness.transport.count(), harness.transport.in_flight()),
        (1, 0),
        "the request has ended"
    );
}

#[tokio::test(start_paused = true)]
async fn waiter_timeout_is_exact() {
    let harness =
        Harness::scripted(|_, _| FakeOutcome::from(FakeResponse::token("t", DAY)).after(seconds(8)));
    let started = Instant::now();
    let patient = tokio::spawn(harness.call().waiter().wait());
    let impatient = harness.call().within(seconds(5)).error().await;
    assert_eq!(
        (impatient.code(), started.elapsed()),
        (&Code::NetworkUnavailable, seconds(5))
    );
    let acquired = patient.await.expect("no panic").expect("a token");
    assert_eq!(
        (
            text(&acquired).as_str(),
            started.elapsed(),
            harness.transport.count()
        ),
        ("t", seconds(8), 1)
    );
}

#[tokio::test(start_paused = true)]
async fn joining_caller_extends_deadline() {
    let harness =
        Harness::scripted(|_, _| FakeOutcome::from(FakeResponse::token("t", DAY)).after(seconds(8)));
    let started = Instant::now();
    let first = tokio::spawn(harness.call().within(seconds(5)).waiter().wait());
    sleep(seconds(3)).await;
    let joined = tokio::spawn(harness.call().within(seconds(10)).waiter().wait());
    first.await.expect("no panic").expect_err("out of time");
    assert_eq!(started.elapsed(), seconds(5));
    joined.await.expect("no panic").expect("a token");
    assert_eq!((started.elapsed(), harness.transport.count()), (seconds(8), 1));
}

#[tokio::test(start_paused = true)]
async fn request_ends_at_the_last_waiter_timeout() {
    let harness = Harness::scripted(|_, _| FakeResponse::new(503, "").retry_after("4").into());
    let started = Instant::now();
    let first = tokio::spawn(harness.call().within(seconds(6)).waiter().wait());
    sleep(seconds(1)).await;
    // 1 s + 2 s is sooner than 6 s.
    let second = tokio::spawn(harness.call().within(seconds(2)).waiter().wait());
    second.await.expect("no panic").expect_err("out of time");
    assert_eq!(started.elapsed(), seconds(3));
    let error = first.await.expect("no panic").expect_err("an error");
    // The second attempt is at 4 s; a third one, at 8 s, would be after the timeout.
    assert_eq!(
        (error.details().status, started.elapsed()),
        (Some(503), seconds(4))
    );
    assert_eq!(harness.transport.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn timeout_error_names_the_waiters_own_timeout() {
    let harness = Harness::scripted(|_, _| FakeOutcome::Silence);
    let patient = harness
        .call()
        .set(|raw| raw.request_timeout = crate::options::UntypedValue::Number(600_000.0));
    drop(patient.within(seconds(3)).waiter());
    sleep(seconds(1)).await;
    let joined = harness.call().within(seconds(10)).waiter();
    // The waiter is polled only after the request has ended, as on a busy thread.
    sleep(seconds(11)).await;
    let error = joined.wait().await.expect_err("out of time");
    assert_eq!(*error.code(), Code::NetworkUnavailable);
    assert!(!error.details().message.contains("within 3000 ms"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn timeout_error_names_attempts_and_last_error() {
    let harness = Harness::scripted(|nth, _| match nth {
        0 => FakeResponse::new(503, r#"{"error":"busy","error_description":"Come back"}"#).into(),
        1 => TransportErrorKind::NameResolution.into(),
        _ => FakeOutcome::Silence,
    });
    let error = harness.call().within(seconds(9)).error().await;
    assert_eq!(*error.code(), Code::NetworkUnavailable);
    let details = error.details();
    assert_eq!((details.attempts, details.retryable), (Some(3), true));
    assert_eq!(details.source, Some(SourceName::DefaultToImds));
    assert_eq!(
        details.endpoint.as_deref(),
        Some("http://169.254.169.254/metadata/identity/oauth2/token")
    );
    assert!(
        details.message.contains("within 9000 ms (totalTimeout)"),
        "{error}"
    );
    assert!(
        details.message.contains("the last error was: ") && details.message.contains("cannot be resolved"),
        "{error}"
    );

    let harness = Harness::scripted(|nth, _| match nth {
        0 => FakeResponse::new(503, r#"{"error":"busy","error_description":"Come back."}"#).into(),
        _ => FakeOutcome::Silence,
    });
    let error = harness.call().within(seconds(9)).error().await;
    assert_eq!(
        (error.details().status, error.details().attempts),
        (Some(503), Some(2))
    );
    assert!(
        error.details().message.ends_with(
            "(totalTimeout), after 2 requests; the last error was: The instance metadata service (IMDS) at \
                        http://169.254.169.254/metadata/identity/oauth2/token answered 503: Come back. (error busy)."
        ),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn application_timeout_applies_without_a_call_timeout() {
    let harness = Harness::scripted(|_, _| FakeOutcome::Silence);
    let started = Instant::now();
    let call = harness
        .call()
        .set(|raw| raw.total_timeout = crate::options::UntypedValue::Number(7_000.0));
    call.clone().error().await;
    assert_eq!(started.elapsed(), seconds(7));
    call.within(seconds(3)).error().await;
    assert_eq!(started.elapsed(), seconds(10));
}

#[tokio::test(start_paused = true)]
async fn request_uses_the_starting_callers_timeouts_and_retries() {
    let harness = Harness::scripted(|_, _| FakeOutcome::Silence);
    let started = Instant::now();
    let impatient = harness
        .call()
        .set(|raw| raw.request_timeout = crate::options::UntypedValue::Number(500.0));
    let waiters = vec![impatient.waiter(), harness.call().waiter()];
    assert_eq!(all(waiters).await, ["network_unavailable"; 2]);
    assert_eq!(harness.transport.times(started), [0, 1_500]);
    assert_eq!(started.elapsed(), seconds(2));
}

#[tokio::test(start_paused = true)]
async fn unreachable_imds_fails_within_7s() {
    let harness = Harness::scripted(|_, _| FakeOutcome::NoConnection);
    let started = Instant::now();
    let error = harness.call().error().await;
    assert_eq!(
        (error.code(), started.elapsed()),
        (&Code::NetworkUnavailable, seconds(7))
    );
    assert_eq!(error.details().attempts, Some(2));
    assert!(
        error.details().message.contains("There is no IMDS here"),
        "{error}"
    );
}

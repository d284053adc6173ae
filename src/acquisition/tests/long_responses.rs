//! Long responses, which the blocking pool processes: if the pool is full, an error lacks a quotation, but no result is
//! lost.

use std::sync::mpsc::{Sender, channel};

use tokio::sync::Semaphore;
use tokio::task::yield_now;

use super::*;
use crate::acquisition::long_responses::{EXAMINATION_TIMEOUT, MAX_IN_PLACE_BYTES};
use crate::http::MAX_BODY_BYTES;
use crate::platform::MAX_BLOCKING_THREADS;

const HEADER: &str = "hush-header-0123456789";
const APP_SERVICE: &[(&str, &str)] = &[
    (v::IDENTITY_ENDPOINT, "http://10.0.0.4/token"),
    (v::IDENTITY_HEADER, HEADER),
];
/// The step of the clock: a fraction of every time limit in these tests.
const STEP: Duration = Duration::from_millis(10);
const SENTENCE: &str = "The tenant is suspended.";

/// Occupies every thread of the pool until the sender is dropped.
async fn occupy_pool(harness: &Harness) -> Vec<Sender<()>> {
    let started = Arc::new(Semaphore::new(0));
    let mut releases = Vec::new();
    for nth in 0..MAX_BLOCKING_THREADS {
        let (release, released) = channel::<()>();
        releases.push(release);
        let (pool, started) = (harness.client.platform.blocking.clone(), started.clone());
        tokio::spawn(async move {
            let work = move || {
                started.add_permits(1);
                let _ = released.recv();
            };
            pool.run(&nth.to_string(), work).await
        });
    }
    let all = u32::try_from(MAX_BLOCKING_THREADS).expect("a few");
    started.acquire_many(all).await.expect("never closed").forget();
    releases
}

/// Advances the paused clock in small steps until a future ends. It does not advance by itself while a blocking task runs.
async fn in_steps<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let task = tokio::spawn(future);
    while !task.is_finished() {
        // Often enough for every task that a due timer wakes.
        for _ in 0..50 {
            yield_now().await;
        }
        if !task.is_finished() {
            advance(STEP).await;
        }
    }
    task.await.expect("no panic")
}

/// Returns a JSON object of this length.
fn padded(fields: &str, length: usize) -> String {
    let padding = "x".repeat(length - fields.len() - r#"{,"padding":""}"#.len());
    format!(r#"{{{fields},"padding":"{padding}"}}"#)
}

fn error_body(length: usize) -> String {
    padded(
        &format!(r#""error":"suspended","error_description":"{SENTENCE} Header: {HEADER}""#),
        length,
    )
}

fn failing(length: usize) -> Harness {
    Harness::scripted(move |_, _| FakeResponse::new(400, error_body(length)).into())
}

#[tokio::test(start_paused = true)]
async fn long_error_is_quoted_without_secrets() {
    for length in [MAX_IN_PLACE_BYTES, MAX_IN_PLACE_BYTES + 1, MAX_BODY_BYTES] {
        let error = failing(length).call().env(APP_SERVICE).error().await;
        assert_eq!(error.code().as_str(), "suspended", "{error}");
        let message = &error.details().message;
        assert!(
            message.contains(SENTENCE) && !message.contains("hush"),
            "{message}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn long_error_is_not_redacted_on_the_network_thread() {
    let harness = failing(MAX_BODY_BYTES);
    let releases = occupy_pool(&harness).await;
    let started = Instant::now();
    let error = in_steps(harness.call().env(APP_SERVICE).error()).await;
    // The body is redacted only on the pool, whose threads are all occupied, so the error does not quote it.
    assert!((EXAMINATION_TIMEOUT..=EXAMINATION_TIMEOUT + STEP).contains(&started.elapsed()));
    assert_eq!(*error.code(), Code::FailedResponse);
    let details = error.details();
    assert_eq!(
        (details.status, details.attempts, details.retryable),
        (Some(400), Some(1), false)
    );
    assert!(
        details.message.contains("its response is long") && !details.message.contains(SENTENCE),
        "{error}"
    );
    drop(releases);
    let error = harness.call().env(APP_SERVICE).error().await;
    assert!(error.details().message.contains(SENTENCE), "{error}");
}

#[tokio::test(start_paused = true)]
async fn short_error_needs_no_thread_of_the_pool() {
    let harness = failing(MAX_IN_PLACE_BYTES);
    let _releases = occupy_pool(&harness).await;
    let started = Instant::now();
    let error = in_steps(harness.call().env(APP_SERVICE).error()).await;
    assert!(error.details().message.contains(SENTENCE), "{error}");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn full_pool_yields_an_error_within_the_limit_and_delays_no_other_call() {
    let harness = Harness::scripted(|_, request| {
        if request.url.host_str() == Some("10.0.0.4") {
            return FakeResponse::new(400, error_body(MAX_BODY_BYTES)).into();
        }
        FakeResponse::token("t", DAY).into()
    });
    let _releases = occupy_pool(&harness).await;
    let started = Instant::now();
    let call = harness.call().env(APP_SERVICE).within(seconds(1));
    let waiting = tokio::spawn(call.waiter().wait());
    assert_eq!(in_steps(harness.call().token()).await, "t");
    assert_eq!(started.elapsed(), Duration::ZERO);
    let waited = in_steps(waiting).await;
    let error = waited.expect("no panic").expect_err("an error");
    assert_eq!(*error.code(), Code::FailedResponse);
    assert_eq!(error.details().status, Some(400));
    assert!(started.elapsed() < seconds(1));
}

#[tokio::test(start_paused = true)]
async fn full_pool_neither_delays_nor_prevents_a_retry() {
    let harness = Harness::scripted(|nth, _| match nth {
        0 => FakeResponse::new(503, error_body(MAX_BODY_BYTES)).into(),
        _ => FakeResponse::token("t", DAY).into(),
    });
    let started = Instant::now();
    harness.call().env(APP_SERVICE).token().await;
    let undisturbed = started.elapsed();

    let harness = Harness::scripted(|nth, _| match nth {
        0 => FakeResponse::new(503, error_body(MAX_BODY_BYTES)).into(),
        _ => FakeResponse::token("t", DAY).into(),
    });
    let _releases = occupy_pool(&harness).await;
    let started = Instant::now();
    in_steps(harness.call().env(APP_SERVICE).token()).await;
    let limit = undisturbed.max(EXAMINATION_TIMEOUT);
    assert!((limit..=limit + STEP).contains(&started.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn full_pool_does_not_lose_the_token_of_a_long_response() {
    let harness = Harness::scripted(|_, _| {
        let body = padded(r#""access_token":"t","expires_in":3600"#, MAX_BODY_BYTES);
        FakeResponse::new(200, body).into()
    });
    let _releases = occupy_pool(&harness).await;
    assert_eq!(in_steps(harness.call().env(APP_SERVICE).token()).await, "t");
}

#[tokio::test(start_paused = true)]
async fn probe_ends_within_its_limit_if_the_pool_is_full() {
    let harness = Harness::scripted(|_, _| FakeResponse::new(200, "<html>".repeat(10_000)).into());
    let _releases = occupy_pool(&harness).await;
    let started = Instant::now();
    let timeout = crate::options::UntypedValue::Number(200.0);
    let probe = harness.client.probe(
        &ApplicationContext::new(options(|_| {})),
        &timeout,
        &Environment::default(),
    );
    let availability = in_steps(probe.expect("a timeout")).await;
    assert!(!availability.available);
    let reason = availability.reason.expect("a reason");
    assert!(reason.contains("its response is long"), "{reason}");
    let limit = Duration::from_millis(200);
    assert!((limit..=limit + STEP).contains(&started.elapsed()));
}

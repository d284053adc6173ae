//! IMDS at its default address: a slow response is awaited, and a missing one fails fast.

use super::credential_unavailable::is_unavailable;
use super::imds::{VAULT, always, imds_probe_response};
use super::probe::{sent, with_probe_outcome};
use super::*;

/// The time limit of a probe of an endpoint that accepts connections: one second and the grace period.
const PROBE: Duration = Duration::from_millis(1_050);

#[tokio::test(start_paused = true)]
async fn slow_imds_returns_a_token() {
    for millis in [1_500, 2_500, 9_900] {
        let slow =
            move |response: FakeResponse| FakeOutcome::from(response).after(Duration::from_millis(millis));
        let harness = Harness::scripted(move |_, request| match request.url.query() {
            None => slow(imds_probe_response()),
            Some(_) => slow(FakeResponse::token("t", DAY).server("IMDS/1")),
        });
        let started = Instant::now();
        assert_eq!(harness.call().for_credential().token().await, "t");
        assert_eq!(started.elapsed(), PROBE + Duration::from_millis(millis));
        // IMDS has responded, so no further probe is sent.
        harness
            .for_resource("https://storage.azure.com")
            .for_credential()
            .token()
            .await;
        assert_eq!(sent(&harness), ["probe", VAULT, "https://storage.azure.com"]);
    }
}

#[tokio::test(start_paused = true)]
async fn silent_endpoint_fails_after_the_probe_for_five_minutes() {
    let harness = always(|| FakeOutcome::Silence);
    let query = async || {
        let (before, started) = (harness.transport.count(), Instant::now());
        let error = harness.call().for_credential().error().await;
        assert!(is_unavailable(&error), "{error}");
        (sent(&harness).split_off(before), started.elapsed())
    };
    let both = (vec!["probe".to_owned(), VAULT.to_owned()], PROBE + seconds(10));
    let alone = (vec!["probe".to_owned()], PROBE);
    assert_eq!(query().await, both);
    assert_eq!(query().await, alone);
    advance(seconds(290)).await;
    assert_eq!(query().await, alone);
    advance(seconds(10)).await;
    assert_eq!(query().await, both);
    // acquireToken is not affected, and its response shows that IMDS exists.
    harness
        .transport
        .set_script(|_, _| FakeOutcome::from(FakeResponse::token("t", DAY)).after(seconds(5)));
    assert_eq!(harness.call().token().await, "t");
    harness.for_resource("https://a").for_credential().token().await;
}

#[tokio::test(start_paused = true)]
async fn response_within_the_grace_period_of_the_probe_is_used() {
    let harness =
        with_probe_outcome(|| FakeOutcome::from(imds_probe_response()).after(Duration::from_millis(1_040)));
    let started = Instant::now();
    harness.call().for_credential().token().await;
    assert_eq!(started.elapsed(), Duration::from_millis(1_040));
}

#[tokio::test(start_paused = true)]
async fn token_request_after_silent_probe_is_retried_only_after_imds_response() {
    let harness = Harness::scripted(|_, request| match request.url.query() {
        None => FakeOutcome::Silence,
        Some(_) => FakeResponse::new(503, "").into(),
    });
    let error = harness.call().for_credential().error().await;
    assert_eq!((sent(&harness).len(), is_unavailable(&error)), (2, false));

    let harness = Harness::scripted(|nth, request| match (nth, request.url.query()) {
        (_, None) => FakeOutcome::Silence,
        (1, _) => FakeResponse::new(503, "").server("IMDS/1").into(),
        _ => FakeResponse::token("t", DAY).into(),
    });
    assert_eq!(harness.call().for_credential().token().await, "t");
}

#[tokio::test(start_paused = true)]
async fn timeout_after_a_silent_probe_makes_the_credential_unavailable() {
    let harness = always(|| FakeOutcome::Silence);
    let error = harness.call().for_credential().within(seconds(4)).error().await;
    assert_eq!(
        (error.code(), is_unavailable(&error)),
        (&Code::NetworkUnavailable, true)
    );
    assert!(
        error.details().message.contains("did not respond to a probe"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn resources_share_a_silent_probe_but_not_a_token_request() {
    let harness = Harness::scripted(|_, request| match request.url.query() {
        None => FakeOutcome::Silence,
        Some(_) => FakeOutcome::from(FakeResponse::token("t", DAY)).after(Duration::from_millis(1_500)),
    });
    let started = Instant::now();
    let calls = ["https://a", "https://b", "https://c"]
        .map(|one| harness.for_resource(one).for_credential().waiter());
    assert_eq!(all(calls.into()).await, ["t"; 3]);
    assert_eq!(started.elapsed(), PROBE + Duration::from_millis(1_500));
    assert_eq!(sent(&harness).iter().filter(|one| *one == "probe").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn silent_custom_client_makes_the_credential_unavailable() {
    let client = FakeTransport::numbered(7, |_, _| FakeOutcome::Silence);
    let harness = Harness::always_granting(DAY);
    let started = Instant::now();
    let error = harness
        .call()
        .with_transport(client.clone())
        .for_credential()
        .error()
        .await;
    assert_eq!(
        (is_unavailable(&error), started.elapsed(), client.count()),
        (true, PROBE, 1)
    );
}

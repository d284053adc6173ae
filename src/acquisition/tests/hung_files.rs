//! Files on a file system that hangs: they delay only the calls that need them, and at most for a limited time.

use std::path::Path;

use zeroize::Zeroizing;

use super::persistent_cache::{FakeProcess, FakeStore};
use super::*;
use crate::options::UntypedValue;
use crate::platform::{Files, ReadError};

const TOKEN_FILE: &str = "/var/run/secrets/token";
const WORKLOAD: &[(&str, &str)] = &[
    (v::AZURE_FEDERATED_TOKEN_FILE, TOKEN_FILE),
    (v::AZURE_TENANT_ID, "t"),
    (v::AZURE_CLIENT_ID, "c"),
];
#[cfg(target_os = "linux")]
const ARC: &[(&str, &str)] = &[
    (v::IDENTITY_ENDPOINT, "http://h/t"),
    (v::IMDS_ENDPOINT, "http://h"),
];
#[cfg(target_os = "linux")]
const KEY: &str = "/var/opt/azcmagent/tokens/k.key";

#[tokio::test(start_paused = true)]
async fn hung_federated_token_file_times_out_and_delays_no_other_source() {
    let harness = Harness::always_granting(DAY);
    let hung = harness.files.hang(TOKEN_FILE);
    let started = Instant::now();
    let waiting = tokio::spawn(harness.call().env(WORKLOAD).within(seconds(1)).waiter().wait());
    hung.read().await;
    for nth in 0..20 {
        harness.for_resource(&format!("https://{nth}")).token().await;
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    advance(seconds(1)).await;
    let error = waiting.await.expect("no panic").expect_err("an error");
    assert_eq!(*error.code(), Code::NetworkUnavailable);
    assert_eq!(started.elapsed(), seconds(1));
}

#[tokio::test(start_paused = true)]
async fn hung_federated_token_file_is_waited_for_as_long_as_one_request() {
    let harness = Harness::always_granting(DAY);
    let hung = harness.files.hang(TOKEN_FILE);
    let waiting = tokio::spawn(harness.call().env(WORKLOAD).waiter().wait());
    hung.read().await;
    advance(seconds(10)).await;
    let error = waiting.await.expect("no panic").expect_err("an error");
    assert_eq!(*error.code(), Code::UnableToReadSecretFile);
    let details = error.details();
    assert_eq!((details.retryable, details.attempts), (true, Some(0)));
    assert!(
        details.message.contains("/var/run/secrets could not be read"),
        "{error}"
    );
    assert_eq!(harness.transport.count(), 0);
    // The first read still blocks its queue, so the next call does not occupy another thread.
    let waiting = tokio::spawn(harness.call().env(WORKLOAD).within(seconds(2)).waiter().wait());
    settle_for(seconds(2)).await;
    waiting.await.expect("no panic").expect_err("an error");
    assert_eq!(harness.files.reads(), 1);
    // The source works again as soon as the file system responds.
    drop(hung);
    harness
        .files
        .put(TOKEN_FILE, FakeEntry::File(b"assertion".to_vec()));
    assert_eq!(harness.call().env(WORKLOAD).token().await, "t0");
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn hung_arc_key_file_times_out_and_delays_no_other_source() {
    let harness = Harness::scripted(|_, request| {
        if request.url.host_str() == Some("h") {
            return FakeResponse::new(401, "")
                .challenge(format!("Basic realm={KEY}"))
                .into();
        }
        FakeResponse::token("t", DAY).into()
    });
    let hung = harness.files.hang(KEY);
    let started = Instant::now();
    let waiting = tokio::spawn(harness.call().env(ARC).within(seconds(1)).waiter().wait());
    let other = tokio::spawn(harness.for_resource("https://other").env(ARC).waiter().wait());
    hung.read().await;
    assert_eq!(harness.call().token().await, "t");
    assert_eq!(started.elapsed(), Duration::ZERO);
    advance(seconds(1)).await;
    waiting.await.expect("no panic").expect_err("an error");
    advance(seconds(9)).await;
    let error = other.await.expect("no panic").expect_err("an error");
    assert_eq!(*error.code(), Code::UnableToReadSecretFile);
    let details = error.details();
    assert_eq!((details.status, details.attempts), (Some(401), Some(1)));
    assert_eq!(started.elapsed(), seconds(10));
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn hung_arc_key_file_does_not_delay_a_response_without_challenge() {
    let harness = Harness::scripted(|nth, _| match nth {
        0 => FakeResponse::new(401, "")
            .challenge(format!("Basic realm={KEY}"))
            .into(),
        _ => FakeResponse::token("t", DAY).into(),
    });
    let hung = harness.files.hang(KEY);
    let waiting = tokio::spawn(harness.call().env(ARC).within(seconds(1)).waiter().wait());
    hung.read().await;
    assert_eq!(harness.for_resource("https://other").env(ARC).token().await, "t");
    advance(seconds(1)).await;
    waiting.await.expect("no panic").expect_err("an error");
}

#[tokio::test(start_paused = true)]
async fn workload_identity_probe_ends_in_time_with_a_hung_token_file() {
    let harness = Harness::always_granting(DAY);
    let hung = harness.files.hang(TOKEN_FILE);
    let call = harness.call().env(WORKLOAD);
    let probe = harness
        .client
        .probe(&call.application, &UntypedValue::Undefined, &call.env)
        .expect("a probe");
    let probing = tokio::spawn(probe);
    hung.read().await;
    advance(seconds(1)).await;
    let availability = probing.await.expect("no panic");
    assert!(!availability.available);
    assert!(availability.reason.expect("a reason").contains("within 1000 ms"));
}

#[tokio::test(start_paused = true)]
async fn hung_machine_id_file_costs_half_of_the_timeout_and_no_token() {
    let store = Arc::<FakeStore>::default();
    let process = FakeProcess::new(&store, FakeTransport::always_granting(DAY));
    let hung = process.0.files.hang("/etc/machine-id");
    let started = Instant::now();
    let waiting = tokio::spawn(process.call().within(seconds(4)).waiter().wait());
    hung.read().await;
    assert_eq!(process.0.call().token().await, "t0");
    advance(seconds(2)).await;
    let acquired = waiting.await.expect("no panic").expect("a token");
    assert_eq!((text(&acquired).as_str(), acquired.from_cache), ("t1", false));
    assert_eq!(acquired.metadata.cache_time, seconds(2));
    assert_eq!(started.elapsed(), seconds(2));
    // Without the machine's id, the records that belong to this host are unknown.
    assert_eq!(store.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn panic_while_reading_a_file_is_an_error_of_its_call() {
    struct Broken;
    impl Files for Broken {
        fn is_regular(&self, _: &Path) -> bool {
            false
        }

        fn read(&self, _: &Path, _: usize, _: bool) -> Result<Zeroizing<Vec<u8>>, ReadError> {
            panic!("a bug")
        }
    }
    let (clock, transport) = (FakeClock::new(), FakeTransport::always_granting(DAY));
    let mut platform = test_support::platform(&clock, &Arc::default());
    platform.files = Arc::new(Broken);
    let mut call = Harness::with_transport(transport.clone()).call().env(WORKLOAD);
    call.client = TokenClient::new(platform, transport, runtime_handle);
    let error = call.error().await;
    assert_eq!(*error.code(), Code::FailedResponse);
    assert!(error.details().message.starts_with("Internal error"), "{error}");
}

/// Advances the paused clock, which does not advance by itself while a blocking task runs.
async fn settle_for(time: Duration) {
    tokio::task::yield_now().await;
    advance(time).await;
}

//! The probe that `getToken` sends before its first token request to the default address of IMDS.

use super::credential_unavailable::{APP_SERVICE, CONTAINER_HOST, is_unavailable};
use super::*;
use crate::options::UntypedValue;

const IMDS: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
const CONFIGURED_IMDS: &[(&str, &str)] = &[(v::AZURE_POD_IDENTITY_AUTHORITY_HOST, "http://10.0.0.4")];

impl Call {
    /// Makes the call one of `getToken`.
    pub(super) fn for_credential(mut self) -> Self {
        self.request.is_credential_call = true;
        self
    }
}

/// Creates a harness in which the probe, a request without a query, has this outcome. Other requests return a token.
pub(super) fn with_probe_outcome(probe: impl Fn() -> FakeOutcome + Send + Sync + 'static) -> Harness {
    Harness::scripted(move |nth, request| match request.url.query() {
        None => probe(),
        Some(_) => FakeResponse::token(&format!("t{nth}"), DAY).into(),
    })
}

/// Returns what was requested: `probe`, or the resource of a token request.
pub(super) fn sent(harness: &Harness) -> Vec<String> {
    let resource = |request: &crate::http::Request| {
        let mut pairs = request.url.query_pairs();
        pairs
            .find(|(name, _)| name == "resource")
            .map(|(_, value)| value.into_owned())
    };
    let requests = harness.transport.requests();
    requests
        .iter()
        .map(|request| resource(request).unwrap_or_else(|| "probe".into()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn probe_request_carries_no_secret() {
    let harness = with_probe_outcome(|| FakeResponse::new(400, "").into());
    harness.call().for_credential().token().await;
    let requests = harness.transport.requests();
    assert_eq!(
        (requests[0].url.as_str(), requests[0].method),
        (IMDS, crate::http::Method::Get)
    );
    let names: Vec<_> = requests[0].headers.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["Accept", "Accept-Encoding", "User-Agent"]);
    assert!(requests[0].secrets.is_empty() && requests[0].body.is_none());
    assert!(requests[1].headers.iter().any(|(name, _)| *name == "Metadata"));
}

#[tokio::test(start_paused = true)]
async fn token_request_follows_the_probe_response() {
    let harness = with_probe_outcome(|| {
        FakeOutcome::from(FakeResponse::new(400, "")).after(Duration::from_millis(999))
    });
    let started = Instant::now();
    harness.call().for_credential().token().await;
    assert_eq!(harness.transport.times(started), [0, 999]);
}

#[tokio::test(start_paused = true)]
async fn probe_without_connection_fails_after_1s() {
    let harness = with_probe_outcome(|| FakeOutcome::NoConnection);
    let started = Instant::now();
    let error = harness.call().for_credential().error().await;
    assert_eq!(started.elapsed(), seconds(1));
    assert_eq!(*error.code(), Code::UnreachableNetwork);
    assert!(is_unavailable(&error), "{error}");
    assert!(
        error
            .details()
            .message
            .contains("did not respond to a probe within 1000 ms"),
        "{error}"
    );
    assert_eq!(error.details().endpoint.as_deref(), Some(IMDS));
    settle().await;
    assert_eq!(
        (sent(&harness), harness.transport.in_flight()),
        (vec!["probe".to_owned()], 0)
    );
}

#[tokio::test(start_paused = true)]
async fn failed_probe_is_not_cached() {
    let harness = with_probe_outcome(|| FakeOutcome::NoConnection);
    harness.call().for_credential().error().await;
    harness
        .transport
        .set_script(|_, request| match request.url.query() {
            None => FakeResponse::new(400, "").into(),
            Some(_) => FakeResponse::token("t", DAY).into(),
        });
    assert_eq!(harness.call().for_credential().token().await, "t");
    assert_eq!(sent(&harness), ["probe", "probe", "https://vault.azure.net"]);
}

#[tokio::test(start_paused = true)]
async fn inconclusive_probe_response_is_followed_by_a_token_request() {
    for status in [400, 403, 404, 408, 410, 429, 500, 503] {
        let harness = with_probe_outcome(move || FakeResponse::new(status, "what?").into());
        assert_eq!(harness.call().for_credential().token().await, "t1", "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn foreign_responses_do_not_count_as_imds() {
    let container = with_probe_outcome(|| FakeResponse::new(403, CONTAINER_HOST).into());
    let error = container.call().for_credential().error().await;
    assert_eq!(
        (error.details().status, is_unavailable(&error)),
        (Some(403), true)
    );
    assert_eq!(sent(&container), ["probe"]);

    for fault in [
        TransportErrorKind::ConnectionRefused,
        TransportErrorKind::ConnectionReset,
        TransportErrorKind::ConnectionClosed,
        TransportErrorKind::Unreachable,
        TransportErrorKind::CustomClient,
    ] {
        let harness = with_probe_outcome(move || fault.into());
        let started = Instant::now();
        let error = harness.call().for_credential().error().await;
        assert!(is_unavailable(&error), "{fault:?}: {error}");
        // There is no retry: the caller may have another credential.
        assert_eq!(
            (sent(&harness), started.elapsed()),
            (vec!["probe".to_owned()], Duration::ZERO)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn imds_connect_timeout_is_at_most_the_probe_timeout() {
    let harness = with_probe_outcome(|| FakeOutcome::NoConnection);
    let started = Instant::now();
    let error = harness.call().for_credential().error().await;
    assert_eq!((started.elapsed(), is_unavailable(&error)), (seconds(1), true));
}

#[tokio::test(start_paused = true)]
async fn thousand_callers_share_one_probe_and_its_result() {
    let harness = with_probe_outcome(|| {
        FakeOutcome::from(FakeResponse::new(400, "")).after(Duration::from_millis(500))
    });
    let callers = (0..1_000).map(|_| harness.call().for_credential().waiter());
    assert_eq!(all(callers.collect()).await, ["t1"; 1_000]);
    assert_eq!(sent(&harness), ["probe", "https://vault.azure.net"]);

    let harness = with_probe_outcome(|| FakeOutcome::NoConnection);
    let started = Instant::now();
    let first = harness.call().for_credential().waiter();
    sleep(Duration::from_millis(600)).await;
    let late = (0..999).map(|_| harness.call().for_credential().waiter());
    let results = all(std::iter::once(first).chain(late).collect()).await;
    assert_eq!(results, ["managed_identity_unreachable_network"; 1_000]);
    assert_eq!(
        (sent(&harness), started.elapsed()),
        (vec!["probe".to_owned()], seconds(1))
    );
}

#[tokio::test(start_paused = true)]
async fn imds_is_not_probed_again_after_a_response() {
    let harness = with_probe_outcome(|| FakeResponse::new(400, "").into());
    harness.call().for_credential().token().await;
    harness
        .for_resource("https://storage.azure.com")
        .for_credential()
        .token()
        .await;
    let user_assigned = harness
        .call()
        .set(|raw| raw.user_assigned_client_id = "id".into());
    user_assigned.for_credential().token().await;
    harness.client.clear();
    harness.call().for_credential().token().await;
    harness.clock.jump(seconds(2 * DAY));
    harness.call().for_credential().token().await;
    let probes = sent(&harness).into_iter().filter(|one| one == "probe");
    assert_eq!((probes.count(), harness.transport.count()), (1, 6));
}

#[tokio::test(start_paused = true)]
async fn only_get_token_probes_and_only_the_default_endpoint() {
    let harness = with_probe_outcome(|| FakeOutcome::Silence);
    harness.for_resource("https://a").token().await;
    harness
        .for_resource("https://b")
        .env(CONFIGURED_IMDS)
        .for_credential()
        .token()
        .await;
    harness
        .for_resource("https://c")
        .env(APP_SERVICE)
        .for_credential()
        .token()
        .await;
    assert_eq!(sent(&harness), ["https://a", "https://b", "https://c"]);
}

#[tokio::test(start_paused = true)]
async fn cached_token_is_served_without_a_probe() {
    let harness = with_probe_outcome(|| FakeOutcome::Silence);
    harness.call().token().await;
    assert_eq!(text(&harness.call().for_credential().acquired()), "t0");
    assert_eq!(harness.transport.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn acquire_token_ignores_a_failed_probe() {
    let harness = Harness::scripted(|_, request| match request.url.query() {
        None => FakeOutcome::NoConnection,
        Some(_) => FakeOutcome::from(FakeResponse::token("t", DAY)).after(seconds(5)),
    });
    let started = Instant::now();
    let credential = tokio::spawn(harness.call().for_credential().waiter().wait());
    let plain = tokio::spawn(harness.call().waiter().wait());
    let error = credential.await.expect("no panic").expect_err("no response");
    assert_eq!((is_unavailable(&error), started.elapsed()), (true, seconds(1)));
    assert_eq!(text(&plain.await.expect("no panic").expect("a token")), "t");
}

#[tokio::test(start_paused = true)]
async fn caller_timeout_below_the_probe_timeout_is_a_timeout_error() {
    let harness = with_probe_outcome(|| FakeOutcome::Silence);
    let started = Instant::now();
    let impatient = harness.call().for_credential().within(Duration::from_millis(300));
    let error = impatient.error().await;
    assert_eq!(started.elapsed(), Duration::from_millis(300));
    // It is not known yet whether there is an identity.
    assert_eq!(
        (error.code(), is_unavailable(&error)),
        (&Code::NetworkUnavailable, false)
    );
}

#[tokio::test(start_paused = true)]
async fn concurrent_probes_are_coalesced() {
    let calls = |harness: &Harness| {
        let resources = ["https://a", "https://b", "https://c"];
        resources
            .map(|one| harness.for_resource(one).for_credential().waiter())
            .into()
    };
    let harness = with_probe_outcome(|| {
        FakeOutcome::from(FakeResponse::new(400, "")).after(Duration::from_millis(500))
    });
    all(calls(&harness)).await;
    assert_eq!(sent(&harness).iter().filter(|one| *one == "probe").count(), 1);

    let harness = with_probe_outcome(|| FakeOutcome::NoConnection);
    let started = Instant::now();
    assert_eq!(
        all(calls(&harness)).await,
        ["managed_identity_unreachable_network"; 3]
    );
    assert_eq!(
        (sent(&harness), started.elapsed()),
        (vec!["probe".to_owned()], seconds(1))
    );
    // The failure is not remembered: a later call sends a probe again.
    harness.call().for_credential().error().await;
    assert_eq!(sent(&harness).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn probe_does_not_wait_for_acquisitions() {
    let harness = Harness::scripted(|_, request| match request.url.query() {
        None => FakeResponse::new(400, "").into(),
        Some(_) => FakeOutcome::Silence,
    });
    let waiters: Vec<_> = (0..100)
        .map(|nth| harness.for_resource(&format!("https://{nth}.example")).waiter())
        .collect();
    settle().await;
    let Call {
        client,
        application,
        env,
        ..
    } = harness.call();
    let probe = client
        .probe(&application, &UntypedValue::Undefined, &env)
        .expect("a probe");
    assert!(probe.await.available);
    assert_eq!(harness.transport.max_in_flight(), 32);
    drop(waiters);
}

#[tokio::test(start_paused = true)]
async fn probes_by_custom_clients_need_no_permit() {
    // Such a client may itself wait for a token of the same endpoint, whose request needs a permit.
    let harness = with_probe_outcome(|| FakeOutcome::Silence);
    let client = FakeTransport::numbered(7, |_, _| {
        FakeOutcome::from(FakeResponse::new(400, "")).after(Duration::from_millis(900))
    });
    let call = harness.call().env(CONFIGURED_IMDS).with_transport(client.clone());
    let probes: Vec<_> = (0..40)
        .map(|_| {
            let probe = call
                .client
                .probe(&call.application, &UntypedValue::Undefined, &call.env);
            tokio::spawn(probe.expect("a probe"))
        })
        .collect();
    settle().await;
    assert_eq!(client.max_in_flight(), 40);
    assert_eq!(harness.call().env(CONFIGURED_IMDS).token().await, "t0");
    for probe in probes {
        assert!(probe.await.expect("no panic").available);
    }
}

#[tokio::test(start_paused = true)]
async fn secret_echoed_by_the_probe_response_is_redacted() {
    let machine_learning = [
        (v::MSI_ENDPOINT, "http://10.0.0.4/token"),
        (v::MSI_SECRET, "hush-header"),
    ];
    for env in [APP_SERVICE, &machine_learning] {
        let harness =
            Harness::scripted(|_, _| FakeResponse::new(403, format!("{CONTAINER_HOST} hush-header")).into());
        let call = harness.call().env(env);
        let probe = call
            .client
            .probe(&call.application, &UntypedValue::Undefined, &call.env);
        let reason = probe.expect("a probe").await.reason.expect("a reason");
        assert!(
            reason.contains("connectex") && !reason.contains("hush"),
            "{reason}"
        );
        // The probe itself has no secret.
        let headers = &harness.transport.requests()[0].headers;
        assert!(
            headers
                .iter()
                .all(|(_, value)| value.expose_secret() != "hush-header")
        );
    }
}

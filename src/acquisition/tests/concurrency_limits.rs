//! The limits of concurrent requests to one endpoint.

use super::*;

#[tokio::test(start_paused = true)]
async fn background_refreshes_are_limited_to_five() {
    const KEYS: usize = 10_000;
    let harness = Harness::scripted(|_, _| {
        FakeOutcome::from(FakeResponse::token("old", DAY)).after(Duration::from_millis(1))
    });
    let resources: Vec<_> = (0..KEYS).map(|nth| format!("https://{nth}.example")).collect();
    let waiters: Vec<_> = resources
        .iter()
        .map(|one| harness.for_resource(one).waiter())
        .collect();
    all(waiters).await;
    assert_eq!(
        (harness.transport.count(), harness.transport.max_in_flight()),
        (KEYS, 31)
    );

    advance(seconds(DAY / 2 + 300)).await;
    harness
        .transport
        .set_script(|_, _| FakeOutcome::from(FakeResponse::token("new", DAY)).after(seconds(1)));
    for one in &resources {
        harness.for_resource(one).acquired();
    }
    settle().await;
    assert_eq!(
        (harness.transport.count(), harness.transport.in_flight()),
        (KEYS + 5, 5)
    );
    // Permits are released at the end of a refresh, and the next callers acquire them.
    sleep(seconds(1)).await;
    for one in &resources {
        harness.for_resource(one).acquired();
    }
    settle().await;
    assert_eq!(
        (harness.transport.count(), harness.transport.in_flight()),
        (KEYS + 10, 5)
    );
}

#[tokio::test(start_paused = true)]
async fn permits_are_separate_for_each_endpoint() {
    let harness = Harness::always_granting(DAY);
    let hosts = ["http://a", "http://b", "http://a:8080"];
    let calls: Vec<_> = hosts
        .iter()
        .flat_map(|host| {
            let env = [(v::AZURE_POD_IDENTITY_AUTHORITY_HOST, *host)];
            let harness = &harness;
            (0..40).map(move |nth| harness.for_resource(&format!("https://{nth}.example")).env(&env))
        })
        .collect();
    harness.transport.set_script(|nth, _| {
        FakeOutcome::from(FakeResponse::token(&format!("t{nth}"), DAY)).after(seconds(1))
    });
    all(calls.iter().map(|call| call.clone().waiter()).collect()).await;
    assert_eq!(harness.transport.max_in_flight(), 3 * 31);
    advance(seconds(DAY / 2 + 300)).await;
    for call in calls {
        call.acquired();
    }
    settle().await;
    assert_eq!(harness.transport.in_flight(), 3 * 5);
}

#[tokio::test(start_paused = true)]
async fn background_refresh_holds_its_permit_between_retries() {
    let harness = Harness::always_granting(DAY);
    let resources: Vec<_> = (0..20).map(|nth| format!("https://{nth}.example")).collect();
    all(resources
        .iter()
        .map(|one| harness.for_resource(one).waiter())
        .collect())
    .await;
    advance(seconds(DAY / 2 + 300)).await;
    harness
        .transport
        .set_script(|_, _| FakeResponse::new(503, "").into());
    for _ in 0..6 {
        for one in &resources {
            harness.for_resource(one).acquired();
        }
        sleep(seconds(1)).await;
    }
    // Five refreshes, each with attempts at 0, 1 and 3 s.
    assert_eq!(harness.transport.count(), 20 + 5 * 3);
}

#[tokio::test(start_paused = true)]
async fn background_refreshes_do_not_delay_waiting_callers() {
    let harness = Harness::always_granting(DAY);
    let resources: Vec<_> = (0..10).map(|nth| format!("https://{nth}.example")).collect();
    all(resources
        .iter()
        .map(|one| harness.for_resource(one).waiter())
        .collect())
    .await;
    advance(seconds(DAY / 2 + 300)).await;
    harness.transport.set_script(|_, request| {
        let new = request.url.as_str().contains("new.example");
        if new {
            FakeResponse::token("new", DAY).into()
        } else {
            FakeOutcome::Silence
        }
    });
    for one in &resources {
        harness.for_resource(one).acquired();
    }
    settle().await;
    let started = Instant::now();
    assert_eq!(harness.for_resource("https://new.example").token().await, "new");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn status_429_blocks_every_caller_of_its_endpoint() {
    let harness = Harness::scripted(|nth, _| match nth {
        0 => FakeResponse::new(429, "").retry_after("20").into(),
        _ => FakeResponse::token("t", DAY).into(),
    });
    let once = harness
        .call()
        .set(|raw| raw.disable_internal_retries = crate::options::UntypedValue::Boolean(true));
    let refused = once.error().await;
    assert_eq!(
        (refused.details().status, refused.details().retryable),
        (Some(429), true)
    );

    let started = Instant::now();
    let short = harness
        .for_resource("https://other.example")
        .within(seconds(19))
        .error()
        .await;
    let details = short.details();
    assert_eq!(
        (details.status, details.retryable, details.attempts),
        (Some(429), true, Some(0))
    );
    assert_eq!(
        (started.elapsed(), harness.transport.count()),
        (Duration::ZERO, 1)
    );

    let elsewhere = harness
        .call()
        .env(&[(v::AZURE_POD_IDENTITY_AUTHORITY_HOST, "http://a")]);
    elsewhere.token().await;
    assert_eq!(started.elapsed(), Duration::ZERO);

    harness.for_resource("https://other.example").token().await;
    assert_eq!(started.elapsed(), seconds(20));
}

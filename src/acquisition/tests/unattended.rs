//! Callers that leave before the request ends.

use super::*;

const HANGS: &str = "hangs.example";

/// Creates a harness whose endpoint never responds for resources of this name, and responds at once for others.
fn hanging() -> Harness {
    Harness::scripted(|_, request| {
        if request.url.as_str().contains(HANGS) {
            FakeOutcome::Silence
        } else {
            FakeResponse::token("t", DAY).into()
        }
    })
}

fn hang(harness: &Harness, nth: usize) -> Call {
    harness.for_resource(&format!("https://{nth}.{HANGS}"))
}

/// Returns how many requests a caller could join.
fn joinable(harness: &Harness) -> usize {
    harness.client.lock().in_flight.len()
}

#[tokio::test(start_paused = true)]
async fn aborted_calls_to_a_hung_endpoint_do_not_delay_later_callers() {
    for (calls, at_once) in [(31, true), (200, true), (31, false), (200, false)] {
        let harness = hanging();
        if at_once {
            let waiters: Vec<_> = (0..calls).map(|nth| hang(&harness, nth).waiter()).collect();
            sleep(Duration::from_millis(100)).await;
            assert_eq!(harness.transport.count(), 31, "the limit of the endpoint");
            drop(waiters);
        } else {
            for nth in 0..calls {
                let waiter = hang(&harness, nth).waiter();
                sleep(Duration::from_millis(100)).await;
                drop(waiter);
            }
        }
        let (started, before) = (Instant::now(), harness.transport.count());
        assert_eq!(harness.for_resource("https://good.example").token().await, "t");
        assert_eq!(started.elapsed(), Duration::ZERO, "{calls}");
        assert_eq!(harness.transport.count(), before + 1);
        assert!(
            harness.transport.in_flight() <= 32,
            "{}",
            harness.transport.in_flight()
        );
        // Nothing is sent for callers that have left, and no request of theirs remains.
        sleep(seconds(300)).await;
        assert_eq!(
            (harness.transport.count(), harness.transport.in_flight()),
            (before + 1, 0)
        );
        assert_eq!(joinable(&harness), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn retry_delay_ends_with_the_last_caller_and_the_next_call_starts_a_new_request() {
    let harness = Harness::scripted(|nth, _| match nth {
        0 => FakeResponse::new(410, "").into(),
        _ => FakeResponse::token("t", DAY).into(),
    });
    let waiters = [harness.call().waiter(), harness.call().waiter()];
    let started = Instant::now();
    for waiter in waiters {
        sleep(seconds(1)).await;
        assert_eq!((joinable(&harness), harness.transport.count()), (1, 1));
        drop(waiter);
    }
    settle().await;
    assert_eq!(joinable(&harness), 0);
    assert_eq!(harness.call().token().await, "t");
    assert_eq!(harness.transport.times(started), [0, 2_001]);
}

#[tokio::test(start_paused = true)]
async fn throttling_delay_ends_with_the_last_caller() {
    let harness = Harness::scripted(|nth, _| match nth {
        0 => FakeResponse::new(429, "").retry_after("30").into(),
        _ => FakeResponse::token("t", DAY).into(),
    });
    let first = tokio::spawn(harness.call().waiter().wait());
    settle().await;
    let other = harness.for_resource("https://other.example").waiter();
    settle().await;
    assert_eq!(joinable(&harness), 2);
    drop(other);
    settle().await;
    assert_eq!(joinable(&harness), 1);
    first.await.expect("no panic").expect("a token");
    assert_eq!(harness.transport.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn call_aborted_at_once_sends_nothing() {
    let harness = Harness::always_granting(DAY);
    for _ in 0..100 {
        drop(harness.call().waiter());
    }
    settle().await;
    assert_eq!((harness.transport.count(), joinable(&harness)), (0, 0));
    // Neither a custom client, which needs no permit, nor a probe sends anything.
    let nested = Arc::new(Nested(harness.client.clone()));
    drop(harness.call().with_transport(nested).waiter());
    let mut probing = harness.call();
    probing.request.is_credential_call = true;
    drop(probing.waiter());
    settle().await;
    assert_eq!((harness.transport.count(), joinable(&harness)), (0, 0));
    // A caller that joins an abandoned request before it ends is served, by that request or another.
    drop(harness.call().waiter());
    assert_eq!(harness.call().token().await, "t0");
    assert_eq!(harness.transport.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn sent_request_is_joined_and_its_token_is_cached() {
    let harness = Harness::scripted(|nth, _| {
        FakeOutcome::from(FakeResponse::token(&format!("t{nth}"), DAY)).after(seconds(5))
    });
    let first = harness.call().waiter();
    sleep(seconds(1)).await;
    drop(first);
    sleep(seconds(1)).await;
    assert_eq!(harness.call().token().await, "t0");
    assert_eq!(harness.transport.count(), 1);
    // The token is cached even if no caller joins.
    let other = harness.for_resource("https://other.example");
    let waiter = other.clone().waiter();
    settle().await;
    drop(waiter);
    sleep(seconds(6)).await;
    assert_eq!(
        (text(&other.acquired()).as_str(), harness.transport.count()),
        ("t1", 2)
    );
}

#[tokio::test(start_paused = true)]
async fn retries_resume_for_a_joining_caller() {
    let harness = Harness::scripted(|nth, _| {
        let response = if nth == 0 {
            FakeResponse::new(503, "")
        } else {
            FakeResponse::token("t", DAY)
        };
        FakeOutcome::from(response).after(seconds(5))
    });
    let first = harness.call().waiter();
    let started = Instant::now();
    sleep(seconds(1)).await;
    drop(first);
    sleep(seconds(1)).await;
    assert_eq!(harness.call().token().await, "t");
    assert_eq!(harness.transport.times(started), [0, 6_000]);
}

#[tokio::test(start_paused = true)]
async fn timed_out_waiters_count_as_left() {
    let harness = Harness::scripted(|_, _| FakeOutcome::from(FakeResponse::new(503, "")).after(seconds(4)));
    let patient = harness.call().within(seconds(60)).waiter();
    let hurried = tokio::spawn(harness.call().within(seconds(2)).waiter().wait());
    sleep(seconds(1)).await;
    drop(patient);
    hurried.await.expect("no panic").expect_err("out of time");
    // The deadline is still that of the first caller, but no caller is left.
    sleep(seconds(60)).await;
    assert_eq!((harness.transport.count(), joinable(&harness)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn background_refresh_continues_when_joined_callers_leave() {
    let harness = Harness::always_granting(DAY);
    harness.call().token().await;
    advance(seconds(DAY / 2 + 300)).await;
    harness.transport.set_script(|nth, _| match nth {
        1..4 => FakeResponse::new(503, "").into(),
        _ => FakeResponse::token("new", DAY).into(),
    });
    harness.call().acquired();
    settle().await;
    // After a clear of the memory cache alone, a caller joins the refresh.
    harness.client.lock().cache.clear();
    drop(harness.call().waiter());
    sleep(seconds(10)).await;
    assert_eq!(harness.transport.count(), 5);
    assert_eq!(text(&harness.call().acquired()), "new");
}

#[tokio::test(start_paused = true)]
async fn caller_served_a_fallback_counts_as_left() {
    let harness = Harness::always_granting(HOUR);
    harness.call().token().await;
    advance(seconds(HOUR - 200)).await;
    harness
        .transport
        .set_script(|_, _| FakeOutcome::from(FakeResponse::new(503, "")).after(seconds(5)));
    assert_eq!(harness.call().token().await, "t0");
    sleep(seconds(20)).await;
    assert_eq!(harness.transport.count(), 2);
    // The next attempt is delayed, as after any failed refresh.
    harness
        .transport
        .set_script(|_, _| FakeResponse::token("new", HOUR).into());
    assert_eq!(text(&harness.call().acquired()), "t0");
    sleep(seconds(30)).await;
    assert_eq!(harness.call().token().await, "new");
}

#[tokio::test(start_paused = true)]
async fn refresh_that_sent_nothing_is_not_a_failure() {
    let harness = Harness::always_granting(HOUR);
    harness.call().token().await;
    advance(seconds(HOUR - 200)).await;
    drop(harness.call().waiter());
    settle().await;
    assert_eq!(harness.transport.count(), 1);
    assert_eq!(harness.call().token().await, "t1");
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn arc_challenge_is_not_answered_without_callers() {
    let harness = Harness::scripted(|_, _| {
        let challenge = "Basic realm=/var/opt/azcmagent/tokens/k.key";
        FakeOutcome::from(FakeResponse::new(401, "").challenge(challenge)).after(seconds(1))
    });
    harness.files.put(
        "/var/opt/azcmagent/tokens/k.key",
        FakeEntry::File(b"key".to_vec()),
    );
    let call = harness.call().env(&[
        (v::IDENTITY_ENDPOINT, "http://h/t"),
        (v::IMDS_ENDPOINT, "http://h"),
    ]);
    let waiter = call.waiter();
    settle().await;
    drop(waiter);
    sleep(seconds(30)).await;
    assert_eq!((harness.transport.count(), joinable(&harness)), (1, 0));
}

/// A custom client that itself waits for a token from the native transport.
struct Nested(Arc<TokenClient>);

impl Transport for Nested {
    fn send<'a>(&'a self, request: &'a crate::http::Request, _: Duration) -> crate::http::ResponseFuture<'a> {
        Box::pin(async move {
            let mut call = Harness::always_granting(DAY).for_resource("https://inner.example");
            call.client = self.0.clone();
            call.token().await;
            Ok(FakeResponse::token("outer", DAY).to(request))
        })
    }

    fn id(&self) -> usize {
        9
    }

    fn needs_request_permit(&self) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn custom_client_holds_no_permit() {
    for calls in [31, 100] {
        let harness = Harness::always_granting(DAY);
        let nested = Arc::new(Nested(harness.client.clone()));
        let started = Instant::now();
        let call = |nth| {
            harness
                .for_resource(&format!("https://{nth}.example"))
                .with_transport(nested.clone())
        };
        let waiters = (0..calls).map(|nth| call(nth).waiter()).collect();
        assert_eq!(all(waiters).await, vec!["outer"; calls]);
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn near_expiry_token_is_refreshed_by_wall_clock_after_suspend() {
    let harness = Harness::always_granting(12 * HOUR);
    harness.call().token().await;
    // The monotonic clock stood still for nearly all of the token's lifetime.
    harness.clock.jump(seconds(12 * HOUR - 180));
    assert_eq!(harness.call().token().await, "t1");
    // The backoff of failed refreshes follows the wall clock, too.
    let harness = Harness::always_granting(DAY);
    harness.call().token().await;
    harness.clock.jump(seconds(DAY / 2 + 300));
    harness
        .transport
        .set_script(|_, _| FakeResponse::new(400, "").into());
    harness.call().acquired();
    settle().await;
    harness.clock.jump(seconds(40));
    harness.call().acquired();
    settle().await;
    assert_eq!(harness.transport.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn different_retry_options_share_the_token_but_not_the_request() {
    let harness = Harness::scripted(|nth, _| {
        FakeOutcome::from(FakeResponse::token(&format!("t{nth}"), DAY)).after(seconds(1))
    });
    let with_max_retries = |max: f64| {
        move |raw: &mut RawApplicationOptions| {
            raw.retry_options = crate::options::UntypedValue::Object;
            raw.max_retries = crate::options::UntypedValue::Number(max);
        }
    };
    let waiters = vec![
        harness.call().waiter(),
        harness
            .call()
            .set(|raw| raw.retry_options = crate::options::UntypedValue::Object)
            .waiter(),
        harness.call().set(with_max_retries(1.0)).waiter(),
        harness.call().set(with_max_retries(1.0)).waiter(),
        harness.call().set(with_max_retries(2.0)).waiter(),
    ];
    assert_eq!(all(waiters).await, ["t0", "t0", "t1", "t1", "t2"]);
    assert_eq!(text(&harness.call().set(with_max_retries(7.0)).acquired()), "t2");
}

#[tokio::test(start_paused = true)]
async fn error_contains_retry_after() {
    for (status, value, expected) in [
        (503, "121", Some(121)),
        (429, "121", Some(121)),
        (400, "7", Some(7)),
        (400, "Fri, 15 Jan 2027 08:00:30 GMT", Some(30)),
        (400, "soon", None),
    ] {
        let harness = Harness::scripted(move |_, _| FakeResponse::new(status, "").retry_after(value).into());
        let error = harness.call().error().await;
        assert_eq!(
            error.details().retry_after,
            expected.map(seconds),
            "{status} {value}"
        );
    }
    // A caller that is blocked by an earlier Retry-After gets the remaining time.
    let harness = Harness::scripted(|_, _| FakeResponse::new(429, "").retry_after("40").into());
    let short = harness.call().within(seconds(30));
    short.clone().error().await;
    sleep(seconds(5)).await;
    let error = short.error().await;
    assert_eq!(
        (error.details().retry_after, harness.transport.count()),
        (Some(seconds(35)), 1)
    );
    // A caller that times out while the request waits gets the whole time.
    let harness = Harness::scripted(|_, _| FakeResponse::new(429, "").retry_after("40").into());
    let _patient = harness.call().waiter();
    let hurried = tokio::spawn(harness.call().within(seconds(20)).waiter().wait());
    let error = hurried.await.expect("no panic").expect_err("out of time");
    assert_eq!(error.details().retry_after, Some(seconds(40)));
}

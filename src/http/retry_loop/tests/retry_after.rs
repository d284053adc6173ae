//! `Retry-After`, and the block after a 429.

use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Returns the limiter of an endpoint that is blocked: a retry loop without retries has received a 429.
async fn blocked_limiter(retry_after: &str) -> Arc<EndpointLimiter> {
    let throttled = Conditions::without_retries();
    let transport = responses(&[FakeResponse::new(429, "").retry_after(retry_after)]);
    assert_eq!(status_of(&throttled.run(&transport).await), Some(429));
    throttled.limiter
}

fn with_limiter(limiter: Arc<EndpointLimiter>, total: Duration) -> Conditions {
    Conditions {
        limiter,
        total,
        ..Conditions::of(&DEFAULT)
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_repermits_a_shorter_delay_only() {
    for (status, value, second) in [
        (503, "5", 5_000),
        (503, " 7 ", 7_000),
        (429, "5", 5_000),
        (404, "2", 2_000),
        (503, "1", 1_000),
        (503, "0", 1_000),
        (503, "soon", 1_000),
        (503, "-5", 1_000),
        // The fake wall clock starts at Fri, 15 Jan 2027 08:00:00 GMT.
        (503, "Fri, 15 Jan 2027 08:00:30 GMT", 30_000),
        (429, "Fri, 15 Jan 2027 08:00:30 GMT", 30_000),
        (503, "Fri, 15 Jan 2027 07:00:00 GMT", 1_000),
    ] {
        let transport = responses(&[
            FakeResponse::new(status, "").retry_after(value),
            FakeResponse::new(200, ""),
        ]);
        let (times, end) = run_and_time(&Conditions::of(&DEFAULT), &transport).await;
        assert_eq!(
            (times, status_of(&end)),
            (vec![0, second], Some(200)),
            "{status} {value}"
        );
    }
    let transport = responses(&[FakeResponse::new(503, "").retry_after("3")]);
    let (times, _) = run_and_time(&Conditions::of(&IMDS_DEFAULT), &transport).await;
    assert_eq!(times, [0, 3_000, 6_000, 10_000]);
}

#[tokio::test(start_paused = true)]
async fn retry_after_does_not_make_a_status_retryable() {
    let transport = responses(&[FakeResponse::new(400, "").retry_after("1")]);
    let (times, end) = run_and_time(&Conditions::of(&DEFAULT), &transport).await;
    assert_eq!((times, status_of(&end)), (vec![0], Some(400)));
}

#[tokio::test(start_paused = true)]
async fn retry_after_beyond_the_deadline_fails_at_once() {
    let started = Instant::now();
    for value in ["31", "Fri, 15 Jan 2027 09:00:00 GMT"] {
        let transport = responses(&[FakeResponse::new(503, "").retry_after(value)]);
        let conditions = Conditions {
            total: seconds(30),
            ..Conditions::of(&IMDS_DEFAULT)
        };
        let (times, end) = run_and_time(&conditions, &transport).await;
        assert_eq!((times, status_of(&end)), (vec![0], Some(503)));
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn huge_retry_after_fails_without_a_panic() {
    for value in [
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "99999999999999999999999",
    ] {
        for fraction in [0.0, 0.999] {
            let transport = responses(&[FakeResponse::new(503, "").retry_after(value)]);
            let conditions = Conditions {
                fraction,
                ..Conditions::of(&DEFAULT)
            };
            let (times, end) = run_and_time(&conditions, &transport).await;
            assert_eq!((times, status_of(&end)), (vec![0], Some(503)), "{value}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn status_429_blocks_every_retry_loop_of_the_endpoint() {
    let limiter = blocked_limiter("20").await;
    tokio::time::advance(seconds(5)).await;
    let (times, end) = run_and_time(&with_limiter(limiter, seconds(60)), &statuses(&[200])).await;
    assert_eq!((times, status_of(&end)), (vec![15_000], Some(200)));
}

#[tokio::test(start_paused = true)]
async fn block_beyond_the_deadline_fails_without_a_request() {
    let limiter = blocked_limiter("20").await;
    let started = Instant::now();
    let transport = statuses(&[200]);
    let end = with_limiter(limiter, seconds(19)).run(&transport).await;
    assert!(matches!(end, AttemptOutcome::BlockedByRetryAfter(block) if block == seconds(20)));
    assert_eq!((transport.count(), started.elapsed()), (0, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn block_is_capped_at_1min() {
    let limiter = blocked_limiter("3600").await;
    let (times, _) = run_and_time(&with_limiter(limiter, HOUR), &statuses(&[200])).await;
    assert_eq!(times, [60_000]);
}

#[tokio::test(start_paused = true)]
async fn only_429_with_retry_after_blocks_the_endpoint() {
    for response in [
        FakeResponse::new(503, "").retry_after("20"),
        FakeResponse::new(429, ""),
        FakeResponse::new(429, "").retry_after("soon"),
    ] {
        let first = Conditions::without_retries();
        first.run(&responses(&[response])).await;
        let (times, _) = run_and_time(&with_limiter(first.limiter, HOUR), &statuses(&[200])).await;
        assert_eq!(times, [0]);
    }
}

#[tokio::test(start_paused = true)]
async fn disabled_retries_still_wait_for_a_block() {
    let limiter = blocked_limiter("20").await;
    let conditions = Conditions {
        policy: None,
        ..with_limiter(limiter, HOUR)
    };
    let (times, end) = run_and_time(&conditions, &statuses(&[200])).await;
    assert_eq!((times, status_of(&end)), (vec![20_000], Some(200)));
}

#[tokio::test(start_paused = true)]
async fn permit_waiter_respects_a_429_received_meanwhile() {
    let started = Instant::now();
    let transport = FakeTransport::scripted(|nth, _| {
        let response = if nth == 0 {
            FakeResponse::new(429, "").retry_after("10")
        } else {
            FakeResponse::new(200, "")
        };
        FakeOutcome::from(response).after(seconds(1))
    });
    let limiter = Arc::new(EndpointLimiter::new(FakeClock::new()));
    let retry_loops: Vec<_> = (0..32)
        .map(|_| {
            let (transport, limiter) = (transport.clone(), limiter.clone());
            tokio::spawn(async move {
                let conditions = Conditions {
                    policy: None,
                    ..with_limiter(limiter, HOUR)
                };
                status_of(&conditions.run(&transport).await)
            })
        })
        .collect();
    for retry_loop in retry_loops {
        assert!(retry_loop.await.expect("no panic").is_some());
    }
    let times = transport.times(started);
    assert_eq!((times.len(), times[30], times[31]), (32, 0, 11_000));
}

#[tokio::test(start_paused = true)]
async fn starting_endpoint_window_counts_from_the_first_attempt() {
    let limiter = blocked_limiter("20").await;
    let transport = FakeTransport::scripted(|nth, _| match nth {
        0..4 => TransportErrorKind::ConnectionRefused.into(),
        _ => FakeResponse::new(200, "").into(),
    });
    let (times, end) = run_and_time(&with_limiter(limiter, HOUR), &transport).await;
    assert_eq!(times, [20_000, 20_250, 20_750, 21_750, 23_750]);
    assert_eq!(status_of(&end), Some(200));
}

#[tokio::test(start_paused = true)]
async fn jitter_does_not_extend_a_block_beyond_the_deadline() {
    let limiter = blocked_limiter("10").await;
    let conditions = Conditions {
        fraction: 0.999,
        ..with_limiter(limiter, seconds(11))
    };
    let (times, _) = run_and_time(&conditions, &statuses(&[200])).await;
    assert!(
        times.iter().all(|time| (10_000..=11_000).contains(time)),
        "{times:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn delay_ends_by_wall_clock_after_suspend() {
    let conditions = Conditions::of(&IMDS_DEFAULT);
    let clock = conditions.clock.clone();
    let transport = FakeTransport::scripted(move |nth, _| {
        if nth == 0 {
            // The machine is suspended during the delay of ten seconds. The monotonic clock stops meanwhile.
            let clock = clock.clone();
            tokio::spawn(async move {
                sleep(Duration::from_millis(1_500)).await;
                clock.jump(HOUR);
            });
            FakeResponse::new(410, "").into()
        } else {
            FakeResponse::new(200, "").into()
        }
    });
    let (times, end) = run_and_time(&conditions, &transport).await;
    assert_eq!(status_of(&end), Some(200));
    assert_eq!(times, [0, 2_000], "the wall clock is compared once a second");
}

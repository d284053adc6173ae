//! A caller's `retryOptions`, which replace numbers of the retry table.

use super::*;

fn with(policy: &'static RetryPolicy, retry_options: RetryOptions) -> Conditions {
    Conditions {
        retry_options,
        ..Conditions::of(policy)
    }
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn retries(max: u32) -> RetryOptions {
    RetryOptions {
        max_retries: Some(max),
        ..RetryOptions::default()
    }
}

/// Returns when requests are sent to an endpoint whose requests all have this outcome, in milliseconds.
async fn times_of(
    conditions: &Conditions,
    outcome: impl Fn() -> FakeOutcome + Send + Sync + 'static,
) -> Vec<u128> {
    run_and_time(conditions, &FakeTransport::scripted(move |_, _| outcome()))
        .await
        .0
}

#[tokio::test(start_paused = true)]
async fn max_retries_repermits_every_policy_limit() {
    let busy = || FakeResponse::new(503, "").into();
    let updating = || FakeResponse::new(410, "").into();
    let refused = || TransportErrorKind::ConnectionRefused.into();
    let unknown = || TransportErrorKind::NameResolution.into();
    for max in [0, 1, 2, 5, 10] {
        let expected = max as usize + 1;
        for policy in [&IMDS_DEFAULT, &IMDS_CONFIGURED, &DEFAULT] {
            let conditions = || with(policy, retries(max));
            assert_eq!(times_of(&conditions(), busy).await.len(), expected);
            assert_eq!(times_of(&conditions(), refused).await.len(), expected);
            assert_eq!(times_of(&conditions(), unknown).await.len(), expected);
        }
        let updated = times_of(&with(&IMDS_DEFAULT, retries(max)), updating).await;
        let expected_times: Vec<u128> = (0..=u128::from(max)).map(|nth| nth * 10_000).collect();
        assert_eq!(updated, expected_times, "the delays remain those of the table");
    }
}

#[tokio::test(start_paused = true)]
async fn max_retries_counts_all_kinds_of_retries() {
    let transport = FakeTransport::scripted(|nth, _| match nth {
        0 => FakeResponse::new(503, "").into(),
        1 => TransportErrorKind::ConnectionRefused.into(),
        2 => TransportErrorKind::ConnectTimeout.into(),
        _ => FakeResponse::new(500, "").into(),
    });
    let (times, end) = run_and_time(&with(&DEFAULT, retries(3)), &transport).await;
    assert_eq!(
        (times, status_of(&end)),
        (vec![0, 1_000, 1_250, 2_250], Some(500))
    );
}

#[tokio::test(start_paused = true)]
async fn retry_delay_doubles_up_to_the_maximum() {
    let delays = |delay, max_delay| RetryOptions {
        max_retries: Some(5),
        delay,
        max_delay,
    };
    let busy = || FakeResponse::new(503, "").into();
    for (options, expected) in [
        (
            delays(Some(millis(100)), None),
            vec![0, 100, 300, 700, 1_500, 3_100],
        ),
        (
            delays(Some(millis(100)), Some(millis(250))),
            vec![0, 100, 300, 550, 800, 1_050],
        ),
        (
            delays(Some(millis(500)), Some(millis(200))),
            vec![0, 200, 400, 600, 800, 1_000],
        ),
        (delays(Some(millis(0)), None), vec![0; 6]),
        (
            delays(None, Some(millis(1_500))),
            vec![0, 1_000, 2_500, 4_000, 5_500, 7_000],
        ),
        (delays(None, Some(millis(0))), vec![0; 6]),
        (
            delays(Some(millis(30_000)), None),
            vec![0, 30_000, 90_000, 154_000, 218_000, 282_000],
        ),
    ] {
        assert_eq!(
            times_of(&with(&IMDS_DEFAULT, options), busy).await,
            expected,
            "{options:?}"
        );
    }
    // The maximum includes the jitter.
    let conditions = Conditions {
        fraction: 0.5,
        ..with(&IMDS_DEFAULT, delays(Some(millis(1_000)), Some(millis(2_100))))
    };
    assert_eq!(
        times_of(&conditions, busy).await,
        [0, 1_100, 3_200, 5_300, 7_400, 9_500]
    );
}

#[tokio::test(start_paused = true)]
async fn starting_endpoint_keeps_its_10s_window_without_max_retries() {
    let delay = |delay| RetryOptions {
        delay,
        ..RetryOptions::default()
    };
    let refused = || TransportErrorKind::ConnectionRefused.into();
    let times = times_of(&with(&DEFAULT, delay(Some(millis(1_000)))), refused).await;
    assert_eq!(times, [0, 1_000, 3_000, 7_000]);
    let times = times_of(&with(&DEFAULT, delay(Some(millis(0)))), refused).await;
    assert_eq!(times, [0; 11]);
    let times = times_of(&with(&DEFAULT, delay(Some(millis(200_000)))), refused).await;
    assert_eq!(times, [0]);
}

#[tokio::test(start_paused = true)]
async fn delays_after_429_are_capped_by_max_delay() {
    let throttled = || FakeResponse::new(429, "").into();
    let with_full_jitter = |retry_options| Conditions {
        fraction: 1.0,
        ..with(&DEFAULT, retry_options)
    };
    assert_eq!(
        times_of(&with_full_jitter(retries(2)), throttled).await,
        [0, 2_000, 6_000]
    );
    assert_eq!(times_of(&with_full_jitter(retries(10)), throttled).await.len(), 8);
    assert_eq!(times_of(&with_full_jitter(retries(0)), throttled).await, [0]);
    let limited = RetryOptions {
        max_retries: Some(3),
        delay: Some(millis(1)),
        max_delay: Some(millis(3_000)),
    };
    assert_eq!(
        times_of(&with_full_jitter(limited), throttled).await,
        [0, 2_000, 5_000, 8_000]
    );
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_in_full_or_not_at_all() {
    let limited = |max_delay| Conditions {
        fraction: 0.5,
        ..with(
            &DEFAULT,
            RetryOptions {
                max_delay,
                ..retries(1)
            },
        )
    };
    for status in [429, 503] {
        let throttled = move || FakeResponse::new(status, "").retry_after("5").into();
        assert_eq!(times_of(&limited(None), throttled).await, [0, 5_500]);
        assert_eq!(
            times_of(&limited(Some(millis(5_200))), throttled).await,
            [0, 5_200]
        );
        assert_eq!(
            times_of(&limited(Some(millis(5_000))), throttled).await,
            [0, 5_000]
        );
        assert_eq!(times_of(&limited(Some(millis(4_999))), throttled).await, [0]);
    }
}

#[tokio::test(start_paused = true)]
async fn disabled_retries_still_answer_a_challenge() {
    let conditions = Conditions {
        policy: None,
        ..with(&DEFAULT, retries(10))
    };
    assert_eq!(
        times_of(&conditions, || FakeResponse::new(503, "").into()).await,
        [0]
    );
    let transport = statuses(&[401, 200]);
    let challenge = |response: &Response| Ok((response.status == 401).then(get));
    let end = with(&DEFAULT, retries(0))
        .run_with(&transport, &get(), &challenge)
        .await;
    assert_eq!((status_of(&end), transport.count()), (Some(200), 2));
}

#[tokio::test(start_paused = true)]
async fn identity_not_found_retry_ignores_max_retries() {
    let conditions = Conditions {
        identity_not_found: Some(IdentityNotFoundRetry {
            window: Duration::from_secs(10),
            is_missing: |response| response.status == 400,
        }),
        ..with(&DEFAULT, retries(0))
    };
    let missing = || FakeResponse::new(400, "").into();
    assert_eq!(times_of(&conditions, missing).await, [0, 1_000, 3_000, 7_000]);
}

#[tokio::test(start_paused = true)]
async fn last_attempt_after_a_timeout_has_three_times_the_limit() {
    let started = Instant::now();
    let silent = || FakeOutcome::Silence;
    let times = times_of(&with(&DEFAULT, retries(2)), silent).await;
    assert_eq!(
        (times, started.elapsed().as_secs()),
        (vec![0, 11_000, 22_000], 52)
    );
    // A single attempt does not follow a timeout, so it has the normal limit.
    let started = Instant::now();
    let times = times_of(&with(&DEFAULT, retries(0)), silent).await;
    assert_eq!((times, started.elapsed().as_secs()), (vec![0], 10));
}

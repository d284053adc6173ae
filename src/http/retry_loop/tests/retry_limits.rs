//! The number of retries, and their delays.

use super::*;

#[tokio::test(start_paused = true)]
async fn each_status_has_the_retries_of_its_row() {
    const ONCE: &[u128] = &[0];
    const IMDS: &[u128] = &[0, 1_000, 3_000, 7_000];
    const UPDATING: &[u128] = &[0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000, 70_000];
    const OTHERS: &[u128] = &[0, 1_000, 2_000, 3_000];
    // Seven random delays. The fraction of these tests, 0, selects the shortest ones.
    const THROTTLED: &[u128] = &[0; 8];
    for status in 200..=999 {
        let imds = match status {
            404 | 408 | 500..=599 => IMDS,
            429 => THROTTLED,
            410 => UPDATING,
            _ => ONCE,
        };
        let others = match status {
            404 | 408 | 500 | 502 | 503 | 504 => OTHERS,
            429 => THROTTLED,
            _ => ONCE,
        };
        for (policy, expected) in [
            (&IMDS_DEFAULT, imds),
            (&IMDS_CONFIGURED, imds),
            (&DEFAULT, others),
        ] {
            let (times, end) = run_and_time(&Conditions::of(policy), &statuses(&[status])).await;
            assert_eq!(times, expected, "{status}");
            assert_eq!(status_of(&end), Some(status));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn starting_endpoint_is_retried_for_10s() {
    let expected = [0, 250, 750, 1_750, 3_750, 5_750, 7_750, 9_750];
    for kind in [
        TransportErrorKind::ConnectionRefused,
        TransportErrorKind::ConnectionReset,
        TransportErrorKind::ConnectionClosed,
    ] {
        for policy in [&IMDS_CONFIGURED, &DEFAULT] {
            let transport = FakeTransport::scripted(move |_, _| kind.into());
            let (times, end) = run_and_time(&Conditions::of(policy), &transport).await;
            assert_eq!(times, expected, "{kind:?}");
            assert_eq!(error_kind_of(&end), Some(kind));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn connection_lost_after_almost_10s_is_retried_once() {
    for kind in [
        TransportErrorKind::ConnectionRefused,
        TransportErrorKind::ConnectionReset,
        TransportErrorKind::ConnectionClosed,
    ] {
        let transport =
            FakeTransport::scripted(move |_, _| FakeOutcome::from(kind).after(Duration::from_millis(9_900)));
        let (times, end) = run_and_time(&Conditions::of(&DEFAULT), &transport).await;
        assert_eq!(times, [0, 10_150], "{kind:?}");
        assert_eq!(error_kind_of(&end), Some(kind));
    }
}

#[tokio::test(start_paused = true)]
async fn started_endpoint_returns_a_token() {
    let transport = FakeTransport::scripted(|nth, _| match nth {
        0..4 => TransportErrorKind::ConnectionRefused.into(),
        _ => FakeResponse::new(200, "").into(),
    });
    let (times, end) = run_and_time(&Conditions::of(&DEFAULT), &transport).await;
    assert_eq!((times.last(), status_of(&end)), (Some(&3_750), Some(200)));
}

#[tokio::test(start_paused = true)]
async fn unreachable_imds_is_retried_once() {
    for kind in [
        TransportErrorKind::ConnectionRefused,
        TransportErrorKind::ConnectionReset,
        TransportErrorKind::ConnectionClosed,
    ] {
        let transport = FakeTransport::scripted(move |_, _| kind.into());
        let (times, _) = run_and_time(&Conditions::of(&IMDS_DEFAULT), &transport).await;
        assert_eq!(times, [0, 1_000], "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_transport_error_has_the_retries_of_its_row() {
    use TransportErrorKind as Kind;
    for policy in [&IMDS_DEFAULT, &IMDS_CONFIGURED, &DEFAULT] {
        for (kind, expected) in [
            (Kind::ConnectTimeout, &[0, 1_000][..]),
            (Kind::RequestTimeout, &[0, 1_000]),
            (Kind::CustomClientTimeout, &[0, 1_000]),
            (Kind::Unreachable, &[0, 1_000]),
            (Kind::Local, &[0, 1_000]),
            (Kind::NameResolution, &[0, 1_000]),
            (Kind::Tls, &[0]),
            (Kind::ThumbprintMismatch, &[0]),
            (Kind::NotHttp, &[0]),
            (Kind::BodyTooLarge, &[0]),
            (Kind::CustomClient, &[0]),
            (Kind::InvalidRequest, &[0]),
        ] {
            let transport = FakeTransport::scripted(move |_, _| kind.into());
            let (times, end) = run_and_time(&Conditions::of(policy), &transport).await;
            assert_eq!(times, expected, "{kind:?}");
            assert_eq!(error_kind_of(&end), Some(kind));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn retry_limit_follows_the_latest_status() {
    for (script, expected) in [
        // Retries after one status count for the next one.
        (
            &[503, 503, 503, 410][..],
            &[0, 1_000, 3_000, 7_000, 17_000, 27_000, 37_000, 47_000][..],
        ),
        (&[410, 410, 410, 410, 503], &[0, 10_000, 20_000, 30_000, 40_000]),
        (&[410, 503, 404, 500], &[0, 10_000, 12_000, 16_000]),
        (&[503, 400], &[0, 1_000]),
        (&[404, 410, 200], &[0, 1_000, 11_000]),
        (
            &[503, 503, 503, 429],
            &[0, 1_000, 3_000, 7_000, 7_000, 7_000, 7_000, 7_000],
        ),
        (&[429, 429, 429, 503], &[0, 0, 0, 0]),
    ] {
        let (times, end) = run_and_time(&Conditions::of(&IMDS_DEFAULT), &statuses(script)).await;
        assert_eq!(times, expected, "{script:?}");
        assert_eq!(status_of(&end), script.last().copied());
    }
}

#[tokio::test(start_paused = true)]
async fn status_retries_do_not_consume_transport_error_retries() {
    let transport = FakeTransport::scripted(|nth, _| match nth {
        0 => TransportErrorKind::NameResolution.into(),
        1..4 => FakeResponse::new(503, "").into(),
        4 => TransportErrorKind::ConnectionReset.into(),
        _ => FakeResponse::new(200, "").into(),
    });
    let (times, end) = run_and_time(&Conditions::of(&DEFAULT), &transport).await;
    assert_eq!(times, [0, 1_000, 2_000, 3_000, 4_000, 4_250]);
    assert_eq!(status_of(&end), Some(200));
}

#[tokio::test(start_paused = true)]
async fn second_timeout_ends_the_retry_loop() {
    let transport = FakeTransport::scripted(|nth, _| match nth {
        0 | 2 => TransportErrorKind::ConnectTimeout.into(),
        _ => FakeResponse::new(503, "").into(),
    });
    let (times, end) = run_and_time(&Conditions::of(&DEFAULT), &transport).await;
    assert_eq!(times, [0, 1_000, 2_000]);
    assert_eq!(error_kind_of(&end), Some(TransportErrorKind::ConnectTimeout));
}

#[tokio::test(start_paused = true)]
async fn jitter_adds_up_to_20_percent() {
    let jittered = |policy| Conditions {
        fraction: 0.5,
        ..Conditions::of(policy)
    };
    let (times, _) = run_and_time(&jittered(&IMDS_DEFAULT), &statuses(&[503])).await;
    assert_eq!(times, [0, 1_100, 3_300, 7_700]);

    let mut most = jittered(&IMDS_DEFAULT);
    most.fraction = 0.999;
    let (times, _) = run_and_time(&most, &statuses(&[503])).await;
    assert_eq!(times.len(), 4);
    assert!((8_390..=8_400).contains(&times[3]), "{times:?}");

    // With longer delays fewer attempts fit into ten seconds.
    let refused = FakeTransport::scripted(|_, _| TransportErrorKind::ConnectionRefused.into());
    let (times, _) = run_and_time(&jittered(&DEFAULT), &refused).await;
    assert_eq!(times, [0, 275, 825, 1_925, 4_125, 6_325, 8_525]);
}

#[tokio::test(start_paused = true)]
async fn retry_after_gets_jitter_of_1s_or_20_percent() {
    for (retry_after, second) in [
        ("1", 1_500),
        ("4", 4_500),
        ("5", 5_500),
        ("10", 11_000),
        ("40", 44_000),
    ] {
        let transport = responses(&[FakeResponse::new(503, "").retry_after(retry_after)]);
        let conditions = Conditions {
            fraction: 0.5,
            ..Conditions::of(&DEFAULT)
        };
        let (times, _) = run_and_time(&conditions, &transport).await;
        let expected: Vec<u128> = (0..4).map(|nth| nth * second).collect();
        assert_eq!(times, expected, "{retry_after}");
    }
    // A value that is shorter than the table's delay does not change that delay.
    let transport = responses(&[FakeResponse::new(503, "").retry_after("2")]);
    let conditions = Conditions {
        fraction: 0.5,
        ..Conditions::of(&IMDS_DEFAULT)
    };
    let (times, _) = run_and_time(&conditions, &transport).await;
    assert_eq!(times, [0, 2_500, 5_000, 9_400]);
}

#[tokio::test(start_paused = true)]
async fn throttled_retry_uses_full_jitter_from_2s_to_8s() {
    for policy in [&IMDS_DEFAULT, &IMDS_CONFIGURED, &DEFAULT] {
        for (fraction, expected) in [
            (0.0, [0; 8]),
            (0.5, [0, 1_000, 3_000, 7_000, 11_000, 15_000, 19_000, 23_000]),
            (1.0, [0, 2_000, 6_000, 14_000, 22_000, 30_000, 38_000, 46_000]),
        ] {
            let conditions = Conditions {
                fraction,
                ..Conditions::of(policy)
            };
            let (times, end) = run_and_time(&conditions, &statuses(&[429])).await;
            assert_eq!((times.as_slice(), status_of(&end)), (&expected[..], Some(429)));
        }
    }
    // An invalid Retry-After counts as none. With a valid one, the number of retries is that of the table.
    let unreadable = responses(&[FakeResponse::new(429, "").retry_after("soon")]);
    let (times, _) = run_and_time(&Conditions::of(&DEFAULT), &unreadable).await;
    assert_eq!(times.len(), 8);
    let readable = responses(&[FakeResponse::new(429, "").retry_after("2")]);
    let (times, _) = run_and_time(&Conditions::of(&DEFAULT), &readable).await;
    assert_eq!(times, [0, 2_000, 4_000, 6_000]);
}

#[tokio::test(start_paused = true)]
async fn delay_beyond_the_deadline_is_not_started() {
    let conditions = Conditions {
        total: Duration::from_millis(6_999),
        ..Conditions::of(&IMDS_DEFAULT)
    };
    let started = Instant::now();
    let (times, end) = run_and_time(&conditions, &statuses(&[503])).await;
    assert_eq!((times, status_of(&end)), (vec![0, 1_000, 3_000], Some(503)));
    assert_eq!(started.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn disabled_retries_send_exactly_one_request() {
    for status in [404, 410, 429, 500, 503] {
        let (times, end) = run_and_time(&Conditions::without_retries(), &statuses(&[status])).await;
        assert_eq!((times, status_of(&end)), (vec![0], Some(status)));
    }
    for kind in [
        TransportErrorKind::ConnectionRefused,
        TransportErrorKind::NameResolution,
    ] {
        let transport = FakeTransport::scripted(move |_, _| kind.into());
        let (times, end) = run_and_time(&Conditions::without_retries(), &transport).await;
        assert_eq!((times, error_kind_of(&end)), (vec![0], Some(kind)));
    }
}

#[tokio::test(start_paused = true)]
async fn transport_errors_of_one_row_share_its_retry() {
    let transport = FakeTransport::scripted(|nth, _| match nth {
        0 => TransportErrorKind::ConnectionRefused.into(),
        _ => TransportErrorKind::ConnectTimeout.into(),
    });
    let (times, _) = run_and_time(&Conditions::of(&IMDS_DEFAULT), &transport).await;
    assert_eq!(times, [0, 1_000]);
}

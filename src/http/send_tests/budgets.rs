//! How often, and after what waits.

use super::*;

#[tokio::test(start_paused = true)]
async fn every_status_has_the_retries_of_its_row() {
    const ONCE: &[u128] = &[0];
    const IMDS: &[u128] = &[0, 1_000, 3_000, 7_000];
    const UPDATING: &[u128] = &[0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000, 70_000];
    const OTHERS: &[u128] = &[0, 1_000, 2_000, 3_000];
    for status in 200..=999 {
        let imds = match status {
            404 | 408 | 429 | 500..=599 => IMDS,
            410 => UPDATING,
            _ => ONCE,
        };
        let others = match status {
            404 | 408 | 429 | 500 | 502 | 503 | 504 => OTHERS,
            _ => ONCE,
        };
        for (policy, expected) in [
            (&IMDS_DEFAULT, imds),
            (&IMDS_CONFIGURED, imds),
            (&CONFIGURED, others),
        ] {
            let (times, end) = sent(&Conditions::of(policy), &statuses(&[status])).await;
            assert_eq!(times, expected, "{status}");
            assert_eq!(status_of(&end), Some(status));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_starts_is_asked_for_ten_seconds() {
    let expected = [0, 250, 750, 1_750, 3_750, 5_750, 7_750, 9_750];
    for kind in [FaultKind::Refused, FaultKind::Reset, FaultKind::Closed] {
        for policy in [&IMDS_CONFIGURED, &CONFIGURED] {
            let net = FakeNet::playing(move |_, _| kind.into());
            let (times, end) = sent(&Conditions::of(policy), &net).await;
            assert_eq!(times, expected, "{kind:?}");
            assert_eq!(fault_of(&end), Some(kind));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_has_started_answers() {
    let net = FakeNet::playing(|nth, _| match nth {
        0..4 => FaultKind::Refused.into(),
        _ => Reply::new(200, "").into(),
    });
    let (times, end) = sent(&Conditions::of(&CONFIGURED), &net).await;
    assert_eq!((times.last(), status_of(&end)), (Some(&3_750), Some(200)));
}

#[tokio::test(start_paused = true)]
async fn nobody_at_imds_own_address_is_asked_once_more() {
    for kind in [FaultKind::Refused, FaultKind::Reset, FaultKind::Closed] {
        let net = FakeNet::playing(move |_, _| kind.into());
        let (times, _) = sent(&Conditions::of(&IMDS_DEFAULT), &net).await;
        assert_eq!(times, [0, 1_000], "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_other_fault_has_the_retries_of_its_row() {
    use FaultKind as F;
    for policy in [&IMDS_DEFAULT, &IMDS_CONFIGURED, &CONFIGURED] {
        for (kind, expected) in [
            (F::ConnectTimeout, &[0, 1_000][..]),
            (F::RequestTimeout, &[0, 1_000]),
            (F::CallersTimeout, &[0, 1_000]),
            (F::Unroutable, &[0, 1_000]),
            (F::Local, &[0, 1_000]),
            (F::NameResolution, &[0, 1_000]),
            (F::Tls, &[0]),
            (F::ThumbprintMismatch, &[0]),
            (F::NotHttp, &[0]),
            (F::BodyTooLarge, &[0]),
            (F::CallersClient, &[0]),
            (F::Unsendable, &[0]),
        ] {
            let net = FakeNet::playing(move |_, _| kind.into());
            let (times, end) = sent(&Conditions::of(policy), &net).await;
            assert_eq!(times, expected, "{kind:?}");
            assert_eq!(fault_of(&end), Some(kind));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_budget_follows_the_latest_status() {
    for (script, expected) in [
        // What was spent on one status is spent for the next.
        (
            &[503, 503, 503, 410][..],
            &[0, 1_000, 3_000, 7_000, 17_000, 27_000, 37_000, 47_000][..],
        ),
        (&[410, 410, 410, 410, 503], &[0, 10_000, 20_000, 30_000, 40_000]),
        (&[410, 503, 404, 500], &[0, 10_000, 12_000, 16_000]),
        (&[503, 400], &[0, 1_000]),
        (&[429, 410, 200], &[0, 1_000, 11_000]),
    ] {
        let (times, end) = sent(&Conditions::of(&IMDS_DEFAULT), &statuses(script)).await;
        assert_eq!(times, expected, "{script:?}");
        assert_eq!(status_of(&end), script.last().copied());
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_does_not_use_up_what_a_fault_may_spend() {
    let net = FakeNet::playing(|nth, _| match nth {
        0 => FaultKind::NameResolution.into(),
        1..4 => Reply::new(503, "").into(),
        4 => FaultKind::Reset.into(),
        _ => Reply::new(200, "").into(),
    });
    let (times, end) = sent(&Conditions::of(&CONFIGURED), &net).await;
    assert_eq!(times, [0, 1_000, 2_000, 3_000, 4_000, 4_250]);
    assert_eq!(status_of(&end), Some(200));
}

#[tokio::test(start_paused = true)]
async fn a_second_time_out_ends_it_whatever_came_between() {
    let net = FakeNet::playing(|nth, _| match nth {
        0 | 2 => FaultKind::ConnectTimeout.into(),
        _ => Reply::new(503, "").into(),
    });
    let (times, end) = sent(&Conditions::of(&CONFIGURED), &net).await;
    assert_eq!(times, [0, 1_000, 2_000]);
    assert_eq!(fault_of(&end), Some(FaultKind::ConnectTimeout));
}

#[tokio::test(start_paused = true)]
async fn jitter_adds_up_to_a_fifth_of_every_wait() {
    let jittered = |policy| Conditions {
        fraction: 0.5,
        ..Conditions::of(policy)
    };
    let (times, _) = sent(&jittered(&IMDS_DEFAULT), &statuses(&[503])).await;
    assert_eq!(times, [0, 1_100, 3_300, 7_700]);

    let mut most = jittered(&IMDS_DEFAULT);
    most.fraction = 0.999;
    let (times, _) = sent(&most, &statuses(&[503])).await;
    assert_eq!(times.len(), 4);
    assert!((8_390..=8_400).contains(&times[3]), "{times:?}");

    // Longer waits leave room for fewer tries in ten seconds.
    let refused = FakeNet::playing(|_, _| FaultKind::Refused.into());
    let (times, _) = sent(&jittered(&CONFIGURED), &refused).await;
    assert_eq!(times, [0, 275, 825, 1_925, 4_125, 6_325, 8_525]);

    let asked = answers(&[Reply::new(503, "").retry_after("10")]);
    let (times, _) = sent(&jittered(&CONFIGURED), &asked).await;
    assert_eq!(times, [0, 11_000, 22_000, 33_000]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_deadline_cannot_hold_is_not_begun() {
    let conditions = Conditions {
        total: Duration::from_millis(6_999),
        ..Conditions::of(&IMDS_DEFAULT)
    };
    let started = Instant::now();
    let (times, end) = sent(&conditions, &statuses(&[503])).await;
    assert_eq!((times, status_of(&end)), (vec![0, 1_000, 3_000], Some(503)));
    assert_eq!(started.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn without_retries_one_request_is_sent() {
    for play in [404, 410, 429, 500, 503] {
        let (times, end) = sent(&Conditions::without_retries(), &statuses(&[play])).await;
        assert_eq!((times, status_of(&end)), (vec![0], Some(play)));
    }
    for kind in [FaultKind::Refused, FaultKind::NameResolution] {
        let net = FakeNet::playing(move |_, _| kind.into());
        let (times, end) = sent(&Conditions::without_retries(), &net).await;
        assert_eq!((times, fault_of(&end)), (vec![0], Some(kind)));
    }
}

#[tokio::test(start_paused = true)]
async fn faults_of_two_kinds_share_the_one_retry_of_their_row() {
    let net = FakeNet::playing(|nth, _| match nth {
        0 => FaultKind::Refused.into(),
        _ => FaultKind::ConnectTimeout.into(),
    });
    let (times, _) = sent(&Conditions::of(&IMDS_DEFAULT), &net).await;
    assert_eq!(times, [0, 1_000]);
}

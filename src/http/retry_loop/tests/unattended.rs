//! A retry loop whose callers leave, and return.

use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Runs a retry loop whose only caller leaves after `wait`. Returns its outcome and how long it took.
async fn run_until_caller_leaves(
    conditions: &Conditions,
    transport: &FakeTransport,
    wait: Duration,
) -> (AttemptOutcome, Duration) {
    let started = Instant::now();
    let leaving = async {
        sleep(wait).await;
        conditions.waiters.leave();
    };
    let retry_loop = async { (conditions.run(transport).await, started.elapsed()) };
    tokio::join!(retry_loop, leaving).0
}

#[tokio::test(start_paused = true)]
async fn every_delay_ends_with_the_last_caller() {
    let updating = Conditions::of(&IMDS_DEFAULT);
    let (end, took) = run_until_caller_leaves(&updating, &statuses(&[410]), seconds(3)).await;
    assert!(matches!(end, AttemptOutcome::Unattended));
    assert_eq!(took, seconds(3));

    let blocked = Conditions::of(&DEFAULT);
    blocked.limiter.block_for(seconds(30));
    let transport = statuses(&[200]);
    let (end, took) = run_until_caller_leaves(&blocked, &transport, seconds(3)).await;
    assert!(matches!(end, AttemptOutcome::Unattended));
    assert_eq!((took, transport.count()), (seconds(3), 0));

    let saturated = Conditions::of(&DEFAULT);
    let mut permits = Vec::new();
    for _ in 0..31 {
        permits.push(saturated.limiter.acquire_request_permit().await);
    }
    let (end, took) = run_until_caller_leaves(&saturated, &transport, seconds(3)).await;
    assert!(matches!(end, AttemptOutcome::Unattended));
    assert_eq!((took, transport.count()), (seconds(3), 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_the_last_caller_left() {
    let conditions = Conditions::of(&DEFAULT);
    conditions.waiters.leave();
    let transport = statuses(&[200]);
    assert!(matches!(
        conditions.run(&transport).await,
        AttemptOutcome::Unattended
    ));
    assert_eq!(transport.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn transport_without_permits_does_not_wait_and_sends_nothing_without_callers() {
    let saturated = Conditions::of(&DEFAULT);
    let mut permits = Vec::new();
    for _ in 0..31 {
        permits.push(saturated.limiter.acquire_request_permit().await);
    }
    let transport = FakeTransport::numbered(7, |_, _| FakeResponse::new(200, "").into());
    assert_eq!(status_of(&saturated.run(&transport).await), Some(200));
    saturated.waiters.leave();
    assert!(matches!(
        saturated.run(&transport).await,
        AttemptOutcome::Unattended
    ));
    assert_eq!(transport.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn sent_request_completes_and_is_not_retried_without_callers() {
    for (status, is_final) in [(200, true), (400, true), (503, false), (429, false)] {
        let transport = FakeTransport::scripted(move |_, _| {
            FakeOutcome::from(FakeResponse::new(status, "")).after(seconds(5))
        });
        let conditions = Conditions::of(&DEFAULT);
        let (end, took) = run_until_caller_leaves(&conditions, &transport, seconds(1)).await;
        assert_eq!(matches!(end, AttemptOutcome::Unattended), !is_final, "{status}");
        assert_eq!((took, transport.count()), (seconds(5), 1), "{status}");
    }
    // A challenge is not answered either.
    let transport =
        FakeTransport::scripted(|_, _| FakeOutcome::from(FakeResponse::new(401, "")).after(seconds(5)));
    let conditions = Conditions::of(&DEFAULT);
    let leaving = async {
        sleep(seconds(1)).await;
        conditions.waiters.leave();
    };
    let request = get();
    let challenge = |response: &Response| Ok((response.status == 401).then(get));
    let (end, ()) = tokio::join!(conditions.run_with(&transport, &request, &challenge), leaving);
    assert!(matches!(end, AttemptOutcome::Unattended));
    assert_eq!(transport.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn retries_resume_for_returning_callers() {
    let transport = FakeTransport::scripted(|nth, _| {
        let status = if nth < 2 { 503 } else { 200 };
        FakeOutcome::from(FakeResponse::new(status, "")).after(seconds(5))
    });
    let conditions = Conditions::of(&DEFAULT);
    let started = Instant::now();
    let callers = async {
        for wait in [1, 1, 1, 1] {
            sleep(seconds(wait)).await;
            conditions.waiters.leave();
            sleep(Duration::from_millis(100)).await;
            conditions.waiters.join();
        }
    };
    let (end, ()) = tokio::join!(conditions.run(&transport), callers);
    assert_eq!(
        (status_of(&end), transport.times(started)),
        (Some(200), vec![0, 6_000, 12_000])
    );
}

#[tokio::test(start_paused = true)]
async fn permit_is_released_when_the_last_caller_leaves() {
    let conditions = Conditions::of(&DEFAULT);
    let transport = FakeTransport::scripted(|_, _| FakeOutcome::Silence);
    let started = Instant::now();
    let others = async {
        let mut permits = Vec::new();
        for _ in 0..30 {
            permits.push(conditions.limiter.acquire_request_permit().await);
        }
        let last = conditions.limiter.acquire_request_permit().await;
        assert_eq!(started.elapsed(), seconds(2));
        drop(last);
    };
    conditions.waiters.join();
    let leaving = async {
        sleep(seconds(1)).await;
        conditions.waiters.leave();
        sleep(seconds(1)).await;
        conditions.waiters.leave();
    };
    let (end, (), ()) = tokio::join!(conditions.run(&transport), others, leaving);
    assert!(matches!(end, AttemptOutcome::Unattended));
    // The exchange still had its whole time limit.
    assert_eq!(started.elapsed(), seconds(10));
}

#[tokio::test(start_paused = true)]
async fn oldest_unattended_request_ends_unless_rejoined() {
    let limiter = Conditions::of(&DEFAULT).limiter;
    let transport = FakeTransport::scripted(|_, _| FakeOutcome::Silence);
    let retry_loops: Vec<_> = (0..40)
        .map(|nth| {
            let (transport, limiter) = (transport.clone(), limiter.clone());
            tokio::spawn(async move {
                let conditions = Conditions {
                    limiter,
                    ..Conditions::of(&DEFAULT)
                };
                let callers = async {
                    sleep(Duration::from_millis(10 * nth + 10)).await;
                    conditions.waiters.leave();
                    if nth == 0 {
                        sleep(Duration::from_millis(1)).await;
                        conditions.waiters.join();
                        sleep(seconds(5)).await;
                        conditions.waiters.leave();
                    }
                };
                let started = Instant::now();
                let retry_loop = async {
                    sleep(Duration::from_millis(5 * nth)).await;
                    let end = conditions.run(&transport).await;
                    (matches!(end, AttemptOutcome::Unattended), started.elapsed())
                };
                tokio::join!(retry_loop, callers).0
            })
        })
        .collect();
    sleep(seconds(1)).await;
    assert_eq!(transport.in_flight(), 32);
    let mut ended_early = Vec::new();
    for (nth, retry_loop) in retry_loops.into_iter().enumerate() {
        let (is_unattended, took) = retry_loop.await.expect("no panic");
        assert!(is_unattended);
        if took < seconds(1) {
            ended_early.push(nth);
        }
    }
    assert_eq!(ended_early, (1..9).collect::<Vec<_>>());
}

//! One exchange: its time limit, its challenge, and the request of a retry.

use std::sync::Mutex;
use std::sync::atomic::AtomicU32;

use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn each_request_has_its_own_timeout() {
    let silent = FakeTransport::scripted(|_, _| FakeOutcome::Silence);
    let started = Instant::now();
    let (times, end) = run_and_time(&Conditions::of(&DEFAULT), &silent).await;
    // The limit of the last request is three times as long.
    assert_eq!((times, started.elapsed()), (vec![0, 11_000], seconds(41)));
    assert_eq!(error_kind_of(&end), Some(TransportErrorKind::RequestTimeout));
    assert_eq!(silent.in_flight(), 0);

    // A challenge and the request that responds to it are two exchanges.
    let slow = FakeTransport::scripted(|nth, _| {
        let status = if nth == 0 { 401 } else { 200 };
        FakeOutcome::from(FakeResponse::new(status, "")).after(seconds(9))
    });
    let challenge = |response: &Response| Ok((response.status == 401).then(get));
    let end = Conditions::of(&DEFAULT).run_with(&slow, &get(), &challenge).await;
    assert_eq!((status_of(&end), slow.count()), (Some(200), 2));
}

#[tokio::test(start_paused = true)]
async fn endpoint_that_takes_12s_returns_a_token() {
    for policy in [&IMDS_DEFAULT, &IMDS_CONFIGURED, &DEFAULT] {
        let slow =
            FakeTransport::scripted(|_, _| FakeOutcome::from(FakeResponse::new(200, "")).after(seconds(12)));
        let started = Instant::now();
        let (times, end) = run_and_time(&Conditions::of(policy), &slow).await;
        assert_eq!((times, status_of(&end)), (vec![0, 11_000], Some(200)));
        assert_eq!(started.elapsed(), seconds(23));
    }
    // The longer limit remains after other outcomes: another timeout would still be final.
    let slow = FakeTransport::scripted(|nth, _| {
        let status = if nth < 3 { 503 } else { 200 };
        FakeOutcome::from(FakeResponse::new(status, "")).after(seconds(12))
    });
    let (times, end) = run_and_time(&Conditions::of(&DEFAULT), &slow).await;
    assert_eq!(
        (times, status_of(&end)),
        (vec![0, 11_000, 24_000, 37_000], Some(200))
    );
    // A connect timeout is not a slow response.
    let started = Instant::now();
    let transport = FakeTransport::scripted(|nth, _| match nth {
        0 => FakeOutcome::NoConnection,
        _ => FakeOutcome::Silence,
    });
    run_and_time(&Conditions::of(&DEFAULT), &transport).await;
    assert_eq!(started.elapsed(), seconds(3 + 1 + 10));
}

#[tokio::test(start_paused = true)]
async fn unreachable_imds_fails_within_7s() {
    let transport = FakeTransport::scripted(|_, _| FakeOutcome::NoConnection);
    let started = Instant::now();
    let (times, end) = run_and_time(&Conditions::of(&IMDS_DEFAULT), &transport).await;
    assert_eq!((times, started.elapsed()), (vec![0, 4_000], seconds(7)));
    assert_eq!(error_kind_of(&end), Some(TransportErrorKind::ConnectTimeout));
}

#[tokio::test(start_paused = true)]
async fn retry_sends_the_same_form() {
    let transport = statuses(&[503, 429, 200]);
    let url = Url::parse("http://127.0.0.1/msi").expect("a URL");
    let request = Request::post(url, "resource=https%3A%2F%2Fa".into()).header("Metadata", "true");
    let end = Conditions::of(&DEFAULT)
        .run_with(&transport, &request, &|_| Ok(None))
        .await;
    assert_eq!(status_of(&end), Some(200));
    let shown = |request: &Request| {
        let headers: Vec<_> = request
            .headers
            .iter()
            .map(|(name, value)| (*name, value.expose_secret().to_owned()))
            .collect();
        let body = request.body.as_ref().map(|body| body.expose_secret().to_owned());
        (request.method, request.url.clone(), headers, body)
    };
    let sent: Vec<_> = transport.requests().iter().map(shown).collect();
    assert_eq!(sent, vec![shown(&request); 3]);
    assert_eq!(sent[0].3.as_deref(), Some("resource=https%3A%2F%2Fa"));
}

#[tokio::test(start_paused = true)]
async fn retry_repeats_the_challenge_from_the_first_request() {
    let transport = statuses(&[401, 503, 401, 200]);
    let challenges = AtomicU32::new(0);
    let challenge = |response: &Response| {
        Ok((response.status == 401).then(|| {
            let nth = challenges.fetch_add(1, Ordering::Relaxed);
            get().header("Authorization", format!("Basic key{nth}"))
        }))
    };
    let conditions = Conditions::of(&DEFAULT);
    let end = conditions.run_with(&transport, &get(), &challenge).await;
    assert_eq!(status_of(&end), Some(200));
    let keys: Vec<_> = transport
        .requests()
        .iter()
        .map(|request| {
            let sent = request.headers.iter().find(|(name, _)| *name == "Authorization");
            sent.map(|(_, value)| value.expose_secret().to_owned())
        })
        .collect();
    let key = |nth| Some(format!("Basic key{nth}"));
    assert_eq!(keys, [None, key(0), None, key(1)]);
    assert_eq!(conditions.stats.attempts(), 4);
}

#[tokio::test(start_paused = true)]
async fn challenge_connection_is_returned_before_the_next_request() {
    // Otherwise the second request would open a second connection.
    let kept = Arc::new(Mutex::new(Vec::new()));
    let (transport, seen) = (statuses(&[401]), kept.clone());
    let counted = Arc::downgrade(&transport);
    transport.set_script(move |nth, _| {
        let kept = counted.upgrade().map(|transport| transport.kept_connections());
        seen.lock().expect("not poisoned").push(kept);
        FakeResponse::new(if nth == 0 { 401 } else { 200 }, "").into()
    });
    let challenge = |response: &Response| Ok((response.status == 401).then(get));
    let conditions = Conditions::of(&DEFAULT);
    let end = conditions.run_with(&transport, &get(), &challenge).await;
    assert_eq!(status_of(&end), Some(200));
    assert_eq!(*kept.lock().expect("not poisoned"), [Some(0), Some(1)]);

    // The connection of an unanswerable challenge is closed, and so is that of a response that is still to be read.
    let transport = statuses(&[401]);
    let unanswerable = |_: &Response| Err(Error::new(Code::InvalidSecret, "empty"));
    conditions.run_with(&transport, &get(), &unanswerable).await;
    conditions.run(&transport).await;
    assert_eq!((transport.count(), transport.kept_connections()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn disabled_retries_answer_a_challenge_once() {
    for (second, expected) in [(200, 200), (401, 401), (503, 503)] {
        let transport = statuses(&[401, second]);
        let challenge = |response: &Response| Ok((response.status == 401).then(get));
        let end = Conditions::without_retries()
            .run_with(&transport, &get(), &challenge)
            .await;
        assert_eq!((status_of(&end), transport.count()), (Some(expected), 2));
    }
}

#[tokio::test(start_paused = true)]
async fn unanswerable_challenge_ends_the_retry_loop() {
    let transport = statuses(&[401]);
    let challenge = |_: &Response| Err(Error::new(Code::InvalidSecret, "empty"));
    let end = Conditions::of(&DEFAULT)
        .run_with(&transport, &get(), &challenge)
        .await;
    assert!(matches!(end, AttemptOutcome::ChallengeFailed(error) if *error.code() == Code::InvalidSecret));
    assert_eq!(transport.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn attempt_stats_contain_attempts_and_last_error() {
    let transport = FakeTransport::scripted(|nth, _| match nth {
        0 => FakeResponse::new(503, "").into(),
        _ => FakeOutcome::Silence,
    });
    let conditions = Conditions::of(&DEFAULT);
    assert!(conditions.stats.last_error().is_none());
    let result = tokio::time::timeout(seconds(5), conditions.run(&transport)).await;
    assert!(result.is_err());
    assert_eq!(conditions.stats.attempts(), 2);
    let last = conditions.stats.last_error().expect("a failure");
    assert_eq!(last.details().message, "retry in 1000 ms");
}

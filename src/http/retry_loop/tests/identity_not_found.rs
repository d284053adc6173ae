//! An identity that is not found yet, and a caller that expects it to appear.

use super::*;

fn missing(response: &Response) -> bool {
    response.body.starts_with(b"Identity not found")
}

fn with_identity_retries(seconds: u64, policy: Option<&'static RetryPolicy>) -> Conditions {
    Conditions {
        policy,
        identity_not_found: Some(IdentityNotFoundRetry {
            window: Duration::from_secs(seconds),
            is_missing: missing,
        }),
        ..Conditions::of(&DEFAULT)
    }
}

fn not_found() -> Arc<FakeTransport> {
    responses(&[FakeResponse::new(400, "Identity not found")])
}

#[tokio::test(start_paused = true)]
async fn identity_not_found_is_retried_until_the_window_ends() {
    let conditions = with_identity_retries(30, Some(&DEFAULT));
    let (times, end) = run_and_time(&conditions, &not_found()).await;
    assert_eq!(times, [0, 1_000, 3_000, 7_000, 15_000, 25_000]);
    assert_eq!(status_of(&end), Some(400));
}

#[tokio::test(start_paused = true)]
async fn identity_may_appear_and_other_responses_keep_their_limits() {
    let conditions = with_identity_retries(30, Some(&DEFAULT));
    let mut script = vec![FakeResponse::new(400, "Identity not found"); 2];
    script.extend(vec![FakeResponse::new(503, ""); 3]);
    script.push(FakeResponse::token("t", 60));
    let (times, end) = run_and_time(&conditions, &responses(&script)).await;
    assert_eq!(times, [0, 1_000, 3_000, 4_000, 5_000, 6_000]);
    assert_eq!(status_of(&end), Some(200));
    // Another 400 is final.
    let (times, _) = run_and_time(&conditions, &statuses(&[400])).await;
    assert_eq!(times.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn identity_not_found_retry_is_opt_in() {
    let (times, _) = run_and_time(&Conditions::of(&DEFAULT), &not_found()).await;
    assert_eq!(times.len(), 1);
    let (times, _) = run_and_time(&with_identity_retries(30, None), &not_found()).await;
    assert_eq!(times.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn identity_not_found_retry_respects_deadline_and_retry_after() {
    let conditions = Conditions {
        total: Duration::from_secs(5),
        ..with_identity_retries(30, Some(&DEFAULT))
    };
    let (times, _) = run_and_time(&conditions, &not_found()).await;
    assert_eq!(times, [0, 1_000, 3_000]);
    let slow = responses(&[FakeResponse::new(400, "Identity not found").retry_after("9")]);
    let (times, _) = run_and_time(&with_identity_retries(30, Some(&DEFAULT)), &slow).await;
    assert_eq!(times, [0, 9_000, 18_000, 27_000]);
}

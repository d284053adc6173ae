//! Responses whose `expires_on` and `expires_in` disagree because the clocks of host and endpoint do.

use std::sync::Mutex;
use std::time::UNIX_EPOCH;

use super::*;
use crate::log::{Log, LogSink};
use crate::test_support::START;

#[derive(Default)]
struct Lines(Mutex<Vec<(Level, String)>>);

impl LogSink for Lines {
    fn write_line(&self, level: Level, line: String) {
        self.0.lock().expect("not poisoned").push((level, line));
    }
}

/// Returns a response that was sent `sent_ago` seconds before now, with an `expires_on` that is `expires_on` seconds after
/// now.
fn response(sent_ago: Option<u64>, expires_on: i64, expires_in: u64) -> FakeResponse {
    let expires_on = START.millis() / 1_000 + expires_on;
    let body = format!(r#"{{"access_token":"t","expires_on":"{expires_on}","expires_in":"{expires_in}"}}"#);
    let mut response = FakeResponse::new(200, body);
    let now = UNIX_EPOCH + Duration::from_millis(START.millis().unsigned_abs());
    response.headers.date = sent_ago.map(|ago| httpdate::fmt_http_date(now - seconds(ago)));
    response
}

#[tokio::test(start_paused = true)]
async fn expires_in_decides_and_a_warning_is_logged_if_the_clock_is_ahead() {
    let harness = Harness::scripted(|_, _| response(Some(DAY), -1, DAY - 1).into());
    let lines = Arc::new(Lines::default());
    let mut call = harness.call();
    call.application.log = Log::new(Level::Warning, Some(lines.clone()));
    let acquired = call.outcome().await.expect("a token");
    assert_eq!(acquired.token.expires_on, START.saturating_add(seconds(DAY - 1)));
    harness.call().acquired();
    assert_eq!(harness.transport.count(), 1);
    let lines = lines.0.lock().expect("not poisoned");
    let [(Level::Warning, line)] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert!(line.contains("clock is 86400 s ahead"), "{line}");
}

#[tokio::test(start_paused = true)]
async fn past_expires_on_is_an_expired_token_if_the_clock_is_right() {
    for sent_ago in [None, Some(0), Some(1)] {
        let harness = Harness::scripted(move |_, _| response(sent_ago, -1, HOUR).into());
        let error = harness.call().error().await;
        assert_eq!(*error.code(), Code::FailedResponse, "{sent_ago:?}");
        assert!(
            error.details().message.contains("has already expired"),
            "{sent_ago:?}"
        );
        let pending = harness.call().acquire();
        assert!(
            matches!(pending, Ok(Acquisition::Pending(_))),
            "nothing is cached"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn earlier_expiry_decides_if_the_clock_is_behind() {
    let day = i64::try_from(DAY).expect("a day");
    let harness = Harness::scripted(move |_, _| response(None, day + 3_600, HOUR).into());
    let acquired = harness.call().outcome().await.expect("a token");
    assert_eq!(acquired.token.expires_on, START.saturating_add(seconds(HOUR)));
}

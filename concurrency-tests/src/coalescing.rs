//! What must hold of the cache and the single flight under every schedule. That nobody waits for ever is shuttle's own
//! check: it fails where every task waits.

use std::time::Duration;

use shuttle::current::{me, set_label_for_task};
use shuttle::thread;
use tokio::time::{clear_triggers, trigger_timeouts};

use crate::acquisition::Acquisition;
use crate::harness::{Harness, assert_memo_is_right, nth, text, tokens, under_every_schedule};
use crate::options::request::CachePolicy;
use crate::sync::Arc;
use crate::test_support::{FakeOutcome, FakeResponse, FakeTransport};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

#[test]
fn concurrent_callers_share_one_request_and_token() {
    under_every_schedule(|| {
        let harness = Harness::new(FakeTransport::always_granting(DAY));
        let callers = (0..4).map(|_| harness.caller(CachePolicy::UseCache)).collect();
        let tokens = tokens(callers);
        assert!(
            tokens
                .iter()
                .all(|acquired| Arc::ptr_eq(&acquired.token, &tokens[0].token))
        );
        assert_eq!(harness.transport.count(), 1);
        assert_memo_is_right(&harness, &tokens);
    });
}

#[test]
fn error_is_shared_by_waiters_and_not_cached() {
    under_every_schedule(|| {
        let harness = Harness::new(FakeTransport::scripted(|_, _| FakeResponse::new(400, "").into()));
        let callers: Vec<_> = (0..3).map(|_| harness.caller(CachePolicy::UseCache)).collect();
        for caller in callers {
            assert!(caller.join().expect("no panic").is_err());
        }
        let before = harness.transport.count();
        assert!((1..=3).contains(&before), "{before}");
        harness
            .transport
            .set_script(|nth, _| FakeResponse::token(&format!("t{nth}"), DAY).into());
        let later = harness.outcome(CachePolicy::UseCache).expect("a token");
        assert_eq!((nth(&later), harness.transport.count()), (before, before + 1));
    });
}

#[test]
fn clear_removes_every_earlier_token() {
    under_every_schedule(|| {
        let harness = Harness::new(FakeTransport::always_granting(DAY));
        let first = harness.caller(CachePolicy::UseCache);
        let second = harness.caller(CachePolicy::ForceRefresh);
        let clearing = {
            let harness = harness.clone();
            thread::spawn(move || {
                // Before the first request there is nothing that a clear could fail to forget.
                while harness.transport.count() == 0 {
                    thread::yield_now();
                }
                let sent = harness.transport.count();
                harness.client.clear();
                // Joins nothing that began before, and is not served what such a flight brings.
                let later = harness.outcome(CachePolicy::UseCache).expect("a token");
                assert!(nth(&later) >= sent, "{} after {sent} requests", text(&later));
                (sent, later)
            })
        };
        let third = harness.caller(CachePolicy::UseCache);
        let mut remembered = tokens(vec![first, second, third]);
        let (sent, later) = clearing.join().expect("no panic");
        let held = harness.held().expect("a token is held");
        assert!(
            nth(&held) >= sent,
            "{} is held after {sent} requests",
            text(&held)
        );
        remembered.push(later);
        assert_memo_is_right(&harness, &remembered);
    });
}

#[test]
fn cache_and_memo_agree_after_concurrent_replacements() {
    under_every_schedule(|| {
        let harness = Harness::new(FakeTransport::always_granting(DAY));
        let wishes = [
            CachePolicy::UseCache,
            CachePolicy::ForceRefresh,
            CachePolicy::ReplaceRefused,
            CachePolicy::ForceRefresh,
        ];
        let tokens = tokens(wishes.map(|cache_policy| harness.caller(cache_policy)).into());
        assert!(
            (1..=4).contains(&harness.transport.count()),
            "{}",
            harness.transport.count()
        );
        assert_memo_is_right(&harness, &tokens);
    });
}

#[test]
fn stale_token_is_refreshed_once_by_concurrent_callers() {
    under_every_schedule(|| {
        let harness = Harness::new(FakeTransport::always_granting(DAY));
        harness.outcome(CachePolicy::UseCache).expect("a token");
        harness.clock.jump(Duration::from_secs(DAY / 2 + 300));
        let tokens = tokens((0..3).map(|_| harness.caller(CachePolicy::UseCache)).collect());
        assert!(tokens.iter().all(|acquired| acquired.from_cache));
        while nth(&harness.held().expect("a token is held")) == 0 {
            thread::yield_now();
        }
        assert_eq!(harness.transport.count(), 2);
        assert_eq!(
            harness.client.generation(),
            0,
            "an ordinary refresh disturbs nobody's memory"
        );
    });
}

#[test]
fn leaving_callers_do_not_affect_the_remaining_one() {
    under_every_schedule(|| {
        let harness = Harness::new(FakeTransport::scripted(|nth, _| {
            FakeOutcome::from(FakeResponse::token(&format!("t{nth}"), DAY)).after(Duration::from_millis(1))
        }));
        let leaving: Vec<_> = (0..2)
            .map(|_| {
                let harness = harness.clone();
                thread::spawn(move || drop(harness.acquire(CachePolicy::UseCache)))
            })
            .collect();
        let staying = harness.caller(CachePolicy::UseCache);
        for caller in leaving {
            caller.join().expect("no panic");
        }
        assert_eq!(text(&tokens(vec![staying])[0]), "t0");
        assert_eq!(harness.transport.count(), 1);
    });
}

#[test]
fn caller_joining_as_the_last_one_leaves_gets_a_token() {
    under_every_schedule(|| {
        let harness = Harness::new(FakeTransport::scripted(|nth, _| match nth {
            0 => FakeOutcome::from(FakeResponse::new(503, "")).after(Duration::from_millis(1)),
            _ => FakeResponse::token(&format!("t{nth}"), DAY).into(),
        }));
        let leaving: Vec<_> = [CachePolicy::UseCache, CachePolicy::ForceRefresh]
            .into_iter()
            .map(|cache_policy| {
                let harness = harness.clone();
                thread::spawn(move || drop(harness.acquire(cache_policy)))
            })
            .collect();
        let staying = [
            harness.caller(CachePolicy::UseCache),
            harness.caller(CachePolicy::UseCache),
        ];
        for caller in leaving {
            caller.join().expect("no panic");
        }
        let tokens = tokens(staying.into());
        assert_memo_is_right(&harness, &tokens);
        // One for those who stay, one again after the failure, and one that was sent for one who left.
        assert!(harness.transport.count() <= 3, "{}", harness.transport.count());
    });
}

/// Who has little time.
#[derive(Clone, Debug)]
struct Hurried;

#[test]
fn timed_out_caller_gets_an_error_and_others_get_the_token() {
    under_every_schedule(|| {
        clear_triggers();
        let harness = Harness::new(FakeTransport::always_granting(DAY));
        let patient: Vec<_> = (0..2).map(|_| harness.caller(CachePolicy::UseCache)).collect();
        let hurried = {
            let harness = harness.clone();
            thread::spawn(move || match harness.acquire(CachePolicy::UseCache) {
                Acquisition::Ready(acquired) => Ok(acquired),
                Acquisition::Pending(waiter) => shuttle::future::block_on(tokio::spawn(async move {
                    set_label_for_task(me(), Hurried);
                    waiter.wait().await
                }))
                .expect("no panic"),
            })
        };
        let clock = thread::spawn(|| trigger_timeouts(|labels| labels.get::<Hurried>().is_some()));
        match hurried.join().expect("no panic") {
            Ok(acquired) => assert_eq!(text(&acquired), "t0"),
            Err(error) => assert_eq!(error.code().as_str(), "network_unavailable"),
        }
        clock.join().expect("no panic");
        assert!(tokens(patient).iter().all(|acquired| text(acquired) == "t0"));
        assert_eq!(harness.transport.count(), 1);
    });
}

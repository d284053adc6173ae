//! Invariants of the cache and of request coalescing under every schedule. shuttle itself checks for deadlocks: a test
//! fails when all of its tasks wait.

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
        let clear_thread = {
            let harness = harness.clone();
            thread::spawn(move || {
                // Before the first request, a clear has nothing to remove.
                while harness.transport.count() == 0 {
                    thread::yield_now();
                }
                let sent = harness.transport.count();
                harness.client.clear();
                // This call neither joins a request that started before the clear nor gets the token of one.
                let later = harness.outcome(CachePolicy::UseCache).expect("a token");
                assert!(nth(&later) >= sent, "{} after {sent} requests", text(&later));
                (sent, later)
            })
        };
        let third = harness.caller(CachePolicy::UseCache);
        let mut returned = tokens(vec![first, second, third]);
        let (sent, later) = clear_thread.join().expect("no panic");
        let held = harness.held().expect("a token is held");
        assert!(
            nth(&held) >= sent,
            "{} is held after {sent} requests",
            text(&held)
        );
        returned.push(later);
        assert_memo_is_right(&harness, &returned);
    });
}

#[test]
fn cache_and_memo_agree_after_concurrent_replacements() {
    under_every_schedule(|| {
        let harness = Harness::new(FakeTransport::always_granting(DAY));
        let policies = [
            CachePolicy::UseCache,
            CachePolicy::ForceRefresh,
            CachePolicy::ReplaceRefused,
            CachePolicy::ForceRefresh,
        ];
        let tokens = tokens(policies.map(|cache_policy| harness.caller(cache_policy)).into());
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
            "a background refresh does not invalidate memoized tokens"
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
        // One request for the remaining callers, one retry after its failure, and one for a caller that left.
        assert!(harness.transport.count() <= 3, "{}", harness.transport.count());
    });
}

/// The label of tasks whose timers fire.
#[derive(Clone, Debug)]
struct TimesOut;

#[test]
fn timed_out_caller_gets_an_error_and_others_get_the_token() {
    under_every_schedule(|| {
        clear_triggers();
        let harness = Harness::new(FakeTransport::always_granting(DAY));
        let waiting: Vec<_> = (0..2).map(|_| harness.caller(CachePolicy::UseCache)).collect();
        let timed_out = {
            let harness = harness.clone();
            thread::spawn(move || match harness.acquire(CachePolicy::UseCache) {
                Acquisition::Ready(acquired) => Ok(acquired),
                Acquisition::Pending(waiter) => shuttle::future::block_on(tokio::spawn(async move {
                    set_label_for_task(me(), TimesOut);
                    waiter.wait().await
                }))
                .expect("no panic"),
            })
        };
        let timer = thread::spawn(|| trigger_timeouts(|labels| labels.get::<TimesOut>().is_some()));
        match timed_out.join().expect("no panic") {
            Ok(acquired) => assert_eq!(text(&acquired), "t0"),
            Err(error) => assert_eq!(error.code().as_str(), "network_unavailable"),
        }
        timer.join().expect("no panic");
        assert!(tokens(waiting).iter().all(|acquired| text(acquired) == "t0"));
        assert_eq!(harness.transport.count(), 1);
    });
}

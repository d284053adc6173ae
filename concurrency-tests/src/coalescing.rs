//! What must hold of the cache and the single flight under every schedule. That nobody waits for ever is shuttle's own
//! check: it fails where every task waits.

use std::time::Duration;

use shuttle::current::{me, set_label_for_task};
use shuttle::thread;
use tokio::time::{clear_triggers, trigger_timeouts};

use crate::acquisition::Acquisition;
use crate::harness::{Desk, assert_memo_is_right, nth, text, tokens, under_every_schedule};
use crate::options::request::CachePolicy;
use crate::sync::Arc;
use crate::test_support::{FakeOutcome, FakeResponse, FakeTransport};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

#[test]
fn callers_on_many_threads_are_one_request_and_share_one_token() {
    under_every_schedule(|| {
        let desk = Desk::new(FakeTransport::always_granting(DAY));
        let callers = (0..4).map(|_| desk.caller(CachePolicy::UseCache)).collect();
        let tokens = tokens(callers);
        assert!(
            tokens
                .iter()
                .all(|served| Arc::ptr_eq(&served.token, &tokens[0].token))
        );
        assert_eq!(desk.net.count(), 1);
        assert_memo_is_right(&desk, &tokens);
    });
}

#[test]
fn an_error_is_everybodys_who_waits_and_nobodys_who_comes_later() {
    under_every_schedule(|| {
        let desk = Desk::new(FakeTransport::scripted(|_, _| FakeResponse::new(400, "").into()));
        let callers: Vec<_> = (0..3).map(|_| desk.caller(CachePolicy::UseCache)).collect();
        for caller in callers {
            assert!(caller.join().expect("no panic").is_err());
        }
        let before = desk.net.count();
        assert!((1..=3).contains(&before), "{before}");
        desk.net
            .set_script(|nth, _| FakeResponse::token(&format!("t{nth}"), DAY).into());
        let later = desk.outcome(CachePolicy::UseCache).expect("a token");
        assert_eq!((nth(&later), desk.net.count()), (before, before + 1));
    });
}

#[test]
fn nothing_from_before_a_clear_is_held_after_it() {
    under_every_schedule(|| {
        let desk = Desk::new(FakeTransport::always_granting(DAY));
        let first = desk.caller(CachePolicy::UseCache);
        let second = desk.caller(CachePolicy::ForceRefresh);
        let clearing = {
            let desk = desk.clone();
            thread::spawn(move || {
                // Before the first request there is nothing that a clear could fail to forget.
                while desk.net.count() == 0 {
                    thread::yield_now();
                }
                let sent = desk.net.count();
                desk.engine.clear();
                // Joins nothing that began before, and is not served what such a flight brings.
                let later = desk.outcome(CachePolicy::UseCache).expect("a token");
                assert!(nth(&later) >= sent, "{} after {sent} requests", text(&later));
                (sent, later)
            })
        };
        let third = desk.caller(CachePolicy::UseCache);
        let mut remembered = tokens(vec![first, second, third]);
        let (sent, later) = clearing.join().expect("no panic");
        let held = desk.held().expect("a token is held");
        assert!(
            nth(&held) >= sent,
            "{} is held after {sent} requests",
            text(&held)
        );
        remembered.push(later);
        assert_memo_is_right(&desk, &remembered);
    });
}

#[test]
fn of_many_replacements_the_cache_and_the_memo_agree_on_the_last() {
    under_every_schedule(|| {
        let desk = Desk::new(FakeTransport::always_granting(DAY));
        let wishes = [
            CachePolicy::UseCache,
            CachePolicy::ForceRefresh,
            CachePolicy::ReplaceRefused,
            CachePolicy::ForceRefresh,
        ];
        let tokens = tokens(wishes.map(|wish| desk.caller(wish)).into());
        assert!((1..=4).contains(&desk.net.count()), "{}", desk.net.count());
        assert_memo_is_right(&desk, &tokens);
    });
}

#[test]
fn an_ageing_token_is_refreshed_once_however_many_threads_notice() {
    under_every_schedule(|| {
        let desk = Desk::new(FakeTransport::always_granting(DAY));
        desk.outcome(CachePolicy::UseCache).expect("a token");
        desk.clock.jump(Duration::from_secs(DAY / 2 + 300));
        let tokens = tokens((0..3).map(|_| desk.caller(CachePolicy::UseCache)).collect());
        assert!(tokens.iter().all(|served| served.from_cache));
        while nth(&desk.held().expect("a token is held")) == 0 {
            thread::yield_now();
        }
        assert_eq!(desk.net.count(), 2);
        assert_eq!(
            desk.engine.generation(),
            0,
            "an ordinary refresh disturbs nobody's memory"
        );
    });
}

#[test]
fn callers_that_leave_take_nothing_along() {
    under_every_schedule(|| {
        let desk = Desk::new(FakeTransport::scripted(|nth, _| {
            FakeOutcome::from(FakeResponse::token(&format!("t{nth}"), DAY)).after(Duration::from_millis(1))
        }));
        let leaving: Vec<_> = (0..2)
            .map(|_| {
                let desk = desk.clone();
                thread::spawn(move || drop(desk.acquire(CachePolicy::UseCache)))
            })
            .collect();
        let staying = desk.caller(CachePolicy::UseCache);
        for caller in leaving {
            caller.join().expect("no panic");
        }
        assert_eq!(text(&tokens(vec![staying])[0]), "t0");
        assert_eq!(desk.net.count(), 1);
    });
}

#[test]
fn a_caller_who_joins_while_the_last_one_leaves_gets_a_token() {
    under_every_schedule(|| {
        let desk = Desk::new(FakeTransport::scripted(|nth, _| match nth {
            0 => FakeOutcome::from(FakeResponse::new(503, "")).after(Duration::from_millis(1)),
            _ => FakeResponse::token(&format!("t{nth}"), DAY).into(),
        }));
        let leaving: Vec<_> = [CachePolicy::UseCache, CachePolicy::ForceRefresh]
            .into_iter()
            .map(|wish| {
                let desk = desk.clone();
                thread::spawn(move || drop(desk.acquire(wish)))
            })
            .collect();
        let staying = [
            desk.caller(CachePolicy::UseCache),
            desk.caller(CachePolicy::UseCache),
        ];
        for caller in leaving {
            caller.join().expect("no panic");
        }
        let tokens = tokens(staying.into());
        assert_memo_is_right(&desk, &tokens);
        // One for those who stay, one again after the failure, and one that was sent for one who left.
        assert!(desk.net.count() <= 3, "{}", desk.net.count());
    });
}

/// Who has little time.
#[derive(Clone, Debug)]
struct Hurried;

#[test]
fn a_caller_whose_time_is_up_hears_of_it_and_disturbs_nobody() {
    under_every_schedule(|| {
        clear_triggers();
        let desk = Desk::new(FakeTransport::always_granting(DAY));
        let patient: Vec<_> = (0..2).map(|_| desk.caller(CachePolicy::UseCache)).collect();
        let hurried = {
            let desk = desk.clone();
            thread::spawn(move || match desk.acquire(CachePolicy::UseCache) {
                Acquisition::Ready(served) => Ok(served),
                Acquisition::Pending(waiter) => shuttle::future::block_on(tokio::spawn(async move {
                    set_label_for_task(me(), Hurried);
                    waiter.wait().await
                }))
                .expect("no panic"),
            })
        };
        let clock = thread::spawn(|| trigger_timeouts(|labels| labels.get::<Hurried>().is_some()));
        match hurried.join().expect("no panic") {
            Ok(served) => assert_eq!(text(&served), "t0"),
            Err(error) => assert_eq!(error.code().as_str(), "network_unavailable"),
        }
        clock.join().expect("no panic");
        assert!(tokens(patient).iter().all(|served| text(served) == "t0"));
        assert_eq!(desk.net.count(), 1);
    });
}

//! Any sequence of calls, clears and leaps of the wall clock, over a network that answers in any way:
//! what holds for every caller, and what is left in the end.

use proptest::prelude::*;

use super::strategies::{Answer, Event, answers, events, playing};
use super::*;
use crate::options::UntypedValue;
use crate::platform::Clock as _;
use crate::test_support::proptest::{config, paused};
use crate::token::Timestamp;

/// Tokio's timers go by whole milliseconds and fire at the end of one.
const TICK: u128 = 2;

/// A call that was made, and what must hold of it.
struct Made {
    resource: usize,
    cache_policy: CachePolicy,
    timeout: u64,
    /// How many requests had been sent when the cache was last cleared before it.
    cleared_at: usize,
    /// How long it took, in milliseconds.
    took: u128,
    /// The wall time when it was answered.
    answered: Timestamp,
    outcome: AcquisitionResult,
}

impl Made {
    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert!(
            self.took <= u128::from(self.timeout) + TICK,
            "{} ms of {}",
            self.took,
            self.timeout
        );
        let acquired = match &self.outcome {
            Ok(acquired) => acquired,
            Err(error) => {
                let code = error.code().as_str();
                let expected = ["managed_identity_failed_response", "network_unavailable"];
                prop_assert!(expected.contains(&code), "{error}");
                return Ok(());
            }
        };
        let (resource, nth) = origin(acquired);
        prop_assert_eq!(resource, self.resource, "a token for another resource");
        // Not even a flight that is under way may be joined after a clear.
        prop_assert!(
            nth >= self.cleared_at,
            "request {nth} was sent before the cache was cleared"
        );
        if acquired.from_cache {
            prop_assert_eq!(
                self.cache_policy,
                CachePolicy::UseCache,
                "from the cache, although not wanted"
            );
            prop_assert!(acquired.token.expires_on > self.answered, "an expired token");
        }
        Ok(())
    }
}

/// The resource and the request that a token is from.
fn origin(acquired: &AcquiredToken) -> (usize, usize) {
    let text = text(acquired);
    let (resource, nth) = text.split_once('-').expect("both");
    (
        resource.parse().expect("a number"),
        nth.parse().expect("a number"),
    )
}

fn call(harness: &Harness, resource: usize, cache_policy: CachePolicy) -> Call {
    let call = harness
        .for_resource(&format!("https://a/{resource}"))
        .cache_policy(cache_policy);
    // One request a flight: the retries have properties of their own.
    call.set(|raw| raw.disable_internal_retries = UntypedValue::Boolean(true))
}

/// Lets everything happen, and gives what came of every call.
async fn follow(harness: &Harness, events: Vec<(u64, Event)>) -> Vec<Made> {
    let (mut waiting, mut cleared_at) = (Vec::new(), 0);
    for (pause, event) in events {
        sleep(Duration::from_millis(pause)).await;
        match event {
            Event::Call {
                resource,
                cache_policy,
                timeout,
            } => {
                let call = call(harness, resource, cache_policy).within(Duration::from_millis(timeout));
                let (clock, started) = (harness.clock.clone(), Instant::now());
                // Acquired here and now; waited for whenever the task gets its turn.
                let (acquired, acquired_at) = (call.acquire(), clock.now());
                waiting.push(tokio::spawn(async move {
                    let (outcome, answered) = match acquired {
                        Ok(Acquisition::Ready(acquired)) => (Ok(acquired), acquired_at),
                        Ok(Acquisition::Pending(waiter)) => (waiter.wait().await, clock.now()),
                        Err(error) => (Err(error), acquired_at),
                    };
                    Made {
                        resource,
                        cache_policy,
                        timeout,
                        cleared_at,
                        took: started.elapsed().as_millis(),
                        answered,
                        outcome,
                    }
                }));
            }
            Event::Leave {
                resource,
                cache_policy,
            } => drop(call(harness, resource, cache_policy).acquire()),
            Event::Clear => {
                cleared_at = harness.transport.count();
                harness.client.clear();
            }
            Event::Sleep { seconds: asleep } => harness.clock.jump(seconds(asleep)),
        }
    }
    let mut made = Vec::new();
    for task in waiting {
        made.push(task.await.expect("no caller panics"));
    }
    made
}

async fn check(events: Vec<(u64, Event)>, answers: Vec<Answer>) -> Result<(), TestCaseError> {
    let harness = Harness::with(playing(answers));
    let calls = events
        .iter()
        .filter(|(_, event)| matches!(event, Event::Call { .. } | Event::Leave { .. }))
        .count();
    let made = follow(&harness, events).await;
    for made in &made {
        made.check()?;
    }
    prop_assert!(
        harness.transport.count() <= calls,
        "{} requests of {calls} calls",
        harness.transport.count()
    );
    for acquired in made.iter().filter_map(|made| made.outcome.as_ref().ok()) {
        let (resource, _) = origin(acquired);
        let fresh = acquired
            .fresh_until
            .is_some_and(|until| until > harness.clock.now());
        if fresh && acquired.generation == harness.client.generation() {
            let held = call(&harness, resource, CachePolicy::UseCache).acquired();
            prop_assert!(
                Arc::ptr_eq(&held.token, &acquired.token),
                "{} is remembered, {} is held",
                text(acquired),
                text(&held)
            );
        }
    }
    // The longest that anybody can have waited.
    sleep(seconds(121)).await;
    prop_assert!(
        harness.client.lock().in_flight.is_empty(),
        "a flight that never ends"
    );
    prop_assert_eq!(harness.transport.in_flight(), 0);
    Ok(())
}

/// However they come, callers who want any token for one resource share one request at a time.
async fn check_one_at_a_time(pauses: Vec<u64>, answers: Vec<Answer>) -> Result<(), TestCaseError> {
    let harness = Harness::with(playing(answers));
    let events = pauses.into_iter().map(|pause| {
        let call = Event::Call {
            resource: 0,
            cache_policy: CachePolicy::UseCache,
            timeout: 120_000,
        };
        (pause, call)
    });
    for made in follow(&harness, events.collect()).await {
        made.check()?;
    }
    prop_assert!(
        harness.transport.max_in_flight() <= 1,
        "{} at a time",
        harness.transport.max_in_flight()
    );
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_events_give_every_caller_its_own_result(events in events(), answers in answers()) {
        paused(check(events, answers))?;
    }

    #[test]
    fn concurrent_callers_share_one_request_at_a_time(
        pauses in prop::collection::vec(prop_oneof![Just(0), 1..4_000_u64, 30_000..60_000_u64], 1..25),
        answers in answers(),
    ) {
        paused(check_one_at_a_time(pauses, answers))?;
    }
}

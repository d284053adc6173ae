//! Properties of any sequence of calls, clears and jumps of the wall clock, over a transport with any outcomes: of the
//! result of every caller, and of the state at the end.

use proptest::prelude::*;

use super::strategies::{Event, RequestOutcome, events, outcomes, repeating};
use super::*;
use crate::options::UntypedValue;
use crate::platform::Clock as _;
use crate::test_support::proptest::{config, paused};
use crate::token::Timestamp;

/// The inaccuracy of timers, in milliseconds. Tokio's timers have a resolution of one millisecond and round up.
const TICK: u128 = 2;

/// A call and its observed result.
struct Observed {
    resource: usize,
    cache_policy: CachePolicy,
    timeout: u64,
    /// How many requests had been sent at the last clear before the call.
    cleared_at: usize,
    /// The duration of the call in milliseconds.
    took: u128,
    /// The wall time of the result.
    finished_at: Timestamp,
    outcome: AcquisitionResult,
}

impl Observed {
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
        // After a clear, not even a request that is still in flight may be joined.
        prop_assert!(
            nth >= self.cleared_at,
            "request {nth} was sent before the cache was cleared"
        );
        if acquired.from_cache {
            prop_assert_eq!(
                self.cache_policy,
                CachePolicy::UseCache,
                "a cached token, which the caller rejects"
            );
            prop_assert!(acquired.token.expires_on > self.finished_at, "an expired token");
        }
        Ok(())
    }
}

/// Returns the resource of a token, and the number of the request that fetched it.
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
    // Without retries: the retry loop has its own property tests.
    call.set(|raw| raw.disable_internal_retries = UntypedValue::Boolean(true))
}

/// Runs the events, and returns the result of every call.
async fn run_events(harness: &Harness, events: Vec<(u64, Event)>) -> Vec<Observed> {
    let (mut tasks, mut cleared_at) = (Vec::new(), 0);
    for (delay, event) in events {
        sleep(Duration::from_millis(delay)).await;
        match event {
            Event::Call {
                resource,
                cache_policy,
                timeout,
            } => {
                let call = call(harness, resource, cache_policy).within(Duration::from_millis(timeout));
                let (clock, started) = (harness.clock.clone(), Instant::now());
                // The call is made here, so that calls are in the order of their events; the task only waits.
                let (acquired, acquired_at) = (call.acquire(), clock.now());
                tasks.push(tokio::spawn(async move {
                    let (outcome, finished_at) = match acquired {
                        Ok(Acquisition::Ready(acquired)) => (Ok(acquired), acquired_at),
                        Ok(Acquisition::Pending(waiter)) => (waiter.wait().await, clock.now()),
                        Err(error) => (Err(error), acquired_at),
                    };
                    Observed {
                        resource,
                        cache_policy,
                        timeout,
                        cleared_at,
                        took: started.elapsed().as_millis(),
                        finished_at,
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
            Event::Suspend { seconds: suspended } => harness.clock.jump(seconds(suspended)),
        }
    }
    let mut observed = Vec::new();
    for task in tasks {
        observed.push(task.await.expect("no caller panics"));
    }
    observed
}

async fn check(events: Vec<(u64, Event)>, outcomes: Vec<RequestOutcome>) -> Result<(), TestCaseError> {
    let harness = Harness::with_transport(repeating(outcomes));
    let calls = events
        .iter()
        .filter(|(_, event)| matches!(event, Event::Call { .. } | Event::Leave { .. }))
        .count();
    let observed = run_events(&harness, events).await;
    for call in &observed {
        call.check()?;
    }
    prop_assert!(
        harness.transport.count() <= calls,
        "{} requests of {calls} calls",
        harness.transport.count()
    );
    for acquired in observed.iter().filter_map(|call| call.outcome.as_ref().ok()) {
        let (resource, _) = origin(acquired);
        let fresh = acquired
            .fresh_until
            .is_some_and(|until| until > harness.clock.now());
        if fresh && acquired.generation == harness.client.generation() {
            let cached = call(&harness, resource, CachePolicy::UseCache).acquired();
            prop_assert!(
                Arc::ptr_eq(&cached.token, &acquired.token),
                "{} may be memoized, but {} is cached",
                text(acquired),
                text(&cached)
            );
        }
    }
    // Longer than the longest timeout.
    sleep(seconds(121)).await;
    prop_assert!(
        harness.client.lock().in_flight.is_empty(),
        "a request that never ends"
    );
    prop_assert_eq!(harness.transport.in_flight(), 0);
    Ok(())
}

/// Callers that accept any token for one resource share one request at a time, whenever they call.
async fn check_one_at_a_time(delays: Vec<u64>, outcomes: Vec<RequestOutcome>) -> Result<(), TestCaseError> {
    let harness = Harness::with_transport(repeating(outcomes));
    let events = delays.into_iter().map(|delay| {
        let call = Event::Call {
            resource: 0,
            cache_policy: CachePolicy::UseCache,
            timeout: 120_000,
        };
        (delay, call)
    });
    for call in run_events(&harness, events.collect()).await {
        call.check()?;
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
    fn random_events_give_every_caller_its_own_result(events in events(), outcomes in outcomes()) {
        paused(check(events, outcomes))?;
    }

    #[test]
    fn concurrent_callers_share_one_request_at_a_time(
        delays in prop::collection::vec(prop_oneof![Just(0), 1..4_000_u64, 30_000..60_000_u64], 1..25),
        outcomes in outcomes(),
    ) {
        paused(check_one_at_a_time(delays, outcomes))?;
    }
}

//! The inputs of property tests: sequences of calls, clears and jumps of the wall clock, and transports with any outcomes.

use proptest::prelude::*;

use super::*;

/// One event of a sequence.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Call {
        resource: usize,
        cache_policy: CachePolicy,
        timeout: u64,
    },
    /// A call that is abandoned at once.
    Leave {
        resource: usize,
        cache_policy: CachePolicy,
    },
    Clear,
    /// The machine is suspended: only the wall clock advances.
    Suspend {
        seconds: u64,
    },
}

/// The outcome of one request, after a delay in milliseconds.
#[derive(Clone, Debug)]
pub(super) enum RequestOutcome {
    /// A token that is valid for `lifetime` seconds.
    Token {
        lifetime: u64,
        after: u64,
    },
    Error {
        after: u64,
    },
    Silence,
    Panic,
}

const RESOURCES: usize = 2;

fn cache_policy() -> impl Strategy<Value = CachePolicy> {
    prop_oneof![4 => Just(CachePolicy::UseCache), 1 => Just(CachePolicy::ForceRefresh), 1 => Just(CachePolicy::ReplaceRefused)]
}

fn event() -> impl Strategy<Value = Event> {
    let timeout = prop_oneof![1..3_000_u64, Just(120_000_u64)];
    prop_oneof![
        8 => (0..RESOURCES, cache_policy(), timeout)
            .prop_map(|(resource, cache_policy, timeout)| Event::Call { resource, cache_policy, timeout }),
        1 => (0..RESOURCES, cache_policy()).prop_map(|(resource, cache_policy)| Event::Leave { resource, cache_policy }),
        1 => Just(Event::Clear),
        1 => prop_oneof![1..100_u64, 3_000..90_000_u64].prop_map(|seconds| Event::Suspend { seconds }),
    ]
}

/// Events, each with the milliseconds that precede it.
pub(super) fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let pause = prop_oneof![2 => Just(0), 3 => 1..3_000_u64, 1 => 29_000..40_000_u64];
    prop::collection::vec((pause, event()), 1..30)
}

pub(super) fn outcomes() -> impl Strategy<Value = Vec<RequestOutcome>> {
    let lifetime = || prop_oneof![1..400_u64, Just(HOUR), Just(DAY)];
    let outcome = prop_oneof![
        6 => (lifetime(), 0..5_000_u64).prop_map(|(lifetime, after)| RequestOutcome::Token { lifetime, after }),
        2 => (0..5_000_u64).prop_map(|after| RequestOutcome::Error { after }),
        1 => Just(RequestOutcome::Silence),
        1 => Just(RequestOutcome::Panic),
    ];
    prop::collection::vec(outcome, 1..10)
}

/// Creates a transport that repeats these outcomes. A token is named after its resource and the number of its request.
pub(super) fn repeating(outcomes: Vec<RequestOutcome>) -> Arc<FakeTransport> {
    FakeTransport::scripted(move |nth, request| {
        let resource = requested_resource(request.url.as_str());
        match outcomes[nth % outcomes.len()] {
            RequestOutcome::Token { lifetime, after } => {
                let response = FakeResponse::token(&format!("{resource}-{nth}"), lifetime);
                FakeOutcome::from(response).after(Duration::from_millis(after))
            }
            RequestOutcome::Error { after } => {
                FakeOutcome::from(FakeResponse::new(400, "")).after(Duration::from_millis(after))
            }
            RequestOutcome::Silence => FakeOutcome::Silence,
            RequestOutcome::Panic => FakeOutcome::Panic,
        }
    })
}

fn requested_resource(url: &str) -> usize {
    let (_, resource) = url.rsplit_once("%2F").expect("a resource with a path");
    resource.parse().expect("a number")
}

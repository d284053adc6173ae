//! What property tests let happen to an engine: sequences of calls, clears and leaps of the wall clock,
//! and networks that answer in any way.

use proptest::prelude::*;

use super::*;

/// One thing that happens, so many milliseconds after the one before.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Call {
        resource: usize,
        cache_policy: CachePolicy,
        timeout: u64,
    },
    /// A call whose caller leaves at once.
    Leave {
        resource: usize,
        cache_policy: CachePolicy,
    },
    Clear,
    /// The machine sleeps for so many seconds.
    Sleep {
        seconds: u64,
    },
}

/// What becomes of one request.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// A token that lives for so many seconds, after so many milliseconds.
    Token {
        lifetime: u64,
        after: u64,
    },
    Refusal {
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
        1 => prop_oneof![1..100_u64, 3_000..90_000_u64].prop_map(|seconds| Event::Sleep { seconds }),
    ]
}

pub(super) fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let pause = prop_oneof![2 => Just(0), 3 => 1..3_000_u64, 1 => 29_000..40_000_u64];
    prop::collection::vec((pause, event()), 1..30)
}

pub(super) fn answers() -> impl Strategy<Value = Vec<Answer>> {
    let lifetime = || prop_oneof![1..400_u64, Just(HOUR), Just(DAY)];
    let token_response = prop_oneof![
        6 => (lifetime(), 0..5_000_u64).prop_map(|(lifetime, after)| Answer::Token { lifetime, after }),
        2 => (0..5_000_u64).prop_map(|after| Answer::Refusal { after }),
        1 => Just(Answer::Silence),
        1 => Just(Answer::Panic),
    ];
    prop::collection::vec(token_response, 1..10)
}

/// Tokens say what they are for and which request brought them.
pub(super) fn playing(answers: Vec<Answer>) -> Arc<FakeTransport> {
    FakeTransport::scripted(move |nth, request| {
        let resource = resource_of(request.url.as_str());
        match answers[nth % answers.len()] {
            Answer::Token { lifetime, after } => {
                let reply = FakeResponse::token(&format!("{resource}-{nth}"), lifetime);
                FakeOutcome::from(reply).after(Duration::from_millis(after))
            }
            Answer::Refusal { after } => {
                FakeOutcome::from(FakeResponse::new(400, "")).after(Duration::from_millis(after))
            }
            Answer::Silence => FakeOutcome::Silence,
            Answer::Panic => FakeOutcome::Panic,
        }
    })
}

fn resource_of(url: &str) -> usize {
    let (_, resource) = url.rsplit_once("%2F").expect("a resource with a path");
    resource.parse().expect("a number")
}

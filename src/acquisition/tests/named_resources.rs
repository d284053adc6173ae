//! Responses that name a resource: the requested one, an alias of it, or another one.

use super::credential_unavailable::APP_SERVICE;
use super::*;

#[cfg(target_os = "linux")]
const ARC: &[(&str, &str)] = &[
    (v::IDENTITY_ENDPOINT, "http://127.0.0.1:40342/token"),
    (v::IMDS_ENDPOINT, "http://127.0.0.1:40342"),
];
#[cfg(target_os = "linux")]
const KEY: &str = "/var/opt/azcmagent/tokens/a.key";

/// Returns a response with a token for a resource of this name.
fn token_for(token: &str, resource: &str) -> FakeResponse {
    FakeResponse::new(
        200,
        format!(r#"{{"access_token":"{token}","expires_in":{DAY},"resource":"{resource}"}}"#),
    )
}

/// Returns which requests required a new connection.
fn needed_new_connection(harness: &Harness) -> Vec<bool> {
    let requests = harness.transport.requests();
    requests
        .iter()
        .map(|request| request.needs_new_connection)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn resource_with_another_trailing_slash_is_accepted() {
    // Two servers of one endpoint, each with its own spelling.
    let harness = Harness::scripted(|nth, _| {
        let slash = if nth % 2 == 0 { "" } else { "/" };
        token_for(&format!("t{nth}"), &format!("https://alias.example{slash}")).into()
    });
    assert_eq!(harness.call().env(APP_SERVICE).token().await, "t1");
    assert_eq!(needed_new_connection(&harness), [false, true]);
    // Both spellings are accepted from now on.
    for expected in ["t2", "t3"] {
        let call = harness
            .call()
            .env(APP_SERVICE)
            .cache_policy(CachePolicy::ForceRefresh);
        assert_eq!(call.token().await, expected);
    }
    // Another name is checked again.
    harness
        .transport
        .set_script(|nth, _| token_for(&format!("t{nth}"), "https://other.example").into());
    let call = harness
        .call()
        .env(APP_SERVICE)
        .cache_policy(CachePolicy::ForceRefresh);
    assert_eq!(call.token().await, "t5");
}

#[tokio::test(start_paused = true)]
async fn repeated_resource_mismatch_is_rejected_and_not_cached() {
    let harness = Harness::scripted(|nth, _| token_for("t", &format!("https://{nth}.example")).into());
    let call = harness.call().env(APP_SERVICE);
    assert_eq!(*call.clone().error().await.code(), Code::FailedResponse);
    harness
        .transport
        .set_script(|_, _| token_for("mine", "https://vault.azure.net").into());
    assert_eq!(call.token().await, "mine");
    assert_eq!(harness.transport.count(), 3);
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn repeated_challenge_uses_new_connections() {
    let harness = Harness::scripted(|nth, request| {
        let is_answer = request.headers.iter().any(|(name, _)| *name == "Authorization");
        match nth {
            1 => token_for("stray", "https://other.example").into(),
            _ if is_answer => token_for("t", "https://vault.azure.net").into(),
            _ => FakeResponse::new(401, "")
                .challenge(format!("Basic realm={KEY}"))
                .into(),
        }
    });
    harness
        .files
        .put(KEY, FakeEntry::File(b"a-key-of-the-agent".to_vec()));
    assert_eq!(harness.call().env(ARC).token().await, "t");
    assert_eq!(needed_new_connection(&harness), [false, false, true, true]);
}

//! Which differences between calls separate their tokens, and which separate only their requests.

use super::*;

const TENANT: (&str, &str) = (v::AZURE_TENANT_ID, "8f7d9c1e-0000-4000-8000-00000000000a");
const FILE: (&str, &str) = (v::AZURE_FEDERATED_TOKEN_FILE, "/token");
const ML: [(&str, &str); 2] = [(v::MSI_ENDPOINT, "http://h/t"), (v::MSI_SECRET, "s")];

fn capabilities(items: &[&str]) -> crate::options::UntypedValue {
    crate::options::UntypedValue::Array(items.iter().map(|item| (*item).into()).collect())
}

fn slow() -> Harness {
    let harness = Harness::scripted(|nth, _| {
        FakeOutcome::from(FakeResponse::token(&format!("t{nth}"), DAY)).after(seconds(1))
    });
    harness
        .files
        .put("/token", FakeEntry::File(b"assertion".to_vec()));
    harness
}

type Change = fn(Call) -> Call;

#[tokio::test(start_paused = true)]
async fn different_keys_share_neither_request_nor_token() {
    let pairs: [(&str, Change, Change); 14] = [
        (
            "a resource with a slash",
            |call| call,
            |mut call| {
                call.request.resource = resource("https://vault.azure.net/");
                call
            },
        ),
        (
            "an identity",
            |call| call,
            |call| call.set(|raw| raw.user_assigned_client_id = "id".into()),
        ),
        (
            "the kind of an id",
            |call| call.set(|raw| raw.user_assigned_client_id = "id".into()),
            |call| call.set(|raw| raw.user_assigned_object_id = "id".into()),
        ),
        (
            "the kind of an id: resource id and object id",
            |call| call.set(|raw| raw.user_assigned_resource_id = "id".into()),
            |call| call.set(|raw| raw.user_assigned_object_id = "id".into()),
        ),
        (
            "an id",
            |call| call.set(|raw| raw.user_assigned_client_id = "id".into()),
            |call| call.set(|raw| raw.user_assigned_client_id = "jd".into()),
        ),
        (
            "capabilities",
            |call| call,
            |call| call.set(|raw| raw.client_capabilities = capabilities(&["cp1"])),
        ),
        (
            "the order of capabilities",
            |call| call.set(|raw| raw.client_capabilities = capabilities(&["cp2", "cp1"])),
            |call| call.set(|raw| raw.client_capabilities = capabilities(&["cp1", "cp2"])),
        ),
        (
            "an endpoint",
            |call| call.env(&[(v::AZURE_POD_IDENTITY_AUTHORITY_HOST, "http://a")]),
            |call| call.env(&[(v::AZURE_POD_IDENTITY_AUTHORITY_HOST, "http://b")]),
        ),
        (
            "an endpoint's query",
            |call| call.env(&[(v::MSI_ENDPOINT, "http://h/t?a")]),
            |call| call.env(&[(v::MSI_ENDPOINT, "http://h/t?b")]),
        ),
        (
            "a source",
            |call| call.env(&[(v::MSI_ENDPOINT, "http://h/t")]),
            |call| call.env(&ML),
        ),
        (
            "machine learning's default identity",
            |call| call.env(&[ML[0], ML[1], (v::DEFAULT_IDENTITY_CLIENT_ID, "a")]),
            |call| call.env(&[ML[0], ML[1], (v::DEFAULT_IDENTITY_CLIENT_ID, "b")]),
        ),
        (
            "a workload's client id",
            |call| call.env(&[FILE, TENANT, (v::AZURE_CLIENT_ID, "a")]),
            |call| call.env(&[FILE, TENANT, (v::AZURE_CLIENT_ID, "b")]),
        ),
        (
            "a workload's tenant",
            |call| call.env(&[FILE, TENANT, (v::AZURE_CLIENT_ID, "a")]),
            |call| call.env(&[FILE, (v::AZURE_TENANT_ID, "other"), (v::AZURE_CLIENT_ID, "a")]),
        ),
        (
            "a workload's authority",
            |call| call.env(&[FILE, TENANT, (v::AZURE_CLIENT_ID, "a")]),
            |call| {
                let authority = (v::AZURE_AUTHORITY_HOST, "https://login.microsoftonline.us");
                call.env(&[FILE, TENANT, (v::AZURE_CLIENT_ID, "a"), authority])
            },
        ),
    ];
    for (difference, one, other) in pairs {
        let harness = slow();
        let waiters = [one, other].map(|change| change(harness.call()).waiter());
        assert_eq!(all(waiters.into()).await, ["t0", "t1"], "{difference}");
        let cached = [one, other].map(|change| text(&change(harness.call()).acquired()));
        assert_eq!(cached, ["t0", "t1"], "{difference}");
    }
}

#[tokio::test(start_paused = true)]
async fn different_request_options_share_the_token_but_not_the_request() {
    let other_transport = FakeTransport::numbered(7, |_, _| {
        FakeOutcome::from(FakeResponse::token("other", DAY)).after(seconds(2))
    });
    let harness = slow();
    let by_other = harness.call().with_transport(other_transport.clone());
    let once = harness
        .call()
        .set(|raw| raw.disable_internal_retries = crate::options::UntypedValue::Boolean(true));
    let waiters = vec![
        harness.call().waiter(),
        by_other.clone().waiter(),
        once.clone().waiter(),
    ];
    assert_eq!(all(waiters).await, ["t0", "other", "t1"]);
    assert_eq!((harness.transport.count(), other_transport.count()), (2, 1));
    for call in [harness.call(), by_other, once] {
        assert_eq!(text(&call.acquired()), "t1", "the token of the latest request");
    }
}

#[tokio::test(start_paused = true)]
async fn equivalent_keys_share_request_and_token() {
    let harness = slow();
    let transport = FakeTransport::numbered(7, |_, _| {
        FakeOutcome::from(FakeResponse::token("other", DAY)).after(seconds(1))
    });
    let changes: [(Change, Change); 4] = [
        (
            |call| call,
            |call| call.set(|raw| raw.request_timeout = crate::options::UntypedValue::Number(5.0)),
        ),
        (|call| call, |call| call.env(&[(v::MSI_SECRET, "alone")])),
        (
            |call| call.env(&ML),
            |call| call.env(&[ML[0], (v::MSI_SECRET, "renewed")]),
        ),
        (
            |call| call.set(|raw| raw.client_capabilities = capabilities(&[])),
            |mut call| {
                call.request.correlation_id = "call-2".into();
                call
            },
        ),
    ];
    for (one, other) in changes {
        let before = harness.transport.count();
        let waiters = [one, other].map(|change| change(harness.call()).waiter());
        let results = all(waiters.into()).await;
        assert_eq!(
            (results[0] == results[1], harness.transport.count()),
            (true, before + 1)
        );
        harness.client.clear();
    }
    // Two applications share one custom network client.
    let waiters = vec![
        harness.call().with_transport(transport.clone()).waiter(),
        harness.call().with_transport(transport.clone()).waiter(),
    ];
    assert_eq!((all(waiters).await.len(), transport.count()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn token_is_cached_under_the_requested_resource() {
    let body = r#"{"access_token":"t","expires_in":3600,"resource":"https://other.example/"}"#;
    let harness = Harness::scripted(move |_, _| FakeResponse::new(200, body).into());
    harness.call().token().await;
    harness.call().acquired();
    assert!(matches!(
        harness.for_resource("https://other.example/").acquire(),
        Ok(Acquisition::Pending(_))
    ));
}

//! Claims and capabilities for workload identity, whose token endpoint (Microsoft Entra) supports them.

use super::*;

const WORKLOAD: [(&str, &str); 3] = [
    (v::AZURE_FEDERATED_TOKEN_FILE, "/token"),
    (v::AZURE_TENANT_ID, "8f7d9c1e-0000-4000-8000-00000000000a"),
    (v::AZURE_CLIENT_ID, "a"),
];
const NBF: &str = r#"{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}"#;
const NBF_WITH_OTHER_SPACING: &str =
    r#" { "access_token" : { "nbf" : {"value":"1700000000", "essential":true} } } "#;
const LATER_NBF: &str = r#"{"access_token":{"nbf":{"essential":true,"value":"1800000000"}}}"#;

fn slow() -> Harness {
    let harness = Harness::scripted(|nth, _| {
        FakeOutcome::from(FakeResponse::token(&format!("t{nth}"), DAY)).after(seconds(1))
    });
    harness
        .files
        .put("/token", FakeEntry::File(b"assertion".to_vec()));
    harness
}

/// Returns the `claims` parameter of each request.
fn claims_sent(harness: &Harness) -> Vec<Option<String>> {
    let claims_of = |request: &crate::http::Request| {
        assert_eq!(request.url.query(), None);
        let body = request.body.as_ref().expect("a form");
        let parameter = body
            .expose_secret()
            .split('&')
            .find_map(|pair| pair.strip_prefix("claims="))?;
        let decoded = percent_encoding::percent_decode_str(parameter).decode_utf8();
        Some(decoded.expect("text").into_owned())
    };
    harness.transport.requests().iter().map(claims_of).collect()
}

#[tokio::test(start_paused = true)]
async fn callers_share_a_request_only_with_equal_merged_claims() {
    let harness = slow();
    let call = || harness.call().env(&WORKLOAD);
    let waiters = vec![
        call().claims(NBF).waiter(),
        call().claims(NBF_WITH_OTHER_SPACING).waiter(),
        call().claims(LATER_NBF).waiter(),
        call().waiter(),
        call().claims("{}").waiter(),
    ];
    assert_eq!(all(waiters).await, ["t0", "t0", "t1", "t2", "t3"]);
    let nbf = |value| {
        Some(format!(
            r#"{{"access_token":{{"nbf":{{"essential":true,"value":"{value}"}}}}}}"#
        ))
    };
    assert_eq!(
        claims_sent(&harness),
        [nbf("1700000000"), nbf("1800000000"), None, Some("{}".into())]
    );
}

#[tokio::test(start_paused = true)]
async fn token_for_claims_replaces_the_refused_token() {
    let harness = slow();
    let mut call = harness.call().env(&WORKLOAD);
    call.request.enable_cae = true;
    assert_eq!(call.clone().token().await, "t0");
    assert_eq!(call.clone().claims(NBF).token().await, "t1");
    assert_eq!(text(&call.acquired()), "t1");
    let sent = claims_sent(&harness);
    assert_eq!(
        sent[0].as_deref(),
        Some(r#"{"access_token":{"xms_cc":{"values":["CP1"]}}}"#)
    );
    assert_eq!(
        sent[1].as_deref(),
        Some(
            r#"{"access_token":{"nbf":{"essential":true,"value":"1700000000"},"xms_cc":{"values":["CP1"]}}}"#
        )
    );
}

#[tokio::test(start_paused = true)]
async fn forced_request_carries_its_claims() {
    let harness = slow();
    let call = harness
        .call()
        .env(&WORKLOAD)
        .claims(NBF)
        .cache_policy(CachePolicy::ForceRefresh);
    assert_eq!(call.token().await, "t0");
    assert!(
        claims_sent(&harness)[0]
            .as_deref()
            .is_some_and(|claims| claims.contains("nbf"))
    );
}

#[tokio::test(start_paused = true)]
async fn invalid_claims_are_rejected_before_any_io() {
    let harness = slow();
    for claims in ["nbf", "[]", "7"] {
        let error = harness.call().env(&WORKLOAD).claims(claims).error().await;
        assert_eq!(*error.code(), Code::InvalidConfiguration, "{claims}");
        assert!(error.details().source.is_some());
    }
    assert_eq!((harness.transport.count(), harness.files.reads()), (0, 0));
    // Sources that do not support claims ignore their content.
    harness.call().claims("nbf").token().await;
}

#[tokio::test(start_paused = true)]
async fn tenant_mismatch_is_checked_for_guids_only() {
    let payload = base64::Engine::encode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        r#"{"tid":"8f7d9c1e-0000-4000-8000-00000000000a"}"#,
    );
    let jwt = format!("h.{payload}.s");
    let harness = Harness::scripted(move |_, _| FakeResponse::token(&jwt, DAY).into());
    for (tenant, is_accepted) in [
        ("common", true),
        ("organizations", true),
        ("consumers", true),
        ("contoso.onmicrosoft.com", true),
        ("Contoso.com", true),
        ("8F7D9C1E-0000-4000-8000-00000000000A", true),
        ("8f7d9c1e-0000-4000-8000-00000000000b", false),
    ] {
        // The tenant of a fetched token is checked, and that of a cached one.
        let mut call = harness.call();
        call.request.tenant = Some(tenant.to_owned());
        assert_eq!(call.outcome().await.is_ok(), is_accepted, "{tenant}");
        harness.client.clear();
        let mut call = harness.call();
        harness.call().token().await;
        call.request.tenant = Some(tenant.to_owned());
        assert_eq!(call.outcome().await.is_ok(), is_accepted, "{tenant}, cached");
    }
}

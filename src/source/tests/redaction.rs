//! Secrets do not appear in `Debug` output.

use super::*;
use crate::error::Cause;
use crate::http::tls::ProxyConfig;
use crate::http::{TransportError, TransportErrorKind};
use crate::test_support::FakeResponse;
use crate::token::{Timestamp, Token};

#[test]
fn no_secret_shows_in_debug() {
    let platform = platform(&[(FILE, FakeEntry::File(b"hush-assertion".to_vec()))]);
    let options = system_assigned();
    let mut query = query(&options);
    query.refused_token_hash = Some("0123abcd".into());
    let mut output = Vec::new();
    for variables in [APP_SERVICE, MACHINE_LEARNING, SERVICE_FABRIC, WORKLOAD_IDENTITY] {
        let proxied = with(variables, &[(v::HTTPS_PROXY, "http://u:hush-password@proxy")]);
        let env = environment(&proxied);
        let source = create(&env, &options, &platform).expect("a source");
        let request = source.request(&query, &platform).expect("a request");
        let response = FakeResponse::new(200, r#"{"access_token":"hush-token"}"#).to(&request);
        output.push(format!(
            "{request:?} {:?} {response:?} {:?}",
            request.headers, request.route
        ));
        output.push(format!(
            "{:?} {:?} {:?}",
            request.secrets,
            request.body,
            ProxyConfig::from_environment(&env).expect("a proxy")
        ));
    }
    let grant = TokenResponse::parse(br#"{"access_token":"hush-token","expires_in":60}"#)
        .and_then(|mut token_response| token_response.take_token(Timestamp::from_secs(0), None))
        .expect("granted");
    let token = Token::new(
        Secret::new("hush-token".into()),
        Timestamp::from_secs(0),
        Timestamp::from_secs(9),
    );
    let error = TransportError {
        kind: TransportErrorKind::ConnectionReset,
        cause: Some(Cause {
            code: None,
            message: "text".into(),
        }),
    };
    output.push(format!("{grant:?} {token:?} {error:?} {query:?}"));
    let output = output.concat();
    assert!(output.contains("<redacted>"));
    assert!(!output.contains("hush"), "{output}");
}

#[test]
fn every_sent_secret_is_redacted_from_the_response() {
    let platform = platform(&[(FILE, FakeEntry::File(b"hush-assertion".to_vec()))]);
    let options = system_assigned();
    for (variables, secret) in [
        (APP_SERVICE, "hush-header"),
        (SERVICE_FABRIC, "hush-header"),
        (MACHINE_LEARNING, "hush-secret"),
        (WORKLOAD_IDENTITY, "hush-assertion"),
    ] {
        let source = create(&environment(variables), &options, &platform).expect("a source");
        let request = source.request(&query(&options), &platform).expect("a request");
        let known: Vec<_> = request.secrets.iter().map(Secret::expose_secret).collect();
        assert_eq!(known, [secret]);
    }
}

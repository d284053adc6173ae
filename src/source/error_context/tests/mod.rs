//! Tests of error messages and of their redaction.

mod redaction;
mod remedies;
mod response_errors;
mod transport_errors;

use std::sync::Arc;

use super::*;
use crate::error::{Cause, ErrorNumber};
use crate::http::Request;
use crate::platform::variable as v;
use crate::source::{self, TokenQuery};
use crate::test_support::{self, FakeClock, FakeFiles, FakeResponse, environment, options, resource};
use crate::token::Secret;

const SECRET: &str = "Hush-Header-5";
const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJodXNoIn0.c2lnLW5hdHVyZQ_-";
const APP_SERVICE: &[(&str, &str)] = &[
    (v::IDENTITY_ENDPOINT, "http://127.0.0.1:8081/msi/token?hush=1"),
    (v::IDENTITY_HEADER, SECRET),
];

/// Returns the error context and the request of the source with these variables.
fn context_and_request(variables: &[(&str, &str)]) -> (ErrorContext, Request) {
    let platform = test_support::platform(&FakeClock::new(), &Arc::new(FakeFiles::default()));
    let options = options(|_| {});
    let source = source::create(&environment(variables), &options, &platform).expect("opened");
    let query = TokenQuery {
        resource: resource("https://vault.azure.net"),
        identity: options.identity,
        capabilities: None,
        claims: None,
        refused_token_hash: None,
        correlation_id: "call-1".into(),
    };
    let request = source.request(&query, &platform).expect("a request");
    (ErrorContext::new(&*source), request)
}

fn response_error_of(variables: &[(&str, &str)], status: u16, body: &str) -> Error {
    let (error_context, request) = context_and_request(variables);
    error_context.response_error(&FakeResponse::new(status, body).to(&request), None, 2, true)
}

fn response_error(status: u16, body: &str) -> Error {
    response_error_of(APP_SERVICE, status, body)
}

fn message(status: u16, body: &str) -> String {
    response_error(status, body).details().message.clone()
}

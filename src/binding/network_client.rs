//! A custom network client (`system.networkClient`) as a transport.
//!
//! The JavaScript layer wraps the client so that it does not throw and resolves to a plain record. Requests reach it
//! through the channel of their call. A call into an environment that is being torn down may never settle, so each request
//! also ends with its environment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use napi::{Env, Result};
use napi_derive::napi;

use super::completions::CallbackHandle;
use super::environment_teardown::EnvironmentTeardown;
use super::types::JsNetworkRequest;
use crate::error::Cause;
use crate::http::NATIVE_TRANSPORT_ID;
use crate::http::{
    MAX_BODY_BYTES, Method, Request, Response, ResponseFuture, ResponseHeaders, Transport, TransportError,
    TransportErrorKind, is_success, local_error,
};
use crate::redaction::Redactor;

/// The part of a client's error message that is passed on.
const MAX_MESSAGE_CHARS: usize = 500;

/// Returns an id for a custom network client, which no other transport of this process has.
#[napi(catch_unwind)]
pub fn new_transport_id() -> u32 {
    static LAST: AtomicUsize = AtomicUsize::new(NATIVE_TRANSPORT_ID);
    u32::try_from(LAST.fetch_add(1, Ordering::Relaxed) + 1).unwrap_or(u32::MAX)
}

/// A custom network client in JavaScript.
pub(super) struct JsTransport {
    handle: Arc<CallbackHandle>,
    id: usize,
    teardown: EnvironmentTeardown,
}

impl JsTransport {
    pub(super) fn new(env: &Env, handle: Arc<CallbackHandle>, id: u32) -> Result<Self> {
        Ok(Self {
            handle,
            id: id as usize,
            teardown: EnvironmentTeardown::from_env(env)?,
        })
    }

    async fn exchange(&self, request: &Request) -> std::result::Result<Response, TransportError> {
        let outcome = tokio::select! {
            outcome = self.handle.request(JsNetworkRequest::of(request)) => outcome,
            () = self.teardown.reached() => None,
        };
        let Some(outcome) = outcome else {
            return Err(transport_error(
                None,
                "the Node.js environment has ended",
                request,
            ));
        };
        let Some(status) = outcome.status.and_then(|status| u16::try_from(status).ok()) else {
            return Err(transport_error(
                outcome.code.as_deref(),
                &outcome.message.unwrap_or_default(),
                request,
            ));
        };
        let mut body = outcome.body.unwrap_or_default().into_bytes();
        if body.len() > MAX_BODY_BYTES {
            if is_success(status) {
                return Err(TransportError::new(TransportErrorKind::BodyTooLarge));
            }
            body.clear(); // The status says enough.
        }
        Ok(Response {
            status,
            headers: ResponseHeaders {
                www_authenticate: outcome.www_authenticate.into_iter().collect(),
                retry_after: outcome.retry_after,
                date: outcome.date,
                server: outcome.server,
                content_type: outcome.content_type,
            },
            body,
            secrets: request.secrets.clone(),
            connection: None,
        })
    }
}

impl Transport for JsTransport {
    fn send<'a>(&'a self, request: &'a Request, _: Duration) -> ResponseFuture<'a> {
        Box::pin(self.exchange(request))
    }

    fn id(&self) -> usize {
        self.id
    }

    /// Returns false: a custom client may itself wait for a token of the same endpoint, and would then wait forever.
    fn needs_request_permit(&self) -> bool {
        false
    }
}

impl JsNetworkRequest {
    fn of(request: &Request) -> Self {
        let headers = request.headers.iter();
        Self {
            post: request.method == Method::Post,
            url: request.url.to_string(),
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), value.expose_secret().to_owned()))
                .collect(),
            body: request.body.as_ref().map(|body| body.expose_secret().to_owned()),
        }
    }
}

/// Creates a transport error. The message is redacted, since a client may repeat the request, including its secrets.
fn transport_error(code: Option<&str>, message: &str, request: &Request) -> TransportError {
    let (kind, code) = match code {
        Some("ECONNREFUSED") => (TransportErrorKind::ConnectionRefused, Some("ECONNREFUSED")),
        Some("ECONNRESET") => (TransportErrorKind::ConnectionReset, Some("ECONNRESET")),
        Some("ETIMEDOUT") => (TransportErrorKind::CustomClientTimeout, Some("ETIMEDOUT")),
        other => match other.and_then(local_error::known_code) {
            Some(code) => (TransportErrorKind::Local, Some(code)),
            None => (TransportErrorKind::CustomClient, None),
        },
    };
    TransportError {
        kind,
        cause: Some(Cause {
            code,
            message: Redactor::new(&request.secrets).redact(message, MAX_MESSAGE_CHARS),
        }),
    }
}

//! A caller's own HTTP client as a transport.
//!
//! The face wraps the client so that it never throws and resolves a plain record. The function is
//! held weakly: it does not keep the process alive. A call into an environment that is being torn
//! down may never settle, so each waits for the end of its environment too.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use napi::bindgen_prelude::Promise;
use napi::threadsafe_function::ThreadsafeFunction;
use napi::{Env, Result, Status};
use napi_derive::napi;
use zeroize::Zeroizing;

use super::environment_end::EnvironmentEnd;
use crate::error::Cause;
use crate::http::NATIVE;
use crate::http::{
    BODY_LIMIT, Exchange, Fault, FaultKind, Method, Request, Response, ResponseHeaders, Transport,
    is_success, local_error,
};
use crate::redaction::Redactor;

/// So much of a client's own words is passed on.
const WORDS: usize = 500;

/// The client's function, as the face wraps it.
pub(super) type SendFunction =
    ThreadsafeFunction<NetworkCall, Promise<NetworkReply>, NetworkCall, Status, false, true>;

/// A request for a caller's client.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct NetworkCall {
    pub post: bool,
    pub url: String,
    pub headers: BTreeMap<String, String>,
    pub body: Option<String>,
}

/// What came of it: a status with the rest of an answer, or a message with the rest of a fault.
#[napi(object, object_to_js = false)]
pub struct NetworkReply {
    pub status: Option<u32>,
    pub www_authenticate: Option<String>,
    pub retry_after: Option<String>,
    pub date: Option<String>,
    pub body: Option<String>,
    pub code: Option<String>,
    pub message: Option<String>,
    pub server: Option<String>,
    pub content_type: Option<String>,
}

/// A number for a caller's client, other than every other transport's of this process.
#[napi(catch_unwind)]
pub fn new_transport_id() -> u32 {
    static LAST: AtomicUsize = AtomicUsize::new(NATIVE);
    u32::try_from(LAST.fetch_add(1, Ordering::Relaxed) + 1).unwrap_or(u32::MAX)
}

/// A caller's own HTTP client.
pub(super) struct CallersTransport {
    send: SendFunction,
    id: usize,
    end: EnvironmentEnd,
}

impl CallersTransport {
    pub(super) fn new(env: &Env, send: SendFunction, id: u32) -> Result<Self> {
        Ok(Self {
            send,
            id: id as usize,
            end: EnvironmentEnd::of(env)?,
        })
    }

    async fn exchange(&self, request: &Request) -> std::result::Result<Response, Fault> {
        let answered = async { self.send.call_async_catch(NetworkCall::of(request)).await?.await };
        let reply = tokio::select! {
            reply = answered => reply.map_err(|error| fault(None, &error.reason, request))?,
            () = self.end.reached() => return Err(fault(None, "its environment has ended", request)),
        };
        let Some(status) = reply.status.and_then(|status| u16::try_from(status).ok()) else {
            return Err(fault(
                reply.code.as_deref(),
                &reply.message.unwrap_or_default(),
                request,
            ));
        };
        let mut body = Zeroizing::new(reply.body.unwrap_or_default().into_bytes());
        if body.len() > BODY_LIMIT {
            if is_success(status) {
                return Err(Fault::of(FaultKind::BodyTooLarge));
            }
            body.clear(); // The status says enough.
        }
        Ok(Response {
            status,
            headers: ResponseHeaders {
                www_authenticate: reply.www_authenticate.into_iter().collect(),
                retry_after: reply.retry_after,
                date: reply.date,
                server: reply.server,
                content_type: reply.content_type,
            },
            body,
            secrets: request.secrets.clone(),
            connection: None,
        })
    }
}

impl Transport for CallersTransport {
    fn send<'a>(&'a self, request: &'a Request, _: Duration) -> Exchange<'a> {
        Box::pin(self.exchange(request))
    }

    fn id(&self) -> usize {
        self.id
    }

    /// A caller's client may itself wait for a token of the same endpoint.
    fn takes_a_place(&self) -> bool {
        false
    }
}

impl NetworkCall {
    fn of(request: &Request) -> Self {
        let headers = request.headers.iter();
        Self {
            post: request.method == Method::Post,
            url: request.url.to_string(),
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), value.expose().to_owned()))
                .collect(),
            body: request.body.as_ref().map(|body| body.expose().to_owned()),
        }
    }
}

/// A client may repeat in its message what it was given, secrets included.
fn fault(code: Option<&str>, message: &str, request: &Request) -> Fault {
    let (kind, code) = match code {
        Some("ECONNREFUSED") => (FaultKind::Refused, Some("ECONNREFUSED")),
        Some("ECONNRESET") => (FaultKind::Reset, Some("ECONNRESET")),
        Some("ETIMEDOUT") => (FaultKind::CallersTimeout, Some("ETIMEDOUT")),
        other => match other.and_then(local_error::named) {
            Some(code) => (FaultKind::Local, Some(code)),
            None => (FaultKind::CallersClient, None),
        },
    };
    Fault {
        kind,
        cause: Some(Cause {
            code,
            message: Redactor::new(&request.secrets).redact(message, WORDS),
        }),
    }
}
